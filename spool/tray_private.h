/* SPDX-License-Identifier: ISC */
/* tray_private - between tray.c, what is shown, and tray_read.c, what is read of it. */
#ifndef SPOOL_TRAY_PRIVATE_H
#define SPOOL_TRAY_PRIVATE_H

#include "base/list.h"
#include "spool/mail_change_private.h"
#include "spool/tray.h"

/* A message as a scan saw it. */
struct tray_seen {
	uint64_t id;
	uint64_t stamp;    /* another one when a recipient's state or attempts are */
	uint32_t keywords; /* bits: enum tray_keyword */
};

struct tray_scan {
	struct tray_seen *seen; /* by id */
	size_t n;
};

struct tray_mail {
	uint32_t uid, flags, keywords;
	bool hidden; /* until its stamp is another one; a slot without a number */
	uint64_t id, stamp, modseq;
};

struct tray {
	enum tray_kind kind;
	uint32_t number, uidvalidity, uidnext;
	uint64_t modseq;
	struct tray_mail *mail; /* by uid, hidden ones among them */
	size_t n, cap;
};

struct tray_set {
	struct link link; /* in trays.sets: the latest that was entered at the end */
	char *who;
	uint32_t number; /* of the first of them */
	unsigned looking;
	struct tray tray[TRAYS];
};

struct trays {
	pthread_mutex_t mutex; /* the writer changes, readers look */
	struct world *world;
	struct list sets;
	size_t n;
	uint32_t lowest;      /* number that was given out: none comes back */
	uint32_t uidvalidity; /* the last */
};

/* Under the mutex.  NULL: its set is no more. */
struct tray *trays_get(struct spool *s, uint32_t number);
/* NULL: not shown; t may be NULL. */
struct tray_mail *tray_find(const struct tray *t, uint32_t uid);

#endif
