/* Makes the ledger's file: a folder of one's own, blocks reserved. */
#define _GNU_SOURCE
#include "recorder_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

hr_ledger hr_ledger_now __attribute__((aligned(64)));

uint64_t hr_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- Where it stands ------------------------------------------------------------------------------------------- */

static bool make_directory(const char *path)
{
    struct stat st;
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        hr_say_unrecorded("cannot make the folder HEAPTIDE_DIR", path);
        return false;
    }
    /* In another user's folder the file could be swapped for one that a reader takes for ours. */
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode) || (st.st_uid != geteuid() && st.st_uid != 0)) {
        hr_say_unrecorded("HEAPTIDE_DIR is no folder of this user or of root", path);
        return false;
    }
    return true;
}

/* Blocks for the whole file now: writing an unreserved page on a full disk would be a SIGBUS in the program. The last
 * space of a disk is left to the program too. */
static bool reserve(int fd, uint64_t size)
{
    static const uint8_t zeros[65536];
    struct rlimit limit;
    struct statvfs disk;
    if (fstatvfs(fd, &disk) == 0 && (uint64_t)disk.f_bavail * disk.f_frsize < 3 * size)
        return errno = ENOSPC, false;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < size)
        return errno = EFBIG, false; /* going on would raise SIGXFSZ */
    int status;
    while ((status = fallocate(fd, 0, 0, (off_t)size)) != 0 && errno == EINTR)
        ;
    if (status == 0)
        return true;
    if (errno != EOPNOTSUPP && errno != ENOSYS)
        return false;
    for (uint64_t at = 0; at < size;) {
        uint64_t rest = size - at;
        ssize_t n = pwrite(fd, zeros, rest < sizeof zeros ? rest : sizeof zeros, (off_t)at);
        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        at += n > 0 ? (uint64_t)n : 0;
    }
    return true;
}

/* ---- What it says at first ------------------------------------------------------------------------------------- */

static size_t read_file(const char *path, char *buffer, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, buffer, size - 1) : -1;
    if (fd >= 0)
        close(fd);
    buffer[n > 0 ? n : 0] = 0;
    return n > 0 ? (size_t)n : 0;
}

static uint64_t process_start_ticks(void)
{
    char text[1024];
    read_file("/proc/self/stat", text, sizeof text);
    char *at = strrchr(text, ')'); /* the name before it may hold anything */
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at + 1, NULL, 10) : 0;
}

static void read_boot_id(uint8_t id[16])
{
    char text[64];
    size_t length = read_file("/proc/sys/kernel/random/boot_id", text, sizeof text), digits = 0;
    for (size_t i = 0; i < length && digits < 32; i++) {
        char c = text[i];
        int value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (value < 0)
            continue;
        id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | value);
        digits++;
    }
}

uint64_t hr_pid_namespace(void)
{
    char text[64]; /* pid:[4026531836] */
    ssize_t length = readlink("/proc/self/ns/pid", text, sizeof text - 1);
    text[length > 0 ? length : 0] = 0;
    const char *digits = strchr(text, '[');
    return digits ? strtoull(digits + 1, NULL, 10) : 0;
}

static uint64_t align(uint64_t n) { return (n + HL_ALIGNMENT - 1) & ~(uint64_t)(HL_ALIGNMENT - 1); }

static uint64_t power_of_two_from(uint64_t n)
{
    uint64_t power = 1;
    while (power < n)
        power *= 2;
    return power;
}

/* Shares of what the header, modules and names leave: sites 33% and their index, frames 20%, samples the rest. */
static void lay_out(hl_header *h, uint64_t size)
{
    h->modules_offset = HL_HEADER_SIZE;
    h->modules_capacity = HR_MODULES;
    h->names_offset = align(h->modules_offset + h->modules_capacity * sizeof(hl_module));
    h->names_capacity = HR_NAMES;
    h->index_offset = align(h->names_offset + h->names_capacity);
    uint64_t rest = size - h->index_offset;
    h->sites_capacity = rest / 3 / sizeof(hl_site);
    h->index_capacity = power_of_two_from(2 * h->sites_capacity);
    h->sites_offset = align(h->index_offset + h->index_capacity * sizeof(uint64_t));
    h->frames_offset = align(h->sites_offset + h->sites_capacity * sizeof(hl_site));
    h->frames_capacity = rest / 5 / sizeof(uint64_t);
    h->keys_offset = align(h->frames_offset + h->frames_capacity * sizeof(uint64_t));
    rest = size - h->keys_offset - HL_ALIGNMENT;
    h->samples_capacity = rest / (sizeof(uint64_t) + sizeof(hl_sample)) / HR_BUCKET * HR_BUCKET;
    h->samples_offset = align(h->keys_offset + h->samples_capacity * sizeof(uint64_t));
    h->file_size = size;
}

