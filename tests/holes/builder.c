/* builder MISTAKE TREE ...: makes things in a root tree by path, as builders that were wrong did. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static char path[4096];

static const char *in(const char *tree, const char *name)
{
    snprintf(path, sizeof path, "%s/%s", tree, name);
    return path;
}

static int write_file(const char *name)
{
    int file = open(name, O_WRONLY | O_CREAT, 0644);
    return file < 0 || write(file, "built", 5) != 5 || close(file);
}

int main(int count, char **words)
{
    const char *mistake = words[1], *tree = words[2];
    struct stat stat;
    if (count < 3)
        return 2;
    umask(0);
    if (!strcmp(mistake, "device"))
        return mknod(in(tree, "dev/null"), S_IFCHR | 0666, makedev(1, 3)) != 0;
    if (!strcmp(mistake, "parents"))
        return mkdir(in(tree, "etc/app"), 0755) || write_file(in(tree, "etc/app/config"));
    if (!strcmp(mistake, "copy"))
        return write_file(in(tree, "etc/passwd")) || chown(path, 5, 60);
    /* Looks first, and does it a moment later. */
    if (!strcmp(mistake, "race")) {
        for (int i = 0; i < 2000; i++) {
            if (lstat(in(tree, "data"), &stat) || !S_ISDIR(stat.st_mode))
                continue;
            usleep(500);
            if (write_file(in(tree, "data/new")))
                continue;
            unlink(path);
        }
        return 0;
    }
    /* A directory of its own where everybody can write, by a name that anybody can guess. */
    if (!strcmp(mistake, "temporary")) {
        if (mkdir(in(tree, "launcher"), 0700) && errno != EEXIST)
            return 1;
        return write_file(in(tree, "launcher/config"));
    }
    /* The null device, for who has a descriptor of it. */
    if (!strcmp(mistake, "mode"))
        return chmod(in(tree, "self/fd/3"), 04755) != 0;
    /* Ends the process that a file names. */
    if (!strcmp(mistake, "signal")) {
        FILE *file = fopen(tree, "r");
        int pid = 0;
        if (!file || fscanf(file, "%d", &pid) != 1 || pid < 2)
            return 1;
        char line[64];
        snprintf(line, sizeof line, "kill -TERM %d", pid);
        return system(line) != 0;
    }
    return 2;
}
