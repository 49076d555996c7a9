/*
 * A small HTTP/1.0 server: GET and HEAD of the files beneath a directory.
 *
 *   cc -O2 -o httpd httpd.c
 *   httpd [-u USER] PORT DIRECTORY
 *
 * It listens on 127.0.0.1, serves one client after another, logs accesses to standard output
 * and everything else by syslog(3). HUP reads the directory's path again, TERM ends it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST_MAX = 4096, TIMEOUT_S = 5 };

static volatile sig_atomic_t stopping, reopening;

static void on_signal(int number)
{
    if (number == SIGHUP)
        reopening = 1;
    else
        stopping = 1;
}

static void die(const char *what)
{
    fprintf(stderr, "httpd: %s: %s\n", what, strerror(errno));
    syslog(LOG_ERR, "%s: %m", what);
    exit(EXIT_FAILURE);
}

/* They are blocked but while nothing is going on: the mask for that is the answer. */
static sigset_t handle_signals(void)
{
    struct sigaction action = { .sa_handler = on_signal };
    sigset_t handled, before;

    sigemptyset(&handled);
    sigaddset(&handled, SIGTERM);
    sigaddset(&handled, SIGINT);
    sigaddset(&handled, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &handled, &before) || sigaction(SIGTERM, &action, NULL) || sigaction(SIGINT, &action, NULL) ||
        sigaction(SIGHUP, &action, NULL))
        die("sigaction");
    action.sa_handler = SIG_IGN;
    if (sigaction(SIGPIPE, &action, NULL))
        die("sigaction");
    return before;
}

static int listen_on(const char *text)
{
    char *end;
    long port = strtol(text, &end, 10);
    int on = 1, listener;
    struct sockaddr_in address = { .sin_family = AF_INET };

    if (*text == '\0' || *end != '\0' || port < 1 || port > 65535) {
        errno = EINVAL;
        die(text);
    }
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 64))
        die(text);
    return listener;
}

static void become(const char *name)
{
    struct passwd *user;

    errno = 0;
    user = getpwnam(name);
    if (!user) {
        if (!errno)
            errno = ENOENT;
        die(name);
    }
    if (geteuid() == user->pw_uid)
        return;
    if (initgroups(name, user->pw_gid) ||
        setresgid(user->pw_gid, user->pw_gid, user->pw_gid) ||
        setresuid(user->pw_uid, user->pw_uid, user->pw_uid))
        die(name);
}

static int open_directory(const char *path)
{
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (directory < 0)
        die(path);
    return directory;
}

/* Reads up to the blank line that ends the request's headers; false if none comes. */
static int read_request(int client, char *request)
{
    size_t length = 0;

    while (length < REQUEST_MAX - 1) {
        ssize_t count = read(client, request + length, REQUEST_MAX - 1 - length);
        if (count <= 0)
            return 0;
        length += count;
        request[length] = '\0';
        if (strstr(request, "\r\n\r\n") || strstr(request, "\n\n"))
            return 1;
    }
    return 0;
}

/* No name may lead out of the directory: none begins with a dot, none is a symbolic link. */
static int open_beneath(int directory, const char *path)
{
    char copy[REQUEST_MAX], *rest = copy, *name;
    int file = dup(directory);

    snprintf(copy, sizeof copy, "%s", *path == '/' && path[1] ? path : "/index.html");
    while (file >= 0 && (name = strsep(&rest, "/"))) {
        int above = file;
        if (*name == '\0')
            continue;
        file = *name == '.' ? -1 : openat(above, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        close(above);
    }
    return file;
}

static int answer(int client, int directory, char *request)
{
    char *rest = request, *method = strsep(&rest, " "), *path = strsep(&rest, " \r\n");
    int file, status = 200, length;
    struct stat stat = { 0 };
    char header[256];

    if (!path || (strcmp(method, "GET") && strcmp(method, "HEAD")))
        status = 400;
    file = status == 200 ? open_beneath(directory, path) : -1;
    if (status == 200 && (file < 0 || fstat(file, &stat) || !S_ISREG(stat.st_mode)))
        status = 404;
    length = snprintf(header, sizeof header,
                      "HTTP/1.0 %d %s\r\nServer: httpd\r\nContent-Length: %lld\r\n\r\n", status,
                      status == 200 ? "OK" : status == 404 ? "Not Found" : "Bad Request",
                      status == 200 ? (long long)stat.st_size : 0LL);
    if (write(client, header, length) == length && status == 200 && !strcmp(method, "GET"))
        while (sendfile(client, file, NULL, 1 << 20) > 0)
            ;
    if (file >= 0)
        close(file);
    printf("%ld %s %s %d\n", (long)time(NULL), method, path ? path : "-", status);
    fflush(stdout);
    return status;
}

int main(int count, char **arguments)
{
    const char *user = NULL;
    sigset_t idle;
    struct pollfd waiting = { .events = POLLIN };
    int option, listener, directory;
    char request[REQUEST_MAX];

    while ((option = getopt(count, arguments, "u:")) == 'u')
        user = optarg;
    if (option != -1 || count - optind != 2) {
        fprintf(stderr, "usage: %s [-u USER] PORT DIRECTORY\n", arguments[0]);
        return 2;
    }
    openlog("httpd", LOG_PID, LOG_DAEMON);
    idle = handle_signals();
    listener = waiting.fd = listen_on(arguments[optind]);
    if (user)
        become(user);
    directory = open_directory(arguments[optind + 1]);
    syslog(LOG_NOTICE, "serving %s on port %s", arguments[optind + 1], arguments[optind]);
    while (!stopping) {
        struct timeval patience = { .tv_sec = TIMEOUT_S };
        int client = -1;
        if (ppoll(&waiting, 1, NULL, &idle) > 0)
            client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (reopening) {
            reopening = 0;
            close(directory);
            directory = open_directory(arguments[optind + 1]);
            syslog(LOG_NOTICE, "opened %s again", arguments[optind + 1]);
        }
        if (client < 0 && errno != EINTR && errno != ECONNABORTED && errno != EAGAIN)
            die("accept");
        if (client < 0)
            continue;
        if (!setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) &&
            !setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) &&
            read_request(client, request) && answer(client, directory, request) == 400)
            syslog(LOG_INFO, "a request that is none");
        close(client);
    }
    syslog(LOG_NOTICE, "ending");
    return 0;
}
