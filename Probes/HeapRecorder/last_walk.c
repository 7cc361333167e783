/* Remembering walks: last_walk.h says why. */
#include "last_walk.h"

#include "recorder_internal.h"

#define FEW 8u /* frames that a walk may differ in before it is worth remembering */

void hr_last_walk_begin(hr_last_walk *last)
{
    uint64_t generation = HR_LOAD(hr_rules_generation);
    if (last->generation != generation)
        last->count = 0;
    last->generation = generation;
    last->cursor = 0;
}

void hr_last_walk_replace(hr_last_walk *last, uint32_t depth)
{
    last->frames[!last->current][depth - 1].bp_at = 0;
    last->current = !last->current;
    last->count = depth;
}

static uint64_t word(uint64_t address) { return *(const uint64_t *)address; }

/* What led on from `frame` is as it was, for a walk that comes to it by `at`. */
static bool holds(const hr_walked *frame, const hr_registers *at)
{
    bool is_inherited = frame->bp_at < at->sp; /* whatever was read before lies below */
    return !frame->bp_at || (is_inherited ? at->bp : word(frame->bp_at)) == frame->bp;
}

/* The first of these frames that is not as it was; `count`: all are. None is looked at before those below it are known to
 * lead there: what lies where they used to be may be gone. */
static uint32_t first_change(const hr_walked *old, uint32_t count, const hr_registers *at)
{
    uint32_t i = 0;
    while (i < count && (i == 0 || word(old[i].sp - 8) == old[i].ip) && holds(&old[i], at))
        i++;
    return i;
}

/* The walk under way, continued by the old one's end, is the last walk from now on. */
static void graft(hr_last_walk *last, const hr_walked *old, uint32_t count, const hr_registers *at, uint32_t depth)
{
    hr_walked *fresh = last->frames[!last->current];
    if (depth + count > HR_WALK_LONGEST)
        return;
    for (uint32_t i = 0; i < count; i++) {
        fresh[depth + i] = old[i];
        if (old[i].bp_at && old[i].bp_at < at->sp)
            fresh[depth + i].bp_at = at->bp_at;
    }
    hr_last_walk_replace(last, depth + count);
}

uint32_t hr_last_walk_rejoin(
    hr_last_walk *last, const hr_registers *at, uint32_t depth, uint64_t *frames, uint32_t room)
{
    const hr_walked *old = &last->frames[last->current][last->cursor];
    uint32_t count = last->count - last->cursor;
    if (count > room || at->sp < hr_stack_known.low || old[count - 1].sp > hr_stack_known.high)
        return 0;
    uint32_t changed = first_change(old, count, at);
    if (changed < count) {
        last->cursor += changed ? changed : 1;
        return 0;
    }
    for (uint32_t i = 0; i < count; i++)
        frames[i] = old[i].ip;
    if (depth > FEW && !at->is_odd)
        graft(last, old, count, at, depth);
    return count;
}
