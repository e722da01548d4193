/* SPDX-License-Identifier: ISC */
/*
 * find - SEARCH, SORT, THREAD (RFC 9051 6.4.4, 5256, 4731, 5182, 9394).  Mails are asked
 * slice by slice: what the view knows decides most of them on the loop, the others are
 * looked at in the pool, as far as the search needs.
 */
#include "base/hand.h"
#include "base/mem.h"
#include "relay/imap/fetch.h"
#include "relay/imap/search.h"
#include "relay/imap/session.h"

#define SLICE 500
#define SLICES_PER_TURN 40      /* on the loop; others wait */
#define SLICE_OCTETS (8u << 20) /* of content that one query looks at */

enum find_kind { FIND_SEARCH, FIND_SORT, FIND_THREAD };

enum find_return {
	RETURN_MIN = 1 << 0,
	RETURN_MAX = 1 << 1,
	RETURN_ALL = 1 << 2,
	RETURN_COUNT = 1 << 3,
	RETURN_SAVE = 1 << 4,
	RETURN_PARTIAL = 1 << 5,
};

struct candidate {
	struct search_mail mail;
	bool hit, open; /* it must be looked at */
};

struct finding {
	struct job job;
	struct imap *s;
	enum find_kind kind;
	bool by_uid, extended; /* ESEARCH */
	unsigned returns;
	int64_t part_from, part_to; /* PARTIAL; negative: from the end */
	struct search *search;
	struct sort_program sort;
	struct sorter *sorter;
	enum thread_algorithm algorithm;
	struct threader *threader;
	struct set saved;                /* a copy: "$" may change meanwhile */
	uint32_t next;                   /* number */
	struct set hits;                 /* uids */
	uint64_t modseq;                 /* the highest of them */
	uint64_t modseq_min, modseq_max; /* of the first and the last of them */
	struct timer turn;               /* goes on in the next turn */
	/* the slice */
	struct spool_query *query;
	uint32_t mailbox;
	struct candidate *slice;
	size_t n, at; /* looked at up to here */
	uint64_t octets;
	bool too_much;
	unsigned sight; /* enum sight_want */
	enum err err;
};

static struct finding *
of_job(struct imap *s)
{
	return CONTAINER_OF(s->job, struct finding, job);
}

static void
finding_free(void *arg)
{
	struct finding *x = arg;
	timer_clear(&x->turn);
	search_free(&x->search);
	sorter_free(&x->sorter);
	threader_free(&x->threader);
	set_clear(&x->saved);
	set_clear(&x->hits);
	mem_free(&x->slice);
	mem_free(&x);
}

static void
cancel(struct imap *s)
{
	struct finding *x = of_job(s);
	timer_clear(&x->turn);
	if (x->query != NULL)
		spool_cancel_query(&x->query); /* finding_free() when it is over */
	else
		finding_free(x);
}

/* ---- in the pool */

/* What a sorter or a threader wants to know of a hit; false: there is no more room. */
static void
take_hit(struct finding *x, struct candidate *c)
{
	const struct search_mail *m = &c->mail;
	uint32_t shown = x->by_uid ? m->uid : m->number;
	bool ok = true;
	if (x->kind == FIND_SORT)
		ok = sorter_add(x->sorter, shown, m->sight, m->shape);
	else if (x->kind == FIND_THREAD)
		ok = threader_add(x->threader, shown, m->sight, m->shape);
	x->too_much = x->too_much || !ok;
}

/* False: it needs more than is at hand. */
static bool
ask(struct finding *x, struct candidate *c)
{
	enum search_answer a = c->hit ? SEARCH_YES : search_match(x->search, &c->mail);
	if (a == SEARCH_CONTENT || a == SEARCH_SIGHT)
		return false;
	c->hit = a == SEARCH_YES;
	if (c->hit)
		take_hit(x, c);
	c->open = false;
	return true;
}

static bool
on_sight(void *arg, size_t i, const struct mail_sight *sight)
{
	struct finding *x = arg;
	struct candidate *c = &x->slice[x->at + i];
	struct shape shape;
	if (sight->structure.p == NULL || shape_open(&shape, sight->structure) != OK)
		return true; /* its content tells */
	uint64_t was = hand_take(sight->row.message);
	c->mail.sight = sight;
	c->mail.shape = &shape;
	(void)ask(x, c);
	hand_back(was);
	c->mail.sight = NULL;
	c->mail.shape = NULL;
	return true;
}

