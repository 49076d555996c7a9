/* Runs gaoler, counts the system calls of all its processes, and at one of them kills it or has
   the call fail. What it starts in a jail, and other programs, are let go when they are executed.

     tracer PLACE WHAT LOG COMMAND...

   PLACE: cN, the Nth call that changes something; dN, the Nth that only reads and can lack a
          descriptor; aN, the Nth of all; 0, none.
   WHAT:  before, after (every process of gaoler is killed), alone (only the one that calls, before
          the call), or the number of an error that the call ends with instead of being made.
   LOG:   gets a line for each call: whether it changes something, its number and its pid; then
          "hit" behind that at which it was done.

   Everything runs on one processor, so that calls come in the same order each time. What takes
   longer than half a minute hangs: it is killed, too, and the exit code is 98. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __x86_64__
#error "how a call is skipped is not known for this machine"
#endif

enum { BEFORE = -1, AFTER = -2, ALONE = -3 };

static struct stat program;
static FILE *logged;
static pid_t awaited; /* the thread whose call is to end before everything is killed */

static void die(const char *what)
{
    fprintf(stderr, "tracer: %s: %s\n", what, strerror(errno));
    exit(99);
}

/* A call that, when it is the last one before the end of the process, leaves everything outside of
   it as it was: it reads, waits, or changes only the process's own memory and descriptors. */
static int only_reads(pid_t pid, struct user_regs_struct *call)
{
    const unsigned long writing = O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY);
    switch (call->orig_rax) {
    case SYS_open:
        return !(call->rsi & writing);
    case SYS_openat:
        return !(call->rdx & writing);
    case SYS_openat2: /* struct open_how: the flags come first */
        return !(ptrace(PTRACE_PEEKDATA, pid, call->rdx, 0) & writing);
    case SYS_access: case SYS_arch_prctl: case SYS_brk: case SYS_clock_gettime:
    case SYS_clock_nanosleep: case SYS_close: case SYS_close_range: case SYS_dup: case SYS_dup2:
    case SYS_dup3: case SYS_epoll_create1: case SYS_epoll_ctl: case SYS_epoll_wait:
    case SYS_eventfd2: case SYS_exit: case SYS_exit_group: case SYS_faccessat: case SYS_faccessat2: case SYS_fadvise64:
    case SYS_fcntl: case SYS_fgetxattr: case SYS_flistxattr: case SYS_fstat: case SYS_fstatfs:
    case SYS_futex: case SYS_getcwd: case SYS_getdents64: case SYS_getegid: case SYS_geteuid:
    case SYS_getgid: case SYS_getgroups: case SYS_getpgid: case SYS_getpid: case SYS_getppid:
    case SYS_getrandom: case SYS_getresgid: case SYS_getresuid: case SYS_getsockname:
    case SYS_getsockopt: case SYS_gettid: case SYS_getuid: case SYS_getxattr: case SYS_lgetxattr:
    case SYS_listxattr: case SYS_llistxattr: case SYS_lseek: case SYS_lstat: case SYS_madvise:
    case SYS_memfd_create: case SYS_mincore: case SYS_mmap: case SYS_mprotect: case SYS_mremap:
    case SYS_munmap: case SYS_nanosleep: case SYS_newfstatat: case SYS_pidfd_open:
    case SYS_pipe2: case SYS_poll: case SYS_ppoll: case SYS_prctl: case SYS_pread64: case SYS_prlimit64:
    case SYS_read: case SYS_readlink: case SYS_readlinkat: case SYS_readv: case SYS_recvfrom:
    case SYS_recvmsg: case SYS_rseq: case SYS_rt_sigaction: case SYS_rt_sigprocmask:
    case SYS_rt_sigreturn: case SYS_sched_getaffinity: case SYS_sched_yield:
    case SYS_set_robust_list: case SYS_set_tid_address: case SYS_sigaltstack:
    case SYS_signalfd4: case SYS_socket: case SYS_socketpair: case SYS_stat: case SYS_statfs:
    case SYS_statx: case SYS_sysinfo: case SYS_timerfd_create: case SYS_timerfd_settime:
    case SYS_umask: case SYS_uname: case SYS_wait4: case SYS_waitid:
        return 1;
    default:
        return 0;
    }
}

/* A line of /proc/PID/status is not worth it: kill(2) takes the number of any thread. */
static void end(pid_t pid)
{
    if (kill(pid, SIGKILL) && errno != ESRCH)
        die("kill");
}

static pid_t known[512];

static void remember(pid_t pid)
{
    for (size_t at = 0; at < sizeof known / sizeof *known; at++) {
        if (known[at] == pid)
            return;
        if (!known[at]) {
            known[at] = pid;
            return;
        }
    }
    fprintf(stderr, "tracer: too many threads\n");
    exit(99);
}

static void forget(pid_t pid)
{
    for (size_t at = 0; at < sizeof known / sizeof *known; at++)
        if (known[at] == pid)
            known[at] = -1;
}

static volatile sig_atomic_t late;
static void catch(int signal) { late = signal; }

