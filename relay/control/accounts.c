/* SPDX-License-Identifier: ISC */
/*
 * accounts - requests about accounts go on to signin, its answer comes back
 * object by object.  They hold passwords: they are never logged, and the bytes
 * that we own are wiped.  What was changed by whom is logged when the answer
 * is there, even if the administrator has gone meanwhile; the administrator is
 * told of a change when it is in force here, too.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/control/boxes.h"
#include "relay/control/client.h"

struct asking {
	struct log *log;               /* outlives control */
	struct control_client *client; /* NULL: gone meanwhile */
	const char *cmd;               /* a constant of the table */
	char *name, *label;            /* of the request; label may be NULL */
	struct buf changed;            /* names of members, never their values */
	uint32_t uid;
	struct control_host host;
	struct spool *spool;
	struct inbox *inbox;
	bool delete_mail; /* with the account */
	bool dry_run;     /* nothing is changed, only told */
	json_t *last;     /* the end of the answer; NULL: not understood */
};

static const struct {
	const char *cmd;
	bool writes, label;
	bool ends; /* who is signed in with what is no longer right must go */
} commands[] = {
    {"user-add", true, false, false},
    {"user-passwd", true, false, true},
    {"user-set", true, false, false},
    {"user-list", false, false, false},
    {"user-delete", true, false, true},
    {"user-secret-add", true, true, false},
    {"user-secret-delete", true, true, true},
};

void
control_wipe(struct span s)
{
	if (s.n > 0)
		explicit_bzero((char *)(uintptr_t)s.p, s.n);
}

void
control_wipe_secrets(const json_t *request)
{
	static const char *const secret[] = {"password", "hash"};
	for (size_t i = 0; i < COUNT_OF(secret); i++) {
		const json_t *v = json_object_get(request, secret[i]);
		if (json_is_string(v))
			control_wipe(
			    (struct span){json_string_value(v), json_string_length(v)});
	}
}

static void
asking_free(struct asking *a)
{
	mem_free(&a->name);
	mem_free(&a->label);
	buf_clear(&a->changed);
	json_decref(a->last);
	mem_free(&a);
}

static void
gone(struct control_client *cc)
{
	((struct asking *)cc->command)->client = NULL;
}

static size_t
command_of(const struct asking *a)
{
	size_t i = 0;
	while (commands[i].cmd != a->cmd)
		CHECK(++i < COUNT_OF(commands));
	return i;
}

static void
log_change(const struct asking *a, int status)
{
	LOG(a->log, EV_ADMIN, F_STR("what", a->cmd), F_INT("uid", a->uid),
	    F_STR("account", a->name), F_STR("secret", a->label ? a->label : ""),
	    F_SPAN("changed", buf_span(&a->changed)), F_INT("status", status));
}

static int
status_of(const json_t *last)
{
	const json_t *number = json_object_get(last, "status");
	return json_is_integer(number) ? (int)json_integer_value(number) : 1;
}

static void
answer(struct asking *a)
{
	struct control_client *cc = a->client;
	if (cc != NULL) {
		cc->command = NULL;
		control_end(cc, status_of(a->last),
		    a->last == NULL
			? "the answer about accounts is not understood"
			: json_string_value(json_object_get(a->last, "error")));
	}
	asking_free(a);
}

static void
on_mail_deleted(void *arg, enum err e)
{
	struct asking *a = arg;
	if (e != OK && e != ERR_NOT_FOUND) {
		json_decref(a->last);
		a->last = json_pack("{s:b,s:i,s:s}", "end", 1, "status", 1, "error",
		    "the account is gone, but its mail could not be deleted: relayctl "
		    "mailbox delete NAME --all");
	}
	answer(a);
}

static void
conclude(void *arg)
{
	struct asking *a = arg;
	char owner[MAILBOX_OWNER_MAX + 1];
	if (!a->delete_mail) {
		answer(a);
		return;
	}
	box_owner(a->name, owner);
	struct spool_request *q = spool_owner_delete_start(
	    a->spool, span_str(owner), a->inbox, on_mail_deleted, a);
	(void)q;
}

static void
finish(struct asking *a, struct span object)
{
	size_t i = command_of(a);
	a->last = json_loadb(object.p, object.n, 0, NULL);
	int status = status_of(a->last);
	bool writes = commands[i].writes && !a->dry_run;
	a->delete_mail = a->delete_mail && status == 0 && !a->dry_run;
	if (writes)
		log_change(a, status);
	if (writes && status == 0 && a->host.account_changed != NULL)
		a->host.account_changed(
		    a->host.arg, span_str(a->name), commands[i].ends, conclude, a);
	else
		conclude(a);
}

/* An account, or what would become of it, and what it holds. */
static void
add_object(struct asking *a, struct span object)
{
	char owner[MAILBOX_OWNER_MAX + 1];
	struct mailbox_usage u;
	json_t *o = strcmp(a->cmd, "user-list") == 0 || a->dry_run
			? json_loadb(object.p, object.n, 0, NULL)
			: NULL;
	const char *name = json_string_value(json_object_get(o, "name"));
	if (name != NULL && a->spool != NULL) {
		struct buf when;
		buf_init(&when, 64);
		box_owner(name, owner);
		spool_mailbox_usage(a->spool, span_str(owner), &u);
		if (u.last_pickup.ms != 0)
			wall_add_iso(&when, u.last_pickup);
		json_object_set_new(o, "messages", json_integer((json_int_t)u.messages));
		json_object_set_new(o, "octets", json_integer((json_int_t)u.octets));
		json_object_set_new(o, "last_pickup",
		    when.n > 0 ? json_stringn(when.p, when.n) : json_null());
		char *text = json_dumps(o, JSON_COMPACT);
		buf_add_str(&a->client->line, text);
		free(text);
		buf_clear(&when);
	} else {
		buf_add_span(&a->client->line, object);
	}
	json_decref(o);
}

