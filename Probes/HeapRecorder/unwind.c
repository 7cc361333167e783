/*
 * The stack of this thread: frame after frame by rules that libunwind gave once and that all threads share. A warm step
 * is a look-up and a load or two. It needs no lock, so that it works in a forked child, too, as far as the rules are
 * known.
 */
#define _GNU_SOURCE
#include "last_walk.h"
#include "recorder_internal.h"

#include <link.h>
#include <ucontext.h>

static bool can_unwind;
static hr_code_object own;

void hr_load_unwinder(void)
{
    if (can_unwind)
        return;
    hr_self.inside++;
    hr_loader_load();
    hr_code_objects_load();
    bool has_library = hr_rule_learning_load();
    hr_loader_loaded();
    can_unwind = has_library && hr_code_object_at((uint64_t)(uintptr_t)&hr_unwind, &own);
    hr_async_chain_load();
    hr_self.inside--;
}

bool hr_has_unwinder(void) { return can_unwind; }

/* ---- One step ---------------------------------------------------------------------------------------------------- */

#define LARGEST_FRAME (UINT64_C(64) << 20)

static HR_COLD bool interrupted(uint64_t sp, hr_registers *at)
{
    const ucontext_t *context = (const ucontext_t *)sp;
    at->exact = at->is_odd = true;
    return hr_stack_word((uint64_t)&context->uc_mcontext.gregs[REG_RIP], &at->ip)
        && hr_stack_word((uint64_t)&context->uc_mcontext.gregs[REG_RSP], &at->sp)
        && hr_stack_word((uint64_t)&context->uc_mcontext.gregs[REG_RBP], &at->bp)
        && hr_stack_word((uint64_t)&context->uc_mcontext.gregs[REG_R14], &at->r14);
}

static inline __attribute__((always_inline)) bool leave(hr_registers *at, hr_rule rule)
{
    uint64_t cfa = (rule.kind == HR_RULE_SP ? at->sp : at->bp) + (uint64_t)(int64_t)rule.cfa;
    uint64_t ip, bp = at->bp, r14 = at->r14, bp_at = at->bp_at;
    if (HR_UNLIKELY(rule.kind == HR_RULE_BP_LOAD) && (!hr_stack_word(cfa, &cfa) || !hr_stack_word(at->bp, &bp)))
        return false;
    if (cfa <= at->sp || cfa - at->sp > LARGEST_FRAME || !hr_stack_word(cfa - 8, &ip))
        return false;
    if (rule.bp)
        bp_at = cfa + (uint64_t)(int64_t)rule.bp;
    if ((rule.bp && !hr_stack_word(bp_at, &bp))
        || (rule.r14 && !hr_stack_word(cfa + (uint64_t)(int64_t)rule.r14, &r14)))
        return false;
    *at = (hr_registers){
        .ip = ip, .sp = cfa, .bp = bp, .r14 = r14, .bp_at = bp_at, .came_by_bp = rule.kind == HR_RULE_BP,
        /* Compilers save rbp in the frame; whoever does not is not remembered. */
        .is_odd = at->is_odd || rule.kind == HR_RULE_BP_LOAD || (rule.bp && (rule.bp > 0 || bp_at < at->sp)),
    };
    return true;
}

/* By a frame pointer that is only supposed to be one: whatever lies there does not become known as stack. */
static HR_COLD bool leave_by_guess(hr_registers *at)
{
    hr_code_object object;
    uint64_t page = UINT64_MAX, frame = at->bp;
    if (frame < at->sp || frame - at->sp > LARGEST_FRAME || (frame & 7) || !hr_page_is_readable(frame, &page)
        || !hr_page_is_readable(frame + 8, &page))
        return false;
    uint64_t bp = ((const uint64_t *)frame)[0], ip = ((const uint64_t *)frame)[1];
    *at = (hr_registers){.ip = ip, .sp = frame + 16, .bp = bp, .r14 = at->r14, .is_odd = true};
    return ip && hr_code_object_at(ip - 1, &object);
}

typedef enum step { STEPPED, ENDED, LOST } step;

static inline step step_out(hr_registers *at)
{
    hr_rule rule = hr_rule_at(at->ip, at->exact);
    switch (rule.kind) {
    case HR_RULE_END: return ENDED;
    case HR_RULE_UNKNOWN: return LOST;
    case HR_RULE_SIGNAL: return interrupted(at->sp, at) ? STEPPED : LOST;
    case HR_RULE_GUESS: return leave_by_guess(at) ? STEPPED : LOST;
    default: return !leave(at, rule) || at->ip >> 47 ? LOST : at->ip ? STEPPED : ENDED;
    }
}

