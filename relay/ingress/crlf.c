/* SPDX-License-Identifier: ISC */
/*
 * crlf - see crlf.h.  A run of input that can go out unchanged is kept and
 * emitted where something is put in, where a CR is withheld, and at the end.
 */
#include "relay/ingress/crlf.h"

#include <string.h>

#define CRLF SPAN("\r\n")

struct sink {
	void (*emit)(void *arg, struct span);
	void *arg;
	const char *run; /* where the bytes begin that go out as they are */
};

void
crlf_init(struct crlf *c, bool repair)
{
	*c = (struct crlf){.repair = repair};
}

bool
bytes_eight_bit(struct span s)
{
	const char *p = s.p;
	size_t n = s.n;
	uint64_t all = 0, word;
	for (; n >= sizeof(word); p += sizeof(word), n -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		all |= word;
	}
	for (; n > 0; p++, n--)
		all |= (unsigned char)*p;
	return (all & UINT64_C(0x8080808080808080)) != 0;
}

/* Emit the run up to `to`; the next one begins at `next`. */
static void
cut_run(struct sink *k, const char *to, const char *next)
{
	if (to > k->run)
		k->emit(k->arg, (struct span){k->run, (size_t)(to - k->run)});
	k->run = next;
}

static void
line_grows(struct crlf *c, size_t n)
{
	c->line += n;
	if (c->line > c->longest)
		c->longest = c->line;
}

/* A bare CR or LF at `at`, inside the run. */
static void
bare_at(struct crlf *c, struct sink *k, const char *at)
{
	if (!c->repair) {
		line_grows(c, 1);
		return;
	}
	cut_run(k, at, at + 1);
	k->emit(k->arg, CRLF);
	c->line = 0;
}

/* The CR that was withheld is bare. */
static void
bare_withheld(struct crlf *c, struct sink *k)
{
	c->cr = false;
	c->bare_cr = true;
	k->emit(k->arg, c->repair ? CRLF : SPAN("\r"));
	if (c->repair)
		c->line = 0;
	else
		line_grows(c, 1);
}

/* Part of a line that holds no LF and no CR that might belong to one. */
static void
take_inside(struct crlf *c, struct sink *k, const char *p, const char *stop)
{
	while (p < stop) {
		const char *cr = memchr(p, '\r', (size_t)(stop - p));
		line_grows(c, (size_t)((cr ? cr : stop) - p));
		if (cr == NULL)
			break;
		c->bare_cr = true;
		bare_at(c, k, cr);
		p = cr + 1;
	}
}

/* Up to the next LF or the end; returns where to go on. */
static const char *
take_line(struct crlf *c, struct sink *k, const char *p, const char *end)
{
	const char *lf = memchr(p, '\n', (size_t)(end - p));
	const char *stop = lf ? lf : end;
	bool cr = stop > p && stop[-1] == '\r';
	take_inside(c, k, p, cr ? stop - 1 : stop);
	if (lf == NULL) {
		c->cr = cr;
		if (cr)
			cut_run(k, stop - 1, stop);
		return end;
	}
	if (cr) {
		c->line = 0;
	} else {
		c->bare_lf = true;
		bare_at(c, k, lf);
	}
	return lf + 1;
}

void
crlf_take(struct crlf *c, struct span in, void (*emit)(void *arg, struct span), void *arg)
{
	if (in.n == 0)
		return;
	struct sink k = {emit, arg, in.p};
	const char *p = in.p, *end = in.p + in.n;
	if (c->cr && *p == '\n') {
		emit(arg, CRLF);
		c->cr = false;
		c->line = 0;
		k.run = ++p;
	} else if (c->cr) {
		bare_withheld(c, &k);
	}
	while (p < end)
		p = take_line(c, &k, p, end);
	cut_run(&k, end, end);
	c->nul = c->nul || memchr(in.p, '\0', in.n) != NULL;
	c->eight_bit = c->eight_bit || bytes_eight_bit(in);
}

void
crlf_end(struct crlf *c, void (*emit)(void *arg, struct span), void *arg)
{
	struct sink k = {emit, arg, NULL};
	if (c->cr)
		bare_withheld(c, &k);
}
