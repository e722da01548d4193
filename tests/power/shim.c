/* SPDX-License-Identifier: ISC */
/*
 * shim - records what the process writes below STREAM_ROOT (stream.h).
 *
 * Every call goes to the kernel first and is recorded behind it, under one lock: what
 * stands earlier in the stream has happened earlier.  The only exception is on the safe
 * side: that a flush has come back is known later than it was.  Descriptors are told by
 * /proc/self/fd, so that nothing has to be remembered of them.
 *
 * A store into a mapped file is not seen; the one that the spool has is its lock file,
 * whose content the replayer makes up.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/power/stream.h"

#define LOG_FD 900
#define IOV_MAX_HERE 1024 /* IOV_MAX */

static struct {
	int fd; /* of the stream; 0: nothing is recorded */
	char root[PATH_MAX];
	size_t root_n;
	bool skip_file_sync, skip_dir_sync;
	pthread_mutex_t lock;
} shim = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- what is whose */

/* The path below the root, or NULL. */
static const char *
below(const char *path)
{
	if (strncmp(path, shim.root, shim.root_n) != 0 || path[shim.root_n] != '/')
		return NULL;
	return path + shim.root_n + 1;
}

static bool
path_of(int fd, char out[PATH_MAX])
{
	char name[40];
	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, name, out, PATH_MAX - 1);
	if (n <= 0)
		return false;
	out[n] = '\0';
	return true;
}

/* The root itself counts. */
static bool
is_ours(int fd, char path[PATH_MAX])
{
	if (shim.fd == 0 || !path_of(fd, path))
		return false;
	return below(path) != NULL || strcmp(path, shim.root) == 0;
}

/* Where `name` is, as an absolute path. */
static const char *
resolve(int at, const char *name, char out[PATH_MAX])
{
	char dir[PATH_MAX] = "";
	if (shim.fd == 0)
		return NULL;
	if (name[0] != '/' && at == AT_FDCWD && getcwd(dir, sizeof(dir)) == NULL)
		return NULL;
	if (name[0] != '/' && at != AT_FDCWD && !path_of(at, dir))
		return NULL;
	int n = name[0] == '/' ? snprintf(out, PATH_MAX, "%s", name)
			       : snprintf(out, PATH_MAX, "%s/%s", dir, name);
	while (n > 1 && n < PATH_MAX && out[n - 1] == '/')
		out[--n] = '\0';
	return n < PATH_MAX ? below(out) : NULL;
}

