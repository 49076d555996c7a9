/* A small service for the tests: each word of the command line is a thing to do, in order. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void die(const char *what)
{
    printf("cannot %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Waits for a connection, says hello, for ever. */
static void serve(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0)
        die("make a socket");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 5))
        die("listen");
    for (;;) {
        int peer = accept(listener, NULL, NULL);
        if (peer < 0)
            continue;
        if (write(peer, "hello\n", 6) != 6)
            die("write");
        close(peer);
    }
}

/* The same for datagrams, of which it answers none. */
static void serve_datagrams(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int receiver = socket(AF_INET, SOCK_DGRAM, 0);
    if (receiver < 0)
        die("make a socket");
    if (bind(receiver, (struct sockaddr *)&address, sizeof address))
        die("bind");
    for (;;)
        pause();
}

static volatile sig_atomic_t caught;
static void catch(int signal) { caught = signal; }

/* Prints each signal that comes; TERM is the last. */
static void print_signals(void)
{
    const int signals[] = { SIGHUP, SIGINT, SIGUSR1, SIGUSR2, SIGTERM };
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    struct sigaction action = { .sa_handler = catch };
    for (int i = 0; i < 5; i++)
        sigaction(signals[i], &action, NULL);
    puts("waiting");
    for (;;) {
        sigsuspend(&before);
        printf("signal %d\n", caught);
        if (caught == SIGTERM)
            exit(7);
    }
}

/* A line for the system's log, in the words of syslog(3). */
static void log_line(const char *text)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
    char line[4096];
    int length = snprintf(line, sizeof line, "<30>Nov 21 22:41:00 logger[1]: %s", text);
    int log = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (log < 0 || connect(log, (struct sockaddr *)&address, sizeof address))
        die("reach the log");
    if (write(log, line, length) != length)
        die("log");
    close(log);
}

static void print_open(void)
{
    for (int fd = 0; fd < 65536; fd++) {
        struct stat stat;
        if (fcntl(fd, F_GETFD) >= 0 && !fstat(fd, &stat))
            printf("open %d %o\n", fd, stat.st_mode & S_IFMT);
    }
}

static void print_ids(void)
{
    uid_t uids[3];
    gid_t gids[3], groups[64];
    getresuid(&uids[0], &uids[1], &uids[2]);
    getresgid(&gids[0], &gids[1], &gids[2]);
    printf("uids %u %u %u\ngids %u %u %u\n", uids[0], uids[1], uids[2], gids[0], gids[1], gids[2]);
    int count = getgroups(64, groups);
    printf("groups %d\n", count);
    for (int i = 0; i < count; i++)
        printf("group %u\n", groups[i]);
    printf("no_new_privs %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

static void print_signal_state(void)
{
    sigset_t mask;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    for (int signal = 1; signal < 65; signal++) {
        struct sigaction action;
        if (sigismember(&mask, signal) == 1)
            printf("blocked %d\n", signal);
        if (!sigaction(signal, NULL, &action) && action.sa_handler != SIG_DFL)
            printf("not default %d\n", signal);
    }
    puts("signals seen");
}

static void print_limits(void)
{
    struct rlimit limit;
    const struct { const char *name; int resource; } all[] = {
        { "core", RLIMIT_CORE }, { "nofile", RLIMIT_NOFILE }, { "fsize", RLIMIT_FSIZE } };
    for (int i = 0; i < 3; i++) {
        getrlimit(all[i].resource, &limit);
        printf("%s %lu %lu\n", all[i].name, limit.rlim_cur, limit.rlim_max);
    }
    mode_t mask = umask(0);
    printf("umask %04o\n", mask);
    umask(mask);
}

/* Whether a file can be opened. */
static void try_file(const char *how, const char *path, int flags)
{
    int file = open(path, flags, 0600);
    printf("%s %s: %s\n", how, path, file < 0 ? strerror(errno) : "done");
    close(file);
}

/* A grandchild whose parent ends before it does. */
static void orphan(void)
{
    pid_t child = fork();
    if (child < 0)
        die("fork");
    if (!child) {
        pid_t middle = getpid();
        if (!fork())
            while (getppid() == middle)
                usleep(1000);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    puts("orphaned");
}

static void daemonise(const char *pid_file)
{
    if (fork())
        exit(0);
    setsid();
    if (fork())
        exit(0);
    FILE *file = fopen(pid_file, "w");
    if (!file)
        die("write the pid file");
    fprintf(file, "%d\n", getpid());
    fclose(file);
}

int main(int count, char **words)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < count; i++) {
        const char *word = words[i];
        if (!strcmp(word, "serve"))
            serve(atoi(words[++i]));
        else if (!strcmp(word, "serve-datagrams"))
            serve_datagrams(atoi(words[++i]));
        else if (!strcmp(word, "say"))
            puts(words[++i]);
        else if (!strcmp(word, "log"))
            log_line(words[++i]);
        else if (!strcmp(word, "sleep"))
            sleep(atoi(words[++i]));
        else if (!strcmp(word, "exit"))
            exit(atoi(words[++i]));
        else if (!strcmp(word, "die"))
            raise(atoi(words[++i]));
        else if (!strcmp(word, "call"))
            syscall(atol(words[++i]), 0, 0, 0, 0, 0, 0);
        else if (!strcmp(word, "read"))
            try_file(word, words[++i], O_RDONLY);
        else if (!strcmp(word, "make"))
            try_file(word, words[++i], O_WRONLY | O_CREAT);
        else if (!strcmp(word, "try")) {
            long number = atol(words[++i]);
            printf("call %ld: %s\n", number, syscall(number, 0, 0, 0, 0, 0, 0) < 0 ? strerror(errno) : "done");
        } else if (!strcmp(word, "pause"))
            for (;;)
                pause();
        else if (!strcmp(word, "signals"))
            print_signals();
        else if (!strcmp(word, "open"))
            print_open();
        else if (!strcmp(word, "ids"))
            print_ids();
        else if (!strcmp(word, "signal-state"))
            print_signal_state();
        else if (!strcmp(word, "limits"))
            print_limits();
        else if (!strcmp(word, "environment"))
            for (char **variable = environ; *variable; variable++)
                printf("variable %s\n", *variable);
        else if (!strcmp(word, "processes"))
            printf("pid %d\nparent %d\n", getpid(), getppid());
        else if (!strcmp(word, "orphan"))
            orphan();
        else if (!strcmp(word, "child")) {
            if (!fork())
                for (;;)
                    pause();
        } else if (!strcmp(word, "daemon"))
            daemonise(words[++i]);
        else
            return 64;
    }
    return 0;
}
