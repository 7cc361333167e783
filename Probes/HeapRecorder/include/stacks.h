/* stacks.c: what of the stacks can be used and read. */
#ifndef HR_STACKS_H
#define HR_STACKS_H

#include "heap_recorder.h"

/* What is known to be there, for this sample. */
typedef struct hr_stack_range {
    uint64_t low, high;
} hr_stack_range;

extern __thread hr_stack_range hr_stack_known;
extern __thread bool hr_stack_is_own; /* it is the thread's own, and the one that the probe works on now */
bool hr_stack_widen(uint64_t address);

/* A word of the stack, or false where it cannot be read. */
static inline bool hr_stack_word(uint64_t address, uint64_t *value)
{
    /* Written so that no address wraps around: rbp may hold anything. */
    bool known = address >= hr_stack_known.low && address < hr_stack_known.high
        && hr_stack_known.high - address >= sizeof *value;
    if ((address & 7) || (HR_UNLIKELY(!known) && !hr_stack_widen(address)))
        return false;
    *value = *(const uint64_t *)address;
    return true;
}

/* Says where the walk may read from now on. True: this stack is the thread's own, and has room for a sample. */
bool hr_stack_has_room(const hr_caller *caller);
/* It lies in the thread's own stack, not in a coroutine's or a signal handler's. */
bool hr_stack_owns(uintptr_t address);
/* Of the eight bytes that hold `address`. Keeps errno. */
bool hr_is_readable(const void *address);
/* The same, asked once for the neighbours of an address. `known_page` begins as the number of a page that is never asked
 * for. */
static inline bool hr_page_is_readable(uint64_t address, uint64_t *known_page)
{
    if (HR_UNLIKELY(*known_page != address / HR_PAGE) && !hr_is_readable((const void *)address))
        return false;
    *known_page = address / HR_PAGE;
    return true;
}

#endif
