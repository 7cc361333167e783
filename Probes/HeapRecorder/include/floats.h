/*
 * The program's floating-point environment: the rounding it chose, the exceptions that it traps, and those it will ask
 * whether they were raised (C17, 7.6). The recorder computes by the defaults and leaves all that as it was.
 */
#ifndef HR_FLOATS_H
#define HR_FLOATS_H

#include <stdint.h>
#include <xmmintrin.h>

#define HR_FLOATS_DEFAULT 0x1f80u /* of MXCSR: to nearest, nothing is trapped, nothing was raised */
#define HR_FLOATS_RAISED 0x3fu

static inline uint32_t hr_floats_begin(void)
{
    uint32_t before = _mm_getcsr();
    if (__builtin_expect((before & ~HR_FLOATS_RAISED) != HR_FLOATS_DEFAULT, 0))
        _mm_setcsr(HR_FLOATS_DEFAULT);
    return before;
}

static inline void hr_floats_end(const uint32_t *before)
{
    if (_mm_getcsr() != *before)
        _mm_setcsr(*before);
}

/* Until the end of the block. */
#define HR_KEEP_FLOATS                                                                                                 \
    uint32_t floats_before __attribute__((cleanup(hr_floats_end))) = hr_floats_begin()

#endif
