/* Says one line after another, each with its number: by syslog's socket and on its standard output,
 * as fast as both take them. Ends after so many, and then waits. One that a socket does not take is
 * lost and counted: "lost N" at the end. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int lost;

/* As syslog(3): waits while the socket is full, and opens it again once when nobody has it. */
static void say_to_log(int *log, const char *text)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
    for (int tries = 0; tries < 2; tries++) {
        if (*log < 0) {
            *log = socket(AF_UNIX, SOCK_DGRAM, 0);
            if (connect(*log, (struct sockaddr *)&address, sizeof address)) {
                close(*log);
                *log = -1;
                continue;
            }
        }
        if (send(*log, text, strlen(text), 0) == (ssize_t)strlen(text))
            return;
        close(*log);
        *log = -1;
    }
    lost++;
}

/* Whole, and in parts now and then; waits while the pipe is full. */
static void say(const char *text, size_t length)
{
    while (length) {
        ssize_t count = write(1, text, length);
        if (count > 0) {
            text += count;
            length -= count;
        } else if (errno == EAGAIN)
            usleep(1000);
        else
            exit(1);
    }
}

int main(int count, char **words)
{
    int log = -1, last = count > 1 ? atoi(words[1]) : 1000, pause_us = count > 2 ? atoi(words[2]) : 0;
    char text[64];
    for (int number = 1; number <= last; number++) {
        sprintf(text, "<30>chatter: logged %d.", number);
        say_to_log(&log, text);
        int length = sprintf(text, "printed %d.\n", number);
        if (number % 3) {
            say(text, length);
        } else {
            say(text, 4);
            usleep(100);
            say(text + 4, length - 4);
        }
        if (pause_us)
            usleep(pause_us);
    }
    sprintf(text, "lost %d.\n", lost);
    say(text, strlen(text));
    for (;;)
        pause();
}
