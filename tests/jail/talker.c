// A service that logs: COUNT messages by syslog(3) for each SIGUSR1, and COUNT entries of journald's own
// protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/) for each SIGUSR2, the last in a sealed file.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

static void speak(int count) {
  for (int number = 0; number < count; number++)
    syslog(LOG_NOTICE, "message %d of %d", number, count);
  printf("spoke %d\n", count);
}

static void enter(int count) {
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket"};
  int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  char text[256];
  struct iovec part = {.iov_base = text};
  struct msghdr header = {.msg_name = &address, .msg_namelen = sizeof address, .msg_iov = &part, .msg_iovlen = 1};
  for (int number = 0; number < count - 1; number++) {
    part.iov_len = (size_t)snprintf(text, sizeof text,
                                    "MESSAGE=entry %d of %d\nPRIORITY=3\nSYSLOG_IDENTIFIER=talker\n"
                                    "NUMBER=%d\n_PID=1\nGAOLER_JAIL=other\n",
                                    number, count, number);
    sendmsg(descriptor, &header, MSG_NOSIGNAL);
  }
  int file = memfd_create("entry", MFD_ALLOW_SEALING | MFD_CLOEXEC);
  int length = snprintf(text, sizeof text, "MESSAGE=entry %d of %d, sealed\nPRIORITY=4\n", count - 1, count);
  if (write(file, text, (size_t)length) != length)
    exit(1);
  fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
  } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
  memcpy(CMSG_DATA(&control.header), &file, sizeof file);
  header.msg_iovlen = 0;
  header.msg_control = &control;
  header.msg_controllen = sizeof control;
  sendmsg(descriptor, &header, MSG_NOSIGNAL);
  close(file);
  close(descriptor);
  printf("entered %d\n", count);
}

int main(int argc, char **argv) {
  int count = argc > 1 ? atoi(argv[1]) : 0;
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  sigaddset(&signals, SIGUSR2);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  setvbuf(stdout, NULL, _IOLBF, 0);
  openlog("talker", LOG_NDELAY, LOG_DAEMON);
  puts("ready");
  for (;;) {
    int signal;
    if (sigwait(&signals, &signal))
      return 1;
    if (signal == SIGUSR1)
      speak(count);
    else
      enter(count);
  }
}
