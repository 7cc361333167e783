/*
 * C++ operator new and delete. libstdc++'s call malloc, which counts them: those are passed on as they are, and so are
 * a program's own, which it may count or serve from a pool. jemalloc, tcmalloc and mimalloc bring operators that go past
 * malloc: those are counted here. Which kind an allocator's are is found out by trying once.
 * The names are those of the Itanium C++ ABI on 64-bit (size_t is `m`).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "attach.h"
#include "heap_recorder.h"
#include "next.h"
#include "redirect.h"

/* ---- Which kind -------------------------------------------------------------------------------------------------- */

/* One operator new: the real function, and whether it goes past malloc and so is counted here. */
typedef struct operator_new {
    void *function;
    bool counted_here;
    bool ready;
} operator_new;

/* With the countdown at zero every malloc reaches the recorder, which counts its calls. The operators differ in their
 * arguments (size, alignment or std::nothrow, std::nothrow), which the calling convention passes in registers: those
 * that a function does not take are ignored. */
static bool goes_past_malloc(void *function, bool array, bool aligned)
{
    static const char nothrow;
    static const char *const deletes[] = {"_ZdlPv", "_ZdaPv", "_ZdlPvSt11align_val_t", "_ZdaPvSt11align_val_t"};
    void (*delete_)(void *, size_t) = (void (*)(void *, size_t))hp_find(deletes[array + 2 * aligned]);
    /* Only an allocator's may be tried: others may count their calls, or not be ready before the program's main. */
    if (!delete_ || !hp_are_neighbours(function, (void *)hp_next.malloc))
        return false;
    uint64_t remaining = hr_self.remaining, seen = hr_self.mallocs_seen;
    hr_self.inside++;
    hr_self.remaining = 0;
    void *block = ((void *(*)(size_t, size_t, const void *))function)(1, aligned ? 64 : (size_t)&nothrow, &nothrow);
    bool past = hr_self.mallocs_seen == seen;
    delete_(block, 64);
    hr_self.remaining = remaining;
    hr_self.inside--;
    return past;
}

static void find_new(operator_new *slot, const char *name, bool aligned)
{
    void *function = hp_find(name);
    if (!function)
        return;
    slot->function = function;
    slot->counted_here = goes_past_malloc(function, name[3] == 'a', aligned); /* _Zna…: an array's */
    __atomic_store_n(&slot->ready, true, __ATOMIC_RELEASE);
}

static void find_delete(void **slot, const char *name)
{
    __atomic_store_n(slot, hp_find(name), __ATOMIC_RELAXED);
}

static void adopt_all(const hp_module *runtime);

/*
 * A C program may load C++ later. Only libstdc++ is looked for: its operators are malloc's, so that they may be given what
 * came from there before, and it stays, since its unique symbols keep it (glibc, elf/dl-lookup.c). Another library may go,
 * or serve from a pool: then blocks stay malloc's. dlsym would wait for a dlopen, which may wait for this thread.
 *
 * A program with a library that was linked with a C++ runtime of its own comes here with each block, and in vain. So a
 * thread looks now and then, and then only where something was loaded since.
 */
static void find_late(void)
{
    static __thread uint8_t calls;
    static uint64_t tried;
    if (calls++ != 0 || !hr_loader_try_enter())
        return;
    int error = errno; /* the question whether a page is writable is answered by one */
    hp_module runtime;
    uint64_t loads = hr_loads();
    if (__atomic_load_n(&tried, __ATOMIC_ACQUIRE) != loads) {
        bool is_there = hp_find_module("libstdc++.so.6", &runtime), is_ready = is_there && hp_is_relocated(&runtime);
        if (is_ready)
            adopt_all(&runtime);
        if (is_ready || !is_there)
            __atomic_store_n(&tried, loads, __ATOMIC_RELEASE);
    }
    hr_loader_leave();
    errno = error;
}

static HR_COLD bool find_late_new(operator_new *slot)
{
    find_late();
    return __atomic_load_n(&slot->ready, __ATOMIC_ACQUIRE);
}

static HR_COLD void *find_late_delete(void **slot)
{
    find_late();
    return __atomic_load_n(slot, __ATOMIC_RELAXED);
}

