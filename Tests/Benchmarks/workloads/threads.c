/*
 * threads COUNT KIB: when main has made and freed KIB of blocks of 1 KiB, at depths that differ, COUNT threads begin
 * together to do the same, and stay. Then it prints a line and waits for one. All share one arena, so that runs differ
 * by nothing but what is preloaded.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static pthread_barrier_t started, worked, measured;
static long blocks;

__attribute__((noinline)) static void allocate(long depth)
{
    if (depth > 0) {
        allocate(depth - 1);
    } else {
        char *volatile block = malloc(1 << 10);
        free(block);
    }
    __asm__ volatile(""); /* no tail call */
}

static void churn(void)
{
    for (long i = 0; i < blocks; i++)
        allocate(5 + i % 30);
}

static void *work(void *unused)
{
    pthread_barrier_wait(&started);
    churn();
    pthread_barrier_wait(&worked);
    pthread_barrier_wait(&measured);
    return unused;
}

int main(int argc, char **argv)
{
    long count = argc > 1 ? atol(argv[1]) : 1;
    blocks = argc > 2 ? atol(argv[2]) : 1;
    mallopt(M_ARENA_MAX, 1);
    pthread_t *threads = calloc((size_t)count, sizeof *threads);
    churn();
    pthread_barrier_init(&started, NULL, (unsigned)count);
    pthread_barrier_init(&worked, NULL, (unsigned)count + 1);
    pthread_barrier_init(&measured, NULL, (unsigned)count + 1);
    for (long i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, work, NULL) != 0)
            return 1;
    pthread_barrier_wait(&worked);
    puts("ready");
    fflush(stdout);
    getchar();
    pthread_barrier_wait(&measured);
    for (long i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}
