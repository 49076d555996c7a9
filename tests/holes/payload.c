/* What runs in a jail and looks for holes. Each word is one look, in order; what it finds is
   printed, a line each. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void tell(const char *what, long result)
{
    printf("%s: %s\n", what, result < 0 ? strerrorname_np(errno) : "done");
}

/* Everything open but the standard descriptors. */
static void descriptors(void)
{
    for (int number = 3; number < 65536; number++) {
        struct stat stat;
        if (!fstat(number, &stat))
            printf("descriptor %d%s\n", number, S_ISDIR(stat.st_mode) ? " directory" : "");
    }
}

/* The working directory as the kernel says it, and what is above it. */
static void directory(void)
{
    char path[4096], up[256] = "";
    long length = syscall(SYS_getcwd, path, sizeof path);
    printf("directory %s\n", length > 0 ? path : strerrorname_np(errno));
    for (int i = 0; i < 32; i++) {
        strcat(up, "../");
        char shadow[300];
        snprintf(shadow, sizeof shadow, "%setc/shadow", up);
        if (open(shadow, O_RDONLY) >= 0 || errno != ENOENT) {
            printf("climbed %s\n", strerrorname_np(errno));
            return;
        }
    }
}

static void ids(void)
{
    unsigned uids[3], gids[3], groups[64];
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct sets[2];
    getresuid(&uids[0], &uids[1], &uids[2]);
    getresgid(&gids[0], &gids[1], &gids[2]);
    printf("uids %u %u %u %u\n", uids[0], uids[1], uids[2], (unsigned)syscall(SYS_setfsuid, -1));
    printf("gids %u %u %u %u\n", gids[0], gids[1], gids[2], (unsigned)syscall(SYS_setfsgid, -1));
    int count = getgroups(64, groups);
    for (int i = 0; i < count; i++)
        printf("group %u\n", groups[i]);
    if (!syscall(SYS_capget, &header, sets)) {
        printf("effective %08x%08x\n", sets[1].effective, sets[0].effective);
        printf("inheritable %08x%08x\n", sets[1].inheritable, sets[0].inheritable);
    }
    printf("no_new_privs %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    printf("seccomp %d\n", prctl(PR_GET_SECCOMP));
}

/* Every path that can be reached, and whether it can be written to. */
static void walk(const char *path)
{
    struct stat stat;
    if (lstat(path, &stat))
        return;
    int writable = S_ISREG(stat.st_mode) ? open(path, O_WRONLY) >= 0 : 0;
    printf("%s %s\n", writable ? "writable" : "reached", path);
    if (!S_ISDIR(stat.st_mode))
        return;
    DIR *directory = opendir(path);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        char below[4096];
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        snprintf(below, sizeof below, "%s/%s", strcmp(path, "/") ? path : "", entry->d_name);
        walk(below);
    }
    if (directory)
        closedir(directory);
}

/* What a test calls its copy of a launcher. */
#define COPY "launcher-under-test"

/* Every such copy that somebody in sight runs: opened to write; and opened to read, to be opened
   again and written to once nobody runs it any more. */
static void executables(void)
{
    DIR *all = opendir("/proc");
    for (struct dirent *entry; all && (entry = readdir(all));) {
        char path[300], again[64], target[4096] = "";
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9' || atoi(entry->d_name) == getpid())
            continue;
        snprintf(path, sizeof path, "/proc/%s/exe", entry->d_name);
        /* Nothing of the machine is opened: only the copy of a launcher that a test made. */
        if (readlink(path, target, sizeof target - 1) < 0 || !strstr(target, COPY))
            continue;
        int fd = open(path, O_WRONLY);
        if (fd >= 0 || errno == ETXTBSY)
            printf("could write %s\n", target);
        fd = open(path, O_RDONLY);
        if (fd < 0)
            continue;
        printf("opened %s\n", target);
        if (fork())
            continue;
        snprintf(again, sizeof again, "/proc/self/fd/%d", fd);
        for (int i = 0; i < 200; i++, usleep(10000)) {
            int target = open(again, O_WRONLY);
            if (target >= 0 && write(target, "overwritten", 11) == 11)
                _exit(0);
        }
        _exit(1);
    }
}

