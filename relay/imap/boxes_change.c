/* SPDX-License-Identifier: ISC */
/*
 * boxes_change - CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 9051 6.3), and the
 * folders that every client wants, made at the first sign-in.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "relay/imap/boxes.h"
#include "relay/imap/queue.h"

#define PREPARED "/private/vendor/relayd/folders"

struct ordering {
	struct job job;
	struct imap *s;
	struct spool_query *query;
	struct spool_request *request;
	char owner[MAILBOX_OWNER_MAX + 1], name[MAILBOX_NAME_MAX + 1],
	    to[MAILBOX_NAME_MAX + 1];
	struct span asked; /* name as the client spells it; in the command */
	const char *text;  /* of the answer */
	struct mailbox_view box;
	enum err err;
	bool children;
	size_t step;
	bool prepared;
	void (*then)(struct imap *s); /* of the folders that are made */
};

static struct ordering *
of_job(struct imap *s)
{
	return CONTAINER_OF(s->job, struct ordering, job);
}

static void
ordering_free(void *arg)
{
	struct ordering *x = arg;
	mem_free(&x);
}

static void
cancel(struct imap *s)
{
	struct ordering *x = of_job(s);
	spool_cancel(&x->request);
	if (x->query != NULL)
		spool_cancel_query(&x->query); /* ordering_free() when it is over */
	else
		ordering_free(x);
}

static struct ordering *
ordering_new(struct imap *s, const char *text)
{
	struct ordering *x = NEW(struct ordering);
	*x = (struct ordering){.job = {NULL, cancel}, .s = s, .text = text};
	span_copy(span_str(s->owner), x->owner, sizeof(x->owner));
	return x;
}

static void
on_done(void *arg, enum err e)
{
	struct ordering *x = arg;
	struct imap *s = x->s;
	const char *text = x->text;
	s->job = NULL;
	ordering_free(x);
	if (e == OK)
		imap_ok(s, "", text);
	else
		imap_spool_no(s, e);
}

static void
order(struct imap *s, struct ordering *x, const struct mailbox_request *q,
    spool_done_fn *done)
{
	struct mailbox_request full = *q;
	full.owner = span_str(x->owner);
	if (s->job == NULL)
		s->job = &x->job;
	imap_wait(s);
	x->request = spool_mailbox_start(imap_spool(s), &full, imap_inbox(s), done, x);
}

/* ---- names that may be */

/* No empty level, nothing that a pattern would take for something else. */
static bool
name_may_be(const char *name)
{
	size_t n = strlen(name);
	if (n == 0 || name[0] == '/' || name[n - 1] == '/' || strstr(name, "//") != NULL)
		return false;
	for (const char *c = name; c != NULL; c = strchr(c, '/')) {
		c += *c == '/';
		size_t level = strcspn(c, "/");
		if ((level == 1 && c[0] == '.') ||
		    (level == 2 && memcmp(c, "..", 2) == 0))
			return false;
	}
	return strpbrk(name, "%*") == NULL;
}

static bool
check_name(struct imap *s, const char *name)
{
	if (imap_settings(s)->folders == FOLDERS_INBOX_ONLY) {
		imap_no(s, "[CANNOT] ", "there is INBOX only here");
		return false;
	}
	if (name_may_be(name))
		return true;
	imap_no(s, "[CANNOT] ", "this is no name for a mailbox");
	return false;
}

/* ---- CREATE */

/* "\Trash"; false: none that can be had.  A folder of all mail, or of the flagged, would
 * have to fill itself. */
static bool
find_use(struct span flag, enum mailbox_use *use)
{
	for (int u = MAILBOX_ARCHIVE; u <= MAILBOX_TRASH; u++) {
		if (u != MAILBOX_FLAGGED &&
		    span_ieq(flag, span_str(boxes_use((enum mailbox_use)u) + 1))) {
			*use = (enum mailbox_use)u;
			return true;
		}
	}
	return false;
}

/* "(USE (\Trash))" (RFC 6154 3): none, or one. */
static bool
scan_use(struct imap *s, struct lex *l, enum mailbox_use *use)
{
	struct span flag;
	size_t n = 0;
	if (!lex_space(l))
		return true;
	bool ok =
	    lex_char(l, '(') && lex_word(l, "USE") && lex_space(l) && lex_char(l, '(');
	bool had = true;
	while (ok && !lex_char(l, ')')) {
		ok = (n == 0 || lex_space(l)) && lex_flag(l, &flag);
		had = ok && had && n++ == 0 && find_use(flag, use);
	}
	if (!ok || !lex_char(l, ')') || !lex_done(l))
		imap_bad(s, "", "Syntax: CREATE mailbox [(USE (\\Trash))]");
	else if (!had)
		imap_no(s, "[USEATTR] ", "this use is not to be had");
	else
		return true;
	return false;
}

/* Only where the name became another one is there something to tell (RFC 9051 6.3.4). */
static void
say_settled(struct imap *s, const struct ordering *x)
{
	struct buf line;
	if (!s->rev2 || imap_is_spelled_so(x->asked, span_str(x->name)))
		return;
	buf_init(&line, 0);
	imap_add_list(s, span_str(x->name), x->asked, &line);
	imap_say(s, buf_span(&line));
	buf_clear(&line);
}

