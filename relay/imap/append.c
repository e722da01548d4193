/* SPDX-License-Identifier: ISC */
/*
 * append - APPEND and MULTIAPPEND (RFC 9051 6.3.12, RFC 3502): messages come as literals,
 * straight into the spool's bodies, and become mails all together once the last is here.
 *
 *	"tag APPEND box (flags) "date" {n}"   is there room? "+"   n octets
 *	" (flags) {m}"                         the same again        m octets
 *	""                                     one change            OK
 *
 * The mailbox and the quota are looked at before "+", so that nobody sends megabytes for
 * nothing.  What breaks off in the middle has never been.
 */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/imap/flags.h"
#include "relay/imap/queue.h"
#include "relay/imap/session.h"
#include "relay/mime/shape.h"

#define APPEND_MESSAGES_MAX 1000 /* of one command */

struct part { /* one message */
	struct mail_append how;
	struct spool_body *body;
	struct message *message; /* once its content is whole */
	struct shaper *shaper;
	uint64_t size;
	bool nul, eight_bit;
};

struct append {
	struct job job;
	struct imap *s;
	char name[MAILBOX_NAME_MAX + 1];
	struct part *part;
	size_t parts, cap;
	struct mail_change *change; /* keywords are collected here */
	uint64_t octets;
	uint64_t literal; /* that waits for its "+" */
	bool sync, utf8;  /* "UTF8 (~{n}" ... ")": the last one is */
	bool looked;      /* the mailbox is there */
	bool ending;      /* the command is whole */
	struct spool_query *query;
	struct spool_request *request;
	enum err err;
	struct mailbox_view box;
	char owner[MAILBOX_OWNER_MAX + 1];
};

static void
part_clear(struct part *p)
{
	spool_body_free(&p->body);
	message_unref(&p->message);
	shaper_free(&p->shaper);
}

static void
append_release(void *arg)
{
	struct append *a = arg;
	for (size_t i = 0; i < a->parts; i++)
		part_clear(&a->part[i]);
	mem_free(&a->part);
	mail_change_free(&a->change);
	mem_free(&a);
}

void
append_free(struct imap *s)
{
	struct append *a = s->append;
	s->append = NULL;
	if (a == NULL)
		return;
	if (s->job == &a->job)
		s->job = NULL;
	spool_cancel(&a->request);
	if (a->query != NULL)
		spool_cancel_query(&a->query); /* append_release() when it is over */
	else
		append_release(a);
}

/* The session's end frees it: append_free() comes behind. */
static void
cancel(struct imap *s)
{
	(void)s;
}

static struct part *
last_part(struct append *a)
{
	return &a->part[a->parts - 1];
}

/* ---- refusing */

static void
refuse(struct imap *s, const char *code, const char *text)
{
	bool waits = s->append != NULL && s->append->sync;
	uint64_t left = s->append != NULL ? s->append->literal : 0;
	append_free(s);
	imap_no(s, code, text);
	if (s->io == NULL)
		return;
	if (!waits) { /* no octets, perhaps, but the rest of the line */
		s->reader.left = left;
		reader_refuse_literal(s);
	}
}

static void
refuse_bad(struct imap *s, const char *text)
{
	bool waits = s->append->sync;
	uint64_t left = s->append->literal;
	append_free(s);
	imap_bad(s, "", text);
	if (s->io != NULL && !waits) {
		s->reader.left = left;
		reader_refuse_literal(s);
	}
}

/* ---- a literal may come */

static void
on_room(void *arg)
{
	imap_go_on(arg);
}

static void
accept_literal(struct imap *s)
{
	struct append *a = s->append;
	struct part *p = last_part(a);
	p->body = spool_body_new(
	    imap_spool(s), s->pickup->o.loop, s->pickup->o.budget, on_room, s);
	p->shaper = shaper_new();
	s->job = NULL;
	reader_accept_literal(s);
	buf_reset(&s->reader.text);
	if (a->sync)
		imap_say(s, SPAN("+ go on\r\n"));
	a->sync = false; /* it comes now, and the rest of the line behind it */
	imap_go_on(s);
}

