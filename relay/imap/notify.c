/* SPDX-License-Identifier: ISC */
/*
 * notify - NOTIFY (RFC 5465): which mailboxes a session hears of, and what.  What happens
 * to mail in one that is not selected is told as STATUS, what happens to names as LIST;
 * the selected one is told of as in IDLE, without IDLE.
 */
#include "relay/imap/notify.h"

#include <string.h>

#include "base/mem.h"
#include "relay/imap/boxes.h"

#define FILTERS_MAX 20
#define NAMES_MAX 200 /* in all filters */

enum what {
	EVENT_NEW = 1 << 0,
	EVENT_EXPUNGE = 1 << 1,
	EVENT_FLAGS = 1 << 2,
	EVENT_NAME = 1 << 3,
	EVENT_SUBSCRIPTION = 1 << 4,
};
#define EVENT_MAIL (EVENT_NEW | EVENT_EXPUNGE | EVENT_FLAGS)

enum which {
	WHICH_INBOXES,
	WHICH_PERSONAL,
	WHICH_SUBSCRIBED,
	WHICH_SUBTREE,
	WHICH_THESE
};

struct filter {
	enum which which;
	unsigned events;
	size_t first, n; /* of the names */
};

struct notify {
	struct imap *s;
	struct listener *listener;
	struct filter filter[FILTERS_MAX];
	size_t filters;
	char (*name)[MAILBOX_NAME_MAX + 1];
	size_t names;
	unsigned selected; /* events; 0: nothing of the selected one but in commands */
	bool delayed;      /* its deletions wait for a command */
	bool pending, first;
};

/* A look at what has changed. */
struct look {
	struct spool_query *query;
	struct imap *s;
	char owner[MAILBOX_OWNER_MAX + 1];
	struct set changed;
	bool all; /* at the beginning, where STATUS was asked for */
	struct mailbox_name *row;
	struct mailbox_view *view;
	size_t n;
};

void
notify_free(struct imap *s)
{
	struct notify *x = s->notify;
	s->notify = NULL;
	if (x == NULL)
		return;
	listener_stop(&x->listener);
	mem_free(&x->name);
	mem_free(&x);
}

/* ---- which mailboxes */

static bool
in_names(const struct notify *x, const struct filter *f, const char *name)
{
	for (size_t i = f->first; i < f->first + f->n; i++) {
		size_t n = strlen(x->name[i]);
		if (strncmp(name, x->name[i], n) == 0 &&
		    (name[n] == '\0' || (f->which == WHICH_SUBTREE && name[n] == '/')))
			return true;
	}
	return false;
}

/* The first filter that fits says which events (RFC 5465 5). */
static unsigned
events_of(const struct notify *x, const char *name, bool subscribed)
{
	for (size_t i = 0; i < x->filters; i++) {
		const struct filter *f = &x->filter[i];
		bool fits =
		    f->which == WHICH_PERSONAL ||
		    (f->which == WHICH_INBOXES && strcmp(name, MAILBOX_INBOX) == 0) ||
		    (f->which == WHICH_SUBSCRIBED && subscribed) ||
		    ((f->which == WHICH_SUBTREE || f->which == WHICH_THESE) &&
			in_names(x, f, name));
		if (fits)
			return f->events;
	}
	return 0;
}

/* ---- telling */

static void
look_free(void *arg)
{
	struct look *x = arg;
	set_clear(&x->changed);
	mem_free(&x->row);
	mem_free(&x->view);
	mem_free(&x);
}

static void
run(struct spool_reader *r, void *arg)
{
	struct look *x = arg;
	char after[MAILBOX_NAME_MAX + 1] = "";
	size_t n = MAILBOX_NAMES_MAX, kept = 0;
	x->row = mem_alloc(MAILBOX_NAMES_MAX * sizeof(*x->row));
	if (spool_read_names(r, span_str(x->owner), span_str(after), x->row,
		MAILBOX_NAMES_MAX, &n) != OK)
		n = 0;
	x->view = mem_alloc((n + 1) * sizeof(*x->view));
	for (size_t i = 0; i < n; i++) {
		uint32_t number = x->row[i].number;
		if (number == 0 || (!x->all && !set_has(&x->changed, number)) ||
		    spool_read_mailbox_at(r, number, &x->view[kept]) != OK)
			continue;
		x->row[kept++] = x->row[i];
	}
	x->n = kept;
}

