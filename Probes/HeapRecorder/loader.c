/*
 * The dynamic loader, asked from within an allocation. dl_iterate_phdr takes a lock, and calls its callers back under it:
 * a program whose callback waits for a lock of its own, under which another thread allocates, would wait for ever. And of
 * a forked child's parent, another thread may have held it. So it is only tried.
 *
 * glibc does not tell where the lock is: it is the recursive mutex in the loader's data that this thread holds in such a
 * callback, and once more in one within it. Likewise the count of all that was ever loaded, at which each sample looks: it
 * is the word there that says what the callback is told, before and after libunwind is loaded.
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

/* Deeper in it by one than when they were noted. */
static int find_deeper(struct dl_phdr_info *info, size_t size, void *context)
{
    held *held = context;
    (void)info, (void)size;
    for (uint32_t i = 0; i < held->count; i++)
        if (held->mutexes[i].mutex->__data.__count == held->mutexes[i].times + 1)
            lock = held->mutexes[i].mutex;
    return 1;
}

/* Asks once more while it holds them: whatever other threads do, these are its own. */
static int note_held(struct dl_phdr_info *info, size_t size, void *context)
{
    held *held = context;
    int self = (int)syscall(SYS_gettid);
    (void)info, (void)size;
    for (size_t at = 0; at + sizeof(pthread_mutex_t) <= held->size && held->count < MOST; at += 8) {
        pthread_mutex_t *mutex = (pthread_mutex_t *)(held->from + at);
        if (mutex->__data.__owner != self || mutex->__data.__kind != PTHREAD_MUTEX_RECURSIVE_NP
            || mutex->__data.__lock == 0 || mutex->__data.__count - 1u >= 16u)
            continue;
        held->mutexes[held->count].mutex = mutex;
        held->mutexes[held->count++].times = mutex->__data.__count;
    }
    dl_iterate_phdr(find_deeper, held);
    return 1;
}

static const uint64_t *globals;
static uint64_t globals_size;
static const uint64_t *candidates[MOST];
static uint32_t candidate_count;
static const uint64_t *loads; /* NULL: not found */

static int note_loads(struct dl_phdr_info *info, size_t size, void *count)
{
    (void)size;
    *(uint64_t *)count = info->dlpi_adds;
    return 1;
}

uint64_t hr_loads(void)
{
    uint64_t count = 0;
    dl_iterate_phdr(note_loads, &count);
    return count;
}

static void find_lock(void)
{
    held held = {.from = (uint8_t *)globals, .size = globals_size};
    dl_iterate_phdr(note_held, &held);
}

void hr_loader_load(void)
{
    Dl_info info;
    const ElfW(Sym) *symbol;
    void *found = dlsym(RTLD_DEFAULT, "_rtld_global");
    if (!found || !dladdr1(found, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol || info.dli_saddr != found)
        return;
    globals = found;
    globals_size = symbol->st_size;
    find_lock();
    uint64_t count = hr_loads();
    /* Behind the lock (sysdeps/generic/ldsodefs.h): before it stand the numbers of what is loaded now. */
    for (size_t i = 0; i < globals_size / sizeof *globals && candidate_count < MOST; i++)
        if (globals[i] == count && lock && &globals[i] > (const uint64_t *)lock)
            candidates[candidate_count++] = &globals[i];
}

void hr_loader_loaded(void)
{
    uint64_t count = hr_loads();
    uint32_t found = 0;
    for (uint32_t i = 0; i < candidate_count; i++)
        if (*candidates[i] == count)
            candidates[found++] = candidates[i];
    if (found == 1)
        loads = candidates[0];
}

uint64_t hr_loads_seen(void) { return loads ? HR_LOAD(*loads) : 0; }

bool hr_loader_try_enter(void) { return !lock || pthread_mutex_trylock(lock) == 0; }

void hr_loader_leave(void)
{
    if (lock)
        pthread_mutex_unlock(lock);
}
