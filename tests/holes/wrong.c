/* wrong MISTAKES ROOT PROGRAM [ARGUMENT...]: a small launcher that makes one mistake, or several
   that belong together, or none. What it does between mistakes is right: a root of its own, no
   descriptor, group or capability too many, an ordinary user, no_new_privs, a filter. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define USER 5
#define GROUP 60

static const char *mistakes;

/* Whether this is one of the mistakes, which are separated by commas. */
static int wrong(const char *mistake)
{
    size_t length = strlen(mistake);
    for (const char *at = mistakes; (at = strstr(at, mistake)); at += length)
        if ((at == mistakes || at[-1] == ',') && (!at[length] || at[length] == ','))
            return 1;
    return 0;
}

static void must(int failed, const char *what)
{
    if (!failed)
        return;
    fprintf(stderr, "wrong: %s: %s\n", what, strerror(errno));
    exit(125);
}

static void close_descriptors(void)
{
    if (wrong("descriptors"))
        return;
    int failed = syscall(SYS_close_range, 3, ~0U, 0);
    if (failed && wrong("first-thousand")) {
        for (int number = 3; number < 1024; number++)
            close(number);
        return;
    }
    must(failed, "close the descriptors");
}

/* What a directory of the host's holds, mounted where the jail has a directory of that name; looks
   first that it is one, and mounts a moment later. */
static void mount_looked_at(const char *root)
{
    char source[4096], target[4096];
    struct stat stat;
    snprintf(source, sizeof source, "%s/../data/sub", root);
    snprintf(target, sizeof target, "%s/sub", root);
    do
        must(lstat(source, &stat) && errno != ENOENT, "look at the directory");
    while (!S_ISDIR(stat.st_mode));
    usleep(2000);
    must(mount(source, target, NULL, MS_BIND, NULL), "mount the directory");
}

/* The null device of the jail over a file of the jail that it shall not read. */
static void mask(const char *root)
{
    char source[4096], target[4096];
    snprintf(source, sizeof source, "%s/dev/null", root);
    snprintf(target, sizeof target, "%s/secret", root);
    must(mount(source, target, NULL, MS_BIND, NULL), "mask");
}

static void change_root(const char *root)
{
    must(unshare(CLONE_NEWNS | CLONE_NEWIPC), "unshare");
    must(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL), "make mounts of its own");
    if (wrong("mask"))
        mask(root);
    if (wrong("race"))
        mount_looked_at(root);
    if (wrong("chroot")) {
        if (!wrong("directory"))
            must(chdir(root), "enter the root");
        must(chroot(root), "change the root");
        if (!wrong("directory"))
            must(chdir("/"), "enter the root");
        return;
    }
    int host = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(mount(root, root, NULL, MS_BIND | MS_REC, NULL), "mount the root");
    must(chdir(root), "enter the root");
    must(syscall(SYS_pivot_root, ".", "."), "change the root");
    must(umount2(".", MNT_DETACH), "detach the old root");
    must(chdir("/"), "enter the root");
    if (wrong("directory"))
        must(fchdir(host), "change directory");
    if (wrong("proc")) {
        mkdir("/proc", 0755);
        must(mount("proc", "/proc", "proc", 0, NULL), "mount /proc");
    }
}

static void drop_capabilities(void)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct sets[2] = { { 0, 0, 0 } };
    if (!wrong("inheritable"))
        must(syscall(SYS_capset, &header, sets), "drop the capabilities");
}

static void become_user(void)
{
    if (wrong("root"))
        return;
    if (wrong("names"))
        must(!getpwnam("games"), "find the user");
    int failed = setgroups(0, NULL);
    must(failed && !wrong("groups"), "set the groups");
    must(setresgid(GROUP, GROUP, GROUP), "set the group");
    if (wrong("saved")) {
        must(seteuid(USER), "set the user");
        return;
    }
    must(setresuid(USER, USER, USER), "set the user");
    drop_capabilities();
    if (wrong("dumpable"))
        must(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), "be dumpable");
}

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define REFUSE(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), \
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)

static void filter(void)
{
    int any = wrong("architecture"), half = wrong("whole-number");
    struct sock_filter program[] = {
        LOAD(arch),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, any ? SECCOMP_RET_ALLOW : SECCOMP_RET_KILL_PROCESS),
        LOAD(nr),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, any ? SECCOMP_RET_ALLOW : SECCOMP_RET_KILL_PROCESS),
        REFUSE(mount), REFUSE(unshare), REFUSE(ptrace), REFUSE(setns), REFUSE(keyctl),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 5),
        LOAD(args[1]) , /* the low half: x86_64 is little-endian */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x5412, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1]) + 4),
        /* Who compares the whole number lets through what has a bit set in its high half. */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, half ? 1 : 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog all = { sizeof program / sizeof *program, program };
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "set no_new_privs");
    if (!wrong("filter"))
        must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &all), "install the filter");
}

/* A shell takes the words apart again. */
static void by_shell(char **words)
{
    char line[65536] = "";
    for (; *words; words++) {
        strcat(line, *words);
        strcat(line, " ");
    }
    exit(system(line) ? 1 : 0);
}

int main(int count, char **words)
{
    char *environment[] = { NULL };
    must(count < 4, "read the command line");
    mistakes = words[1];
    close_descriptors();
    if (wrong("shell"))
        by_shell(words + 3);
    change_root(words[2]);
    if (wrong("waits")) {
        pid_t child = fork();
        if (child)
            return waitpid(child, NULL, 0) < 0;
    }
    if (!wrong("session"))
        setsid();
    become_user();
    filter();
    int program = open(words[3], O_PATH | O_CLOEXEC);
    must(program < 0, "open the program");
    syscall(SYS_execveat, program, "", words + 3, environment, AT_EMPTY_PATH);
    must(1, "execute the program");
}
