/* SPDX-License-Identifier: ISC */
/* acts - the commands that change something; each is logged with who did it. */
#include <string.h>

#include "base/hand.h"
#include "base/mem.h"
#include "base/units.h"
#include "policy/address.h"
#include "relay/control/client.h"

#define ACTS_AT_ONCE 100 /* messages of a command that share commits */

struct acting {
	enum admin_action action;
	bool dry_run;
	uint64_t id; /* of the selector; 0: none */
	uint64_t applied;
};

static const char *
action_name(enum admin_action a)
{
	switch (a) {
	case ADMIN_RETRY: return "retry";
	case ADMIN_HOLD: return "hold";
	case ADMIN_RELEASE: return "release";
	case ADMIN_BOUNCE: return "bounce";
	case ADMIN_DELETE: return "delete";
	}
	return "?";
}

static void
act_done(void *arg, unsigned applied)
{
	struct walk *w = arg;
	struct acting *a = walk_arg(w);
	a->applied += applied;
	walk_resume(w);
}

static void
act_each(struct walk *w, const struct message *m, const uint16_t *index, size_t n)
{
	struct acting *a = walk_arg(w);
	struct control_client *cc = walk_client(w);
	if (a->dry_run) {
		a->applied += n;
		return;
	}
	walk_hold(w);
	scheduler_act(cc->control->scheduler, a->action, m, index, n, act_done, w);
}

/* A mail that is in mailboxes only, and is not read any more, is read again. */
static bool
forgive(const struct acting *a)
{
	if (a->action != ADMIN_RELEASE || !hand_condemned(a->id))
		return false;
	if (!a->dry_run)
		hand_clear(a->id);
	return true;
}

static void
act_end(struct walk *w, uint64_t messages, uint64_t recipients)
{
	struct acting *a = walk_arg(w);
	struct control_client *cc = walk_client(w);
	if (messages == 0 && forgive(a))
		messages = recipients = a->applied = 1;
	LOG(cc->control->log, EV_ADMIN, F_STR("what", action_name(a->action)),
	    control_by(cc), F_INT("messages", messages), F_INT("applied", a->applied),
	    F_INT("dry_run", a->dry_run));
	struct json *j = control_line(cc);
	json_open(j, '{');
	json_cstr(j, "action", action_name(a->action));
	json_int(j, "messages", (int64_t)messages);
	json_int(j, "matched", (int64_t)recipients);
	json_int(j, "applied", (int64_t)a->applied);
	json_bool(j, "dry_run", a->dry_run);
	json_close(j, '}');
	control_send(cc);
	control_end(cc, a->applied > 0 ? 0 : 1,
	    messages == 0 ? "nothing matched"
	    : a->applied == 0
		? "nothing to change: being delivered just now, or not in a state for it"
		: NULL);
}

void
command_act(struct control_client *cc, const json_t *request, enum admin_action action)
{
	struct walk_options o = {
	    .each = act_each, .end = act_end, .at_once = ACTS_AT_ONCE};
	struct acting a = {.action = action};
	if (!command_selector(cc, request, &o.selector))
		return;
	if (selector_is_empty(&o.selector)) {
		control_endf(cc, 2,
		    "say which messages: an ID, a selector such as --domain, or --all");
		return;
	}
	o.limit = command_limit(request);
	a.id = o.selector.has_id ? o.selector.id : 0;
	a.dry_run = json_is_true(json_object_get(request, "dry_run"));
	walk_start(cc, &o, &a, sizeof(a));
}

/* ---- pause, resume */

static bool
printable(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || (unsigned char)*text > '~')
			return false;
	return true;
}

/* "in", "out", "route:NAME", a destination's key, or a domain, which stands for
 * "mx:DOMAIN". */
static bool
read_pause_key(const char *what, struct buf *key)
{
	static const char *const kinds[] = {"route:", "mx:", "via:"};
	if (what == NULL || strlen(what) > 255)
		return false;
	if (strcmp(what, "in") == 0 || strcmp(what, "out") == 0) {
		buf_add_str(key, what);
		return true;
	}
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		if (span_starts(span_str(what), span_str(kinds[i])) && printable(what)) {
			buf_add_str(key, what);
			return true;
		}
	}
	buf_add_str(key, "mx:");
	return domain_canonical(span_str(what), key) == OK;
}

