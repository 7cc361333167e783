/* counters LEDGER: the probe's account of itself, as `NAME VALUE` lines. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "heap_ledger.h"

int main(int argc, char **argv)
{
    hl_header header;
    int file = argc > 1 ? open(argv[1], O_RDONLY) : -1;
    if (file < 0 || read(file, &header, sizeof header) != sizeof header || header.magic != HL_MAGIC)
        return 1;
    printf("slow_path_count %llu\n", (unsigned long long)header.slow_path_count);
    printf("slow_path_ns %llu\n", (unsigned long long)header.slow_path_ns);
    printf("stacks_failed %llu\n", (unsigned long long)header.stacks_failed);
    printf("samples_taken %llu\n", (unsigned long long)header.samples_taken);
}
