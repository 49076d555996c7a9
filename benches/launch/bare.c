/*
 * The lower bound of a launch: the system calls that gaoler's plan comes to, and nothing else.
 * No plan is read, nothing is allocated or read back, no state is kept. What gaoler takes on top
 * of this is its own.
 *
 * bare TREE FILTER UID GID PROGRAM LOG
 *   TREE     the root tree             FILTER  a file of struct sock_filter
 *   PROGRAM  path in the tree          LOG     is made, with the log socket in it, bound on
 *                                              TREE/dev/gaoler, and removed again
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sock_filter filter[32768];

/* What the first process installs has a test for each of six calls; the length is what counts. */
static struct sock_filter first_filter[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

#define MUST(call) must((long)(call), #call)

static long must(long result, const char *what)
{
	if (result < 0)
		err(125, "%s", what);
	return result;
}

/* A copy of the mount at `path`, with tighter attributes, mounted nowhere yet. */
static int clone_mount(const char *path, uint64_t attributes)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC | O_NOFOLLOW,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int found = MUST(syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how));
	int mount = MUST(syscall(SYS_open_tree, found, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
				 AT_EMPTY_PATH | AT_RECURSIVE));
	struct mount_attr attr = { .attr_set = attributes };
	MUST(syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr));
	close(found);
	return mount;
}

static void mounts(const char *tree, const char *log)
{
	MUST(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL));
	int root = clone_mount(tree, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID);
	MUST(syscall(SYS_move_mount, root, "", AT_FDCWD, tree, MOVE_MOUNT_F_EMPTY_PATH));
	int bound = clone_mount(log, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
				MOUNT_ATTR_NOEXEC);
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC | O_NOFOLLOW,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int place = MUST(syscall(SYS_openat2, root, "dev/gaoler", &how, sizeof how));
	MUST(syscall(SYS_move_mount, bound, "", place, "",
		     MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
	MUST(fchdir(root));
	MUST(syscall(SYS_pivot_root, ".", "."));
	MUST(umount2(".", MNT_DETACH));
	MUST(chdir("/"));
}

static int landlock(const char *tree, const char *program)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = 0x1fff };
	int ruleset = MUST(syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0));
	char path[4096];
	strcpy(stpcpy(path, tree), program);
	struct landlock_path_beneath_attr rule = {
		.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_EXECUTE,
		.parent_fd = MUST(open(path, O_PATH | O_CLOEXEC)),
	};
	MUST(syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0));
	close(rule.parent_fd);
	return ruleset;
}

static void drop(uid_t uid, gid_t gid)
{
	struct rlimit core = { 0, 0 };
	MUST(setrlimit(RLIMIT_CORE, &core));
	umask(022);
	for (int capability = 0; capability <= CAP_LAST_CAP; capability++)
		MUST(prctl(PR_CAPBSET_DROP, capability, 0, 0, 0));
	MUST(syscall(SYS_setgroups, 0, NULL));
	MUST(syscall(SYS_setresgid, gid, gid, gid));
	MUST(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
	MUST(syscall(SYS_setresuid, uid, uid, uid));
	MUST(prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0));
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct none[2] = { 0 };
	MUST(syscall(SYS_capset, &header, none));
	MUST(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
}

/* Reads ids and capabilities back, as the plan has it. */
static void verify(uid_t uid, gid_t gid)
{
	uid_t uids[3];
	gid_t gids[3];
	MUST(syscall(SYS_getresuid, uids, uids + 1, uids + 2));
	MUST(syscall(SYS_getresgid, gids, gids + 1, gids + 2));
	if (uids[2] != uid || gids[2] != gid || syscall(SYS_getgroups, 0, NULL) != 0)
		errx(125, "the ids are others");
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct found[2];
	MUST(syscall(SYS_capget, &header, found));
	for (int capability = 0; capability <= CAP_LAST_CAP; capability++)
		if (MUST(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, capability, 0, 0)) != 0)
			errx(125, "a capability is left");
}

static void service(int ruleset, struct sock_fprog *fprog, const char *program, uid_t uid,
		    gid_t gid)
{
	MUST(setsid());
	int opened = MUST(open(program, O_PATH | O_CLOEXEC));
	MUST(dup3(opened, 3, O_CLOEXEC));
	MUST(chdir("/"));
	MUST(dup3(ruleset, 5, O_CLOEXEC));
	MUST(syscall(SYS_close_range, 6, ~0U, 0));
	drop(uid, gid);
	verify(uid, gid);
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	MUST(syscall(SYS_landlock_restrict_self, 5, 0));
	MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, fprog));
	char *arguments[] = { (char *)program, NULL }, *environment[] = { NULL };
	MUST(syscall(SYS_execveat, 3, "", arguments, environment, AT_EMPTY_PATH));
}

/* The first process of the pid namespace. */
static int first(const char *tree, const char *log, int ruleset, struct sock_fprog *fprog,
		 const char *program, uid_t uid, gid_t gid)
{
	mounts(tree, log);
	/* Like gaoler's, the service's process borrows this one's memory until it is executed. */
	if (MUST(vfork()) == 0)
		service(ruleset, fprog, program, uid, gid);
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct none[2] = { 0 };
	MUST(syscall(SYS_capset, &header, none));
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	struct sock_fprog own = { sizeof first_filter / sizeof *first_filter, first_filter };
	MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &own));
	int status;
	MUST(wait(&status));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The jail's log socket in its directory. */
static void open_log(const char *directory, struct sockaddr_un *address)
{
	int one = 1;
	MUST(mkdir(directory, 0755));
	strcpy(stpcpy(address->sun_path, directory), "/log");
	int opened = MUST(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	MUST(setsockopt(opened, SOL_SOCKET, SO_PASSCRED, &one, sizeof one));
	MUST(bind(opened, (struct sockaddr *)address, sizeof *address));
	MUST(chmod(address->sun_path, 0666));
}

int main(int count, char **words)
{
	if (count != 7)
		errx(2, "usage: bare TREE FILTER UID GID PROGRAM LOG");
	/* These two become 3 and 4, and stay open: neither 3 nor 5 below overwrites what is needed. */
	int source = MUST(open(words[2], O_RDONLY | O_CLOEXEC));
	ssize_t length = MUST(read(source, filter, sizeof filter));
	struct sock_fprog fprog = { length / sizeof *filter, filter };
	int ruleset = landlock(words[1], words[5]);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (strlen(words[6]) > sizeof address.sun_path - sizeof "/log")
		errx(2, "LOG is too long");
	open_log(words[6], &address);
	struct clone_args fork = {
		.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS,
		.exit_signal = SIGCHLD,
	};
	long child = MUST(syscall(SYS_clone3, &fork, sizeof fork));
	if (child == 0)
		_exit(first(words[1], words[6], ruleset, &fprog, words[5], atoi(words[3]),
			    atoi(words[4])));
	int status;
	MUST(waitpid(child, &status, 0));
	MUST(unlink(address.sun_path));
	MUST(rmdir(words[6]));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