static bool
has_room(struct imap *s, struct append *a)
{
	uint64_t most = s->config->server.message_size;
	if (a->literal == 0) {
		refuse(s, "", "an empty message is none");
		return false;
	}
	if (most != 0 && a->literal > most) {
		refuse(s, "[TOOBIG] ", "this message is larger than is taken here");
		return false;
	}
	if (spool_admit(imap_spool(s), a->octets + a->literal) != OK) {
		refuse(s, "[UNAVAILABLE] ", "there is no room now; try again later");
		return false;
	}
	if (s->pickup->o.directory == NULL)
		return true;
	struct verdict v = directory_admit(s->pickup->o.directory, s->config,
	    imap_spool(s), span_str(s->owner), a->octets + a->literal);
	if (!verdict_ok(&v))
		refuse(s, "[OVERQUOTA] ", "your mailboxes are full");
	return verdict_ok(&v);
}

static void
run_look(struct spool_reader *r, void *arg)
{
	struct append *a = arg;
	a->err = spool_read_mailbox(r, span_str(a->owner), span_str(a->name), &a->box);
}

static void
on_made(void *arg, enum err e)
{
	struct append *a = arg;
	struct imap *s = a->s;
	a->request = NULL;
	if (e != OK && e != ERR_EXISTS) {
		refuse(s, "[UNAVAILABLE] ", "the mailbox cannot be made now");
		return;
	}
	a->looked = true;
	if (has_room(s, a))
		accept_literal(s);
}

static void
on_looked(void *arg)
{
	struct append *a = arg;
	struct imap *s = a->s;
	a->query = NULL;
	if (a->err == ERR_NOT_FOUND && strcmp(a->name, MAILBOX_INBOX) == 0) {
		struct mailbox_request q = {.act = MAILBOX_CREATE,
		    .owner = span_str(a->owner),
		    .name = SPAN(MAILBOX_INBOX)};
		a->request =
		    spool_mailbox_start(imap_spool(s), &q, imap_inbox(s), on_made, a);
		return;
	}
	if (a->err == ERR_NOT_FOUND) {
		refuse(s, "[TRYCREATE] ", "there is no such mailbox");
		return;
	}
	if (a->err != OK) {
		refuse(s, "[SERVERBUG] ", "the mailbox cannot be used now");
		return;
	}
	a->looked = true;
	if (has_room(s, a))
		accept_literal(s);
}

/* ---- what stands in front of a literal */

static bool
scan_part(struct imap *s, struct lex *l, struct append *a)
{
	struct part *p = last_part(a);
	struct flag_list f = {0};
	if (scan_peek(&l->in) == '(') {
		if (!flags_scan(s, l, true, a->change, &f))
			return false;
		if (!args_space(s))
			return false;
	}
	p->how.flags = f.flags;
	p->how.keywords = f.keywords;
	if (scan_peek(&l->in) == '"') {
		if (!lex_date_time(l, &p->how.internal, &p->how.zone)) {
			imap_bad(s, "", "this is no date");
			return false;
		}
		if (!args_space(s))
			return false;
	}
	if (lex_word(l, "UTF8")) {
		a->utf8 = lex_space(l) && lex_char(l, '(');
		if (!a->utf8 || !s->utf8) {
			imap_bad(s, "", "UTF8 (...) needs ENABLE UTF8=ACCEPT");
			return false;
		}
	}
	struct span rest = scan_rest(&l->in);
	if (rest.n == 0 || (rest.p[0] != '{' && rest.p[0] != '~')) {
		imap_bad(s, "", "a message is missing, as a literal");
		return false;
	}
	return true;
}

static void
add_part(struct append *a)
{
	if (a->parts == a->cap) {
		a->cap = a->cap ? a->cap * 2 : 1;
		a->part = mem_resize(a->part, a->cap, sizeof(*a->part));
	}
	a->part[a->parts++] = (struct part){0};
}

