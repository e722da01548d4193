/* SPDX-License-Identifier: ISC */
/* job - made, filled, thrown away. */
#include "relay/egress/job.h"

#include "base/mem.h"

struct job *
job_new(uint64_t id, const char *dest, struct message *m)
{
	struct job *j = NEW(struct job);
	j->id = id;
	j->dest = mem_strdup(dest);
	j->message = m ? message_ref(m) : NULL;
	return j;
}

void
mailing_free(struct mailing **mp)
{
	struct mailing *m = *mp;
	if (m == NULL)
		return;
	mem_free(&m->drop);
	buf_clear(&m->text);
	mem_free(mp);
}

void
job_free(struct job **jp)
{
	struct job *j = *jp;
	if (j == NULL)
		return;
	for (size_t i = 0; i < j->results; i++) {
		mem_free(&j->result[i].moved_to);
		mailing_free(&j->result[i].mailing);
	}
	mem_free(&j->result);
	mem_free(&j->dest);
	message_unref(&j->message);
	mem_free(jp);
}

struct job_result *
job_add(struct job *j, const struct recipient *r, enum outcome_kind kind,
    const struct verdict *v)
{
	if ((j->results & (j->results - 1)) == 0)
		j->result = mem_resize(j->result, j->results ? j->results * 2 : 1,
		    sizeof(struct job_result));
	struct job_result *res = &j->result[j->results++];
	*res = (struct job_result){.index = r->index, .kind = kind};
	if (v != NULL)
		res->verdict = *v;
	return res;
}
