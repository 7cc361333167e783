/* Attach and detach: what hp_control does, and keeping up with what the program loads afterwards. */
#define _GNU_SOURCE
#include "attach.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "next.h"
#include "redirect.h"

uint32_t hp_life = HP_UNBORN;

__asm__(".pushsection .note.heaptide, \"a\", @note\n"
        ".balign 4\n"
        ".long 9, 8, 2\n" /* sizes of owner and description, HP_NOTE_TYPE */
        ".asciz \"Heaptide\"\n"
        ".balign 4\n"
        ".long hp_control - .\n"
        ".long hp_life - .\n"
        ".popsection\n");
_Static_assert(HP_NOTE_TYPE == 2, "as in the note");

/* ---- Keeping up -------------------------------------------------------------------------------------------------- */

#define SECOND UINT64_C(1000000000)

static uint64_t known_loads, next_look;
static uint32_t looks_left;
static pid_t attached_pid;

static void *(*real_dlopen)(const char *, int);
static void *(*real_dlmopen)(Lmid_t, const char *, int);
static void *attached_dlopen(const char *file, int mode);
static void *attached_dlmopen(Lmid_t space, const char *file, int mode);

static const hp_entry loaders[] = {
    {"dlopen", (void *)attached_dlopen, (void **)&real_dlopen},
    {"dlmopen", (void *)attached_dlmopen, (void **)&real_dlmopen},
};

/* What frees goes first: a sampled block whose free passes the probe by would be a leak that is none. */
static uint64_t redirect_all(bool may_look_up)
{
    uint64_t slots = hp_redirect(loaders, sizeof loaders / sizeof *loaders);
    slots += hp_redirect(hp_c_frees, hp_c_free_count) + hp_redirect(hp_c_allocations, hp_c_allocation_count);
    if (may_look_up) /* finds out whether they call malloc, whose slots must lead here by then */
        hp_resolve_operators();
    slots += hp_redirect(hp_operator_deletes, hp_operator_delete_count);
    return slots + hp_redirect(hp_operator_news, hp_operator_new_count);
}

static uint64_t restore_all(void)
{
    uint64_t slots = hp_restore(hp_operator_news, hp_operator_new_count);
    slots += hp_restore(hp_operator_deletes, hp_operator_delete_count);
    slots += hp_restore(hp_c_allocations, hp_c_allocation_count) + hp_restore(hp_c_frees, hp_c_free_count);
    return slots + hp_restore(loaders, sizeof loaders / sizeof *loaders);
}

/* Where something was loaded since the last time. A forked child must not ask the loader by itself: another thread may
 * have held its lock at the fork. From within an allocation nothing is looked up: a thread in dlopen holds the lock for
 * that as long as its constructors run, and these may wait for the one that allocates. */