/* ---- The walk ---------------------------------------------------------------------------------------------------- */

static bool is_own(uint64_t address) { return address >= own.start && address < own.end; }

/* r14 is known in the walk's own frame alone. */
static inline __attribute__((always_inline)) void begin_here(hr_registers *at)
{
    __asm__ volatile("leaq 0(%%rip), %0\n\tmovq %%rsp, %1\n\tmovq %%rbp, %2\n\tmovq %%r14, %3"
                     : "=&r"(at->ip), "=&r"(at->sp), "=&r"(at->bp), "=&r"(at->r14));
    at->exact = true;
}

static inline __attribute__((always_inline)) void begin_at(hr_registers *at, const hr_caller *caller)
{
    at->ip = caller->ip;
    at->sp = (uint64_t)(uintptr_t)(caller + 1);
    at->bp = caller->bp;
}

/* Where the walk has come to Swift's job runner: the whole stack with those that await in place of the runner's loop;
 * else 0. `frames` holds `depth` frames, the last of them called by where the walk is now. */
static HR_COLD uint32_t follow_async(
    const hr_walk *walk, uint64_t *frames, uint32_t depth, uint32_t room, uint32_t *flags)
{
    bool is_whole;
    uint32_t frame = hr_async_frame(walk);
    if (frame == 0 || depth + 1 < frame)
        return 0;
    uint32_t inner = depth + 1 - frame; /* frames behind the async one are the runtime's */
    uint32_t added = hr_async_chain(hr_walk_frame(walk, frame), frames + inner, room - inner, &is_whole);
    if (added && !is_whole)
        *flags |= HL_SITE_CUT;
    return added ? inner + added : 0;
}

/* The outermost frames are missing where it fills `frames`, or where it is lost on the way. */
static HR_COLD uint32_t walk(
    uint64_t *frames, uint32_t room, uint32_t *flags, const hr_caller *caller, hr_last_walk *last)
{
    hr_registers at = {.bp_at = HR_IN_REGISTER};
    bool is_async = hr_async_job_run != 0 && hr_stack_is_own;
    hr_walk *history = &hr_workspace_held->walk;
    history->steps = 0;
    uint32_t depth = 0, rest;
    step step = STEPPED;
    if (is_async)
        begin_here(&at);
    else
        begin_at(&at, caller);
    do {
        if (depth == 0 && is_own(at.ip))
            continue;
        if (HR_UNLIKELY(is_async)) {
            history->ring[++history->steps % HR_WALK_RING] = at;
            if ((rest = follow_async(history, frames, depth, room, flags)) != 0)
                return rest;
        }
        if (last && hr_last_walk_note(last, &at, depth)
            && (rest = hr_last_walk_rejoin(last, &at, depth, frames + depth, room - depth)) != 0)
            return depth + rest;
        if (depth == room)
            break;
        frames[depth++] = at.ip;
    } while ((step = step_out(&at)) == STEPPED);
    *flags |= step == ENDED ? 0 : HL_SITE_CUT;
    if (last && step == ENDED && at.ip && !at.is_odd && depth > 0 && depth <= HR_WALK_LONGEST)
        hr_last_walk_replace(last, depth);
    return depth;
}

static uint32_t walk_from(const hr_caller *caller, uint32_t *flags)
{
    /* With async frames the registers along the way matter, which are not remembered; and a foreign stack may be gone. */
    hr_last_walk *last = hr_async_job_run || !hr_stack_is_own ? NULL : &hr_workspace_held->last_walk;
    if (last)
        hr_last_walk_begin(last);
    return walk(hr_workspace_held->frames, HL_MAX_DEPTH, flags, caller, last);
}

hr_stack hr_unwind(const hr_caller *caller)
{
    hr_stack stack = {.frames = hr_workspace_held->frames};
    if (can_unwind)
        stack.depth = walk_from(caller, &stack.flags);
    if (stack.depth == 0) {
        hr_workspace_held->frames[0] = caller->ip;
        stack.depth = 1;
        stack.flags = HL_SITE_NO_UNWINDER;
    }
    stack.hash = hr_stack_hash(stack.frames, stack.depth);
    return stack;
}
