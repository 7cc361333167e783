/*
 * The dynamic loader, asked from within an allocation. dl_iterate_phdr takes a lock, and calls its callers back under it:
 * a program whose callback waits for a lock of its own, under which another thread allocates, would wait for ever. And of
 * a forked child's parent, another thread may have held it. So it is only tried.
 *
 * glibc does not tell where the lock is: it is the recursive mutex in the loader's data that this thread holds in such a
 * callback, and not after.
 */
#define _GNU_SOURCE
#include "recorder_internal.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST 8u

static pthread_mutex_t *lock; /* NULL: a glibc before 2.34 without threads, which takes none */

typedef struct held {
    uint8_t *from;
    size_t size;
    uint32_t count;
    struct {
        pthread_mutex_t *mutex;
        unsigned times;
    } mutexes[MOST];
} held;

static int note_held(struct dl_phdr_info *info, size_t size, void *context)
{
    held *held = context;
    int self = (int)syscall(SYS_gettid);
    (void)info, (void)size;
    for (size_t at = 0; at + sizeof(pthread_mutex_t) <= held->size && held->count < MOST; at += 8) {
        pthread_mutex_t *mutex = (pthread_mutex_t *)(held->from + at);
        if (mutex->__data.__owner != self || mutex->__data.__kind != PTHREAD_MUTEX_RECURSIVE_NP
            || mutex->__data.__lock != 1 || mutex->__data.__count - 1u >= 16u)
            continue;
        held->mutexes[held->count].mutex = mutex;
        held->mutexes[held->count++].times = mutex->__data.__count;
    }
    return 1;
}

void hr_loader_load(void)
{
    Dl_info info;
    const ElfW(Sym) *symbol;
    void *globals = dlsym(RTLD_DEFAULT, "_rtld_global");
    if (!globals || !dladdr1(globals, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol || info.dli_saddr != globals)
        return;
    held held = {.from = globals, .size = symbol->st_size};
    dl_iterate_phdr(note_held, &held);
    for (uint32_t i = 0; i < held.count; i++)
        if (held.mutexes[i].mutex->__data.__count + 1 == held.mutexes[i].times)
            lock = held.mutexes[i].mutex;
}

bool hr_loader_try_enter(void) { return !lock || pthread_mutex_trylock(lock) == 0; }

void hr_loader_leave(void)
{
    if (lock)
        pthread_mutex_unlock(lock);
}
