/* A service that does on request what a jail may forbid, and says whether it could; with two
   arguments (a port and a request) the client that asks it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

static int on_port(int port, int (*use)(int, const struct sockaddr *, socklen_t))
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (use(fd, (struct sockaddr *)&address, sizeof address)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Writes some bytes, or reads one. */
static int on_file(const char *path, int size)
{
    static char block[1 << 16];
    int fd = size ? open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600) : open(path, O_RDONLY);
    int good = fd >= 0;
    if (good && !size)
        good = read(fd, block, 1) == 1;
    for (; good && size > 0; size -= sizeof block)
        good = write(fd, block, sizeof block) == sizeof block;
    if (fd >= 0)
        close(fd);
    return good;
}

static int descriptors(int count)
{
    int first = dup(0), last = first;
    while (last >= 0 && last < count)
        last = dup(0);
    for (int fd = last; fd >= first && fd > 2; fd--)
        close(fd);
    return last >= count;
}

static int children(int count, int megabytes)
{
    int made = 0, good = 1, status;
    for (; made < count && good; made++) {
        pid_t child = fork();
        good = child >= 0;
        if (child == 0) {
            size_t size = (size_t)megabytes << 20;
            volatile char *memory = malloc(size + 1);
            for (size_t at = 0; memory && at < size; at += 4096)
                memory[at] = 1;
            usleep(20000);
            _exit(0);
        }
    }
    while (wait(&status) > 0)
        good = good && WIFEXITED(status);
    return good;
}

static int answer(char *request)
{
    char *what = strtok(request, " \n"), *first = strtok(NULL, " \n"), *second = strtok(NULL, " \n");
    int number = first ? atoi(first) : 0, fd;
    struct sysinfo info;
    void *memory;
    if (!strcmp(what, "hello"))
        return 1;
    if (!strcmp(what, "sysinfo"))
        return !sysinfo(&info);
    if (!strcmp(what, "family")) {
        fd = socket(number, SOCK_DGRAM, 0);
        return fd >= 0 && !close(fd);
    }
    if (!strcmp(what, "nice"))
        return !setpriority(PRIO_PROCESS, 0, number);
    if (!strcmp(what, "descriptors"))
        return descriptors(number);
    if (!strcmp(what, "file"))
        return on_file(first, second ? atoi(second) : 0);
    if (!strcmp(what, "children"))
        return children(number, second ? atoi(second) : 0);
    if (!strcmp(what, "port")) {
        fd = on_port(number, bind);
        return fd >= 0 && !close(fd);
    }
    if (!strcmp(what, "variable"))
        return getenv(first) != NULL;
    if (!strcmp(what, "executable")) {
        memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return memory != MAP_FAILED && !munmap(memory, 4096);
    }
    if (!strcmp(what, "both"))
        return getenv(first) != NULL && !sysinfo(&info);
    return 0;
}

static void serve(int port)
{
    int listener = on_port(port, bind);
    if (listener < 0 || listen(listener, 5))
        exit(1);
    for (;;) {
        char request[512] = "";
        int peer = accept(listener, NULL, NULL);
        if (peer < 0)
            continue;
        if (read(peer, request, sizeof request - 1) > 0) {
            const char *word = answer(request) ? "yes" : "no ";
            if (write(peer, word, 3) != 3)
                exit(1);
        }
        close(peer);
    }
}

static int ask(int port, const char *request)
{
    char word[3] = "";
    int peer = on_port(port, connect);
    return peer >= 0 && write(peer, request, strlen(request)) > 0 && read(peer, word, 3) == 3 &&
           !memcmp(word, "yes", 3);
}

int main(int count, char **words)
{
    if (count == 3 && strcmp(words[1], "serve"))
        return !ask(atoi(words[1]), words[2]);
    if (count > 3 && !strcmp(words[3], "helper")) {
        pid_t helper = fork();
        if (helper < 0)
            return 1;
        while (!helper)
            pause();
    }
    if (count > 2)
        serve(atoi(words[2]));
    return 64;
}
