/* SPDX-License-Identifier: ISC */
/* receive - see receive.h. */
#include "relay/ingress/receive.h"

#include <string.h>

#include "base/check.h"
#include "base/dot.h"
#include "base/mem.h"
#include "relay/mime/shape.h"

struct receive {
	struct receive_options o;
	struct instant began;
	enum receive_fault fault;
	struct undot undot; /* DATA */
	struct crlf crlf;   /* BDAT */
	struct header_scan header;
	struct spool_body *body; /* NULL once there is a fault */
	struct shaper *shaper;   /* NULL: nobody will list it */
	uint64_t size;
	char tail[2]; /* the last two octets of the content */
	/* while it is stored */
	struct message *message; /* borrowed */
	struct spool_request *request;
	spool_done_fn *done;
	void *arg;
	struct later tell; /* the body could not be written; err says why */
	enum err err;
};

/* The disk has caught up: of interest only while bytes come. */
static void
on_room(void *arg)
{
	struct receive *r = arg;
	if (r->done == NULL)
		r->o.on_room(r->o.arg);
}

static void
tell_error(void *arg)
{
	struct receive *r = arg;
	r->done(r->arg, r->err);
}

struct receive *
receive_new(const struct receive_options *o)
{
	struct receive *r = NEW(struct receive);
	r->o = *o;
	r->began = loop_now(o->loop);
	bool repair = o->own && !o->binary;
	undot_init(&r->undot, repair);
	crlf_init(&r->crlf, repair);
	header_scan_init(&r->header, o->hostname);
	r->body = spool_body_new(o->spool, o->loop, o->budget, on_room, r);
	if (o->shape)
		r->shaper = shaper_new();
	later_init(&r->tell, o->loop, tell_error, r);
	return r;
}

void
receive_free(struct receive **rp)
{
	struct receive *r = *rp;
	if (r == NULL)
		return;
	later_clear(&r->tell);
	spool_cancel(&r->request);
	spool_body_free(&r->body);
	shaper_free(&r->shaper);
	mem_free(rp);
}

static void
set_fault(struct receive *r, enum receive_fault f)
{
	if (r->fault != RECEIVE_FINE)
		return;
	r->fault = f;
	spool_body_free(&r->body);
}

/* ---- bytes */

static void
note_tail(struct receive *r, struct span s)
{
	if (s.n >= 2) {
		memcpy(r->tail, s.p + s.n - 2, 2);
	} else if (s.n == 1) {
		r->tail[0] = r->tail[1];
		r->tail[1] = s.p[0];
	}
}

/* Octets of content: undot and crlf call this. */
static void
on_content(void *arg, struct span s)
{
	struct receive *r = arg;
	r->size += s.n;
	note_tail(r, s);
	if (r->fault != RECEIVE_FINE)
		return;
	if (r->o.size_max != 0 && r->size > r->o.size_max) {
		set_fault(r, RECEIVE_TOO_LARGE);
		return;
	}
	header_scan_take(&r->header, s);
	spool_body_add(r->body, s);
	if (r->shaper != NULL)
		shaper_take(r->shaper, s);
}

static void
judge_header(struct receive *r)
{
	const struct header_scan *h = &r->header;
	if (h->size > HEADER_SIZE_MAX)
		set_fault(r, RECEIVE_HEADER_SIZE);
	else if (h->fields > HEADER_FIELD_MAX)
		set_fault(r, RECEIVE_HEADER_FIELDS);
	else if (h->own_hops > OWN_HOPS_MAX)
		set_fault(r, RECEIVE_LOOP);
	else if (h->received > r->o.hops_max)
		set_fault(r, RECEIVE_HOPS);
}

static void
judge_bytes(struct receive *r, bool nul, bool bare, uint64_t longest)
{
	if (r->o.binary)
		return;
	if (nul)
		set_fault(r, RECEIVE_NUL);
	else if (bare && !r->o.own)
		set_fault(r, RECEIVE_BARE);
	else if (longest > LINE_LENGTH_MAX && !r->o.own)
		set_fault(r, RECEIVE_LONG_LINE);
}

size_t
receive_data(struct receive *r, struct span wire)
{
	struct undot *u = &r->undot;
	size_t n = undot_take(u, wire, on_content, r);
	judge_bytes(r, u->nul, u->bare_cr || u->bare_lf, u->longest);
	judge_header(r);
	return n;
}

bool
receive_ended(const struct receive *r)
{
	return r->undot.end;
}

