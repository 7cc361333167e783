/*
 * Allocation sites: hash-consed stacks with their counters, and each site's own short history of live bytes. Sites lie one
 * behind the other; an index finds them, of which eight entries share a cache line. It is at most half full.
 */
#include "recorder_internal.h"

#include <string.h>

#define LOST_STACK 0u /* site 0 takes the samples whose stack found no room */
#define LONGEST_PROBE 64u
#define CLOSED UINT64_C(0) /* hash that no stack has */
#define NUMBER_BITS 24 /* of an index entry: the site's number; above them those of the stack's hash */

/* Four lanes, since a multiplication takes longer than a frame. */
uint64_t hr_stack_hash(const uint64_t *frames, uint32_t depth)
{
    uint64_t lane[4] = {1, 2, 3, 4};
    for (uint32_t i = 0; i < depth; i++)
        lane[i & 3] = (lane[i & 3] ^ frames[i]) * UINT64_C(0xD6E8FEB86659FD93) + (lane[i & 3] >> 29);
    uint64_t h = depth;
    for (uint32_t i = 0; i < 4; i++) {
        h = (h ^ lane[i]) * UINT64_C(0x9E3779B97F4A7C15);
        h ^= h >> 32;
    }
    return h ? h : 1;
}

static uint32_t lost(void)
{
    HR_ADD(hr_ledger_now.header->sites_dropped, 1);
    return LOST_STACK;
}