static uint64_t
ino_of(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

/* ---- records */

static void
put(struct stream_head *h, const char *name, const char *other, const struct iovec *data,
    int datas)
{
	struct iovec v[IOV_MAX_HERE + 3];
	int n = 0, saved = errno;
	size_t left = h->data_n;
	h->magic = STREAM_MAGIC;
	h->name_n = (uint16_t)strlen(name);
	h->other_n = (uint16_t)strlen(other);
	v[n++] = (struct iovec){h, sizeof(*h)};
	v[n++] = (struct iovec){(void *)(uintptr_t)name, h->name_n};
	v[n++] = (struct iovec){(void *)(uintptr_t)other, h->other_n};
	for (int i = 0; i < datas && left > 0; i++) {
		size_t now = data[i].iov_len < left ? data[i].iov_len : left;
		v[n++] = (struct iovec){data[i].iov_base, now};
		left -= now;
	}
	ssize_t want = (ssize_t)(sizeof(*h) + h->name_n + h->other_n + h->data_n);
	if (left > 0 || syscall(SYS_writev, shim.fd, v, n) != want)
		abort(); /* a stream with a hole would prove nothing */
	errno = saved;
}

static void
put_name(
    enum stream_kind kind, const char *name, const char *other, uint64_t ino, bool dir)
{
	struct stream_head h = {.kind = (uint16_t)kind, .ino = ino, .at = dir};
	put(&h, name, other, NULL, 0);
}

static void
put_file(enum stream_kind kind, int fd, uint64_t at)
{
	struct stream_head h = {.kind = (uint16_t)kind, .ino = ino_of(fd), .at = at};
	put(&h, "", "", NULL, 0);
}

static void
put_write(int fd, uint64_t at, size_t n, const struct iovec *data, int datas)
{
	struct stream_head h = {.kind = STREAM_WRITE,
	    .data_n = (uint32_t)n,
	    .ino = ino_of(fd),
	    .at = at,
	    .n = n};
	put(&h, "", "", data, datas);
	if ((fcntl(fd, F_GETFL) & O_DSYNC) == 0)
		return;
	h.kind = STREAM_SYNCED;
	h.data_n = 0;
	put(&h, "", "", NULL, 0);
}

__attribute__((constructor)) static void
begin(void)
{
	struct stat st;
	const char *file = getenv("STREAM_FILE"), *root = getenv("STREAM_ROOT"),
		   *skip = getenv("STREAM_SKIP");
	if (file == NULL || root == NULL || strlen(root) >= sizeof(shim.root))
		return;
	int fd = (int)syscall(
	    SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	int high = fcntl(fd, F_DUPFD_CLOEXEC, LOG_FD);
	if (high >= 0)
		(void)syscall(SYS_close, fd);
	shim.root_n = strlen(root);
	memcpy(shim.root, root, shim.root_n + 1);
	shim.skip_file_sync = skip != NULL && strcmp(skip, "file-sync") == 0;
	shim.skip_dir_sync = skip != NULL && strcmp(skip, "dir-sync") == 0;
	shim.fd = high >= 0 ? high : fd;
	if (stat(shim.root, &st) != 0)
		abort();
	put_name(STREAM_MAKE, "", "", st.st_ino, true);
}

static void
lock(void)
{
	(void)pthread_mutex_lock(&shim.lock);
}

static void
unlock(void)
{
	(void)pthread_mutex_unlock(&shim.lock);
}

/* ---- data */

static ssize_t
write_at(int fd, const struct iovec *v, int n, bool seek, off_t at)
{
	char path[PATH_MAX];
	bool ours = is_ours(fd, path);
	if (ours)
		lock();
	ssize_t got =
	    seek ? syscall(SYS_pwritev, fd, v, n, at, 0) : syscall(SYS_writev, fd, v, n);
	if (ours && got > 0) {
		if (!seek)
			at = lseek(fd, 0, SEEK_CUR) - got;
		put_write(fd, (uint64_t)at, (size_t)got, v, n);
	}
	if (ours)
		unlock();
	return got;
}

ssize_t
write(int fd, const void *p, size_t n)
{
	const struct iovec v = {(void *)(uintptr_t)p, n};
	return write_at(fd, &v, 1, false, 0);
}

ssize_t
writev(int fd, const struct iovec *v, int n)
{
	return write_at(fd, v, n, false, 0);
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
	const struct iovec v = {(void *)(uintptr_t)p, n};
	return write_at(fd, &v, 1, true, at);
}

ssize_t
pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	return pwrite(fd, p, n, at);
}

ssize_t
pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	return write_at(fd, v, n, true, at);
}

ssize_t
pwritev64(int fd, const struct iovec *v, int n, off64_t at)
{
	return write_at(fd, v, n, true, at);
}

int
ftruncate(int fd, off_t size)
{
	char path[PATH_MAX];
	bool ours = is_ours(fd, path);
	if (ours)
		lock();
	int rc = (int)syscall(SYS_ftruncate, fd, size);
	if (ours && rc == 0)
		put_file(STREAM_SIZE, fd, (uint64_t)size);
	if (ours)
		unlock();
	return rc;
}

int
ftruncate64(int fd, off64_t size)
{
	return ftruncate(fd, size);
}

int
posix_fallocate(int fd, off_t at, off_t n)
{
	char path[PATH_MAX];
	struct stat st;
	bool ours = is_ours(fd, path);
	if (ours)
		lock();
	int rc = syscall(SYS_fallocate, fd, 0, at, n) == 0 ? 0 : errno;
	if (ours && rc == 0 && fstat(fd, &st) == 0)
		put_file(STREAM_SIZE, fd, (uint64_t)st.st_size);
	if (ours)
		unlock();
	return rc;
}

int
posix_fallocate64(int fd, off64_t at, off64_t n)
{
	return posix_fallocate(fd, at, n);
}

/* ---- flushes */

static int
flush(int fd, long call)
{
	char path[PATH_MAX];
	struct stat st;
	bool ours = is_ours(fd, path) && fstat(fd, &st) == 0;
	if (ours && S_ISDIR(st.st_mode) && shim.skip_dir_sync)
		return 0;
	if (ours && S_ISREG(st.st_mode) && shim.skip_file_sync &&
	    strstr(path, "/big/") != NULL)
		return 0;
	if (ours)
		lock();
	int rc = (int)syscall(call, fd);
	if (ours && rc == 0)
		put_file(STREAM_FLUSH, fd, 0);
	if (ours)
		unlock();
	return rc;
}

