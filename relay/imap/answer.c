/* SPDX-License-Identifier: ISC */
/* answer - what is said, and how the command ends with it. */
#include <stdio.h>

#include "base/mem.h"
#include "relay/imap/session.h"
#include "relay/imap/utf7.h"

void
imap_say(struct imap *s, struct span line)
{
	if (s->io != NULL)
		io_add_span(s->io, line);
}

void
imap_sayf(struct imap *s, const char *fmt, ...)
{
	struct buf line;
	va_list ap;
	buf_init(&line, 0);
	buf_add_str(&line, "* ");
	va_start(ap, fmt);
	buf_addv(&line, fmt, ap);
	va_end(ap);
	buf_add_str(&line, "\r\n");
	imap_say(s, buf_span(&line));
	buf_clear(&line);
}

/* ---- the tagged answer */

static void
finish(struct imap *s, const char *word, const char *code, const char *text)
{
	if (s->io == NULL)
		return;
	if (s->running && s->selected != NULL)
		update_tell(s, imap_may_expunge(s));
	if (s->io == NULL)
		return;
	const char *tag = s->tag[0] != '\0' ? s->tag : "*";
	io_addf(s->io, "%s %s %s%s\r\n", tag, word, code, text);
	s->running = false;
	s->job = NULL;
	reader_reset(s);
	notify_tell(s);
	imap_go_on(s);
}

void
imap_ok(struct imap *s, const char *code, const char *text)
{
	finish(s, "OK", code, text);
}

void
imap_no(struct imap *s, const char *code, const char *text)
{
	finish(s, "NO", code, text);
}

void
imap_bad(struct imap *s, const char *code, const char *text)
{
	s->errors++;
	bool much = s->errors >= s->config->server.errors;
	finish(s, "BAD", code, text);
	if (much)
		imap_bye(s, "", "too many errors");
}

void
imap_spool_no(struct imap *s, enum err e)
{
	switch (e) {
	case ERR_NOT_FOUND:
		imap_no(s, "[NONEXISTENT] ", "there is no such mailbox");
		return;
	case ERR_EXISTS:
		imap_no(s, "[ALREADYEXISTS] ", "there is a mailbox of this name");
		return;
	case ERR_FULL: imap_no(s, "[LIMIT] ", "there is no room for more"); return;
	case ERR_DISK_FULL:
		imap_no(s, "[UNAVAILABLE] ", "the disk is full; try again later");
		return;
	case ERR_RANGE: imap_no(s, "[LIMIT] ", "this is too long or too much"); return;
	default: break;
	}
	imap_no(s, "[SERVERBUG] ", "the mailbox cannot be used now; try again later");
}

/* ---- words of answers */

void
imap_add_mailbox(struct imap *s, struct span name, struct buf *out)
{
	struct buf b;
	if (s->utf8) {
		/* a quoted string may hold UTF-8 now; an atom may not */
		bool plain = true;
		for (size_t i = 0; i < name.n; i++)
			plain = plain && (unsigned char)name.p[i] < 0x80;
		if (plain) {
			lex_add_astring(name, out);
			return;
		}
		buf_add_char(out, '"');
		for (size_t i = 0; i < name.n; i++) {
			if (name.p[i] == '"' || name.p[i] == '\\')
				buf_add_char(out, '\\');
			buf_add_char(out, name.p[i]);
		}
		buf_add_char(out, '"');
		return;
	}
	buf_init(&b, 0);
	utf7_encode(name, &b);
	lex_add_astring(buf_span(&b), out);
	buf_clear(&b);
}

/* INBOX in another case, or a "/" behind the last level, is no other spelling. */
bool
imap_is_spelled_so(struct span asked, struct span name)
{
	if (asked.n == name.n + 1 && asked.p[name.n] == '/')
		asked.n--;
	return asked.p == NULL || span_ieq(asked, name);
}

void
imap_add_list(struct imap *s, struct span name, struct span asked, struct buf *out)
{
	buf_add_str(out, "* LIST () \"/\" ");
	imap_add_mailbox(s, name, out);
	if (!imap_is_spelled_so(asked, name)) {
		buf_add_str(out, " (\"OLDNAME\" (");
		imap_add_mailbox(s, asked, out);
		buf_add_str(out, "))");
	}
	buf_add_str(out, "\r\n");
}

static const struct {
	uint32_t flag;
	const char *name;
} flags[] = {
    {MAIL_ANSWERED, "\\Answered"},
    {MAIL_FLAGGED, "\\Flagged"},
    {MAIL_DELETED, "\\Deleted"},
    {MAIL_SEEN, "\\Seen"},
    {MAIL_DRAFT, "\\Draft"},
};

void
imap_add_flags(const struct imap *s, const struct view *v, const struct mark *m,
    bool recent, struct buf *out)
{
	const char *blank = "";
	buf_add_char(out, '(');
	for (size_t i = 0; i < COUNT_OF(flags); i++) {
		if (!(m->flags & flags[i].flag))
			continue;
		buf_addf(out, "%s%s", blank, flags[i].name);
		blank = " ";
	}
	if (recent && !s->rev2) {
		buf_addf(out, "%s\\Recent", blank);
		blank = " ";
	}
	for (size_t i = 0; i < v->keywords && m->keywords >> i != 0; i++) {
		if (!(m->keywords >> i & 1))
			continue;
		buf_addf(out, "%s%s", blank, v->keyword[i]);
		blank = " ";
	}
	buf_add_char(out, ')');
}
