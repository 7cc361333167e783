/* Allocation sites: hash-consed stacks with their counters, and each site's own short history of live bytes. */
#include "recorder_internal.h"

#include <string.h>

#define LOST_STACK 0u /* site 0 takes the samples whose stack found no room */
#define LONGEST_PROBE 64u

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
        if (*at + depth > header->frames_capacity)
            return false;
    } while (!__atomic_compare_exchange_n(&header->frames_used, at, *at + depth, true, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    return true;
}

/* Fills a slot that this thread has claimed; without room for its frames it is a site with an empty stack. */
static uint32_t publish(uint32_t index, const uint64_t *frames, uint32_t depth, uint32_t flags, uint64_t generation)
{
    hl_header *header = hr_ledger_now.header;
    hl_site *site = &hr_ledger_now.sites[index];
    uint64_t at = 0;
    if (reserve_frames(depth, &at)) {
        memcpy(hr_ledger_now.frames + at, frames, depth * sizeof *frames);
        site->frames_index = at;
        site->depth = depth;
    } else {
        HR_ADD(header->sites_dropped, 1);
    }
    site->flags = flags;
    site->generation = generation;
    site->first_ns = hr_now();
    HR_ADD(header->sites_used, 1);
    if (flags & HL_SITE_CUT)
        HR_ADD(header->stacks_cut, 1);
    __atomic_store_n(&site->state, HL_READY, __ATOMIC_RELEASE);
    return index;
}

/* A slot whose hash is known but that is not published yet is used all the same: counters need no stack. */
static bool find(uint64_t hash, uint32_t *index)
{
    uint64_t capacity = hr_ledger_now.header->sites_capacity;
    uint64_t i = 1 + hash % (capacity - 1);
    for (uint32_t n = 0; n < LONGEST_PROBE; n++, i = i + 1 < capacity ? i + 1 : 1) {
        uint64_t there = __atomic_load_n(&hr_ledger_now.sites[i].hash, __ATOMIC_ACQUIRE);
        *index = (uint32_t)i;
        if (there == hash)
            return true;
        if (there == 0)
            return false;
    }
    *index = LOST_STACK;
    return false;
}

/* A closed site keeps its slot and its samples, under a hash that no stack has. */
void hr_sites_close(uint64_t start, uint64_t end)
{
    hl_header *header = hr_ledger_now.header;
    for (uint64_t i = 1; i < header->sites_capacity; i++) {
        hl_site *site = &hr_ledger_now.sites[i];
        if (__atomic_load_n(&site->state, __ATOMIC_ACQUIRE) != HL_READY)
            continue;
        for (uint32_t f = 0; f < site->depth; f++) {
            uint64_t address = hr_ledger_now.frames[site->frames_index + f];
            if (address < start || address >= end)
                continue;
            __atomic_store_n(&site->hash, ~site->hash | 1, __ATOMIC_RELEASE);
            break;
        }
    }
}

bool hr_site_is_known(uint64_t hash)
{
    uint32_t index;
    return find(hash, &index);
}

uint32_t hr_site_intern(uint64_t hash, const uint64_t *frames, uint32_t depth, uint32_t flags)
{
    hl_header *header = hr_ledger_now.header;
    uint32_t index;
    uint64_t generation = HR_LOAD(header->unloads);
    while (!find(hash, &index)) {
        if (index == LOST_STACK)
            return lost();
        uint64_t empty = 0;
        if (__atomic_compare_exchange_n(&hr_ledger_now.sites[index].hash, &empty, hash, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED))
            return publish(index, frames, depth, flags, generation);
    }
    return index;
}

/* ---- History --------------------------------------------------------------------------------------------------- */

/* The period doubles when HL_HISTORY of them are over, so that the history spans the whole life of the process. */
static uint64_t current_period(uint64_t now)
{
    hl_header *header = hr_ledger_now.header;
    uint64_t period = HR_LOAD(header->period_ns);
    while (now / period > HL_HISTORY) {
        __atomic_compare_exchange_n(&header->period_ns, &period, period * 2, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED);
        period = HR_LOAD(header->period_ns);
    }
    return period;
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
    if (site->history_period_ns == 0)
        site->history_period_ns = period;
    fold(site, period);
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
