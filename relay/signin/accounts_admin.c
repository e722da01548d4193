/* SPDX-License-Identifier: ISC */
/*
 * accounts_admin - what administrators ask: one JSON object in, some out.  A
 * change is told as done when it is on disk; when it could not be written,
 * memory goes back to what the file says.  With "dry_run" all is looked at as
 * ever, a password may be missing, and nothing is changed.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/tls.h"
#include "relay/signin/accounts.h"

struct admin {
	struct accounts *a;
	json_t *request;
	void (*told)(void *arg, struct span object, bool end);
	void *arg;
	const char *name; /* of the account; NULL: not given */
	struct account *acc;
	bool done; /* the last object has been told */
};

/* ---- answers */

static void
end(struct admin *q, int status, const char *error)
{
	struct buf out;
	struct json j = {.out = &out};
	if (q->done)
		return;
	buf_init(&out, 4096);
	json_open(&j, '{');
	json_bool(&j, "end", true);
	json_int(&j, "status", status);
	if (error != NULL)
		json_cstr(&j, "error", error);
	json_close(&j, '}');
	q->done = true;
	q->told(q->arg, buf_span(&out), true);
	buf_clear(&out);
}

static void __attribute__((format(printf, 3, 4)))
endf(struct admin *q, int status, const char *fmt, ...)
{
	struct buf text;
	va_list ap;
	buf_init(&text, 1024);
	va_start(ap, fmt);
	buf_addv(&text, fmt, ap);
	va_end(ap);
	char *error = buf_take(&text);
	end(q, status, error);
	mem_free(&error);
}

/* On disk? If not, the end has been told. */
static bool
saved(struct admin *q)
{
	enum err e = accounts_save(q->a);
	if (e == OK)
		return true;
	accounts_reload(q->a);
	endf(q, 1, "the accounts could not be written: %s; nothing has changed",
	    err_text(e));
	return false;
}

static void
save(struct admin *q)
{
	if (saved(q))
		end(q, 0, NULL);
}

/* ---- members of the request */

static const char *
text_member(const struct admin *q, const char *name)
{
	return json_string_value(json_object_get(q->request, name));
}

static bool
is_dry(const struct admin *q)
{
	return json_is_true(json_object_get(q->request, "dry_run"));
}

/* Asked only what would be done: it is told, and that is all. */
static bool
only_told(struct admin *q)
{
	struct buf out;
	struct json j = {.out = &out};
	if (!is_dry(q))
		return false;
	buf_init(&out, 4096);
	json_open(&j, '{');
	json_bool(&j, "dry_run", true);
	json_cstr(&j, "action", text_member(q, "cmd"));
	json_cstr(&j, "name", q->name);
	if (text_member(q, "label") != NULL)
		json_cstr(&j, "label", text_member(q, "label"));
	json_close(&j, '}');
	q->told(q->arg, buf_span(&out), false);
	buf_clear(&out);
	end(q, 0, NULL);
	return true;
}

static bool
brings_secret(const struct admin *q)
{
	return text_member(q, "password") != NULL || text_member(q, "hash") != NULL;
}

static bool
pattern_ok(const char *text, struct buf *why)
{
	struct route_pattern p;
	if (route_pattern_parse(span_str(text), &p, why) != OK)
		return false;
	mem_free(&p.text);
	return true;
}

static bool
fingerprint_ok(const char *text, struct buf *why)
{
	char hex[TLS_FINGERPRINT + 1];
	if (tls_fingerprint_parse(span_str(text), hex))
		return true;
	buf_addf(why, "\"%.80s\" is not a SHA-256 fingerprint", text);
	return false;
}

/* All in the one form that they are looked for in. */
static void
normalise(struct name_list *certificates)
{
	for (size_t i = 0; i < certificates->n; i++) {
		char hex[TLS_FINGERPRINT + 1] = "";
		(void)tls_fingerprint_parse(span_str(certificates->name[i]), hex);
		mem_free(&certificates->name[i]);
		certificates->name[i] = mem_strdup(hex);
	}
}

static bool
service_ok(const char *text, struct buf *why)
{
	static const char *const known[] = {"smtp", "pop3", "imap", "queue"};
	for (size_t i = 0; i < COUNT_OF(known); i++)
		if (strcmp(text, known[i]) == 0)
			return true;
	buf_addf(why, "\"%.40s\" is no service; write smtp, pop3, imap or queue", text);
	return false;
}

