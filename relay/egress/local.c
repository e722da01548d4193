/* SPDX-License-Identifier: ISC */
/* local - see local.h. */
#include "relay/egress/local.h"

#include "base/mem.h"

static void
result(struct job *j, const struct recipient *r, const struct verdict *v)
{
	enum outcome_kind kind = verdict_permanent(v) ? OUTCOME_FAILED : OUTCOME_WAIT;
	job_add(j, r, kind, v)->attempted = true;
}

/* The mails' own fields follow each other in one buffer, which must not move any more
 * when spans are taken: so lengths first. */
static struct mailing *
compose(const struct message *m, const struct recipient *r,
    const struct directory_match *match)
{
	struct mailing *x = NEW(struct mailing);
	size_t end[DIRECTORY_OWNERS_MAX], at = 0;
	buf_init(&x->text, 0);
	x->drop = mem_alloc(match->n * sizeof(*x->drop));
	x->n = match->n;
	for (size_t i = 0; i < x->n; i++) {
		directory_own_fields(m->sender, r->address, &match->owner[i], &x->text);
		end[i] = x->text.n;
		buf_add_str(&x->text, match->owner[i].name);
	}
	for (size_t i = 0; i < x->n; i++) {
		size_t name = span_str(match->owner[i].name).n;
		x->drop[i] = (struct drop){.owner = {x->text.p + end[i], name},
		    .recipient = r->address,
		    .own = {x->text.p + at, end[i] - at}};
		at = end[i] + name;
	}
	return x;
}

/* Those who have room get it; if nobody has, it waits. */
static struct verdict
admit(const struct directory *d, const struct config *c, const struct spool *s,
    struct directory_match *match, uint64_t size)
{
	struct verdict why = {0};
	size_t n = directory_keep_room(d, c, s, size, match, &why);
	if (n == 0)
		return why;
	match->n = n;
	return verdict_make(
	    250, "2.1.5", "delivered to the mailbox of %s", match->owner[0].name);
}

void
local_deliver(struct job *j, const struct directory *d, const struct config *c,
    const struct spool *s, const struct route *route, const struct recipient *r)
{
	struct directory_match *match = NEW(struct directory_match);
	struct verdict v;
	enum directory_answer a = d != NULL
				      ? directory_find(d, c, route, r->address, match)
				      : DIRECTORY_NOT_READY;
	if (a == DIRECTORY_FOUND)
		v = admit(d, c, s, match, j->message->size);
	else if (a == DIRECTORY_UNKNOWN)
		v = verdict_make(550, "5.1.1", "no such mailbox here");
	else
		v = verdict_make(451, "4.3.0", "the accounts are not known yet");
	if (verdict_ok(&v)) {
		struct job_result *res = job_add(j, r, OUTCOME_DELIVERED, &v);
		res->attempted = true;
		res->mailing = compose(j->message, r, match);
	} else {
		result(j, r, &v);
	}
	mem_free(&match);
}
