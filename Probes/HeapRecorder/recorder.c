/* The sampled path, and the recorder's phases. */
#define _GNU_SOURCE
#include "last_walk.h"
#include "recorder_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "floats.h"
#include "sampling.h"
#include "tap.h"

/*
 * FRESH is zero on purpose: a forked child, whose phase the kernel zeroes, never writes into its parent's ledger and makes
 * one of its own when it comes to its first sample. vfork and CLONE_VM share the page, and rightly so: they share the
 * heap. Where the kernel cannot do that, the pid tells, and a child is not recorded.
 */
enum { FRESH = 0, OPENING = 1, RECORDING = 2, INERT = 3 };

hr_fork_page_t hr_fork_page;

__thread hr_thread hr_self;
hr_config hr_configured;
static char directory[4000];
static uint32_t configured;
static bool wiped_on_fork;
static uint64_t threads; /* that ever allocated */
static uint64_t missed; /* samples that came while the ledger was being made */

#define SELDOM (UINT64_C(64) << 20) /* bytes after which a thread of an unrecorded process looks whether that has changed */

void hr_configure(const hr_config *config)
{
    hr_configured = *config;
    if (hr_configured.interval < 1)
        hr_configured.interval = 1;
    strncpy(directory, config->directory, sizeof directory - 1);
    hr_configured.directory = directory;
    wiped_on_fork = sizeof hr_fork_page % (size_t)sysconf(_SC_PAGESIZE) == 0
        && madvise(&hr_fork_page, sizeof hr_fork_page, MADV_WIPEONFORK) == 0;
    hr_fork_page.is_first_life = 1;
    HR_STORE(hr_fork_page.pid, (uint32_t)getpid());
    hr_remember_stderr();
    hr_self = (hr_thread){.inside = hr_self.inside}; /* a countdown of an earlier interval */
    HR_STORE(threads, 0);
    __atomic_store_n(&configured, 1, __ATOMIC_RELEASE);
}

const char *hr_ledger_path(void) { return hr_ledger_now.header ? hr_ledger_now.path : ""; }