/* A list of texts, each of them right; false: the end has been told. */
static bool
list_member(struct admin *q, const char *name, size_t max,
    bool (*ok)(const char *text, struct buf *why), struct name_list *out)
{
	const json_t *list = json_object_get(q->request, name);
	struct buf why;
	if (list == NULL)
		return true;
	buf_init(&why, 1024);
	if (!json_is_array(list))
		buf_addf(&why, "%s is not a list", name);
	else if (json_array_size(list) > max)
		buf_addf(&why, "%u of %s are the most", (unsigned)max, name);
	for (size_t i = 0; why.n == 0 && i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));
		if (text == NULL)
			buf_addf(&why, "%s holds something that is no text", name);
		else if (ok(text, &why))
			names_add(out, text);
	}
	bool fine = why.n == 0;
	if (!fine)
		endf(q, 2, "%.*s", SPAN_ARG(buf_span(&why)));
	buf_clear(&why);
	return fine;
}

/* The hash of `password`, or `hash` as it is; false: the end has been told. */
static bool
hash_member(struct admin *q, char hash[HASH_TEXT], struct span *password)
{
	const char *given = text_member(q, "hash");
	*password = span_str(text_member(q, "password"));
	if (given != NULL && password_hash_kind(given) == NULL) {
		end(q, 2,
		    "this hash is not known or too weak; take yescrypt ($y$), $6$ or "
		    "$2b$");
		return false;
	}
	if (given != NULL) {
		*password = (struct span){0};
		span_copy(span_str(given), hash, HASH_TEXT);
		return true;
	}
	if (!password_ok(*password)) {
		endf(q, 2, "a password has 1 to %d octets", PASSWORD_MAX);
		return false;
	}
	if (password_hash(*password, hash) == OK)
		return true;
	end(q, 1, "the password could not be hashed");
	return false;
}

/* ---- requests */

static void
user_add(struct admin *q)
{
	char hash[HASH_TEXT];
	struct span password;
	struct account *acc = account_new(span_str(q->name));
	struct name_list services = {0};
	bool bare = !brings_secret(q);
	bool fine =
	    list_member(q, "address", ACCOUNT_SENDERS_MAX, pattern_ok, &acc->senders) &&
	    list_member(
		q, "certificate", CERTIFICATES_MAX, fingerprint_ok, &acc->certificates) &&
	    list_member(q, "service", SERVICES_MAX, service_ok, &services);
	normalise(&acc->certificates);
	if (fine && bare && acc->certificates.n == 0 && !is_dry(q)) {
		end(q, 2, "an account needs a password, a hash or a certificate");
		fine = false;
	}
	if (fine && !bare && (fine = hash_member(q, hash, &password))) {
		struct secret *s = account_add_secret(acc, SPAN(""));
		secret_set(q->a, acc, s, hash, password);
		s->services = services;
		services = (struct name_list){0};
	}
	enum err e = ERR_SYNTAX;
	if (fine)
		e = is_dry(q) ? accounts_room(q->a, acc) : accounts_add(q->a, acc);
	bool added = e == OK && !only_told(q);
	if (added)
		save(q);
	else
		account_free(&acc);
	if (e == ERR_EXISTS)
		endf(
		    q, 1, "there is an account \"%s\" already; see user passwd", q->name);
	if (e == ERR_FULL)
		endf(q, 1, "%d accounts are the most", ACCOUNTS_MAX);
	name_list_clear(&services);
}

static void
user_passwd(struct admin *q)
{
	char hash[HASH_TEXT];
	struct span password = {0};
	if ((brings_secret(q) || !is_dry(q)) && !hash_member(q, hash, &password))
		return;
	if (only_told(q))
		return;
	struct secret *s = account_secret(q->acc, SPAN(""));
	if (s == NULL)
		s = account_add_secret(q->acc, SPAN(""));
	if (s == NULL) {
		endf(q, 1, "%d secrets are the most for one account", SECRETS_MAX);
		return;
	}
	secret_set(q->a, q->acc, s, hash, password);
	account_touch(q->a, q->acc);
	save(q);
}

static void
replace(struct name_list *old, struct name_list *fresh)
{
	name_list_clear(old);
	*old = *fresh;
	*fresh = (struct name_list){0};
}

