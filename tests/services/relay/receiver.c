/* receiver PORT SPOOL USER: takes messages by SMTP (RFC 5321) on the loopback and stores each in a
 * file of the spool, envelope first; delivers nothing. The first half of a relay in two parts, as
 * Obtuse smtpd was: the other half runs outside of the jail. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINE = 1002, MOST = 1 << 20, PATIENCE = 30 };

static unsigned long stored;

static void say(FILE *client, const char *text)
{
    fprintf(client, "%s\r\n", text);
    fflush(client);
}

/* The message and its envelope; it has its name when it is whole. */
static int store(FILE *client, const char *from, const char *to)
{
    char beside[64], name[64], line[LINE];
    long size = 0;
    int whole = 0, descriptor;
    FILE *file;

    snprintf(name, sizeof name, "message.%ld.%lu", (long)getpid(), ++stored);
    snprintf(beside, sizeof beside, "new.%ld.%lu", (long)getpid(), stored);
    descriptor = open(beside, O_WRONLY | O_CREAT | O_EXCL, 0640);
    if (descriptor < 0)
        return -1;
    file = fdopen(descriptor, "w");
    if (!file) {
        close(descriptor);
        unlink(beside);
        return -1;
    }
    fprintf(file, "%s\n%s\n", from, to);
    while (fgets(line, sizeof line, client)) {
        size_t length = strcspn(line, "\r\n");

        line[length] = 0;
        if (!strcmp(line, ".")) {
            whole = 1;
            break;
        }
        size += length;
        if (size > MOST)
            break;
        fprintf(file, "%s\n", line[0] == '.' ? line + 1 : line);
    }
    if (fflush(file) || fsync(descriptor))
        whole = 0;
    if (fclose(file) || !whole || rename(beside, name)) {
        unlink(beside);
        return -1;
    }
    return 0;
}

/* What is between the angle brackets: letters that no shell or header minds. */
static int address(const char *line, char *result, size_t room)
{
    static const char good[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@.+_-";
    const char *begin = strchr(line, '<'), *end = begin ? strchr(begin, '>') : NULL;
    size_t length = end ? (size_t)(end - begin - 1) : 0;

    if (!length || length >= room || strspn(begin + 1, good) < length)
        return -1;
    memcpy(result, begin + 1, length);
    result[length] = 0;
    return 0;
}

static void serve(FILE *client)
{
    char line[LINE], from[256] = "", to[256] = "";

    say(client, "220 a receiver");
    while (fgets(line, sizeof line, client)) {
        if (!strncasecmp(line, "HELO", 4) || !strncasecmp(line, "EHLO", 4)) {
            say(client, "250 welcome");
        } else if (!strncasecmp(line, "MAIL FROM:", 10)) {
            say(client, address(line, from, sizeof from) ? "553 no address" : "250 yes");
        } else if (!strncasecmp(line, "RCPT TO:", 8)) {
            say(client, address(line, to, sizeof to) ? "553 no address" : "250 yes");
        } else if (!strncasecmp(line, "DATA", 4) && *from && *to) {
            say(client, "354 go on");
            say(client, store(client, from, to) ? "451 not stored" : "250 stored");
            *from = *to = 0;
        } else if (!strncasecmp(line, "QUIT", 4)) {
            say(client, "221 bye");
            return;
        } else {
            say(client, "503 not now");
        }
    }
}

static void expire(int signal)
{
    (void)signal;
}

static int become(const char *name)
{
    struct passwd *user = getpwnam(name);

    if (!user)
        return -1;
    if (geteuid() == user->pw_uid)
        return 0;
    return setgroups(0, NULL) || setgid(user->pw_gid) || setuid(user->pw_uid);
}

int main(int count, char **arguments)
{
    struct sockaddr_in place = { .sin_family = AF_INET };
    struct sigaction patience = { .sa_handler = expire };
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;

    if (count != 4)
        return 2;
    place.sin_port = htons(atoi(arguments[1]));
    place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&place, sizeof place) || listen(listener, 5))
        return perror("listen"), 1;
    if (chdir(arguments[2]) || become(arguments[3]))
        return perror("spool and user"), 1;
    /* Without SA_RESTART: a client that says nothing is given up. */
    sigaction(SIGALRM, &patience, NULL);
    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        int connection = accept(listener, NULL, NULL);
        FILE *client = connection < 0 ? NULL : fdopen(connection, "r+");

        if (!client)
            continue;
        alarm(PATIENCE);
        serve(client);
        alarm(0);
        fclose(client);
    }
}
