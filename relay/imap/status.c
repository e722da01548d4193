/* SPDX-License-Identifier: ISC */
/* status - STATUS (RFC 9051 6.3.11, RFC 8438, 7162, 7889, 8474, 9208): what the mailbox's
 * own record says; mails are looked at for RECENT and DELETED-STORAGE alone: that is
 * the sum of their RFC822.SIZE, in octets (RFC 9208 4.1.4). */
#include "base/mem.h"
#include "relay/imap/boxes.h"
#include "relay/egress/failed.h"
#include "relay/imap/queue.h"

#define SLICE 200

static const struct {
	const char *name;
	unsigned item;
} items[] = {
    {"MESSAGES", STATUS_MESSAGES},
    {"UIDNEXT", STATUS_UIDNEXT},
    {"UIDVALIDITY", STATUS_UIDVALIDITY},
    {"UNSEEN", STATUS_UNSEEN},
    {"RECENT", STATUS_RECENT},
    {"SIZE", STATUS_SIZE},
    {"DELETED-STORAGE", STATUS_DELETED_STORAGE},
    {"DELETED", STATUS_DELETED},
    {"HIGHESTMODSEQ", STATUS_HIGHESTMODSEQ},
    {"MAILBOXID", STATUS_MAILBOXID},
    {"APPENDLIMIT", STATUS_APPENDLIMIT},
};

static bool
scan_item(struct imap *s, struct lex *l, unsigned *all)
{
	for (size_t i = 0; i < COUNT_OF(items); i++) {
		if (!lex_word(l, items[i].name))
			continue;
		if (items[i].item == STATUS_RECENT && s->rev2)
			break;
		if (items[i].item == STATUS_HIGHESTMODSEQ)
			s->condstore = true;
		*all |= items[i].item;
		return true;
	}
	imap_bad(s, "", "this item of STATUS is not known");
	return false;
}

bool
status_scan(struct imap *s, struct lex *l, unsigned *all)
{
	*all = 0;
	if (!lex_char(l, '(')) {
		imap_bad(s, "", "items stand in parentheses");
		return false;
	}
	do {
		if (!scan_item(s, l, all))
			return false;
	} while (lex_space(l));
	if (!lex_char(l, ')')) {
		imap_bad(s, "", "a parenthesis is missing");
		return false;
	}
	return true;
}

void
status_sum(struct spool_reader *r, const struct mailbox_view *box, unsigned all,
    struct status_sums *out)
{
	bool deleted = (all & STATUS_DELETED_STORAGE) && box->deleted > 0;
	*out = (struct status_sums){0};
	if (!deleted && !(all & STATUS_RECENT))
		return;
	struct mail_row *row = mem_alloc(SLICE * sizeof(*row));
	uint32_t after = box->recent > 0 && !deleted ? box->recent - 1 : 0;
	size_t n = SLICE;
	while (n == SLICE &&
	       spool_read_mails(r, box->number, after, 0, row, SLICE, &n) == OK &&
	       n > 0) {
		for (size_t i = 0; i < n; i++) {
			out->recent += row[i].uid >= box->recent;
			if (row[i].flags & MAIL_DELETED)
				out->deleted_octets += row[i].size;
		}
		after = row[n - 1].uid;
	}
	mem_free(&row);
}

static uint64_t
value_of(const struct imap *s, unsigned item, const struct mailbox_view *box,
    const struct status_sums *sums)
{
	switch (item) {
	case STATUS_MESSAGES: return box->messages;
	case STATUS_UIDNEXT: return box->uidnext;
	case STATUS_UIDVALIDITY: return box->uidvalidity;
	case STATUS_UNSEEN: return box->unseen;
	case STATUS_RECENT: return sums->recent;
	case STATUS_DELETED_STORAGE: return sums->deleted_octets;
	case STATUS_SIZE: return box->octets;
	case STATUS_DELETED: return box->deleted;
	case STATUS_HIGHESTMODSEQ: return box->modseq;
	default: break;
	}
	return s->config->server.message_size;
}

