/*
 * Keeps a folder of ledgers from growing without end where no agent cleans it: a service that starts ten commands a
 * second would leave ten ledgers a second. No opendir: it allocates.
 */
#define _GNU_SOURCE
#include "recorder_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define KEPT 16 /* of ended processes in a folder, before those that tell nothing are removed */
#define MOST 64 /* before evidence is, the oldest first: children that leave by _exit look as if they had been killed */

/* Whose process is not there, by its number, which means something in its own PID namespace alone. */
static bool may_be_of_the_dead(const char *name)
{
    char *end;
    long pid = strtol(name, &end, 10);
    return pid > 0 && *end == '-' && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

static bool read_header(int folder, const char *name, hl_header *header)
{
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    ssize_t size = read(fd, header, sizeof *header);
    close(fd);
    return size == sizeof *header && header->magic == HL_MAGIC;
}

/* Killed while it was being made, which takes milliseconds. */
static bool is_unfinished(const struct stat *status)
{
    struct timespec now;
    return S_ISREG(status->st_mode) && clock_gettime(CLOCK_REALTIME, &now) == 0 && now.tv_sec - status->st_mtim.tv_sec > 60;
}

static bool is_ledger(const char *name)
{
    size_t length = strlen(name);
    return length > 7 && strcmp(name + length - 7, ".ledger") == 0;
}

/* What a pass over the folder is for, and what it found. */
typedef struct sweep {
    uint64_t namespace;
    bool removes_spent; /* what ended by its own will, or never began: what a kill leaves is evidence */
    uint32_t dead; /* ledgers of processes that are gone */
    struct timespec oldest_time;
    char oldest[256]; /* name of the ledger of a process that is gone */
} sweep;

static void look_at(int folder, const char *name, sweep *sweep)
{
    struct stat status;
    hl_header header;
    if (!may_be_of_the_dead(name) || fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return;
    bool is_whole = read_header(folder, name, &header);
    if (is_whole ? header.pid_namespace != sweep->namespace : !is_unfinished(&status))
        return; /* another namespace's, or in the making */
    bool is_spent = !is_whole || header.state == HL_STATE_EXITED;
    if (is_spent && sweep->removes_spent && unlinkat(folder, name, 0) == 0)
        return;
    sweep->dead++;
    struct timespec time = status.st_mtim, best = sweep->oldest_time;
    bool is_older = time.tv_sec < best.tv_sec || (time.tv_sec == best.tv_sec && time.tv_nsec < best.tv_nsec);
    if (sweep->oldest[0] && !is_older)
        return;
    sweep->oldest_time = time;
    strncpy(sweep->oldest, name, sizeof sweep->oldest - 1);
}

static sweep pass(int folder, bool removes_spent)
{
    static char entries[32 << 10] __attribute__((aligned(8)));
    sweep sweep = {.namespace = hr_pid_namespace(), .removes_spent = removes_spent};
    lseek(folder, 0, SEEK_SET);
    for (long size; (size = syscall(SYS_getdents64, folder, entries, sizeof entries)) > 0;) {
        for (long at = 0; at < size;) {
            const struct dirent64 *entry = (const struct dirent64 *)(entries + at);
            at += entry->d_reclen;
            if (is_ledger(entry->d_name))
                look_at(folder, entry->d_name, &sweep);
        }
    }
    return sweep;
}

void hr_folder_sweep(const char *path)
{
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return;
    sweep found = pass(folder, false);
    if (found.dead > KEPT)
        found = pass(folder, true);
    /* Several at a time: a folder may have been filled by others. */
    for (int i = 0; i < 4 && found.dead > MOST && found.oldest[0]; i++) {
        unlinkat(folder, found.oldest, 0);
        found = pass(folder, false);
    }
    close(folder);
}