static void
done(void *arg)
{
	struct look *x = arg;
	struct imap *s = x->s;
	struct notify *t = s->notify;
	struct status_sums none = {0}; /* nobody asks for them */
	struct buf out;
	buf_init(&out, 0);
	s->looking = NULL;
	for (size_t i = 0; t != NULL && i < x->n; i++) {
		const struct mailbox_name *row = &x->row[i];
		bool selected =
		    s->selected != NULL && s->selected->view->number == row->number;
		if (!selected &&
		    (events_of(t, row->name, row->subscribed) & EVENT_MAIL) != 0)
			status_add(s, span_str(row->name),
			    STATUS_MESSAGES | STATUS_UIDNEXT | STATUS_UIDVALIDITY |
				STATUS_UNSEEN | (s->condstore ? STATUS_HIGHESTMODSEQ : 0),
			    &x->view[i], &none, &out);
	}
	imap_say(s, buf_span(&out));
	buf_clear(&out);
	look_free(x);
}

static void
look(struct imap *s, struct set *changed, bool all)
{
	struct look *x = NEW(struct look);
	x->s = s;
	x->changed = *changed;
	x->all = all;
	*changed = (struct set){0};
	span_copy(span_str(s->owner), x->owner, sizeof(x->owner));
	x->query =
	    spool_query_start(imap_spool(s), run, done, look_free, x, imap_inbox(s));
	s->looking = &x->query;
}

static void
say_news(struct imap *s, const struct news *x)
{
	unsigned events = events_of(s->notify, x->name, true);
	const char *attributes = x->kind == MAILBOX_REMOVED ? "\\NonExistent" : "";
	struct buf out;
	if (!(events &
		(x->kind == MAILBOX_SUBSCRIPTION ? EVENT_SUBSCRIPTION : EVENT_NAME)))
		return;
	buf_init(&out, 0);
	buf_addf(&out, "* LIST (%s) \"/\" ", attributes);
	imap_add_mailbox(s, span_str(x->name), &out);
	buf_add_str(&out, "\r\n");
	imap_say(s, buf_span(&out));
	buf_clear(&out);
}

/* Between two commands; what comes while one runs is told behind it. */
void
notify_tell(struct imap *s)
{
	struct notify *x = s->notify;
	struct set changed = {0};
	struct news *news = NULL;
	size_t n = 0;
	if (x == NULL || !x->pending || (s->running && !s->idling) ||
	    s->looking != NULL || s->io == NULL)
		return;
	if (io_queued(s->io) > IO_HIGH) {
		io_want_drained(s->io); /* it is not read: told when it is */
		return;
	}
	x->pending = false;
	listener_take(x->listener, &changed, &news, &n);
	for (size_t i = 0; i < n; i++)
		say_news(s, &news[i]);
	mem_free(&news);
	if (x->selected != 0 && s->selected != NULL)
		update_tell(s, !x->delayed);
	if (s->io != NULL && (changed.n > 0 || x->first))
		look(s, &changed, x->first);
	x->first = false;
	set_clear(&changed);
}

static void
on_news(void *arg)
{
	struct imap *s = arg;
	s->notify->pending = true;
	notify_tell(s);
}

/* ---- the command */

static bool
take_names(struct imap *s, struct lex *l, struct notify *x, struct filter *f)
{
	bool list = lex_char(l, '(');
	f->first = x->names;
	do {
		if (x->names == NAMES_MAX) {
			imap_no(s, "[LIMIT] ", "too many mailboxes");
			return false;
		}
		if (x->name == NULL)
			x->name = mem_alloc(NAMES_MAX * sizeof(*x->name));
		if (!args_mailbox(s, x->name[x->names]))
			return false;
		x->names++;
		f->n++;
	} while (list && lex_space(l));
	if (list && !lex_char(l, ')')) {
		imap_bad(s, "", "a parenthesis is missing");
		return false;
	}
	return true;
}

/* "MessageNew (UID FLAGS)": what it would fetch is not sent along; clients ask. */
static bool
skip_items(struct lex *l)
{
	unsigned depth = 0;
	struct lex at = *l;
	if (!lex_space(&at) || scan_peek(&at.in) != '(')
		return true;
	do {
		int c = scan_peek(&at.in);
		if (c < 0)
			return false;
		depth += c == '(';
		depth -= c == ')';
		at.in.p++;
	} while (depth > 0);
	*l = at;
	return true;
}

