/*
 * The ledger: the one contract between the probe, which writes it inside the watched process,
 * and every reader. One fixed-size file, mapped MAP_SHARED by both, native byte order.
 *
 *     0 ┌────────────────────────────┐
 *       │ header                     │ hl_header, HL_HEADER_SIZE bytes
 *       ├────────────────────────────┤ modules_offset
 *       │ modules                    │ hl_module[modules_capacity]
 *       ├────────────────────────────┤ names_offset
 *       │ module paths (arena)       │ char[names_capacity], each ended by a NUL
 *       ├────────────────────────────┤ index_offset
 *       │ the probe's index of sites │ uint64_t[index_capacity]; tells a reader nothing
 *       ├────────────────────────────┤ sites_offset
 *       │ sites                      │ hl_site[sites_capacity]; site 0 stands for "table full"
 *       ├────────────────────────────┤ frames_offset
 *       │ frames (arena)             │ uint64_t[frames_capacity]: return addresses, innermost first
 *       ├────────────────────────────┤ keys_offset
 *       │ keys of live samples       │ uint64_t[samples_capacity]: the block's address, 0 = free
 *       ├────────────────────────────┤ samples_offset
 *       │ live samples               │ hl_sample[samples_capacity], parallel to the keys
 *       └────────────────────────────┘ file_size
 *
 * Rules that let a reader meet the file at any instant, also torn by SIGKILL:
 *  - Every offset is a multiple of HL_ALIGNMENT; capacities never change while the file lives.
 *  - A record is published by its last word: `state` of a module or site becomes HL_READY, the key of
 *    a sample becomes the address, after (release) all its other fields. A reader skips every record
 *    that is not published, loads the word first (acquire), and checks each index against its capacity.
 *  - `magic` is written last of all when the file is made.
 *  - A reader of a live file reads samples twice where it matters: a key that changed in between
 *    belongs to another block.
 *
 * Estimates. A block of s bytes is sampled with probability p(s); its record carries weight = 1/p(s), so
 * that the sum of weight is an unbiased count and the sum of weight × size unbiased bytes. When a table
 * runs out the probe thins it: `thinnings` grows by one, every sample born under a smaller value is kept
 * with probability one half, and so stands for weight × 2^(thinnings − sample.thinning) blocks.
 *
 * Time: nanoseconds of CLOCK_MONOTONIC since `start_monotonic_ns` without those of pauses, in which nothing is recorded:
 * to rates they are no time. Unless a name says otherwise.
 */
#ifndef HEAP_LEDGER_H
#define HEAP_LEDGER_H

#include <stdint.h>

#define HL_MAGIC 0x4544495450414548ULL /* "HEAPTIDE", little endian */
#define HL_LAYOUT_VERSION 5u
#define HL_HEADER_SIZE 4096u
#define HL_ALIGNMENT 64u
#define HL_MAX_DEPTH 256u        /* frames kept of one stack */
#define HL_LIFETIME_BUCKETS 32u
#define HL_COST_BUCKETS 20u
#define HL_HISTORY 32u           /* checkpoints of a site's live bytes */
#define HL_FIRST_PERIOD_NS 250000000ULL
#define HL_KEY_RESERVED 1u       /* a sample being written; real keys are addresses >= 4096 */
#define HL_MIN_SIZE (2ULL << 20)
#define HL_MAX_SIZE (1ULL << 30)

/* What the probe is doing (hl_header.state). */
enum {
    HL_STATE_RECORDING = 1, /* also what a killed process leaves behind */
    HL_STATE_EXITED = 2,    /* exit() or return from main: the program ended by its own will */
    HL_STATE_DETACHED = 3   /* the probe was made inert: what the program did since is not known */
};

/* hl_module.state and hl_site.state */
enum { HL_EMPTY = 0, HL_WRITING = 1, HL_READY = 2 };

/* hl_site.flags */
enum {
    HL_SITE_CUT = 1,        /* outermost frames are missing: deeper than HL_MAX_DEPTH, or lost on the way */
    HL_SITE_NO_UNWINDER = 2 /* no libunwind: the stack is the caller alone */
};

/* hl_header.flags */
enum {
    HL_FLAG_UNWINDER = 2,   /* libunwind was loaded */
    HL_FLAG_ATTACHED = 4    /* the program had run before: what it had allocated by then is not known */
};

