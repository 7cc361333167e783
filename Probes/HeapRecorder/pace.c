/*
 * Keeps sampling within a budget of samples and of time, and backs off where samples stall, as they do when the cgroup
 * reclaims the ledger's pages. It starts fine, so that a slow leak in a small service is measured
 * within seconds; whoever allocates gigabytes a second is sampled more coarsely, by as many doublings of the interval as
 * that takes, and finely again when it has passed. Beyond the finest interval the budget is smaller: nothing there is known
 * within seconds anyway, and what is known is known by many samples. Estimates stay unbiased: each gap is drawn with the
 * interval that is known before, and each sample weighs by the interval that its gap was drawn with.
 */
#include "recorder_internal.h"

#define WINDOW_NS UINT64_C(250000000)
#define FINE_SAMPLES 3125u  /* 12,500 a second */
#define COARSE_SAMPLES 625u /* 2,500: with its free and what the program misses in its caches one costs 3 µs (python3) */
#define WINDOW_COST (WINDOW_NS / 200) /* 0.5% of a core */
#define FITS(expected, budget) ((expected) < (budget) / 10 * 9)
#define MOST_DOUBLINGS 2u /* at a time: a burst is soon over */
#define MOST_HALVINGS 3u
#define LARGEST_COST 50000u /* a thread that lost its core in the middle of a sample tells nothing of the load … */
#define SLOW_NS 10000u
#define FEWEST_SLOW 8u /* … but several of them do */

static struct {
    uint64_t serial, began;
    uint32_t samples, slow;
    uint64_t cost, stalled;
} window;

/* The finest interval allowed now. */
static uint64_t finest(const hl_header *header)
{
    uint64_t ordered = HR_LOAD(header->order_interval);
    return ordered && ordered < UINT64_C(1) << 40 ? ordered : header->first_interval;
}

/* Samples in a window at that interval. */
static uint32_t budget(const hl_header *header, uint64_t interval)
{
    return interval > finest(header) ? COARSE_SAMPLES : FINE_SAMPLES;
}

static void set_interval(hl_header *header, uint64_t interval)
{
    HR_STORE(header->interval, interval);
    if (interval > HR_LOAD(header->widest_interval))
        HR_STORE(header->widest_interval, interval);
}

void hr_pace_coarser(uint32_t doublings)
{
    hl_header *header = hr_ledger_now.header;
    uint64_t interval = HR_LOAD(header->interval);
    if (interval < UINT64_C(1) << 50)
        set_interval(header, interval << doublings);
}

static void begin_window(uint64_t now)
{
    HR_STORE(window.serial, hr_ledger_now.serial);
    HR_STORE(window.began, now);
    HR_STORE(window.samples, 0);
    HR_STORE(window.slow, 0);
    HR_STORE(window.cost, 0);
    HR_STORE(window.stalled, 0);
}

/* At the end of a window: by as much as it was quiet, as far as the table would be half empty then too. (If it were full soon
 * and thinned, this would be undone again and again, and what is old would be known by ever fewer samples.) */
static void maybe_finer(uint64_t samples, uint64_t spent)
{
    hl_header *header = hr_ledger_now.header;
    uint64_t interval = HR_LOAD(header->interval), live = HR_LOAD(header->samples_live);
    uint32_t halvings = MOST_HALVINGS;
    while (halvings > 0
           && (interval >> halvings < finest(header) || !FITS(spent << halvings, WINDOW_COST)
               || !FITS(samples << halvings, budget(header, interval >> halvings))
               || live << halvings >= hr_region_end(HR_REGIONS - 1) / 4))
        halvings--;
    if (halvings)
        set_interval(header, interval >> halvings);
}

/* Where the budget lasts for so long: the next is to last for half a window at the most. */
static uint32_t doublings(uint64_t lasts)
{
    uint32_t n = 1;
    while (n < MOST_DOUBLINGS && lasts << (n + 2) <= WINDOW_NS)
        n++;
    return n;
}

void hr_pace(uint64_t now, uint64_t cost)
{
    hl_header *header = hr_ledger_now.header;
    if (HR_LOAD(header->interval) == 1)
        return; /* exact was asked for */
    if (HR_LOAD(window.serial) != hr_ledger_now.serial)
        begin_window(now);
    uint32_t samples = HR_ADD(window.samples, 1) + 1;
    uint64_t counted = cost < LARGEST_COST ? cost : LARGEST_COST;
    uint64_t spent = HR_ADD(window.cost, counted) + counted;
    uint64_t began = HR_LOAD(window.began);
    uint64_t elapsed = now > began ? now - began : 0; /* another thread may have been faster */
    uint32_t allowed = budget(header, HR_LOAD(header->interval));
    bool is_storm = samples == allowed / 4 && elapsed < WINDOW_NS / 16; /* which would use it up four times too fast */
    bool many = is_storm || samples == allowed || (spent >= WINDOW_COST && spent - counted < WINDOW_COST);
    bool is_slow = cost > SLOW_NS;
    uint32_t slow = HR_ADD(window.slow, is_slow) + is_slow;
    uint64_t stalled = HR_ADD(window.stalled, is_slow ? cost : 0) + cost;
    bool stalls = is_slow && slow >= FEWEST_SLOW && stalled >= 2 * WINDOW_COST;
    if (many || stalls) {
        HR_ADD(header->paced, 1);
        if (stalls)
            HR_ADD(header->stalled, 1);
        hr_pace_coarser(stalls ? 1 : doublings(is_storm ? 4 * elapsed : elapsed));
        begin_window(now);
    } else if (elapsed >= WINDOW_NS) {
        begin_window(now);
        maybe_finer(samples, spent);
    }
}

void hr_pace_obey(void)
{
    hl_header *header = hr_ledger_now.header;
    static uint64_t obeyed_serial, obeyed;
    uint64_t ordered = HR_LOAD(header->order_interval);
    if (HR_LOAD(obeyed_serial) == hr_ledger_now.serial && HR_LOAD(obeyed) == ordered)
        return;
    if (ordered || HR_LOAD(obeyed_serial) == hr_ledger_now.serial)
        set_interval(header, finest(header));
    HR_STORE(obeyed, ordered);
    HR_STORE(obeyed_serial, hr_ledger_now.serial);
}
