/* SPDX-License-Identifier: ISC */
/*
 * accounts - requests about accounts go on to signin, its answer comes back
 * object by object.  They hold passwords: they are never logged, and the bytes
 * that we own are wiped.  What was changed by whom is logged when the answer
 * is there, even if the administrator has gone meanwhile; the administrator is
 * told of a change when it is in force here, too.
 */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/control/client.h"

struct asking {
	struct log *log;               /* outlives control */
	struct control_client *client; /* NULL: gone meanwhile */
	const char *cmd;               /* a constant of the table */
	char *name, *label;            /* of the request; label may be NULL */
	struct buf changed;            /* names of members, never their values */
	uint32_t uid;
	struct control_host host;
	json_t *last; /* the end of the answer; NULL: not understood */
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
conclude(void *arg)
{
	struct asking *a = arg;
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
finish(struct asking *a, struct span object)
{
	size_t i = command_of(a);
	a->last = json_loadb(object.p, object.n, 0, NULL);
	int status = status_of(a->last);
	if (commands[i].writes)
		log_change(a, status);
	if (commands[i].writes && status == 0 && a->host.account_changed != NULL)
		a->host.account_changed(
		    a->host.arg, span_str(a->name), commands[i].ends, conclude, a);
	else
		conclude(a);
}

static void
told(void *arg, struct span object, bool end)
{
	struct asking *a = arg;
	if (end) {
		finish(a, object);
	} else if (a->client != NULL) {
		(void)control_line(a->client);
		buf_add_span(&a->client->line, object);
		control_send(a->client);
		control_wipe(buf_span(&a->client->line)); /* a new password, perhaps */
	}
}

/* Which members a user-set brings, as "address,disabled". */
static void
name_members(const json_t *request, struct buf *out)
{
	static const char *const skip[] = {"v", "cmd", "name", "label"};
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
	else
		pass_on(cc, request, commands[i].cmd);
}
