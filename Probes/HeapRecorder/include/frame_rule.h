/*
 * How to get from a frame to its caller's, in one word: all that an allocation stack needs of the unwind tables. The
 * CFA (canonical frame address, DWARF 5 section 6.4) is the caller's stack pointer; the return address lies below it.
 */
#ifndef HR_FRAME_RULE_H
#define HR_FRAME_RULE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef enum hr_rule_kind {
    HR_RULE_UNKNOWN = 0, /* not learnt */
    HR_RULE_SP = 1,      /* CFA = rsp + cfa */
    HR_RULE_BP = 2,      /* CFA = rbp + cfa */
    HR_RULE_BP_LOAD = 3, /* CFA = *(rbp + cfa), and the caller's rbp = *rbp: stacks that were aligned anew */
    HR_RULE_GUESS = 4,   /* no table: rbp is supposed to be a frame pointer, and must lead into known code */
    HR_RULE_SIGNAL = 5,  /* the kernel's signal frame: the interrupted registers lie at rsp */
    HR_RULE_END = 6      /* the outermost frame */
} hr_rule_kind;

/* 64 bits, so that a table of them can be read and written at once. */
typedef struct hr_rule {
    uint32_t kind : 4;
    int32_t cfa : 28;
    int16_t bp;  /* the caller's rbp is saved at CFA + bp; 0: it is still in the register */
    int16_t r14; /* likewise; Swift keeps the async context there */
} hr_rule;

_Static_assert(sizeof(hr_rule) == 8, "one word");

/* A frame as the walk sees it: registers while its function is at `ip`. */
typedef struct hr_registers {
    uint64_t ip, sp, bp, r14;
    uint64_t bp_at;  /* where bp was read, or HR_IN_REGISTER */
    bool exact;      /* `ip` is the instruction itself, not the return address behind a call */
    bool came_by_bp; /* bp led here */
    bool is_odd;     /* on the way here something else than sp and bp told, once */
} hr_registers;

#define HR_IN_REGISTER 1u

/* The loaded file that code belongs to. */
typedef struct hr_code_object {
    uint64_t start, end;            /* mapped range, end exclusive */
    const uint8_t *eh_frame_header; /* its search table of unwind information, or NULL */
} hr_code_object;

/* code_objects.c: false where there is none, or where another thread has the loader. Lock-free from glibc 2.35 on. */
bool hr_code_object_at(uint64_t address, hr_code_object *object);
void hr_code_objects_load(void);
/* From the first to the last segment of a file, without its table. */
struct dl_phdr_info;
hr_code_object hr_code_range(const struct dl_phdr_info *info);

/* rule_learning.c. About 5 µs. */
bool hr_rule_learning_load(void);
hr_rule hr_rule_learn(uint64_t ip, bool exact);

/* bindings.c: of a library that was loaded privately. */
void hr_bind_private(void *library);

/* ---- frame_rules.c: the rules learnt, one table for all threads, of a fixed size ----------------------------------- */

#define HR_RULE_SETS 4096u
#define HR_RULE_WAYS 4u

typedef struct hr_rule_entry {
    uint64_t key;
    uint64_t rule;
} hr_rule_entry;

extern hr_rule_entry hr_rules[HR_RULE_SETS * HR_RULE_WAYS];
extern uint64_t hr_rules_generation;

/* Code was unloaded: what is known may be of other code now. */
void hr_rules_forget(void);
/* In a forked child. */
void hr_rules_after_fork(void);
hr_rule hr_rule_missing(uint64_t ip, bool exact);

/* Addresses of code have 47 bits; the rest tells which code it was. */
static inline uint64_t hr_rule_key(uint64_t ip, bool exact)
{
    uint64_t generation = __atomic_load_n(&hr_rules_generation, __ATOMIC_RELAXED);
    return ip | (uint64_t)exact << 47 | (generation & 0xffff) << 48;
}

static inline hr_rule_entry *hr_rule_set(uint64_t ip)
{
    return &hr_rules[(ip * UINT64_C(0x9E3779B97F4A7C15) >> 52) * HR_RULE_WAYS];
}

/* UNKNOWN where it cannot be learnt now. A key that is the same before and after belongs to the rule between. */
static inline hr_rule hr_rule_at(uint64_t ip, bool exact)
{
    uint64_t key = hr_rule_key(ip, exact);
    hr_rule_entry *set = hr_rule_set(ip);
    for (uint32_t way = 0; way < HR_RULE_WAYS; way++) {
        if (__atomic_load_n(&set[way].key, __ATOMIC_ACQUIRE) != key)
            continue;
        uint64_t word = __atomic_load_n(&set[way].rule, __ATOMIC_ACQUIRE);
        hr_rule rule;
        memcpy(&rule, &word, sizeof rule);
        if (__atomic_load_n(&set[way].key, __ATOMIC_RELAXED) == key)
            return rule;
    }
    return hr_rule_missing(ip, exact);
}

#endif
