/* storm WHAT READY N [PATH...]: calls whose numbers are known beforehand. See storms.rs. */
#include "raw.h"

static word rounds;
static char **paths;
static word path_count;

/* calls: N rounds of three calls that do nothing, in each thread. */
static void calls_body(word thread)
{
    word i;
    (void)thread;
    for (i = 0; i < rounds; i++) {
        CALL0(getppid);
        CALL0(getuid);
        CALL1(umask, 022);
    }
    finish();
}

/* fork: N children of each thread; they end at once. */
static void fork_body(word thread)
{
    word i;
    (void)thread;
    for (i = 0; i < rounds; i++) {
        long child = (long)CALL2(clone, SIGCHLD, 0);
        if (!child)
            CALL1(exit_group, 7);
        must(child > 0);
        int status = 0;
        must((long)CALL4(wait4, child, &status, 0, 0) == child);
        must(status == 7 << 8);
    }
    finish();
}

/* exec: N times, four children that execute this program, which then ends. They are made by vfork,
 * as posix_spawn makes them, by clone3, and by fork. */
static char *words[] = {0, "nothing", 0};
static char *no_environment[] = {0};

static void execute(word unused)
{
    (void)unused;
    CALL3(execve, words[0], words, no_environment);
    __builtin_trap();
}

static long made(word kind, char *stack)
{
    struct {
        word flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
    } how = {CLONE_VFORK, 0, 0, 0, SIGCHLD, 0, 0, 0};
    long child;
    switch (kind) {
    case 0:
        return vfork_and_execute(words[0], words, no_environment);
    case 1:
        return task(CLONE_VM | CLONE_VFORK | SIGCHLD, stack, execute, 0, 0);
    case 2:
        child = (long)CALL2(clone3, &how, sizeof how);
        break;
    default:
        child = (long)CALL0(fork);
    }
    if (!child)
        execute(0);
    return child;
}

static void exec_body(word thread)
{
    word i;
    for (i = 0; i < 4 * rounds; i++) {
        int status = 0;
        long child = made(i % 4, second_stacks[thread] + STACK);
        must(child > 0);
        must((long)CALL4(wait4, child, &status, 0, 0) == child);
        must(status == 7 << 8);
    }
    finish();
}

/* open: N times, every path is opened, and closed if that worked. */
static void open_body(word thread)
{
    word i, j;
    (void)thread;
    for (i = 0; i < rounds; i++)
        for (j = 0; j < path_count; j++) {
            long file = (long)CALL4(openat, AT_FDCWD, paths[j], O_RDONLY, 0);
            if (file >= 0)
                must(CALL1(close, file) == 0);
        }
    finish();
}

/* orphans: N times, a child makes a grandchild and ends; the grandchild outlives it, in a session
 * of its own, makes ten calls, and says so. */
static void orphans(void)
{
    word i, j;
    char byte;
    int pipe[2];
    must(CALL2(pipe2, pipe, 0) == 0);
    for (i = 0; i < rounds; i++) {
        long child = (long)CALL2(clone, SIGCHLD, 0);
        if (!child) {
            must((long)CALL0(setsid) > 0);
            child = (long)CALL2(clone, SIGCHLD, 0);
            if (child)
                CALL1(exit_group, child > 0 ? 7 : 8);
            for (j = 0; j < 10; j++)
                CALL0(getppid);
            must(CALL3(write, pipe[1], "x", 1) == 1);
            CALL1(exit_group, 0);
        }
        int status = 0;
        must((long)CALL4(wait4, child, &status, 0, 0) == child);
        must(status == 7 << 8);
    }
    for (i = 0; i < rounds; i++)
        must(CALL3(read, pipe[0], &byte, 1) == 1);
}

/* signals: N signals to a thread that waits for them in rt_sigsuspend, N to one in ppoll, N to
 * one in rt_sigtimedwait, and N to one that makes N calls meanwhile and takes them whenever they
 * come. */
