/*
 * The rules learnt so far: a set-associative table for all threads, lock-free, 256 KiB however many threads there are.
 * A key is taken away before its rule is changed and put back after, so that a reader who finds the same key before
 * and after has read the rule that belongs to it.
 */
#include "recorder_internal.h"

hr_rule_entry hr_rules[HR_RULE_SETS * HR_RULE_WAYS] __attribute__((aligned(64)));
uint64_t hr_rules_generation;

/* True where it took a free place, or a stale one. */
static bool publish(hr_rule_entry *set, uint64_t key, hr_rule rule)
{
    static uint32_t turn;
    hr_rule_entry *victim = &set[HR_ADD(turn, 1) % HR_RULE_WAYS];
    bool is_free = false;
    for (uint32_t way = 0; way < HR_RULE_WAYS && !is_free; way++) {
        uint64_t other = HR_LOAD(set[way].key);
        is_free = other == 0 || other >> 48 != key >> 48;
        victim = is_free ? &set[way] : victim;
    }
    uint64_t old = HR_LOAD(victim->key), word;
    memcpy(&word, &rule, sizeof word);
    if (old == UINT64_MAX
        || !__atomic_compare_exchange_n(&victim->key, &old, UINT64_MAX, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return false; /* another thread is at it */
    __atomic_store_n(&victim->rule, word, __ATOMIC_RELEASE);
    __atomic_store_n(&victim->key, key, __ATOMIC_RELEASE);
    return is_free;
}

/* libunwind takes locks of its own: what a thread held of them when this process was forked is never given back. */
static uint32_t threads_learning;
static bool is_barred;

void hr_rules_after_fork(void)
{
    is_barred |= HR_LOAD(threads_learning) > 0;
    HR_STORE(threads_learning, 0);
}

typedef struct lesson {
    uint64_t ip;
    bool exact;
    hr_rule rule;
} lesson;

static void learn(void *context)
{
    lesson *lesson = context;
    hr_self.learning = true;
    lesson->rule = hr_rule_learn(lesson->ip, lesson->exact);
    hr_self.learning = false;
}

HR_COLD hr_rule hr_rule_missing(uint64_t ip, bool exact)
{
    if (is_barred)
        return (hr_rule){.kind = HR_RULE_UNKNOWN};
    uint64_t key = hr_rule_key(ip, exact); /* of the code that is there before it is looked at */
    HR_ADD(threads_learning, 1);
    lesson lesson = {.ip = ip, .exact = exact};
    bool is_learnt = hr_with_large_stack(learn, &lesson);
    HR_ADD(threads_learning, -1);
    if (is_learnt && publish(hr_rule_set(ip), key, lesson.rule))
        HR_ADD(hr_ledger_now.header->frames_learnt, 1);
    return lesson.rule;
}

void hr_rules_forget(void) { HR_ADD(hr_rules_generation, 1); }
