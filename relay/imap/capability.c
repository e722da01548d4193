/* SPDX-License-Identifier: ISC */
/* capability - what there is (RFC 9051 6.1.1): nothing that would fail, and nothing
 * hidden. */
#include "base/mem.h"
#include "base/scan.h"
#include "relay/door.h"
#include "relay/imap/session.h"

static const char after[] =
    " IDLE ENABLE ID LITERAL+ NAMESPACE UNSELECT CHILDREN UIDPLUS MOVE LIST-EXTENDED"
    " LIST-STATUS SPECIAL-USE CREATE-SPECIAL-USE STATUS=SIZE ESEARCH SEARCHRES SORT"
    " SORT=DISPLAY THREAD=ORDEREDSUBJECT THREAD=REFERENCES WITHIN CONDSTORE QRESYNC "
    "BINARY"
    " MULTIAPPEND QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE UTF8=ACCEPT PREVIEW"
    " SAVEDATE OBJECTID METADATA NOTIFY PARTIAL UIDBATCHES UIDONLY";

static void
add_mechanisms(const struct imap *s, struct buf *out)
{
	struct buf all;
	struct door_facts x;
	struct span one;
	buf_init(&all, 0);
	door_facts_init(&x, "imap", s->config, s->io, &s->peer, true);
	signin_mechanisms(&x.f, true, &all);
	door_facts_clear(&x);
	struct scan in = scan_over(buf_span(&all));
	while (scan_word(&in, &one)) {
		buf_addf(out, " AUTH=%.*s", SPAN_ARG(one));
		scan_skip_blanks(&in);
	}
	buf_clear(&all);
}

void
capability_add(const struct imap *s, struct buf *out)
{
	buf_add_str(out, "IMAP4rev1 IMAP4rev2");
	if (s->state == IMAP_BEFORE) {
		buf_add_str(out, " ID ENABLE LITERAL+ SASL-IR");
		if (s->tls != NULL && io_tls(s->io) == NULL)
			buf_add_str(out, " STARTTLS");
		if (signing_clear_ok(s))
			add_mechanisms(s, out);
		else
			buf_add_str(out, " LOGINDISABLED");
		return;
	}
	buf_add_str(out, after);
	if (!s->compressed)
		buf_add_str(out, " COMPRESS=DEFLATE");
	if (s->config->server.message_size > 0)
		buf_addf(out, " APPENDLIMIT=%llu",
		    (unsigned long long)s->config->server.message_size);
	buf_addf(out, " MESSAGELIMIT=%u", IMAP_MESSAGE_LIMIT);
}

void
run_capability(struct imap *s, struct lex *l)
{
	struct buf line;
	(void)l;
	if (!args_end(s))
		return;
	buf_init(&line, 0);
	capability_add(s, &line);
	imap_sayf(s, "CAPABILITY %.*s", SPAN_ARG(buf_span(&line)));
	buf_clear(&line);
	imap_ok(s, "", "that is all");
}

/* ---- ENABLE (RFC 5161, 6855, 7162, 9051, 9586) */

static bool
enable_one(struct imap *s, struct span name)
{
	bool *what = NULL;
	if (span_ieq(name, SPAN("IMAP4rev2")))
		what = &s->rev2;
	else if (span_ieq(name, SPAN("UTF8=ACCEPT")))
		what = &s->utf8;
	else if (span_ieq(name, SPAN("CONDSTORE")))
		what = &s->condstore;
	else if (span_ieq(name, SPAN("QRESYNC")))
		what = &s->qresync;
	else if (span_ieq(name, SPAN("UIDONLY")))
		what = &s->uidonly;
	if (what == NULL || *what)
		return false;
	*what = true;
	s->utf8 = s->utf8 || s->rev2;
	s->condstore = s->condstore || s->qresync;
	return true;
}

void
run_enable(struct imap *s, struct lex *l)
{
	struct buf line;
	struct span name;
	unsigned n = 0;
	buf_init(&line, 0);
	buf_add_str(&line, "ENABLED");
	while (lex_space(l) && lex_atom(l, &name)) {
		n++;
		if (enable_one(s, name))
			buf_addf(&line, " %.*s", SPAN_ARG(name));
	}
	if (n == 0 || !lex_done(l)) {
		imap_bad(s, "", "Syntax: ENABLE capability ...");
	} else {
		imap_sayf(s, "%.*s", SPAN_ARG(buf_span(&line)));
		imap_ok(s, "", "enabled");
	}
	buf_clear(&line);
}