static void
on_created(void *arg)
{
	struct ordering *x = arg;
	struct imap *s = x->s;
	char code[64] = "";
	if (x->err == OK)
		say_settled(s, x);
	if (x->err == OK)
		(void)snprintf(code, sizeof(code), "[MAILBOXID (F%x-%x)] ", x->box.number,
		    x->box.uidvalidity);
	s->job = NULL;
	ordering_free(x);
	imap_ok(s, code, "created");
}

static void
read_created(struct spool_reader *r, void *arg)
{
	struct ordering *x = arg;
	x->err = spool_read_mailbox(r, span_str(x->owner), span_str(x->name), &x->box);
}

static void
on_create(void *arg, enum err e)
{
	struct ordering *x = arg;
	struct imap *s = x->s;
	x->request = NULL;
	if (e != OK) {
		on_done(x, e);
		return;
	}
	x->query = spool_query_start(
	    imap_spool(s), read_created, on_created, ordering_free, x, imap_inbox(s));
}

void
run_create(struct imap *s, struct lex *l)
{
	struct ordering *x = ordering_new(s, "created");
	enum mailbox_use use = MAILBOX_PLAIN;
	bool ok = args_astring(s, &x->asked) && args_name(s, x->asked, x->name);
	size_t n = strlen(x->name);
	if (ok && n > 1 && x->name[n - 1] == '/')
		x->name[n - 1] = '\0'; /* others will be below it: they always may */
	ok = ok && scan_use(s, l, &use) && args_end(s) && check_name(s, x->name);
	ok = ok && !queue_refuses(s, x->name, "this name is the queue's");
	if (ok && strcmp(x->name, MAILBOX_INBOX) == 0) {
		imap_no(s, "[ALREADYEXISTS] ", "INBOX always is");
		ok = false;
	}
	if (ok)
		order(s, x,
		    &(struct mailbox_request){
			.act = MAILBOX_CREATE, .name = span_str(x->name), .use = use},
		    on_create);
	else
		ordering_free(x);
}

/* ---- DELETE */

static void
read_below(struct spool_reader *r, void *arg)
{
	struct ordering *x = arg;
	struct mailbox_name row;
	char after[MAILBOX_NAME_MAX + 2];
	size_t n = 0, length = strlen(x->name);
	span_copy(span_str(x->name), after, sizeof(after));
	after[length] = '/';
	after[length + 1] = '\0';
	x->err = spool_read_names(
	    r, span_str(x->owner), (struct span){after, length}, &row, 1, &n);
	x->children = false;
	while (x->err == OK && n == 1 && strncmp(row.name, after, length) == 0 &&
	       row.name[length] <= '/') {
		x->children = x->children || (row.name[length] == '/' && row.number != 0);
		struct span last = span_str(row.name);
		char name[MAILBOX_NAME_MAX + 1];
		span_copy(last, name, sizeof(name));
		x->err =
		    spool_read_names(r, span_str(x->owner), span_str(name), &row, 1, &n);
	}
}

static void
on_below(void *arg)
{
	struct ordering *x = arg;
	struct imap *s = x->s;
	bool children = x->children;
	s->job = NULL;
	ordering_free(x);
	if (children)
		imap_no(s, "[HASCHILDREN] ", "others are below this name");
	else
		imap_no(s, "[NONEXISTENT] ", "there is no such mailbox");
}

/* What was selected and is no more is left: nobody is told of what nobody has. */
static void
leave_removed(struct imap *s)
{
	if (s->selected == NULL)
		return;
	view_lock(s->selected->view);
	bool removed = s->selected->view->removed;
	view_unlock(s->selected->view);
	if (removed)
		select_leave(s);
}

static void
on_deleted(void *arg, enum err e)
{
	struct ordering *x = arg;
	struct imap *s = x->s;
	x->request = NULL;
	if (e == OK)
		leave_removed(s);
	if (e != ERR_NOT_FOUND) {
		on_done(x, e);
		return;
	}
	x->query = spool_query_start(
	    imap_spool(s), read_below, on_below, ordering_free, x, imap_inbox(s));
}

void
run_delete(struct imap *s, struct lex *l)
{
	struct ordering *x = ordering_new(s, "deleted");
	(void)l;
	bool ok = args_space(s) && args_mailbox(s, x->name) && args_end(s);
	ok = ok && !queue_refuses(s, x->name, "the queue's folders stay");
	if (ok && strcmp(x->name, MAILBOX_INBOX) == 0) {
		imap_no(s, "[CANNOT] ", "INBOX stays");
		ok = false;
	}
	if (ok)
		order(s, x,
		    &(struct mailbox_request){
			.act = MAILBOX_DELETE, .name = span_str(x->name)},
		    on_deleted);
	else
		ordering_free(x);
}

/* ---- RENAME: of INBOX the mails move, it stays (RFC 9051 6.3.6) */