static void
read_content(struct finding *x, struct spool_reader *r, struct candidate *c)
{
	struct kept_mail *kept;
	struct mail_sight sight;
	struct shape shape;
	struct buf made;
	enum err e = spool_read_mail(r, x->mailbox, c->mail.uid, true, &kept);
	if (e != OK)
		return; /* gone, or damaged: it is not found */
	sight = (struct mail_sight){.row = kept->row,
	    .own = kept->own,
	    .prefix = kept->message->prefix,
	    .content = kept->message->size,
	    .message_flags = kept->message->flags};
	buf_init(&made, 0);
	uint64_t was = hand_take(kept->message->id);
	e = shape_of_content(kept->message->content, kept->message->prefix, &made);
	if (e == OK)
		e = shape_open(&shape, buf_span(&made));
	if (e == OK) {
		c->mail.sight = &sight;
		c->mail.shape = &shape;
		c->mail.mail = kept;
		(void)ask(x, c);
		x->octets += kept->message->size;
	}
	c->mail.sight = NULL;
	c->mail.shape = NULL;
	c->mail.mail = NULL;
	hand_back(was);
	buf_clear(&made);
	kept_mail_free(&kept);
}

static void
run(struct spool_reader *r, void *arg)
{
	struct finding *x = arg;
	uint32_t uid[SLICE];
	if (x->at == 0) {
		for (size_t i = 0; i < x->n; i++)
			uid[i] = x->slice[i].mail.uid;
		x->err =
		    spool_read_sights(r, x->mailbox, x->sight, uid, x->n, on_sight, x);
	}
	for (; x->at < x->n && x->err == OK && x->octets < SLICE_OCTETS; x->at++) {
		if (x->slice[x->at].open)
			read_content(x, r, &x->slice[x->at]);
	}
}

/* ---- answers */

static uint32_t
shown(const struct finding *x, uint32_t uid)
{
	return x->by_uid ? uid : numbers_of(&x->s->selected->numbers, uid);
}

/* The hits as they are shown. */
static void
shown_set(const struct finding *x, const struct set *uids, struct set *out)
{
	for (size_t i = 0; i < uids->n; i++) {
		for (uint32_t u = uids->range[i].from;; u++) {
			uint32_t n = shown(x, u);
			if (n != 0)
				set_add(out, n);
			if (u == uids->range[i].to)
				break;
		}
	}
}

static void
add_plain(const struct finding *x, const struct set *all, struct buf *out)
{
	buf_add_str(out, "* SEARCH");
	for (size_t i = 0; i < all->n; i++) {
		for (uint32_t n = all->range[i].from;; n++) {
			buf_addf(out, " %u", n);
			if (n == all->range[i].to)
				break;
		}
	}
	if (search_uses_modseq(x->search) && all->n > 0)
		buf_addf(out, " (MODSEQ %llu)", (unsigned long long)x->modseq);
	buf_add_str(out, "\r\n");
}

static void
add_partial(const struct finding *x, const struct set *all, struct buf *out)
{
	struct set part = {0};
	buf_addf(
	    out, " PARTIAL (%lld:%lld ", (long long)x->part_from, (long long)x->part_to);
	set_slice(all, x->part_from, x->part_to, &part);
	if (part.n > 0)
		set_write(&part, out);
	else
		buf_add_str(out, "NIL");
	buf_add_char(out, ')');
	set_clear(&part);
}

/* The highest of those that are told of (RFC 4731 3.2). */
static uint64_t
told_modseq(const struct finding *x)
{
	uint64_t min = x->returns & RETURN_MIN ? x->modseq_min : 0;
	uint64_t max = x->returns & RETURN_MAX ? x->modseq_max : 0;
	if (x->returns & (RETURN_ALL | RETURN_COUNT | RETURN_PARTIAL))
		return x->modseq;
	return min > max ? min : max;
}