static volatile int taken[4];
static int answers[4][2];
static long tids[4];

static void take(int signal)
{
    (void)signal;
}

static void count(int signal)
{
    (void)signal;
    taken[3]++;
}

static void waiting_body(word which)
{
    word i, none = 0, mask = BIT(SIGRTMIN) | BIT(SIGRTMIN + 1);
    tids[which] = (long)CALL0(gettid);
    must(CALL3(write, answers[which][1], "x", 1) == 1);
    for (i = 0; i < rounds; i++) {
        if (which == 0)
            must((long)CALL2(rt_sigsuspend, &none, 8) == -4);
        else if (which == 1)
            must((long)call(__NR_ppoll, 0, 0, 0, (word)&none, 8) == -4);
        else
            must((long)CALL4(rt_sigtimedwait, &mask, 0, 0, 8) == SIGRTMIN);
        must(CALL3(write, answers[which][1], "x", 1) == 1);
    }
    finish();
}

static void busy_body(word which)
{
    word i, mask = BIT(SIGRTMIN + 1);
    tids[which] = (long)CALL0(gettid);
    must(CALL4(rt_sigprocmask, 1, &mask, 0, 8) == 0);
    must(CALL3(write, answers[which][1], "x", 1) == 1);
    for (i = 0; i < rounds; i++)
        CALL0(getppid);
    while (taken[3] < (int)rounds)
        RELAX();
    finish();
}

static void signals_body(word which)
{
    if (which == 3)
        busy_body(which);
    waiting_body(which);
}

static void signals(void)
{
    word i, j, mask = BIT(SIGRTMIN) | BIT(SIGRTMIN + 1);
    char byte;
    struct action action = {take, SA_RESTORER, restore, 0};
    must(CALL4(rt_sigaction, SIGRTMIN, &action, 0, 8) == 0);
    action.handler = count;
    must(CALL4(rt_sigaction, SIGRTMIN + 1, &action, 0, 8) == 0);
    must(CALL4(rt_sigprocmask, 0, &mask, 0, 8) == 0);
    must(CALL2(pipe2, ends, 0) == 0);
    for (i = 0; i < 4; i++) {
        must(CALL2(pipe2, answers[i], 0) == 0);
        begin(i, signals_body);
    }
    for (i = 0; i < 4; i++)
        must(CALL3(read, answers[i][0], &byte, 1) == 1);
    long process = (long)CALL0(getpid);
    for (i = 0; i < rounds; i++) {
        must(CALL3(tgkill, process, tids[3], SIGRTMIN + 1) == 0);
        for (j = 0; j < 3; j++)
            must(CALL3(tgkill, process, tids[j], SIGRTMIN) == 0);
        for (j = 0; j < 3; j++)
            must(CALL3(read, answers[j][0], &byte, 1) == 1);
    }
    join(4);
}

/* stops: a child with two threads more makes N calls in each of them while it is stopped and
 * continued twenty times; then it is killed. It makes only calls that a signal cannot interrupt. */
static volatile word finished[2];

static void stops_body(word thread)
{
    word i;
    for (i = 0; i < rounds; i++)
        CALL0(getppid);
    finished[thread] = 1;
    for (;;)
        RELAX();
}

static void stopped(int begun, int done)
{
    word i;
    for (i = 0; i < 2; i++)
        begin(i, stops_body);
    must(CALL3(write, begun, "x", 1) == 1);
    for (i = 0; i < rounds; i++)
        CALL0(getppid);
    while (!finished[0] || !finished[1])
        RELAX();
    must(CALL3(write, done, "x", 1) == 1);
    for (;;)
        RELAX();
}