static void
user_set(struct admin *q)
{
	struct name_list senders = {0}, certificates = {0};
	const json_t *disabled = json_object_get(q->request, "disabled");
	bool fine =
	    list_member(q, "address", ACCOUNT_SENDERS_MAX, pattern_ok, &senders) &&
	    list_member(
		q, "certificate", CERTIFICATES_MAX, fingerprint_ok, &certificates);
	normalise(&certificates);
	fine = fine && !only_told(q);
	if (fine && json_object_get(q->request, "address") != NULL)
		replace(&q->acc->senders, &senders);
	if (fine && json_object_get(q->request, "certificate") != NULL)
		replace(&q->acc->certificates, &certificates);
	if (fine && disabled != NULL)
		q->acc->disabled = json_is_true(disabled);
	name_list_clear(&senders);
	name_list_clear(&certificates);
	if (!fine)
		return;
	account_touch(q->a, q->acc);
	save(q);
}

static void
user_delete(struct admin *q)
{
	if (only_told(q))
		return;
	accounts_remove(q->a, q->acc);
	q->acc = NULL;
	save(q);
}

static void
add_names(struct json *j, const char *name, const struct name_list *l)
{
	json_open_as(j, name, '[');
	for (size_t i = 0; i < l->n; i++)
		json_cstr(j, NULL, l->name[i]);
	json_close(j, ']');
}

static void
tell_account(struct admin *q, const struct account *acc)
{
	struct buf out;
	struct json j = {.out = &out};
	buf_init(&out, 256u << 10);
	json_open(&j, '{');
	json_cstr(&j, "name", acc->name);
	add_names(&j, "address", &acc->senders);
	add_names(&j, "certificate", &acc->certificates);
	json_bool(&j, "disabled", acc->disabled);
	json_open_as(&j, "secrets", '[');
	for (size_t i = 0; i < acc->secrets; i++) {
		const struct secret *s = &acc->secret[i];
		json_open(&j, '{');
		json_cstr(&j, "label", s->label);
		add_names(&j, "service", &s->services);
		json_cstr(&j, "kind", password_hash_kind(s->hash));
		json_bool(&j, "scram", s->scram.known);
		json_bool(&j, "recoverable", s->plain != NULL);
		json_int(&j, "created", s->created.ms);
		json_close(&j, '}');
	}
	json_close(&j, ']');
	if (acc->last.ms != 0)
		json_int(&j, "last", acc->last.ms);
	json_close(&j, '}');
	q->told(q->arg, buf_span(&out), false);
	buf_clear(&out);
}

static void
merge(struct account **to, struct account *const *from, size_t begin, size_t middle,
    size_t end)
{
	size_t a = begin, b = middle;
	for (size_t i = begin; i < end; i++) {
		bool first =
		    b == end || (a < middle && strcmp(from[a]->key, from[b]->key) < 0);
		to[i] = first ? from[a++] : from[b++];
	}
}

/* By name.  The C library's qsort() asks the system how much memory there is, which the
 * helper must not: it would be killed. */
static void
sort_accounts(struct account **all, size_t n)
{
	struct account **room = mem_alloc((n + 1) * sizeof(*room));
	for (size_t run = 1; run < n; run *= 2) {
		for (size_t at = 0; at < n; at += 2 * run) {
			size_t middle = at + run < n ? at + run : n;
			size_t end = middle + run < n ? middle + run : n;
			merge(room, all, at, middle, end);
		}
		memcpy(all, room, n * sizeof(struct account *));
	}
	mem_free(&room);
}

/* For whoever must tell "nobody" from a failure. */
static bool
may_be_none(const struct admin *q)
{
	return json_is_true(json_object_get(q->request, "may_be_none"));
}

static void
user_list(struct admin *q)
{
	if (q->name != NULL) {
		if (q->acc != NULL)
			tell_account(q, q->acc);
		end(q, 0, NULL);
		return;
	}
	size_t n = 0;
	struct account **all = mem_alloc((q->a->by_name.n + 1) * sizeof(*all));
	MAP_EACH (&q->a->by_name, k)
		all[n++] = CONTAINER_OF(k, struct account, node);
	sort_accounts(all, n);
	for (size_t i = 0; i < n; i++)
		tell_account(q, all[i]);
	mem_free(&all);
	if (n > 0 || may_be_none(q))
		end(q, 0, NULL);
	else
		end(q, 1, "there are no accounts; see relayctl user add");
}

static const char *
label_member(struct admin *q)
{
	const char *label = text_member(q, "label");
	if (label != NULL && account_name_ok(span_str(label)) &&
	    strlen(label) <= LABEL_MAX)
		return label;
	endf(q, 2, "a secret needs a label of 1 to %d octets without blanks", LABEL_MAX);
	return NULL;
}

