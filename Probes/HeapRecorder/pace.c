/*
 * Keeps sampling within a budget of samples and of time, and backs off where samples stall, as they do when the cgroup
 * reclaims the ledger's pages. It starts fine, so that a slow leak in a small service is measured within seconds; whoever
 * allocates gigabytes a second is sampled more coarsely, by as many doublings of the interval as that takes, and finely
 * again when it has passed. The budget shrinks as the interval grows: a busy program pays most for a sample, with
 * what it misses in its caches afterwards. Estimates stay unbiased: each gap is drawn with the interval that is known
 * before, and each sample weighs by the interval that its gap was drawn with.
 */
#include "recorder_internal.h"

#define WINDOW_NS UINT64_C(250000000)
#define FINE_SAMPLES 2800u  /* 11,200 a second */
#define MIDDLE_SAMPLES 500u /* 2,000, up to MIDDLE times the finest interval */
#define COARSE_SAMPLES 312u /* 1,250: with its free and the caches of a busy program one costs 3 µs and more (measured, python3) */
#define MIDDLE 8u
#define FIRST_SAMPLES (FINE_SAMPLES / 4) /* of a process that begins, of which nothing is known: many begin with a storm */
#define COST (WINDOW_NS / 400 * 3) /* 0.75% of a core */
#define STALL_COST (WINDOW_NS / 100)
#define FITS(expected, budget) ((expected) < (budget) / 10 * 9)
#define MOST_DOUBLINGS 2u /* at a time: a burst is soon over */
#define MOST_HALVINGS 4u  /* so many that the finest is within reach, also where what lies between has no budget for it */
#define LARGEST_COST 50000u /* a thread that lost its core in the middle of a sample tells nothing of the load … */
#define SLOW_NS 10000u
#define FEWEST_SLOW 8u /* … but several of them do */

/* Of one ledger and one interval. */
static struct {
    uint64_t serial, interval, began;
    uint32_t allowed, samples, slow;
    uint64_t cost, stalled;
} window;

/* What the table has had room for since it was last full; 0: it never was. */
static struct {
    uint64_t serial, interval;
} room;

/* The finest interval allowed now. */
static uint64_t finest(const hl_header *header)
{
    uint64_t ordered = HR_LOAD(header->order_interval);
    return ordered && ordered < UINT64_C(1) << 40 ? ordered : header->first_interval;
}

/* Of a window at that interval. */
static uint32_t samples_budget(const hl_header *header, uint64_t interval)
{
    if (interval <= finest(header))
        return FINE_SAMPLES;
    return interval <= finest(header) * MIDDLE ? MIDDLE_SAMPLES : COARSE_SAMPLES;
}

static void set_interval(hl_header *header, uint64_t interval)
{
    HR_STORE(header->interval, interval);
    if (interval > HR_LOAD(header->widest_interval))
        HR_STORE(header->widest_interval, interval);
}

static void set_room(uint64_t interval)
{
    HR_STORE(room.interval, interval);
    HR_STORE(room.serial, hr_ledger_now.serial);
}

static void coarser(uint32_t doublings)
{
    hl_header *header = hr_ledger_now.header;
    uint64_t interval = HR_LOAD(header->interval);
    if (interval < UINT64_C(1) << 50)
        set_interval(header, interval << doublings);
}

void hr_pace_thinned(void)
{
    coarser(1);
    set_room(HR_LOAD(hr_ledger_now.header->interval));
}

static void begin_window(uint64_t now)
{
    hl_header *header = hr_ledger_now.header;
    uint64_t interval = HR_LOAD(header->interval);
    bool is_first = HR_LOAD(window.serial) != hr_ledger_now.serial;
    HR_STORE(window.allowed, is_first ? FIRST_SAMPLES : samples_budget(header, interval));
    HR_STORE(window.serial, hr_ledger_now.serial);
    HR_STORE(window.interval, interval);
    HR_STORE(window.began, now);
    HR_STORE(window.samples, 0);
    HR_STORE(window.slow, 0);
    HR_STORE(window.cost, 0);
    HR_STORE(window.stalled, 0);
}

/* A table that was full has to be half as full as thinning leaves it before it gets more: else it would soon be full again,
 * and again, and what is old would be known by ever fewer samples of ever more weight. */
