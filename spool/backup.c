/* SPDX-License-Identifier: ISC */
/* backup - the database through a pipe, so that its copy has a progress and an end. */
#include "spool/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/units.h"
#include "spool/pages.h"
#include "spool/private.h"

#define CHUNK (1u << 20)
#define LOOK_AGAIN (16u << 20) /* octets, until the room that is left is looked at */

/* What is under way: two directories and what is known of them. */
struct work {
	const struct backup_options *o;
	struct backup_report *r;
	struct buf *why;
	int from, to;
	int lock; /* held while a stopped spool is copied; -1: not */
};

static enum err
cannot(struct work *w, const char *what, const char *name, int errnum)
{
	if (w->why->n == 0)
		buf_addf(w->why, "%s %s: %s%s", what, name, strerror(errnum),
		    errnum == ENOSPC ? "; make room there, or choose another disk"
		    : errnum == EACCES || errnum == EPERM
			? "; run this as root or as relayd's user"
			: "");
	return err_from_errno(errnum);
}

static void
progress(const struct work *w, const char *what, uint64_t done, uint64_t total)
{
	if (w->o->progress != NULL)
		w->o->progress(w->o->arg, what, done, total);
}

static void
own(const struct work *w, int fd)
{
	if (w->o->uid != (unsigned)-1)
		(void)!fchown(fd, w->o->uid, w->o->gid);
}

static char *
join(const char *dir, const char *name)
{
	struct buf b;
	buf_init(&b, 8192);
	buf_addf(&b, "%s%s", dir, name);
	return buf_take(&b);
}

/* ---- bytes */

static bool
write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return false;
		p += done;
		n -= (size_t)done;
	}
	return true;
}

/* A copy grows the database that is copied: never until relayd has to refuse mail. */
static enum err
room_left(struct work *w)
{
	struct statvfs fs;
	if (w->o->min_free == 0 || fstatvfs(w->from, &fs) != 0)
		return OK;
	uint64_t left = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (left >= w->o->min_free)
		return OK;
	buf_add_str(w->why, "given up: the disk of the spool has ");
	units_add_size(w->why, left);
	buf_add_str(w->why, " left, and spool { min-free } is ");
	units_add_size(w->why, w->o->min_free);
	buf_add_str(w->why,
	    "; while a copy is made the spool grows by what is written to it: make room, "
	    "copy to another disk, or when there is less mail");
	return ERR_FULL;
}

