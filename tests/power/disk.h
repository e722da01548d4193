/* SPDX-License-Identifier: ISC */
/*
 * disk - what a disk may hold when the power goes, worked out from a stream.
 *
 * The stream is walked record by record.  For each file and directory the disk knows
 * two things: as the process sees it (current), and as it is for certain (durable);
 * and what stands between them, the changes that nobody has flushed.  A state is the
 * durable one with any of these changes: each may be there, be missing, or, if it is
 * data, be there by sectors.  That is more than a journalling file system would do,
 * and all that POSIX allows:
 *
 *	fsync, fdatasync of a file    its data and its size, nothing of its name
 *	a write to an O_DSYNC file    these octets, and the size that they need
 *	fsync of a directory          the names in it
 *
 *	disk_open(&d, file, how);
 *	while (disk_step(d, &h))      one record
 *		disk_make(d, how, dice, dir);   a state, as files below dir
 */
#ifndef TESTS_POWER_DISK_H
#define TESTS_POWER_DISK_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/power/stream.h"

struct disk;

/* How the stream is read. */
struct disk_order {
	/* Marks of series 0 count only behind the next flush of the database: what
	 * acknowledgements would be if they waited for it. */
	bool late_marks;
	/* Files below big/ are removed only then, too. */
	bool late_removals;
};

struct disk *disk_open(const char *stream, const struct disk_order *o);
void disk_free(struct disk **d);

/* Takes the next record. False: there are no more. */
bool disk_step(struct disk *d, struct stream_head *out);
uint64_t disk_position(const struct disk *d); /* records taken */
/* Something is there that is not flushed. */
bool disk_pending(const struct disk *d);
/* The record that was taken last is a commit: a write to the database's first pages, or
 * what gives it its name. */
bool disk_committed(const struct disk *d);

enum disk_choice {
	DISK_ALL,    /* everything, flushed or not */
	DISK_NONE,   /* only what is flushed */
	DISK_RANDOM, /* any of it */
};
/* As files below dir, which is emptied before. */
void disk_make(struct disk *d, enum disk_choice how, uint64_t dice, const char *dir);

#endif
