/*
 * Life in a process that was running already. `heaptide attach` has the process dlopen the probe, which then does nothing
 * by itself, and has it call hp_control(), which it finds through this note (ELF, type HP_NOTE_TYPE, owner "Heaptide"):
 *
 *     int32_t  hp_control's address − the address of this very word
 *     int32_t  hp_life's address − the address of this very word
 *
 * The same call with HP_DETACH makes it inert. It is not exported: no program can come upon it by chance.
 */
#ifndef HP_ATTACH_H
#define HP_ATTACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heap_recorder.h"

#define HP_NOTE_TYPE 2 /* another one whenever anything in this file changes its meaning */

/* hp_life: which life the probe leads. */
enum { HP_UNBORN, HP_PRELOADED, HP_IDLE, HP_ATTACHED };
extern uint32_t hp_life;

static inline bool hp_came_late(void) { return HR_UNLIKELY(__atomic_load_n(&hp_life, __ATOMIC_RELAXED) > HP_PRELOADED); }

enum { HP_ATTACH = 1, HP_DETACH = 2 };

/* hp_request.result */
enum {
    HP_DONE = 1,
    HP_NO_ALLOCATOR = 2, /* no module defines the C allocator family */
    HP_WRONG_LIFE = 3,   /* it is preloaded, or attached already */
    HP_BUSY = 4,         /* a thread is in the recorder still: it records no more, its ledger could not be closed */
    HP_NO_LEDGER = 5,    /* it could not be made, and the probe is as idle as before */
    HP_LOADER_BUSY = 6   /* another thread is in the dynamic linker: nothing was done */
};

/* Written by `heaptide attach` into memory that it mapped, and read there; the result is written back. */
typedef struct hp_request {
    uint32_t command;
    uint32_t result;
    uint64_t interval;    /* as of hr_config */
    uint64_t ledger_size; /* 0: the usual one */
    uint64_t slots;       /* back: how many call slots lead to the probe, or no more */
    char place[4096];     /* folder of the ledger; back: its path */
} hp_request;

void hp_control(hp_request *request);

/* lifecycle.c: sets the recorder up; 0 stands for the usual interval or size. */
void hp_configure(const char *directory, uint64_t interval, uint64_t ledger_size);

/* ---- The gate: who may call the recorder ------------------------------------------------------------------------- */

/* A process may hold pointers to the probe's functions after they were led back (a copy of `&free` somewhere). They then
 * forward, and the recorder is not called; before its ledger is unmapped, whoever was inside has left. A preloaded probe
 * has no gate. */
bool hp_enter_gate(void);
void hp_leave_gate(void);

static inline bool hp_enter(void)
{
    return !hp_came_late() || hp_enter_gate();
}

static inline void hp_leave(void)
{
    if (hp_came_late())
        hp_leave_gate();
}

/* hr_allocated through the gate. */
static inline void hp_allocated(void *block, size_t size, const hr_caller *caller)
{
    if (hp_enter()) {
        hr_allocated(block, size, caller);
        hp_leave();
    }
}

/* hr_take and hr_freed through the gate. */
static inline void hp_freed(const void *block)
{
    if (hp_enter()) {
        hr_taken taken = hr_take(block);
        hr_freed(&taken);
        hp_leave();
    }
}

#endif
