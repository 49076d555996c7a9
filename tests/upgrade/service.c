/* A service in several versions, and with three arguments (a port, a request and the answer that is
   expected) the client that asks it. What a version does wrong is chosen when it is compiled. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#ifndef VERSION
#define VERSION "1"
#endif

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

static const char *answer(const char *request)
{
    if (!strcmp(request, "version"))
        return VERSION;
    if (!strcmp(request, "work")) {
#ifdef LOSES
        return "no";
#endif
#ifdef NEEDS
        struct sysinfo info;
        if (sysinfo(&info))
            return "no";
#endif
        return "yes";
    }
    return "?";
}

int main(int count, char **words)
{
    char text[64] = "";
    if (count == 4) {
        int peer = on_port(atoi(words[1]), connect);
        if (peer < 0 || write(peer, words[2], strlen(words[2])) < 0 || read(peer, text, sizeof text - 1) < 0)
            return 1;
        puts(text);
        return strcmp(text, words[3]) != 0;
    }
#ifdef CRASHES
    return 1;
#endif
    int listener = on_port(atoi(words[1]), bind);
    if (listener < 0 || listen(listener, 5))
        return 1;
    for (;;) {
        int peer = accept(listener, NULL, NULL);
        if (peer < 0)
            continue;
        memset(text, 0, sizeof text);
        if (read(peer, text, sizeof text - 1) > 0) {
            const char *said = answer(text);
            if (write(peer, said, strlen(said)) < 0)
                return 1;
        }
        close(peer);
    }
}
