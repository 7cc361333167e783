/*
 * What a thread works with while it takes a sample: memory and a stack of ours, so that the stack it came by gives hardly
 * more than a malloc takes of it. Programs keep things right below small stacks, also within larger ones: of a coroutine
 * in a local array, of a handler in a thread-local. There are enough of them for the threads that sample at the same
 * moment; who finds none leaves its sample out.
 */
#define _GNU_SOURCE
#include "recorder_internal.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STACK ((size_t)64 << 10) /* learning a rule takes 7 KiB at the most (measured) */
#define SIZE (HR_PAGE + STACK + sizeof(hr_workspace)) /* a guard, the stack, and above it the rest */

static hr_workspace *workspaces[HR_WORKSPACES];
__thread hr_workspace *hr_workspace_held;

/* ---- Taking turns ------------------------------------------------------------------------------------------------ */

static hr_workspace *make(uint32_t place)
{
    uint8_t *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    if (mprotect(memory, HR_PAGE, PROT_NONE) != 0) {
        munmap(memory, SIZE);
        return NULL;
    }
    if (hr_is_recording()) /* in a forked child the ledger may be its parent's, and about to go */
        HR_ADD(hr_ledger_now.header->memory_bytes, SIZE);
    hr_workspace *workspace = (hr_workspace *)(memory + HR_PAGE + STACK);
    workspace->place = place;
    return workspace;
}

static uint32_t *holder_of(uint32_t place) { return &hr_fork_page.workspaces[place].holder; }

static bool take_place(uint32_t place)
{
    if (HR_UNLIKELY(!workspaces[place]))
        workspaces[place] = make(place);
    if (HR_LIKELY((hr_workspace_held = workspaces[place]) != NULL))
        return true;
    __atomic_store_n(holder_of(place), 0, __ATOMIC_RELEASE);
    return false;
}

/* From a thread that ended in the midst of a sample. */
static HR_COLD bool inherit(void)
{
    int pid = getpid();
    for (uint32_t place = 0; place < HR_WORKSPACES; place++) {
        uint32_t holder = HR_LOAD(*holder_of(place));
        if (holder && syscall(SYS_tgkill, pid, holder, 0) != 0 && errno == ESRCH
            && __atomic_compare_exchange_n(holder_of(place), &holder, hr_thread_id(), false, __ATOMIC_ACQUIRE,
                                           __ATOMIC_RELAXED))
            return take_place(place);
    }
    return false;
}

/* The one that this thread had before, mostly: what it remembers there is of use to nobody else. */
static bool take(void)
{
    uint32_t first = (uint32_t)(((uintptr_t)&hr_workspace_held >> 6) * UINT64_C(0x9E3779B97F4A7C15) >> 32);
    for (uint32_t n = 0; n < HR_WORKSPACES; n++) {
        uint32_t place = (first + n) % HR_WORKSPACES, nobody = 0;
        if (__atomic_compare_exchange_n(holder_of(place), &nobody, hr_thread_id(), false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return take_place(place);
    }
    return inherit();
}

static void give_back(hr_workspace *workspace)
{
    hr_workspace_held = NULL;
    __atomic_store_n(holder_of(workspace->place), 0, __ATOMIC_RELEASE);
}

/* Also one that was just taken, or was about to be given back. */
static void give_back_all(void)
{
    hr_workspace_held = NULL;
    for (uint32_t place = 0; place < HR_WORKSPACES; place++)
        if (HR_LOAD(*holder_of(place)) == hr_thread_id())
            __atomic_store_n(holder_of(place), 0, __ATOMIC_RELEASE);
}

/* In a handler that has a stack of its own, also one in a thread-local or a local array. */
static bool is_on_alternate_stack(void)
{
    stack_t now;
    return syscall(SYS_sigaltstack, NULL, &now) == 0 && (now.ss_flags & SS_ONSTACK);
}

/* The frame of the sample under way lies where a newer one of the same stack is, or below: it is gone. Of two stacks that
 * tells nothing. But one that began on a foreign stack blocks signals before it takes a workspace: without one it is gone,
 * or has not begun. */
static bool is_sample_gone(uintptr_t frame)
{
    if (!hr_self.sample_at)
        return false;
    if (!hr_stack_owns(hr_self.sample_at))
        return !hr_workspace_held;
    return frame >= hr_self.sample_at && hr_stack_owns(frame) && !is_on_alternate_stack();
}

bool hr_was_left(const hr_caller *caller)
{
    if (!is_sample_gone((uintptr_t)caller))
        return false;
    give_back_all();
    hr_self.sample_at = 0;
    hr_self.inside = 0;
    hr_self.learning = false;
    return true;
}

void hr_workspaces_after_fork(void)
{
    for (uint32_t i = 0; i < HR_WORKSPACES; i++)
        if (workspaces[i])
            workspaces[i]->last_walk.count = 0;
}

uint64_t hr_workspaces_size(void)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < HR_WORKSPACES; i++)
        size += HR_LOAD(workspaces[i]) ? SIZE : 0;
    return size;
}

