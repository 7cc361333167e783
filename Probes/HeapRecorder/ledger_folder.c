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
#include <sys/syscall.h>
#include <unistd.h>

#define KEPT 16 /* ledgers in a folder before those that tell nothing are removed */

/* Ledger of a process that is gone and that ended by its own will: what a kill leaves is evidence and stays. */
static bool is_spent(int folder, const char *name)
{
    hl_header header;
    char *end;
    long pid = strtol(name, &end, 10);
    if (pid <= 0 || *end != '-' || kill((pid_t)pid, 0) == 0 || errno != ESRCH)
        return false;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    ssize_t size = read(fd, &header, sizeof header);
    close(fd);
    return size == sizeof header && header.magic == HL_MAGIC && header.state == HL_STATE_EXITED;
}

static bool is_ledger(const char *name)
{
    size_t length = strlen(name);
    return length > 7 && strcmp(name + length - 7, ".ledger") == 0;
}

/* One pass over the names; removes spent ledgers if `removes`, returns how many ledgers there are. */
static uint32_t pass(int folder, bool removes)
{
    static char entries[32 << 10] __attribute__((aligned(8)));
    uint32_t ledgers = 0;
    lseek(folder, 0, SEEK_SET);
    for (long size; (size = syscall(SYS_getdents64, folder, entries, sizeof entries)) > 0;) {
        for (long at = 0; at < size;) {
            const struct dirent64 *entry = (const struct dirent64 *)(entries + at);
            at += entry->d_reclen;
            if (!is_ledger(entry->d_name))
                continue;
            ledgers++;
            if (removes && is_spent(folder, entry->d_name))
                unlinkat(folder, entry->d_name, 0);
        }
    }
    return ledgers;
}

void hr_folder_sweep(const char *path)
{
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return;
    if (pass(folder, false) > KEPT)
        pass(folder, true);
    close(folder);
}
