#define _GNU_SOURCE
#include "process_calls.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

int clinux_signal_descriptor(const sigset_t *set) {
    return signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int clinux_next_signal(int descriptor, clinux_signal *out) {
    struct signalfd_siginfo info;
    ssize_t count;
    do
        count = read(descriptor, &info, sizeof info);
    while (count < 0 && errno == EINTR);
    if (count < 0)
        return errno == EAGAIN ? 0 : -1;
    if (count != (ssize_t)sizeof info)
        return 0;
    out->number = (int)info.ssi_signo;
    out->from_kernel = info.ssi_code == SI_KERNEL;
    return 1;
}

int clinux_process_descriptor(pid_t pid) {
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

int clinux_memory_file(const char *name) {
    return memfd_create(name, MFD_CLOEXEC);
}

int clinux_has_file_capabilities(const char *path) {
    return getxattr(path, "security.capability", NULL, 0) > 0;
}
