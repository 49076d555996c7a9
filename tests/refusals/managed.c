/* What service managers and their services say to each other: each word is a thing to do, in order. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int child;

static void die(const char *what)
{
    printf("cannot %s: %s\n", what, strerror(errno));
    exit(1);
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value ? value : "none";
}

/* "%c" is the child's pid, "%p" its own, "%e" an escape, '|' the end of a line. */
static void notify(const char *text, int descriptor)
{
    char message[8192] = "";
    char *end = message;
    for (; *text; text++) {
        if (text[0] == '%' && text[1] == 'e')
            *end++ = 27, text++;
        else if (text[0] == '%' && (text[1] == 'c' || text[1] == 'p'))
            end += sprintf(end, "%d", *++text == 'c' ? child : (int)getpid());
        else
            *end++ = *text == '|' ? '\n' : *text;
    }
    const char *path = variable("NOTIFY_SOCKET");
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    strcpy(address.sun_path, path);
    socklen_t length = sizeof address;
    if (path[0] == '@') {
        address.sun_path[0] = 0;
        length = offsetof(struct sockaddr_un, sun_path) + strlen(path);
    }
    char control[CMSG_SPACE(sizeof(int))] = "";
    struct iovec part = { message, end - message };
    struct msghdr header = {
        .msg_name = &address, .msg_namelen = length, .msg_iov = &part, .msg_iovlen = 1,
    };
    if (descriptor >= 0) {
        header.msg_control = control;
        header.msg_controllen = sizeof control;
        struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(rights), &descriptor, sizeof(int));
    }
    int sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sender < 0 || sendmsg(sender, &header, MSG_NOSIGNAL) < 0)
        die("notify");
    close(sender);
}

/* As sd_notify_barrier(3): it is over when nobody has the other end any more. */
static void barrier(void)
{
    int ends[2];
    if (pipe(ends))
        die("make a pipe");
    notify("BARRIER=1", ends[1]);
    close(ends[1]);
    struct pollfd watched = { .fd = ends[0], .events = 0 };
    printf("barrier %s\n", poll(&watched, 1, 10000) == 1 ? "answered" : "not answered");
    close(ends[0]);
}

static volatile sig_atomic_t asked_to_end;
static void end(int signal) { (void)signal; asked_to_end = 1; }

/* Answers at each socket that it was given, until it is asked to end; never half an answer. */
static void serve(void)
{
    int count = atoi(variable("LISTEN_FDS"));
    struct pollfd watched[32];
    char answer[512];
    int length = snprintf(answer, sizeof answer, "%s %d %s\n",
        atoi(variable("LISTEN_PID")) == getpid() ? "mine" : "another's", count,
        variable("LISTEN_FDNAMES"));
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    struct sigaction action = { .sa_handler = end };
    sigaction(SIGTERM, &action, NULL);
    for (int i = 0; i < count; i++) {
        watched[i] = (struct pollfd){ .fd = 3 + i, .events = POLLIN };
        fcntl(3 + i, F_SETFL, O_NONBLOCK);
    }
    while (!asked_to_end) {
        if (ppoll(watched, count, NULL, &before) < 0)
            continue;
        for (int i = 0; i < count; i++) {
            if (!watched[i].revents)
                continue;
            struct sockaddr_storage from;
            socklen_t size = sizeof from;
            char text[64];
            int peer = accept(3 + i, NULL, NULL);
            if (peer >= 0) {
                if (write(peer, answer, length) != length)
                    die("answer");
                close(peer);
            } else if (recvfrom(3 + i, text, sizeof text, 0, (struct sockaddr *)&from, &size) >= 0) {
                sendto(3 + i, answer, length, 0, (struct sockaddr *)&from, size);
            }
        }
    }
    exit(0);
}

static void ping(void)
{
    long interval = atol(variable("WATCHDOG_USEC"));
    if (atoi(variable("WATCHDOG_PID")) != getpid() || !interval) {
        puts("nobody watches");
        return;
    }
    for (int i = 0; i < 3; i++) {
        notify("WATCHDOG=1", -1);
        usleep(interval / 4);
    }
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (!strncmp(word, "say:", 4))
            notify(word + 4, -1);
        else if (!strncmp(word, "env:", 4))
            printf("%s=%s\n", word + 4, variable(word + 4));
        else if (!strcmp(word, "child") && !(child = fork()))
            for (;;)
                pause();
        else if (!strncmp(word, "need:", 5)) {
            if (open(word + 5, O_RDONLY) < 0)
                die(word + 5);
        } else if (!strcmp(word, "ids"))
            printf("user %d, listening at %s\n", (int)getuid(), variable("LISTEN_FDS"));
        else if (!strcmp(word, "own"))
            printf("own %d child %d\n", (int)getpid(), child);
        else if (!strcmp(word, "store"))
            notify("FDSTORE=1|FDNAME=x", 0);
        else if (!strcmp(word, "barrier"))
            barrier();
        else if (!strcmp(word, "ping"))
            ping();
        else if (!strcmp(word, "serve"))
            serve();
        else if (!strncmp(word, "exit:", 5))
            exit(atoi(word + 5));
        else if (!strcmp(word, "wait"))
            for (;;)
                pause();
    }
    return 0;
}