static void
add_extended(const struct finding *x, const struct set *all, struct buf *out)
{
	buf_add_str(out, "* ESEARCH (TAG ");
	buf_addf(out, "\"%s\")", x->s->tag);
	if (x->by_uid)
		buf_add_str(out, " UID");
	if ((x->returns & RETURN_MIN) && all->n > 0)
		buf_addf(out, " MIN %u", all->range[0].from);
	if ((x->returns & RETURN_MAX) && all->n > 0)
		buf_addf(out, " MAX %u", all->range[all->n - 1].to);
	if ((x->returns & RETURN_ALL) && all->n > 0) {
		buf_add_str(out, " ALL ");
		set_write(all, out);
	}
	if (x->returns & RETURN_PARTIAL)
		add_partial(x, all, out);
	if (x->returns & RETURN_COUNT)
		buf_addf(out, " COUNT %llu", (unsigned long long)set_count(all));
	if (search_uses_modseq(x->search) && all->n > 0)
		buf_addf(out, " MODSEQ %llu", (unsigned long long)told_modseq(x));
	buf_add_str(out, "\r\n");
}

/* "$" (RFC 5182, RFC 9394 3.2): all that was found, or where only MIN, MAX or PARTIAL was
 * asked for, those. */
static void
save(struct finding *x)
{
	struct set *saved = &x->s->selected->saved;
	const struct set *all = &x->hits;
	set_clear(saved);
	if (!(x->returns & (RETURN_MIN | RETURN_MAX | RETURN_PARTIAL)) ||
	    (x->returns & (RETURN_ALL | RETURN_COUNT))) {
		*saved = x->hits;
		x->hits = (struct set){0};
		return;
	}
	if (all->n == 0)
		return;
	if (x->returns & RETURN_PARTIAL)
		set_slice(all, x->part_from, x->part_to, saved);
	if (x->returns & RETURN_MIN)
		set_add(saved, all->range[0].from);
	if (x->returns & RETURN_MAX)
		set_add(saved, all->range[all->n - 1].to);
	set_resolve(saved, 0);
}

/* A SEARCH that fails leaves nothing in "$"; one that is no command leaves what was. */
static void
forget_saved(struct finding *x)
{
	if (x->returns & RETURN_SAVE)
		set_clear(&x->s->selected->saved);
}

static void
answer_search(struct finding *x, struct buf *out)
{
	struct set all = {0};
	shown_set(x, &x->hits, &all);
	if (x->extended && (x->returns & ~(unsigned)RETURN_SAVE) != 0)
		add_extended(x, &all, out);
	else if (!x->extended)
		add_plain(x, &all, out);
	set_clear(&all);
	if (x->returns & RETURN_SAVE)
		save(x);
}

static void
answer_sort(struct finding *x, struct buf *out)
{
	size_t n;
	const uint32_t *number = sorter_end(x->sorter, &n);
	buf_add_str(out, "* SORT");
	for (size_t i = 0; i < n; i++)
		buf_addf(out, " %u", number[i]);
	if (search_uses_modseq(x->search) && n > 0)
		buf_addf(out, " (MODSEQ %llu)", (unsigned long long)x->modseq);
	buf_add_str(out, "\r\n");
}

static void
answer_thread(struct finding *x, struct buf *out)
{
	struct buf threads;
	buf_init(&threads, 0);
	threader_end(x->threader, &threads);
	buf_addf(out, "* THREAD%s", threads.n > 0 ? " " : "");
	buf_add_span(out, buf_span(&threads));
	buf_add_str(out, "\r\n");
	buf_clear(&threads);
}

static void
finish(struct imap *s, struct finding *x)
{
	struct buf out;
	enum err e = x->err;
	bool too_much = x->too_much;
	buf_init(&out, 0);
	if (e == OK && !too_much) {
		if (x->kind == FIND_SEARCH)
			answer_search(x, &out);
		else if (x->kind == FIND_SORT)
			answer_sort(x, &out);
		else
			answer_thread(x, &out);
	}
	imap_say(s, buf_span(&out));
	buf_clear(&out);
	if (e != OK || too_much)
		forget_saved(x);
	s->job = NULL;
	finding_free(x);
	if (too_much)
		imap_no(s, "[LIMIT] ", "there are too many messages to sort");
	else if (e != OK)
		imap_no(s, "[SERVERBUG] ", "the mailbox cannot be read now");
	else
		imap_ok(s, "", "that is all");
}

/* ---- on the loop */

/* The slice is decided: its hits, in their order. */
static void
take_slice(struct finding *x)
{
	for (size_t i = 0; i < x->n; i++) {
		const struct candidate *c = &x->slice[i];
		if (!c->hit)
			continue;
		set_add(&x->hits, c->mail.uid);
		if (c->mail.modseq > x->modseq)
			x->modseq = c->mail.modseq;
		if (x->modseq_min == 0)
			x->modseq_min = c->mail.modseq;
		x->modseq_max = c->mail.modseq;
	}
	x->n = 0;
}

