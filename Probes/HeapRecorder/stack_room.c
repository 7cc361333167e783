/*
 * Whether the stack has room for unwinding: a thread may have been given the 16 KiB of PTHREAD_STACK_MIN, and a signal
 * handler may run on 8 KiB with the program's data right below. Asking costs two system calls, so what was found good
 * is remembered for each thread.
 */
#define _GNU_SOURCE
#include "recorder_internal.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What libunwind takes at the most, when it parses tables for the first time (measured 7 KiB), and our own part. */
#define NEEDED ((uintptr_t)12 << 10)

static __thread struct {
    uintptr_t low, high; /* stack that is known to be there */
} good;

static bool is_there(uintptr_t low, uintptr_t here)
{
    stack_t other;
    if (sigaltstack(NULL, &other) == 0 && other.ss_flags & SS_ONSTACK)
        return low >= (uintptr_t)other.ss_sp && here - (uintptr_t)other.ss_sp < other.ss_size;
    /* The first thread's stack grows when it is touched; another's ends in a guard page. */
    return hr_is_readable((const void *)low) || syscall(SYS_gettid) == getpid();
}

bool hr_has_stack_room(void)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0), low = here - NEEDED;
    if (low >= good.low && here <= good.high)
        return true;
    if (!is_there(low, here))
        return false;
    bool overlaps = low <= good.high && here >= good.low;
    good.low = overlaps && good.low < low ? good.low : low;
    good.high = overlaps && good.high > here ? good.high : here;
    return true;
}
