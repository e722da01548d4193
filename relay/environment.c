/* SPDX-License-Identifier: ISC */
/* environment - a table of variables, each a line of a configuration. */
#include "relay/environment.h"

#include <string.h>

#include "base/mem.h"
#include "base/span.h"

enum kind { ONE, MANY, ALLOWED };

static const struct variable {
	const char *name; /* behind RELAYD_ */
	enum kind kind;
	const char *section; /* "route": of the smarthost's; NULL: outside of all */
	const char *key;
	const char *fallback; /* NULL: left out */
} variables[] = {
    {"HOSTNAME", ONE, NULL, "hostname", NULL},
    {"NETWORKS", MANY, NULL, "networks", "127.0.0.0/8,::1/128"},
    {"POSTMASTER", ONE, NULL, "postmaster", NULL},
    {"SPOOL", ONE, "spool", "path", "/var/lib/relayd/spool"},
    {"SPOOL_MAX_SIZE", ONE, "spool", "max-size", NULL},
    {"LISTEN", MANY, "listener \"smtp\"", "bind", "[::]:2525"},
    {"CLIENTS", MANY, "listener \"smtp\"", "clients", NULL},
    {"CERTIFICATE", ONE, "tls", "certificate", NULL},
    {"KEY", ONE, "tls", "key", NULL},
    {"CA", ONE, "tls", "ca", NULL},
    {"MESSAGE_SIZE", ONE, "limits", "message-size", NULL},
    {"EXPIRE", ONE, "retry", "expire", NULL},
    {"LOG_LEVEL", ONE, "log", "level", NULL},
    {"LOG_FORMAT", ONE, "log", "format", NULL},
    {"SMARTHOST", MANY, "route \"smarthost\"", "via", NULL},
    {"TLS", ONE, "route \"smarthost\"", "tls", NULL},
    {"USER", ONE, "route \"smarthost\"", "user", NULL},
    {"PASSWORD_FILE", ONE, "route \"smarthost\"", "secret-file", NULL},
    {"RATE", MANY, "route \"smarthost\"", "rate", NULL},
    {"REWRITE_SENDER", MANY, "route \"smarthost\"", "rewrite-sender", NULL},
    {"REWRITE_FROM", MANY, "route \"smarthost\"", "rewrite-from", NULL},
    /* of programs beside relayd */
    {"CONF", ALLOWED, NULL, NULL, NULL},
    {"SOCKET", ALLOWED, NULL, NULL, NULL},
    {"SUBMIT", ALLOWED, NULL, NULL, NULL},
};

static const char prefix[] = "RELAYD_";

static const char *
value_of(char *const *env, const char *name)
{
	size_t n = strlen(name);
	for (; *env != NULL; env++) {
		const char *p = *env;
		if (strncmp(p, prefix, sizeof(prefix) - 1) != 0)
			continue;
		p += sizeof(prefix) - 1;
		if (strncmp(p, name, n) == 0 && p[n] == '=')
			return p + n + 1;
	}
	return NULL;
}

/* ---- what must not be there */

static bool
is_known(struct span name)
{
	for (size_t i = 0; i < COUNT_OF(variables); i++)
		if (span_eq(span_str(variables[i].name), name))
			return true;
	return false;
}

static void
list_known(struct buf *errors)
{
	buf_add_str(errors, "; known are");
	for (size_t i = 0; i < COUNT_OF(variables); i++)
		buf_addf(errors, " %s%s", prefix, variables[i].name);
	buf_add_char(errors, '\n');
}

/* What would end a string in the file, or mean something else there. */
static bool
is_plain(const char *value)
{
	for (; *value; value++)
		if ((unsigned char)*value < 0x20 || strchr("\"\\$\x7f", *value) != NULL)
			return false;
	return true;
}

static bool
look_at(char *const *env, struct buf *errors)
{
	bool fine = true;
	for (; *env != NULL; env++) {
		struct span s = span_str(*env), start = span_str(prefix);
		if (!span_starts(s, start))
			continue;
		size_t eq = span_find(s, '=');
		struct span name = span_cut(s, start.n, eq - start.n);
		if (span_eq(name, SPAN("PASSWORD"))) {
			buf_addf(errors,
			    "environment: RELAYD_PASSWORD would be seen by "
			    "everyone who may look at the container: write the "
			    "password into a file, and its path into "
			    "RELAYD_PASSWORD_FILE\n");
			fine = false;
		} else if (!is_known(name)) {
			buf_add_str(errors, "environment: there is no variable RELAYD_");
			buf_add_escaped(errors, name);
			list_known(errors);
			fine = false;
		} else if (eq < s.n && !is_plain(s.p + eq + 1)) {
			buf_addf(errors,
			    "environment: RELAYD_%.*s holds a quote, a backslash, "
			    "a dollar or a control character: use a file, "
			    "relayd -c FILE\n",
			    SPAN_ARG(name));
			fine = false;
		}
	}
	return fine;
}

/* ---- the file */

/* "a, b" as {"a", "b"}. */
static void
add_list(struct buf *text, struct span value)
{
	bool any = false;
	buf_add_char(text, '{');
	while (value.n > 0) {
		size_t comma = span_find(value, ',');
		struct span one = span_trim(span_cut(value, 0, comma));
		if (one.n > 0)
			buf_addf(text, "%s\"%.*s\"", any ? ", " : "", SPAN_ARG(one));
		any = any || one.n > 0;
		value = span_cut(value, comma + 1, value.n);
	}
	buf_add_char(text, '}');
}

static void
add_key(struct buf *text, const struct variable *v, const char *value)
{
	buf_addf(text, "%s = ", v->key);
	if (v->kind == MANY)
		add_list(text, span_str(value));
	else
		buf_addf(text, "\"%s\"", value);
	buf_add_char(text, '\n');
}

bool
environment_config(char *const *env, struct buf *text, struct buf *errors)
{
	const char *open = NULL;
	bool fine = look_at(env, errors);
	if (fine && value_of(env, "SMARTHOST") == NULL) {
		buf_add_str(errors,
		    "environment: RELAYD_SMARTHOST is missing: say where mail "
		    "goes, as in smtp.provider.example:587\n");
		fine = false;
	}
	for (size_t i = 0; fine && i < COUNT_OF(variables); i++) {
		const struct variable *v = &variables[i];
		const char *value = value_of(env, v->name);
		if (value == NULL || *value == '\0')
			value = v->fallback;
		if (v->kind == ALLOWED || value == NULL)
			continue;
		bool same =
		    open != NULL && v->section != NULL && strcmp(open, v->section) == 0;
		if (open != NULL && !same)
			buf_add_str(text, "}\n");
		if (v->section != NULL && !same)
			buf_addf(text, "%s {\n", v->section);
		open = v->section;
		add_key(text, v, value);
		/* who signs in shows a password only to whom he means */
		if (strcmp(v->name, "SMARTHOST") == 0 && value_of(env, "TLS") == NULL &&
		    value_of(env, "USER") != NULL)
			buf_add_str(text, "tls = \"verify\"\n");
	}
	if (fine && open != NULL)
		buf_add_str(text, "}\n");
	if (fine)
		buf_add_str(
		    text, "control { path = \"/var/lib/relayd/control.sock\" }\n");
	return fine;
}