static bool has_room(uint64_t interval, uint32_t halvings)
{
    bool was_full = HR_LOAD(room.serial) == hr_ledger_now.serial && interval < HR_LOAD(room.interval);
    return !was_full || HR_LOAD(hr_ledger_now.header->samples_live) << halvings < hr_samples_capacity() / 4;
}

/* At the end of a window: by as much as it was quiet. */
static void maybe_finer(uint64_t samples, uint64_t spent)
{
    hl_header *header = hr_ledger_now.header;
    uint64_t interval = HR_LOAD(header->interval);
    uint32_t halvings = MOST_HALVINGS;
    while (halvings > 0
           && (interval >> halvings < finest(header) || !FITS(spent << halvings, COST)
               || !FITS(samples << halvings, samples_budget(header, interval >> halvings))
               || !has_room(interval >> halvings, halvings)))
        halvings--;
    if (halvings == 0)
        return;
    set_interval(header, interval >> halvings);
    if (interval >> halvings < HR_LOAD(room.interval))
        HR_STORE(room.interval, interval >> halvings);
}

/* Where the budget lasts for so long: as much is to last for half a window at the most. */
static uint32_t doublings(uint64_t lasts)
{
    uint32_t n = 1;
    while (n < MOST_DOUBLINGS && lasts << (n + 2) <= WINDOW_NS)
        n++;
    return n;
}

static uint64_t elapsed_at(uint64_t now)
{
    uint64_t began = HR_LOAD(window.began);
    return now > began ? now - began : 0; /* another thread may have been faster */
}

void hr_pace(uint64_t now, uint64_t cost)
{
    hl_header *header = hr_ledger_now.header;
    uint64_t interval = HR_LOAD(header->interval);
    if (interval == 1)
        return; /* exact was asked for */
    if (HR_LOAD(window.serial) != hr_ledger_now.serial || HR_LOAD(window.interval) != interval)
        begin_window(now);
    uint32_t samples = HR_ADD(window.samples, 1) + 1;
    uint64_t counted = cost < LARGEST_COST ? cost : LARGEST_COST;
    uint64_t spent = HR_ADD(window.cost, counted) + counted;
    uint64_t elapsed = elapsed_at(now);
    bool is_slow = cost > SLOW_NS;
    uint32_t slow = HR_ADD(window.slow, is_slow) + is_slow;
    uint64_t slow_cost = is_slow ? cost : 0;
    uint64_t stalled = HR_ADD(window.stalled, slow_cost) + slow_cost;
    bool stalls = is_slow && slow >= FEWEST_SLOW && stalled >= STALL_COST;
    bool is_over = elapsed >= WINDOW_NS;
    bool is_spent = samples == HR_LOAD(window.allowed) || (spent >= COST && spent - counted < COST);
    if (stalls || (is_spent && !is_over)) {
        HR_ADD(header->paced, 1);
        if (stalls)
            HR_ADD(header->stalled, 1);
        coarser(stalls ? 1 : doublings(elapsed));
        begin_window(now);
    } else if (is_over) {
        maybe_finer(samples, spent);
        begin_window(now);
    }
}

void hr_pace_look(uint64_t now)
{
    uint32_t samples = HR_LOAD(window.samples); /* before it is asked whether it is over: else of the next */
    uint64_t spent = HR_LOAD(window.cost);
    if (HR_LOAD(window.serial) == hr_ledger_now.serial && elapsed_at(now) >= WINDOW_NS
        && HR_LOAD(hr_ledger_now.header->interval) != 1) {
        maybe_finer(samples, spent);
        begin_window(now);
    }
}

void hr_pace_obey(void)
{
    hl_header *header = hr_ledger_now.header;
    static uint64_t obeyed_serial, obeyed;
    uint64_t ordered = HR_LOAD(header->order_interval);
    if (HR_LOAD(obeyed_serial) == hr_ledger_now.serial && HR_LOAD(obeyed) == ordered)
        return;
    if (ordered || HR_LOAD(obeyed_serial) == hr_ledger_now.serial) {
        set_interval(header, finest(header));
        set_room(0);
    }
    HR_STORE(obeyed, ordered);
    HR_STORE(obeyed_serial, hr_ledger_now.serial);
}
