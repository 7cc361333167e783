/*
 * What a process that has come to stay uses of its ledger is faulted in for writing, piece by piece as samples come, and
 * locked. The first write to each page of a shared file mapping is a fault of some microseconds, which one sample in fifty
 * waited for; and unlocked, a large ledger stalls its writer while the cgroup reclaims (measured: 8 ms a write). What is
 * not used is left alone: the whole ledger of 4 MiB took 2 ms of each process.
 */
#define _GNU_SOURCE
#include "recorder_internal.h"

#include <errno.h>
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

#define MOST_LOCKED (UINT64_C(16) << 20) /* bytes: not the large ledgers of exact mode */

/* Locked memory counts against a limit that the program may need itself, except for those who may lock any. (Once they
 * drop to another user it counts against theirs. Not to lock it for that let samples stall before a kill: of 14 services
 * that leaked 200 MiB/s in 256 MiB as root, 8 were killed with the leak's latest samples missing.) */
static bool may_lock(uint64_t size)
{
    struct rlimit limit;
    if (size > MOST_LOCKED)
        return false;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && size <= limit.rlim_cur / 4)
        return true;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    return syscall(SYS_capget, &header, data) == 0 && (data[0].effective & 1u << CAP_IPC_LOCK);
}

/* A part of the ledger, of which so many bytes from the start are written to, or soon will be. */
typedef struct section {
    const void *start;
    uint64_t used;
} section;

#define SECTIONS 5u

static uint64_t smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* A piece at least is ready before it is needed. */
static uint64_t soon(uint64_t used, uint64_t capacity, size_t size)
{
    uint64_t pieces = smaller(used, capacity) * size / PIECE;
    return smaller((pieces + 2) * PIECE, capacity * size);
}

static section section_number(uint32_t i)
{
    const hr_ledger *ledger = &hr_ledger_now;
    const hl_header *header = ledger->header;
    uint64_t sites = HR_LOAD(header->sites_used), frames = HR_LOAD(header->frames_used);
    uint32_t regions = HR_LOAD(ledger->regions_used);
    uint64_t slots = regions ? hr_region_end(regions - 1) : 0;
    switch (i) {
    case 0: return (section){header, (uint64_t)((uint8_t *)ledger->sites - (uint8_t *)header)};
    case 1: return (section){ledger->sites, soon(sites, ledger->sites_capacity, sizeof(hl_site))};
    case 2: return (section){ledger->frames, soon(frames, ledger->frames_capacity, sizeof(uint64_t))};
    case 3: return (section){ledger->keys, slots * sizeof(uint64_t)};
    default: return (section){ledger->samples, slots * sizeof(hl_sample)};
    }
}

/* Before Linux 5.14 there is no call for it: then each page is written to, and nothing changed. */
static void fault_in(uintptr_t start, uintptr_t end)
{
    uintptr_t page = start & ~(HR_PAGE - 1);
    if (madvise((void *)page, end - page, MADV_POPULATE_WRITE) == 0 || errno != EINVAL)
        return;
    for (; page < end; page += HR_PAGE)
        __atomic_fetch_or((uint8_t *)page, 0, __ATOMIC_RELAXED);
}

static struct {
    uint64_t serial; /* of the ledger */
    uint64_t done[SECTIONS]; /* bytes */
    bool is_evictable;
} settled;

static bool settle_piece(void)
{
    for (uint32_t i = 0; i < SECTIONS; i++) {
        section section = section_number(i);
        uint64_t done = HR_LOAD(settled.done[i]), end = smaller(done + PIECE, section.used);
        if (done >= section.used)
            continue;
        HR_STORE(settled.done[i], end);
        fault_in((uintptr_t)section.start + done, (uintptr_t)section.start + end);
        return true;
    }
    return false;
}

static void begin(void)
{
    for (uint32_t i = 0; i < SECTIONS; i++)
        HR_STORE(settled.done[i], 0);
    HR_STORE(settled.serial, hr_ledger_now.serial);
    bool is_locked = may_lock(hr_ledger_now.mapped)
        && mlock2(hr_ledger_now.header, hr_ledger_now.mapped, MLOCK_ONFAULT) == 0;
    settled.is_evictable = !is_locked && hr_ledger_now.mapped <= MOST_LOCKED;
}

/* The kernel takes pages that are used at random (ledger_file.c) first, however often they are: of what is not locked it
 * must not think so (measured: samples of 46 µs instead of 1 µs while files are read). */
static void rest(void)
{
    if (settled.is_evictable)
        madvise(hr_ledger_now.header, hr_ledger_now.mapped, MADV_NORMAL);
    settled.is_evictable = false;
}

bool hr_ledger_settle(uint64_t now)
{
    /* Not seen twice as it was before it has grown: of two threads one does a piece. */
    if (HR_LIKELY(!HR_LOAD(hr_ledger_now.has_grown)) || now < SETTLES_AFTER
        || !__atomic_exchange_n(&hr_ledger_now.has_grown, false, __ATOMIC_SEQ_CST))
        return false;
    if (HR_LOAD(settled.serial) != hr_ledger_now.serial)
        begin();
    bool did = settle_piece();
    if (did)
        HR_STORE(hr_ledger_now.has_grown, true);
    else
        rest();
    return did;
}