uint64_t hr_memory_held(void) { return hr_filters_size() + sizeof hr_rules + hr_workspaces_size(); }

/* ---- Its stack --------------------------------------------------------------------------------------------------- */

/* Calls `work` on the stack that ends at `top`. Whoever unwinds through it comes back to this one. */
void hr_on_stack(void *top, void (*work)(void *), void *argument);
__asm__(".pushsection .text\n"
        ".hidden hr_on_stack\n"
        ".globl hr_on_stack\n"
        ".type hr_on_stack, @function\n"
        "hr_on_stack:\n"
        ".cfi_startproc\n"
        "pushq %rbp\n"
        ".cfi_def_cfa_offset 16\n"
        ".cfi_offset %rbp, -16\n"
        "movq %rsp, %rbp\n"
        ".cfi_def_cfa_register %rbp\n"
        "movq %rdi, %rsp\n"
        "movq %rdx, %rdi\n"
        "callq *%rsi\n"
        "movq %rbp, %rsp\n"
        "popq %rbp\n"
        ".cfi_def_cfa %rsp, 8\n"
        "retq\n"
        ".cfi_endproc\n"
        ".size hr_on_stack, . - hr_on_stack\n"
        ".popsection\n");

/* A handler may look at the stack that it runs on, as a collector's does, or leave by a jump: none runs on one of ours, but
 * for faults. Signals n are bits n − 1. */
static uint64_t block_signals(void)
{
    uint64_t faults = UINT64_C(1) << (SIGSEGV - 1) | UINT64_C(1) << (SIGBUS - 1) | UINT64_C(1) << (SIGILL - 1)
        | UINT64_C(1) << (SIGFPE - 1) | UINT64_C(1) << (SIGTRAP - 1) | UINT64_C(1) << (SIGSYS - 1);
    uint64_t others = ~faults, before = ~UINT64_C(0);
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, &others, &before, sizeof before);
    return before;
}

static void restore_signals(uint64_t before)
{
    if (before != ~UINT64_C(0)) /* in a sandbox that refuses they were not blocked either */
        syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
}

/* Signals first: whoever leaves by a jump would not give it back. */
static HR_COLD bool on_its_stack(void (*work)(void *), void *argument)
{
    bool is_held = hr_workspace_held != NULL;
    uint64_t signals = block_signals();
    bool ok = is_held || take();
    if (ok)
        hr_on_stack(hr_workspace_held, work, argument);
    if (ok && !is_held)
        give_back(hr_workspace_held);
    restore_signals(signals);
    return ok;
}

bool hr_with_workspace(const hr_caller *caller, void (*work)(void *), void *argument)
{
    if (HR_UNLIKELY(!hr_stack_has_room(caller)))
        return on_its_stack(work, argument);
    if (HR_UNLIKELY(!take()))
        return false;
    work(argument);
    give_back(hr_workspace_held);
    return true;
}

bool hr_with_large_stack(void (*work)(void *), void *argument)
{
    if ((uintptr_t)hr_workspace_held - (uintptr_t)__builtin_frame_address(0) >= STACK)
        return on_its_stack(work, argument);
    work(argument);
    return true;
}
