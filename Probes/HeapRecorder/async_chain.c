/*
 * Swift's async call chain. Async functions tail-call one another, so that the stack holds one of them only, called by
 * the runtime's job runner; who awaits it stands in its context: { parent context at 0, function that resumes there at
 * 8 } (swift/ABI/Task.h, AsyncContext). The context is in r14; in functions that await, whose frames are extended, it
 * is at rbp - 8 and r14 may already hold that of the callee.
 */
#define _GNU_SOURCE
#include "recorder_internal.h"

#include <dlfcn.h>

#define LONGEST_CHAIN 64u

uint64_t hr_async_job_run;
static hr_code_object runtime; /* the library that it is in; none where the program itself holds it */
static uint64_t runner_call;   /* return address behind the call that starts a job; learnt from a stack */

void hr_async_chain_load(void)
{
    uint64_t address = (uint64_t)(uintptr_t)dlsym(RTLD_DEFAULT, "swift_job_run");
    if (address ? hr_code_object_at(address, &runtime) : (address = hr_program_function("swift_job_run")) != 0)
        hr_async_job_run = address;
}

static bool is_runtime(uint64_t address) { return address >= runtime.start && address < runtime.end; }

/* swift_job_run has about 300 bytes; what it calls within its library is the runner, which actors call as well. */
uint32_t hr_async_frame(const hr_walk *walk)
{
    uint64_t ip = hr_walk_frame(walk, 0)->ip, inner = hr_walk_frame(walk, 1)->ip;
    if (ip == HR_LOAD(runner_call))
        return 1;
    if (ip - hr_async_job_run >= 512 || (runtime.end && !is_runtime(inner)))
        return 0;
    HR_STORE(runner_call, inner);
    return 2;
}

typedef struct context {
    uint64_t parent, resume;
} context;

/* A task's contexts lie close together, so that one question mostly serves for the whole chain. What lies there is a context
 * only if its second word is the first instruction of a function. */
static bool read_context(uint64_t address, context *context, uint64_t *known_page)
{
    if ((address & 7) || !hr_page_is_readable(address, known_page)
        || !hr_page_is_readable(address + 8, known_page))
        return false;
    context->parent = ((const uint64_t *)address)[0];
    context->resume = ((const uint64_t *)address)[1];
    if (context->parent == address || context->resume >> 47)
        return false;
    hr_rule rule = hr_rule_at(context->resume, true);
    return rule.kind == HR_RULE_SP && rule.cfa == 8;
}

static bool own_context(const hr_registers *frame, context *own, uint64_t *known_page)
{
    uint64_t saved;
    context in_register, in_frame;
    bool has_register = read_context(frame->r14, &in_register, known_page);
    bool has_frame = hr_stack_word(frame->bp - 8, &saved) && read_context(saved, &in_frame, known_page);
    bool is_callees = has_register && has_frame && in_register.parent == saved;
    *own = has_register && !is_callees ? in_register : in_frame;
    return has_register || has_frame;
}

uint32_t hr_async_chain(const hr_registers *frame, uint64_t *frames, uint32_t room, bool *is_whole)
{
    context context;
    uint32_t depth = 0;
    uint64_t known_page = UINT64_MAX;
    if (!own_context(frame, &context, &known_page))
        return 0;
    *is_whole = false;
    while (depth < room && depth < LONGEST_CHAIN && !(*is_whole = is_runtime(context.resume))) {
        frames[depth++] = context.resume + 1; /* as a return address: readers look up the byte before */
        *is_whole = context.parent == 0; /* a task's own */
        if (*is_whole || !read_context(context.parent, &context, &known_page))
            break;
    }
    return depth;
}
