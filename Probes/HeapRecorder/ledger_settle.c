/*
 * What a process that has come to stay uses of its ledger is faulted in for writing, and locked. The first write to each
 * page of a shared file mapping is a fault of some microseconds, which one sample in fifty waited for; and unlocked, a
 * large ledger stalls its writer while the cgroup reclaims (measured: 8 ms a write). What is not used is left alone: a
 * whole ledger of 4 MiB took 2 ms of each process.
 */
#define _GNU_SOURCE
#include "recorder_internal.h"

#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SETTLES_AFTER UINT64_C(20000000) /* many processes are over by then, and need not pay for it */
#define PIECE (UINT64_C(32) << 10)       /* 40 µs (measured on ext4), once for each piece */

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* from Linux 5.14 on */
#endif

/* Locked memory counts against a limit that the program may need itself, except for those who may lock any. */
static bool may_lock(uint64_t size)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && size <= limit.rlim_cur / 4)
        return true;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    return syscall(SYS_capget, &header, data) == 0 && (data[0].effective & 1u << CAP_IPC_LOCK);
}

/* A part of the ledger that is used from its beginning on. */
typedef struct section {
    const void *start;
    uint64_t used; /* bytes that are, or soon will be */
} section;

static uint64_t smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* A piece at least is ready before it is needed. */
static uint64_t soon(uint64_t used, uint64_t capacity, size_t size)
{
    uint64_t pieces = smaller(used, capacity) * size / PIECE;
    return smaller((pieces + 2) * PIECE, capacity * size);
}

static void sections(const hr_ledger *ledger, section all[HR_SECTIONS])
{
    const hl_header *header = ledger->header;
    uint64_t before_sites = (uint64_t)((uint8_t *)ledger->sites - (uint8_t *)header);
    uint64_t sites = soon(HR_LOAD(header->sites_used), ledger->sites_capacity, sizeof *ledger->sites);
    uint64_t frames = soon(HR_LOAD(header->frames_used), ledger->frames_capacity, sizeof *ledger->frames);
    uint64_t slots = HR_LOAD(ledger->buckets_used) * HL_BUCKET;
    all[0] = (section){header, before_sites};
    all[1] = (section){ledger->sites, sites};
    all[2] = (section){ledger->frames, frames};
    all[3] = (section){ledger->keys, slots * sizeof *ledger->keys};
    all[4] = (section){ledger->samples, slots * sizeof *ledger->samples};
}

static bool settle_piece(hr_ledger *ledger)
{
    section all[HR_SECTIONS];
    sections(ledger, all);
    for (uint32_t i = 0; i < HR_SECTIONS; i++) {
        uint64_t at = HR_LOAD(ledger->settled[i]);
        if (at >= all[i].used)
            continue;
        uintptr_t start = (uintptr_t)all[i].start + at, page = start & ~(uintptr_t)4095;
        uint64_t size = smaller(all[i].used - at, PIECE);
        HR_STORE(ledger->settled[i], at + size);
        madvise((void *)page, start + size - page, MADV_POPULATE_WRITE);
        return true;
    }
    return false;
}

static void lock(hr_ledger *ledger)
{
    if (may_lock(ledger->mapped) && mlock2(ledger->header, ledger->mapped, MLOCK_ONFAULT) == 0)
        __atomic_fetch_or(&ledger->header->flags, HL_FLAG_LOCKED, __ATOMIC_RELAXED);
}

bool hr_ledger_settle(uint64_t now)
{
    hr_ledger *ledger = &hr_ledger_now;
    if (HR_LIKELY(!HR_LOAD(ledger->has_grown)) || now < SETTLES_AFTER || ledger->mapped > HL_LOCK_MAX)
        return false;
    HR_STORE(ledger->has_grown, false); /* what grows from here on is seen the next time */
    if (HR_LOAD(ledger->settled[0]) == 0)
        lock(ledger);
    bool did = settle_piece(ledger);
    if (did)
        HR_STORE(ledger->has_grown, true);
    return did;
}
