/*
 * The walk that a thread took last. A walk depends on the registers that it begins with and on the words that it reads.
 * Where it comes to a frame that the last one came to, and all that the last one read from there on is still there, it
 * goes on as that one did. A thread's outer frames mostly stay, and comparing words costs a fraction of stepping: a step
 * must know the one before.
 */
#ifndef HR_LAST_WALK_H
#define HR_LAST_WALK_H

#include "frame_rule.h"

#define HR_WALK_LONGEST 128u /* frames; longer ones are not remembered */

/* Registers at a frame. */
typedef struct hr_walked {
    uint64_t ip, sp;
    uint64_t bp_at; /* where rbp was read, HR_IN_REGISTER, or 0: it does not matter for the way on from here */
    uint64_t bp;
} hr_walked;

typedef struct hr_last_walk {
    uint32_t current;     /* which of `frames` is the last walk; the other one takes the walk under way */
    uint32_t count;       /* frames of the last walk */
    uint32_t cursor;      /* the first of them that is not below the walk under way */
    uint64_t generation;  /* of the rules */
    hr_walked frames[2][HR_WALK_LONGEST];
} hr_last_walk;

/* A walk begins. */
void hr_last_walk_begin(hr_last_walk *last);
/* `depth` frames were noted and lead to the end of the stack. */
void hr_last_walk_replace(hr_last_walk *last, uint32_t depth);

/* The frames behind `at` by the last walk, into `frames`: how many, or 0 where it cannot tell. `depth` were noted
 * so far. */
uint32_t hr_last_walk_rejoin(
    hr_last_walk *last, const hr_registers *at, uint32_t depth, uint64_t *frames, uint32_t room);

/* Notes that the walk has come to `at`, its frame number `depth`. True: the last one was here, too. */
static inline bool hr_last_walk_note(hr_last_walk *last, const hr_registers *at, uint32_t depth)
{
    hr_walked *fresh = last->frames[!last->current];
    const hr_walked *old = last->frames[last->current];
    if (depth > 0 && depth <= HR_WALK_LONGEST && !at->came_by_bp)
        fresh[depth - 1].bp_at = 0;
    if (depth < HR_WALK_LONGEST)
        fresh[depth] = (hr_walked){.ip = at->ip, .sp = at->sp, .bp_at = at->bp_at, .bp = at->bp};
    while (last->cursor < last->count && old[last->cursor].sp < at->sp)
        last->cursor++;
    return last->cursor < last->count && old[last->cursor].sp == at->sp && old[last->cursor].ip == at->ip && !at->exact;
}

#endif
