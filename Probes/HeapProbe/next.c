#define _GNU_SOURCE
#include "next.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <malloc.h>
#include <stdlib.h>
#include <stdint.h>
#include <string.h>

#include "attach.h"
#include "heap_recorder.h"
#include "redirect.h"

/* ---- Early memory: dlsym may allocate before it has found malloc -------------------------------------------------- */

static _Alignas(16) uint8_t early[64 << 10];
static size_t early_used;

bool hp_is_early(const void *block) { return (uintptr_t)block - (uintptr_t)early < sizeof early; }

static void *take_early(size_t alignment, size_t size)
{
    alignment = alignment < 16 ? 16 : alignment;
    size_t need = size + alignment;
    if (size >= sizeof early || alignment > 4096 || need > sizeof early)
        return errno = ENOMEM, NULL;
    size_t at = __atomic_load_n(&early_used, __ATOMIC_RELAXED);
    do
        if (at > sizeof early - need)
            return errno = ENOMEM, NULL;
    while (!__atomic_compare_exchange_n(&early_used, &at, at + need, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    void *block = (void *)(((uintptr_t)early + at + alignment - 1) & ~(uintptr_t)(alignment - 1));
    hr_filter_pin(block); /* sends its free to the slow path, where it is known */
    return block;
}

void *hp_leave_early(void *block, size_t size)
{
    size_t rest = sizeof early - ((uintptr_t)block - (uintptr_t)early);
    void *moved = hp_next.malloc(size);
    if (moved)
        memcpy(moved, block, size < rest ? size : rest);
    return moved;
}

/* ---- Looking up -------------------------------------------------------------------------------------------------- */

static uint32_t resolving, resolved;

bool hp_are_neighbours(void *function, void *other)
{
    Dl_info one, two;
    return dladdr(function, &one) && dladdr(other, &two) && one.dli_fbase == two.dli_fbase;
}

static bool is_own(void *function) { return hp_are_neighbours(function, early); }

/* The first definition that was loaded after the probe, one object after the other. */
static void *find_by_hand(const char *name)
{
    struct link_map *map, *owner;
    Dl_info info;
    if (!dladdr1(early, &info, (void **)&map, RTLD_DL_LINKMAP))
        return NULL;
    while ((map = map->l_next)) {
        void *library = map->l_name[0] == '/' ? dlopen(map->l_name, RTLD_LAZY | RTLD_NOLOAD) : NULL;
        void *function = library ? dlsym(library, name) : NULL; /* there or in what it depends on */
        if (function && dladdr1(function, &info, (void **)&owner, RTLD_DL_LINKMAP) && owner == map)
            return function;
    }
    return NULL;
}

/* "Next" is seen from the caller: in a program that wraps dlsym that is the wrapper, and next comes the probe itself. */
void *hp_find(const char *name)
{
    if (hp_came_late())
        return hp_definition(name); /* a library that was loaded late has nothing behind it */
    void *function = dlsym(RTLD_NEXT, name);
    return function && is_own(function) ? find_by_hand(name) : function;
}

void hp_forget_errors(void)
{
    dlerror(); /* tells it */
    dlerror(); /* frees it */
}

static void *find(const char *name, void *otherwise)
{
    void *function = hp_find(name);
    return function ? function : otherwise;
}

static void *no_block_1(size_t size) { (void)size; return errno = ENOMEM, NULL; }
static void *no_block_2(size_t a, size_t b) { (void)a, (void)b; return errno = ENOMEM, NULL; }
static int no_memalign(void **p, size_t a, size_t b) { (void)p, (void)a, (void)b; return ENOMEM; }

hp_visible_allocator hp_visible = {malloc, memalign, realloc, free};

static void find_visible(void)
{
    hp_visible = (hp_visible_allocator){
        .malloc = (void *(*)(size_t))dlsym(RTLD_DEFAULT, "malloc"),
        .memalign = (void *(*)(size_t, size_t))dlsym(RTLD_DEFAULT, "memalign"),
        .realloc = (void *(*)(void *, size_t))dlsym(RTLD_DEFAULT, "realloc"),
        .free = (void (*)(void *))dlsym(RTLD_DEFAULT, "free"),
    };
}

void hp_resolve(void)
{
    if (__atomic_load_n(&resolved, __ATOMIC_ACQUIRE) || __atomic_exchange_n(&resolving, 1, __ATOMIC_ACQ_REL))
        return;
    hp_allocator found = {
        .malloc = (void *(*)(size_t))find("malloc", no_block_1),
        .calloc = (void *(*)(size_t, size_t))find("calloc", no_block_2),
        .realloc = (void *(*)(void *, size_t))find("realloc", no_block_2),
        .free = (void (*)(void *))find("free", no_block_1),
        .posix_memalign = (int (*)(void **, size_t, size_t))find("posix_memalign", no_memalign),
        .aligned_alloc = (void *(*)(size_t, size_t))find("aligned_alloc", no_block_2),
        .memalign = (void *(*)(size_t, size_t))find("memalign", no_block_2),
        .valloc = (void *(*)(size_t))find("valloc", no_block_1),
        .pvalloc = (void *(*)(size_t))find("pvalloc", no_block_1),
    };
    hp_next = found;
    if (!hp_came_late()) /* else calls were led to the probe itself */
        find_visible();
    __atomic_store_n(&resolved, 1, __ATOMIC_RELEASE);
}

/* While a look-up is under way, in this thread or another, memory comes from the early pool. */
static bool ready(void)
{
    hp_resolve();
    return __atomic_load_n(&resolved, __ATOMIC_ACQUIRE);
}

static void *first_malloc(size_t size) { return ready() ? hp_next.malloc(size) : take_early(16, size); }

static void *first_calloc(size_t n, size_t size)
{
    if (ready())
        return hp_next.calloc(n, size);
    size_t total;
    return __builtin_mul_overflow(n, size, &total) ? NULL : take_early(16, total); /* never used before: zero */
}

static void *first_realloc(void *block, size_t size)
{
    if (ready())
        return hp_next.realloc(block, size);
    void *moved = take_early(16, size);
    if (moved && block && hp_is_early(block)) {
        size_t rest = sizeof early - ((uintptr_t)block - (uintptr_t)early);
        memmove(moved, block, size < rest ? size : rest);
    }
    return moved;
}

static void first_free(void *block)
{
    if (ready() && !hp_is_early(block))
        hp_next.free(block);
}

static void *first_aligned(size_t alignment, size_t size)
{
    return ready() ? hp_next.memalign(alignment, size) : take_early(alignment, size);
}

static int first_posix_memalign(void **block, size_t alignment, size_t size)
{
    if (ready())
        return hp_next.posix_memalign(block, alignment, size);
    return (*block = take_early(alignment, size)) ? 0 : ENOMEM;
}

static void *first_valloc(size_t size) { return ready() ? hp_next.valloc(size) : take_early(4096, size); }

static void *first_pvalloc(size_t size)
{
    return ready() ? hp_next.pvalloc(size) : take_early(4096, (size + 4095) & ~(size_t)4095);
}

hp_allocator hp_next = {
    .malloc = first_malloc,
    .calloc = first_calloc,
    .realloc = first_realloc,
    .free = first_free,
    .posix_memalign = first_posix_memalign,
    .aligned_alloc = first_aligned,
    .memalign = first_aligned,
    .valloc = first_valloc,
    .pvalloc = first_pvalloc,
};
