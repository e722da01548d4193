/* SPDX-License-Identifier: ISC */
/* verbs - the commands: which state each belongs to, and what may be said with it. */
#include <string.h>

#include "base/mem.h"
#include "relay/door.h"
#include "relay/imap/session.h"

enum {
	BEFORE = 1 << IMAP_BEFORE,
	IN = 1 << IMAP_IN,
	SELECTED = 1 << IMAP_SELECTED,
	AFTER = IN | SELECTED,
	EVER = BEFORE | AFTER,
};

enum verb_flag {
	BY_NUMBER = 1 << 0,  /* takes sequence numbers; UID before it makes them uids */
	UID_ONLY = 1 << 1,   /* there is no such command without UID */
	NO_EXPUNGE = 1 << 2, /* numbers must not change under it (RFC 9051 7.5.1) */
};

struct verb {
	const char *name;
	unsigned states, flags;
	imap_verb_fn *run;
};

static const struct verb verbs[] = {
    {"FETCH", SELECTED, BY_NUMBER | NO_EXPUNGE, run_fetch},
    {"STORE", SELECTED, BY_NUMBER | NO_EXPUNGE, run_store},
    {"SEARCH", SELECTED, BY_NUMBER | NO_EXPUNGE, run_search},
    {"NOOP", EVER, 0, run_noop},
    {"IDLE", AFTER, 0, run_idle},
    {"SELECT", AFTER, 0, run_select},
    {"EXAMINE", AFTER, 0, run_examine},
    {"STATUS", AFTER, 0, run_status},
    {"LIST", AFTER, 0, run_list},
    {"LSUB", AFTER, 0, run_lsub},
    {"APPEND", AFTER, 0, run_append},
    {"COPY", SELECTED, BY_NUMBER, run_copy},
    {"MOVE", SELECTED, BY_NUMBER, run_move},
    {"EXPUNGE", SELECTED, 0, run_expunge},
    {"SORT", SELECTED, BY_NUMBER | NO_EXPUNGE, run_sort},
    {"THREAD", SELECTED, BY_NUMBER | NO_EXPUNGE, run_thread},
    {"UID", SELECTED, 0, run_uid},
    {"CHECK", SELECTED, 0, run_check},
    {"CLOSE", SELECTED, 0, run_close},
    {"UNSELECT", SELECTED, 0, run_unselect},
    {"CAPABILITY", EVER, 0, run_capability},
    {"LOGOUT", EVER, 0, run_logout},
    {"STARTTLS", BEFORE, 0, run_starttls},
    {"AUTHENTICATE", BEFORE, 0, run_authenticate},
    {"LOGIN", BEFORE, 0, run_login},
    {"ENABLE", AFTER, 0, run_enable},
    {"CREATE", AFTER, 0, run_create},
    {"DELETE", AFTER, 0, run_delete},
    {"RENAME", AFTER, 0, run_rename},
    {"SUBSCRIBE", AFTER, 0, run_subscribe},
    {"UNSUBSCRIBE", AFTER, 0, run_unsubscribe},
    {"NAMESPACE", AFTER, 0, run_namespace},
    {"ID", EVER, 0, run_id},
    {"COMPRESS", AFTER, 0, run_compress},
    {"GETQUOTA", AFTER, 0, run_getquota},
    {"GETQUOTAROOT", AFTER, 0, run_getquotaroot},
    {"SETQUOTA", AFTER, 0, run_setquota},
    {"GETMETADATA", AFTER, 0, run_getmetadata},
    {"SETMETADATA", AFTER, 0, run_setmetadata},
    {"NOTIFY", AFTER, 0, run_notify},
    {"UIDBATCHES", SELECTED, 0, run_uidbatches},
};

static const struct verb *
find_verb(struct span name)
{
	for (size_t i = 0; i < COUNT_OF(verbs); i++) {
		if (span_ieq(name, span_str(verbs[i].name)))
			return &verbs[i];
	}
	return NULL;
}

bool
imap_may_expunge(const struct imap *s)
{
	return s->verb == NULL || !(s->verb->flags & NO_EXPUNGE) || s->by_uid;
}

/* ---- tag and command */

static bool
is_tag(unsigned char c)
{
	return c > 0x20 && c < 0x7f && memchr("(){%*\"\\+", c, 8) == NULL;
}

bool
imap_take_tag(struct imap *s, struct lex *l)
{
	struct span tag;
	s->tag[0] = '\0';
	if (!scan_run(&l->in, is_tag, &tag) || tag.n > IMAP_TAG_MAX || !lex_space(l))
		return false;
	span_copy(tag, s->tag, sizeof(s->tag));
	return true;
}

static void
run_verb(struct imap *s, const struct verb *v)
{
	s->verb = v;
	if (!(v->states & 1u << s->state)) {
		imap_bad(s, "",
		    s->state == IMAP_BEFORE ? "sign in first"
		    : !(v->states & AFTER)  ? "signed in already"
		    : v->states == SELECTED && s->state == IMAP_IN
			? "select a mailbox first"
			: "not now");
		return;
	}
	if (s->uidonly && (v->flags & BY_NUMBER) && !s->by_uid) {
		imap_bad(s, "[UIDREQUIRED] ", "UIDONLY is enabled: say UID before it");
		return;
	}
	v->run(s, &s->lex);
}

bool
imap_is_too_much(struct imap *s)
{
	if (s->state != IMAP_BEFORE || s->commands <= IMAP_COMMANDS_BEFORE)
		return false;
	imap_bye(s, "", "too many commands without signing in");
	return true;
}

void
imap_run(struct imap *s)
{
	struct span name;
	if (s->append != NULL) {
		append_end(s);
		return;
	}
	s->lex = lex_over(buf_span(&s->reader.text), s->utf8);
	s->verb = NULL;
	s->by_uid = false;
	s->running = true;
	if (imap_is_too_much(s))
		return;
	if (!imap_take_tag(s, &s->lex)) {
		imap_bad(s, "", "a command begins with a tag and a blank");
		return;
	}
	if (!lex_name(&s->lex, &name)) {
		imap_bad(s, "", "a command is missing");
		return;
	}
	const struct verb *v = find_verb(name);
	if (v == NULL)
		imap_bad(s, "", "no such command");
	else
		run_verb(s, v);
}

/* "UID FETCH ..." */
void
run_uid(struct imap *s, struct lex *l)
{
	struct span name;
	if (!args_space(s))
		return;
	const struct verb *v = lex_name(l, &name) ? find_verb(name) : NULL;
	if (v == NULL || (!(v->flags & BY_NUMBER) && v->run != run_expunge)) {
		imap_bad(s, "",
		    "UID goes with FETCH, STORE, SEARCH, SORT, THREAD, COPY, "
		    "MOVE and EXPUNGE");
		return;
	}
	s->by_uid = true;
	run_verb(s, v);
}

/* ---- APPEND, while it is read */

bool
imap_is_append(struct imap *s)
{
	struct span tag, mailbox;
	if (s->append != NULL)
		return true;
	if (s->state == IMAP_BEFORE)
		return false;
	struct lex l = lex_over(buf_span(&s->reader.text), s->utf8);
	bool is = scan_run(&l.in, is_tag, &tag) && tag.n <= IMAP_TAG_MAX &&
		  lex_space(&l) && lex_word(&l, "APPEND") && lex_space(&l) &&
		  lex_astring(&l, &mailbox) && lex_space(&l);
	if (is)
		span_copy(tag, s->tag, sizeof(s->tag));
	lex_clear(&l);
	return is;
}
