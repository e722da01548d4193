/* SPDX-License-Identifier: ISC */
/* story - requests by dice. */
#include "tests/power/story.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/dir.h"
#include "base/fault.h"
#include "base/mem.h"
#include "relay/signin/accounts.h"
#include "tests/lib/spool_rig.h"
#include "tests/power/stream.h"

#define NOW RIG_WALL_MS
#define REQUESTS_MAX 4 /* of one batch, the number of the story aside */
#define MESSAGES_SEEN 64
#define CROWDED 30 /* messages: more goes than comes */

static const char *const dests[] = {"smtp b.example", "smtp c.example", "smtp d.example"};
static const char *const owners[] = {"alice", "bob", "carol"};
static const char *const folders[] = {"INBOX", "Archive", "Archive/2026", "Sent"};

struct story {
	const struct story_options *o;
	struct spool_rig *rig;
	struct spool_reader *reader;
	uint64_t dice, number;
	unsigned seed; /* of the next message's content */
	int marks;
	bool delivers;
	/* the batch under way */
	unsigned open;
	struct spool_body *body[REQUESTS_MAX];
	unsigned bodies;
};

static uint64_t
roll(struct story *s, uint64_t below)
{
	uint64_t z = s->dice += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31)) % below;
}

#define PICK(s, list) ((list)[roll((s), COUNT_OF(list))])

static void
mark(struct story *s, enum story_mark series, uint64_t number)
{
	struct stream_head h = {
	    .magic = STREAM_MAGIC, .kind = STREAM_MARK, .ino = series, .at = number};
	CHECK(write(s->marks, &h, sizeof(h)) == (ssize_t)sizeof(h));
}

/* ---- requests */

/* What had become of its object meanwhile is no matter. */
static void
on_done(void *arg, enum err e)
{
	struct story *s = arg;
	CHECK(e == OK || e == ERR_NOT_FOUND || e == ERR_EXISTS || e == ERR_FULL);
	s->open--;
}

static void
on_number(void *arg, enum err e)
{
	struct story *s = arg;
	CHECK(e == OK);
	s->open--;
}

static struct inbox *
inbox(struct story *s)
{
	return loop_inbox(s->rig->loop);
}

static void
add_recipients(struct story *s, struct message *m)
{
	uint64_t n = 1 + roll(s, 4);
	for (uint64_t i = 0; i < n; i++) {
		char address[40];
		(void)snprintf(address, sizeof(address), "u%u@b.example", (unsigned)i);
		spool_rig_rcpt(m, address, PICK(s, dests),
		    roll(s, 2) ? 0 : NOW + (int64_t)roll(s, 100000));
	}
}

static void
add_drops(struct story *s, struct message *m)
{
	spool_rig_drop(m, PICK(s, owners), "Return-Path: <a@b>\r\n");
	if (roll(s, 3) == 0)
		spool_rig_drop(m, PICK(s, owners), "Return-Path: <c@d>\r\n");
}

/* Large content goes to a file, whose body is let go of after the batch. */
static struct message *
new_message(struct story *s)
{
	if (roll(s, 4) > 0)
		return spool_rig_message(200 + roll(s, 8000), s->seed++);
	struct spool_body_result r;
	struct message *m = spool_rig_message(0, s->seed);
	enum err e = spool_rig_body(
	    s->rig, 10000 + roll(s, 60000), s->seed++, &s->body[s->bodies++], &r);
	CHECK(e == OK);
	content_unref(&m->content);
	m->content = r.content;
	m->size = content_size(r.content);
	m->file = r.file;
	m->crc = r.crc;
	return m;
}

static void
accept_one(struct story *s)
{
	struct message *m = new_message(s);
	uint64_t what = roll(s, 3);
	if (what != 0)
		add_recipients(s, m);
	if (what != 1)
		add_drops(s, m);
	(void)spool_accept_start(s->rig->spool, m, inbox(s), on_done, s);
	message_unref(&m);
	s->open++;
}

static struct message *
notice_for(struct story *s, const struct message *m)
{
	struct message *n = spool_rig_message(300 + roll(s, 1500), s->seed++);
	n->sender = SPAN("");
	n->flags |= MESSAGE_NOTICE;
	char sender[80];
	span_copy(m->sender, sender, sizeof(sender));
	spool_rig_rcpt(n, sender, "smtp d.example", 0);
	return n;
}

