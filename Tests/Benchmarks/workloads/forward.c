/*
 * The least that a preloaded library can cost: the allocator family, forwarded through pointers. Each begins as a
 * function that looks the real one up, so that the way taken ever after has no branch.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

#define FORWARD(result, name, parameters, arguments)                                                                   \
    static result resolve_##name parameters;                                                                           \
    static result(*next_##name) parameters = resolve_##name;                                                           \
    static result resolve_##name parameters                                                                            \
    {                                                                                                                  \
        next_##name = (__typeof__(next_##name))dlsym(RTLD_NEXT, #name);                                                \
        return next_##name arguments;                                                                                  \
    }                                                                                                                  \
    result name parameters                                                                                             \
    {                                                                                                                  \
        return next_##name arguments;                                                                                  \
    }

FORWARD(void *, malloc, (size_t size), (size))
FORWARD(void *, calloc, (size_t n, size_t size), (n, size))
FORWARD(void *, realloc, (void *block, size_t size), (block, size))
FORWARD(void *, reallocarray, (void *block, size_t n, size_t size), (block, n, size))
FORWARD(void, free, (void *block), (block))
FORWARD(int, posix_memalign, (void **block, size_t alignment, size_t size), (block, alignment, size))
FORWARD(void *, aligned_alloc, (size_t alignment, size_t size), (alignment, size))
FORWARD(void *, memalign, (size_t alignment, size_t size), (alignment, size))
FORWARD(void *, valloc, (size_t size), (size))
FORWARD(void *, pvalloc, (size_t size), (size))
