/* The program's own allocator: what the dynamic linker finds behind the probe. */
#ifndef HP_NEXT_H
#define HP_NEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "heap_recorder.h"

typedef struct hp_allocator {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    void *(*memalign)(size_t, size_t);
    void *(*valloc)(size_t);
    void *(*pvalloc)(size_t);
} hp_allocator;

/* Until the first call these find the real functions and then forward; so the hot path tests nothing. */
extern HR_OWN hp_allocator hp_next;

/* What the program sees by these names: an allocator in the program itself, or earlier in LD_PRELOAD, else the probe. */
typedef struct hp_visible_allocator {
    void *(*malloc)(size_t);
    void *(*memalign)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
} hp_visible_allocator;

extern hp_visible_allocator hp_visible;

void hp_resolve(void);
void hp_resolve_operators(void);

/* The next definition of `name`. NULL if none. Takes the loader's lock. */
void *hp_find(const char *name);
/* Whether both stand in one library. */
bool hp_are_neighbours(void *function, void *other);
/* A look-up that failed leaves an error that the program would be told by its next dlerror. */
void hp_forget_errors(void);

/* Memory handed out while the real allocator was being looked up: free must leave it, realloc must copy it. */
bool hp_is_early(const void *block);
void *hp_leave_early(void *block, size_t size);

/* Takes the sample of a block out that is about to be freed. False: early memory, which stays. Keeps errno. */
bool hp_forget(void *block);

#define HP_EXPORT __attribute__((visibility("default")))
/* Begins a cache line, so that it takes one and not two: a busy program has none to spare. */
#define HP_OWN_LINE __attribute__((aligned(64)))

#endif
