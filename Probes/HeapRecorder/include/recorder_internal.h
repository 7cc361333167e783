/* What the recorder's files share, and what tests reach into. */
#ifndef HR_INTERNAL_H
#define HR_INTERNAL_H

#include "frame_rule.h"
#include "heap_recorder.h"
#include "last_walk.h"
#include "stacks.h"

#define HR_MODULES 512u
#define HR_NAMES UINT64_C(65536) /* bytes */

/* The table of samples consists of buckets, and these of slots (samples.c). */
#define HR_BUCKET 32u
#define HR_REGIONS 4u

/* The ledger being written. Set once per ledger, before recording begins, but for the end. Its own capacities count:
 * somebody else may write into the file. */
typedef struct hr_ledger {
    /* What each sample needs is one cache line … */
    hl_header *header;
    hl_site *sites;
    uint64_t *index;   /* of sites by their stack's hash */
    uint64_t index_mask;
    uint64_t *keys;
    hl_sample *samples;
    uint64_t buckets;  /* of keys and samples */
    uint64_t start;    /* nanoseconds of CLOCK_MONOTONIC */

    uint64_t serial;   /* grows with each ledger of this process */
    uint64_t sites_capacity;
    uint64_t *frames;
    uint64_t frames_capacity;
    hl_module *modules;
    char *names;
    uint64_t mapped;   /* bytes mapped */
    int pid;           /* the process that made it */
    char path[4096];

    /* … and this, which changes seldom: how many regions of the table are in use, and whether more of the ledger is than
     * when it was last seen to be settled. */
    uint32_t regions_used;
    bool has_grown;
} hr_ledger;

extern hr_ledger hr_ledger_now;

/* A walk as far as it has come, with the frames that it left last. */
#define HR_WALK_RING 4u
typedef struct hr_walk {
    hr_registers ring[HR_WALK_RING];
    uint32_t steps;
} hr_walk;

/* What a forked child begins without: the kernel zeroes these pages there (MADV_WIPEONFORK), also after a raw clone. */
#define HR_WORKSPACES 64u
typedef struct hr_fork_page_t {
    uint32_t phase;
    uint32_t is_first_life; /* this is the process that hr_configure saw, or shares its memory */
    uint32_t pid;           /* of the process, as far as it is known: what has another one shares its memory for a moment */
    uint32_t life;          /* of the threads' ids: another number in each process, 0 before the first sample */
    struct {
        uint32_t holder;    /* id of the thread that has it, or 0 */
        uint8_t rest_of_line[60]; /* a line for each: threads that sample do not wait for one another's */
    } workspaces[HR_WORKSPACES] __attribute__((aligned(64)));
} __attribute__((aligned(4096))) hr_fork_page_t;
extern hr_fork_page_t hr_fork_page;
extern hr_config hr_configured;

#define HR_ADD(field, n) __atomic_fetch_add(&(field), (n), __ATOMIC_RELAXED)
#define HR_LOAD(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define HR_STORE(field, v) __atomic_store_n(&(field), (v), __ATOMIC_RELAXED)

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t hr_clock(void);
/* The ledger's time at `clock`: since its start, without pauses. Now it stands still while there is one. */
static inline uint64_t hr_time(uint64_t clock)
{
    const hl_header *header = hr_ledger_now.header;
    uint64_t since = clock - hr_ledger_now.start, paused = HR_LOAD(header->order_paused_ns);
    uint64_t time = paused < since ? since - paused : 0;
    if (HR_UNLIKELY(HR_LOAD(header->order_pause) == 1) && time > HR_LOAD(header->order_pause_ns))
        time = HR_LOAD(header->order_pause_ns);
    return time;
}
static inline uint64_t hr_now(void) { return hr_time(hr_clock()); }

/* ledger_file.c: makes, reserves and maps the file; false (and one line on standard error) where it cannot. */
bool hr_ledger_open(void);
/* recorder.c: before that, whether the one that is known is the parent's of a forked child. */
bool hr_ledger_is_parents(void);
void hr_ledger_unmap(void);
uint64_t hr_pid_namespace(void);
/* ledger_settle.c: makes writing to what is used of it cheap, piece by piece as samples come. True: did a piece. */
bool hr_ledger_settle(uint64_t now);
/* ledger_folder.c: removes what ended processes left, where there is much of it. */
void hr_folder_sweep(const char *path);
/* say.c: hr_say, once for a process and its children. */
void hr_say_unrecorded(const char *what, const char *detail);
void hr_remember_stderr(void);

/* modules.c: books what is loaded now, if anything was loaded or unloaded since the last time. */
void hr_modules_refresh(void);
/* The same, where it is due: at once where the loader tells that something was loaded, else every 50 ms. */
void hr_modules_follow(uint64_t now);
/* A forked child begins with what its parent knew, since it may not be able to ask the loader. */
void hr_modules_inherit(const hr_ledger *parent, hr_ledger *child);

