/* pair COUNT: malloc(64) and free, in a tight loop. */
#include <stdlib.h>

int main(int argc, char **argv)
{
    long count = argc > 1 ? atol(argv[1]) : 0;
    for (long i = 0; i < count; i++) {
        void *volatile block = malloc(64);
        free(block);
    }
}
