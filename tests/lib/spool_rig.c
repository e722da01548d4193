/* SPDX-License-Identifier: ISC */
/* spool_rig - what the tests of the spool share. */
#include "tests/lib/spool_rig.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"

/* ---- the world */

static struct instant
rig_now(struct world *w)
{
	struct spool_rig *r = CONTAINER_OF(w, struct spool_rig, world);
	return (struct instant){atomic_load(&r->mono_ms)};
}

static struct wall
rig_wall(struct world *w)
{
	struct spool_rig *r = CONTAINER_OF(w, struct spool_rig, world);
	return (struct wall){atomic_load(&r->wall_ms)};
}

static void
rig_random(struct world *w, void *p, size_t n)
{
	struct spool_rig *r = CONTAINER_OF(w, struct spool_rig, world);
	for (size_t i = 0; i < n; i++) {
		uint64_t v = atomic_fetch_add(&r->dice, 1) * UINT64_C(0x9e3779b97f4a7c15);
		v = (v ^ (v >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
		((unsigned char *)p)[i] = (unsigned char)(v >> 56);
	}
}

static int
rig_dial(struct world *w, const struct net_addr *to, const struct net_addr *from)
{
	(void)w, (void)to, (void)from;
	return ERR_UNREACHABLE;
}

static const struct world_ops rig_ops = {rig_now, rig_wall, rig_random, rig_dial};

static void
on_line(void *arg, enum log_level level, struct span line)
{
	struct spool_rig *r = arg;
	(void)level;
	buf_add_span(&r->lines, line);
	buf_add_char(&r->lines, '\n');
}

static void
on_accepted(void *arg, struct message **m, size_t n)
{
	struct spool_rig *r = arg;
	for (size_t i = 0; i < n; i++) {
		if (r->tolds == r->told_cap) {
			r->told_cap = r->told_cap ? r->told_cap * 2 : 16;
			r->told = mem_resize(r->told, r->told_cap, sizeof(*r->told));
		}
		r->told[r->tolds++] = m[i];
	}
}

static void
on_failure(void *arg, enum err e)
{
	struct spool_rig *r = arg;
	CHECK(e != OK);
	r->failures++;
}

/* ---- life */

struct spool_rig *
spool_rig_new(unsigned threads)
{
	struct spool_rig *r = NEW(struct spool_rig);
	r->world.ops = &rig_ops;
	atomic_init(&r->mono_ms, 100000);
	atomic_init(&r->wall_ms, RIG_WALL_MS);
	atomic_init(&r->dice, 1);
	r->threads = threads;
	(void)snprintf(r->dir, sizeof(r->dir), "/tmp/test-spool-XXXXXX");
	CHECK(mkdtemp(r->dir) != NULL);
	r->loop = loop_new(&r->world);
	r->log = log_new(&r->world, STDERR_FILENO);
	log_hook(r->log, on_line, r);
	r->pool = pool_new(threads, r->loop);
	r->options = (struct spool_options){
	    .path = r->dir,
	    .create = true,
	    .world = &r->world,
	    .log = r->log,
	    .pool = r->pool,
	    .loop = threads == 0 ? r->loop : NULL,
	    .accepted_inbox = loop_inbox(r->loop),
	    .on_accepted = on_accepted,
	    .on_failure = on_failure,
	    .arg = r,
	};
	return r;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void
forget_told(struct spool_rig *r)
{
	for (size_t i = 0; i < r->tolds; i++)
		message_unref(&r->told[i]);
	r->tolds = 0;
}

void
spool_rig_free(struct spool_rig **rp)
{
	struct spool_rig *r = *rp;
	spool_rig_close(r);
	pool_free(&r->pool);
	spool_rig_run(r);
	loop_free(&r->loop);
	log_free(&r->log);
	buf_clear(&r->lines);
	mem_free(&r->told);
	(void)nftw(r->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	mem_free(rp);
}

enum err
spool_rig_open(struct spool_rig *r)
{
	struct buf why = {0};
	CHECK(r->spool == NULL);
	enum err e = spool_open(&r->spool, &r->options, &why);
	span_copy(buf_span(&why), r->why, sizeof(r->why));
	CHECK((e == OK) == (r->spool != NULL) && (e == OK) == (why.n == 0));
	buf_clear(&why);
	return e;
}

void
spool_rig_close(struct spool_rig *r)
{
	spool_rig_run(r);
	spool_close(&r->spool);
	spool_rig_run(r);
	forget_told(r);
}

void
spool_rig_reopen(struct spool_rig *r)
{
	spool_rig_close(r);
	enum err e = spool_rig_open(r);
	if (e != OK)
		(void)fprintf(stderr, "%s\n", r->why);
	CHECK(e == OK);
}

void
spool_rig_run(struct spool_rig *r)
{
	while (loop_turn(r->loop, false)) {
	}
}

void
spool_rig_wait(struct spool_rig *r, const bool *flag)
{
	for (int i = 0; !*flag; i++) {
		bool did = loop_turn(r->loop, false);
		CHECK(did || r->threads > 0);
		if (!did)
			(void)usleep(200);
		CHECK(i < 1000000);
	}
}

/* ---- messages */

char
spool_rig_octet(unsigned seed, uint64_t at)
{
	uint64_t v = (at + 1) * (seed * 2 + 1) * UINT64_C(0x9e3779b97f4a7c15);
	return (char)('!' + (v >> 40) % 90);
}

static struct content *
make_content(size_t size, unsigned seed)
{
	struct content *c = content_new(NULL);
	char piece[1000];
	for (size_t at = 0; at < size;) {
		size_t n = size - at < sizeof(piece) ? size - at : sizeof(piece);
		for (size_t i = 0; i < n; i++)
			piece[i] = spool_rig_octet(seed, at + i);
		content_append(c, piece, n);
		at += n;
	}
	content_seal(c);
	return c;
}

struct message *
spool_rig_message(size_t size, unsigned seed)
{
	struct message *m = message_new();
	char text[40];
	(void)snprintf(text, sizeof(text), "from%u@a.example", seed);
	m->sender = message_keep(m, span_str(text));
	m->envid = message_keep(m, SPAN("QQ314159"));
	m->client = message_keep(m, SPAN("192.0.2.1"));
	m->helo = message_keep(m, SPAN("c.example"));
	m->protocol = message_keep(m, SPAN("ESMTP"));
	m->listener = message_keep(m, SPAN("smtp"));
	m->account = message_keep(m, SPAN("alice"));
	m->prefix = message_keep(m, SPAN("Received: by x id .............;\r\n"));
	m->id_at = 18;
	m->flags = MESSAGE_8BIT | MESSAGE_OWN;
	m->arrival.ms = RIG_WALL_MS;
	m->content = make_content(size, seed);
	m->size = content_size(m->content);
	m->crc = content_crc(m->content);
	return m;
}

void
spool_rig_rcpt(struct message *m, const char *address, const char *dest, int64_t due_ms)
{
	struct recipient r = {.address = span_str(address),
	    .dest = span_str(dest),
	    .orcpt = SPAN("rfc822;x@y.example"),
	    .notify = NOTIFY_FAILURE | NOTIFY_DELAY,
	    .due = {due_ms}};
	(void)message_add_rcpt(m, &r);
}

void
spool_rig_drop(struct message *m, const char *owner, const char *own)
{
	message_add_drop(m, &(struct drop){span_str(owner), SPAN("someone@local.example"),
				span_str(own)});
}

bool
spool_rig_content_is(const struct message *m, size_t size, unsigned seed)
{
	char piece[1000];
	size_t got = 1;
	if (m->size != size || m->content == NULL || content_size(m->content) != size)
		return false;
	for (uint64_t at = 0; at < size; at += got) {
		if (content_read(m->content, at, piece, sizeof(piece), &got) != OK ||
		    got == 0)
			return false;
		for (size_t i = 0; i < got; i++)
			if (piece[i] != spool_rig_octet(seed, at + i))
				return false;
	}
	return true;
}

/* ---- requests */

struct answer {
	bool came;
	enum err err;
};

static void
on_done(void *arg, enum err e)
{
	struct answer *a = arg;
	CHECK(!a->came);
	*a = (struct answer){true, e};
}

enum err
spool_rig_accept(struct spool_rig *r, struct message *m)
{
	struct answer a = {false, OK};
	CHECK(spool_accept_start(r->spool, m, loop_inbox(r->loop), on_done, &a) != NULL);
	CHECK(!a.came);
	spool_rig_wait(r, &a.came);
	message_unref(&m);
	return a.err;
}

uint64_t
spool_rig_stored(struct spool_rig *r, struct message *m)
{
	struct message *keep = message_ref(m);
	enum err e = spool_rig_accept(r, m);
	CHECK(e == OK && keep->id != 0);
	uint64_t id = keep->id;
	message_unref(&keep);
	return id;
}

enum err
spool_rig_report(struct spool_rig *r, struct report *rep)
{
	struct answer a = {false, OK};
	CHECK(
	    spool_report_start(r->spool, rep, loop_inbox(r->loop), on_done, &a) != NULL);
	CHECK(!a.came);
	spool_rig_wait(r, &a.came);
	return a.err;
}

enum err
spool_rig_outcome(struct spool_rig *r, uint64_t id, const char *dest, uint16_t index,
    enum outcome_kind kind, int64_t due_ms, const char *to)
{
	struct report *rep = report_new(id, span_str(dest), world_wall(&r->world));
	struct outcome o = {
	    .index = index, .kind = kind, .attempted = true, .due = {due_ms}};
	o.reply = SPAN("451 4.3.0 later");
	o.host = SPAN("mx.b.example [192.0.2.2]:25");
	o.dest = span_str(to);
	report_add(rep, &o);
	return spool_rig_report(r, rep);
}

enum err
spool_rig_change(struct spool_rig *r, struct mail_change *c)
{
	struct answer a = {false, OK};
	(void)spool_mail_change_start(r->spool, c, loop_inbox(r->loop), on_done, &a);
	spool_rig_wait(r, &a.came);
	return a.err;
}

enum err
spool_rig_owner_delete(struct spool_rig *r, const char *owner)
{
	struct answer a = {false, OK};
	(void)spool_owner_delete_start(
	    r->spool, span_str(owner), loop_inbox(r->loop), on_done, &a);
	spool_rig_wait(r, &a.came);
	return a.err;
}

enum err
spool_rig_mark(struct spool_rig *r, const char *name, uint64_t value)
{
	struct answer a = {false, OK};
	(void)spool_mark_start(r->spool, name, value, loop_inbox(r->loop), on_done, &a);
	spool_rig_wait(r, &a.came);
	return a.err;
}

/* ---- bodies */

struct body_answer {
	bool came, room;
	enum err err;
	struct spool_body_result result;
};

static void
on_room(void *arg)
{
	struct body_answer *a = arg;
	a->room = true;
}

static void
on_body(void *arg, enum err e, const struct spool_body_result *r)
{
	struct body_answer *a = arg;
	CHECK(!a->came && (e == OK) == (r != NULL));
	a->came = true;
	a->err = e;
	if (r != NULL)
		a->result = *r;
}

enum err
spool_rig_body(struct spool_rig *r, size_t size, unsigned seed, struct spool_body **body,
    struct spool_body_result *result)
{
	struct body_answer a = {0};
	char piece[3000];
	struct spool_body *b = spool_body_new(r->spool, r->loop, NULL, on_room, &a);
	for (size_t at = 0; at < size;) {
		size_t n = size - at < sizeof(piece) ? size - at : sizeof(piece);
		for (size_t i = 0; i < n; i++)
			piece[i] = spool_rig_octet(seed, at + i);
		spool_body_add(b, (struct span){piece, n});
		at += n;
		a.room = !spool_body_busy(b);
		spool_rig_wait(r, &a.room);
	}
	CHECK(spool_body_size(b) == size);
	spool_body_finish(b, on_body, &a);
	CHECK(!a.came);
	spool_rig_wait(r, &a.came);
	*body = b;
	*result = a.result;
	return a.err;
}

/* ---- looking */

static void
told(void *arg, const char *sentence)
{
	struct buf *out = arg;
	if (out == NULL)
		return;
	buf_add_str(out, sentence);
	buf_add_char(out, '\n');
}

uint64_t
spool_rig_check(struct spool_rig *r, struct buf *out)
{
	struct spool_reader *reader = spool_reader_new(r->spool);
	uint64_t found = 0;
	CHECK(spool_check(reader, told, NULL, out, &found) == OK);
	spool_reader_free(&reader);
	return found;
}

void
spool_rig_violates(struct spool_rig *r, const char *what)
{
	struct buf out = {0};
	uint64_t found = spool_rig_check(r, &out);
	buf_add_char(&out, '\0');
	bool told = found > 0 && strstr(out.p, what) != NULL;
	if (!told)
		fprintf(stderr, "looked for '%s', found %llu:\n%s", what,
		    (unsigned long long)found, out.p);
	CHECK(told);
	buf_clear(&out);
}

void
spool_rig_clean(struct spool_rig *r)
{
	struct buf out = {0};
	uint64_t found = spool_rig_check(r, &out);
	if (found > 0)
		(void)fprintf(stderr, "%.*s", SPAN_ARG(buf_span(&out)));
	buf_clear(&out);
	CHECK(found == 0);
}

static void
dump_rcpt(struct buf *out, const struct recipient *r)
{
	buf_addf(out,
	    "  %u %.*s dest=%.*s state=%d attempts=%u due=%lld first=%lld last=%lld",
	    r->index, SPAN_ARG(r->address), SPAN_ARG(r->dest), (int)r->state, r->attempts,
	    (long long)r->due.ms, (long long)r->first_try.ms, (long long)r->last_try.ms);
	buf_addf(out, " reply=%.*s host=%.*s\n", SPAN_ARG(r->reply), SPAN_ARG(r->host));
}

static void
dump_mail(struct spool_reader *reader, uint32_t number, uint32_t uid, struct buf *out)
{
	struct kept_mail *m;
	enum err e = spool_read_mail(reader, number, uid, true, &m);
	buf_addf(out, "    mail %u %s", uid, err_text(e));
	if (e == OK)
		buf_addf(out, " flags=%u size=%llu crc=%08x own=%.*s file=%d",
		    m->row.flags, (unsigned long long)m->row.size, m->message->crc,
		    SPAN_ARG(m->own), m->message->file != 0);
	buf_add_char(out, '\n');
	kept_mail_free(&m);
}

static void
dump_mailboxes(struct spool_reader *reader, struct buf *out)
{
	struct owner_row o = {0};
	struct mailbox_view box;
	struct mail_row row[100];
	size_t n = 0;
	while (spool_read_owner(reader, span_str(o.name), &o) == OK) {
		buf_addf(out, "  owner %s messages=%llu octets=%llu picked=%d\n", o.name,
		    (unsigned long long)o.usage.messages,
		    (unsigned long long)o.usage.octets, o.usage.last_pickup.ms != 0);
		if (spool_read_mailbox(
			reader, span_str(o.name), SPAN(MAILBOX_INBOX), &box) != OK)
			continue;
		buf_addf(out, "   uidnext=%u\n", box.uidnext);
		CHECK(spool_read_mails(reader, box.number, 0, 0, row, 100, &n) == OK);
		for (size_t i = 0; i < n; i++)
			dump_mail(reader, box.number, row[i].uid, out);
	}
}

void
spool_rig_dump(struct spool_rig *r, struct buf *out)
{
	struct spool_reader *reader = spool_reader_new(r->spool);
	struct message *m[8], *whole;
	uint64_t after = 0;
	size_t n = 8;
	while (n == 8) {
		CHECK(spool_read_messages(reader, after, m, 8, &n) == OK);
		for (size_t i = 0; i < n; i++) {
			char id[SPOOL_ID_LEN + 1];
			after = m[i]->id;
			spool_id_format(after, id);
			enum err e = spool_read_message(reader, after, true, &whole);
			buf_addf(out,
			    "%s %s from=%.*s size=%llu crc=%08x warned=%d file=%d\n", id,
			    err_text(e), SPAN_ARG(m[i]->sender),
			    (unsigned long long)m[i]->size, m[i]->crc, m[i]->warned,
			    m[i]->file != 0);
			for (size_t k = 0; k < m[i]->rcpts; k++)
				dump_rcpt(out, &m[i]->rcpt[k]);
			message_unref(&whole);
			message_unref(&m[i]);
		}
	}
	dump_mailboxes(reader, out);
	buf_addf(out, "mark=%llu\n",
	    (unsigned long long)spool_read_mark(reader, "sweep.warn"));
	spool_reader_free(&reader);
}

static unsigned
count_in(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;
	const struct dirent *entry;
	while (d != NULL && (entry = readdir(d)) != NULL)
		n += entry->d_name[0] != '.';
	if (d != NULL)
		(void)closedir(d);
	return n;
}

unsigned
spool_rig_files(const struct spool_rig *r)
{
	unsigned sum = 0;
	for (unsigned i = 0; i < 256; i++) {
		char path[128];
		(void)snprintf(path, sizeof(path), "%s/big/%02x", r->dir, i);
		sum += count_in(path);
	}
	return sum;
}
