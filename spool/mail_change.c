/* SPDX-License-Identifier: ISC */
/* mail_change - what an owner does with mail: built by one thread, applied by the writer,
 * and its result read by whoever kept a reference. */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "spool/mail_change_private.h"

/* A name that nobody can have is not cut to one that somebody may have. */
static void
keep_name(struct span name, char *out, size_t size)
{
	bool fits =
	    name.n < size && (name.n == 0 || memchr(name.p, '\0', name.n) == NULL);
	span_copy(fits ? name : SPAN(""), out, size);
}

void
mail_change_mailbox(struct mail_change *c, struct span owner, struct span name)
{
	keep_name(owner, c->owner, sizeof(c->owner));
	keep_name(name, c->name, sizeof(c->name));
}

struct mail_change *
mail_change_new(struct span owner, struct span name)
{
	struct mail_change *c = NEW(struct mail_change);
	atomic_init(&c->refs, 1);
	c->unless = UINT64_MAX;
	mail_change_mailbox(c, owner, name);
	return c;
}

struct mail_change *
mail_change_at(uint32_t number)
{
	struct mail_change *c = mail_change_new(SPAN(""), SPAN(""));
	c->number = number;
	return c;
}

struct mail_change *
mail_change_ref(struct mail_change *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

void
mail_change_free(struct mail_change **cp)
{
	struct mail_change *c = *cp;
	*cp = NULL;
	if (c == NULL || atomic_fetch_sub(&c->refs, 1) > 1)
		return;
	message_unref(&c->notice);
	for (size_t i = 0; i < c->keywords; i++)
		mem_free(&c->keyword[i]);
	for (size_t i = 0; i < c->appends; i++) {
		CHECK(c->append[i].file == NULL);
		message_unref(&c->append[i].message);
	}
	mem_free(&c->append);
	mem_free(&c->from);
	mem_free(&c->to);
	mem_free(&c->modified);
	mem_free(&c->act);
	mem_free(&c);
}

static void
add(struct mail_change *c, const struct mail_act *a)
{
	if (c->acts == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 16;
		c->act = mem_resize(c->act, c->cap, sizeof(*c->act));
	}
	c->act[c->acts++] = *a;
	c->deletions += a->kind == ACT_DELETE || a->kind == ACT_EXPUNGE;
	c->copies += a->kind == ACT_COPY || a->kind == ACT_MOVE;
}

void
mail_change_delete(struct mail_change *c, uint32_t uid)
{
	add(c, &(struct mail_act){.kind = ACT_DELETE, .uid = uid});
}

void
mail_change_expunge(struct mail_change *c, uint32_t uid)
{
	add(c, &(struct mail_act){.kind = ACT_EXPUNGE, .uid = uid});
}

void
mail_change_flags(struct mail_change *c, uint32_t uid, uint32_t set, uint32_t clear)
{
	add(c, &(struct mail_act){
		   .kind = ACT_FLAGS, .uid = uid, .set = set, .clear = clear});
}

void
mail_change_pickup(struct mail_change *c)
{
	c->pickup = true;
}

void
mail_change_recent(struct mail_change *c, uint32_t uid)
{
	c->recent = uid;
}

void
mail_change_notice(struct mail_change *c, struct message *notice)
{
	message_unref(&c->notice);
	c->notice = notice;
}

struct message *
mail_change_get_notice(const struct mail_change *c)
{
	return c->notice;
}

/* ---- STORE */

unsigned
mail_change_keyword(struct mail_change *c, struct span name)
{
	for (size_t i = 0; i < c->keywords; i++) {
		if (span_ieq(span_str(c->keyword[i]), name))
			return (unsigned)i;
	}
	if (c->keywords == MAILBOX_KEYWORDS_MAX)
		return MAILBOX_KEYWORDS_MAX;
	c->keyword[c->keywords] = span_dup(name);
	return (unsigned)c->keywords++;
}

void
mail_change_store(struct mail_change *c, uint32_t uid, enum mail_store how,
    uint32_t flags, uint64_t keywords)
{
	add(c, &(struct mail_act){.kind = ACT_STORE,
		   .uid = uid,
		   .how = how,
		   .set = flags & MAIL_FLAGS_IMAP,
		   .keywords = keywords});
}

void
mail_change_unless(struct mail_change *c, uint64_t modseq)
{
	c->unless = modseq;
}

/* ---- COPY, MOVE, APPEND */

void
mail_change_target(struct mail_change *c, struct span owner, struct span name)
{
	c->has_target = true;
	keep_name(owner, c->target_owner, sizeof(c->target_owner));
	keep_name(name, c->target_name, sizeof(c->target_name));
}

void
mail_change_move_all(struct mail_change *c, struct span owner, struct span name)
{
	mail_change_target(c, owner, name);
	c->anew = true;
}

void
mail_change_quota(struct mail_change *c, uint64_t messages, uint64_t octets)
{
	c->quota_messages = messages;
	c->quota_octets = octets;
}

void
mail_change_copy(struct mail_change *c, uint32_t uid, bool move)
{
	add(c, &(struct mail_act){.kind = move ? ACT_MOVE : ACT_COPY, .uid = uid});
}

void
mail_change_append(
    struct mail_change *c, struct message *m, const struct mail_append *how)
{
	c->append = mem_resize(c->append, c->appends + 1, sizeof(*c->append));
	c->append[c->appends++] = (struct append_one){message_ref(m), NULL, *how};
}

bool
mail_change_appends(const struct mail_change *c)
{
	return c->appends > 0;
}

/* The files of appended messages are in use until the request is over. */
enum err
mail_change_hold_files(
    struct mail_change *c, struct commons *commons, void (*measure)(struct message *m))
{
	enum err e = OK;
	for (size_t i = 0; i < c->appends; i++) {
		struct append_one *one = &c->append[i];
		measure(one->message);
		if (one->message->file == 0)
			continue;
		one->file = file_use_find(commons, one->message->file);
		if (one->file == NULL)
			e = ERR_NOT_FOUND;
	}
	return e;
}

void
mail_change_stored(struct mail_change *c)
{
	for (size_t i = 0; i < c->appends; i++) {
		if (c->append[i].file != NULL)
			file_use_stored(c->append[i].file);
	}
}

void
mail_change_release_files(struct mail_change *c, struct inbox *reply)
{
	for (size_t i = 0; i < c->appends; i++)
		file_use_release(&c->append[i].file, reply);
}

/* ---- the result */

void
mail_change_result(const struct mail_change *c, struct mail_result *out)
{
	*out = (struct mail_result){.over_quota = c->over_quota,
	    .modseq = c->modseq,
	    .uidvalidity = c->uidvalidity,
	    .n = c->pairs,
	    .from = c->from,
	    .to = c->to,
	    .modified = c->modified,
	    .modifieds = c->modifieds};
}
