/* SPDX-License-Identifier: ISC */
/*
 * accounts - requests about accounts go on to signin, its answer comes back
 * object by object.  They hold passwords: they are never logged, and the bytes
 * that we own are wiped.  What was changed by whom is logged when the answer
 * is there, even if the administrator has gone meanwhile.
 */
#include <string.h>

#include "base/mem.h"
#include "relay/control/client.h"

struct asking {
	struct log *log;               /* outlives control */
	struct control_client *client; /* NULL: gone meanwhile */
	const char *cmd;               /* a constant of the table */
	char *name, *label;            /* of the request; label may be NULL */
	struct buf changed;            /* names of members, never their values */
	uint32_t uid;
};

static const struct {
	const char *cmd;
	bool writes, label;
} commands[] = {
    {"user-add", true, false},
    {"user-passwd", true, false},
    {"user-set", true, false},
    {"user-list", false, false},
    {"user-delete", true, false},
    {"user-secret-add", true, true},
    {"user-secret-delete", true, true},
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
	mem_free(&a);
}

static void
gone(struct control_client *cc)
{
	((struct asking *)cc->command)->client = NULL;
}

static bool
writes(const char *cmd)
{
	for (size_t i = 0; i < COUNT_OF(commands); i++)
		if (commands[i].cmd == cmd)
			return commands[i].writes;
	return false;
}

static void
log_change(const struct asking *a, int status)
{
	LOG(a->log, EV_ADMIN, F_STR("what", a->cmd), F_INT("uid", a->uid),
	    F_STR("account", a->name), F_STR("secret", a->label ? a->label : ""),
	    F_SPAN("changed", buf_span(&a->changed)), F_INT("status", status));
}

static void
finish(struct asking *a, struct span object)
{
	json_error_t error;
	json_t *last = json_loadb(object.p, object.n, 0, &error);
	const json_t *number = json_object_get(last, "status");
	const char *why = json_string_value(json_object_get(last, "error"));
	int status = json_is_integer(number) ? (int)json_integer_value(number) : 1;
	struct control_client *cc = a->client;
	if (writes(a->cmd))
		log_change(a, status);
	asking_free(a);
	if (cc != NULL) {
		cc->command = NULL;
		control_end(cc, status,
		    last == NULL ? "the answer about accounts is not understood" : why);
	}
	json_decref(last);
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
