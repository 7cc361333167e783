/* churn COUNT THREADS: blocks of 16 to 512 bytes, each made at a call depth of 20 in the place of a random one of the
 * 10,000 that its thread holds. */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

enum { LIVE = 10000, DEPTH = 20 };

static long count;

__attribute__((noinline)) static char *make(int depth, size_t size)
{
    char *block = depth > 0 ? make(depth - 1, size) : malloc(size);
    __asm__ volatile("" : "+r"(block)); /* no tail call */
    return block;
}

static void *churn(void *seed)
{
    uint64_t random = (uintptr_t)seed * UINT64_C(0x9E3779B97F4A7C15) | 1;
    char **blocks = calloc(LIVE, sizeof *blocks);
    for (long i = 0; i < count; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        size_t slot = random % LIVE, size = 16 + (random >> 32) % 497;
        free(blocks[slot]);
        blocks[slot] = make(DEPTH - 4, size); /* with _start, two of libc, main or clone's, and this one */
        blocks[slot][0] = blocks[slot][size - 1] = 1;
    }
    for (int slot = 0; slot < LIVE; slot++)
        free(blocks[slot]);
    free(blocks);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[64];
    long n = argc > 2 ? atol(argv[2]) : 1;
    count = argc > 1 ? atol(argv[1]) : 0;
    for (long i = 1; i < n && i < 64; i++)
        pthread_create(&threads[i], NULL, churn, (void *)(i + 1));
    churn((void *)1);
    for (long i = 1; i < n && i < 64; i++)
        pthread_join(threads[i], NULL);
}