/* What the view knows of a mail decides most. True: it is a candidate. */
static bool
weigh(struct finding *x, uint32_t number, const struct mark *m, bool recent)
{
	struct search_mail mail = {.number = number,
	    .uid = m->uid,
	    .flags = m->flags,
	    .keywords = m->keywords,
	    .modseq = m->modseq,
	    .recent = recent};
	enum search_answer a = search_match(x->search, &mail);
	if (a == SEARCH_NO)
		return false;
	struct candidate *c = &x->slice[x->n++];
	*c = (struct candidate){.mail = mail, .hit = a == SEARCH_YES};
	c->open = !c->hit || x->kind != FIND_SEARCH;
	return c->open;
}

/* Numbers and marks both rise: they are walked side by side.  True: somebody must be
 * looked at. */
static bool
gather(struct finding *x)
{
	const struct selected *sel = x->s->selected;
	const struct numbers *n = &sel->numbers;
	const struct view *v = sel->view;
	bool open = false;
	view_lock(sel->view);
	size_t i = x->next <= n->count ? view_from(v, numbers_uid(n, x->next)) : 0;
	for (x->n = 0; x->n < SLICE && x->next <= n->count && i < v->marks; x->next++) {
		uint32_t uid = numbers_uid(n, x->next);
		while (i < v->marks && v->mark[i].uid < uid)
			i++;
		if (i < v->marks && v->mark[i].uid == uid &&
		    weigh(x, x->next, &v->mark[i],
			sel->recent.n > 0 && set_has(&sel->recent, uid)))
			open = true;
	}
	if (i >= v->marks)
		x->next = n->count + 1; /* what is left has gone, and will be told */
	view_unlock(sel->view);
	return open;
}

static void on_slice(void *arg);

static void
look(struct finding *x)
{
	x->octets = 0;
	x->query = spool_query_start(
	    imap_spool(x->s), run, on_slice, finding_free, x, imap_inbox(x->s));
}

static void
more(struct finding *x)
{
	size_t work = 0, most = (size_t)SLICES_PER_TURN * SLICE * 10;
	while (x->next <= x->s->selected->numbers.count && x->err == OK && !x->too_much) {
		if (gather(x)) {
			x->at = 0;
			look(x);
			return;
		}
		take_slice(x);
		work += SLICE * (search_size(x->search) + 1);
		if (work > most) {
			timer_set(&x->turn, 0);
			return;
		}
	}
	finish(x->s, x);
}

static void
on_slice(void *arg)
{
	struct finding *x = arg;
	x->query = NULL;
	if (x->at < x->n && x->err == OK) {
		look(x);
		return;
	}
	take_slice(x);
	more(x);
}

/* ---- the commands */

static bool
take_return(struct imap *s, struct lex *l, struct finding *x)
{
	static const struct {
		const char *name;
		unsigned value;
	} known[] = {{"MIN", RETURN_MIN}, {"MAX", RETURN_MAX}, {"ALL", RETURN_ALL},
	    {"COUNT", RETURN_COUNT}, {"SAVE", RETURN_SAVE}};
	bool ok = lex_space(l) && lex_char(l, '(');
	while (ok && !lex_char(l, ')')) {
		size_t i = 0;
		while (i < COUNT_OF(known) && !lex_word(l, known[i].name))
			i++;
		if (i < COUNT_OF(known)) {
			x->returns |= known[i].value;
		} else if (lex_word(l, "PARTIAL")) {
			ok = !(x->returns & RETURN_PARTIAL) && lex_space(l) &&
			     lex_partial(l, &x->part_from, &x->part_to);
			x->returns |= RETURN_PARTIAL;
		} else {
			ok = false;
		}
		(void)lex_space(l);
	}
	ok = ok && !((x->returns & RETURN_ALL) && (x->returns & RETURN_PARTIAL));
	if (!ok)
		imap_bad(
		    s, "", "Syntax: RETURN (MIN MAX ALL COUNT SAVE PARTIAL from:to)");
	if (x->returns == 0)
		x->returns = RETURN_ALL;
	x->extended = true;
	return ok && args_space(s);
}

