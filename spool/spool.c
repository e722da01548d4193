/* SPDX-License-Identifier: ISC */
/*
 * spool - opening and closing the directory.
 *
 *	directory -> owner.lock -> environment -> version, tables -> sweep -> writer
 *
 * A directory that is not a spool yet becomes one only if it is empty; one that
 * a newer relayd wrote is left as it is.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/check.h"
#include "base/dir.h"
#include "base/fault.h"
#include "base/hand.h"
#include "base/mem.h"
#include "spool/private.h"

#define FS_NFS 0x6969
#define FS_SMB2 0xfe534d42u
#define FS_CIFS 0xff534d42u

/* ---- the directory */

static const char *
what_to_do(int errnum)
{
	switch (errnum) {
	case ENOENT: return "; make the directory above it first: mkdir -p";
	case EACCES:
	case EPERM:
		return "; it must belong to the user that relayd runs as (chown -R), or "
		       "be "
		       "looked at as root";
	case ENOSPC:
	case EDQUOT: return "; make room there, or choose another disk";
	case EROFS: return "; it must be on a disk that can be written";
	case ENOTDIR: return "; a part of its path is a file: choose another path";
	default: return "; look at the disk, and at the kernel's log";
	}
}

static enum err
cannot(struct buf *why, const char *path, const char *what, int errnum)
{
	buf_addf(
	    why, "spool %s: %s: %s%s", path, what, strerror(errnum), what_to_do(errnum));
	return err_from_errno(errnum);
}

/* Whoever has made it (relayd before it opened the spool, or one that was killed since)
 * may not have flushed its name. */
static enum err
make_directory(const struct spool *s, struct buf *why)
{
	enum err e = s->create ? dir_make(s->path, 0700) : OK;
	if (e != OK)
		buf_addf(why,
		    "spool %s: the directory cannot be made, or its parent not flushed: "
		    "%s",
		    s->path, strerror(errno));
	return e;
}

static bool
is_ours(const char *name)
{
	static const char *const ours[] = {".", "..", "data.mdb-lock", "data.mdb.new",
	    "big", "owner.lock", "reserve", "hands", "history", "lost+found", "accounts",
	    "tls"};
	for (size_t i = 0; i < COUNT_OF(ours); i++)
		if (strcmp(ours[i], name) == 0)
			return true;
	return false;
}

/* A directory that holds something else is somebody's mistake in the configuration. */
static enum err
check_empty(const struct spool *s, struct buf *why)
{
	DIR *d = opendir(s->path);
	if (d == NULL)
		return cannot(why, s->path, "cannot read the directory", errno);
	enum err e = OK;
	const struct dirent *entry;
	while (e == OK && (entry = readdir(d)) != NULL) {
		if (is_ours(entry->d_name))
			continue;
		buf_addf(why,
		    "spool %s is no spool and holds \"%s\": give relayd an empty "
		    "directory of its own",
		    s->path, entry->d_name);
		e = ERR_EXISTS;
	}
	(void)closedir(d);
	return e;
}