void
status_add(struct imap *s, struct span name, unsigned all, const struct mailbox_view *box,
    const struct status_sums *sums, struct buf *out)
{
	const char *blank = "";
	buf_add_str(out, "* STATUS ");
	imap_add_mailbox(s, name, out);
	buf_add_str(out, " (");
	for (size_t i = 0; i < COUNT_OF(items); i++) {
		if (!(all & items[i].item))
			continue;
		buf_addf(out, "%s%s ", blank, items[i].name);
		blank = " ";
		if (items[i].item == STATUS_MAILBOXID)
			buf_addf(out, "(F%x-%x)", box->number, box->uidvalidity);
		else if (items[i].item == STATUS_APPENDLIMIT &&
			 s->config->server.message_size == 0)
			buf_add_str(out, "NIL");
		else
			buf_addf(out, "%llu",
			    (unsigned long long)value_of(s, items[i].item, box, sums));
	}
	buf_add_str(out, ")\r\n");
}

/* ---- the command */

struct looking {
	struct job job;
	struct imap *s;
	struct spool_query *query;
	char owner[MAILBOX_OWNER_MAX + 1], name[MAILBOX_NAME_MAX + 1];
	unsigned items;
	uint32_t tray; /* 0: it is none */
	bool failed;   /* the mailbox of mail that has failed: owner is its own */
	struct desk_request *asking;
	struct mailbox_view box;
	struct status_sums sums;
	enum err err;
};

static void
looking_free(void *arg)
{
	struct looking *x = arg;
	mem_free(&x);
}

static void
cancel(struct imap *s)
{
	struct looking *x = CONTAINER_OF(s->job, struct looking, job);
	desk_cancel(&x->asking);
	if (x->query != NULL)
		spool_cancel_query(&x->query); /* looking_free() when it is over */
	else
		looking_free(x);
}

static void
run(struct spool_reader *r, void *arg)
{
	struct looking *x = arg;
	x->err = x->tray != 0
		     ? spool_read_mailbox_at(r, x->tray, &x->box)
		     : spool_read_mailbox(r, span_str(x->owner),
			   x->failed ? SPAN(MAILBOX_INBOX) : span_str(x->name), &x->box);
	if (x->err == OK)
		status_sum(r, &x->box, x->items, &x->sums);
}

static void
done(void *arg)
{
	struct looking *x = arg;
	struct imap *s = x->s;
	enum err e = x->err;
	struct buf out;
	if (e == ERR_NOT_FOUND &&
	    (x->failed || span_eq(span_str(x->name), SPAN(MAILBOX_INBOX)))) {
		e = OK; /* nothing has come yet */
		x->box =
		    (struct mailbox_view){.uidnext = 1, .uidvalidity = 1, .modseq = 1};
	}
	buf_init(&out, 0);
	if (e == OK)
		status_add(s, span_str(x->name), x->items, &x->box, &x->sums, &out);
	imap_say(s, buf_span(&out));
	buf_clear(&out);
	s->job = NULL;
	looking_free(x);
	if (e == OK)
		imap_ok(s, "", "that is all");
	else
		imap_spool_no(s, e);
}

static void
look(struct looking *x)
{
	x->query = spool_query_start(
	    imap_spool(x->s), run, done, looking_free, x, imap_inbox(x->s));
}

static void
on_asked(void *arg, const struct desk_result *r)
{
	struct looking *x = arg;
	(void)r;
	x->asking = NULL;
	look(x);
}

void
run_status(struct imap *s, struct lex *l)
{
	struct looking *x = NEW(struct looking);
	*x = (struct looking){.job = {NULL, cancel}, .s = s};
	span_copy(span_str(s->owner), x->owner, sizeof(x->owner));
	if (!args_space(s) || !args_mailbox(s, x->name) || !args_space(s) ||
	    !status_scan(s, l, &x->items) || !args_end(s)) {
		looking_free(x);
		return;
	}
	const struct queue_box *box = queue_box(s, x->name);
	s->job = &x->job;
	imap_wait(s);
	x->failed = box != NULL && box->failed;
	if (x->failed)
		span_copy(SPAN(FAILED_OWNER), x->owner, sizeof(x->owner));
	if (box == NULL || x->failed) {
		look(x);
		return;
	}
	x->tray = queue_number(s, box);
	x->asking = desk_look_start(s->pickup->o.desk, imap_inbox(s), on_asked, x);
}
