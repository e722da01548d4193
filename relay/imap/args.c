/* SPDX-License-Identifier: ISC */
/* args - words that many commands have, with the answer where they are wrong. */
#include <string.h>

#include "base/mem.h"
#include "relay/imap/session.h"
#include "relay/imap/utf7.h"

bool
args_end(struct imap *s)
{
	if (lex_done(&s->lex))
		return true;
	imap_bad(s, "", "there is more than this command takes");
	return false;
}

bool
args_space(struct imap *s)
{
	if (lex_space(&s->lex))
		return true;
	imap_bad(s, "", "an argument is missing, or a blank before it");
	return false;
}

/* ---- mailboxes */

/* INBOX is the same in any case, and so is the level below it. */
static void
settle_inbox(char *name)
{
	struct span s = span_str(name);
	if (span_istarts(s, SPAN(MAILBOX_INBOX)) && (s.n == 5 || name[5] == '/'))
		memcpy(name, MAILBOX_INBOX, 5);
}

bool
args_name(struct imap *s, struct span raw, char out[MAILBOX_NAME_MAX + 1])
{
	struct buf spelled, b;
	buf_init(&spelled, 0);
	buf_init(&b, 0);
	bool ok = s->utf8 || utf7_decode(raw, &spelled);
	if (s->utf8)
		buf_add_span(&spelled, raw);
	ok = ok && utf8_name_ok(buf_span(&spelled));
	if (ok)
		utf8_name_settle(buf_span(&spelled), &b);
	buf_clear(&spelled);
	bool fits = b.n <= MAILBOX_NAME_MAX;
	if (ok && fits) {
		span_copy(buf_span(&b), out, MAILBOX_NAME_MAX + 1);
		settle_inbox(out);
	}
	buf_clear(&b);
	if (!ok)
		imap_no(s, "[CANNOT] ",
		    s->utf8 ? "this name is no UTF-8" : "this name is no modified UTF-7");
	else if (!fits)
		imap_no(s, "[LIMIT] ", "this name is too long");
	return ok && fits;
}

bool
args_astring(struct imap *s, struct span *raw)
{
	if (!args_space(s))
		return false;
	if (lex_astring(&s->lex, raw))
		return true;
	imap_bad(s, "", "a mailbox's name is missing");
	return false;
}

bool
args_mailbox(struct imap *s, char out[MAILBOX_NAME_MAX + 1])
{
	struct span raw;
	if (lex_astring(&s->lex, &raw))
		return args_name(s, raw, out);
	imap_bad(s, "", "a mailbox's name is missing");
	return false;
}

/* ---- messages */

static bool
known_numbers(struct imap *s, struct set *read, struct set *out)
{
	const struct numbers *n = &s->selected->numbers;
	if (set_exceeds(read, n->count)) {
		imap_bad(s, "", "there is no message of this number");
		return false;
	}
	set_resolve(read, n->count);
	numbers_to_uids(n, read, out);
	return true;
}

bool
args_set_uids(struct imap *s, struct set *read, bool by_uid, struct set *out)
{
	const struct selected *x = s->selected;
	*out = (struct set){0};
	if (read->saved) {
		for (size_t i = 0; i < x->saved.n; i++)
			set_add_range(out, x->saved.range[i].from, x->saved.range[i].to);
		return true;
	}
	if (!by_uid)
		return known_numbers(s, read, out);
	set_resolve_uids(read, numbers_last(&x->numbers), x->last);
	*out = *read;
	*read = (struct set){0};
	return true;
}

bool
args_uids(struct imap *s, struct set *out)
{
	struct set read;
	*out = (struct set){0};
	if (!lex_set(&s->lex, &read)) {
		imap_bad(s, "", "a set of messages is missing, or too long");
		return false;
	}
	bool ok = args_set_uids(s, &read, s->by_uid, out);
	set_clear(&read);
	return ok;
}
