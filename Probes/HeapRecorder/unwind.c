/*
 * The stack of this thread: frame after frame by rules that libunwind gave once and that all threads share. A warm step
 * is a look-up and a load or two. It needs no lock, so that it works in a forked child, too, as far as the rules are
 * known.
 */
#define _GNU_SOURCE
#include "recorder_internal.h"

#include <link.h>
#include <ucontext.h>

static bool can_unwind, is_barred;
static hr_code_object own;

void hr_load_unwinder(void)
{
    if (can_unwind)
        return;
    hr_self.inside++;
    hr_code_objects_load();
    can_unwind = hr_rule_learning_load() && hr_code_object_at((uint64_t)(uintptr_t)&hr_unwind, &own);
    hr_async_chain_load();
    hr_self.inside--;
}

bool hr_has_unwinder(void) { return can_unwind; }

void hr_bar_loader(void) { is_barred = true; }

bool hr_is_loader_barred(void) { return is_barred; }

/* ---- One step ---------------------------------------------------------------------------------------------------- */

#define LARGEST_FRAME (UINT64_C(64) << 20)

static bool interrupted(const hr_registers *at, hr_registers *caller)
{
    const ucontext_t *context = (const ucontext_t *)at->sp;
    caller->exact = true;
    return hr_stack_word((uint64_t)&context->uc_mcontext.gregs[REG_RIP], &caller->ip)
        && hr_stack_word((uint64_t)&context->uc_mcontext.gregs[REG_RSP], &caller->sp)
        && hr_stack_word((uint64_t)&context->uc_mcontext.gregs[REG_RBP], &caller->bp)
        && hr_stack_word((uint64_t)&context->uc_mcontext.gregs[REG_R14], &caller->r14);
}

static bool leave(const hr_registers *at, hr_rule rule, hr_registers *caller)
{
    uint64_t cfa = (rule.kind == HR_RULE_SP ? at->sp : at->bp) + (uint64_t)(int64_t)rule.cfa;
    caller->bp = at->bp;
    caller->r14 = at->r14;
    caller->exact = false;
    if (HR_UNLIKELY(rule.kind == HR_RULE_BP_LOAD)
        && (!hr_stack_word(cfa, &cfa) || !hr_stack_word(at->bp, &caller->bp)))
        return false;
    caller->sp = cfa;
    if (cfa <= at->sp || cfa - at->sp > LARGEST_FRAME || !hr_stack_word(cfa - 8, &caller->ip))
        return false;
    return (!rule.bp || hr_stack_word(cfa + (uint64_t)(int64_t)rule.bp, &caller->bp))
        && (!rule.r14 || hr_stack_word(cfa + (uint64_t)(int64_t)rule.r14, &caller->r14));
}

typedef enum step { STEPPED, ENDED, LOST } step;

static inline step step_out(const hr_registers *at, hr_registers *caller)
{
    hr_rule rule = hr_rule_at(at->ip, at->exact);
    switch (rule.kind) {
    case HR_RULE_END: return ENDED;
    case HR_RULE_UNKNOWN: return LOST;
    case HR_RULE_SIGNAL: return interrupted(at, caller) ? STEPPED : LOST;
    default: return !leave(at, rule, caller) || caller->ip >> 47 ? LOST : caller->ip ? STEPPED : ENDED;
    }
}

/* ---- The walk ---------------------------------------------------------------------------------------------------- */

static bool is_own(uint64_t address) { return address >= own.start && address < own.end; }

static inline void begin(hr_registers *at)
{
    __asm__ volatile("leaq 0(%%rip), %0\n\tmovq %%rsp, %1\n\tmovq %%rbp, %2\n\tmovq %%r14, %3"
                     : "=&r"(at->ip), "=&r"(at->sp), "=&r"(at->bp), "=&r"(at->r14));
    at->exact = true;
}

/* `frames` holds what lies within the runner's loop, which those that await take the place of. */
static __attribute__((noinline)) uint32_t follow_async(
    const hr_walk *walk, uint32_t frame, uint64_t *frames, uint32_t depth, uint32_t room)
{
    uint32_t inner = depth + 1 > frame ? depth + 1 - frame : 0; /* frames behind the async one are the runtime's */
    uint32_t added = hr_async_chain(hr_walk_frame(walk, frame), frames + inner, room - inner);
    return added ? inner + added : 0;
}

/* The outermost frames are missing where it fills `frames`, or where it is lost on the way. */
static __attribute__((noinline)) uint32_t walk(uint64_t *frames, uint32_t room, uint32_t *flags)
{
    hr_walk walk = {.steps = 0};
    uint32_t depth = 0, async;
    begin(&walk.ring[0]);
    for (;;) {
        step step = step_out(hr_walk_frame(&walk, 0), &walk.ring[(walk.steps + 1) % HR_WALK_RING]);
        if (step != STEPPED) {
            *flags |= step == LOST ? HL_SITE_CUT : 0;
            return depth;
        }
        walk.steps++;
        uint64_t ip = hr_walk_frame(&walk, 0)->ip;
        if (depth == 0 && is_own(ip))
            continue;
        if (HR_UNLIKELY(hr_async_job_run != 0) && (async = hr_async_frame(&walk)) != 0) {
            uint32_t whole = follow_async(&walk, async, frames, depth, room);
            if (whole)
                return whole;
        }
        if (depth == room) {
            *flags |= HL_SITE_CUT;
            return depth;
        }
        frames[depth++] = ip;
    }
}

/* A few buffers for all threads, since stacks may be small: [..] is one that this thread may use until it lets go. */
#define BUFFERS 16
static struct {
    uint32_t taken;
    uint64_t frames[HL_MAX_DEPTH];
} buffers[BUFFERS];

uint64_t hr_memory_held(void) { return sizeof hr_filter + sizeof hr_rules + sizeof buffers; }

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

hr_stack hr_unwind(uint64_t caller)
{
    hr_stack stack = {.buffer = -1, .depth = 1, .flags = HL_SITE_NO_UNWINDER, .caller = caller};
    if (can_unwind && hr_has_stack_room() && (stack.buffer = take_buffer()) >= 0) {
        uint32_t flags = 0, depth = walk(buffers[stack.buffer].frames, HL_MAX_DEPTH, &flags);
        if (depth > 0) {
            stack.depth = depth;
            stack.flags = flags;
        }
    }
    stack.hash = hr_stack_hash(hr_stack_frames(&stack), stack.depth);
    return stack;
}

const uint64_t *hr_stack_frames(const hr_stack *stack)
{
    return stack->flags & HL_SITE_NO_UNWINDER ? &stack->caller : buffers[stack->buffer].frames;
}

void hr_stack_release(const hr_stack *stack)
{
    if (stack->buffer >= 0)
        __atomic_store_n(&buffers[stack->buffer].taken, 0, __ATOMIC_RELEASE);
}