/* Of a program that was detached before it is not known how it ended. */
static void mark(uint32_t state)
{
    if (__atomic_load_n(&hr_fork_page.phase, __ATOMIC_ACQUIRE) != RECORDING || hr_ledger_now.pid != getpid())
        return;
    hl_header *header = hr_ledger_now.header;
    uint64_t now = hr_now();
    uint32_t recording = HL_STATE_RECORDING;
    if (__atomic_compare_exchange_n(&header->state, &recording, state, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        HR_STORE(header->last_write_ns, now);
}

void hr_mark_exited(void) { mark(HL_STATE_EXITED); }
void hr_mark_detached(void) { mark(HL_STATE_DETACHED); }

void hr_close(void)
{
    __atomic_store_n(&hr_fork_page.phase, FRESH, __ATOMIC_RELEASE);
    hr_ledger_unmap();
    hr_filter_clear();
}

static void forget_parent(void);

/* To its end before a signal's handler can leave it. */
static void open_ledger(void *no_context)
{
    (void)no_context;
    bool ok = hr_ledger_open();
    if (ok)
        HR_ADD(hr_ledger_now.header->samples_dropped, __atomic_exchange_n(&missed, 0, __ATOMIC_RELAXED));
    __atomic_store_n(&hr_fork_page.phase, ok ? RECORDING : INERT, __ATOMIC_RELEASE);
}

bool hr_is_recording(void) { return __atomic_load_n(&hr_fork_page.phase, __ATOMIC_ACQUIRE) == RECORDING; }

/* There is a ledger to write to, and it is this process's. */
static bool is_recording_here(void) { return hr_is_recording() && (wiped_on_fork || hr_ledger_now.pid == getpid()); }

/* Left out of every estimate. */
static void count_dropped(void)
{
    HR_ADD(*(hr_is_recording() ? &hr_ledger_now.header->samples_dropped : &missed), 1);
}

/* True when there is a ledger to write to. Makes it when it is time; other threads pass by meanwhile. */
static bool recording(void)
{
    uint32_t phase = __atomic_load_n(&hr_fork_page.phase, __ATOMIC_ACQUIRE);
    if (HR_LIKELY(phase == RECORDING))
        return wiped_on_fork || hr_ledger_now.pid == getpid();
    /* A vfork child lives in its parent's memory for a moment: a ledger made there would bear the wrong pid. */
    uint32_t pid = HR_LOAD(hr_fork_page.pid);
    if (pid && pid != (uint32_t)getpid())
        return false;
    if (phase == INERT || !__atomic_load_n(&configured, __ATOMIC_ACQUIRE))
        return false;
    uint32_t fresh = FRESH;
    if (!__atomic_compare_exchange_n(&hr_fork_page.phase, &fresh, OPENING, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        count_dropped();
        return false;
    }
    forget_parent();
    if (!hr_with_large_stack(open_ledger, NULL)) {
        __atomic_store_n(&hr_fork_page.phase, FRESH, __ATOMIC_RELEASE);
        count_dropped();
    }
    return hr_is_recording();
}

/* ---- Allocation ------------------------------------------------------------------------------------------------ */

static void seed_thread(hr_thread *self)
{
    uint64_t ordinal = HR_ADD(threads, 1) + 1;
    uint64_t seed = hr_configured.seed ? hr_configured.seed : hr_clock() ^ (uint64_t)(uintptr_t)self;
    /* Neighbouring seeds must not give sequences that are alike (Steele, Lea, Flood: SplitMix64, OOPSLA 2014). */
    uint64_t mixed = seed * UINT64_C(0x9E3779B97F4A7C15) + ordinal * UINT64_C(0xD1342543DE82EF95);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94D049BB133111EB);
    self->random = (mixed ^ mixed >> 31) | 1;
}

/* The configured interval before the first ledger, then the ledger's, which grows with each thinning. */
static uint64_t interval_now(void)
{
    return hr_is_recording() ? HR_LOAD(hr_ledger_now.header->interval) : hr_configured.interval;
}

#define LONGEST_GAP (UINT64_C(256) << 10)

/*
 * A gap that was drawn in a storm would leave its thread unseen long after. So it is counted down to LONGEST_GAP at the most.
 * The allocation that comes to there is sampled or not as the whole gap says, and if not, another one is drawn, with the
 * interval of then: what is left of an exponential gap is distributed as a new one.
 */
static void draw(hr_thread *self)
{
    self->interval = interval_now();
    uint64_t gap = hr_gap(&self->random, self->interval);
    self->remaining = gap < LONGEST_GAP ? gap : LONGEST_GAP;
    self->beyond = gap - self->remaining;
}

void hr_after_fork(void)
{
    HR_STORE(hr_fork_page.pid, (uint32_t)getpid());
    bool is_gap = hr_self.interval > 0; /* else SELDOM: what kept the parent from recording most likely keeps its child */
    if (is_gap && !hr_self.inside) {
        hr_self.random = 0; /* as in a new thread */
        hr_self.remaining = 0;
    }
}

/* A child has its parent's number where it is the first of a PID namespace of its own. */
bool hr_ledger_is_parents(void)
{
    return hr_ledger_now.pid && (hr_ledger_now.pid != getpid() || !hr_fork_page.is_first_life);
}

/* A new process with a copy of the parent's memory: nothing of the parent's samples is its own, nor the gap to the next,
 * which would be as long as the parent's where nobody called hr_after_fork. */
static void forget_parent(void)
{
    if (!hr_ledger_is_parents())
        return;
    hr_filter_clear();
    hr_workspaces_after_fork();
    hr_rules_after_fork();
    seed_thread(&hr_self);
    draw(&hr_self);
}

/* Time passes, also where no sample comes: orders are followed, and what was a storm may be over. */
static void look_up(void)
{
    if (!is_recording_here())
        return;
    uint64_t now = hr_clock();
    hr_pace_obey();
    hr_pace_look(now);
    HR_STORE(hr_ledger_now.header->last_write_ns, hr_time(now));
}

/*
 * The interval that decided that this allocation is sampled, or 0 where it is not: a thread that comes here for the
 * first time has no countdown yet, draws one, and only then is this allocation sampled or not, as any other.
 */
static uint64_t due(hr_thread *self, size_t size)
{
    if (self->random == 0) {
        seed_thread(self);
        draw(self);
        if (hr_skip(size))
            return 0;
    }
    bool is_sampled = size - self->remaining >= self->beyond;
    uint64_t interval = is_sampled ? self->interval : 0;
    if (!is_sampled)
        look_up();
    draw(self);
    return interval;
}

static uint32_t cost_octave(uint64_t nanoseconds)
{
    uint32_t bits = 64 - (uint32_t)__builtin_clzll(nanoseconds | 1), octave = bits > 7 ? bits - 7 : 0;
    return octave < HL_COST_BUCKETS ? octave : HL_COST_BUCKETS - 1;
}

/* `is_warm`: no rule was learnt on the way and no piece of the ledger settled, which happens once and tells nothing of the
 * load. */
static void account(uint64_t began, bool is_warm)
{
    hl_header *header = hr_ledger_now.header;
    uint64_t now = hr_clock(), took = now - began;
    HR_ADD(header->slow_path_count, 1);
    HR_ADD(header->slow_path_ns, took);
    HR_ADD(header->slow_path_octaves[cost_octave(took)], 1);
    if (took > HR_LOAD(header->slow_path_worst_ns))
        HR_STORE(header->slow_path_worst_ns, took);
    HR_STORE(header->last_write_ns, hr_time(now));
    hr_pace(now, is_warm ? took : 0);
}

uint32_t hr_thread_id(void)
{
    uint32_t life = HR_LOAD(hr_fork_page.life);
    if (HR_UNLIKELY(life == 0)) {
        uint32_t fresh = (uint32_t)hr_clock() | 1;
        life = __atomic_compare_exchange_n(&hr_fork_page.life, &life, fresh, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)
            ? fresh : life;
    }
    if (HR_UNLIKELY(hr_self.life != life)) {
        hr_self.tid = (uint32_t)syscall(SYS_gettid);
        hr_self.life = life;
    }
    return hr_self.tid;
}

static void record(void *block, size_t size, double weight, uint32_t site, uint64_t now)
{
    hl_header *header = hr_ledger_now.header;
    hl_sample born = {
        .size = size,
        .birth_ns = now,
        .weight = (float)weight,
        .site = site,
        .thread = hr_thread_id(),
    };
    /* One that is there of this address was freed past the probe, as by a library of RTLD_DEEPBIND. */
    hr_taken gone = hr_take(block);
    hr_freed(&gone);
    /* A handler may have forked in the meantime: the ledger is the parent's then. */
    if (!hr_is_recording() || !hr_sample_insert(block, &born))
        return;
    HR_TAP_ALLOC(block, size, (uint64_t)(weight * (double)size));
    hr_site_allocated(site, weight, size, now);
    HR_ADD(header->samples_taken, 1);
}

/* A stack that is new may have come about by rules of code that is gone: then once more. */
static hr_stack unwind_again(hr_stack stack, const hr_caller *caller)
{
    hl_header *header = hr_ledger_now.header;
    uint64_t unloads = HR_LOAD(header->unloads);
    hr_modules_refresh();
    return HR_LOAD(header->unloads) == unloads ? stack : hr_unwind(caller);
}

static HR_COLD uint32_t site_of_stack(const hr_caller *caller)
{
    uint32_t site;
    hr_stack stack = hr_unwind(caller);
    if (stack.flags & HL_SITE_NO_UNWINDER)
        HR_ADD(hr_ledger_now.header->stacks_failed, 1);
    if (HR_LIKELY(hr_site_find(stack.hash, &site)))
        return site;
    if (hr_sites_have_room()) /* else each stack is new, and each would ask the loader, which no forked child must find busy */
        stack = unwind_again(stack, caller);
    return hr_site_intern(stack.hash, stack.frames, stack.depth, stack.flags);
}

/* An allocation whose turn it is. */
typedef struct drawn {
    void *block;
    size_t size;
    uint64_t interval; /* that drew it */
    const hr_caller *caller;
} drawn;

static void sample(void *context)
{
    const drawn *drawn = context;
    if (!recording()) {
        if (HR_LOAD(hr_fork_page.phase) == INERT)
            hr_self.remaining = SELDOM, hr_self.interval = 0; /* so that the one after that many is no sample */
        return;
    }
    hl_header *header = hr_ledger_now.header;
    hr_pace_obey();
    if (HR_UNLIKELY(HR_LOAD(header->order_pause) == 1)) {
        HR_ADD(header->samples_paused, 1);
        return;
    }
    hr_sample_prefetch(drawn->block);
    uint64_t began = hr_clock(), now = hr_time(began);
    hr_modules_follow(now);
    uint64_t learnt = HR_LOAD(header->frames_learnt);
    uint32_t site = site_of_stack(drawn->caller);
    record(drawn->block, drawn->size, hr_weight(drawn->size, drawn->interval), site, now);
    if (!hr_is_recording())
        return; /* a handler has forked: the ledger is the parent's */
    bool settled = hr_ledger_settle(now);
    account(began, !settled && HR_LOAD(header->frames_learnt) == learnt);
}

static HR_COLD void drop(void)
{
    uint32_t fresh = FRESH;
    count_dropped();
    if (hr_workspaces_size() == 0
        && __atomic_compare_exchange_n(&hr_fork_page.phase, &fresh, INERT, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        hr_say_unrecorded("no memory for the probe", "");
}

void hr_allocated(void *block, size_t size, const hr_caller *caller)
{
    hr_thread *self = &hr_self;
    self->mallocs_seen++;
    if (!block || (HR_UNLIKELY(self->inside) && !hr_was_left(caller)) || !__atomic_load_n(&configured, __ATOMIC_ACQUIRE))
        return;
    int error = errno;
    HR_KEEP_FLOATS;
    self->sample_at = (uintptr_t)caller;
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* a handler sees both or none */
    self->inside = 1;
    drawn drawn = {.block = block, .size = size, .interval = due(self, size), .caller = caller};
    if (drawn.interval && !hr_with_workspace(caller, sample, &drawn))
        drop();
    self->inside = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    self->sample_at = 0;
    errno = error;
}

bool hr_begin(void) { return configured && recording(); }

void hr_record(void *block, size_t size, double weight, const uint64_t *frames, uint32_t depth, uint32_t flags)
{
    if (recording())
        record(block, size, weight, hr_site_intern(hr_stack_hash(frames, depth), frames, depth, flags), hr_now());
}

/* ---- Free and realloc ------------------------------------------------------------------------------------------ */

hr_taken hr_take(const void *block)
{
    hr_taken taken = {.found = false, .serial = hr_ledger_now.serial};
    if (is_recording_here())
        taken.found = hr_sample_remove(block, &taken.sample);
    if (taken.found) {
        HR_KEEP_FLOATS;
        taken.sample.weight = (float)hr_sample_weight(&taken.sample); /* a thinning until it is booked is not its */
        HR_TAP_FREE(block); /* now: another thread may be handed the address, and tell it, before it is booked */
    }
    return taken;
}

/* Else a handler has forked in the meantime: the sample is the parent's. */
static bool is_ours(const hr_taken *taken)
{
    return taken->found && hr_is_recording() && taken->serial == hr_ledger_now.serial;
}

void hr_freed(const hr_taken *taken)
{
    const hl_sample *s = &taken->sample;
    if (!is_ours(taken) || s->site >= hr_ledger_now.sites_capacity)
        return;
    HR_KEEP_FLOATS;
    uint64_t now = hr_now();
    hr_site_freed(s->site, (double)s->weight, s->size, s->birth_ns, now);
    HR_ADD(hr_ledger_now.header->samples_freed, 1);
    HR_STORE(hr_ledger_now.header->last_write_ns, now);
}

void hr_put_back(const void *block, const hr_taken *taken)
{
    if (!is_ours(taken))
        return;
    HR_KEEP_FLOATS;
    if (!hr_sample_insert(block, &taken->sample))
        return hr_freed(taken); /* its allocation is booked, and nobody would book that it is freed */
    HR_TAP_ALLOC(block, taken->sample.size, (uint64_t)((double)taken->sample.weight * (double)taken->sample.size));
}