static int
known_keyword(void *arg, struct span name)
{
	return view_keyword(arg, name);
}

static void
answer_error(struct imap *s, enum search_error e)
{
	switch (e) {
	case SEARCH_BAD_CHARSET:
		imap_no(s, "[BADCHARSET (UTF-8 US-ASCII)] ", "this charset is not known");
		break;
	case SEARCH_TOO_DEEP:
		imap_bad(s, "", "this is nested too deep, or too much");
		break;
	default: imap_bad(s, "", "these are no search keys"); break;
	}
}

/* From the keys on. */
static void
begin(struct imap *s, struct lex *l, struct finding *x, struct span charset)
{
	struct search_options o = {
	    .rev2 = s->rev2, .charset = charset.p != NULL, .name = charset};
	const struct selected *sel = s->selected;
	enum search_error e = search_parse(l, &o, &x->search);
	if (e != SEARCH_FINE) {
		if (e == SEARCH_BAD_CHARSET)
			forget_saved(x);
		finding_free(x);
		answer_error(s, e);
		return;
	}
	if (s->uidonly && search_uses_numbers(x->search)) {
		finding_free(x);
		imap_bad(s, "[UIDREQUIRED] ", "UIDONLY is enabled: uids only");
		return;
	}
	if (search_has_bad_number(x->search, sel->numbers.count)) {
		finding_free(x);
		imap_bad(s, "", "there is no message of this number");
		return;
	}
	s->condstore = s->condstore || search_uses_modseq(x->search);
	for (size_t i = 0; i < sel->saved.n; i++)
		set_add_range(
		    &x->saved, sel->saved.range[i].from, sel->saved.range[i].to);
	view_lock(sel->view);
	search_resolve(x->search, sel->numbers.count, numbers_last(&sel->numbers),
	    sel->last, &x->saved, known_keyword, sel->view,
	    world_wall(loop_world(s->pickup->o.loop)));
	view_unlock(sel->view);
	x->mailbox = sel->view->number;
	x->sight = SIGHT_STRUCTURE | (search_reads_octets(x->search) ? SIGHT_ALL : 0);
	x->next = 1;
	x->slice = mem_alloc(SLICE * sizeof(*x->slice));
	s->job = &x->job;
	imap_wait(s);
	more(x);
}

static void
on_turn(void *arg)
{
	more(arg);
}

static struct finding *
finding_new(struct imap *s, enum find_kind kind)
{
	struct finding *x = NEW(struct finding);
	*x = (struct finding){.job = {NULL, cancel},
	    .s = s,
	    .kind = kind,
	    .by_uid = s->by_uid,
	    .extended = s->rev2 && kind == FIND_SEARCH,
	    .returns = RETURN_ALL};
	timer_init(&x->turn, s->pickup->o.loop, on_turn, x);
	return x;
}

void
run_search(struct imap *s, struct lex *l)
{
	struct finding *x = finding_new(s, FIND_SEARCH);
	bool ok = args_space(s);
	if (ok && lex_word(l, "RETURN")) {
		x->returns = 0;
		ok = take_return(s, l, x);
	}
	if (ok)
		begin(s, l, x, (struct span){NULL, 0});
	else
		finding_free(x);
}

void
run_sort(struct imap *s, struct lex *l)
{
	struct finding *x = finding_new(s, FIND_SORT);
	struct span charset;
	if (!lex_space(l) || !sort_parse(l, &x->sort) || !lex_space(l) ||
	    !lex_astring(l, &charset) || !lex_space(l)) {
		finding_free(x);
		imap_bad(s, "", "Syntax: SORT (keys) charset search-keys");
		return;
	}
	x->sorter = sorter_new(&x->sort);
	begin(s, l, x, charset);
}

void
run_thread(struct imap *s, struct lex *l)
{
	struct finding *x = finding_new(s, FIND_THREAD);
	struct span charset;
	bool ok = lex_space(l);
	if (ok && lex_word(l, "REFERENCES"))
		x->algorithm = THREAD_REFERENCES;
	else
		ok = ok && lex_word(l, "ORDEREDSUBJECT");
	if (!ok || !lex_space(l) || !lex_astring(l, &charset) || !lex_space(l)) {
		finding_free(x);
		imap_bad(s, "", "Syntax: THREAD algorithm charset search-keys");
		return;
	}
	x->threader = threader_new(x->algorithm);
	begin(s, l, x, charset);
}
