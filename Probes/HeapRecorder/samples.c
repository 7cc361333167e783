/*
 * The table of live samples, lock-free. A block's address belongs to one thread between malloc and free, so two threads
 * never work on the same key; they compete for slots only, by compare-and-swap on the key. No chains, no tombstones.
 *
 * The table consists of regions, each with three times as many buckets as all before it, which come into use as more
 * samples live: few stay in few pages and cache lines (in the whole table a free waited half a microsecond for its
 * sample). A sample lives in the 32 slots of the bucket that its address hashes to, in the region that was open when it
 * came, or in another one where that bucket was full: a look-up goes through the regions in use.
 */
#include "recorder_internal.h"

#include "sampling.h"
#include "tap.h"

uint8_t hr_filter[1u << HR_FILTER_BITS];

/*
 * What the hot path looks at has neighbours in one cell, and most of them have no sample. Whoever comes further looks into
 * a second filter, by a hash of the address.
 *
 * A cell counts its samples in the upper four bits; the lower four are their addresses' tags, one xor the other. So that of
 * a lone sample stands there, also where others have come and gone, and most blocks that merely share the cell with it are
 * known not to be sampled. From the eighth on it only counts, in seven bits, until it is empty again. One that is full
 * stays so: it costs time only.
 */
#define ONE 0x10u
#define SEVEN 0x70u
#define UNTAGGED 0x80u
#define FULL 0xFFu
#define HASHED_BITS 17
static uint8_t hashed[1u << HASHED_BITS];

static uint64_t hash_of(const void *block) { return ((uintptr_t)block >> 4) * UINT64_C(0xD6E8FEB86659FD93); }

static uint8_t tag_of(uint64_t hash) { return (uint8_t)(hash >> 60); }

static uint8_t *hashed_cell(uint64_t hash) { return &hashed[hash >> (60 - HASHED_BITS) & (sizeof hashed - 1)]; }

static uint8_t with(uint8_t cell, uint8_t tag)
{
    if (cell >= UNTAGGED)
        return cell == FULL ? FULL : cell + 1;
    return cell >= SEVEN ? UNTAGGED + 8 : (cell + ONE) ^ tag;
}

static bool rules_out(uint8_t cell, uint8_t tag) { return cell < ONE || (cell < 2 * ONE && cell != (ONE | tag)); }

/* What is not in it cannot be taken out: a handler that forks may have emptied it in the meantime. */
static uint8_t without(uint8_t cell, uint8_t tag)
{
    if (cell >= UNTAGGED)
        return cell == FULL ? FULL : cell == UNTAGGED + 1 ? 0 : cell - 1;
    return rules_out(cell, tag) ? cell : (cell - ONE) ^ tag;
}

