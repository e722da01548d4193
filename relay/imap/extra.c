/* SPDX-License-Identifier: ISC */
/* extra - ID (RFC 2971), QUOTA (RFC 9208), COMPRESS (RFC 4978), UIDBATCHES (RFC 9586 and
 * its like). */
#include "base/mem.h"
#include "relay/imap/session.h"
#include "relay/version.h"

/* ---- ID */

#define ID_PAIRS_MAX 30
#define ID_NAME_MAX 30
#define ID_VALUE_MAX 1024

static bool
scan_pairs(struct lex *l)
{
	struct span name, value;
	unsigned n = 0;
	if (lex_word(l, "NIL"))
		return true;
	if (!lex_char(l, '('))
		return false;
	if (lex_char(l, ')'))
		return true;
	do {
		if (++n > ID_PAIRS_MAX || !lex_string(l, &name) || !lex_space(l) ||
		    !lex_nstring(l, &value) || name.n > ID_NAME_MAX ||
		    value.n > ID_VALUE_MAX)
			return false;
	} while (lex_space(l));
	return lex_char(l, ')');
}

void
run_id(struct imap *s, struct lex *l)
{
	if (!args_space(s))
		return;
	if (!scan_pairs(l) || !lex_done(l)) {
		imap_bad(s, "", "Syntax: ID NIL, or ID (\"field\" \"value\" ...)");
		return;
	}
	if (s->state == IMAP_BEFORE)
		imap_sayf(s, "ID (\"name\" \"relayd\")");
	else
		imap_sayf(
		    s, "ID (\"name\" \"relayd\" \"version\" \"%s\")", RELAYD_VERSION);
	imap_ok(s, "", "pleased to meet you");
}

/* ---- QUOTA: one root for all of an owner's mailboxes */

static void
add_quota(struct imap *s)
{
	const struct mailbox_config *m = imap_settings(s);
	struct mailbox_usage u;
	struct buf out;
	const char *blank = "";
	spool_mailbox_usage(imap_spool(s), span_str(s->owner), &u);
	buf_init(&out, 0);
	if (m->quota > 0) {
		buf_addf(&out, "STORAGE %llu %llu", (unsigned long long)(u.octets / 1024),
		    (unsigned long long)(m->quota / 1024));
		blank = " ";
	}
	if (m->quota_messages > 0)
		buf_addf(&out, "%sMESSAGE %llu %u", blank, (unsigned long long)u.messages,
		    m->quota_messages);
	imap_sayf(s, "QUOTA \"\" (%.*s)", SPAN_ARG(buf_span(&out)));
	buf_clear(&out);
}

void
run_getquota(struct imap *s, struct lex *l)
{
	struct span root;
	if (!args_space(s))
		return;
	if (!lex_astring(l, &root) || !lex_done(l)) {
		imap_bad(s, "", "Syntax: GETQUOTA root");
	} else if (root.n > 0) {
		imap_no(s, "[NONEXISTENT] ", "there is no such quota root");
	} else {
		add_quota(s);
		imap_ok(s, "", "that is all");
	}
}

void
run_getquotaroot(struct imap *s, struct lex *l)
{
	char name[MAILBOX_NAME_MAX + 1];
	struct buf out;
	(void)l;
	if (!args_space(s) || !args_mailbox(s, name) || !args_end(s))
		return;
	buf_init(&out, 0);
	imap_add_mailbox(s, span_str(name), &out);
	imap_sayf(s, "QUOTAROOT %.*s \"\"", SPAN_ARG(buf_span(&out)));
	buf_clear(&out);
	add_quota(s);
	imap_ok(s, "", "that is all");
}

void
run_setquota(struct imap *s, struct lex *l)
{
	(void)l;
	imap_no(
	    s, "[NOPERM] ", "quotas are the administrator's: mailboxes { quota = ... }");
}

/* ---- COMPRESS */

void
run_compress(struct imap *s, struct lex *l)
{
	if (!args_space(s))
		return;
	if (!lex_word(l, "DEFLATE") || !lex_done(l)) {
		imap_bad(s, "", "Syntax: COMPRESS DEFLATE");
		return;
	}
	if (s->compressed) {
		imap_no(s, "[COMPRESSIONACTIVE] ", "it is compressed already");
		return;
	}
	s->compressed = true;
	imap_ok(s, "", "compressed from here on");
	if (s->io != NULL && io_start_deflate(s->io) != OK)
		imap_bye(s, "[SERVERBUG] ", "it cannot be compressed");
}

/* ---- UIDBATCHES: the mailbox cut into batches of uids, the newest first */

#define BATCH_MIN 500

static void
add_batches(
    const struct numbers *n, uint64_t size, uint64_t from, uint64_t to, struct buf *out)
{
	const char *comma = "";
	uint64_t high = n->count;
	for (uint64_t i = 1; high > 0 && i <= to; i++) {
		uint64_t low = high > size ? high - size + 1 : 1;
		if (i >= from) {
			buf_addf(out, "%s%u:%u", comma, numbers_uid(n, (uint32_t)high),
			    numbers_uid(n, (uint32_t)low));
			comma = ",";
		}
		high = low - 1;
	}
}

void
run_uidbatches(struct imap *s, struct lex *l)
{
	uint64_t size = 0, from = 1, to = UINT32_MAX;
	struct buf out;
	bool ok = lex_space(l) && lex_number(l, UINT32_MAX, &size);
	if (ok && lex_space(l))
		ok = lex_number(l, UINT32_MAX, &from) && lex_char(l, ':') &&
		     lex_number(l, UINT32_MAX, &to) && from > 0 && to >= from;
	if (!ok || !lex_done(l) || size == 0) {
		imap_bad(s, "", "Syntax: UIDBATCHES size [from:to]");
		return;
	}
	if (size < BATCH_MIN) {
		imap_no(s, "[TOOSMALL] ", "a batch has 500 messages at least");
		return;
	}
	buf_init(&out, 0);
	add_batches(&s->selected->numbers, size, from, to, &out);
	imap_sayf(s, "UIDBATCHES (TAG \"%s\")%s%.*s", s->tag, out.n > 0 ? " " : "",
	    SPAN_ARG(buf_span(&out)));
	buf_clear(&out);
	imap_ok(s, "", "that is all");
}
