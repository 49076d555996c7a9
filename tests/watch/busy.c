/* A service that is busy: each word of the command line is a thing to do, in order. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static struct sockaddr_in loopback(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static int bound(int kind, int port)
{
    struct sockaddr_in address = loopback(port);
    int one = 1, made = socket(AF_INET, kind, 0);
    if (made < 0)
        die("socket");
    setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(made, (struct sockaddr *)&address, sizeof address))
        die("bind");
    return made;
}

/* Answers each byte of each connection, one connection after another, for ever. */
static void serve(int port)
{
    int listener = bound(SOCK_STREAM, port);
    if (listen(listener, 5))
        die("listen");
    for (;;) {
        char byte;
        int peer = accept(listener, NULL, NULL);
        while (peer >= 0 && read(peer, &byte, 1) == 1)
            if (write(peer, &byte, 1) != 1)
                break;
        close(peer);
    }
}

int main(int count, char **words)
{
    setbuf(stdout, NULL);
    for (int at = 1; at < count; at++) {
        const char *word = words[at];
        if (!strcmp(word, "serve")) {
            serve(atoi(words[++at]));
        } else if (!strcmp(word, "listen")) {
            if (listen(bound(SOCK_STREAM, atoi(words[++at])), 5))
                die("listen");
        } else if (!strcmp(word, "datagrams")) {
            bound(SOCK_DGRAM, atoi(words[++at]));
        } else if (!strcmp(word, "connect")) {
            struct sockaddr_in address = loopback(atoi(words[++at]));
            int made = socket(AF_INET, SOCK_STREAM, 0);
            if (connect(made, (struct sockaddr *)&address, sizeof address))
                die("connect");
            if (write(made, "12345", 5) != 5)
                die("write");
        } else if (!strcmp(word, "unix")) {
            /* An abstract name with a line end and the beginning of a command to a terminal. */
            struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "\0a\n\033[2Jb" };
            int made = socket(AF_UNIX, SOCK_STREAM, 0);
            if (bind(made, (struct sockaddr *)&address, sizeof address.sun_family + 8)
                || listen(made, 1))
                die("unix");
        } else if (!strcmp(word, "evil")) {
            /* A child whose name and command line are a terminal's commands. */
            if (!fork()) {
                prctl(PR_SET_NAME, "\033]0;evil\007\n");
                for (char *byte = words[0]; *byte; byte++)
                    *byte = "\033\n\r\233"[(byte - words[0]) % 4];
                for (;;)
                    pause();
            }
        } else if (!strcmp(word, "foreign")) {
            /* A child that calls the kernel as a program of 32 bits does. That is its end. */
            if (!fork()) {
#ifdef __x86_64__
                int number = 20;
                __asm__ volatile("int $0x80" : "+a"(number) : : "memory");
#endif
                _exit(0);
            }
        } else if (!strcmp(word, "spin")) {
            if (!fork())
                for (;;)
                    ;
        } else if (!strcmp(word, "children")) {
            /* Short-lived ones, one after another. */
            for (int left = atoi(words[++at]); left; left--) {
                pid_t child = fork();
                if (!child)
                    _exit(left % 128);
                if (child < 0 || waitpid(child, NULL, 0) != child)
                    die("fork");
            }
            printf("all children were there\n");
        } else if (!strcmp(word, "signal")) {
            sigset_t set;
            int caught;
            sigemptyset(&set);
            sigaddset(&set, SIGUSR1);
            sigprocmask(SIG_BLOCK, &set, NULL);
            sigwait(&set, &caught);
        } else if (!strcmp(word, "exit")) {
            exit(atoi(words[++at]));
        } else {
            die(word);
        }
    }
    for (;;)
        pause();
}
