/* SPDX-License-Identifier: ISC */
/*
 * view - the mailboxes that sessions have open, in memory, once for all sessions and all
 * threads: uid, flags and modseq of each mail.
 *
 * The spool's writer tells of each commit (hub_tell); views that are loaded follow at
 * once, so a view is the mailbox as it is on disk.  What a session has told its client
 * lies behind: it keeps its own numbers and the modseq up to which it has told, and asks
 * the view for the difference when the protocol lets it say so.
 *
 *	hub = hub_new();  spool_on_mail(spool, hub_tell, hub);            once
 *	v = view_open(hub, number);  view_load(v, reader) in the pool;     a session
 *	w = view_watch_start(v, inbox, on_change, session);
 *	view_lock(v); ... v->mark[view_find(v, uid)] ...; view_unlock(v);
 *	view_watch_stop(&w);  view_close(&v);
 *
 * The lock is held for moments only, and nothing is called under it.  A view that nobody
 * has open is kept for a while, so that the next SELECT needs no disk.
 */
#ifndef RELAY_IMAP_VIEW_H
#define RELAY_IMAP_VIEW_H

#include <pthread.h>

#include "base/list.h"
#include "base/map.h"
#include "spool/mailbox.h"

#define VIEW_CHANGES 256           /* the latest, so that telling one costs one step */
#define VIEWS_KEPT 64              /* that nobody has open */
#define VIEW_MARKS_KEPT (1u << 20) /* of those */

struct hub;
struct hub *hub_new(struct world *w);
void hub_free(struct hub **h); /* all views must be closed */
void hub_tell(void *hub, const struct mail_event *event, size_t n); /* any one thread */

struct mark {
	uint32_t uid;
	uint32_t flags; /* enum mail_flag */
	uint64_t keywords, modseq;
};

struct view_change {
	uint64_t modseq;
	uint32_t uid;
	bool gone;
};

struct view_event {
	struct mail_event event;
	char *text; /* owned; NULL: none */
};

enum view_state { VIEW_EMPTY, VIEW_LOADING, VIEW_LOADED };

struct view {
	struct hub *hub;
	uint32_t number;
	unsigned char key[4];
	struct map_node node;
	struct link link;  /* in hub->idle */
	unsigned refs;     /* the hub's lock */
	size_t idle_marks; /* as they were when the last session left */

	pthread_mutex_t mutex; /* of all below */
	pthread_cond_t loaded;
	enum view_state state;
	bool removed; /* there is no such mailbox any more */
	uint32_t uidvalidity, uidnext, recent;
	uint64_t modseq;     /* of the last change that is in here */
	uint64_t gone_since; /* as it was when it was loaded */
	struct mark *mark;   /* by uid */
	size_t marks, cap;
	char *keyword[MAILBOX_KEYWORDS_MAX];
	size_t keywords;
	struct view_change change[VIEW_CHANGES]; /* a ring */
	uint64_t changes;           /* ever; the last VIEW_CHANGES of them are there */
	uint64_t known;             /* all changes at a greater modseq are in the ring */
	struct view_event *backlog; /* while it is loaded */
	size_t backlogs, backlog_cap;
	struct list watches;
};

struct view *view_open(struct hub *h, uint32_t number);
struct view *view_ref(struct view *v);
void view_close(struct view **v); /* NULL inside is fine */

/* In the pool; once is enough, another call finds it done.  ERR_NOT_FOUND: no such
 * mailbox. */
enum err view_load(struct view *v, struct spool_reader *r);

void view_lock(struct view *v);
void view_unlock(struct view *v);

/* ---- under the lock */

/* Index of the first mark with this uid or a greater one. */
size_t view_from(const struct view *v, uint32_t uid);
const struct mark *view_find(const struct view *v, uint32_t uid); /* NULL: gone */
int view_keyword(const struct view *v, struct span name);         /* bit, or -1 */

/* uids of `of` (resolved; n 0: of all up to uidnext) that are not there: those that have
 * gone as far as it is known, or, gone NULL, whatever is missing.  Added to out. */
struct set; /* set.h */
void view_missing(
    const struct view *v, const struct set *gone, const struct set *of, struct set *out);

/* ---- being told */

struct view_watch;
/* fn comes on the loop of this inbox, once for any number of changes before it comes. */
struct view_watch *
view_watch_start(struct view *v, struct inbox *to, void (*fn)(void *arg), void *arg);
void view_watch_stop(struct view_watch **w); /* on that loop; NULL inside is fine */

#endif
