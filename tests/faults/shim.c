/* SPDX-License-Identifier: ISC */
/*
 * shim - lets a call of the C library fail in a program that knows nothing of it.
 *
 * Preloaded.  In the environment: FAULT_CALL the function, FAULT_NTH the first of its
 * calls that fails, FAULT_TIMES how many do, FAULT_ERROR the errno (a number; 0: a write
 * is cut short, a clock jumps by FAULT_JUMP seconds), FAULT_ROOT: calls on files count
 * only below it, FAULT_REPORT: a file that gets a line "hit" when it strikes and, when
 * the process ends, "count FUNCTION N" for each function.  Without FAULT_CALL it only
 * counts.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum call {
	CALL_WRITE,
	CALL_PWRITE,
	CALL_WRITEV,
	CALL_FDATASYNC,
	CALL_FSYNC,
	CALL_FTRUNCATE,
	CALL_FALLOCATE,
	CALL_OPEN,
	CALL_MKDIR,
	CALL_UNLINK,
	CALL_PREAD,
	CALL_STATVFS,
	CALL_SOCKET,
	CALL_ACCEPT,
	CALL_RECV,
	CALL_SEND,
	CALL_EPOLL_WAIT,
	CALL_MMAP,
	CALL_MALLOC,
	CALL_CLOCK,
	CALLS
};

static const char *const names[CALLS] = {"write", "pwrite", "writev", "fdatasync",
    "fsync", "ftruncate", "fallocate", "open", "mkdir", "unlink", "pread", "statvfs",
    "socket", "accept", "recv", "send", "epoll_wait", "mmap", "malloc", "clock"};

static struct {
	bool on;
	int call; /* -1: none */
	unsigned long nth, times;
	int error;
	long jump;
	char root[PATH_MAX];
	int report;
	atomic_ulong count[CALLS];
} shim = {.call = -1};

static void
say(const char *text, size_t n)
{
	if (shim.report > 0)
		(void)syscall(SYS_write, shim.report, text, n);
}

static unsigned long
number(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);
	return text != NULL ? strtoul(text, NULL, 10) : otherwise;
}

/* Only the daemon itself: what it starts has the same environment. */
static bool
is_helper(void)
{
	char text[4096];
	int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY, 0);
	ssize_t n = fd >= 0 ? syscall(SYS_read, fd, text, sizeof(text)) : 0;
	if (fd >= 0)
		(void)syscall(SYS_close, fd);
	return n > 0 && memmem(text, (size_t)n, "-c", 3) == NULL;
}

__attribute__((constructor)) static void
begin(void)
{
	const char *call = getenv("FAULT_CALL"), *root = getenv("FAULT_ROOT"),
		   *report = getenv("FAULT_REPORT"), *jump = getenv("FAULT_JUMP");
	if (root == NULL || report == NULL || is_helper())
		return;
	(void)snprintf(shim.root, sizeof(shim.root), "%s/", root);
	int fd = (int)syscall(SYS_openat, AT_FDCWD, report,
	    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	shim.report = fcntl(fd, F_DUPFD_CLOEXEC, 900);
	(void)syscall(SYS_close, fd);
	for (int i = 0; call != NULL && i < CALLS; i++)
		if (strcmp(names[i], call) == 0)
			shim.call = i;
	shim.nth = number("FAULT_NTH", 1);
	shim.times = number("FAULT_TIMES", 1);
	shim.error = (int)number("FAULT_ERROR", 0);
	shim.jump = jump != NULL ? strtol(jump, NULL, 10) : 0;
	shim.on = true;
}

__attribute__((destructor)) static void
end(void)
{
	char line[64];
	for (int i = 0; shim.on && i < CALLS; i++)
		say(line, (size_t)snprintf(line, sizeof(line), "count %s %lu\n", names[i],
			      atomic_load(&shim.count[i])));
}

/* This call shall fail; errno is set. */
static bool
strikes(enum call c)
{
	if (!shim.on)
		return false;
	unsigned long n = atomic_fetch_add(&shim.count[c], 1) + 1;
	if ((int)c != shim.call || n < shim.nth || n - shim.nth >= shim.times)
		return false;
	if (n == shim.nth)
		say("hit\n", 4);
	errno = shim.error;
	return true;
}

static bool
is_ours(int fd)
{
	char name[40], path[PATH_MAX];
	if (!shim.on)
		return false;
	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, name, path, sizeof(path) - 2);
	if (n <= 0)
		return false;
	path[n] = '/'; /* the directory itself counts, too */
	path[n + 1] = '\0';
	return strncmp(path, shim.root, strlen(shim.root)) == 0;
}

/* ---- files */

ssize_t
write(int fd, const void *p, size_t n)
{
	if (is_ours(fd) && strikes(CALL_WRITE)) {
		if (shim.error != 0)
			return -1;
		n = (n + 1) / 2;
	}
	return syscall(SYS_write, fd, p, n);
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
	if (is_ours(fd) && strikes(CALL_PWRITE)) {
		if (shim.error != 0)
			return -1;
		n = (n + 1) / 2;
	}
	return syscall(SYS_pwrite64, fd, p, n, at);
}

