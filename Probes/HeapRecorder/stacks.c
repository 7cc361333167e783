/*
 * What of the stack can be used and read. A thread's own stack stays where it is as long as the thread lives, and its ends
 * are known. Of any other (a coroutine's, a signal handler's) nothing is known: how much room is left below, or whether
 * what was there a moment ago still is. There the probe looks before it reads.
 */
#define _GNU_SOURCE
#include "recorder_internal.h"

#include <errno.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NEEDED ((uintptr_t)4 << 10) /* by a sample; what takes more has a stack of ours (workspace.c) */
#define LARGEST_FIRST ((uintptr_t)64 << 20) /* the kernel leaves 128 MiB below the first stack, whatever the limit */
#define USUAL_LIMIT ((uintptr_t)8 << 20)
#define LONGEST_STRIDE (64 * HR_PAGE) /* of one frame beyond what is known, before it is looked at by itself */

__thread hr_stack_range hr_stack_known;
__thread bool hr_stack_is_own;

/* The kernel reads the new mask before it rejects the operation: EINVAL tells that it could. Unlike process_vm_readv the
 * call is allowed in nearly every sandbox; in another one nothing counts as readable. */
bool hr_is_readable(const void *address)
{
    uintptr_t word = (uintptr_t)address & ~(uintptr_t)7;
    if (word < HR_PAGE)
        return false; /* to the kernel, NULL is no mask, and fine */
    int error = errno;
    bool readable = syscall(SYS_rt_sigprocmask, ~0, word, NULL, (size_t)8) == 0 || errno == EINVAL;
    errno = error;
    return readable;
}

/* ---- The thread's own stack -------------------------------------------------------------------------------------- */

static bool contains(hr_stack_range range, uintptr_t address) { return address >= range.low && address < range.high; }

/* The first thread's: it grows when it is touched, down from where the kernel put the program's name. */
static hr_stack_range first_stack(void)
{
    struct rlimit limit = {.rlim_cur = USUAL_LIMIT}; /* where a sandbox does not let it ask */
    uintptr_t top = getauxval(AT_EXECFN);
    getrlimit(RLIMIT_STACK, &limit);
    return (hr_stack_range){top - (limit.rlim_cur < LARGEST_FIRST ? limit.rlim_cur : LARGEST_FIRST), top};
}

/*
 * A started thread's: glibc's struct pthread, at the thread pointer and at the upper end of the stack, notes the block of
 * memory, its size and that of the guard below, one behind the other (nptl/descr.h; at 0x690 from 2.31 to 2.41). They are
 * recognised by where the block ends.
 */
static hr_stack_range started_stack(void)
{
    enum { FROM = 0x600, TO = 0x720, SMALLEST = 0x800, LARGEST = 0x2000 }; /* of struct pthread, as far as the end */
    uintptr_t self;
    __asm__("movq %%fs:0, %0" : "=r"(self));
    if (!hr_is_readable((const void *)(self + FROM)) || !hr_is_readable((const void *)(self + TO + 16)))
        return (hr_stack_range){0, 0};
    for (const uintptr_t *word = (const uintptr_t *)(self + FROM); word < (const uintptr_t *)(self + TO); word++) {
        uintptr_t block = word[0], size = word[1], guard = word[2], behind = block + size - self;
        if (block && block < self && behind >= SMALLEST && behind < LARGEST && guard < size && guard % HR_PAGE == 0)
            return (hr_stack_range){block + guard, self};
    }
    return (hr_stack_range){0, 0};
}

/* Empty where `address` is not in it. */
static hr_stack_range own_stack(uintptr_t address)
{
    static __thread hr_stack_range started;
    static __thread bool is_known;
    uintptr_t top = getauxval(AT_EXECFN);
    if (address < top && top - address < LARGEST_FIRST)
        return first_stack();
    if (!is_known)
        started = started_stack();
    is_known = true;
    return contains(started, address) ? started : (hr_stack_range){0, 0};
}

bool hr_stack_owns(uintptr_t address) { return contains(own_stack(address), address); }

bool hr_stack_has_room(const hr_caller *caller)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0), low = here - NEEDED;
    if (HR_LIKELY(hr_stack_is_own && low >= hr_stack_known.low && here < hr_stack_known.high))
        return true;
    hr_stack_range own = own_stack(here);
    hr_stack_is_own = contains(own, here) && contains(own, low);
    uintptr_t frame = (uintptr_t)caller;
    hr_stack_known = hr_stack_is_own ? (hr_stack_range){low, own.high}
                                     : (hr_stack_range){frame, (frame & ~(HR_PAGE - 1)) + HR_PAGE};
    return hr_stack_is_own;
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

/* Of a foreign stack, page by page outwards from what is known, so that it stays one stack; or over to the thread's own,
 * which a signal interrupted. */
HR_COLD bool hr_stack_widen(uint64_t address)
{
    if (hr_stack_is_own || address > UINTPTR_MAX - 2 * HR_PAGE)
        return hr_is_readable((const void *)address);
    hr_stack_range own = own_stack(address);
    if (own.high) {
        if (!hr_is_readable((const void *)address))
            return false;
        hr_stack_known = (hr_stack_range){address & ~(HR_PAGE - 1), own.high};
        return true;
    }
    if (address < hr_stack_known.low || address - hr_stack_known.high > LONGEST_STRIDE)
        return hr_is_readable((const void *)address);
    for (uintptr_t page = hr_stack_known.high & ~(HR_PAGE - 1); page <= address; page += HR_PAGE) {
        if (!hr_is_readable((const void *)page))
            return false;
        hr_stack_known.high = page + HR_PAGE;
    }
    return true;
}
