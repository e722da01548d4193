/* SPDX-License-Identifier: ISC */
/*
 * backup - a spool as a whole, for administrators: copied while relayd works on
 * it, put back, made smaller.  Files and directories, no struct spool of the caller's.
 *
 * A backup is a spool of its own: one snapshot of the database, compacted, and the
 * large files that this snapshot names, beside accounts and certificates.  The large
 * files are hard links where that can be (they never change), else copies.  It is
 * made under another name, checked to the last checksum, flushed, and then renamed:
 * what has the name of a backup is a complete one.
 *
 * While relayd runs it must keep the files of messages that are gone meanwhile
 * (spool_keep_files); whoever makes the backup asks it to, first.
 *
 * One snapshot has its price: pages that relayd frees while the database is being copied
 * are not used again until that is done, so the database grows by what is written
 * meanwhile, and keeps that as free pages.  The copy is given up before that takes the
 * room that relayd needs.
 */
#ifndef SPOOL_BACKUP_H
#define SPOOL_BACKUP_H

#include "spool/spool.h"

struct backup_report {
	uint64_t bytes;           /* of the database's copy */
	uint64_t before;          /* of the database */
	uint64_t files;           /* of their own, linked or copied */
	uint64_t linked;          /* of them */
	uint64_t messages, mails; /* in it */
	uint64_t grown;           /* by so much while it was copied */
};

struct backup_options {
	struct world *world;
	struct log *log;
	/* Told now and then how far it is; total 0: not known.  May be NULL. */
	void (*progress)(void *arg, const char *what, uint64_t done, uint64_t total);
	void *arg;
	uint64_t min_free; /* of `from`'s disk: with less, a backup is given up */
	bool kept; /* the relayd that has `from` keeps the files of messages that go */
	/* Owner of what is made; -1: whoever calls. */
	unsigned uid, gid;
};

/* Each of them: on error `why` is a sentence that says what to do. */

/* ERR_EXISTS: there is something at `to` already, and it is left alone.  ERR_BUSY: a
 * relayd has `from` that has not been asked to keep files. */
enum err spool_backup(const char *from, const char *to, const struct backup_options *o,
    struct backup_report *r, struct buf *why);

/* The same backwards: `to` must not be there, or be an empty directory. */
enum err spool_restore(const char *from, const char *to, const struct backup_options *o,
    struct backup_report *r, struct buf *why);

/* Whether it could be done. */
enum err spool_restore_check(const char *from, const char *to,
    const struct backup_options *o, struct backup_report *r, struct buf *why);

/* The database without its free pages; ERR_BUSY: relayd runs. */
enum err spool_compact(const char *path, const struct backup_options *o,
    struct backup_report *r, struct buf *why);

#endif