/* Between two messages: a blank, behind the ")" of the first if it was UTF8. */
static bool
scan_between(struct lex *l, struct append *a)
{
	bool closed = !a->utf8 || lex_char(l, ')');
	a->utf8 = false;
	return closed && lex_space(l);
}

static bool
scan_begin(struct imap *s, struct lex *l)
{
	struct span tag, word;
	return lex_astring(l, &tag) && lex_space(l) && lex_atom(l, &word) &&
	       lex_space(l) && args_mailbox(s, s->append->name) &&
	       !queue_refuses(s, s->append->name, "mail comes here by itself") &&
	       args_space(s);
}

/* A command that failed: what its flags or date did wrong has been said, its literal is
 * thrown away. */
static void
fail_scan(struct imap *s)
{
	if (s->append == NULL) /* it was one error too many: the session has ended */
		return;
	bool waits = s->append->sync;
	uint64_t left = s->append->literal;
	append_free(s);
	if (s->io != NULL && !waits) {
		s->reader.left = left;
		reader_refuse_literal(s);
	}
}

void
append_begin_literal(struct imap *s, uint64_t octets, bool eight, bool sync)
{
	bool first = s->append == NULL;
	(void)eight;
	if (first) {
		s->append = NEW(struct append);
		s->append->s = s;
		s->append->job = (struct job){NULL, cancel};
		span_copy(span_str(s->owner), s->append->owner, sizeof(s->append->owner));
		s->append->change = mail_change_new(span_str(s->owner), SPAN(""));
		s->commands++;
	}
	struct append *a = s->append;
	a->literal = octets;
	a->sync = sync;
	s->running = true;
	s->verb = NULL;
	s->by_uid = false;
	s->lex = lex_over(buf_span(&s->reader.text), s->utf8);
	if (a->parts == APPEND_MESSAGES_MAX) {
		refuse(s, "[LIMIT] ", "too many messages in one command");
		return;
	}
	add_part(a);
	if (first ? !scan_begin(s, &s->lex) : !scan_between(&s->lex, a)) {
		if (!first)
			refuse_bad(s, "a blank is missing between two messages");
		else
			fail_scan(s);
		return;
	}
	if (!scan_part(s, &s->lex, a)) {
		fail_scan(s);
		return;
	}
	lex_clear(&s->lex);
	s->job = &a->job;
	imap_wait(s);
	if (a->looked) {
		if (has_room(s, a))
			accept_literal(s);
		return;
	}
	a->query = spool_query_start(
	    imap_spool(s), run_look, on_looked, append_release, a, imap_inbox(s));
}

/* ---- octets */

static void
look_at(struct part *p, struct span in)
{
	for (size_t i = 0; i < in.n; i++) {
		unsigned char c = (unsigned char)in.p[i];
		p->nul = p->nul || c == '\0';
		p->eight_bit = p->eight_bit || c >= 0x80;
	}
}

void
append_octets(struct imap *s, struct span octets)
{
	struct part *p = last_part(s->append);
	look_at(p, octets);
	p->size += octets.n;
	spool_body_add(p->body, octets);
	shaper_take(p->shaper, octets);
	if (spool_body_busy(p->body))
		imap_wait(s);
}

bool
append_busy(const struct imap *s)
{
	return s->append != NULL && last_part(s->append)->body != NULL &&
	       spool_body_busy(last_part(s->append)->body);
}