static void fill_header(hl_header *h, uint64_t size, int parent)
{
    struct timespec now;
    lay_out(h, size);
    clock_gettime(CLOCK_REALTIME, &now);
    h->layout_version = HL_LAYOUT_VERSION;
    h->header_size = HL_HEADER_SIZE;
    h->pid = (uint32_t)getpid();
    h->parent_pid = (uint32_t)parent;
    h->state = HL_STATE_RECORDING;
    h->process_start_ticks = process_start_ticks();
    h->start_monotonic_ns = hr_clock();
    h->start_realtime_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    read_boot_id(h->boot_id);
    h->pid_namespace = hr_pid_namespace();
    h->first_interval = h->interval = h->widest_interval = hr_configured.interval;
    h->period_ns = HL_FIRST_PERIOD_NS;
    h->memory_bytes = hr_memory_held();
    h->flags |= (hr_has_unwinder() ? HL_FLAG_UNWINDER : 0) | (hr_configured.is_attached ? HL_FLAG_ATTACHED : 0);
}

/* ---- Making it ------------------------------------------------------------------------------------------------- */

static void *map_file(const char *path, uint64_t size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return NULL;
    void *memory = MAP_FAILED;
    int error = 0;
    if (!reserve(fd, size) || (memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED) {
        error = errno;
        unlink(path);
    } else {
        madvise(memory, size, MADV_RANDOM); /* else the first touch brings 128 KiB in: a millisecond of each process */
    }
    close(fd);
    errno = error;
    return memory == MAP_FAILED ? NULL : memory;
}

static uint64_t ledger_size(void)
{
    uint64_t size = hr_configured.ledger_size;
    struct rlimit space;
    /* The mapping must not eat the address space that the program counts on. */
    if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY && size > space.rlim_cur / 32)
        size = space.rlim_cur / 32;
    size = size < HL_MIN_SIZE ? HL_MIN_SIZE : size > HL_MAX_SIZE ? HL_MAX_SIZE : size;
    return size & ~(HR_PAGE - 1);
}

static const char *reason(int error)
{
    switch (error) {
    case ENOSPC: return "not enough space on the disk";
    case EFBIG: return "larger than RLIMIT_FSIZE";
    case EMFILE: return "no file descriptor is left";
    case EROFS: return "read-only file system";
    case EACCES: return "permission denied";
    default: return "the file cannot be made";
    }
}

static void point_to_sections(hr_ledger *ledger, uint8_t *base)
{
    hl_header *h = ledger->header;
    ledger->modules = (hl_module *)(base + h->modules_offset);
    ledger->names = (char *)(base + h->names_offset);
    ledger->sites = (hl_site *)(base + h->sites_offset);
    ledger->sites_capacity = h->sites_capacity;
    ledger->index = (uint64_t *)(base + h->index_offset);
    ledger->index_mask = h->index_capacity - 1;
    ledger->frames = (uint64_t *)(base + h->frames_offset);
    ledger->frames_capacity = h->frames_capacity;
    ledger->keys = (uint64_t *)(base + h->keys_offset);
    ledger->samples = (hl_sample *)(base + h->samples_offset);
    ledger->buckets = h->samples_capacity / HR_BUCKET;
    ledger->start = h->start_monotonic_ns;
    ledger->has_grown = true;
}

static bool make_ledger(hr_ledger *next, uint64_t size, int parent)
{
    static char why[4200]; /* one thread at a time opens a ledger, and stacks may be small */
    snprintf(next->path, sizeof next->path, "%s/%d-%llu.ledger", hr_configured.directory, next->pid,
             (unsigned long long)hr_clock());
    uint8_t *base = map_file(next->path, size);
    if (!base) {
        snprintf(why, sizeof why, "%.4000s: %s", next->path, reason(errno));
        hr_say_unrecorded("no ledger", why);
        return false;
    }
    next->header = (hl_header *)base;
    fill_header(next->header, size, parent);
    point_to_sections(next, base);
    next->sites[0].state = HL_READY;
    return true;
}

static bool open_ledger(void)
{
    static hr_ledger next;
    uint64_t size = ledger_size();
    int parent = hr_ledger_now.header && hr_ledger_is_parents() ? hr_ledger_now.pid : 0;
    next = (hr_ledger){.serial = hr_ledger_now.serial + 1, .pid = getpid(), .mapped = size};
    bool ok = make_directory(hr_configured.directory);
    if (ok)
        hr_folder_sweep(hr_configured.directory);
    ok = ok && make_ledger(&next, size, parent);
    if (ok && parent)
        hr_modules_inherit(&hr_ledger_now, &next);
    hr_ledger_unmap(); /* after a fork: the parent's */
    if (!ok)
        return false;
    hr_ledger_now = next;
    hr_modules_refresh();
    __atomic_store_n(&next.header->magic, HL_MAGIC, __ATOMIC_RELEASE);
    return true;
}

bool hr_ledger_open(void)
{
    int old;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old); /* open and write are cancellation points */
    bool ok = open_ledger();
    pthread_setcancelstate(old, NULL);
    return ok;
}

void hr_ledger_unmap(void)
{
    if (hr_ledger_now.header)
        munmap(hr_ledger_now.header, hr_ledger_now.mapped);
    hr_ledger_now.header = NULL;
}
