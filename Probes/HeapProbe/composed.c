/*
 * The functions that are made of others. An allocator that stands before the probe, in the program itself or earlier in
 * LD_PRELOAD, often brings none of these: like libc's, they call what the program sees, or they would take its blocks
 * to libc.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>

#include "next.h"

HP_EXPORT void *reallocarray(void *block, size_t n, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(n, size, &total)) {
        errno = ENOMEM;
        return NULL;
    }
    return hp_visible.realloc(block, total);
}

/* C23 7.24.3: equivalent to free. Not every libc declares them. */
HP_EXPORT void free_sized(void *block, size_t size);
HP_EXPORT void free_aligned_sized(void *block, size_t alignment, size_t size);

HP_EXPORT void free_sized(void *block, size_t size)
{
    (void)size;
    hp_visible.free(block);
}

HP_EXPORT void free_aligned_sized(void *block, size_t alignment, size_t size)
{
    (void)alignment, (void)size;
    hp_visible.free(block);
}
