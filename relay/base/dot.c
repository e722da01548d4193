/* SPDX-License-Identifier: ISC */
/*
 * dot - undot and dot_stuff, in runs.
 *
 * undot keeps one run of input that can go out unchanged; it is emitted only
 * where something is left out or put in (a stuffed dot, a repaired line end)
 * and at the end of the input, so clean text goes out in one piece.  Bytes
 * whose meaning the next byte decides are withheld in the state:
 *
 *	LINE     at the beginning of a line, that is: of the data, or after CRLF
 *	TEXT     in a line
 *	CR       in a line, behind a CR that is not emitted yet
 *	DOT      behind a dot that began a line; it is dropped in any case
 *	DOT_CR   behind such a dot and a CR: LF ends the data, anything else makes
 *	         the CR a bare one
 *
 * Only CRLF leads to LINE, so only CRLF "." CRLF leads to the end.
 */
#include "base/dot.h"

#include <string.h>

enum { LINE, TEXT, CR, DOT, DOT_CR };

#define CRLF SPAN("\r\n")

void
undot_init(struct undot *u, bool repair)
{
	*u = (struct undot){.repair = repair, .state = LINE};
}

/* One call of undot_take. */
struct take {
	struct undot *u;
	const char *run; /* where the bytes begin that go out as they are */
	const char *p;   /* the next byte */
	const char *end;
	void (*emit)(void *, struct span);
	void *arg;
};

/* Emit the run up to `to`; the next one begins at `next`. */
static void
cut_run(struct take *t, const char *to, const char *next)
{
	if (to > t->run)
		t->emit(t->arg, (struct span){t->run, (size_t)(to - t->run)});
	t->run = next;
}

static void
line_grows(struct undot *u, size_t n)
{
	u->line += n;
	if (u->line > u->longest)
		u->longest = u->line;
}

/* A bare CR or LF at `at`, inside the run. */
static void
bare_in_run(struct take *t, const char *at)
{
	if (t->u->repair) {
		cut_run(t, at, at + 1);
		t->emit(t->arg, CRLF);
		t->u->line = 0;
	} else {
		line_grows(t->u, 1);
	}
}

/* A CR that was withheld, and is bare. */
static void
bare_withheld(struct take *t)
{
	t->u->bare_cr = true;
	t->emit(t->arg, t->u->repair ? CRLF : SPAN("\r"));
	if (t->u->repair)
		t->u->line = 0;
	else
		line_grows(t->u, 1);
}

/* Bytes of a line that hold no LF, and no CR that might belong to a CRLF. */
static void
take_inside(struct take *t, const char *stop)
{
	while (t->p < stop) {
		const char *cr = memchr(t->p, '\r', (size_t)(stop - t->p));
		line_grows(t->u, (size_t)((cr ? cr : stop) - t->p));
		if (cr == NULL)
			break;
		t->u->bare_cr = true;
		bare_in_run(t, cr);
		t->p = cr + 1;
	}
	t->p = stop;
}

/* From anywhere in a line up to its end or that of the input. */
static void
take_text(struct take *t)
{
	const char *lf = memchr(t->p, '\n', (size_t)(t->end - t->p));
	const char *stop = lf ? lf : t->end;
	bool cr = stop > t->p && stop[-1] == '\r';
	take_inside(t, cr ? stop - 1 : stop);
	if (lf == NULL) {
		if (cr) {
			cut_run(t, stop - 1, stop);
			t->u->state = CR;
		}
	} else if (cr) {
		t->u->state = LINE;
		t->u->line = 0;
	} else {
		t->u->bare_lf = true;
		bare_in_run(t, lf);
	}
	t->p = lf ? lf + 1 : t->end;
}

/* LINE, DOT: step over a byte that is left out, or go on with it as text. */
static void
take_or_text(struct take *t, char want, uint8_t next)
{
	if (*t->p != want) {
		t->u->state = TEXT;
		return;
	}
	cut_run(t, t->p, t->p + 1);
	t->p++;
	t->u->state = next;
}

/* CR, DOT_CR: the byte behind the CR decides. */
static void
take_after_cr(struct take *t)
{
	if (*t->p != '\n') {
		bare_withheld(t);
		t->u->state = TEXT;
		return;
	}
	if (t->u->state == DOT_CR)
		t->u->end = true;
	else
		t->emit(t->arg, CRLF);
	t->u->state = LINE;
	t->u->line = 0;
	t->run = ++t->p;
}

static bool
has_eight_bit(const char *p, size_t n)
{
	uint64_t all = 0, word;
	for (; n >= sizeof(word); p += sizeof(word), n -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		all |= word;
	}
	for (; n > 0; p++, n--)
		all |= (unsigned char)*p;
	return (all & UINT64_C(0x8080808080808080)) != 0;
}

size_t
undot_take(
    struct undot *u, struct span in, void (*emit)(void *arg, struct span), void *arg)
{
	if (in.n == 0 || u->end)
		return 0;
	struct take t = {u, in.p, in.p, in.p + in.n, emit, arg};
	while (t.p < t.end && !u->end) {
		switch (u->state) {
		case LINE: take_or_text(&t, '.', DOT); break;
		case DOT:
			u->dots = u->dots || *t.p != '\r';
			take_or_text(&t, '\r', DOT_CR);
			break;
		case CR:
		case DOT_CR: take_after_cr(&t); break;
		default: take_text(&t); break;
		}
	}
	cut_run(&t, t.p, t.p);

	size_t taken = (size_t)(t.p - in.p);
	u->wire += taken;
	u->nul = u->nul || memchr(in.p, '\0', taken) != NULL;
	u->eight_bit = u->eight_bit || has_eight_bit(in.p, taken);
	return taken;
}

/* ---- sending; the states LINE, TEXT and CR mean the same, but nothing is withheld */

/* The state behind the first n bytes of `in`. */
static uint8_t
stuff_state(uint8_t state, struct span in, size_t n)
{
	if (n == 0)
		return state;
	char last = in.p[n - 1];
	bool after_cr = n > 1 ? in.p[n - 2] == '\r' : state == CR;
	if (last == '\r')
		return CR;
	return last == '\n' && after_cr ? LINE : TEXT;
}

void
dot_stuff_add(struct dot_stuff *d, struct buf *out, struct span in)
{
	/* Dots are rarer than lines, and encoded attachments have none. */
	size_t from = 0;
	for (size_t at = 0; at < in.n; at++) {
		at += span_find(span_cut(in, at, in.n), '.');
		if (at == in.n)
			break;
		if (stuff_state(d->state, in, at) != LINE)
			continue;
		buf_add(out, in.p + from, at - from);
		buf_add_char(out, '.');
		from = at;
	}
	buf_add_span(out, span_cut(in, from, in.n));
	d->state = stuff_state(d->state, in, in.n);
}

void
dot_stuff_end(struct dot_stuff *d, struct buf *out)
{
	if (d->state != LINE)
		buf_add_span(out, CRLF);
	buf_add_span(out, SPAN(".\r\n"));
	d->state = LINE;
}
