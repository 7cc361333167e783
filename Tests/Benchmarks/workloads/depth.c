/*
 * depth FRAMES MILLISECONDS: blocks of 64 KiB, made on a stack of FRAMES frames and freed at once, in two parts of
 * MILLISECONDS each. After each part it prints a line and waits for one.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void part(uint64_t nanoseconds)
{
    uint64_t began = now();
    do {
        for (int i = 0; i < 64; i++) {
            char *volatile block = malloc(64 << 10);
            free(block);
        }
    } while (now() - began < nanoseconds);
    puts("done");
    fflush(stdout);
    while (getchar() != '\n' && !feof(stdin))
        ;
}

__attribute__((noinline)) static void descend(int depth, uint64_t nanoseconds)
{
    if (depth > 0) {
        descend(depth - 1, nanoseconds);
    } else {
        part(nanoseconds);
        part(nanoseconds);
    }
    __asm__ volatile(""); /* no tail call */
}

int main(int argc, char **argv)
{
    int frames = argc > 1 ? atoi(argv[1]) : 20;
    uint64_t nanoseconds = argc > 2 ? (uint64_t)atol(argv[2]) * 1000000 : 1000000;
    descend(frames - 6, nanoseconds); /* with _start, two of libc, main, the last of descend, and part */
}