ssize_t
writev(int fd, const struct iovec *v, int n)
{
	if (is_ours(fd) && strikes(CALL_WRITEV)) {
		if (shim.error != 0)
			return -1;
		return write(fd, v[0].iov_base, v[0].iov_len);
	}
	return syscall(SYS_writev, fd, v, n);
}

int
fdatasync(int fd)
{
	return is_ours(fd) && strikes(CALL_FDATASYNC) ? -1
						      : (int)syscall(SYS_fdatasync, fd);
}

int
fsync(int fd)
{
	return is_ours(fd) && strikes(CALL_FSYNC) ? -1 : (int)syscall(SYS_fsync, fd);
}

int
ftruncate(int fd, off_t n)
{
	return is_ours(fd) && strikes(CALL_FTRUNCATE)
		   ? -1
		   : (int)syscall(SYS_ftruncate, fd, n);
}

int
posix_fallocate(int fd, off_t at, off_t n)
{
	if (is_ours(fd) && strikes(CALL_FALLOCATE))
		return shim.error;
	return syscall(SYS_fallocate, fd, 0, at, n) == 0 ? 0 : errno;
}

ssize_t
pread(int fd, void *p, size_t n, off_t at)
{
	if (is_ours(fd) && strikes(CALL_PREAD)) {
		if (shim.error != 0)
			return -1;
		n = (n + 1) / 2;
	}
	return syscall(SYS_pread64, fd, p, n, at);
}

static bool
names_ours(int at, const char *name)
{
	if (name[0] == '/')
		return shim.on && strncmp(name, shim.root, strlen(shim.root) - 1) == 0;
	return at != AT_FDCWD && is_ours(at);
}

#define MODE(flags, last)                            \
	({                                           \
		mode_t mode_ = 0;                    \
		if (((flags)&O_CREAT) != 0) {        \
			va_list ap_;                 \
			va_start(ap_, last);         \
			mode_ = va_arg(ap_, mode_t); \
			va_end(ap_);                 \
		}                                    \
		mode_;                               \
	})

int
open(const char *name, int flags, ...)
{
	mode_t mode = MODE(flags, flags);
	if (names_ours(AT_FDCWD, name) && strikes(CALL_OPEN))
		return -1;
	return (int)syscall(SYS_openat, AT_FDCWD, name, flags, mode);
}

int
openat(int at, const char *name, int flags, ...)
{
	mode_t mode = MODE(flags, flags);
	if (names_ours(at, name) && strikes(CALL_OPEN))
		return -1;
	return (int)syscall(SYS_openat, at, name, flags, mode);
}

int
mkdirat(int at, const char *name, mode_t mode)
{
	if (names_ours(at, name) && strikes(CALL_MKDIR))
		return -1;
	return (int)syscall(SYS_mkdirat, at, name, mode);
}

int
unlinkat(int at, const char *name, int flags)
{
	if (names_ours(at, name) && strikes(CALL_UNLINK))
		return -1;
	return (int)syscall(SYS_unlinkat, at, name, flags);
}

#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

int
fstatvfs(int fd, struct statvfs *v)
{
	return is_ours(fd) && strikes(CALL_STATVFS) ? -1 : REAL(fstatvfs)(fd, v);
}

/* ---- connections */

int
socket(int domain, int type, int protocol)
{
	return strikes(CALL_SOCKET) ? -1
				    : (int)syscall(SYS_socket, domain, type, protocol);
}

int
accept4(int fd, struct sockaddr *restrict a, socklen_t *restrict n, int flags)
{
	return strikes(CALL_ACCEPT) ? -1 : (int)syscall(SYS_accept4, fd, a, n, flags);
}

ssize_t
recv(int fd, void *p, size_t n, int flags)
{
	if (strikes(CALL_RECV)) {
		if (shim.error != 0)
			return -1;
		n = 1;
	}
	return syscall(SYS_recvfrom, fd, p, n, flags, NULL, NULL);
}

ssize_t
send(int fd, const void *p, size_t n, int flags)
{
	if (strikes(CALL_SEND)) {
		if (shim.error != 0)
			return -1;
		n = 1;
	}
	return syscall(SYS_sendto, fd, p, n, flags, NULL, 0);
}

int
epoll_wait(int fd, struct epoll_event *e, int n, int timeout)
{
	if (strikes(CALL_EPOLL_WAIT))
		return -1;
	return (int)syscall(SYS_epoll_pwait, fd, e, n, timeout, NULL, 8);
}

/* ---- memory */

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);

void *
mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
	if (strikes(CALL_MMAP))
		return MAP_FAILED;
	return (void *)syscall(SYS_mmap, at, n, prot, flags, fd, offset);
}

void *
malloc(size_t n)
{
	return strikes(CALL_MALLOC) ? NULL : __libc_malloc(n);
}

void *
calloc(size_t n, size_t size)
{
	return strikes(CALL_MALLOC) ? NULL : __libc_calloc(n, size);
}

void *
realloc(void *p, size_t n)
{
	return strikes(CALL_MALLOC) ? NULL : __libc_realloc(p, n);
}

/* ---- the clock on the wall, once and for all */

int
clock_gettime(clockid_t id, struct timespec *t)
{
	int rc = (int)syscall(SYS_clock_gettime, id, t);
	if (id == CLOCK_REALTIME && strikes(CALL_CLOCK))
		t->tv_sec += shim.jump;
	return rc;
}
