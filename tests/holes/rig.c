/* A host or a caller that is odd in one way. Each word before "--" makes it so, and then the
   command after it runs there. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
    fprintf(stderr, "rig: %s: %s\n", what, strerror(errno));
    exit(90);
}

/* One system call gets this answer, everything else runs. */
static int answer(int call, unsigned action, unsigned flags)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = { 6, program };
    int result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
    if (result < 0)
        die("install a filter");
    return result;
}

static void mounts_of_its_own(void)
{
    static int done;
    if (done++)
        return;
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL))
        die("make mounts of its own");
}

static void descriptor(int number)
{
    struct rlimit limit = { 65536, 65536 };
    int directory = open("/", O_RDONLY | O_DIRECTORY);
    setrlimit(RLIMIT_NOFILE, &limit);
    if (directory < 0 || dup2(directory, number) < 0)
        die("open a descriptor");
    if (directory != number)
        close(directory);
}

static void inheritable(void)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct sets[2];
    if (syscall(SYS_capget, &header, sets))
        die("read the capabilities");
    for (int i = 0; i < 2; i++)
        sets[i].inheritable = sets[i].permitted;
    if (syscall(SYS_capset, &header, sets))
        die("make the capabilities inheritable");
}

/* Stops the command at its first call of this number, runs a program as a user beside it, which
   is told the stopped process's number, and lets go. */
static int hold(int call, const char *attacker, char **command)
{
    struct seccomp_notif_resp go = { .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
    struct seccomp_notif held;
    int told[2], taken[2], status;
    if (pipe2(told, O_CLOEXEC) || pipe2(taken, O_CLOEXEC))
        die("make a pipe");
    pid_t child = fork();
    if (!child) {
        int listener = answer(call, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
        if (write(told[1], &listener, sizeof listener) != sizeof listener)
            die("tell of the listener");
        if (read(taken[0], &listener, 1) != 1)
            die("wait until it is taken");
        execv(command[0], command);
        _exit(91);
    }
    int number, listener;
    if (read(told[0], &number, sizeof number) != sizeof number)
        die("hear of the listener");
    int handle = syscall(SYS_pidfd_open, child, 0);
    listener = syscall(SYS_pidfd_getfd, handle, number, 0);
    if (listener < 0 || write(taken[1], "", 1) != 1)
        die("take the listener");
    for (int times = 0;; times++) {
        struct pollfd ready[2] = { { listener, POLLIN, 0 }, { handle, POLLIN, 0 } };
        if (poll(ready, 2, -1) < 0)
            die("wait");
        if (!(ready[0].revents & POLLIN))
            break;
        memset(&held, 0, sizeof held);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &held))
            continue;
        pid_t other = times ? 0 : fork();
        if (!times && !other) {
            char target[16];
            snprintf(target, sizeof target, "%d", held.pid);
            close(listener);
            execl(attacker, attacker, target, NULL);
            _exit(92);
        }
        if (!times)
            waitpid(other, &status, 0);
        go.id = held.id;
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &go);
    }
    if (waitpid(child, &status, 0) < 0)
        die("wait for the command");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int count, char **words)
{
    int held = -1, i = 1;
    const char *attacker = NULL;
    for (; i < count && strcmp(words[i], "--"); i++) {
        char *word = words[i], *rest = strchr(word, '='), *more;
        if (rest)
            *rest++ = 0;
        more = rest ? strchr(rest, ':') : NULL;
        if (more)
            *more++ = 0;
        if (!strcmp(word, "descriptor"))
            descriptor(atoi(rest));
        else if (!strcmp(word, "answer"))
            answer(atoi(rest), SECCOMP_RET_ERRNO | atoi(more), 0);
        else if (!strcmp(word, "hide")) {
            mounts_of_its_own();
            if (mount("tmpfs", rest, "tmpfs", 0, "mode=755"))
                die("hide");
        } else if (!strcmp(word, "over")) {
            mounts_of_its_own();
            if (mount(rest, more, NULL, MS_BIND, NULL))
                die("mount over");
        } else if (!strcmp(word, "group")) {
            gid_t group = atoi(rest);
            if (setgroups(1, &group))
                die("take a group");
        } else if (!strcmp(word, "inheritable"))
            inheritable();
        else if (!strcmp(word, "hold")) {
            held = atoi(rest);
            attacker = more;
        } else
            die(word);
    }
    if (i + 1 >= count)
        die("no command");
    if (held >= 0)
        return hold(held, attacker, words + i + 1);
    execv(words[i + 1], words + i + 1);
    die(words[i + 1]);
}