/* Room for a stack in the arena, or false. */
static bool reserve_frames(uint32_t depth, uint64_t *at)
{
    hl_header *header = hr_ledger_now.header;
    *at = HR_LOAD(header->frames_used);
    do {
        if (*at > hr_ledger_now.frames_capacity || depth > hr_ledger_now.frames_capacity - *at)
            return false;
    } while (!__atomic_compare_exchange_n(&header->frames_used, at, *at + depth, true, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    return true;
}

static bool is_room(uint64_t used)
{
    return used + 1 < hr_ledger_now.sites_capacity && used + 1 < UINT64_C(1) << NUMBER_BITS;
}

bool hr_sites_have_room(void) { return is_room(HR_LOAD(hr_ledger_now.header->sites_used)); }

/* The number of a site that is nobody else's; LOST_STACK where there is none. */
static uint32_t reserve_site(void)
{
    hl_header *header = hr_ledger_now.header;
    uint64_t used = HR_LOAD(header->sites_used);
    do {
        if (!is_room(used))
            return LOST_STACK;
    } while (!__atomic_compare_exchange_n(&header->sites_used, &used, used + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return (uint32_t)used + 1;
}

/* Without room for its frames it is a site with an empty stack. */
static void publish(uint32_t number, uint64_t hash, const uint64_t *frames, uint32_t depth, uint32_t flags)
{
    hl_header *header = hr_ledger_now.header;
    hl_site *site = &hr_ledger_now.sites[number];
    uint64_t at = 0;
    if (reserve_frames(depth, &at)) {
        memcpy(hr_ledger_now.frames + at, frames, depth * sizeof *frames);
        site->frames_index = at;
        site->depth = depth;
    } else {
        HR_ADD(header->sites_dropped, 1);
    }
    site->hash = hash;
    site->flags = flags;
    site->generation = HR_LOAD(header->unloads);
    site->first_ns = hr_now();
    if (flags & HL_SITE_CUT)
        HR_ADD(header->stacks_cut, 1);
    __atomic_store_n(&site->state, HL_READY, __ATOMIC_RELEASE);
    HR_STORE(hr_ledger_now.has_grown, true);
}

/* A place in the index, and what stands there. */
typedef struct place {
    uint64_t *entry;
    uint64_t value;
    uint32_t number; /* of the stack's site; LOST_STACK: the place is free to take it */
} place;

static uint32_t number_of(uint64_t entry) { return entry & ((1u << NUMBER_BITS) - 1); }

/* The stack's, or the first that may take it: an empty one, or, where it is to be taken, a closed site's. NULL where
 * there is neither. */
static place find(uint64_t hash, bool to_take)
{
    place free = {.entry = NULL};
    uint64_t mask = hr_ledger_now.index_mask, i = hash & mask;
    for (uint32_t n = 0; n < LONGEST_PROBE; n++, i = (i + 1) & mask) {
        place here = {.entry = &hr_ledger_now.index[i]};
        here.value = __atomic_load_n(here.entry, __ATOMIC_ACQUIRE);
        if (here.value == 0)
            return free.entry ? free : here;
        /* Another stack's entry mostly shows so itself: the site it names is one cache miss more. */
        bool is_alike = (here.value ^ hash) >> NUMBER_BITS == 0;
        uint32_t number = number_of(here.value);
        if ((!is_alike && !to_take) || HR_UNLIKELY(number >= hr_ledger_now.sites_capacity))
            continue;
        uint64_t found = HR_LOAD(hr_ledger_now.sites[number].hash);
        if (is_alike && found == hash)
            return here.number = number, here;
        if (HR_UNLIKELY(found == CLOSED) && !free.entry)
            free = here;
    }
    return free;
}

/* A closed site keeps its number and its samples. */
void hr_sites_close(uint64_t start, uint64_t end)
{
    uint64_t used = HR_LOAD(hr_ledger_now.header->sites_used);
    for (uint64_t i = 1; i <= used && i < hr_ledger_now.sites_capacity; i++) {
        hl_site *site = &hr_ledger_now.sites[i];
        if (__atomic_load_n(&site->state, __ATOMIC_ACQUIRE) != HL_READY)
            continue;
        /* Read once: somebody else may write to the file meanwhile. */
        uint64_t first = HR_LOAD(site->frames_index), depth = HR_LOAD(site->depth);
        bool is_sound = depth <= HL_MAX_DEPTH && first <= hr_ledger_now.frames_capacity - depth;
        for (uint64_t f = 0; is_sound && f < depth; f++) {
            uint64_t address = hr_ledger_now.frames[first + f];
            if (address < start || address >= end)
                continue;
            HR_STORE(site->hash, CLOSED);
            break;
        }
    }
}

bool hr_site_find(uint64_t hash, uint32_t *number)
{
    *number = find(hash, false).number;
    return *number != LOST_STACK;
}

/* Of two threads that come with the same new stack the second leaves a site behind that nobody uses. */
uint32_t hr_site_intern(uint64_t hash, const uint64_t *frames, uint32_t depth, uint32_t flags)
{
    uint32_t fresh = LOST_STACK;
    place place;
    while ((place = find(hash, true)).entry && place.number == LOST_STACK) {
        if (fresh == LOST_STACK) {
            if ((fresh = reserve_site()) == LOST_STACK)
                return lost();
            publish(fresh, hash, frames, depth, flags);
        }
        uint64_t full = (hash >> NUMBER_BITS << NUMBER_BITS) | fresh;
        if (__atomic_compare_exchange_n(place.entry, &place.value, full, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
            return fresh;
    }
    return place.entry ? place.number : lost();
}

/* ---- History --------------------------------------------------------------------------------------------------- */

/* Not so where somebody else wrote to the file. */
static bool is_period(uint64_t period) { return period >= HL_FIRST_PERIOD_NS && period < UINT64_C(1) << 62; }

/* The period doubles when HL_HISTORY of them are over, so that the history spans the whole life of the process. */
static uint64_t current_period(uint64_t now)
{
    hl_header *header = hr_ledger_now.header;
    uint64_t period = HR_LOAD(header->period_ns);
    while (is_period(period) && now / period > HL_HISTORY) {
        __atomic_compare_exchange_n(&header->period_ns, &period, period * 2, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED);
        period = HR_LOAD(header->period_ns);
    }
    return is_period(period) ? period : HL_FIRST_PERIOD_NS;
}

/* Two checkpoints become one: the later, which stands at the end of the doubled period. */
static void fold(hl_site *site, uint64_t period)
{
    while (site->history_period_ns < period) {
        uint64_t half = site->history_length / 2;
        for (uint64_t i = 0; i < half && i < HL_HISTORY / 2; i++)
            site->history[i] = site->history[2 * i + 1];
        site->history_length = half;
        site->history_period_ns *= 2;
    }
}

static double live_bytes(const hl_site *site)
{
    uint64_t in = HR_LOAD(site->alloc_bytes), out = HR_LOAD(site->free_bytes);
    return in > out ? (double)(in - out) : 0;
}

/* Before a change: every checkpoint that has passed since the last one saw what is live until now. */
static void advance_history(hl_site *site, uint64_t now)
{
    uint64_t period = current_period(now), passed = now / period;
    if (site->history_period_ns == period && site->history_length >= passed)
        return;
    if (__atomic_exchange_n(&site->history_lock, 1, __ATOMIC_ACQUIRE)) {
        HR_ADD(hr_ledger_now.header->history_skipped, 1); /* the holder writes the same values */
        return;
    }
    if (!is_period(site->history_period_ns))
        site->history_period_ns = period;
    fold(site, period);
    passed = now / site->history_period_ns; /* another thread may have doubled it since it was read */
    float live = (float)live_bytes(site);
    while (site->history_length < passed && site->history_length < HL_HISTORY)
        site->history[site->history_length++] = live;
    __atomic_store_n(&site->history_lock, 0, __ATOMIC_RELEASE);
}

/* ---- Counters -------------------------------------------------------------------------------------------------- */

static uint64_t rounded(double x) { return x < 0x1p62 ? (uint64_t)(x + 0.5) : UINT64_C(1) << 62; }

/* The variance of what one sample stands for: Horvitz and Thompson, JASA 47, 1952. There is no atomic addition of
 * floating-point numbers. */
static void add_variance(double *variance, double weight, double bytes)
{
    double old, sum, more = bytes * bytes * (1 - 1 / weight);
    if (!(more > 0))
        return;
    __atomic_load(variance, &old, __ATOMIC_RELAXED);
    do
        sum = old + more;
    while (!__atomic_compare_exchange(variance, &old, &sum, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

void hr_site_allocated(uint32_t index, double weight, uint64_t size, uint64_t now)
{
    hl_site *site = &hr_ledger_now.sites[index];
    advance_history(site, now);
    HR_ADD(site->alloc_samples, 1);
    HR_ADD(site->alloc_bytes, rounded(weight * (double)size));
    HR_ADD(site->alloc_count_x256, rounded(weight * 256));
    add_variance(&site->alloc_variance, weight, weight * (double)size);
    HR_STORE(site->last_ns, now);
}

static uint32_t lifetime_bucket(uint64_t nanoseconds)
{
    uint32_t bits = 64 - (uint32_t)__builtin_clzll(nanoseconds | 1);
    uint32_t bucket = bits > 20 ? bits - 20 : 0;
    return bucket < HL_LIFETIME_BUCKETS ? bucket : HL_LIFETIME_BUCKETS - 1;
}

void hr_site_freed(uint32_t index, double weight, uint64_t size, uint64_t birth, uint64_t now)
{
    hl_site *site = &hr_ledger_now.sites[index];
    advance_history(site, now);
    HR_ADD(site->free_samples, 1);
    HR_ADD(site->free_bytes, rounded(weight * (double)size));
    HR_ADD(site->free_count_x256, rounded(weight * 256));
    add_variance(&site->free_variance, weight, weight * (double)size);
    HR_ADD(site->lifetimes[lifetime_bucket(now > birth ? now - birth : 0)], 1);
}
