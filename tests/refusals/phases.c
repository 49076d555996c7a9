/* Eight threads ask for their priority, then it listens; each connection is answered with what all
   threads get for the same question then: "RESULT ERRNO" in a line. With a second argument it
   waits before it listens until that file is there. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREADS = 8 };

static pthread_barrier_t asked, answered;
static long results[THREADS], reasons[THREADS];

static void *ask(void *number)
{
    long own = (long)number;
    for (;;) {
        pthread_barrier_wait(&asked);
        errno = 0;
        results[own] = syscall(SYS_getpriority, 0, 0);
        reasons[own] = errno;
        pthread_barrier_wait(&answered);
    }
    return NULL;
}

static void all_ask(void)
{
    pthread_barrier_wait(&asked);
    pthread_barrier_wait(&answered);
}

int main(int argc, char **argv)
{
    pthread_t thread;
    signal(SIGPIPE, SIG_IGN);
    pthread_barrier_init(&asked, NULL, THREADS + 1);
    pthread_barrier_init(&answered, NULL, THREADS + 1);
    for (long number = 0; number < THREADS; number++)
        if (pthread_create(&thread, NULL, ask, (void *)number))
            return 10;
    for (int round = 0; round < 100; round++) {
        all_ask();
        for (int number = 0; number < THREADS; number++)
            if (results[number] != 20)
                return 11;
    }
    while (argc > 2 && access(argv[2], F_OK))
        usleep(5000);
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 5))
        return 12;
    for (;;) {
        int peer = accept(listener, NULL, NULL);
        if (peer < 0)
            continue;
        all_ask();
        for (int number = 0; number < THREADS; number++)
            dprintf(peer, "%ld %ld\n", results[number], reasons[number]);
        close(peer);
    }
}
