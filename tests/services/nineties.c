/*
 * nineties HOME PORT USER [wait] -- answers questions, as it was done then.  Goes to the background
 * by itself (with "wait", its first process waits for ever), is spoken to through a port, a FIFO and
 * a control socket, loads plug-ins, and has a helper do the dirty work.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <errno.h>
#include <signal.h>
#include <fcntl.h>
#include <pwd.h>
#include <grp.h>
#include <syslog.h>
#include <dlfcn.h>
#include <sys/types.h>
#include <sys/param.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <arpa/inet.h>

static char *home;
static int again, done;
static char path[4][MAXPATHLEN];

char *
name(i, s)
	int i;
	char *s;
{
	sprintf(path[i], "%s/%s", home, s);
	return path[i];
}

void hup(s) int s; { again = 1; }
void term(s) int s; { done = 1; }
void chld(s) int s; { int e = errno, st; while (waitpid(-1, &st, WNOHANG) > 0) ; errno = e; }

void
background(waits)
	int waits;
{
	int i;
	FILE *f;

	if ((i = fork()) < 0) exit(1);
	if (i && waits) for (;;) pause();
	if (i) exit(0);
	setsid();
	signal(SIGHUP, SIG_IGN);
	if (fork()) exit(0);
	for (i = getdtablesize() - 1; i >= 0; i--) (void)close(i);
	open("/dev/null", O_RDWR); dup(0); dup(0);
	if ((i = open("/dev/tty", O_RDWR)) >= 0) { ioctl(i, TIOCNOTTY, (char *)0); close(i); }
	chdir(home);
	umask(022);
	if ((f = fopen(name(0, "own/nineties.pid"), "w"))) { fprintf(f, "%d\n", getpid()); fclose(f); }
}

/* what the plug-in says */
void
plug(fd, what)
	int fd;
	char *what;
{
	char buf[256], file[128];
	void *h;
	char *(*say)();

	sprintf(file, "%s/plug/%s.so", home, what);
	if (!(h = dlopen(file, RTLD_NOW))) { sprintf(buf, "no plug-in: %.200s\n", dlerror()); write(fd, buf, strlen(buf)); return; }
	say = (char *(*)())dlsym(h, "say");
	sprintf(buf, "%s\n", (*say)());
	write(fd, buf, strlen(buf));
	dlclose(h);
}

/* what the helper says */
void
helper(fd, what)
	int fd;
	char *what;
{
	char buf[512];
	FILE *p;

	sprintf(buf, "%s/libexec/helper %s", home, what);
	if (!(p = popen(buf, "r"))) { write(fd, "no helper\n", 10); return; }
	while (fgets(buf, sizeof buf, p)) write(fd, buf, strlen(buf));
	pclose(p);
	sprintf(buf, "%s/libexec/helper %s >>%s/own/helper.out 2>&1", home, what, home);
	if (system(buf) != 0 && errno != ECHILD) write(fd, "system failed\n", 14);
}

void
command(fd, line)
	int fd;
	char *line;
{
	char *w = strtok(line, " \r\n"), *a = strtok((char *)0, " \r\n");
	if (!w) return;
	if (!strcmp(w, "PLUG")) plug(fd, a ? a : "hello");
	else if (!strcmp(w, "HELP")) helper(fd, a ? a : "me");
	else if (!strcmp(w, "QUIT")) done = 1;
	else write(fd, "what?\n", 6);
	syslog(LOG_INFO, "did %s", w);
}

main(argc, argv)
	int argc;
	char **argv;
{
	struct sockaddr_in a;
	struct sockaddr_un u;
	struct passwd *pw;
	struct timeval tv;
	int s, c, f, n, on = 1;
	fd_set r;
	char buf[512];

	if (argc < 4) { fprintf(stderr, "usage: nineties home port user [wait]\n"); exit(2); }
	home = argv[1];
	if (getuid()) { fprintf(stderr, "nineties: warning: not root\n"); }
	background(argc > 4);
	openlog("nineties", LOG_PID, LOG_DAEMON);
	s = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, (char *)&on, sizeof on);
	memset(&a, 0, sizeof a);
	a.sin_family = AF_INET; a.sin_addr.s_addr = inet_addr("127.0.0.1"); a.sin_port = htons(atoi(argv[2]));
	if (bind(s, (struct sockaddr *)&a, sizeof a) < 0) { syslog(LOG_ERR, "bind: %m"); exit(1); }
	listen(s, 5);
	unlink(name(1, "own/ctl"));
	if (mkfifo(path[1], 0622) < 0) { syslog(LOG_ERR, "mkfifo: %m"); exit(1); }
	f = open(path[1], O_RDWR | O_NDELAY);
	/* others pull this one; it stays, as root has made it */
	if (mkfifo(name(3, "own/trigger"), 0600) < 0 && errno != EEXIST) { syslog(LOG_ERR, "mkfifo: %m"); exit(1); }
	if (open(path[3], O_RDWR | O_NDELAY) < 0) { syslog(LOG_ERR, "trigger: %m"); exit(1); }
	unlink(name(2, "own/sock"));
	c = socket(AF_UNIX, SOCK_STREAM, 0);
	memset(&u, 0, sizeof u); u.sun_family = AF_UNIX; strcpy(u.sun_path, path[2]);
	if (bind(c, (struct sockaddr *)&u, sizeof u) < 0) { syslog(LOG_ERR, "bind ctl: %m"); exit(1); }
	chmod(path[2], 0600);
	listen(c, 5);
	if (getuid() == 0) {
		if (!(pw = getpwnam(argv[3]))) { syslog(LOG_ERR, "who is %s", argv[3]); exit(1); }
		chown(path[1], pw->pw_uid, pw->pw_gid);
		chown(path[2], pw->pw_uid, pw->pw_gid);
		initgroups(argv[3], pw->pw_gid);
		setgid(pw->pw_gid);
		setuid(pw->pw_uid);
	}
	signal(SIGHUP, hup); signal(SIGTERM, term); signal(SIGPIPE, SIG_IGN); 
	syslog(LOG_NOTICE, "ready");
	while (!done) {
		FD_ZERO(&r); FD_SET(s, &r); FD_SET(c, &r); FD_SET(f, &r);
		tv.tv_sec = 30; tv.tv_usec = 0;
		if (again) { again = 0; syslog(LOG_INFO, "again"); }
		n = select(FD_SETSIZE < 64 ? FD_SETSIZE : 64, &r, (fd_set *)0, (fd_set *)0, &tv);
		if (n <= 0) continue;
		if (FD_ISSET(f, &r) && (n = read(f, buf, sizeof buf - 1)) > 0) {
			int o = open(name(3, "own/answers"), O_WRONLY | O_CREAT | O_APPEND, 0644);
			buf[n] = 0; command(o, buf); close(o);
		}
		if (FD_ISSET(c, &r) && (n = accept(c, 0, 0)) >= 0) {
			int l = read(n, buf, sizeof buf - 1);
			if (l > 0) { buf[l] = 0; command(n, buf); }
			close(n);
		}
		if (FD_ISSET(s, &r) && (n = accept(s, 0, 0)) >= 0) {
			signal(SIGCHLD, chld);
			switch (fork()) {
			case 0: { int l; signal(SIGCHLD, SIG_DFL); l = read(n, buf, sizeof buf - 1); if (l > 0) { buf[l] = 0; command(n, buf); } _exit(0); }
			}
			close(n);
		}
	}
	unlink(path[1]); unlink(path[2]);
	syslog(LOG_NOTICE, "gone");
	exit(0);
}
