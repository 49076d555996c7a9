/* attacker PID: as the jail's user, tries to take hold of a process that is about to become it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <unistd.h>

static void tell(const char *what, long result)
{
    printf("%s: %s\n", what, result < 0 ? strerrorname_np(errno) : "done");
}

int main(int count, char **words)
{
    char path[64];
    int target = count > 1 ? atoi(words[1]) : 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (setgroups(0, NULL) || setresgid(60, 60, 60) || setresuid(5, 5, 5))
        return 1;
    tell("attach", ptrace(PTRACE_SEIZE, target, 0, 0));
    snprintf(path, sizeof path, "/proc/%d/mem", target);
    tell("memory", open(path, O_RDWR));
    snprintf(path, sizeof path, "/proc/%d/root/etc", target);
    tell("root", open(path, O_RDONLY | O_DIRECTORY));
    snprintf(path, sizeof path, "/proc/%d/fd", target);
    tell("descriptors", open(path, O_RDONLY | O_DIRECTORY));
    return 0;
}