static struct message *
make_message(struct imap *s, struct part *p, const struct spool_body_result *r)
{
	struct message *m = message_new();
	char client[NET_TEXT];
	struct buf shape;
	net_format_ip(&s->peer, client);
	m->arrival = world_wall(loop_world(s->pickup->o.loop));
	m->content = r->content;
	m->size = p->size;
	m->file = r->file;
	m->crc = r->crc;
	m->client = message_keep(m, span_str(client));
	m->protocol = message_keep(m, SPAN("IMAP"));
	m->account = message_keep(m, span_str(s->card->name));
	m->listener = message_keep(m, span_str(s->listener_name));
	/* not MESSAGE_NO_CRLF: what was appended comes back to the octet */
	m->flags = MESSAGE_OWN | (p->eight_bit ? MESSAGE_8BIT : 0);
	buf_init(&shape, 0);
	shaper_end(p->shaper, (struct span){NULL, 0}, &shape);
	if (shape.n > 0)
		m->structure = message_keep(m, buf_span(&shape));
	buf_clear(&shape);
	return m;
}

static void
on_body(void *arg, enum err e, const struct spool_body_result *r)
{
	struct imap *s = arg;
	struct append *a = s->append;
	struct part *p = last_part(a);
	s->job = NULL;
	a->literal = 0; /* nothing of it is on its way any more */
	if (e != OK) {
		refuse(s, "[UNAVAILABLE] ", "the message cannot be stored now");
		return;
	}
	p->message = make_message(s, p, r);
	shaper_free(&p->shaper);
	a->octets += p->size;
	imap_go_on(s);
}

void
append_literal_over(struct imap *s)
{
	struct append *a = s->append;
	struct part *p = last_part(a);
	a->literal = 0;
	if (p->nul && !a->utf8) {
		a->sync = true; /* nothing more is on its way but the line */
		append_free(s);
		imap_no(s, "[CANNOT] ", "a message holds no NUL");
		s->reader.refused = true; /* the rest of the command */
		return;
	}
	s->job = &a->job;
	imap_wait(s);
	spool_body_finish(p->body, on_body, s);
}

/* ---- the end */

static void
on_appended(void *arg, enum err e)
{
	struct append *a = arg;
	struct imap *s = a->s;
	struct mail_result r = {0};
	struct set to = {0};
	struct buf code;
	a->request = NULL;
	s->job = NULL;
	mail_change_result(a->change, &r);
	if (e != OK) {
		append_free(s);
		if (e == ERR_FULL && r.over_quota)
			imap_no(s, "[OVERQUOTA] ", "your mailboxes are full");
		else if (e == ERR_NOT_FOUND)
			imap_no(s, "[TRYCREATE] ", "there is no such mailbox");
		else
			imap_spool_no(s, e);
		return;
	}
	buf_init(&code, 0);
	for (size_t i = 0; i < r.n; i++)
		set_add(&to, r.to[i]);
	buf_addf(&code, "[APPENDUID %u ", r.uidvalidity);
	set_write(&to, &code);
	buf_add_str(&code, "] ");
	buf_add_char(&code, '\0');
	set_clear(&to);
	append_free(s);
	imap_ok(s, code.p, "appended");
	buf_clear(&code);
}

/* "" behind the last literal, or ")" of UTF8. */
void
append_end(struct imap *s)
{
	struct append *a = s->append;
	struct span rest = buf_span(&s->reader.text);
	if (!span_eq(rest, a->utf8 ? SPAN(")") : SPAN(""))) {
		a->sync = true;
		refuse_bad(s, a->utf8 ? "UTF8 (...) ends with ) behind the message"
				      : "there is more than this command takes");
		return;
	}
	mail_change_mailbox(a->change, span_str(a->owner), span_str(a->name));
	for (size_t i = 0; i < a->parts; i++)
		mail_change_append(a->change, a->part[i].message, &a->part[i].how);
	mail_change_quota(
	    a->change, imap_settings(s)->quota_messages, imap_settings(s)->quota);
	s->job = &a->job;
	imap_wait(s);
	a->request = spool_mail_change_start(
	    imap_spool(s), mail_change_ref(a->change), imap_inbox(s), on_appended, a);
}

void
run_append(struct imap *s, struct lex *l)
{
	(void)l;
	imap_bad(s, "", "Syntax: APPEND mailbox [(flags)] [\"date\"] {octets}");
}