static void change_cell(uint8_t *cell, uint8_t tag, uint8_t (*changed)(uint8_t cell, uint8_t tag))
{
    uint8_t old = HR_LOAD(*cell);
    while (!__atomic_compare_exchange_n(cell, &old, changed(old, tag), true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

static void change(const void *block, uint8_t (*changed)(uint8_t cell, uint8_t tag))
{
    uint64_t hash = hash_of(block);
    change_cell(&hr_filter[hr_filter_slot(block)], tag_of(hash), changed);
    change_cell(hashed_cell(hash), tag_of(hash), changed);
}

static void filter_add(const void *block) { change(block, with); }

static void filter_remove(const void *block) { change(block, without); }

void hr_filter_pin(const void *block)
{
    HR_STORE(hr_filter[hr_filter_slot(block)], FULL);
    HR_STORE(*hashed_cell(hash_of(block)), FULL);
}

bool hr_is_ruled_out(const void *block)
{
    uint64_t hash = hash_of(block);
    return rules_out(HR_LOAD(hr_filter[hr_filter_slot(block)]), tag_of(hash))
        || rules_out(HR_LOAD(*hashed_cell(hash)), tag_of(hash));
}

static void clear(uint8_t *cells, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (HR_LOAD(cells[i]) != 0 && HR_LOAD(cells[i]) != FULL)
            HR_STORE(cells[i], 0);
}

void hr_filter_clear(void)
{
    clear(hr_filter, sizeof hr_filter);
    clear(hashed, sizeof hashed);
}

uint64_t hr_filters_size(void) { return sizeof hr_filter + sizeof hashed; }

/* The first slot of the key's bucket in a region. */
static uint64_t bucket_of(uint64_t key, uint32_t region)
{
    uint64_t hash = (key >> 4) * UINT64_C(0xD6E8FEB86659FD93);
    uint64_t first = region ? hr_region_end(region - 1) : 0, buckets = (hr_region_end(region) - first) / HR_BUCKET;
    return first + ((hash >> 32) * buckets >> 32) * HR_BUCKET;
}

/* The region for the next sample where so many live: hardly a bucket is full where there are 12 for its 32 slots. */
static uint32_t region_for(uint64_t live)
{
    uint32_t region = 0;
    while (region < HR_REGIONS - 1 && live >= hr_region_end(region) / HR_BUCKET * 12)
        region++;
    return region;
}

static uint32_t open_region(void) { return region_for(HR_LOAD(hr_ledger_now.header->samples_live)); }

/* Before anything is written to it, and never again not. */
static void use(uint32_t region)
{
    uint32_t used = HR_LOAD(hr_ledger_now.regions_used);
    if (HR_LIKELY(region < used))
        return;
    while (used <= region
           && !__atomic_compare_exchange_n(&hr_ledger_now.regions_used, &used, region + 1, true, __ATOMIC_RELAXED,
                                           __ATOMIC_RELAXED))
        ;
    HR_STORE(hr_ledger_now.has_grown, true);
}

void hr_sample_prefetch(const void *block)
{
    uint64_t first = bucket_of((uintptr_t)block, open_region());
    __builtin_prefetch(&hr_ledger_now.keys[first], 1);
    __builtin_prefetch(&hr_ledger_now.samples[first], 1);
    __builtin_prefetch(&hr_filter[hr_filter_slot(block)], 1);
    __builtin_prefetch(&hr_ledger_now.header->samples_live, 1);
}

double hr_sample_weight(const hl_sample *sample)
{
    uint32_t since = HR_LOAD(hr_ledger_now.header->thinnings) - sample->thinning;
    return (double)sample->weight * (double)(UINT64_C(1) << (since & 63));
}

/* Halves the table: each older sample is kept with probability one half, and the interval doubles. Unbiased, since
 * readers count the survivors double. Costs a pass over the table (a millisecond in one of 16 MiB) per doubling. */
static void thin(void *no_context)
{
    (void)no_context;
    static uint64_t thinning_now; /* serial of the ledger; a forked child has another */
    hl_header *header = hr_ledger_now.header;
    if (__atomic_exchange_n(&thinning_now, hr_ledger_now.serial, __ATOMIC_ACQUIRE) == hr_ledger_now.serial)
        return;
    uint32_t before = HR_LOAD(header->thinnings);
    if (HR_LOAD(header->samples_live) > hr_samples_capacity() / 2 && before < 48) {
        hr_pace_thinned();
        __atomic_store_n(&header->thinnings, before + 1, __ATOMIC_RELEASE);
        uint64_t random = hr_configured.seed ? hr_configured.seed + before : hr_clock(), bits = 0; /* a draw is 64 coins */
        uint32_t coins = 0;
        for (uint64_t i = 0; i < hr_samples_capacity(); i++) {
            uint64_t key = __atomic_load_n(&hr_ledger_now.keys[i], __ATOMIC_ACQUIRE);
            if (key <= HL_KEY_RESERVED || hr_ledger_now.samples[i].thinning > before)
                continue;
            bits = coins ? bits >> 1 : hr_random(&random);
            coins = coins ? coins - 1 : 63;
            if ((bits & 1)
                && __atomic_compare_exchange_n(&hr_ledger_now.keys[i], &key, 0, false, __ATOMIC_ACQ_REL,
                                               __ATOMIC_RELAXED)) {
                HR_TAP_FREE(key);
                filter_remove((const void *)(uintptr_t)key);
                HR_ADD(header->samples_live, -1);
                HR_ADD(header->samples_thinned, 1);
            }
        }
    }
    __atomic_store_n(&thinning_now, 0, __ATOMIC_RELEASE);
}

/* False where its bucket is full. */
static bool insert_into(uint32_t region, uint64_t key, const hl_sample *sample)
{
    hl_header *header = hr_ledger_now.header;
    uint64_t first = bucket_of(key, region);
    for (uint64_t i = first; i < first + HR_BUCKET; i++) {
        uint64_t empty = 0;
        if (HR_LOAD(hr_ledger_now.keys[i]) != 0
            || !__atomic_compare_exchange_n(&hr_ledger_now.keys[i], &empty, HL_KEY_RESERVED, false,
                                            __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            continue;
        hr_ledger_now.samples[i] = *sample;
        /* Not before: whoever brought it may have thinned the table just now, and that was no toss for this one. (A
         * thread that thins between these lines leaves it out, and its weight doubles all the same.) */
        hr_ledger_now.samples[i].thinning = HR_LOAD(header->thinnings);
        filter_add((const void *)(uintptr_t)key);
        __atomic_store_n(&hr_ledger_now.keys[i], key, __ATOMIC_RELEASE);
        HR_ADD(header->samples_live, 1);
        return true;
    }
    return false;
}

bool hr_sample_insert(const void *block, const hl_sample *sample)
{
    hl_header *header = hr_ledger_now.header;
    uint64_t key = (uintptr_t)block;
    if (key <= HL_KEY_RESERVED)
        return false;
    if (HR_LOAD(header->samples_live) > hr_samples_capacity() / 2)
        hr_with_large_stack(thin, NULL); /* a handler must not leave it half done */
    uint64_t live = HR_LOAD(header->samples_live);
    use(region_for(live + live / 4)); /* so that it is settled by then */
    for (uint32_t n = 0, open = region_for(live); n < HR_REGIONS; n++) {
        uint32_t region = (open + n) % HR_REGIONS;
        use(region);
        if (HR_LIKELY(insert_into(region, key, sample)))
            return true;
    }
    HR_ADD(header->samples_dropped, 1);
    return false;
}

#define NOWHERE UINT64_MAX

static uint64_t find_in(uint32_t region, uint64_t key)
{
    uint64_t first = bucket_of(key, region);
    for (uint64_t i = first; i < first + HR_BUCKET; i++)
        if (__atomic_load_n(&hr_ledger_now.keys[i], __ATOMIC_ACQUIRE) == key)
            return i;
    return NOWHERE;
}

/* Its slot: where the youngest are first. */
static uint64_t find(uint64_t key)
{
    uint64_t at = NOWHERE;
    uint32_t open = open_region(), used = HR_LOAD(hr_ledger_now.regions_used);
    for (uint32_t region = 0; region < used; region++)
        __builtin_prefetch(&hr_ledger_now.keys[bucket_of(key, region)], 1);
    for (uint32_t n = 0; n < used && at == NOWHERE; n++)
        at = find_in((open + n) % used, key);
    return at;
}

bool hr_sample_remove(const void *block, hl_sample *sample)
{
    uint64_t key = (uintptr_t)block, serial = hr_ledger_now.serial;
    if (key <= HL_KEY_RESERVED || hr_is_ruled_out(block))
        return false;
    uint64_t at = find(key);
    if (at == NOWHERE)
        return false;
    *sample = hr_ledger_now.samples[at];
    /* Only thinning can have taken it meanwhile: then it is in no estimate and its death neither. */
    if (!__atomic_compare_exchange_n(&hr_ledger_now.keys[at], &key, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return false;
    if (serial != hr_ledger_now.serial)
        return true; /* a handler has forked: it was the parent's, and so is the count */
    filter_remove(block);
    HR_ADD(hr_ledger_now.header->samples_live, -1);
    return true;
}