static void
tell_password(struct admin *q, struct span password)
{
	struct buf out;
	struct json j = {.out = &out};
	buf_init(&out, 4096);
	json_open(&j, '{');
	json_str(&j, "password", password);
	json_close(&j, '}');
	q->told(q->arg, buf_span(&out), false);
	buf_wipe(&out);
}

static void
secret_add(struct admin *q)
{
	const char *label = label_member(q);
	struct name_list services = {0};
	struct buf password;
	char hash[HASH_TEXT];
	if (label == NULL ||
	    !list_member(q, "service", SERVICES_MAX, service_ok, &services))
		return;
	bool room = account_secret(q->acc, span_str(label)) == NULL &&
		    q->acc->secrets < SECRETS_MAX;
	if (room && only_told(q)) {
		name_list_clear(&services);
		return;
	}
	struct secret *s = room ? account_add_secret(q->acc, span_str(label)) : NULL;
	if (s == NULL) {
		name_list_clear(&services);
		endf(q, 1, "there is a secret \"%s\" already, or %d of them", label,
		    SECRETS_MAX);
		return;
	}
	buf_init(&password, 256);
	password_generate(q->a->world, &password);
	if (password_hash(buf_span(&password), hash) == OK) {
		secret_set(q->a, q->acc, s, hash, buf_span(&password));
		s->services = services;
		if (json_is_true(json_object_get(q->request, "recoverable")))
			s->plain = span_dup(buf_span(&password));
		account_touch(q->a, q->acc);
		if (saved(q)) {
			tell_password(q, buf_span(&password));
			end(q, 0, NULL);
		}
	} else {
		account_drop_secret(q->acc, s);
		name_list_clear(&services);
		end(q, 1, "the password could not be hashed");
	}
	buf_wipe(&password);
}

static void
secret_delete(struct admin *q)
{
	const char *label = label_member(q);
	if (label == NULL)
		return;
	struct secret *s = account_secret(q->acc, span_str(label));
	if (s == NULL) {
		endf(q, 1, "there is no secret \"%s\"; see relayctl user list", label);
		return;
	}
	if (only_told(q))
		return;
	account_drop_secret(q->acc, s);
	account_touch(q->a, q->acc);
	save(q);
}

/* ---- the table */

static const struct {
	const char *cmd;
	bool exists, optional; /* the account must be there; a name may be left out */
	void (*run)(struct admin *q);
} commands[] = {
    {"user-add", false, false, user_add},
    {"user-passwd", true, false, user_passwd},
    {"user-set", true, false, user_set},
    {"user-delete", true, false, user_delete},
    {"user-list", true, true, user_list},
    {"user-secret-add", true, false, secret_add},
    {"user-secret-delete", true, false, secret_delete},
};

static void
run(struct admin *q)
{
	const char *cmd = text_member(q, "cmd");
	size_t i = 0;
	while (
	    i < COUNT_OF(commands) && (cmd == NULL || strcmp(commands[i].cmd, cmd) != 0))
		i++;
	q->name = text_member(q, "name");
	if (i == COUNT_OF(commands)) {
		end(q, 2, "this is no request about accounts");
		return;
	}
	if (q->name == NULL ? !commands[i].optional
			    : !account_name_ok(span_str(q->name))) {
		endf(q, 2, "an account's name has 1 to %d octets and no blanks",
		    ACCOUNT_NAME_MAX);
		return;
	}
	q->acc = q->name != NULL ? accounts_find(q->a, span_str(q->name)) : NULL;
	if (commands[i].exists && q->name != NULL && q->acc == NULL &&
	    !(commands[i].optional && may_be_none(q))) {
		endf(q, 1, "there is no account \"%s\"; see relayctl user list", q->name);
		return;
	}
	commands[i].run(q);
}

/* jansson's copies of passwords go with the object: wipe them first. */
static void
wipe(json_t *request)
{
	static const char *const names[] = {"password", "hash"};
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		const char *text = json_string_value(json_object_get(request, names[i]));
		if (text != NULL)
			explicit_bzero((char *)(uintptr_t)text, strlen(text));
	}
}

void
accounts_admin(struct accounts *a, struct span request,
    void (*told)(void *arg, struct span object, bool end), void *arg)
{
	struct admin q = {.a = a, .told = told, .arg = arg};
	q.request = json_loadb(request.p, request.n, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(q.request))
		end(&q, 2, "not a JSON object");
	else
		run(&q);
	wipe(q.request);
	json_decref(q.request);
}