static void
told(void *arg, struct span object, bool end)
{
	struct asking *a = arg;
	if (end) {
		finish(a, object);
	} else if (a->client != NULL) {
		(void)control_line(a->client);
		add_object(a, object);
		control_send(a->client);
		control_wipe(buf_span(&a->client->line)); /* a new password, perhaps */
	}
}

/* Which members a user-set brings, as "address,disabled". */
static void
name_members(const json_t *request, struct buf *out)
{
	static const char *const skip[] = {"v", "cmd", "name", "label", "mail"};
	const char *member;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)request, member, value)
	{
		bool skipped = false;
		for (size_t i = 0; i < COUNT_OF(skip); i++)
			skipped = skipped || strcmp(skip[i], member) == 0;
		if (!skipped)
			buf_addf(out, "%s%s", out->n > 0 ? "," : "", member);
	}
}

static bool
wants(const json_t *request, const char *what)
{
	const char *mail = json_string_value(json_object_get(request, "mail"));
	return mail != NULL && strcmp(mail, what) == 0;
}

/* What a mailbox holds must not go, or fall to somebody else, by the way. */
static bool
mail_is_thought_of(struct control_client *cc, const json_t *request, const char *cmd)
{
	const char *name = json_string_value(json_object_get(request, "name"));
	bool add = strcmp(cmd, "user-add") == 0;
	char owner[MAILBOX_OWNER_MAX + 1];
	struct mailbox_usage u;
	if (cc->control->spool == NULL || (!add && strcmp(cmd, "user-delete") != 0) ||
	    name == NULL || wants(request, "keep") || (!add && wants(request, "delete")))
		return true;
	box_owner(name, owner);
	spool_mailbox_usage(cc->control->spool, span_str(owner), &u);
	if (u.messages == 0)
		return true;
	unsigned long long n = (unsigned long long)u.messages;
	if (add)
		control_endf(cc, 1,
		    "a mailbox of that name holds %llu mail%s: is there such an account "
		    "(relayctl user list), or from an earlier one? --keep-mail gives "
		    "that to the new account, relayctl mailbox delete %s --all removes "
		    "it",
		    n, n == 1 ? "" : "s", owner);
	else
		control_endf(cc, 1,
		    "%s holds %llu mail%s: say --keep-mail, or --delete-mail (after "
		    "relayctl "
		    "mailbox export %s, perhaps)",
		    owner, n, n == 1 ? "" : "s", owner);
	return false;
}

static void
pass_on(struct control_client *cc, const json_t *request, const char *cmd)
{
	struct control *c = cc->control;
	const char *name = json_string_value(json_object_get(request, "name"));
	const char *label = json_string_value(json_object_get(request, "label"));
	/* dumped into memory of a known place, so that it can be wiped */
	char *text = mem_alloc_raw(2 * CONTROL_LINE_MAX);
	size_t n = json_dumpb(request, text, 2 * CONTROL_LINE_MAX, JSON_COMPACT);
	if (n == 0 || n > 2 * CONTROL_LINE_MAX) {
		control_end(cc, 2, "the request is too long");
	} else {
		struct asking *a = NEW(struct asking);
		a->log = c->log;
		a->host = c->host;
		a->spool = c->spool;
		a->inbox = loop_inbox(c->loop);
		a->delete_mail =
		    strcmp(cmd, "user-delete") == 0 && wants(request, "delete");
		a->dry_run = json_is_true(json_object_get(request, "dry_run"));
		a->client = cc;
		a->cmd = cmd;
		a->uid = cc->uid;
		a->name = mem_strdup(name ? name : "");
		a->label = label ? mem_strdup(label) : NULL;
		buf_init(&a->changed, 256);
		name_members(request, &a->changed);
		cc->command = a;
		cc->gone = gone;
		signin_admin(c->host.signin, (struct span){text, n}, told, a);
	}
	explicit_bzero(text, 2 * CONTROL_LINE_MAX);
	mem_free(&text);
}

static bool
has_text(const json_t *request, const char *member)
{
	const char *s = json_string_value(json_object_get(request, member));
	return s != NULL && *s != '\0';
}

void
command_user(struct control_client *cc, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "cmd"));
	size_t i = 0;
	while (i < COUNT_OF(commands) && strcmp(commands[i].cmd, name) != 0)
		i++;
	if (i == COUNT_OF(commands))
		control_end(cc, 2, "unknown command about accounts");
	else if (cc->control->host.signin == NULL)
		control_end(cc, 1, "this relayd keeps no accounts");
	else if (commands[i].writes && !has_text(request, "name"))
		control_endf(cc, 2, "%s: say which account", commands[i].cmd);
	else if (commands[i].label && !has_text(request, "label"))
		control_endf(cc, 2,
		    "%s: say which secret by its label, as in: relayctl user secret add "
		    "NAME printer",
		    commands[i].cmd);
	else if (mail_is_thought_of(cc, request, commands[i].cmd))
		pass_on(cc, request, commands[i].cmd);
}
