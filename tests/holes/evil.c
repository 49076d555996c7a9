/* A name service module that tells who loads it. */
#include <stdio.h>
#include <unistd.h>

__attribute__((constructor)) static void loaded(void)
{
    fprintf(stderr, "the jail's library runs as %u\n", geteuid());
}