/* A spool, or what may become one. */
static enum err
check_content(const struct spool *s, struct buf *why)
{
	if (faccessat(s->dir, "data.mdb", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return OK;
	if (s->create)
		return check_empty(s, why);
	buf_addf(why, "there is no spool in %s (yet)", s->path);
	return ERR_NOT_FOUND;
}

static enum err
check_owner(const struct spool *s, struct buf *why)
{
	struct stat st;
	if (fstat(s->dir, &st) != 0)
		return cannot(why, s->path, "cannot look at the directory", errno);
	if (geteuid() != 0 && st.st_uid != geteuid()) {
		buf_addf(why,
		    "spool %s belongs to uid %u, and relayd runs as %u: chown it",
		    s->path, st.st_uid, geteuid());
		return ERR_DENIED;
	}
	if (!s->read_only && (st.st_mode & 077) != 0 && fchmod(s->dir, 0700) != 0)
		return cannot(why, s->path,
		    "others can read it, and its mode cannot be changed", errno);
	return OK;
}

/* The map needs a file system of this machine's own. */
static enum err
check_file_system(const struct spool *s, struct buf *why)
{
	struct statfs v;
	if (fstatfs(s->dir, &v) != 0)
		return cannot(why, s->path, "cannot look at the file system", errno);
	unsigned long type = (unsigned long)v.f_type & 0xffffffffu;
	if (type != FS_NFS && type != FS_SMB2 && type != FS_CIFS)
		return OK;
	buf_addf(
	    why, "spool %s is on a network file system: put it on a local disk", s->path);
	return ERR_DENIED;
}

static enum err
take_lock(struct spool *s, struct buf *why)
{
	int flags = (s->read_only ? O_RDONLY : O_RDWR | O_CREAT) | O_CLOEXEC | O_NOFOLLOW;
	s->lock = openat(s->dir, "owner.lock", flags, 0600);
	if (s->lock < 0 && errno == ENOENT) {
		buf_addf(why,
		    "spool %s has no owner.lock, as a copy by hand may: start relayd on "
		    "it once, or make that file (touch)",
		    s->path);
		return ERR_NOT_FOUND;
	}
	if (s->lock < 0)
		return cannot(why, s->path, "cannot open owner.lock", errno);
	if (flock(s->lock, (s->read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0)
		return OK;
	if (errno != EWOULDBLOCK)
		return cannot(why, s->path, "cannot lock owner.lock", errno);
	buf_addf(why,
	    "spool %s is in use by another process: only one relayd may have it",
	    s->path);
	return ERR_BUSY;
}

static enum err
open_big(struct spool *s, struct buf *why)
{
	if (!s->read_only && mkdirat(s->dir, "big", 0700) != 0 && errno != EEXIST)
		return cannot(why, s->path, "cannot make big/", errno);
	s->commons->big =
	    openat(s->dir, "big", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (s->commons->big < 0)
		return cannot(why, s->path, "cannot open big/", errno);
	return OK;
}

static enum err
open_reserve(struct spool *s, struct buf *why)
{
	if (s->read_only)
		return OK;
	s->reserve_fd =
	    openat(s->dir, "reserve", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->reserve_fd < 0)
		return cannot(why, s->path, "cannot open the reserve file", errno);
	(void)!ftruncate(s->reserve_fd, 0);
	return OK;
}

static void
on_suspect(void *arg, const struct hand_crash *c)
{
	struct spool *s = arg;
	char id[SPOOL_ID_LEN + 1];
	spool_id_format(c->id, id);
	LOG(s->log, EV_CRASHED, F_STR("id", id), F_INT("signal", c->signal),
	    F_INT("crashes", c->crashes),
	    F_STR("now", c->crashes < HAND_CRASHES
			     ? "it is tried again, with no other that is suspected"
			     : "it is set aside: relayctl why"));
}

/* Mail does not depend on it: without the file a crash has no consequence for anyone. */
static void
open_hands(struct spool *s, const struct spool_options *o)
{
	if (!o->hands || s->read_only)
		return;
	int fd = openat(s->dir, "hands", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	enum err e = fd < 0 ? err_from_errno(errno)
			    : hand_open(fd, world_wall(s->world), on_suspect, s);
	s->hands = e == OK;
	if (e != OK)
		LOG(s->log, EV_LIMIT, F_STR("what", "the file `hands` cannot be used"),
		    F_STR("error", err_text(e)),
		    F_STR("now", "a message that crashes relayd is not set aside"));
	if (fd >= 0)
		(void)close(fd);
}

static enum err
open_history(struct spool *s, const struct spool_options *o, struct buf *why)
{
	if (history_open(s, o->history_days, o->history_max) != OK)
		return cannot(why, s->path, "cannot open history/", errno);
	return OK;
}

static enum err
open_directory(struct spool *s, const struct spool_options *o, struct buf *why)
{
	enum err e = make_directory(s, why);
	if (e != OK)
		return e;
	(void)FAULT("spool.open.made");
	s->dir = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0)
		return cannot(why, s->path, "cannot open the directory", errno);
	e = check_content(s, why);
	if (e == OK)
		e = check_owner(s, why);
	if (e == OK)
		e = check_file_system(s, why);
	if (e == OK)
		e = take_lock(s, why);
	if (e == OK)
		e = open_big(s, why);
	if (e == OK)
		e = open_reserve(s, why);
	if (e == OK)
		e = open_history(s, o, why);
	if (e == OK)
		open_hands(s, o);
	(void)FAULT("spool.open.locked");
	return e;
}

/* ---- life */

static void
meters_init(struct spool_meters *m)
{
	static const uint64_t us[] = {250, 500, 1000, 2500, 5000, 10000, 25000, 50000,
	    100000, 250000, 500000, 1000000, 2500000, 10000000};
	static const uint64_t requests[] = {
	    1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048};
	histogram_init(&m->commit_us, us, COUNT_OF(us));
	histogram_init(&m->batch, requests, COUNT_OF(requests));
}

static struct spool *
make(const struct spool_options *o)
{
	struct spool *s = NEW(struct spool);
	s->world = o->world;
	s->log = o->log;
	s->pool = o->pool;
	s->loop = o->loop;
	s->path = mem_strdup(o->path);
	s->create = o->create && !o->read_only;
	s->read_only = o->read_only;
	s->thorough = o->thorough;
	s->node = o->node & 1023;
	s->max_size = o->max_size;
	s->min_free = o->min_free;
	s->inline_max = o->inline_max ? o->inline_max : INLINE_MAX_DEFAULT;
	s->spell = o->spell;
	s->ahead.from = o->zeros_from ? o->zeros_from : ZEROS_FROM_DEFAULT;
	s->ahead.fd = -1;
	if (s->inline_max > INLINE_LIMIT)
		s->inline_max = INLINE_LIMIT;
	s->accepted_inbox = o->accepted_inbox;
	s->on_accepted = o->on_accepted;
	s->on_failure = o->on_failure;
	s->arg = o->arg;
	s->dir = s->lock = s->reserve_fd = s->history_dir = -1;
	s->commons = commons_new(o->pool, o->world);
	meters_init(&s->meters);
	usage_init(s);
	s->trays = trays_new(o->world);
	CHECK(pthread_mutex_init(&s->mutex, NULL) == 0);
	return s;
}

const struct spool_meters *
spool_meters(const struct spool *s)
{
	return &s->meters;
}

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

static void
destroy(struct spool **sp)
{
	struct spool *s = *sp;
	commons_close(s->commons);
	while (s->readers > 0)
		spool_reader_free(&s->reader[--s->readers]);
	db_close(s);
	history_close(s);
	if (s->hands)
		hand_close();
	close_fd(&s->ahead.fd);
	close_fd(&s->reserve_fd);
	close_fd(&s->lock);
	close_fd(&s->dir);
	commons_unref(&s->commons);
	usage_clear(s);
	trays_free(&s->trays);
	(void)pthread_mutex_destroy(&s->mutex);
	mem_free(&s->path);
	mem_free(sp);
}

/* What a crash has left over goes; what was made just now is on disk before mail is
 * taken. */
static enum err
prepare(struct spool *s, struct buf *why)
{
	uint64_t swept = 0;
	if (s->read_only)
		return OK;
	(void)FAULT("spool.open.sweep");
	enum err e = files_sweep(s, &swept);
	if (e != OK)
		return e;
	if (swept > 0)
		LOG(s->log, EV_SPOOL_SWEPT, F_INT("files", swept));
	if (fsync(s->dir) != 0)
		return cannot(why, s->path, "cannot be flushed", errno);
	ahead_open(s);
	(void)FAULT("spool.open.writer");
	return writer_start(s);
}

static void
say_opened(struct spool *s)
{
	struct spool_reader *r = spool_reader_new(s);
	struct spool_stat st;
	if (s->old_format != 0)
		LOG(s->log, EV_SPOOL_UPGRADED, F_STR("path", s->path),
		    F_INT("from", s->old_format), F_INT("to", FORMAT_VERSION));
	if (s->spelled != 0)
		LOG(s->log, EV_SPOOL_NAMES, F_STR("path", s->path),
		    F_INT("names", s->spelled));
	if (spool_read_stat(r, &st) == OK)
		LOG(s->log, EV_SPOOL_OPENED, F_STR("path", s->path),
		    F_INT("messages", st.messages), F_INT("bytes", st.bytes));
	spool_reader_free(&r);
}

#define NEW_SPOOL_ROOM (4u << 20)

/*
 * A new spool needs some room: LMDB maps its lock file sparse, and the first touch
 * of it on a full disk would be a SIGBUS instead of an error.
 */
static enum err
check_room(struct spool *s, struct buf *why)
{
	struct statvfs v;
	if (s->read_only || faccessat(s->dir, "data.mdb-lock", F_OK, 0) == 0)
		return OK;
	if (fstatvfs(s->dir, &v) != 0 ||
	    (uint64_t)v.f_bavail * v.f_frsize >= NEW_SPOOL_ROOM)
		return OK;
	buf_addf(
	    why, "spool %s: the disk is full; make room or choose another disk", s->path);
	return ERR_DISK_FULL;
}

enum err
spool_open(struct spool **out, const struct spool_options *o, struct buf *why)
{
	struct spool *s = make(o);
	*out = NULL;
	enum err e = open_directory(s, o, why);
	if (e == OK)
		e = check_room(s, why);
	if (e == OK)
		e = db_open(s, why);
	if (e == OK)
		e = prepare(s, why);
	if (e != OK) {
		if (why->n == 0)
			buf_addf(why, "spool %s: %s", s->path, err_text(e));
		destroy(&s);
		return e;
	}
	if (!s->read_only)
		say_opened(s);
	*out = s;
	return OK;
}

void
spool_close(struct spool **sp)
{
	struct spool *s = *sp;
	if (s == NULL)
		return;
	if (!s->read_only)
		writer_stop(s);
	destroy(sp);
}
