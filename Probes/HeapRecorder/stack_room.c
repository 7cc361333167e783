/*
 * What of this thread's stack can be used and read. There must be room for unwinding: a thread may have been given the
 * 16 KiB of PTHREAD_STACK_MIN, and a signal handler may run on 8 KiB with the program's data right below. And a walk
 * must not read where nothing is mapped. Asking costs system calls, so what was found good is remembered by the thread.
 */
#define _GNU_SOURCE
#include "recorder_internal.h"

#include <errno.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What learning a rule takes at the most (measured 7 KiB), and our own part. */
#define NEEDED ((uintptr_t)12 << 10)
#define PAGE ((uintptr_t)4096)
#define LARGEST_STACK ((uintptr_t)64 << 20) /* believed of an unlimited one */
#define LONGEST_STRIDE (64 * PAGE) /* of one frame beyond what is known, before it is looked at by itself */

__thread hr_stack_range hr_stack_known;

/* The kernel reads the new mask before it rejects the operation: EFAULT tells that it could not. Any sandbox allows
 * this call, which process_vm_readv cannot be said of. */
bool hr_is_readable(const void *address)
{
    uintptr_t word = (uintptr_t)address & ~(uintptr_t)7;
    if (word < PAGE)
        return false; /* to the kernel, NULL is no mask, and fine */
    int error = errno;
    bool readable = syscall(SYS_rt_sigprocmask, ~0, word, NULL, (size_t)8) == 0 || errno != EFAULT;
    errno = error;
    return readable;
}

bool hr_page_is_readable(uint64_t address, uint64_t *known_page)
{
    if (*known_page != address / PAGE && !hr_is_readable((const void *)address))
        return false;
    *known_page = address / PAGE;
    return true;
}

/* The first thread's stack grows when it is touched, down from where the kernel put the program's name; a coroutine's,
 * on whatever thread, ends in a guard page. */
static bool can_grow(uintptr_t low)
{
    struct rlimit limit;
    uintptr_t top = getauxval(AT_EXECFN);
    return syscall(SYS_gettid) == getpid() && low < top && getrlimit(RLIMIT_STACK, &limit) == 0
        && top - low < (limit.rlim_cur < LARGEST_STACK ? limit.rlim_cur : LARGEST_STACK);
}

static bool is_there(uintptr_t low, uintptr_t here)
{
    stack_t other;
    if (sigaltstack(NULL, &other) == 0 && other.ss_flags & SS_ONSTACK)
        return low >= (uintptr_t)other.ss_sp && here - (uintptr_t)other.ss_sp < other.ss_size;
    return hr_is_readable((const void *)low) || can_grow(low);
}

bool hr_has_stack_room(void)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0), low = here - NEEDED;
    if (low >= hr_stack_known.low && here <= hr_stack_known.high)
        return true;
    if (!is_there(low, here))
        return false;
    bool overlaps = low <= hr_stack_known.high && here >= hr_stack_known.low;
    hr_stack_known.low = overlaps && hr_stack_known.low < low ? hr_stack_known.low : low;
    hr_stack_known.high = overlaps && hr_stack_known.high > here ? hr_stack_known.high : here;
    return true;
}

/* Outwards from what is known, page by page: so it stays one stack. */
__attribute__((noinline)) bool hr_stack_widen(uint64_t address)
{
    if (address < hr_stack_known.low || address > UINTPTR_MAX - 2 * PAGE
        || address - hr_stack_known.high > LONGEST_STRIDE)
        return hr_is_readable((const void *)address);
    for (uintptr_t page = hr_stack_known.high & ~(PAGE - 1); page <= address; page += PAGE) {
        if (!hr_is_readable((const void *)page))
            return false;
        hr_stack_known.high = page + PAGE;
    }
    return true;
}