static void look_for_loads(bool may_look_up)
{
    int error = errno;
    if (__atomic_load_n(&hp_life, __ATOMIC_ACQUIRE) == HP_ATTACHED && getpid() == attached_pid) {
        uint64_t loads = hr_loads();
        if (__atomic_exchange_n(&known_loads, loads, __ATOMIC_RELAXED) != loads)
            __atomic_store_n(&looks_left, 3, __ATOMIC_RELAXED); /* one may be loading still, and cannot be led yet */
        uint32_t left = __atomic_load_n(&looks_left, __ATOMIC_RELAXED);
        if (left
            && __atomic_compare_exchange_n(&looks_left, &left, left - 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            redirect_all(may_look_up);
    }
    errno = error;
}

static void look_within_an_allocation(void *context)
{
    (void)context;
    look_for_loads(false);
}

/* libc loads modules without calling dlopen by a slot (name services, character sets), and see below. */
static void look_now_and_then(void)
{
    uint64_t due = __atomic_load_n(&next_look, __ATOMIC_RELAXED);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    uint64_t time = (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
    if (time >= due
        && __atomic_compare_exchange_n(&next_look, &due, time + SECOND, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)
        && hr_loader_try_enter()) {
        hr_with_large_stack(look_within_an_allocation, NULL);
        hr_loader_leave();
    }
}

/* The library that dlopen is called from may have a search path of its own: then it must be the caller, and what was
 * loaded is found at the next sampled allocation. (A DT_RPATH holds for what it loaded, too.) */
typedef struct caller {
    uintptr_t address;
    bool has_own_path;
} caller;

static int find_caller(struct dl_phdr_info *info, size_t size, void *context)
{
    caller *caller = context;
    hp_module module;
    (void)size;
    if (hp_read_module(info, &module))
        caller->has_own_path |= module.has_rpath
            || (module.has_runpath && caller->address - module.start < module.end - module.start);
    return 0;
}

static bool must_be_called_from(const void *address, const char *file)
{
    if (!file || (strchr(file, '/') && !strchr(file, '$')))
        return false;
    caller caller = {(uintptr_t)address, strchr(file, '$') != NULL}; /* $ORIGIN is the caller's folder */
    dl_iterate_phdr(find_caller, &caller);
    if (caller.has_own_path)
        __atomic_store_n(&next_look, 0, __ATOMIC_RELAXED);
    return caller.has_own_path;
}

#if defined(__has_attribute) && __has_attribute(musttail)
#define TAIL_CALL __attribute__((musttail))
#else
#define TAIL_CALL
#endif

static void *after_loading(void *library)
{
    /* In vain: what dlerror has to say of it would be lost. */
    if (library && hp_enter_gate()) {
        look_for_loads(true);
        hp_leave_gate();
    }
    return library;
}

static void *attached_dlopen(const char *file, int mode)
{
    if (must_be_called_from(__builtin_return_address(0), file))
        TAIL_CALL return real_dlopen(file, mode);
    return after_loading(real_dlopen(file, mode));
}

static void *attached_dlmopen(Lmid_t space, const char *file, int mode)
{
    if (must_be_called_from(__builtin_return_address(0), file))
        TAIL_CALL return real_dlmopen(space, file, mode);
    return after_loading(real_dlmopen(space, file, mode));
}

/* ---- The gate ---------------------------------------------------------------------------------------------------- */

static uint32_t is_open, inside;

bool hp_enter_gate(void)
{
    __atomic_fetch_add(&inside, 1, __ATOMIC_SEQ_CST);
    if (HR_UNLIKELY(!__atomic_load_n(&is_open, __ATOMIC_SEQ_CST))) {
        hp_leave_gate();
        return false;
    }
    if (hr_self.inside == 0)
        look_now_and_then();
    return true;
}

void hp_leave_gate(void) { __atomic_fetch_sub(&inside, 1, __ATOMIC_RELEASE); }

/* Whether all have left, after 50 ms at the most: one may be halted in there, or in a forked child gone for ever. */
static bool close_gate(void)
{
    __atomic_store_n(&is_open, 0, __ATOMIC_SEQ_CST);
    for (int tries = 0; tries < 500; tries++) {
        if (__atomic_load_n(&inside, __ATOMIC_SEQ_CST) == 0)
            return true;
        struct timespec pause = {.tv_nsec = 100000};
        nanosleep(&pause, NULL);
    }
    return false;
}

/* ---- Attach and detach ------------------------------------------------------------------------------------------- */

static bool find_real_functions(void)
{
    static bool is_done;
    if (!is_done) {
        if (!hp_definition("malloc") || !hp_definition("free"))
            return false;
        hp_resolve();
        for (size_t i = 0; i < hp_c_free_count; i++)
            if (!*hp_c_frees[i].real)
                *hp_c_frees[i].real = hp_definition(hp_c_frees[i].name);
        for (size_t i = 0; i < sizeof loaders / sizeof *loaders; i++)
            *loaders[i].real = hp_definition(loaders[i].name);
        hr_load_unwinder();
        is_done = true;
    }
    return true;
}

static uint32_t detach(hp_request *request)
{
    if (hp_life != HP_ATTACHED)
        return HP_WRONG_LIFE;
    if (!hr_loader_try_enter()) /* its holder may be halted, or in a forked child gone for ever */
        return HP_LOADER_BUSY;
    __atomic_store_n(&hp_life, HP_IDLE, __ATOMIC_RELEASE);
    bool is_empty = close_gate();
    request->slots = restore_all();
    hr_loader_leave();
    hr_mark_detached();
    if (!is_empty)
        return HP_BUSY;
    hr_close();
    return HP_DONE;
}

static uint32_t attach(hp_request *request)
{
    if (hp_life != HP_IDLE)
        return HP_WRONG_LIFE;
    if (!find_real_functions())
        return HP_NO_ALLOCATOR;
    if (!close_gate())
        return HP_BUSY;
    hr_close(); /* a former life's ledger */
    attached_pid = getpid();
    known_loads = hr_loads();
    looks_left = 3;
    hp_configure(request->place, request->interval, request->ledger_size);
    /* Before any slot leads here: the program's threads do not wait for a ledger that one of them makes, and what they
     * allocated meanwhile would be missing. */
    if (!hr_begin()) {
        hr_close();
        return HP_NO_LEDGER;
    }
    strncpy(request->place, hr_ledger_path(), sizeof request->place - 1);
    __atomic_store_n(&is_open, 1, __ATOMIC_SEQ_CST);
    hr_self.inside++;
    request->slots = redirect_all(true);
    hr_self.inside--;
    hp_forget_errors(); /* of look-ups in vain: the interrupted thread did not make them */
    __atomic_store_n(&hp_life, HP_ATTACHED, __ATOMIC_RELEASE);
    return HP_DONE;
}

__attribute__((used)) void hp_control(hp_request *request)
{
    request->result = request->command == HP_ATTACH ? attach(request) : detach(request);
}
