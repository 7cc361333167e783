#define _GNU_SOURCE
#include "ptrace_calls.h"

#include <elf.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#ifndef PTRACE_GET_RSEQ_CONFIGURATION
#define PTRACE_GET_RSEQ_CONFIGURATION 0x420f
#endif
#ifndef PTRACE_EVENT_STOP
#define PTRACE_EVENT_STOP 128
#endif

static int result(long value) { return value < 0 ? errno : 0; }

int clinux_trace_seize(pid_t thread) {
    return result(ptrace(PTRACE_SEIZE, thread, NULL, (void *)PTRACE_O_TRACESYSGOOD));
}

int clinux_trace_interrupt(pid_t thread) { return result(ptrace(PTRACE_INTERRUPT, thread, NULL, NULL)); }

int clinux_trace_detach(pid_t thread, int signal) {
    return result(ptrace(PTRACE_DETACH, thread, NULL, (void *)(long)signal));
}

int clinux_trace_to_system_call(pid_t thread, int signal) {
    return result(ptrace(PTRACE_SYSCALL, thread, NULL, (void *)(long)signal));
}

int clinux_trace_continue(pid_t thread, int signal) {
    return result(ptrace(PTRACE_CONT, thread, NULL, (void *)(long)signal));
}

int clinux_trace_follow_children(pid_t thread) {
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;
    return result(ptrace(PTRACE_SETOPTIONS, thread, NULL, (void *)options));
}

int clinux_trace_kill_at_end(pid_t thread) {
    return result(ptrace(PTRACE_SETOPTIONS, thread, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)));
}

static int kind_of_stop(pid_t thread, int status, int *signal) {
    if (!WIFSTOPPED(status))
        return CLINUX_STOP_ENDED;
    *signal = WSTOPSIG(status);
    int event = status >> 16;
    if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
        unsigned long child = 0;
        ptrace(PTRACE_GETEVENTMSG, thread, NULL, &child);
        *signal = (int)child;
        return CLINUX_STOP_CHILD;
    }
    if (status >> 16 == PTRACE_EVENT_STOP)
        return *signal == SIGTRAP ? CLINUX_STOP_INTERRUPTED : CLINUX_STOP_GROUP;
    return *signal == (SIGTRAP | 0x80) ? CLINUX_STOP_SYSTEM_CALL : CLINUX_STOP_SIGNAL;
}

static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A thread on its way from one system call to the next is there within microseconds, and its program waits for it. */
#define LOOKS_BEFORE_SLEEP 200

int clinux_trace_wait(pid_t thread, int milliseconds, int *signal) {
    int64_t end = nanoseconds() + (int64_t)milliseconds * 1000000;
    for (int looks = 0;; looks++) {
        int status = 0;
        pid_t waited = waitpid(thread, &status, __WALL | WNOHANG);
        if (waited == thread)
            return kind_of_stop(thread, status, signal);
        if (waited < 0 && errno != EINTR)
            return CLINUX_STOP_ENDED;
        if (nanoseconds() > end)
            return CLINUX_STOP_NONE;
        struct timespec pause = {.tv_nsec = 50000};
        if (looks < LOOKS_BEFORE_SLEEP)
            sched_yield();
        else
            nanosleep(&pause, NULL);
    }
}

int clinux_trace_signal_mask(pid_t thread, uint64_t *mask) {
    return result(ptrace(PTRACE_GETSIGMASK, thread, (void *)sizeof *mask, mask));
}

int clinux_trace_registers(pid_t thread, struct user_regs_struct *registers) {
    struct iovec part = {registers, sizeof *registers};
    return result(ptrace(PTRACE_GETREGSET, thread, (void *)NT_PRSTATUS, &part));
}

int clinux_trace_set_registers(pid_t thread, const struct user_regs_struct *registers) {
    struct iovec part = {(void *)registers, sizeof *registers};
    return result(ptrace(PTRACE_SETREGSET, thread, (void *)NT_PRSTATUS, &part));
}

int clinux_trace_extended_state(pid_t thread, void *image, size_t *size) {
    struct iovec part = {image, *size};
    int error = result(ptrace(PTRACE_GETREGSET, thread, (void *)NT_X86_XSTATE, &part));
    *size = part.iov_len;
    return error;
}

int clinux_trace_in_restartable_sequence(pid_t thread, uint64_t instruction) {
    struct { /* struct ptrace_rseq_configuration of linux/ptrace.h */
        uint64_t area;
        uint32_t area_size, signature, flags, padding;
    } configuration = {0};
    struct { /* struct rseq_cs of linux/rseq.h */
        uint32_t version, flags;
        uint64_t start, length, abort;
    } sequence;
    uint64_t address = 0; /* rseq_cs, behind the two processor numbers; it may still name one that was left */
    if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, thread, (void *)sizeof configuration, &configuration) <= 0
        || configuration.area == 0)
        return 0;
    if (clinux_read_memory(thread, configuration.area + 8, &address, sizeof address) != sizeof address)
        return 1;
    if (address == 0)
        return 0;
    return clinux_read_memory(thread, address, &sequence, sizeof sequence) != sizeof sequence
        || instruction - sequence.start < sequence.length;
}

ssize_t clinux_read_memory(pid_t process, uint64_t address, void *buffer, size_t size) {
    struct iovec here = {buffer, size}, there = {(void *)(uintptr_t)address, size};
    return process_vm_readv(process, &here, 1, &there, 1, 0);
}

ssize_t clinux_write_memory(pid_t process, uint64_t address, const void *buffer, size_t size) {
    struct iovec here = {(void *)buffer, size}, there = {(void *)(uintptr_t)address, size};
    return process_vm_writev(process, &here, 1, &there, 1, 0);
}

ssize_t clinux_find(const void *bytes, size_t size, const void *pattern, size_t pattern_size) {
    const char *found = memmem(bytes, size, pattern, pattern_size);
    return found ? found - (const char *)bytes : -1;
}

uint32_t clinux_extended_state_end(uint32_t index) {
#if defined(__x86_64__)
    uint32_t size = 0, offset = 0, flags, unused;
    if (!__get_cpuid_count(0xd, index, &size, &offset, &flags, &unused) || (flags & 1))
        return 0; /* flag 0: a part of the supervisor's, which no program sees */
    return size ? offset + size : 0;
#else
    (void)index;
    return 0;
#endif
}
