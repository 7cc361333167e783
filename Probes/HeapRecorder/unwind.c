/*
 * Stacks through libunwind, loaded privately: it exports _Unwind_RaiseException and backtrace, which must not replace
 * libgcc's and libc's in the program (bytehound issue 17, memray issue 863). unw_backtrace's warm path costs about
 * 10 ns a frame (measured, libunwind 1.6.2).
 */
#define _GNU_SOURCE
#include "recorder_internal.h"

#include <dlfcn.h>
#include <link.h>

static int (*unw_backtrace_)(void **, int);
static bool is_barred;
static uint64_t own_start, own_end;

static int find_self(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size, (void)unused;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        uint64_t start = info->dlpi_addr + ph->p_vaddr;
        uint64_t here = (uint64_t)(uintptr_t)&hr_unwind;
        if (ph->p_type == PT_LOAD && here >= start && here < start + ph->p_memsz) {
            own_start = start;
            own_end = start + ph->p_memsz;
            return 1;
        }
    }
    return 0;
}

void hr_load_unwinder(void)
{
    if (unw_backtrace_)
        return;
    dl_iterate_phdr(find_self, NULL);
    hr_self.inside++;
    void *library = dlopen("libunwind.so.8", RTLD_LOCAL | RTLD_NOW);
    if (library && hr_lead_calls(library) > 0)
        unw_backtrace_ = (int (*)(void **, int))dlsym(library, "unw_backtrace");
    hr_self.inside--;
}

bool hr_has_unwinder(void) { return unw_backtrace_ != NULL && !is_barred; }

void hr_bar_loader(void) { is_barred = true; }

bool hr_is_loader_barred(void) { return is_barred; }

/* A few buffers for all threads, since stacks may be small: [..] is one that this thread may use until it lets go. */
#define BUFFERS 16
static struct {
    uint32_t taken;
    void *frames[HL_MAX_DEPTH + 16];
} buffers[BUFFERS];

static int take_buffer(void)
{
    static uint32_t next;
    for (uint32_t tries = 0; tries < BUFFERS; tries++) {
        uint32_t i = HR_ADD(next, 1) % BUFFERS;
        if (!__atomic_exchange_n(&buffers[i].taken, 1, __ATOMIC_ACQUIRE))
            return (int)i;
    }
    return -1;
}

static bool is_own(const void *address)
{
    return (uint64_t)(uintptr_t)address >= own_start && (uint64_t)(uintptr_t)address < own_end;
}

hr_stack hr_unwind(uint64_t caller)
{
    hr_stack stack = {.buffer = -1, .depth = 1, .flags = HL_SITE_NO_UNWINDER, .caller = caller};
    if (!hr_has_unwinder() || !hr_has_stack_room() || (stack.buffer = take_buffer()) < 0)
        return stack;
    void **frames = buffers[stack.buffer].frames;
    int depth = unw_backtrace_(frames, HL_MAX_DEPTH + 16), skip = 0;
    while (skip < depth && is_own(frames[skip]))
        skip++;
    if (skip >= depth)
        return stack;
    stack.first = (uint32_t)skip;
    stack.depth = (uint32_t)(depth - skip);
    stack.flags = 0;
    if (depth == HL_MAX_DEPTH + 16 || stack.depth > HL_MAX_DEPTH)
        stack.flags = HL_SITE_CUT;
    stack.depth = stack.depth > HL_MAX_DEPTH ? HL_MAX_DEPTH : stack.depth;
    return stack;
}

const uint64_t *hr_stack_frames(const hr_stack *stack)
{
    if (stack->flags & HL_SITE_NO_UNWINDER)
        return &stack->caller;
    return (const uint64_t *)buffers[stack->buffer].frames + stack->first;
}

void hr_stack_release(const hr_stack *stack)
{
    if (stack->buffer >= 0)
        __atomic_store_n(&buffers[stack->buffer].taken, 0, __ATOMIC_RELEASE);
}
