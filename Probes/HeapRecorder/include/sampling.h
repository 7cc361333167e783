/* Poisson sampling in bytes, without libm: the probe needs nothing but libc. */
#ifndef HR_SAMPLING_H
#define HR_SAMPLING_H

#include <stdint.h>

/* Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014. */
static inline uint64_t hr_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* Natural logarithm of a positive, normal number; relative error below 1e-12. */
double hr_log(double x);

/* e^-x for x >= 0; relative error below 1e-12. */
double hr_exp_minus(double x);

/* Bytes until the next sample: exponential with mean `interval`, at least 1; 0 when every allocation is sampled. */
uint64_t hr_gap(uint64_t *random, uint64_t interval);

/* 1 / (1 − e^(−size/interval)): how many blocks of this size one sample stands for. 1 when interval is 1. */
double hr_weight(uint64_t size, uint64_t interval);

#endif