static void
empty_inbox(struct imap *s, struct ordering *x)
{
	struct mail_change *c = mail_change_new(span_str(s->owner), SPAN(MAILBOX_INBOX));
	mail_change_move_all(c, span_str(s->owner), span_str(x->to));
	x->text = "the mails of INBOX are there now";
	s->job = &x->job;
	imap_wait(s);
	x->request = spool_mail_change_start(imap_spool(s), c, imap_inbox(s), on_done, x);
}

void
run_rename(struct imap *s, struct lex *l)
{
	struct ordering *x = ordering_new(s, "renamed");
	(void)l;
	bool ok = args_space(s) && args_mailbox(s, x->name) && args_space(s) &&
		  args_mailbox(s, x->to) && args_end(s) && check_name(s, x->to);
	ok = ok && !queue_refuses(s, x->name, "the queue's folders stay") &&
	     !queue_refuses(s, x->to, "this name is the queue's");
	if (ok && strcmp(x->to, MAILBOX_INBOX) == 0) {
		imap_no(s, "[ALREADYEXISTS] ", "INBOX always is");
		ok = false;
	}
	size_t n = strlen(x->name);
	if (ok && strncmp(x->to, x->name, n) == 0 && x->to[n] == '/' &&
	    strcmp(x->name, MAILBOX_INBOX) != 0) {
		imap_no(s, "[CANNOT] ", "a mailbox cannot go below itself");
		ok = false;
	}
	if (ok && strcmp(x->name, MAILBOX_INBOX) == 0)
		empty_inbox(s, x);
	else if (ok)
		order(s, x,
		    &(struct mailbox_request){.act = MAILBOX_RENAME,
			.name = span_str(x->name),
			.to = span_str(x->to)},
		    on_done);
	else
		ordering_free(x);
}

/* ---- subscriptions */

static void
subscribe(struct imap *s, enum mailbox_act act, const char *text)
{
	struct ordering *x = ordering_new(s, text);
	bool ok = args_space(s) && args_mailbox(s, x->name) && args_end(s);
	if (ok && x->name[0] == '\0') {
		imap_no(s, "[CANNOT] ", "this is no name for a mailbox");
		ok = false;
	}
	if (ok)
		order(s, x,
		    &(struct mailbox_request){.act = act, .name = span_str(x->name)},
		    on_done);
	else
		ordering_free(x);
}

void
run_subscribe(struct imap *s, struct lex *l)
{
	(void)l;
	subscribe(s, MAILBOX_SUBSCRIBE, "subscribed");
}

void
run_unsubscribe(struct imap *s, struct lex *l)
{
	(void)l;
	subscribe(s, MAILBOX_UNSUBSCRIBE, "unsubscribed");
}

/* ---- what every client wants: made once, and not again where it was deleted */

static const struct {
	const char *name;
	enum mailbox_use use;
} wanted[] = {
    {"Drafts", MAILBOX_DRAFTS},
    {"Sent", MAILBOX_SENT},
    {"Junk", MAILBOX_JUNK},
    {"Trash", MAILBOX_TRASH},
    {MAILBOX_INBOX, MAILBOX_PLAIN},
};

static void
prepared(struct ordering *x)
{
	struct imap *s = x->s;
	void (*then)(struct imap *) = x->then;
	s->job = NULL;
	ordering_free(x);
	then(s);
}

static void
prepare_next(void *arg, enum err e)
{
	struct ordering *x = arg;
	struct mailbox_request q = {.act = MAILBOX_CREATE, .subscribe = true};
	(void)e; /* one that is there is as good, and one that cannot be made is missed */
	x->request = NULL;
	if (x->step > COUNT_OF(wanted)) {
		prepared(x);
		return;
	}
	size_t i = x->step++;
	if (i < COUNT_OF(wanted)) {
		q.name = span_str(wanted[i].name);
		q.use = wanted[i].use;
	} else {
		q.act = MAILBOX_NOTE;
		q.name = SPAN("");
		q.entry = SPAN(PREPARED);
		q.value = SPAN("1");
	}
	order(x->s, x, &q, prepare_next);
}

static void
read_prepared(struct spool_reader *r, void *arg)
{
	struct ordering *x = arg;
	struct buf b;
	buf_init(&b, 0);
	x->prepared = spool_read_note(r, span_str(x->owner), SPAN(""), SPAN(PREPARED),
			  &b) != ERR_NOT_FOUND;
	buf_clear(&b);
}

static void
on_prepared_read(void *arg)
{
	struct ordering *x = arg;
	x->query = NULL;
	if (x->prepared)
		prepared(x);
	else
		prepare_next(x, OK);
}

void
boxes_prepare(struct imap *s, void (*then)(struct imap *s))
{
	if (imap_settings(s)->folders == FOLDERS_INBOX_ONLY) {
		then(s);
		return;
	}
	struct ordering *x = ordering_new(s, "");
	x->then = then;
	s->job = &x->job;
	imap_wait(s);
	x->query = spool_query_start(imap_spool(s), read_prepared, on_prepared_read,
	    ordering_free, x, imap_inbox(s));
}
