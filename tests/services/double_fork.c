/* double_fork PORT PIDFILE: goes to the background as daemon(7) has it, then greets clients. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

static void background(const char *pid_file)
{
    FILE *file;
    int null;

    if (fork())
        _exit(0);
    setsid();
    if (fork())
        _exit(0);
    umask(022);
    null = open("/dev/null", O_RDWR);
    if (chdir("/") || null < 0 || dup2(null, 0) || dup2(null, 1) != 1 || dup2(null, 2) != 2)
        exit(3);
    file = fopen(pid_file, "w");
    if (!file || fprintf(file, "%d\n", (int)getpid()) < 0 || fclose(file))
        exit(4);
}

int main(int count, char **arguments)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;

    if (count != 3)
        return 2;
    address.sin_port = htons(atoi(arguments[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 5))
        return 1;
    background(arguments[2]);
    openlog("double_fork", LOG_PID, LOG_DAEMON);
    syslog(LOG_INFO, "in the background");
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client >= 0 && write(client, "hello\n", 6) != 6)
            syslog(LOG_INFO, "a client went away");
        close(client);
    }
}