static struct outcome
choose_outcome(struct story *s, const struct drop *drop)
{
	struct outcome o = {.attempted = true, .due = {NOW + (int64_t)roll(s, 100000)}};
	o.reply = SPAN("451 4.3.0 later");
	o.host = SPAN("mx.b.example [192.0.2.2]:25");
	uint64_t dice = roll(s, 100);
	o.kind = dice < 55   ? OUTCOME_DELIVERED
		 : dice < 70 ? OUTCOME_FAILED
		 : dice < 82 ? OUTCOME_WAIT
		 : dice < 87 ? OUTCOME_HELD
		 : dice < 93 ? OUTCOME_MOVED
			     : OUTCOME_DELETED;
	if (o.kind == OUTCOME_MOVED)
		o.dest = span_str(PICK(s, dests));
	if (o.kind == OUTCOME_DELIVERED && roll(s, 4) == 0) {
		o.drop = drop;
		o.drops = 1;
	}
	s->delivers = s->delivers || o.kind == OUTCOME_DELIVERED;
	return o;
}

/* What became of all recipients at the destination of the first. */
static void
report_on(struct story *s, const struct message *m)
{
	const struct drop drop = {
	    span_str(PICK(s, owners)), SPAN("x@local.example"), SPAN("X: y\r\n")};
	struct report *rep = report_new(m->id, m->rcpt[0].dest, (struct wall){NOW});
	for (size_t i = 0; i < m->rcpts; i++) {
		if (!span_eq(m->rcpt[i].dest, m->rcpt[0].dest))
			continue;
		struct outcome o = choose_outcome(s, &drop);
		o.index = m->rcpt[i].index;
		report_add(rep, &o);
		if (o.kind == OUTCOME_FAILED && rep->notice[0] == NULL &&
		    (m->flags & MESSAGE_NOTICE) == 0)
			rep->notice[0] = notice_for(s, m);
	}
	(void)spool_report_start(s->rig->spool, rep, inbox(s), on_done, s);
	s->open++;
}

static size_t
list_messages(struct story *s, struct message *m[MESSAGES_SEEN])
{
	size_t n = 0;
	CHECK(spool_read_messages(s->reader, 0, m, MESSAGES_SEEN, &n) == OK);
	return n;
}

static void
report_one(struct story *s)
{
	struct message *m[MESSAGES_SEEN];
	size_t n = list_messages(s, m);
	if (n > 0)
		report_on(s, m[roll(s, n)]);
	for (size_t i = 0; i < n; i++)
		message_unref(&m[i]);
}

/* ---- mailboxes */

static void
change_mail(struct story *s, struct mail_change *c, const struct mail_row *row)
{
	static const char *const words[] = {"$Forwarded", "work", "later"};
	uint32_t uid = row->uid;
	unsigned keyword;
	switch (roll(s, 6)) {
	case 0: mail_change_delete(c, uid); break;
	case 1: mail_change_flags(c, uid, MAIL_SEEN | MAIL_PICKED, 0); break;
	case 2:
		keyword = mail_change_keyword(c, span_str(PICK(s, words)));
		mail_change_store(c, uid, MAIL_STORE_ADD, MAIL_DELETED | MAIL_FLAGGED,
		    UINT64_C(1) << keyword);
		break;
	case 3: mail_change_expunge(c, uid); break;
	case 4: mail_change_copy(c, uid, false); break;
	default: mail_change_copy(c, uid, true); break;
	}
}

static void
append_mail(struct story *s, struct mail_change *c)
{
	struct message *m = new_message(s);
	const struct mail_append how = {.flags = MAIL_SEEN, .internal = {NOW}};
	mail_change_append(c, m, &how);
	message_unref(&m);
}

static void
change_some(struct story *s)
{
	struct span owner = span_str(PICK(s, owners)), name = span_str(PICK(s, folders));
	struct mailbox_view box;
	struct mail_row row[20];
	size_t n = 0;
	if (spool_read_mailbox(s->reader, owner, name, &box) != OK)
		return;
	CHECK(
	    spool_read_mails(s->reader, box.number, 0, 0, row, COUNT_OF(row), &n) == OK);
	struct mail_change *c = mail_change_new(owner, name);
	mail_change_target(c, owner, span_str(PICK(s, folders)));
	if (n == 0 || roll(s, 4) == 0)
		append_mail(s, c);
	for (size_t i = 0; i < n; i++)
		if (roll(s, 3) == 0)
			change_mail(s, c, &row[i]);
	mail_change_pickup(c);
	(void)spool_mail_change_start(s->rig->spool, c, inbox(s), on_done, s);
	s->open++;
}

static void
change_mailbox(struct story *s)
{
	static const enum mailbox_act acts[] = {MAILBOX_CREATE, MAILBOX_CREATE,
	    MAILBOX_CREATE, MAILBOX_DELETE, MAILBOX_RENAME, MAILBOX_SUBSCRIBE,
	    MAILBOX_UNSUBSCRIBE, MAILBOX_NOTE};
	struct mailbox_request q = {.act = PICK(s, acts),
	    .owner = span_str(PICK(s, owners)),
	    .name = span_str(folders[1 + roll(s, 3)]),
	    .to = SPAN("Old"),
	    .subscribe = true,
	    .entry = SPAN("/private/comment"),
	    .value = SPAN("a note")};
	(void)spool_mailbox_start(s->rig->spool, &q, inbox(s), on_done, s);
	s->open++;
}

