/* SPDX-License-Identifier: ISC */
/* client_mails - mails of each kind. */
#include "tests/fuzz/client_mails.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"

#define PREFIX "Received: x\r\n"
#define BIG 150000

static void
rcpt_is(struct client_mail *m, struct span address, struct span ascii)
{
	size_t i = m->should.rcpts++;
	m->rcpt[i] = (struct recipient){.index = (uint16_t)i, .address = address};
	m->to[i] = (struct mail_rcpt){.rcpt = &m->rcpt[i]};
	m->should.rcpt[i] = (struct witness_address){address, ascii};
}

static void
rcpt(struct client_mail *m, struct span address)
{
	rcpt_is(m, address, address);
}

static void
sender(struct client_mail *m, struct span address, struct span ascii)
{
	m->message.sender = address;
	m->should.sender = (struct witness_address){address, ascii};
}

static void
content(struct client_mail *m, struct span s)
{
	m->message.content = content_new(NULL);
	content_append(m->message.content, s.p, s.n);
	content_seal(m->message.content);
	m->message.prefix = SPAN(PREFIX);
	buf_add_span(&m->octets, SPAN(PREFIX));
	buf_add_span(&m->octets, s);
}

static void
big(struct client_mail *m, bool file, const char *line)
{
	struct buf b = {0};
	while (b.n < BIG)
		buf_add_str(&b, line);
	content(m, buf_span(&b));
	if (file) {
		int fd = memfd_create("mail", MFD_CLOEXEC);
		CHECK(fd >= 0 && write(fd, b.p, b.n) == (ssize_t)b.n);
		content_unref(&m->message.content);
		m->message.content = content_from_file(fd, b.n);
	}
	buf_clear(&b);
}

static void
many(struct client_mail *m)
{
	static char names[WITNESS_RCPTS][16];
	for (size_t i = 0; i < WITNESS_RCPTS; i++) {
		snprintf(names[i], sizeof(names[i]), "r%zu@x.test", i);
		rcpt(m, span_str(names[i]));
	}
}

static void
rewrite(struct client_mail *m)
{
	static const char own[] = "Subject: from inside\r\n";
	content(m, SPAN("Subject: from inside\r\n\r\nhello\r\n"));
	m->rewritten = (struct rewritten){.sender = SPAN("out@me.test"),
	    .prefix = SPAN("Received: y\r\n"),
	    .header = SPAN("Subject: to\r\n .outside\r\n"),
	    .header_size = sizeof(own) - 1};
	m->mail.rewritten = &m->rewritten;
	m->should.sender.is = m->should.sender.ascii = m->rewritten.sender;
	m->to[0].address = m->should.rcpt[0].is = m->should.rcpt[0].ascii =
	    SPAN("else@x.test");
	buf_reset(&m->octets);
	buf_add_span(&m->octets, m->rewritten.prefix);
	buf_add_span(&m->octets, m->rewritten.header);
	buf_add_str(&m->octets, "\r\nhello\r\n");
}

static void
international(struct client_mail *m)
{
	rcpt_is(m, SPAN("\xc3\xa4@x.test"), (struct span){0});
	rcpt_is(m,
	    SPAN("b@b\xc3\xbc"
		 "cher.test"),
	    SPAN("b@xn--bcher-kva.test"));
}

static void
with_parameters(struct client_mail *m)
{
	sender(m, SPAN("\xc3\xa4@me.test"), (struct span){0});
	m->message.flags = MESSAGE_SMTPUTF8 | MESSAGE_8BIT | MESSAGE_RET_HDRS;
	m->message.envid = SPAN("QQ+3D1");
	m->rcpt[0].orcpt = SPAN("rfc822;r0@x.test");
	m->rcpt[0].notify = NOTIFY_FAILURE | NOTIFY_DELAY;
}

/* What differs from a simple mail to r0@x.test. */
static void
make(struct client_mail *m, enum client_mail_kind kind)
{
	static const char line[] = ".a line that is neither long nor short, but begins "
				   "with a dot\r\n";
	sender(m, SPAN("a@me.test"), SPAN("a@me.test"));
	if (kind != MAIL_MANY)
		rcpt(m, SPAN("r0@x.test"));
	switch (kind) {
	case MAIL_DOTS:
		rcpt(m, SPAN("r1@x.test"));
		rcpt(m, SPAN("r2@x.test"));
		m->rcpt[1].notify = NOTIFY_SUCCESS;
		content(m, SPAN(".\r\n..\r\n\r\n.x\r\n\r\n.\r\n"));
		break;
	case MAIL_NO_CRLF:
		m->message.flags = MESSAGE_NO_CRLF;
		content(m, SPAN("Subject: x\r\n\r\n.no end"));
		break;
	case MAIL_EIGHT:
		sender(m, SPAN(""), SPAN(""));
		m->message.flags = MESSAGE_8BIT;
		content(m, SPAN("\r\n\xc3\xa4\xff\r\n"));
		break;
	case MAIL_DOMAINS: international(m); break;
	case MAIL_UTF8: with_parameters(m); break;
	case MAIL_BINARY:
		rcpt(m, SPAN("r1@x.test"));
		m->message.flags = MESSAGE_BINARY | MESSAGE_NO_CRLF;
		content(m, SPAN("\r\n.\r\nbare \n and \r;\r\n\0.."));
		break;
	case MAIL_BIG: big(m, false, line); break;
	case MAIL_MANY: many(m); break;
	case MAIL_BARE:
		content(m, SPAN("Subject: x\r\n\r\nbare\n.\nMAIL FROM:<x>\r\n"));
		break;
	case MAIL_REWRITTEN: rewrite(m); break;
	case MAIL_FILE: big(m, true, line); break;
	case MAIL_PLAIN:
		m->message.flags = MESSAGE_PLAIN;
		big(m, true, line + 1);
		break;
	case MAIL_EVIL: rcpt_is(m, SPAN("x@x.test>\r\nRSET"), (struct span){0}); break;
	case MAIL_SIMPLE:
	case MAIL_KINDS: break;
	}
	if (m->message.content == NULL)
		content(m, SPAN("Subject: hi\r\n\r\nhello\r\n"));
}

struct client_mail *
client_mail(enum client_mail_kind kind)
{
	static struct client_mail *mails[MAIL_KINDS];
	if (mails[kind] != NULL)
		return mails[kind];
	struct client_mail *m = mails[kind] = NEW(struct client_mail);
	make(m, kind);
	m->mail.message = &m->message;
	m->mail.rcpt = m->to;
	m->mail.rcpts = m->should.rcpts;
	m->should.octets = buf_span(&m->octets);
	m->should.binary = (m->message.flags & MESSAGE_BINARY) != 0;
	m->should.eight = (m->message.flags & MESSAGE_8BIT) != 0;
	return m;
}
