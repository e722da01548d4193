/* SPDX-License-Identifier: ISC */
/* ledger - the books of a crash run. */
#include "tests/talk/ledger.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"
#include "base/mem.h"

#define MONO_START_MS INT64_C(1000000)
#define WALL_START_MS INT64_C(1795435200000) /* 2026-11-23T12:00:00Z */
#define PAGE_OF_MESSAGES 100

struct ledger *
ledger_new(void)
{
	void *p = mmap(NULL, sizeof(struct ledger), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED);
	ledger_reset(p);
	return p;
}

void
ledger_free(struct ledger **l)
{
	CHECK(munmap(*l, sizeof(struct ledger)) == 0);
	*l = NULL;
}

void
ledger_reset(struct ledger *l)
{
	memset(l, 0, sizeof(*l));
	l->mono_ms = MONO_START_MS;
	l->wall_ms = WALL_START_MS;
	l->dice = 1;
}

void
ledger_promise(struct ledger *l, const struct ledger_message *m)
{
	CHECK(l->messages < LEDGER_MESSAGES);
	l->message[l->messages++] = *m;
}

void
ledger_take(struct ledger *l, const struct ledger_body *b)
{
	CHECK(l->bodies < LEDGER_BODIES);
	l->body[l->bodies++] = *b;
}

/* ---- looking for a recipient of a message */

static bool
has_text(const char *p, size_t n, const char *text)
{
	return n > 0 && memmem(p, n, text, strlen(text)) != NULL;
}

/* As they stand in the message, and in a notice of it. */
struct mark {
	char field[40], id[60], failed[2][200];
};

static void
mark_make(const struct ledger_message *m, const char *rcpt, struct mark *out)
{
	(void)snprintf(out->field, sizeof(out->field), "X-Talk: %u\r\n", m->number);
	(void)snprintf(out->id, sizeof(out->id), "X-Relayd-Queue-Id: %s\r\n",
	    m->id[0] != '\0' ? m->id : "-");
	for (size_t i = 0; i < COUNT_OF(out->failed); i++)
		(void)snprintf(out->failed[i], sizeof(out->failed[i]),
		    "Final-Recipient: %s;%s\r\nAction: failed\r\n",
		    i == 0 ? "rfc822" : "utf-8", rcpt);
}

/* A notice that it failed for him: not that it is late, nor that it failed for others. */
static bool
is_told(const struct mark *mark, const char *p, size_t n)
{
	return (has_text(p, n, mark->field) || has_text(p, n, mark->id)) &&
	       (has_text(p, n, mark->failed[0]) || has_text(p, n, mark->failed[1]));
}

/* Read by the owner of a mailbox. */
static bool
picked_up(const struct ledger_body *b, const char *rcpt)
{
	char field[160];
	(void)snprintf(field, sizeof(field), "Delivered-To: %s\r\n", rcpt);
	return has_text(b->text, b->n, field);
}

static bool
taken(const struct ledger *l, const struct mark *mark, const char *rcpt)
{
	for (size_t i = 0; i < l->bodies; i++) {
		const struct ledger_body *b = &l->body[i];
		if (is_told(mark, b->text, b->n))
			return true;
		if (!has_text(b->text, b->n, mark->field))
			continue;
		for (size_t k = 0; k < b->rcpts; k++)
			if (strcmp(b->rcpt[k], rcpt) == 0)
				return true;
		if (picked_up(b, rcpt))
			return true;
	}
	return false;
}

static bool
in_message(struct spool_reader *r, uint64_t id, const struct mark *mark, const char *rcpt)
{
	struct message *m = NULL;
	if (spool_read_message(r, id, true, &m) != OK)
		return false;
	char text[64u << 10];
	size_t n = 0;
	bool found = false;
	if (content_read(m->content, 0, text, sizeof(text), &n) == OK) {
		for (size_t i = 0; has_text(text, n, mark->field) && i < m->rcpts; i++)
			found = found || span_eq(m->rcpt[i].address, span_str(rcpt));
		found = found || ((m->flags & MESSAGE_NOTICE) && is_told(mark, text, n));
	}
	message_unref(&m);
	return found;
}

static bool
in_spool(struct spool_reader *r, const struct mark *mark, const char *rcpt)
{
	struct message *page[PAGE_OF_MESSAGES];
	uint64_t after = 0;
	size_t n = 1;
	bool found = false;
	while (!found && n > 0) {
		if (spool_read_messages(r, after, page, COUNT_OF(page), &n) != OK)
			break;
		for (size_t i = 0; i < n; i++) {
			after = page[i]->id;
			found = found || in_message(r, after, mark, rcpt);
			message_unref(&page[i]);
		}
	}
	return found;
}

static bool
is_mail_for(struct spool_reader *r, uint32_t box, uint32_t uid, const struct mark *mark,
    const char *rcpt)
{
	struct kept_mail *m;
	char text[64u << 10];
	size_t n = 0;
	if (spool_read_mail(r, box, uid, true, &m) != OK)
		return false;
	bool found =
	    content_read(m->message->content, 0, text, sizeof(text), &n) == OK &&
	    ((has_text(text, n, mark->field) && span_eq(m->recipient, span_str(rcpt))) ||
		((m->message->flags & MESSAGE_NOTICE) && is_told(mark, text, n)));
	kept_mail_free(&m);
	return found;
}

static bool
in_mailboxes(struct spool_reader *r, const struct mark *mark, const char *rcpt)
{
	struct owner_row o = {0};
	struct mailbox_view box;
	struct mail_row row[PAGE_OF_MESSAGES];
	size_t n = 0;
	bool found = false;
	while (!found && spool_read_owner(r, span_str(o.name), &o) == OK) {
		if (spool_read_mailbox(r, span_str(o.name), SPAN(MAILBOX_INBOX), &box) !=
		    OK)
			continue;
		CHECK(
		    spool_read_mails(r, box.number, 0, 0, row, COUNT_OF(row), &n) == OK);
		for (size_t i = 0; i < n; i++)
			found =
			    found || is_mail_for(r, box.number, row[i].uid, mark, rcpt);
	}
	return found;
}

bool
ledger_check(struct ledger *l, struct spool_reader *r, struct buf *why)
{
	for (size_t i = 0; i < l->messages; i++) {
		const struct ledger_message *m = &l->message[i];
		for (size_t k = 0; k < m->rcpts; k++) {
			struct mark mark;
			mark_make(m, m->rcpt[k], &mark);
			if (taken(l, &mark, m->rcpt[k]) ||
			    in_spool(r, &mark, m->rcpt[k]) ||
			    in_mailboxes(r, &mark, m->rcpt[k]))
				continue;
			buf_addf(why, "message %u for <%s> was acknowledged and is lost",
			    m->number, m->rcpt[k]);
			return false;
		}
	}
	return true;
}