void
receive_chunk(struct receive *r, struct span bytes)
{
	struct crlf *c = &r->crlf;
	crlf_take(c, bytes, on_content, r);
	judge_bytes(r, c->nul, c->bare_cr || c->bare_lf, c->longest);
	judge_header(r);
}

bool
receive_busy(const struct receive *r)
{
	return r->body != NULL && spool_body_busy(r->body);
}

uint64_t
receive_size(const struct receive *r)
{
	return r->size;
}

struct instant
receive_began(const struct receive *r)
{
	return r->began;
}

/* ---- what is wrong with it */

enum receive_fault
receive_fault(const struct receive *r)
{
	return r->fault;
}

enum receive_fault
receive_end(struct receive *r)
{
	struct crlf *c = &r->crlf;
	crlf_end(c, on_content, r);
	judge_bytes(r, c->nul, c->bare_cr || c->bare_lf, c->longest);
	header_scan_end(&r->header);
	judge_header(r);
	return r->fault;
}

struct verdict
receive_verdict(enum receive_fault f)
{
	static const struct {
		unsigned code;
		const char *status, *text;
	} table[] = {
	    [RECEIVE_FINE] = {250, "2.0.0", "Ok"},
	    [RECEIVE_TOO_LARGE] = {552, "5.3.4", "Message too large"},
	    [RECEIVE_HEADER_SIZE] = {552, "5.3.4", "Header section too large"},
	    [RECEIVE_HEADER_FIELDS] = {554, "5.6.0", "Too many header fields"},
	    [RECEIVE_HOPS] = {554, "5.4.6", "Too many hops"},
	    [RECEIVE_LOOP] = {554, "5.4.6", "Mail loop: it has been here before"},
	    [RECEIVE_NUL] = {554, "5.6.0", "Message holds a NUL octet"},
	    [RECEIVE_BARE] = {554, "5.6.0", "Message holds a bare CR or LF"},
	    [RECEIVE_LONG_LINE] = {554, "5.6.0", "Message holds a line over 998 octets"},
	};
	return verdict_make(table[f].code, table[f].status, "%s", table[f].text);
}

const struct header_scan *
receive_header(const struct receive *r)
{
	return &r->header;
}

/* By DATA, and its form there is the content: nothing was repaired, no dot taken away.
 * (BDAT does not look for dots.) */
static bool
is_plain(const struct receive *r)
{
	const struct undot *u = &r->undot;
	return u->end && !u->bare_cr && !u->bare_lf && !u->dots && !u->nul &&
	       r->size > 0 && memcmp(r->tail, "\r\n", 2) == 0;
}

uint32_t
receive_flags(const struct receive *r)
{
	uint32_t flags = 0;
	if (r->undot.eight_bit || r->crlf.eight_bit)
		flags |= MESSAGE_8BIT;
	if (r->undot.longest > LINE_LENGTH_MAX || r->crlf.longest > LINE_LENGTH_MAX)
		flags |= MESSAGE_LONG_LINE;
	if (r->size > 0 && memcmp(r->tail, "\r\n", 2) != 0)
		flags |= MESSAGE_NO_CRLF;
	if (is_plain(r))
		flags |= MESSAGE_PLAIN;
	return flags;
}

/* ---- storing */

static void
on_stored(void *arg, enum err e)
{
	struct receive *r = arg;
	r->request = NULL;
	r->done(r->arg, e);
}

static void
on_body(void *arg, enum err e, const struct spool_body_result *result)
{
	struct receive *r = arg;
	if (e != OK) { /* whoever is told lets go of the body: not inside its callback */
		r->err = e;
		later_set(&r->tell);
		return;
	}
	struct message *m = r->message;
	m->content = result->content;
	m->size = content_size(result->content);
	m->file = result->file;
	m->crc = result->crc;
	r->request =
	    spool_accept_start(r->o.spool, m, loop_inbox(r->o.loop), on_stored, r);
}

static void
keep_shape(struct receive *r, struct message *m)
{
	struct buf shape;
	buf_init(&shape, 0);
	shaper_end(r->shaper, m->prefix, &shape);
	m->structure = message_keep(m, buf_span(&shape));
	buf_clear(&shape);
}

void
receive_store(struct receive *r, struct message *m, spool_done_fn *done, void *arg)
{
	CHECK(r->fault == RECEIVE_FINE && r->done == NULL);
	r->message = m;
	r->done = done;
	r->arg = arg;
	if (r->shaper != NULL && m->drops > 0)
		keep_shape(r, m);
	spool_body_finish(r->body, on_body, r);
}
