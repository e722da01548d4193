/* SPDX-License-Identifier: ISC */
/* picture - see picture.h. */
#include "tests/talk/picture.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define PICTURE_MAILS 100
#define PICTURE_NAMES 50

static void
add_mail(const struct mail_row *row, const struct mailbox_keywords *k, struct buf *out)
{
	static const struct {
		uint32_t flag;
		char letter;
	} flags[] = {{MAIL_ANSWERED, 'R'}, {MAIL_FLAGGED, 'F'}, {MAIL_DELETED, 'T'},
	    {MAIL_SEEN, 'S'}, {MAIL_DRAFT, 'D'}};
	buf_addf(out, " %u", row->uid);
	for (size_t i = 0; i < COUNT_OF(flags); i++) {
		if (row->flags & flags[i].flag)
			buf_add_char(out, flags[i].letter);
	}
	for (size_t i = 0; i < k->n; i++) {
		if (row->keywords >> i & 1)
			buf_add_str(out, k->name[i]);
	}
}

static void
add_mails(struct spool_reader *r, uint32_t number, struct buf *out)
{
	struct mail_row row[PICTURE_MAILS];
	struct mailbox_keywords k;
	size_t n = 0;
	CHECK(spool_read_keywords(r, number, &k) == OK);
	CHECK(spool_read_mails(r, number, 0, 0, row, COUNT_OF(row), &n) == OK);
	for (size_t i = 0; i < n; i++)
		add_mail(&row[i], &k, out);
	mailbox_keywords_clear(&k);
}

static bool
everybody_has(const char *name)
{
	static const char *const names[] = {"Drafts", "INBOX", "Junk", "Sent", "Trash"};
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

void
picture_of(struct spool_reader *r, struct span owner, struct buf *out)
{
	struct mailbox_name *name = mem_alloc(PICTURE_NAMES * sizeof(*name));
	size_t n = 0;
	CHECK(spool_read_names(r, owner, SPAN(""), name, PICTURE_NAMES, &n) == OK);
	for (size_t i = 0; i < n; i++) {
		struct mailbox_view v;
		if (spool_read_mailbox(r, owner, span_str(name[i].name), &v) != OK ||
		    (v.messages == 0 && everybody_has(name[i].name)))
			continue;
		buf_addf(out, "%s%s", out->n > 0 ? " ; " : "", name[i].name);
		add_mails(r, v.number, out);
	}
	mem_free(&name);
}
