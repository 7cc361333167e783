#include "sampling.h"

#include <string.h>

static const double ln2 = 0.69314718055994530942;

double hr_log(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> 52) - 1023;
    bits = (bits & UINT64_C(0x000FFFFFFFFFFFFF)) | UINT64_C(0x3FF0000000000000);
    double m;
    memcpy(&m, &bits, sizeof m); /* x = m × 2^exponent, 1 <= m < 2 */
    if (m > 1.41421356237309504880) {
        m *= 0.5;
        exponent++;
    }
    /* ln m = 2 artanh(s), |s| <= 0.172: the term after s^15 is below 1e-13 */
    static const double odd[] = {1.0 / 15, 1.0 / 13, 1.0 / 11, 1.0 / 9, 1.0 / 7, 1.0 / 5, 1.0 / 3, 1};
    double s = (m - 1) / (m + 1), s2 = s * s, sum = 0;
    for (int i = 0; i < 8; i++)
        sum = sum * s2 + odd[i];
    return 2 * s * sum + exponent * ln2;
}

double hr_exp_minus(double x)
{
    if (x > 700)
        return 0;
    int k = (int)(x / ln2 + 0.5);
    double r = k * ln2 - x, sum = 1; /* e^-x = 2^-k × e^r, |r| <= 0.35 */
    for (int n = 14; n >= 1; n--)
        sum = 1 + sum * r / n;
    uint64_t bits = (uint64_t)(1023 - k) << 52;
    double scale;
    memcpy(&scale, &bits, sizeof scale);
    return sum * scale;
}

uint64_t hr_gap(uint64_t *random, uint64_t interval)
{
    if (interval <= 1)
        return 0;
    double u = ((double)(hr_random(random) >> 11) + 1) * 0x1p-53; /* (0, 1] */
    double gap = -hr_log(u) * (double)interval;
    return gap < 0x1p62 ? (uint64_t)gap + 1 : UINT64_C(1) << 62;
}

double hr_weight(uint64_t size, uint64_t interval)
{
    if (interval <= 1 || size == 0)
        return 1;
    double x = (double)size / (double)interval;
    if (x < 0.05) /* nearly all allocations: the series of x / (1 − e^−x), whose next term is below 1e-11 */
        return (1 + x / 2 + x * x / 12 - x * x * x * x / 720) / x;
    return 1 / (1 - hr_exp_minus(x));
}