/* ---- a batch */

static void
one_request(struct story *s)
{
	struct spool_stat st;
	CHECK(spool_read_stat(s->reader, &st) == OK);
	bool crowded = st.messages + st.kept > CROWDED;
	uint64_t dice = roll(s, 100);
	if (dice < (crowded ? 15u : 45u))
		accept_one(s);
	else if (dice < 70)
		report_one(s);
	else if (dice < 88)
		change_some(s);
	else if (dice < 98)
		change_mailbox(s);
	else if (crowded) {
		(void)spool_owner_delete_start(
		    s->rig->spool, span_str(PICK(s, owners)), inbox(s), on_done, s);
		s->open++;
	}
}

static void
batch(struct story *s)
{
	uint64_t n = 1 + roll(s, REQUESTS_MAX);
	s->delivers = false;
	s->bodies = 0;
	s->number++;
	for (uint64_t i = 0; i < n; i++)
		one_request(s);
	(void)spool_mark_start(
	    s->rig->spool, STORY_NUMBER, s->number, inbox(s), on_number, s);
	s->open++;
	mark(s, s->delivers ? STORY_DELIVERS : STORY_BEGUN, s->number);
	if (s->o->early)
		mark(s, STORY_DONE, s->number);
	while (s->open > 0)
		CHECK(loop_turn(s->rig->loop, false));
	if (!s->o->early)
		mark(s, STORY_DONE, s->number);
	for (unsigned i = 0; i < s->bodies; i++)
		spool_body_free(&s->body[i]);
	spool_rig_run(s->rig);
}

/* ---- accounts */

/* One account, whose name is the number. */
static void
save_account(struct story *s)
{
	char dir[128], name[24];
	struct accounts *a;
	struct buf why = {0};
	(void)snprintf(dir, sizeof(dir), "%s/spool/accounts", s->o->root);
	(void)snprintf(name, sizeof(name), "a%llu", (unsigned long long)s->number);
	CHECK(dir_make(dir, 0700) == OK);
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(fd >= 0 && accounts_open(&a, &s->rig->world, fd, &why) == OK);
	while (a->by_name.n > 0)
		accounts_remove(
		    a, CONTAINER_OF(map_first(&a->by_name), struct account, node));
	CHECK(accounts_add(a, account_new(span_str(name))) == OK);
	mark(s, STORY_ACCOUNT_BEGUN, s->number);
	CHECK(accounts_save(a) == OK);
	mark(s, STORY_ACCOUNT, s->number);
	accounts_close(&a);
	buf_clear(&why);
}

/* ---- a process */

static void
begin(struct story *s)
{
	struct spool_rig *r = s->rig = spool_rig_new(0);
	const struct story_options *o = s->o;
	(void)rmdir(r->dir);
	(void)snprintf(r->dir, sizeof(r->dir), "%s/spool", o->root);
	atomic_store(&r->dice, o->seed * 1000003 + o->phase * 1009 + 1);
	s->dice = o->seed * 7919 + o->phase;
	s->seed = o->phase * 10000;
	r->options.inline_max = STORY_INLINE_MAX;
	r->options.zeros_from = 1;
	/* Files go when they are given up, not later in the pool: a removal before its
	 * commit is to be seen. */
	r->options.accepted_inbox = NULL;
	if (o->seed % 2 == 0 && o->phase == 0) /* somebody made it, and came no further */
		CHECK(mkdir(r->dir, 0700) == 0);
	fault_plan(o->dies > 0 ? FAULT_DIE : FAULT_NONE, NULL, o->dies);
	enum err e = spool_rig_open(r);
	if (e != OK)
		(void)fprintf(stderr, "%s\n", r->why);
	CHECK(e == OK);
	s->reader = spool_reader_new(r->spool);
	s->number = spool_read_mark(s->reader, STORY_NUMBER);
	mark(s, STORY_DONE, s->number);
}

int
story_play(const struct story_options *o)
{
	struct story s = {.o = o};
	s.marks = open(o->stream, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	CHECK(s.marks >= 0);
	begin(&s);
	for (unsigned i = 0; i < o->batches; i++) {
		batch(&s);
		if (roll(&s, 12) == 0)
			save_account(&s);
	}
	spool_reader_free(&s.reader);
	spool_rig_close(s.rig);
	return 0; /* the directory stays */
}