int
fsync(int fd)
{
	return flush(fd, SYS_fsync);
}

int
fdatasync(int fd)
{
	return flush(fd, SYS_fdatasync);
}

/* ---- names */

static int
open_at(int at, const char *name, int flags, mode_t mode)
{
	char path[PATH_MAX];
	const char *ours =
	    (flags & (O_CREAT | O_TRUNC)) != 0 ? resolve(at, name, path) : NULL;
	if (ours != NULL)
		lock();
	int fd = (int)syscall(SYS_openat, at, name, flags, mode);
	if (ours != NULL && fd >= 0 && (flags & O_CREAT) != 0)
		put_name(STREAM_MAKE, ours, "", ino_of(fd), false);
	if (ours != NULL && fd >= 0 && (flags & O_TRUNC) != 0)
		put_file(STREAM_SIZE, fd, 0);
	if (ours != NULL)
		unlock();
	return fd;
}

#define MODE(flags, last)                                       \
	({                                                      \
		mode_t mode_ = 0;                               \
		if (((flags) & (O_CREAT | __O_TMPFILE)) != 0) { \
			va_list ap_;                            \
			va_start(ap_, last);                    \
			mode_ = va_arg(ap_, mode_t);            \
			va_end(ap_);                            \
		}                                               \
		mode_;                                          \
	})

int
open(const char *name, int flags, ...)
{
	return open_at(AT_FDCWD, name, flags, MODE(flags, flags));
}

int
open64(const char *name, int flags, ...)
{
	return open_at(AT_FDCWD, name, flags, MODE(flags, flags));
}

int
openat(int at, const char *name, int flags, ...)
{
	return open_at(at, name, flags, MODE(flags, flags));
}

int
openat64(int at, const char *name, int flags, ...)
{
	return open_at(at, name, flags, MODE(flags, flags));
}

int
mkdirat(int at, const char *name, mode_t mode)
{
	char path[PATH_MAX];
	struct stat st;
	const char *ours = resolve(at, name, path);
	if (ours != NULL)
		lock();
	int rc = (int)syscall(SYS_mkdirat, at, name, mode);
	if (ours != NULL && rc == 0 && stat(path, &st) == 0)
		put_name(STREAM_MAKE, ours, "", st.st_ino, true);
	if (ours != NULL)
		unlock();
	return rc;
}

int
mkdir(const char *name, mode_t mode)
{
	return mkdirat(AT_FDCWD, name, mode);
}

int
renameat(int from_at, const char *from, int to_at, const char *to)
{
	char a[PATH_MAX], b[PATH_MAX];
	const char *ours = resolve(from_at, from, a), *there = resolve(to_at, to, b);
	if (ours != NULL)
		lock();
	int rc = (int)syscall(SYS_renameat2, from_at, from, to_at, to, 0);
	if (ours != NULL && rc == 0)
		put_name(STREAM_RENAME, ours, there != NULL ? there : "", 0, false);
	if (ours != NULL)
		unlock();
	return rc;
}

int
rename(const char *from, const char *to)
{
	return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int
linkat(int from_at, const char *from, int to_at, const char *to, int flags)
{
	char a[PATH_MAX], b[PATH_MAX];
	const char *ours = resolve(from_at, from, a), *there = resolve(to_at, to, b);
	if (there != NULL)
		lock();
	int rc = (int)syscall(SYS_linkat, from_at, from, to_at, to, flags);
	if (there != NULL && ours != NULL && rc == 0)
		put_name(STREAM_LINK, ours, there, 0, false);
	if (there != NULL)
		unlock();
	return rc;
}

int
link(const char *from, const char *to)
{
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int
unlinkat(int at, const char *name, int flags)
{
	char path[PATH_MAX];
	const char *ours = resolve(at, name, path);
	if (ours != NULL)
		lock();
	int rc = (int)syscall(SYS_unlinkat, at, name, flags);
	if (ours != NULL && rc == 0)
		put_name(STREAM_REMOVE, ours, "", 0, false);
	if (ours != NULL)
		unlock();
	return rc;
}

int
unlink(const char *name)
{
	return unlinkat(AT_FDCWD, name, 0);
}

int
rmdir(const char *name)
{
	return unlinkat(AT_FDCWD, name, AT_REMOVEDIR);
}