static void stops(void)
{
    word i;
    int status, begun[2], done[2];
    char byte;
    must(CALL2(pipe2, begun, 0) == 0);
    must(CALL2(pipe2, done, 0) == 0);
    long child = (long)CALL2(clone, SIGCHLD, 0);
    if (!child)
        stopped(begun[1], done[1]);
    must(CALL3(read, begun[0], &byte, 1) == 1);
    for (i = 0; i < 20; i++) {
        must(CALL2(kill, child, SIGSTOP) == 0);
        must((long)CALL4(wait4, child, &status, WUNTRACED, 0) == child);
        must(status == (SIGSTOP << 8 | 0x7f));
        must(CALL2(kill, child, SIGCONT) == 0);
    }
    must(CALL3(read, done[0], &byte, 1) == 1);
    must(CALL2(kill, child, SIGKILL) == 0);
    must((long)CALL4(wait4, child, &status, 0, 0) == child);
    must(status == SIGKILL);
}

/* leader: N times, two children in each of which a thread that is not the first executes this
 * program: once while the first and another make no call, and once while the first is in vfork. */
static volatile word go;

static void idle_body(word unused)
{
    (void)unused;
    CALL0(gettid);
    go = 1;
    for (;;)
        RELAX();
}

static void taking_over_body(word unused)
{
    while (!go)
        RELAX();
    execute(unused);
}

/* Ends when the other end of its pipe has been closed by execve: it outlives its maker's program. */
static int alive[2];

static void vforked(word unused)
{
    char byte;
    (void)unused;
    must(CALL1(close, alive[1]) == 0);
    go = 1;
    must(CALL3(read, alive[0], &byte, 1) == 0);
    CALL1(exit_group, 0);
}

static void led(word in_call)
{
    if (in_call)
        must(CALL2(pipe2, alive, O_CLOEXEC) == 0);
    else
        begin(0, idle_body);
    begin(1, taking_over_body);
    if (in_call)
        task(CLONE_VM | CLONE_VFORK | SIGCHLD, stacks[2] + STACK, vforked, 0, 0);
    for (;;)
        RELAX();
}

static void leader(void)
{
    word i;
    for (i = 0; i < 2 * rounds; i++) {
        int status = 0;
        long child = (long)CALL2(clone, SIGCHLD, 0);
        if (!child)
            led(i % 2);
        must((long)CALL4(wait4, child, &status, 0, 0) == child);
        must(status == 7 << 8);
    }
}

/* end: N times, a child ends while eight more threads of it make calls: how many they make is not
 * known, but none of them may be counted that the kernel did not make any more. */
static void calling_body(word unused)
{
    (void)unused;
    for (;;)
        CALL0(getppid);
}

static void end(void)
{
    word i, j;
    for (i = 0; i < rounds; i++) {
        int status = 0;
        long child = (long)CALL2(clone, SIGCHLD, 0);
        if (!child) {
            for (j = 0; j < 8; j++)
                begin(j, calling_body);
            for (j = 0; j < 100; j++)
                CALL0(getppid);
            CALL1(exit_group, 7);
        }
        must((long)CALL4(wait4, child, &status, 0, 0) == child);
        must(status == 7 << 8);
    }
}

void run(word *stack)
{
    char **arguments = (char **)(stack + 1);
    const char *what = arguments[1];
    if (same(what, "nothing"))
        CALL1(exit_group, 7);
    words[0] = arguments[0];
    rounds = number(arguments[3]);
    paths = arguments + 4;
    path_count = stack[0] - 4;
    block_signals();
    if (same(what, "calls"))
        threads(8, calls_body);
    else if (same(what, "fork"))
        threads(8, fork_body);
    else if (same(what, "exec"))
        threads(8, exec_body);
    else if (same(what, "open"))
        threads(8, open_body);
    else if (same(what, "orphans"))
        orphans();
    else if (same(what, "signals"))
        signals();
    else if (same(what, "stops"))
        stops();
    else if (same(what, "leader"))
        leader();
    else if (same(what, "end"))
        end();
    else
        must(0);
    serve(arguments[2]);
}
