/* A careless caller: leaves something for the program that it becomes. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int count, char **words)
{
    int i = 1;
    for (; i < count && strcmp(words[i], "--"); i++) {
        if (!strcmp(words[i], "descriptors")) {
            int directory = open("/", O_RDONLY | O_DIRECTORY);
            if (directory < 0)
                return 99;
            for (int wanted = 3; wanted < 1003; wanted++)
                dup2(directory, wanted);
            if (dup2(directory, 4000) < 0)
                return 98;
        } else if (!strcmp(words[i], "closed")) {
            for (const char *digit = words[++i]; *digit; digit++)
                close(*digit - '0');
        } else if (!strcmp(words[i], "signals")) {
            sigset_t all;
            sigfillset(&all);
            signal(SIGPIPE, SIG_IGN);
            signal(SIGHUP, SIG_IGN);
            signal(40, SIG_IGN);
            sigprocmask(SIG_SETMASK, &all, NULL);
        } else if (!strcmp(words[i], "groups")) {
            gid_t groups[3] = { 4, 42, 4711 };
            if (setgroups(3, groups))
                return 97;
        } else if (!strcmp(words[i], "umask")) {
            umask(0);
        } else {
            return 96;
        }
    }
    if (i + 1 >= count)
        return 95;
    execv(words[i + 1], words + i + 1);
    return 94;
}