/* From a descriptor to its end; flushed. */
static enum err
pour(struct work *w, int in, int out, const char *name, uint64_t total)
{
	char *chunk = mem_alloc_raw(CHUNK);
	enum err e = OK;
	uint64_t done = 0, look = LOOK_AGAIN;
	for (;;) {
		ssize_t n = read(in, chunk, CHUNK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			e = cannot(w, "cannot read", name, errno);
		else if (n > 0 && !write_all(out, chunk, (size_t)n))
			e = cannot(w, "cannot write", name, errno);
		if (n <= 0 || e != OK)
			break;
		done += (uint64_t)n;
		if (total > 0)
			progress(w, "database", done, total);
		if (done >= look && (e = room_left(w)) != OK)
			break;
		if (done >= look)
			look = done + LOOK_AGAIN;
	}
	mem_free(&chunk);
	if (e == OK && fsync(out) != 0)
		e = cannot(w, "cannot flush", name, errno);
	return e;
}

static int
make_file(struct work *w, int dir, const char *name)
{
	int fd =
	    openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		(void)cannot(w, "cannot make", name, errno);
	else
		own(w, fd);
	return fd;
}

/* A file from one directory to the other. */
static enum err
copy_file(struct work *w, int from, int to, const char *name, bool big)
{
	struct stat st;
	int in = openat(from, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (in < 0 || fstat(in, &st) != 0) {
		enum err e = cannot(w, "cannot open", name, errno);
		if (in >= 0)
			(void)close(in);
		return e;
	}
	int out = make_file(w, to, name);
	enum err e =
	    out < 0 ? ERR_IO : pour(w, in, out, name, big ? (uint64_t)st.st_size : 0);
	(void)close(in);
	if (out >= 0)
		(void)close(out);
	return e;
}

/* ---- directories */

static int
open_dir(struct work *w, int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		(void)cannot(w, "cannot open", name, errno);
	return fd;
}

static int
make_dir(struct work *w, int at, const char *name)
{
	if (mkdirat(at, name, 0700) != 0 && errno != EEXIST) {
		(void)cannot(w, "cannot make", name, errno);
		return -1;
	}
	int fd = open_dir(w, at, name);
	if (fd >= 0)
		own(w, fd);
	return fd;
}

/* The files of a directory that may not be there; not its directories. */
static enum err
copy_flat(struct work *w, const char *name)
{
	int from = openat(w->from, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (from < 0)
		return errno == ENOENT ? OK : cannot(w, "cannot open", name, errno);
	int to = make_dir(w, w->to, name);
	DIR *d = to >= 0 ? fdopendir(dup(from)) : NULL;
	enum err e = d != NULL ? OK : ERR_IO;
	const struct dirent *entry;
	while (e == OK && (entry = readdir(d)) != NULL) {
		struct stat st;
		if (fstatat(from, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode))
			e = copy_file(w, from, to, entry->d_name, false);
	}
	if (e == OK && fsync(to) != 0)
		e = cannot(w, "cannot flush", name, errno);
	if (d != NULL)
		(void)closedir(d);
	if (to >= 0)
		(void)close(to);
	(void)close(from);
	return e;
}

/* ---- the database */

struct copier {
	MDB_env *env;
	int fd, rc;
	pthread_t thread;
};

static void *
copier_main(void *arg)
{
	struct copier *c = arg;
	c->rc = mdb_env_copyfd2(c->env, c->fd, MDB_CP_COMPACT);
	(void)close(c->fd);
	return NULL;
}

static void
first_page(void *arg, const char *sentence)
{
	struct work *w = arg;
	if (w->why->n == 0)
		buf_addf(w->why, "%s: nothing was copied; %s", sentence, DB_DAMAGED);
}

/* LMDB would copy what it cannot read, or end us over it. */
static enum err
check_pages(struct work *w, MDB_env *env)
{
	uint64_t found = 0;
	MDB_txn *t;
	int fd;
	enum err e = db_err(mdb_env_get_fd(env, &fd));
	do { /* relayd may have gone on before we have found it */
		if (e == OK || e == ERR_AGAIN)
			e = db_err(mdb_txn_begin(env, NULL, MDB_RDONLY, &t));
		if (e != OK)
			return e;
		e = pages_check(fd, mdb_txn_id(t), first_page, w, &found);
		mdb_txn_abort(t);
	} while (e == ERR_AGAIN);
	return e == OK && found > 0 ? ERR_DAMAGED : e;
}

/* One snapshot, without free pages; it is held while the copy is written. */
static enum err
copy_env(struct work *w, MDB_env *env, int out)
{
	struct copier c = {.env = env};
	MDB_envinfo info = {0};
	MDB_stat st = {0};
	int ends[2];
	if (mdb_env_info(env, &info) == 0 && mdb_env_stat(env, &st) == 0)
		w->r->before = ((uint64_t)info.me_last_pgno + 1) * st.ms_psize;
	enum err e = room_left(w);
	if (e == OK)
		e = check_pages(w, env);
	if (e != OK)
		return e;
	if (pipe2(ends, O_CLOEXEC) != 0)
		return cannot(w, "cannot make", "a pipe", errno);
	c.fd = ends[1];
	if (pthread_create(&c.thread, NULL, copier_main, &c) != 0) {
		(void)close(ends[0]);
		(void)close(ends[1]);
		return cannot(w, "cannot start", "a thread", EAGAIN);
	}
	e = pour(w, ends[0], out, "data.mdb", w->r->before);
	if (e == ERR_FULL) /* the room is needed */
		(void)!ftruncate(out, 0);
	(void)close(ends[0]); /* if we gave up, the copier meets a closed pipe */
	(void)pthread_join(c.thread, NULL);
	if (e == OK && c.rc != 0) {
		buf_addf(w->why, "copying the database: %s", mdb_strerror(c.rc));
		e = db_err(c.rc);
	}
	struct stat made;
	if (e == OK && fstat(out, &made) == 0)
		w->r->bytes = (uint64_t)made.st_size;
	if (e == OK && mdb_env_info(env, &info) == 0)
		w->r->grown =
		    ((uint64_t)info.me_last_pgno + 1) * st.ms_psize - w->r->before;
	if (e == OK)
		progress(w, "database", 1, 1); /* free pages were left out */
	return e;
}

static enum err
open_env(struct work *w, const char *dir, unsigned flags, MDB_env **env)
{
	char *path = join(dir, "/data.mdb");
	int rc = mdb_env_create(env);
	if (rc == 0) {
		(void)mdb_env_set_maxdbs(*env, DB_COUNT);
		rc = mdb_env_open(
		    *env, path, MDB_RDONLY | MDB_NOTLS | MDB_NOSUBDIR | flags, 0600);
	}
	if (rc != 0) {
		buf_addf(w->why, "spool %s: cannot open its database: %s%s", dir,
		    mdb_strerror(rc),
		    rc == ENOENT ? "; is this the spool's directory?" : "");
		mdb_env_close(*env);
		*env = NULL;
	}
	mem_free(&path);
	return db_err(rc);
}

/* ---- large files */

/* Whoever is to own it does, or nobody in particular is. */
static bool
rightly_owned(const struct work *w, int from, const char *name)
{
	struct stat st;
	return w->o->uid == (unsigned)-1 ||
	       (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		   st.st_uid == w->o->uid);
}

static enum err
link_or_copy(struct work *w, int from, int to, const char *name)
{
	if (rightly_owned(w, from, name) && linkat(from, name, to, name, 0) == 0) {
		w->r->linked++;
		return OK;
	}
	if (faccessat(from, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0) {
		buf_addf(w->why,
		    "the large file big/%s is gone; has relayd ended "
		    "meanwhile?  Try again",
		    name);
		return ERR_NOT_FOUND;
	}
	return copy_file(
	    w, from, to, name, false); /* another disk, or no right to link */
}

static enum err
take_files(struct work *w, const uint64_t *number, size_t n)
{
	int from = open_dir(w, w->from, "big"), to = make_dir(w, w->to, "big");
	enum err e = from >= 0 && to >= 0 ? OK : ERR_IO;
	for (size_t i = 0; e == OK && i < n; i++) {
		char name[FILE_NAME], sub[3];
		file_name(number[i], name);
		(void)snprintf(sub, sizeof(sub), "%.2s", name);
		int dir = make_dir(w, to, sub);
		e = dir < 0 ? ERR_IO : link_or_copy(w, from, to, name);
		if (e == OK && fsync(dir) != 0)
			e = cannot(w, "cannot flush", sub, errno);
		if (dir >= 0)
			(void)close(dir);
		progress(w, "large files", i + 1, n);
	}
	w->r->files = n;
	if (e == OK && fsync(to) != 0)
		e = cannot(w, "cannot flush", "big", errno);
	if (from >= 0)
		(void)close(from);
	if (to >= 0)
		(void)close(to);
	return e;
}

/* ---- looking at a whole spool that nobody uses */

struct looked {
	struct spool *spool;
	struct spool_reader *reader;
};

static enum err
look_into(struct work *w, const char *path, struct looked *l)
{
	struct spool_options so = {.path = path,
	    .read_only = true,
	    .thorough = true,
	    .world = w->o->world,
	    .log = w->o->log};
	enum err e = spool_open(&l->spool, &so, w->why);
	l->reader = e == OK ? spool_reader_new(l->spool) : NULL;
	return e;
}

static void
look_away(struct looked *l)
{
	spool_reader_free(&l->reader);
	spool_close(&l->spool);
}

static void
first_violation(void *arg, const char *sentence)
{
	struct work *w = arg;
	if (w->why->n == 0)
		buf_addf(w->why, "the copy is not whole: %s", sentence);
}

static void
on_checked(void *arg, uint64_t done, uint64_t total)
{
	progress(arg, "checking", done, total);
}

/* Every invariant and checksum of it. */
static enum err
verify(struct work *w, const char *path)
{
	struct looked l = {0};
	uint64_t found = 0;
	struct spool_stat st;
	progress(w, "checking", 0, 0);
	enum err e = look_into(w, path, &l);
	if (e == OK)
		e = spool_check(l.reader, first_violation, on_checked, w, &found);
	if (e == OK && found > 0)
		e = ERR_DAMAGED;
	if (e == OK && spool_read_stat(l.reader, &st) == OK) {
		w->r->messages = st.messages;
		w->r->mails = st.mails;
	}
	if (l.spool != NULL)
		look_away(&l);
	return e;
}

static enum err
files_of(struct work *w, const char *path, uint64_t **number, size_t *n)
{
	struct looked l = {0};
	enum err e = look_into(w, path, &l);
	*number = NULL;
	*n = 0;
	if (e == OK)
		e = files_named(l.spool, number, n);
	if (e == ERR_DAMAGED && w->why->n == 0)
		buf_addf(w->why, "spool %s is damaged; see: relayctl spool check", path);
	if (l.spool != NULL)
		look_away(&l);
	return e;
}

/* ---- backup */

static enum err
touch(struct work *w, const char *name)
{
	int fd = make_file(w, w->to, name);
	if (fd < 0)
		return ERR_IO;
	(void)close(fd);
	return OK;
}

/* Beside a relayd we are one more reader; without one we keep it from starting, and
 * leave no lock file of ours behind. */
static enum err
meet_owner(struct work *w, int *lock, unsigned *flags)
{
	*lock = openat(w->from, "owner.lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (*lock < 0)
		return cannot(w, "cannot open", "owner.lock", errno);
	*flags = MDB_NOLOCK;
	if (flock(*lock, LOCK_SH | LOCK_NB) == 0)
		return OK;
	*flags = 0;
	if (w->o->kept)
		return OK;
	buf_add_str(w->why, "a relayd has this spool and does not answer at its control "
			    "socket: is this its configuration?");
	return ERR_BUSY;
}

static enum err
snapshot(struct work *w, const char *from)
{
	MDB_env *env = NULL;
	int lock = -1, out = make_file(w, w->to, "data.mdb");
	unsigned flags = 0;
	enum err e = out < 0 ? ERR_IO : meet_owner(w, &lock, &flags);
	if (e == OK)
		e = open_env(w, from, flags, &env);
	if (e == OK) {
		e = copy_env(w, env, out);
		mdb_env_close(env);
	}
	if (out >= 0)
		(void)close(out);
	if (lock >= 0 && e != OK)
		(void)close(lock);
	w->lock = e == OK ? lock : -1;
	return e;
}

/* What lies beside the database: the large files that it names, in `has`, and the rest.
 */
static enum err
copy_others(struct work *w, const char *has)
{
	uint64_t *number = NULL;
	size_t n = 0;
	enum err e = files_of(w, has, &number, &n);
	if (e == OK)
		e = take_files(w, number, n);
	mem_free(&number);
	if (e == OK)
		e = copy_flat(w, "accounts");
	return e == OK ? copy_flat(w, "tls") : e;
}

static enum err
fill(struct work *w, const char *from, const char *part)
{
	int big = make_dir(w, w->to, "big");
	enum err e = big >= 0 ? touch(w, "owner.lock") : ERR_IO;
	if (big >= 0)
		(void)close(big);
	if (e == OK)
		e = snapshot(w, from);
	if (e == OK)
		e = copy_others(w, part);
	if (e == OK)
		e = verify(w, part);
	if (e == OK && fsync(w->to) != 0)
		e = cannot(w, "cannot flush", part, errno);
	return e;
}

/* The directory, and the one above it. */
static enum err
finish_name(struct work *w, const char *part, const char *to)
{
	if (renameat2(AT_FDCWD, part, AT_FDCWD, to, RENAME_NOREPLACE) != 0)
		return cannot(w, "cannot give it its name", to, errno);
	char *up = join(to, "/..");
	int fd = open_dir(w, AT_FDCWD, up);
	enum err e = fd >= 0 && fsync(fd) == 0 ? OK : ERR_IO;
	if (fd >= 0)
		(void)close(fd);
	mem_free(&up);
	return e;
}

static bool
is_there(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0;
}

enum err
spool_backup(const char *from, const char *to, const struct backup_options *o,
    struct backup_report *r, struct buf *why)
{
	struct work w = {.o = o, .r = r, .why = why, .from = -1, .to = -1, .lock = -1};
	char *part = join(to, ".part");
	enum err e = ERR_EXISTS;
	*r = (struct backup_report){0};
	if (is_there(to))
		buf_addf(why, "%s is there already: a backup gets a name of its own", to);
	else if (mkdir(part, 0700) != 0)
		e = errno == EEXIST
			? (buf_addf(why,
			       "%s is there: a backup that did not end, or that is "
			       "being made; if nobody is at it, remove it",
			       part),
			      ERR_EXISTS)
			: cannot(&w, "cannot make", part, errno);
	else
		e = OK;
	if (e == OK) {
		w.from = open_dir(&w, AT_FDCWD, from);
		w.to = open_dir(&w, AT_FDCWD, part);
		e = w.from >= 0 && w.to >= 0 ? fill(&w, from, part) : ERR_IO;
		if (e == OK)
			e = finish_name(&w, part, to);
		if (e != OK && why->n > 0)
			buf_addf(why, " (what there is of it stays in %s)", part);
	}
	if (w.lock >= 0)
		(void)close(w.lock);
	if (w.from >= 0)
		(void)close(w.from);
	if (w.to >= 0)
		(void)close(w.to);
	mem_free(&part);
	return e;
}

/* ---- restore */

static enum err
must_be_empty(struct work *w, const char *to)
{
	DIR *d = opendir(to);
	const struct dirent *entry;
	enum err e = OK;
	if (d == NULL)
		return errno == ENOENT ? OK : cannot(w, "cannot open", to, errno);
	while (e == OK && (entry = readdir(d)) != NULL) {
		const char *n = entry->d_name;
		if (strcmp(n, ".") == 0 || strcmp(n, "..") == 0 ||
		    strcmp(n, "lost+found") == 0)
			continue;
		buf_addf(w->why,
		    "%s holds \"%s\": a spool is only restored into an empty directory; "
		    "move what is there out of the way first",
		    to, n);
		e = ERR_EXISTS;
	}
	(void)closedir(d);
	return e;
}

/* data.mdb comes last: without it there is no spool. */
static enum err
put_back(struct work *w, const char *from)
{
	enum err e = copy_others(w, from);
	if (e == OK)
		e = touch(w, "owner.lock");
	if (e == OK)
		e = copy_file(w, w->from, w->to, "data.mdb", true);
	if (e == OK && fsync(w->to) != 0)
		e = cannot(w, "cannot flush", "the directory", errno);
	return e;
}

enum err
spool_restore_check(const char *from, const char *to, const struct backup_options *o,
    struct backup_report *r, struct buf *why)
{
	struct work w = {.o = o, .r = r, .why = why, .from = -1, .to = -1, .lock = -1};
	*r = (struct backup_report){0};
	enum err e = verify(&w, from);
	return e == OK ? must_be_empty(&w, to) : e;
}

enum err
spool_restore(const char *from, const char *to, const struct backup_options *o,
    struct backup_report *r, struct buf *why)
{
	struct work w = {.o = o, .r = r, .why = why, .from = -1, .to = -1, .lock = -1};
	enum err e = spool_restore_check(from, to, o, r, why);
	if (e != OK)
		return e;
	w.from = open_dir(&w, AT_FDCWD, from);
	w.to = make_dir(&w, AT_FDCWD, to);
	e = w.from >= 0 && w.to >= 0 ? put_back(&w, from) : ERR_IO;
	if (e == OK)
		e = verify(&w, to);
	if (w.from >= 0)
		(void)close(w.from);
	if (w.to >= 0)
		(void)close(w.to);
	return e;
}

/* ---- compact */

static enum err
take_over(struct work *w, int *lock)
{
	*lock = openat(w->to, "owner.lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (*lock < 0)
		return cannot(w, "cannot open", "owner.lock", errno);
	if (flock(*lock, LOCK_EX | LOCK_NB) == 0)
		return OK;
	buf_add_str(w->why,
	    "relayd has this spool, and fills its free pages by itself; to "
	    "give them back to the disk, stop relayd first");
	return ERR_BUSY;
}

/* The same tables with as many rows. */
static enum err
same_rows(struct work *w, MDB_env *a, MDB_env *b)
{
	MDB_txn *x = NULL, *y = NULL;
	int rc = mdb_txn_begin(a, NULL, MDB_RDONLY, &x);
	if (rc == 0)
		rc = mdb_txn_begin(b, NULL, MDB_RDONLY, &y);
	enum err e = db_err(rc);
	for (int i = 0; e == OK && i < DB_COUNT; i++) {
		MDB_dbi p, q;
		MDB_stat sp, sq;
		if (mdb_dbi_open(x, db_name((enum dbi)i), 0, &p) != 0)
			continue;
		rc = mdb_dbi_open(y, db_name((enum dbi)i), 0, &q);
		if (rc == 0 && (mdb_stat(x, p, &sp) != 0 || mdb_stat(y, q, &sq) != 0 ||
				   sp.ms_entries != sq.ms_entries))
			rc = MDB_CORRUPTED;
		e = db_err(rc);
	}
	if (x != NULL)
		mdb_txn_abort(x);
	if (y != NULL)
		mdb_txn_abort(y);
	if (e != OK)
		buf_addf(w->why,
		    "the copy does not hold what the database holds; the old "
		    "one stays: see relayctl spool check");
	return e;
}

static enum err
compare(struct work *w, const char *path, MDB_env *env)
{
	char *name = join(path, "/data.mdb.new");
	MDB_env *copy = NULL;
	int rc = mdb_env_create(&copy);
	if (rc == 0) {
		(void)mdb_env_set_maxdbs(copy, DB_COUNT);
		rc = mdb_env_open(
		    copy, name, MDB_RDONLY | MDB_NOTLS | MDB_NOSUBDIR | MDB_NOLOCK, 0600);
	}
	enum err e = rc == 0 ? same_rows(w, env, copy) : db_err(rc);
	if (rc != 0)
		buf_addf(w->why, "the copy cannot be opened: %s", mdb_strerror(rc));
	mdb_env_close(copy);
	mem_free(&name);
	return e;
}

static enum err
copy_beside(struct work *w, const char *path)
{
	MDB_env *env = NULL;
	(void)unlinkat(w->to, "data.mdb.new", 0);
	enum err e = open_env(w, path, MDB_NOLOCK, &env);
	int out = e == OK ? make_file(w, w->to, "data.mdb.new") : -1;
	if (e == OK)
		e = out >= 0 ? copy_env(w, env, out) : ERR_IO;
	if (e == OK)
		e = compare(w, path, env);
	if (env != NULL)
		mdb_env_close(env);
	if (out >= 0)
		(void)close(out);
	if (e == OK && renameat(w->to, "data.mdb.new", w->to, "data.mdb") != 0)
		e = cannot(w, "cannot rename", "data.mdb.new", errno);
	if (e == OK && fsync(w->to) != 0)
		e = cannot(w, "cannot flush", path, errno);
	if (e != OK)
		(void)unlinkat(w->to, "data.mdb.new", 0);
	return e;
}

enum err
spool_compact(const char *path, const struct backup_options *o, struct backup_report *r,
    struct buf *why)
{
	struct work w = {.o = o, .r = r, .why = why, .from = -1, .lock = -1};
	int lock = -1;
	*r = (struct backup_report){0};
	w.to = open_dir(&w, AT_FDCWD, path);
	enum err e = w.to >= 0 ? take_over(&w, &lock) : ERR_NOT_FOUND;
	if (e == OK)
		e = copy_beside(&w, path);
	if (lock >= 0)
		(void)close(lock);
	if (w.to >= 0)
		(void)close(w.to);
	return e;
}
