/* System calls of supervision that Swift's Glibc module does not import, each in its plainest form. */
#ifndef CLINUX_PROCESS_CALLS_H
#define CLINUX_PROCESS_CALLS_H

#include <signal.h>
#include <sys/types.h>

/* What a signal descriptor told: who sent it says whether the whole process group has it already. */
typedef struct clinux_signal {
    int number;
    int from_kernel; /* by the terminal or the kernel itself, not by a process's kill() */
} clinux_signal;

/* A descriptor that becomes readable when a signal of the (blocked) set is pending; −1 and errno. */
int clinux_signal_descriptor(const sigset_t *set);
/* 1: `out` is filled; 0: nothing is pending; −1 and errno. */
int clinux_next_signal(int descriptor, clinux_signal *out);
/* A descriptor that becomes readable when the process ends; −1 and errno. */
int clinux_process_descriptor(pid_t pid);
/* An anonymous file in memory, closed on exec; −1 and errno. */
int clinux_memory_file(const char *name);
/* 1 where the file has capabilities of its own, so that the loader ignores LD_PRELOAD. */
int clinux_has_file_capabilities(const char *path);

#endif
