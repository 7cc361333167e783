/*
 * The recorder: sampling, stacks and the ledger's writer. It interposes nothing; the probe calls it, and tests call it
 * with fake pointers. It runs inside other people's processes, so no function here aborts, blocks, throws or
 * allocates from the heap; whatever cannot be done is left out and counted in the ledger's header.
 *
 * Hot path: hr_skip() and hr_maybe_sampled(), inline below. Everything else is the sampled (slow) path.
 */
#ifndef HEAP_RECORDER_H
#define HEAP_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heap_ledger.h"

#define HR_LIKELY(x) __builtin_expect(!!(x), 1)
#define HR_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define HR_COLD __attribute__((noinline))
/* In this library for certain: it is found without an instruction that loads its address first. */
#define HR_OWN __attribute__((visibility("hidden")))
#define HR_PAGE ((uintptr_t)4096) /* of x86-64 */

/* ---- Set-up ---------------------------------------------------------------------------------------------------- */

typedef struct hr_config {
    const char *directory;  /* absolute folder of ledgers; made with mode 0700 if it is missing */
    uint64_t interval;      /* mean bytes between samples, >= 1; 1 = every allocation */
    uint64_t ledger_size;   /* bytes, clamped to HL_MIN_SIZE … HL_MAX_SIZE */
    uint64_t seed;          /* of the sampling; 0 = from the clock */
    bool is_attached;       /* to a program that had run before */
} hr_config;

/*
 * Sets the recorder up; nothing is recorded before. The ledger is made when the first sample comes, so a
 * short-lived process leaves no file, and so does the forked child of a recording one until it allocates.
 */
void hr_configure(const hr_config *config);

/* "heaptide-probe: WHAT: DETAIL; OUTCOME" on standard error, if that still is what it was when hr_configure was called. */
void hr_say(const char *what, const char *detail, const char *outcome);

/* Leads the probe's calls of libc to libc, whatever functions of these names the program has. Comes before all else. */
void hr_bind_self(void);

/* Loads libunwind privately (RTLD_LOCAL: its _Unwind_* must not replace libgcc's). Never from inside malloc. */
void hr_load_unwinder(void);

/* Calls `work` on a stack of the recorder's own, where it may be already, with signals blocked: the program's may be small.
 * False: none is free. */
bool hr_with_large_stack(void (*work)(void *), void *argument);

/* Between the two, which nest, dl_iterate_phdr does not wait. False: another thread has the loader. */
bool hr_loader_try_enter(void);
void hr_loader_leave(void);
/* How many modules were ever loaded. */
uint64_t hr_loads(void);

/* The program ended by its own will: said in the ledger. Recording goes on, exit handlers still free. */
void hr_mark_exited(void);
/* Nothing will be recorded from here on, though the program lives. */
void hr_mark_detached(void);

/* For a forked child, as early as its fork handlers run. Without it a child of the child's own that shares its memory would be
 * taken for it, and each child's first gap is what was left of its parent's, so that all children of one parent are seen at
 * the same byte of their lives, or none. */
void hr_after_fork(void);

/* Ends recording and unmaps; the next sample after hr_configure makes a new ledger. Nobody else may be in the recorder. */
void hr_close(void);

/* Path of the ledger being written, or "". */
const char *hr_ledger_path(void);

/* ---- Hot path -------------------------------------------------------------------------------------------------- */

typedef struct hr_thread {
    uint64_t remaining; /* bytes until the next sample, or look at the time; 0 in a new thread: it takes the slow path once */
    uint64_t beyond;    /* what the gap has beyond them, where it is a long one */
    uint64_t interval;  /* with which the gap was drawn: what the next sample weighs depends on it */
    uint64_t random;    /* state of its generator, 0 = not seeded */
    uint32_t inside;    /* in the slow path: allocations made there are not ours to record */
    uint32_t tid;
    uint32_t life;      /* of the process, for which `tid` was set */
    uintptr_t sample_at; /* frame that the sample under way came by, or 0 */
    bool learning;      /* in the private libunwind, with signals blocked */
    uint64_t mallocs_seen; /* allocations that reached the slow path: tells whether an operator new calls malloc */
} hr_thread;

extern HR_OWN __thread hr_thread hr_self;

/* True: this allocation is not sampled, and accounted for. Sizes beyond 2^63 are handled. */
static inline bool hr_skip(size_t size)
{
    if (HR_LIKELY(size < hr_self.remaining)) {
        hr_self.remaining -= size;
        return true;
    }
    return false;
}

/* Filter over the addresses of live samples; a cell is 0 where there is none. By address, hardly a hash: some 640
 * neighbouring bytes share a cell, and 40 KiB a cache line. Arenas of glibc begin at multiples of 64 MiB: what the factor is
 * beyond 64, 39, spreads them over the cells (by the golden section). A factor below 128 is one byte of the instruction. */
#define HR_FILTER_BITS 16
#define HR_FILTER_FACTOR 103u
extern HR_OWN uint8_t hr_filter[1u << HR_FILTER_BITS] __attribute__((aligned(64)));

static inline size_t hr_filter_slot(const void *block)
{
    return (uint32_t)(uintptr_t)block * HR_FILTER_FACTOR >> (32 - HR_FILTER_BITS);
}

/* False: this block has no sample. */
static inline bool hr_maybe_sampled(const void *block)
{
    return HR_UNLIKELY(__atomic_load_n(&hr_filter[hr_filter_slot(block)], __ATOMIC_RELAXED) != 0);
}

/* True: this block has no sample, as a closer look at its cell tells. */
bool hr_is_ruled_out(const void *block);

/* Never leaves the filter again, also not in a forked child. */
void hr_filter_pin(const void *block);

/* ---- Sampled path ---------------------------------------------------------------------------------------------- */

/* Where the exported function was called from: its frame record. The caller's stack pointer is right behind it. */
typedef struct hr_caller {
    uint64_t bp, ip;
} hr_caller;
#define HR_CALLER ((const hr_caller *)__builtin_frame_address(0))

/* After hr_skip said false: records `block` with its stack if the sampling says so. The stack begins with `caller`:
 * HR_CALLER in the exported function, or in one that it tail-calls. Keeps errno. */
void hr_allocated(void *block, size_t size, const hr_caller *caller);

/* A sample on its way out of the table or back in. */
typedef struct hr_taken {
    hl_sample sample;
    uint64_t serial; /* of the ledger that it was in */
    bool found;
} hr_taken;

/* Takes the block's sample out, if it has one: before the real free or realloc, since another thread may be
 * handed the address right after. */
hr_taken hr_take(const void *block);
/* It was freed: books it. */
void hr_freed(const hr_taken *taken);
/* The realloc failed: puts it back. */
void hr_put_back(const void *block, const hr_taken *taken);

/* Makes the ledger now, before the first sample. False where it cannot be made. */
bool hr_begin(void);

/* Records one sample with a stack and a weight given: for tests. */
void hr_record(void *block, size_t size, double weight, const uint64_t *frames, uint32_t depth, uint32_t flags);

#endif