/* There is no memory, and no runtime to say so, unless a library brought one of its own: then its operator throws. */
static HR_COLD void *throwing(const char *name, size_t size, size_t alignment)
{
    void *(*function)(size_t, size_t) = NULL;
    if (hr_loader_try_enter()) {
        function = (void *(*)(size_t, size_t))hp_definition(name);
        hr_loader_leave();
    }
    return function ? function(size, alignment) : NULL;
}

/* ---- Exported ---------------------------------------------------------------------------------------------------- */

/* The exported ones hold the hot path only, so that they save no register: `late…` looks the function up, and what it finds
 * is libstdc++'s, which malloc counts, or else memory comes from malloc; `sampled…` and `slow…` go to the recorder. */
#define OPERATOR_NEW(name, parameters, arguments, otherwise)                                                           \
    static operator_new slot##name;                                                                                    \
    static HR_COLD void *sampled##name parameters                                                                      \
    {                                                                                                                  \
        void *block = ((void *(*)parameters)slot##name.function)arguments;                                             \
        hp_allocated(block, size, HR_CALLER);                                                                          \
        return block;                                                                                                  \
    }                                                                                                                  \
    static HR_COLD void *late##name parameters                                                                         \
    {                                                                                                                  \
        return find_late_new(&slot##name) ? ((void *(*)parameters)slot##name.function)arguments : otherwise;           \
    }                                                                                                                  \
    HP_EXPORT HP_OWN_LINE void *name parameters                                                                        \
    {                                                                                                                  \
        const operator_new *slot = &slot##name;                                                                        \
        if (HR_UNLIKELY(!__atomic_load_n(&slot->ready, __ATOMIC_ACQUIRE)))                                             \
            return late##name arguments;                                                                               \
        if (!slot->counted_here || hr_skip(size))                                                                      \
            return ((void *(*)parameters)slot->function)arguments;                                                     \
        return sampled##name arguments;                                                                                \
    }

#define OPERATOR_DELETE(name, parameters, arguments)                                                                   \
    static void *slot##name;                                                                                           \
    static HR_COLD void slow##name parameters                                                                          \
    {                                                                                                                  \
        void *function = __atomic_load_n(&slot##name, __ATOMIC_RELAXED);                                               \
        if (!function && !(function = find_late_delete(&slot##name)))                                                  \
            hp_visible.free(block);                                                                                    \
        else if (hp_forget(block))                                                                                     \
            ((void (*)parameters)function)arguments;                                                                   \
    }                                                                                                                  \
    HP_EXPORT HP_OWN_LINE void name parameters                                                                         \
    {                                                                                                                  \
        void *function = __atomic_load_n(&slot##name, __ATOMIC_RELAXED);                                               \
        if (HR_LIKELY(function && !hr_maybe_sampled(block)))                                                           \
            ((void (*)parameters)function)arguments;                                                                   \
        else                                                                                                           \
            slow##name arguments;                                                                                      \
    }

typedef const void *nothrow;

OPERATOR_NEW(_Znwm, (size_t size), (size), hp_visible.malloc(size) ?: throwing("_Znwm", size, 0))
OPERATOR_NEW(_Znam, (size_t size), (size), hp_visible.malloc(size) ?: throwing("_Znam", size, 0))
OPERATOR_NEW(_ZnwmRKSt9nothrow_t, (size_t size, nothrow t), (size, t), hp_visible.malloc(size))
OPERATOR_NEW(_ZnamRKSt9nothrow_t, (size_t size, nothrow t), (size, t), hp_visible.malloc(size))
OPERATOR_NEW(_ZnwmSt11align_val_t, (size_t size, size_t a), (size, a),
             hp_visible.memalign(a, size) ?: throwing("_ZnwmSt11align_val_t", size, a))
OPERATOR_NEW(_ZnamSt11align_val_t, (size_t size, size_t a), (size, a),
             hp_visible.memalign(a, size) ?: throwing("_ZnamSt11align_val_t", size, a))
OPERATOR_NEW(_ZnwmSt11align_val_tRKSt9nothrow_t, (size_t size, size_t a, nothrow t), (size, a, t),
             hp_visible.memalign(a, size))
OPERATOR_NEW(_ZnamSt11align_val_tRKSt9nothrow_t, (size_t size, size_t a, nothrow t), (size, a, t),
             hp_visible.memalign(a, size))

OPERATOR_DELETE(_ZdlPv, (void *block), (block))
OPERATOR_DELETE(_ZdaPv, (void *block), (block))
OPERATOR_DELETE(_ZdlPvm, (void *block, size_t size), (block, size))
OPERATOR_DELETE(_ZdaPvm, (void *block, size_t size), (block, size))
OPERATOR_DELETE(_ZdlPvRKSt9nothrow_t, (void *block, nothrow t), (block, t))
OPERATOR_DELETE(_ZdaPvRKSt9nothrow_t, (void *block, nothrow t), (block, t))
OPERATOR_DELETE(_ZdlPvSt11align_val_t, (void *block, size_t a), (block, a))
OPERATOR_DELETE(_ZdaPvSt11align_val_t, (void *block, size_t a), (block, a))
OPERATOR_DELETE(_ZdlPvmSt11align_val_t, (void *block, size_t size, size_t a), (block, size, a))
OPERATOR_DELETE(_ZdaPvmSt11align_val_t, (void *block, size_t size, size_t a), (block, size, a))
OPERATOR_DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, (void *block, size_t a, nothrow t), (block, a, t))
OPERATOR_DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, (void *block, size_t a, nothrow t), (block, a, t))

/* ---- Looking up -------------------------------------------------------------------------------------------------- */

#define EACH_NEW(DO)                                                                                                   \
    DO(_Znwm, false)                                                                                                   \
    DO(_Znam, false)                                                                                                   \
    DO(_ZnwmRKSt9nothrow_t, false)                                                                                     \
    DO(_ZnamRKSt9nothrow_t, false)                                                                                     \
    DO(_ZnwmSt11align_val_t, true)                                                                                     \
    DO(_ZnamSt11align_val_t, true)                                                                                     \
    DO(_ZnwmSt11align_val_tRKSt9nothrow_t, true)                                                                       \
    DO(_ZnamSt11align_val_tRKSt9nothrow_t, true)

#define EACH_DELETE(DO)                                                                                                \
    DO(_ZdlPv)                                                                                                         \
    DO(_ZdaPv)                                                                                                         \
    DO(_ZdlPvm)                                                                                                        \
    DO(_ZdaPvm)                                                                                                        \
    DO(_ZdlPvRKSt9nothrow_t)                                                                                           \
    DO(_ZdaPvRKSt9nothrow_t)                                                                                           \
    DO(_ZdlPvSt11align_val_t)                                                                                          \
    DO(_ZdaPvSt11align_val_t)                                                                                          \
    DO(_ZdlPvmSt11align_val_t)                                                                                         \
    DO(_ZdaPvmSt11align_val_t)                                                                                         \
    DO(_ZdlPvSt11align_val_tRKSt9nothrow_t)                                                                            \
    DO(_ZdaPvSt11align_val_tRKSt9nothrow_t)

static void find_all(void)
{
#define FIND_NEW(name, aligned) find_new(&slot##name, #name, aligned);
#define FIND_DELETE(name) find_delete(&slot##name, #name);
    EACH_NEW(FIND_NEW)
    EACH_DELETE(FIND_DELETE)
    hp_forget_errors();
}

/* Deletes first: what was allocated here before goes to free by either. */
static void adopt_all(const hp_module *runtime)
{
#define ADOPT_DELETE(name) __atomic_store_n(&slot##name, hp_address(runtime, #name), __ATOMIC_RELAXED);
#define ADOPT_NEW(name, aligned)                                                                                       \
    if ((slot##name.function = hp_address(runtime, #name)))                                                            \
        __atomic_store_n(&slot##name.ready, true, __ATOMIC_RELEASE);
    EACH_DELETE(ADOPT_DELETE)
    EACH_NEW(ADOPT_NEW)
}

/* Before main, where the program has a C++ runtime from the start; or when the probe is attached. */
void hp_resolve_operators(void)
{
    if (hp_came_late() ? hp_definition("_Znwm") : dlsym(RTLD_NEXT, "_Znwm"))
        find_all();
}

#define NEW_ENTRY(name, aligned) {#name, (void *)name, &slot##name.function},
#define DELETE_ENTRY(name) {#name, (void *)name, &slot##name},
const hp_entry hp_operator_news[] = {EACH_NEW(NEW_ENTRY)};
const hp_entry hp_operator_deletes[] = {EACH_DELETE(DELETE_ENTRY)};
const size_t hp_operator_new_count = sizeof hp_operator_news / sizeof *hp_operator_news;
const size_t hp_operator_delete_count = sizeof hp_operator_deletes / sizeof *hp_operator_deletes;