/* unwind.c: the stack of this thread, without the probe's own frames; the caller alone where it cannot be had. */
typedef struct hr_stack {
    const uint64_t *frames; /* return addresses, innermost first */
    uint32_t depth;
    uint32_t flags;         /* HL_SITE_… */
    uint64_t hash;
} hr_stack;
/* With a workspace, whose frames they are. */
hr_stack hr_unwind(const hr_caller *caller);
bool hr_has_unwinder(void);

/* async_chain.c */
/* The frame it was at `back` steps ago, 0 … 3. */
static inline const hr_registers *hr_walk_frame(const hr_walk *walk, uint32_t back)
{
    return &walk->ring[(walk->steps - back) % HR_WALK_RING];
}
void hr_async_chain_load(void);
/* program_symbol.c: address of the program's own function, or 0. */
uint64_t hr_program_function(const char *name);
extern uint64_t hr_async_job_run; /* the runtime's swift_job_run, or 0: no concurrency here */
/* How many steps ago the walk was at the one async frame on the stack, where it has now come to Swift's job runner;
 * else 0. */
uint32_t hr_async_frame(const hr_walk *walk);
/* Those that await it, innermost first; 0 where the contexts cannot be trusted. */
uint32_t hr_async_chain(const hr_registers *frame, uint64_t *frames, uint32_t room, bool *is_whole);

/* loader.c: to be called before and after a first library is loaded. */
void hr_loader_load(void);
void hr_loader_loaded(void);
/* hr_loads without a lock; 0 where the loader does not tell. */
uint64_t hr_loads_seen(void);

/* workspace.c: what the thread has while it takes a sample. */
typedef struct hr_workspace {
    uint64_t frames[HL_MAX_DEPTH];
    hr_walk walk;
    hr_last_walk last_walk; /* of the thread that had it last */
    uint32_t place;
} __attribute__((aligned(64))) hr_workspace;
extern __thread hr_workspace *hr_workspace_held;
/* Calls `work` with a workspace, on this stack if it is the thread's own and has room for a sample, else on that of the
 * workspace; false where none is free. */
bool hr_with_workspace(const hr_caller *caller, void (*work)(void *), void *argument);
/* A handler left this thread's last sample by a jump, or a cancellation did: true, and it is as if it had not been, where an
 * allocation by `caller` shows it. */
bool hr_was_left(const hr_caller *caller);
/* In a forked child: those who had taken one are not there. */
void hr_workspaces_after_fork(void);
uint64_t hr_workspaces_size(void); /* bytes */
/* Bytes of the recorder's tables besides the ledger; libunwind's pools, some 64 KiB, are not in it. */
uint64_t hr_memory_held(void);

/* recorder.c: there is a ledger of this process to write to. */
bool hr_is_recording(void);
/* This thread's, in this process. */
uint32_t hr_thread_id(void);

/* sites.c */
/* The code in this range is another from now on: stacks through it begin anew. */
void hr_sites_close(uint64_t start, uint64_t end);
uint64_t hr_stack_hash(const uint64_t *frames, uint32_t depth);
/* Numbers of sites; 0 takes what has no site of its own. */
bool hr_site_find(uint64_t hash, uint32_t *number);
/* False: a stack that is new has no site. */
bool hr_sites_have_room(void);
uint32_t hr_site_intern(uint64_t hash, const uint64_t *frames, uint32_t depth, uint32_t flags);
void hr_site_allocated(uint32_t site, double weight, uint64_t size, uint64_t now);
void hr_site_freed(uint32_t site, double weight, uint64_t size, uint64_t birth, uint64_t now);

/* pace.c: after each sample that took `cost` nanoseconds. */
void hr_pace(uint64_t now, uint64_t cost);
/* Where no sample comes. */
void hr_pace_look(uint64_t now);
/* The table was full: what lives is sampled half as finely. */
void hr_pace_thinned(void);
/* Follows an order that came in the meantime. */
void hr_pace_obey(void);

/* samples.c */
/* Where the block's sample will be, most likely: memory answers while the stack is walked. */
void hr_sample_prefetch(const void *block);
/* The slot behind the last one of a region. */
static inline uint64_t hr_region_end(uint32_t region)
{
    return (hr_ledger_now.buckets >> 2 * (HR_REGIONS - 1 - region)) * HR_BUCKET;
}
static inline uint64_t hr_samples_capacity(void) { return hr_region_end(HR_REGIONS - 1); }
/* Its weight is that of now, whatever `thinning` says. */
bool hr_sample_insert(const void *block, const hl_sample *sample);
bool hr_sample_remove(const void *block, hl_sample *sample);
/* The weight a sample has by now, thinnings included. */
double hr_sample_weight(const hl_sample *sample);
void hr_filter_clear(void);
uint64_t hr_filters_size(void); /* bytes */

#endif
