/* Tracing one thread of another process, and its memory: ptrace(2) is variadic, so Swift cannot import it. Every call gives
 * 0 or an errno. All of one thread's calls must come from the same thread of the tracer. */
#ifndef CLINUX_PTRACE_CALLS_H
#define CLINUX_PTRACE_CALLS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

/* Becomes the tracer without stopping the thread; when this process ends, however it ends, the thread goes on. */
int clinux_trace_seize(pid_t thread);
int clinux_trace_interrupt(pid_t thread);
/* Of a stopped thread: it goes on untraced, and is given the signal it was stopped at, if not 0. */
int clinux_trace_detach(pid_t thread, int signal);
/* Of a stopped thread: on to its next system call's beginning or end, with `signal` delivered unless it is 0. */
int clinux_trace_to_system_call(pid_t thread, int signal);

/* Of a stopped thread: it goes on, with `signal` delivered unless it is 0. */
int clinux_trace_continue(pid_t thread, int signal);
/* Of a stopped thread: children that it makes are traced from their first instruction on, where they stop. */
int clinux_trace_follow_children(pid_t thread);
/* Of a stopped thread: its process is killed when this one ends. */
int clinux_trace_kill_at_end(pid_t thread);

enum {
    CLINUX_STOP_NONE,        /* it still runs */
    CLINUX_STOP_INTERRUPTED, /* as was asked for */
    CLINUX_STOP_GROUP,       /* with its whole process: SIGSTOP and the like */
    CLINUX_STOP_SYSTEM_CALL,
    CLINUX_STOP_SIGNAL,      /* one is about to be delivered */
    CLINUX_STOP_CHILD,       /* it has made a child, whose id stands in place of the signal */
    CLINUX_STOP_ENDED        /* there is no such thread any more */
};
/* Waits until the thread stops, `milliseconds` at the most. */
int clinux_trace_wait(pid_t thread, int milliseconds, int *signal);

int clinux_trace_registers(pid_t thread, struct user_regs_struct *registers);
int clinux_trace_set_registers(pid_t thread, const struct user_regs_struct *registers);
/* The XSAVE image, uncompacted; `size` is the buffer's and then the image's. */
int clinux_trace_extended_state(pid_t thread, void *image, size_t *size);
/* The mask that holds when the interrupted system call is over. */
int clinux_trace_signal_mask(pid_t thread, uint64_t *mask);
/* 1 where `instruction` is in the midst of a restartable sequence (rseq(2)), which must not be left and entered again. */
int clinux_trace_in_restartable_sequence(pid_t thread, uint64_t instruction);

/* Bytes copied, or -1 and errno. */
ssize_t clinux_read_memory(pid_t process, uint64_t address, void *buffer, size_t size);
ssize_t clinux_write_memory(pid_t process, uint64_t address, const void *buffer, size_t size);

/* memmem(3): the offset of the first `pattern` in `bytes`, or -1. */
ssize_t clinux_find(const void *bytes, size_t size, const void *pattern, size_t pattern_size);

/* Of the XSAVE image's part `index` (2…62): its end as an offset, or 0 where the processor has no such part. */
uint32_t clinux_extended_state_end(uint32_t index);

#endif