static long reach(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t length = strlen(path);
    memcpy(address.sun_path, path, length);
    if (*path == '@')
        address.sun_path[0] = 0;
    int end = socket(AF_UNIX, SOCK_STREAM, 0);
    return connect(end, (struct sockaddr *)&address, offsetof(struct sockaddr_un, sun_path) + length);
}

/* Hands a descriptor of its own root to whoever comes. */
static void offer(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char space[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 0;
    struct iovec text = { &byte, 1 };
    struct msghdr message = { .msg_iov = &text, .msg_iovlen = 1, .msg_control = space,
                              .msg_controllen = sizeof space };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    int root = open("/", O_RDONLY | O_DIRECTORY), end = socket(AF_UNIX, SOCK_STREAM, 0);
    strcpy(address.sun_path, path);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof root);
    memcpy(CMSG_DATA(header), &root, sizeof root);
    tell("bind", bind(end, (struct sockaddr *)&address, sizeof address));
    tell("listen", listen(end, 1));
    int peer = accept(end, NULL, NULL);
    tell("send", sendmsg(peer, &message, 0));
    read(peer, &byte, 1);
}

/* Takes such a descriptor, and goes up from it. */
static void take(const char *path)
{
    char space[CMSG_SPACE(sizeof(int))], byte, up[4096] = "";
    struct iovec text = { &byte, 1 };
    struct msghdr message = { .msg_iov = &text, .msg_iovlen = 1, .msg_control = space,
                              .msg_controllen = sizeof space };
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int other, end = socket(AF_UNIX, SOCK_STREAM, 0);
    strcpy(address.sun_path, path);
    tell("connect", connect(end, (struct sockaddr *)&address, sizeof address));
    tell("receive", recvmsg(end, &message, 0));
    if (!CMSG_FIRSTHDR(&message))
        return;
    memcpy(&other, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof other);
    tell("received", openat(other, ".", O_RDONLY | O_DIRECTORY));
    for (int i = 0; i < 32; i++) {
        strcat(up, "../");
        strcat(up, "etc/shadow");
        int found = openat(other, up, O_RDONLY | O_NOFOLLOW);
        if (found >= 0 || errno != ENOENT)
            printf("climbed %s\n", up);
        up[strlen(up) - strlen("etc/shadow")] = 0;
    }
}

int main(int count, char **words)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < count; i++) {
        char *word = words[i], *argument = strchr(word, '=');
        argument = argument ? argument + 1 : "";
        size_t length = strcspn(word, "=");
        if (!strcmp(word, "descriptors"))
            descriptors();
        else if (!strcmp(word, "directory"))
            directory();
        else if (!strcmp(word, "ids"))
            ids();
        else if (!strcmp(word, "walk"))
            walk("/");
        else if (!strcmp(word, "executables"))
            executables();
        else if (!strcmp(word, "again")) {
            words[i] = words[0];
            execv(words[0], words + i);
            tell("again", -1);
        } else if (!strcmp(word, "arguments")) {
            for (i++; i < count; i++) {
                fputs("argument ", stdout);
                for (char *at = words[i]; *at; at++)
                    printf("%02x", (unsigned char)*at);
                puts("");
            }
        } else if (!strncmp(word, "reach", length)) {
            printf("%s ", argument);
            tell("reach", reach(argument));
        } else if (!strncmp(word, "read", length)) {
            char path[64];
            int fd = openat(atoi(argument), "etc/shadow", O_RDONLY);
            snprintf(path, sizeof path, "read %s", argument);
            tell(path, fd);
        } else if (!strncmp(word, "refused", length))
            tell("refused", syscall(atoi(argument), -1, 0, 0, 0, 0, 0));
        else if (!strncmp(word, "offer", length))
            offer(argument);
        else if (!strncmp(word, "take", length))
            take(argument);
        else if (!strcmp(word, "pause"))
            pause();
        else
            return 64;
    }
    return 0;
}
