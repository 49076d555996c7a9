/* Enters the namespaces of a process, as root, and changes something there: intruder PID WHAT. Or
   traces it from outside. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char **words)
{
    if (count != 3)
        return 2;
    const char *what = words[2];
    if (!strcmp(what, "trace")) {
        if (ptrace(PTRACE_SEIZE, atoi(words[1]), 0, PTRACE_O_SUSPEND_SECCOMP)) {
            perror(what);
            return 1;
        }
        for (;;)
            pause();
    }
    int handle = syscall(SYS_pidfd_open, atoi(words[1]), 0);
    if (handle < 0 || setns(handle, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS)) {
        perror("enter");
        return 1;
    }
    int done = -1;
    if (!strcmp(what, "loosen"))
        done = mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL);
    if (!strcmp(what, "tighten"))
        done = mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID, NULL);
    if (!strcmp(what, "mount"))
        done = mount("intruder", "/etc", "tmpfs", 0, NULL);
    if (!strcmp(what, "unmount"))
        done = umount2("/etc", MNT_DETACH);
    if (!strcmp(what, "stay")) {
        pid_t child = fork();
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (;;)
                pause();
        }
        done = waitpid(child, NULL, 0) < 0;
    }
    if (done)
        perror(what);
    return done != 0;
}
