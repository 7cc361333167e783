/* See other-glibc.py. Needs nothing of the C library that came after 2.2.5, and starts without its help. */
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__asm__(".symver pthread_create, pthread_create@GLIBC_2.2.5");

enum { THREADS = 4, PLACES = 3000, MAPPED = 12 };

void *kept[THREADS][PLACES];
static volatile int ready;

static void *fill(void *argument)
{
    void **places = argument;
    uint32_t state = (uint32_t)(uintptr_t)argument | 1;
    for (int i = 0; i < 20 * PLACES; i++) {
        state = state * 1664525u + 1013904223u;
        int place = state >> 8 & 0x7fffffff;
        void **at = &places[place % PLACES];
        size_t size = state % 500 == 0 ? 200000 + state % 100000 : (state >> 4) % 2000;
        if (state % 3 == 0) {
            *at = realloc(*at, size + 1);
        } else {
            free(*at);
            *at = state % 3 == 1 ? malloc(size) : NULL;
        }
    }
    __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
    if (places != kept[0])
        for (;;)
            pause();
    return NULL;
}

static void tell(void)
{
    char line[100];
    size_t count = 0, bytes = 0;
    for (int i = 0; i < THREADS * PLACES; i++) {
        void *block = kept[i / PLACES][i % PLACES];
        count += block != NULL;
        bytes += block ? malloc_usable_size(block) : 0;
    }
    int length = snprintf(line, sizeof line, "{\"count\": %zu, \"bytes\": %zu}\n", count, bytes);
    if (write(1, line, length) == length && read(0, line, 1) >= 0)
        _exit(0);
    _exit(1);
}

__attribute__((used, force_align_arg_pointer)) static void run(void)
{
    pthread_t thread;
    for (int i = 1; i < THREADS; i++)
        pthread_create(&thread, NULL, fill, kept[i]);
    fill(kept[0]);
    while (ready < THREADS)
        usleep(1000);
    for (int i = 0; i < MAPPED; i++)
        free(kept[0][i]);
    /* More than ever comes from an arena, so that these have mappings of their own; some are made larger or smaller, and
     * among so many some come to lie right below an arena's heap, in one mapping with it. */
    kept[0][0] = malloc(33 << 20);
    kept[0][1] = realloc(malloc(34 << 20), 3000);
    kept[0][2] = memalign(64, 35 << 20);
    kept[0][3] = memalign(1 << 16, 36 << 20);
    kept[0][4] = realloc(memalign(1 << 13, 37 << 20), 300000);
    kept[0][5] = realloc(memalign(1 << 16, 38 << 20), 80 << 20);
    for (int i = 6; i < MAPPED; i++)
        kept[0][i] = malloc(33 << 20);
    tell();
}

__asm__(".globl _start\n_start: xor %ebp, %ebp\n call run\n");
