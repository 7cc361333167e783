/*
 * The ledger of a process that has come to stay is faulted in for writing, and locked. The first write to each page of a
 * shared file mapping is a fault of some microseconds, which one sample in fifty waited for; and unlocked, a large
 * ledger stalls its writer while the cgroup reclaims (measured: 8 ms a write).
 */
#define _GNU_SOURCE
#include "recorder_internal.h"

#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SETTLES_AFTER UINT64_C(20000000) /* many processes are over by then, and need not pay for it */
#define PIECE (UINT64_C(128) << 10)      /* 60 µs (measured on ext4), once for each piece */

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

bool hr_ledger_settle(uint64_t now)
{
    hr_ledger *ledger = &hr_ledger_now;
    if (HR_LIKELY(HR_LOAD(ledger->settled) >= ledger->mapped) || now < SETTLES_AFTER)
        return false;
    uint64_t at = HR_ADD(ledger->settled, PIECE);
    if (at >= ledger->mapped || ledger->mapped > HL_LOCK_MAX)
        return false;
    uint64_t rest = ledger->mapped - at;
    madvise((uint8_t *)ledger->header + at, rest < PIECE ? rest : PIECE, MADV_POPULATE_WRITE);
    if (rest <= PIECE && may_lock(ledger->mapped) && mlock(ledger->header, ledger->mapped) == 0)
        __atomic_fetch_or(&ledger->header->flags, HL_FLAG_LOCKED, __ATOMIC_RELAXED);
    return true;
}