static bool
take_event(struct imap *s, struct lex *l, unsigned *events)
{
	static const struct {
		const char *name;
		unsigned event;
	} known[] = {{"MessageNew", EVENT_NEW}, {"MessageExpunge", EVENT_EXPUNGE},
	    {"FlagChange", EVENT_FLAGS}, {"MailboxName", EVENT_NAME},
	    {"SubscriptionChange", EVENT_SUBSCRIPTION}};
	for (size_t i = 0; i < COUNT_OF(known); i++) {
		if (!lex_word(l, known[i].name))
			continue;
		*events |= known[i].event;
		if (known[i].event != EVENT_NEW || skip_items(l))
			return true;
	}
	imap_no(s,
	    "[BADEVENT (MessageNew MessageExpunge FlagChange MailboxName "
	    "SubscriptionChange)] ",
	    "this event is not told of");
	return false;
}

static bool
take_events(struct imap *s, struct lex *l, unsigned *events)
{
	*events = 0;
	if (lex_word(l, "NONE"))
		return true;
	if (!lex_char(l, '(')) {
		imap_bad(s, "", "events stand in parentheses");
		return false;
	}
	do {
		if (!take_event(s, l, events))
			return false;
	} while (lex_space(l));
	if (!lex_char(l, ')')) {
		imap_bad(s, "", "a parenthesis is missing");
		return false;
	}
	/* deletions make no sense without arrivals (RFC 5465 5.2) */
	unsigned both = *events & (EVENT_NEW | EVENT_EXPUNGE);
	if (both == EVENT_NEW || both == EVENT_EXPUNGE) {
		imap_bad(s, "", "MessageNew and MessageExpunge go together");
		return false;
	}
	return true;
}

static bool
take_group(struct imap *s, struct lex *l, struct notify *x)
{
	static const char *const names[] = {[WHICH_INBOXES] = "inboxes",
	    [WHICH_PERSONAL] = "personal",
	    [WHICH_SUBSCRIBED] = "subscribed",
	    [WHICH_SUBTREE] = "subtree",
	    [WHICH_THESE] = "mailboxes"};
	struct filter f = {0};
	bool delayed = false;
	if (!lex_char(l, '(')) {
		imap_bad(s, "", "Syntax: NOTIFY SET (mailboxes (events)) ...");
		return false;
	}
	if ((delayed = lex_word(l, "selected-delayed")) || lex_word(l, "selected")) {
		x->delayed = delayed;
		return args_space(s) && take_events(s, l, &x->selected) &&
		       (lex_char(l, ')') || args_space(s));
	}
	size_t i = 0;
	while (i < COUNT_OF(names) && !lex_word(l, names[i]))
		i++;
	if (i == COUNT_OF(names) || x->filters == FILTERS_MAX) {
		imap_bad(s, "", "these are no mailboxes, or too many");
		return false;
	}
	f.which = (enum which)i;
	if (f.which >= WHICH_SUBTREE && (!args_space(s) || !take_names(s, l, x, &f)))
		return false;
	if (!args_space(s) || !take_events(s, l, &f.events))
		return false;
	x->filter[x->filters++] = f;
	return lex_char(l, ')') || args_space(s);
}

static bool
take_groups(struct imap *s, struct lex *l, struct notify *x)
{
	x->first = lex_word(l, "STATUS") && lex_space(l);
	do {
		if (!take_group(s, l, x))
			return false;
	} while (lex_space(l));
	return args_end(s);
}

void
run_notify(struct imap *s, struct lex *l)
{
	if (!args_space(s))
		return;
	if (lex_word(l, "NONE")) {
		if (args_end(s)) {
			notify_free(s);
			imap_ok(s, "", "nothing is told any more");
		}
		return;
	}
	if (!lex_word(l, "SET") || !lex_space(l)) {
		imap_bad(s, "", "Syntax: NOTIFY NONE, or NOTIFY SET ...");
		return;
	}
	struct notify *x = NEW(struct notify);
	x->s = s;
	if (!take_groups(s, l, x)) {
		mem_free(&x->name);
		mem_free(&x);
		return;
	}
	notify_free(s);
	s->notify = x;
	x->listener = listener_start(
	    s->pickup->o.hub, span_str(s->owner), imap_inbox(s), on_news, s);
	x->pending = x->first;
	imap_ok(s, "", "you will hear of it");
}

bool
notify_of_selected(const struct imap *s, bool *expunges)
{
	*expunges = s->notify != NULL && !s->notify->delayed;
	return s->notify != NULL && s->notify->selected != 0;
}