static bool
pause_key(struct control_client *cc, const json_t *request, struct buf *key)
{
	if (read_pause_key(json_string_value(json_object_get(request, "what")), key))
		return true;
	control_end(cc, 2, "say what: in, out, route:NAME, or a destination domain");
	return false;
}

/* What would be done, and nothing is. */
static bool
only_said(struct control_client *cc, const json_t *request, const char *action,
    struct span which)
{
	if (!json_is_true(json_object_get(request, "dry_run")))
		return false;
	struct json *j = control_line(cc);
	json_open(j, '{');
	json_cstr(j, "action", action);
	json_str(j, "which", which);
	json_bool(j, "dry_run", true);
	json_close(j, '}');
	control_send(cc);
	control_end(cc, 0, NULL);
	return true;
}

static void
log_pause(struct control_client *cc, const char *what, const struct buf *key)
{
	LOG(cc->control->log, EV_ADMIN, F_STR("what", what), control_by(cc),
	    F_SPAN("which", buf_span(key)));
}

void
command_pause(struct control_client *cc, const json_t *request)
{
	struct control *c = cc->control;
	struct buf key;
	buf_init(&key, 300);
	if (!pause_key(cc, request, &key)) {
		buf_clear(&key);
		return;
	}
	const char *text = json_string_value(json_object_get(request, "for"));
	const char *reason = json_string_value(json_object_get(request, "reason"));
	int64_t ms = 0;
	bool in = span_eq(buf_span(&key), SPAN("in"));
	if (text != NULL && (units_duration(span_str(text), &ms) != OK || ms <= 0)) {
		control_end(cc, 2, "--for takes a duration with a unit, as in 2h");
	} else if (in && ms > 0) {
		control_end(cc, 2,
		    "taking mail is paused until `relayctl resume in`; leave --for out");
	} else if (!only_said(cc, request, "pause", buf_span(&key))) {
		struct wall now = world_wall(loop_world(c->loop));
		if (in)
			c->host.pause_in(c->host.arg, true);
		else
			scheduler_pause(c->scheduler, buf_span(&key),
			    ms ? wall_after(now, ms) : (struct wall){0},
			    span_str(reason ? reason : ""));
		log_pause(cc, "pause", &key);
		control_end(cc, 0, NULL);
	}
	buf_clear(&key);
}

void
command_resume(struct control_client *cc, const json_t *request)
{
	struct control *c = cc->control;
	struct buf key;
	buf_init(&key, 300);
	if (pause_key(cc, request, &key) &&
	    !only_said(cc, request, "resume", buf_span(&key))) {
		bool was = true;
		if (span_eq(buf_span(&key), SPAN("in")))
			c->host.pause_in(c->host.arg, false);
		else
			was = scheduler_resume(c->scheduler, buf_span(&key));
		log_pause(cc, "resume", &key);
		control_end(cc, was ? 0 : 1, was ? NULL : "it was not paused");
	}
	buf_clear(&key);
}

/* ---- reload */

/* Whether the file could be put in force, and what of it would need a restart. */
static bool
try_reload(struct control_client *cc, struct buf *text)
{
	const struct config *now = control_config(cc->control);
	struct config *fresh = config_read(now->file, text);
	bool fine = fresh != NULL && config_open(fresh, false, text);
	const struct config *c = fresh;
	if (fine) {
		buf_reset(text);
		config_diff(now, c, text);
	}
	config_unref(&c);
	return fine;
}

void
command_reload(struct control_client *cc, const json_t *request)
{
	struct control *c = cc->control;
	struct buf text;
	bool dry = json_is_true(json_object_get(request, "dry_run"));
	buf_init(&text, 256u << 10);
	if (!dry)
		LOG(c->log, EV_ADMIN, F_STR("what", "reload"), control_by(cc));
	bool ok = dry ? try_reload(cc, &text) : c->host.reload(c->host.arg, &text);
	struct json *j = control_line(cc);
	json_open(j, '{');
	json_bool(j, "reloaded", ok && !dry);
	if (dry)
		json_bool(j, "dry_run", true);
	json_str(j, ok ? "notes" : "errors", buf_span(&text));
	json_close(j, '}');
	control_send(cc);
	control_end(cc, ok ? 0 : 1,
	    ok ? NULL : "the configuration is wrong; the old one stays in force");
	buf_clear(&text);
}
