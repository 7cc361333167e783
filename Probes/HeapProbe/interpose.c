/*
 * The C allocator family. Hot path: one subtraction and one branch (allocation), one look into the filter (free), then
 * a tail call. A sampled block is forwarded first and recorded after, so that its address is known.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "attach.h"
#include "heap_recorder.h"
#include "next.h"
#include "redirect.h"

/* ---- Sampled ----------------------------------------------------------------------------------------------------- */

static HR_COLD void *sampled_malloc(size_t size)
{
    void *block = hp_next.malloc(size);
    hp_allocated(block, size, HR_CALLER);
    return block;
}

static HR_COLD void *sampled_calloc(size_t n, size_t size)
{
    void *block = hp_next.calloc(n, size);
    hp_allocated(block, n * size, HR_CALLER); /* no overflow where there is a block */
    return block;
}

HR_COLD bool hp_forget(void *block)
{
    if (HR_LIKELY(hr_is_ruled_out(block))) /* which early memory never is: it is pinned */
        return true;
    if (hp_is_early(block))
        return false;
    int error = errno;
    hp_freed(block);
    errno = error;
    return true;
}

static HR_COLD void sampled_free(void *block)
{
    if (hp_forget(block))
        hp_next.free(block);
}

static HR_COLD void *sampled_realloc(void *block, size_t size, bool skip)
{
    if (hp_is_early(block))
        return hp_leave_early(block, size);
    if (!hp_enter())
        return hp_next.realloc(block, size);
    int error = errno;
    hr_taken taken = hr_take(block);
    errno = error;
    void *moved = hp_next.realloc(block, size);
    error = errno;
    if (!moved && size != 0) {
        hr_put_back(block, &taken);
    } else {
        hr_freed(&taken);
        if (!skip)
            hr_allocated(moved, size, HR_CALLER);
    }
    hp_leave();
    errno = error;
    return moved;
}

/* ---- Exported ---------------------------------------------------------------------------------------------------- */

/* malloc and free share one cache line, of which they take 63 bytes: malloc comes first, and nothing else may be in this
 * section. */
#define SHARED_LINE __attribute__((section(".text.malloc_and_free")))

HP_EXPORT SHARED_LINE HP_OWN_LINE void *malloc(size_t size)
{
    if (hr_skip(size))
        return hp_next.malloc(size);
    return sampled_malloc(size);
}

HP_EXPORT SHARED_LINE void free(void *block)
{
    if (HR_LIKELY(!hr_maybe_sampled(block))) /* in this order no jump is taken on the way */
        hp_next.free(block);
    else
        sampled_free(block);
}

HP_EXPORT HP_OWN_LINE void *calloc(size_t n, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(n, size, &total) || hr_skip(total))
        return hp_next.calloc(n, size);
    return sampled_calloc(n, size);
}

HP_EXPORT HP_OWN_LINE void *realloc(void *block, size_t size)
{
    bool skip = hr_skip(size);
    if (HR_LIKELY(skip) && !hr_maybe_sampled(block))
        return hp_next.realloc(block, size);
    return sampled_realloc(block, size, skip);
}

HP_EXPORT int posix_memalign(void **block, size_t alignment, size_t size)
{
    bool skip = hr_skip(size);
    int status = hp_next.posix_memalign(block, alignment, size);
    if (!skip && status == 0)
        hp_allocated(*block, size, HR_CALLER);
    return status;
}

#define ALIGNED(name)                                                                                                  \
    HP_EXPORT void *name(size_t alignment, size_t size)                                                                \
    {                                                                                                                  \
        bool skip = hr_skip(size);                                                                                     \
        void *block = hp_next.name(alignment, size);                                                                   \
        if (!skip)                                                                                                     \
            hp_allocated(block, size, HR_CALLER);                                                                      \
        return block;                                                                                                  \
    }

#define PAGED(name)                                                                                                    \
    HP_EXPORT void *name(size_t size)                                                                                  \
    {                                                                                                                  \
        bool skip = hr_skip(size);                                                                                     \
        void *block = hp_next.name(size);                                                                              \
        if (!skip)                                                                                                     \
            hp_allocated(block, size, HR_CALLER);                                                                      \
        return block;                                                                                                  \
    }

ALIGNED(aligned_alloc)
ALIGNED(memalign)
PAGED(valloc)
PAGED(pvalloc)

/* ---- What an attached probe leads here --------------------------------------------------------------------------- */

/* Kept for the restoring only: ours call realloc and free. */
static void *real_reallocarray, *real_free_sized, *real_free_aligned_sized;
void free_sized(void *block, size_t size); /* C23: not every libc declares them */
void free_aligned_sized(void *block, size_t alignment, size_t size);

#define ENTRY(name) {#name, (void *)name, (void **)&hp_next.name}
const hp_entry hp_c_frees[] = {
    ENTRY(free), ENTRY(realloc), {"reallocarray", (void *)reallocarray, &real_reallocarray},
    {"free_sized", (void *)free_sized, &real_free_sized},
    {"free_aligned_sized", (void *)free_aligned_sized, &real_free_aligned_sized},
};
const hp_entry hp_c_allocations[] = {
    ENTRY(malloc),   ENTRY(calloc), ENTRY(posix_memalign), ENTRY(aligned_alloc),
    ENTRY(memalign), ENTRY(valloc), ENTRY(pvalloc),
};
const size_t hp_c_free_count = sizeof hp_c_frees / sizeof *hp_c_frees;
const size_t hp_c_allocation_count = sizeof hp_c_allocations / sizeof *hp_c_allocations;