typedef struct hl_header {
    uint64_t magic;
    uint32_t layout_version;
    uint32_t header_size;
    uint64_t file_size;
    uint32_t pid;
    uint32_t state;
    uint64_t process_start_ticks; /* /proc/PID/stat field 22: tells a reused pid */
    uint64_t start_monotonic_ns;  /* CLOCK_MONOTONIC when recording began */
    uint64_t start_realtime_ns;   /* CLOCK_REALTIME at the same moment */
    uint8_t boot_id[16];          /* /proc/sys/kernel/random/boot_id: tells another boot's clock */
    uint64_t pid_namespace;       /* inode of /proc/self/ns/pid, in which `pid` means something; 0 = not known */
    uint64_t first_interval;      /* mean bytes between samples at the start; 1 = every allocation */
    uint64_t widest_interval;     /* the same at its largest */
    uint32_t flags;
    uint32_t parent_pid;          /* the process whose fork this ledger's process is, or 0 */

    uint64_t modules_offset, modules_capacity, modules_used;
    uint64_t names_offset, names_capacity, names_used;
    uint64_t index_offset, index_capacity;
    uint64_t sites_offset, sites_capacity;
    uint64_t frames_offset, frames_capacity, frames_used;
    uint64_t keys_offset;
    uint64_t samples_offset, samples_capacity;

    /* What each sample reads or writes, in few cache lines. */
    uint64_t interval;            /* mean bytes between samples now */
    uint64_t unloads;             /* dlclose generations seen; see hl_module */
    uint64_t period_ns;           /* length of one history checkpoint now: HL_FIRST_PERIOD_NS × 2^n */
    uint32_t thinnings;
    /* Orders: the only words that somebody else writes. The probe looks at them when it comes to a sample, so that
     * they cost the hot path nothing, and takes what it cannot use for 0. */
    uint32_t order_pause;         /* 1: take no new samples; frees of those that live are still booked */
    uint64_t order_pause_ns;      /* when that was ordered; written before order_pause */
    uint64_t order_paused_ns;     /* length of the pauses that are over, together; written before order_pause ends */
    uint64_t order_interval;      /* finest mean bytes between samples; 0 = first_interval */
    uint64_t samples_live, samples_taken, samples_freed;
    uint64_t sites_used;          /* 1 … sites_used were given away */
    uint64_t frames_learnt;       /* return addresses whose unwinding rule was learnt and found a free place */
    uint64_t slow_path_count, slow_path_ns, slow_path_worst_ns;
    uint64_t last_write_ns;       /* when the slow path last ran */
    uint64_t slow_path_octaves[HL_COST_BUCKETS]; /* calls by cost: [0] < 2^7 ns, [i] < 2^(7+i) ns, the last: more */

    /* The probe's account of itself. Whatever it left out is counted here. */
    uint64_t samples_dropped;     /* no slot where it could be, no workspace, or no ledger yet: not in any estimate */
    uint64_t samples_thinned;
    uint64_t sites_dropped;       /* samples booked on site 0, their stack lost */
    uint64_t stacks_cut;
    uint64_t stacks_failed;       /* unwinding gave nothing beyond the caller */
    uint64_t modules_dropped;
    uint64_t history_skipped;     /* checkpoints left out because another thread wrote the same site */
    uint64_t paced;               /* times the interval grew to keep the budget */
    uint64_t stalled;             /* of these, because samples of over 10 µs, 8 or more of them, took 1% of a core */
    uint64_t samples_paused;      /* samples that were due while paused: not in any estimate */
    uint64_t memory_bytes;        /* private memory that the probe holds besides this file */
} hl_header;

/* A loaded module. It is valid for stacks of generations loaded_at <= generation < unloaded_at. */
typedef struct hl_module {
    uint32_t state;
    uint32_t build_id_length;     /* 0 … 32 */
    uint8_t build_id[32];
    uint64_t start, end;          /* mapped range, end exclusive */
    uint64_t bias;                /* address in memory = address in the file + bias */
    uint64_t name_offset;         /* of its path in the names arena */
    uint64_t loaded_at;           /* generation */
    uint64_t unloaded_at;         /* generation, UINT64_MAX while loaded */
} hl_module;

/* An allocation site: one distinct stack, and all that happened there. */
typedef struct hl_site {
    uint32_t state;
    uint32_t flags;
    uint64_t hash;
    uint64_t frames_index;        /* into the frames arena */
    uint32_t depth;
    uint32_t history_lock;        /* 1 while a thread writes `history` */
    uint64_t generation;          /* hl_header.unloads when the stack was taken */
    uint64_t first_ns, last_ns;   /* first and latest sampled allocation */
    uint64_t alloc_samples, free_samples;
    uint64_t alloc_bytes, free_bytes;             /* weighted */
    uint64_t alloc_count_x256, free_count_x256;   /* weighted, in 1/256 of a block */
    double alloc_variance, free_variance;         /* of alloc_bytes and free_bytes, as sampling brings it */
    uint64_t history_period_ns;   /* period of `history`: hl_header.period_ns or, not yet folded, less */
    uint64_t history_length;      /* checkpoints written */
    float history[HL_HISTORY];    /* [i]: live weighted bytes at time (i+1) × history_period_ns */
    uint32_t lifetimes[HL_LIFETIME_BUCKETS]; /* freed samples by age: [0] < 2^20 ns, [i] < 2^(20+i) ns */
} hl_site;

/* A sampled block that is still allocated. Its address is its key. */
typedef struct hl_sample {
    uint64_t size;                /* bytes requested */
    uint64_t birth_ns;
    float weight;                 /* 1 / p(size) when it was born, >= 1 */
    uint32_t thinning;            /* hl_header.thinnings when it was born */
    uint32_t site;
    uint32_t thread;              /* kernel thread id */
} hl_sample;

#ifdef __cplusplus
#define HL_ASSERT static_assert
#else
#define HL_ASSERT _Static_assert
#endif
HL_ASSERT(sizeof(hl_header) <= HL_HEADER_SIZE, "the header fits its page");
HL_ASSERT(sizeof(hl_module) == 88, "hl_module is part of the file format");
HL_ASSERT(sizeof(hl_site) == 392, "hl_site is part of the file format");
HL_ASSERT(sizeof(hl_sample) == 32, "hl_sample is part of the file format");

#endif