/* Kills all of them, and what they are just making, and waits for their end. */
static void end_all(void)
{
    int status;
    pid_t pid;
    for (size_t at = 0; at < sizeof known / sizeof *known && known[at]; at++)
        if (known[at] > 0)
            end(known[at]);
    while ((pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR)
        if (pid > 0 && WIFSTOPPED(status))
            end(pid);
    exit(late ? 98 : 137);
}

/* A call that only reads, and can lack a descriptor. Others of that kind cannot fail at all. */
static int takes_descriptor(unsigned long number)
{
    return number == SYS_open || number == SYS_openat || number == SYS_openat2
           || number == SYS_pipe2 || number == SYS_socket || number == SYS_pidfd_open
           || number == SYS_memfd_create;
}

/* At the entry of a call: answers whether it is the one. */
static int reached(pid_t pid, struct user_regs_struct *call, char kind, long place)
{
    static long all, taking, changing;
    int reads = only_reads(pid, call);
    int takes = reads && takes_descriptor(call->orig_rax);
    all++;
    taking += takes;
    changing += !reads;
    fprintf(logged, "%d %lld %d\n", !reads, call->orig_rax, pid);
    fflush(logged);
    int is_it = kind == 'a'   ? all == place
                : kind == 'd' ? takes && taking == place
                              : kind == 'c' && !reads && changing == place;
    if (!is_it)
        return 0;
    fprintf(logged, "hit\n");
    fflush(logged);
    return 1;
}

static void at_call(pid_t pid, char kind, long place, int what)
{
    struct __ptrace_syscall_info info;
    struct user_regs_struct call;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) < 0)
        return; /* killed meanwhile */
    if (info.op == PTRACE_SYSCALL_INFO_EXIT && pid == awaited)
        end_all();
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY || ptrace(PTRACE_GETREGS, pid, 0, &call))
        return;
    if (!reached(pid, &call, kind, place))
        return;
    switch (what) {
    case BEFORE:
        end_all();
        break;
    case AFTER:
        awaited = pid;
        break;
    case ALONE:
        end(pid);
        break;
    default: /* no call has the number -1: the kernel leaves the result as it is here */
        call.orig_rax = -1;
        call.rax = -what;
        if (ptrace(PTRACE_SETREGS, pid, 0, &call))
            die("have the call fail");
    }
}

/* Whether the process still is gaoler, after an execve. */
static int is_own(pid_t pid)
{
    char path[64];
    struct stat now;
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    return !stat(path, &now) && now.st_dev == program.st_dev && now.st_ino == program.st_ino;
}

static int event(pid_t pid, int status, char kind, long place, int what)
{
    int signal = WSTOPSIG(status);
    switch (status >> 16) {
    case 0:
        if (signal != (SIGTRAP | 0x80))
            return signal;
        at_call(pid, kind, place, what);
        return 0;
    case PTRACE_EVENT_EXEC:
        if (is_own(pid))
            return 0;
        forget(pid);
        ptrace(PTRACE_DETACH, pid, 0, 0);
        if (pid == awaited) /* its execve was the call */
            end_all();
        return -1;
    case PTRACE_EVENT_STOP:
        if (signal != SIGTRAP) {
            ptrace(PTRACE_LISTEN, pid, 0, 0);
            return -1;
        }
        return 0;
    default:
        return 0;
    }
}

int main(int argc, char **argv)
{
    const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK
                         | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
    char go = 1;
    int gate[2], status, what;
    cpu_set_t one;
    if (argc < 5)
        return 99;
    char kind = argv[1][0];
    long place = strtol(argv[1] + 1, NULL, 10);
    what = !strcmp(argv[2], "before") ? BEFORE
           : !strcmp(argv[2], "after") ? AFTER
           : !strcmp(argv[2], "alone") ? ALONE : atoi(argv[2]);
    logged = fopen(argv[3], "we");
    if (!logged || stat(argv[4], &program) || pipe2(gate, O_CLOEXEC))
        die(argv[4]);
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    pid_t root = fork();
    if (root < 0)
        die("fork");
    if (root == 0) {
        sched_setaffinity(0, sizeof one, &one);
        if (read(gate[0], &go, 1) == 1)
            execv(argv[4], argv + 4);
        _exit(99);
    }
    if (ptrace(PTRACE_SEIZE, root, 0, options) || ptrace(PTRACE_INTERRUPT, root, 0, 0)
        || write(gate[1], &go, 1) != 1)
        die("trace it");
    struct sigaction action = { .sa_handler = catch };
    sigaction(SIGALRM, &action, NULL);
    alarm(30);
    /* The calls before the program is executed are not gaoler's. */
    int begun = 0;
    for (;;) {
        pid_t pid = waitpid(-1, &status, __WALL);
        if (late)
            end_all();
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid < 0)
            die("wait");
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            forget(pid);
            if (pid == root) /* what else there is goes on without a tracer */
                return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            continue;
        }
        remember(pid);
        if (!begun && status >> 16 != PTRACE_EVENT_EXEC) {
            ptrace(PTRACE_CONT, pid, 0, 0);
            continue;
        }
        begun = 1;
        int signal = event(pid, status, kind, place, what);
        if (signal >= 0)
            ptrace(PTRACE_SYSCALL, pid, 0, signal);
    }
}
