/* SPDX-License-Identifier: ISC */
/*
 * trial - what would happen to mail that nobody sends: policy-test answers as
 * SMTP would and tells each step, route-test tells which route and why no
 * earlier one.  An account's patterns are known to signin alone, so policy-test
 * asks there first and decides when the answer has come.
 */
#include <string.h>

#include "base/mem.h"
#include "policy/access.h"
#include "policy/address.h"
#include "relay/control/client.h"
#include "relay/door.h"

/* ---- the same words for both */

static const char *
text_member(const json_t *request, const char *name)
{
	const char *s = json_string_value(json_object_get(request, name));
	return s != NULL && *s != '\0' ? s : NULL;
}

/* A sender as MAIL has it; "" and "<>" are the null one. False: not an address. */
static bool
read_sender(const char *text, struct span *out)
{
	struct address a;
	*out = SPAN("");
	if (text == NULL || *text == '\0' || strcmp(text, "<>") == 0)
		return true;
	if (address_parse(span_str(text), &a) != OK)
		return false;
	*out = a.text;
	return true;
}

static void
unknown_listener(struct control_client *cc, const char *name)
{
	const struct config *c = control_config(cc->control);
	struct buf list;
	buf_init(&list, 200);
	for (size_t i = 0; i < c->listeners; i++)
		buf_addf(&list, "%s%s", i > 0 ? ", " : "", c->listener[i].name);
	control_endf(cc, 2, "there is no listener \"%.60s\"; there are: %.*s", name,
	    SPAN_ARG(buf_span(&list)));
	buf_clear(&list);
}

/* Whose mailbox: NULL: not known (yet); else to be freed. */
static struct directory_match *
owners_of(
    struct control_client *cc, const struct route *r, struct span recipient, bool *known)
{
	const struct directory *d = cc->control->host.directory;
	struct directory_match *match = NEW(struct directory_match);
	enum directory_answer a =
	    d != NULL
		? directory_find(d, control_config(cc->control), r, recipient, match)
		: DIRECTORY_NOT_READY;
	*known = a != DIRECTORY_NOT_READY;
	return match;
}

static void
put_owners(struct control_client *cc, struct json *j, const struct route *r,
    struct span recipient)
{
	bool known;
	struct directory_match *match = owners_of(cc, r, recipient, &known);
	json_open_as(j, "mailboxes", '[');
	for (size_t i = 0; known && i < match->n; i++)
		json_cstr(j, NULL, match->owner[i].name);
	json_close(j, ']');
	mem_free(&match);
}

/* SMTP would say so at RCPT. */
static void
look_for_mailbox(
    struct control_client *cc, struct span recipient, struct access_answer *a)
{
	bool known;
	if (!verdict_ok(&a->verdict) || a->route == NULL ||
	    a->route->deliver != ROUTE_MAILBOX)
		return;
	struct directory_match *match = owners_of(cc, a->route, recipient, &known);
	if (known && match->n == 0) {
		a->verdict = verdict_make(550, "5.1.1", "No such mailbox here");
		a->rule = "mailbox";
	}
	mem_free(&match);
}

static void
put_destination(struct control_client *cc, struct json *j, const struct route *r,
    struct span recipient)
{
	struct buf text, key;
	buf_init(&text, 4096);
	buf_init(&key, 400);
	route_describe(r, recipient, &text);
	(void)route_key(r, recipient, &key);
	json_cstr(j, "route", r->name);
	json_str(j, "destination", buf_span(&key));
	json_bool(j, "inbound", r->inbound);
	json_str(j, "explanation", buf_span(&text));
	if (r->deliver == ROUTE_MAILBOX)
		put_owners(cc, j, r, recipient);
	buf_clear(&text);
	buf_clear(&key);
}

/* ---- route-test */

/* The first list of a route that does not fit, in the manual's words; NULL: all fit. */
static const char *
misfit(const struct route *r, const struct route_facts *f)
{
	if (!pattern_list_fits(&r->to, f->recipient))
		return "recipient";
	if (!pattern_list_fits(&r->from, f->sender))
		return "sender";
	if (r->accounts.n > 0 && !name_list_has(&r->accounts, f->account))
		return "account";
	if (r->listeners.n > 0 && !name_list_has(&r->listeners, f->listener))
		return "listener";
	if (r->clients.n > 0 && !network_list_has(&r->clients, &f->client))
		return "client";
	return NULL;
}

static void
put_passed_over(struct json *j, const struct route_table *t, const struct route *until,
    const struct route_facts *f)
{
	json_open_as(j, "passed_over", '[');
	for (size_t i = 0; i < t->n && &t->route[i] != until; i++) {
		const char *because = misfit(&t->route[i], f);
		json_open(j, '{');
		json_cstr(j, "route", t->route[i].name);
		json_int(j, "line", t->route[i].line);
		json_cstr(j, "because", because ? because : "another reason");
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void
route_answer(struct control_client *cc, const struct route_facts *f)
{
	const struct route_table *t = &control_config(cc->control)->policy.routes;
	const struct route *r = route_find(t, f);
	struct json *j = control_line(cc);
	json_open(j, '{');
	if (r != NULL)
		put_destination(cc, j, r, f->recipient);
	put_passed_over(j, t, r, f);
	json_close(j, '}');
	control_send(cc);
	control_end(cc, r != NULL ? 0 : 1,
	    r != NULL ? NULL : "no route matches: the recipient would be refused");
}

void
command_route_test(struct control_client *cc, const json_t *request)
{
	const char *from = json_string_value(json_object_get(request, "from"));
	const char *to = text_member(request, "to"), *ip = text_member(request, "ip");
	const char *listener = text_member(request, "listener");
	const char *account = text_member(request, "account");
	struct address a;
	struct route_facts f = {
	    .account = span_str(account), .listener = span_str(listener)};
	if (from == NULL || to == NULL || address_parse(span_str(to), &a) != OK ||
	    !read_sender(from, &f.sender)) {
		control_end(cc, 2,
		    "say from whom to whom: relayctl route-test me@here.example "
		    "you@there.example");
	} else if (ip != NULL && net_parse_ip(span_str(ip), &f.client) != OK) {
		control_end(
		    cc, 2, "--ip takes an address, as in 192.0.2.7 or 2001:db8::7");
	} else if (listener != NULL &&
		   door_listener(control_config(cc->control), listener) == NULL) {
		unknown_listener(cc, listener);
	} else {
		f.recipient = a.text;
		route_answer(cc, &f);
	}
}

/* ---- policy-test */

struct trial {
	struct control_client *client; /* NULL: gone meanwhile */
	struct net_addr ip;
	char *helo, *from, *to, *account, *listener; /* account, listener: NULL: none */
	struct route_pattern *sender;                /* of the account */
	size_t senders;
	bool found, disabled;
	struct buf trouble; /* what was wrong with the account */
};

static void
trial_free(struct trial **tp)
{
	struct trial *t = *tp;
	for (size_t i = 0; i < t->senders; i++)
		mem_free(&t->sender[i].text);
	mem_free(&t->sender);
	char **text[] = {&t->helo, &t->from, &t->to, &t->account, &t->listener};
	for (size_t i = 0; i < COUNT_OF(text); i++)
		mem_free(text[i]);
	buf_clear(&t->trouble);
	mem_free(tp);
}

static void
put_step(void *arg, const char *step, bool decided)
{
	struct json *j = arg;
	json_open(j, '{');
	json_cstr(j, "step", step);
	json_bool(j, "decided", decided);
	json_close(j, '}');
}

static struct json *
open_stage(struct control_client *cc, const char *stage, const struct verdict *v,
    const char *rule)
{
	struct buf text;
	struct json *j = control_line(cc);
	buf_init(&text, 1024);
	verdict_add(&text, v);
	json_open(j, '{');
	json_cstr(j, "stage", stage);
	json_bool(j, "accepted", verdict_ok(v));
	json_str(j, "answer", buf_span(&text));
	json_cstr(j, "rule", rule);
	buf_clear(&text);
	return j;
}

static void
recipient_line(struct control_client *cc, const struct access_facts *f,
    struct span recipient, const struct access_answer *a)
{
	struct json *j = open_stage(cc, "RCPT", &a->verdict, a->rule);
	if (a->by != NULL) {
		json_cstr(j, "by", a->by->name);
		json_int(j, "line", a->by->line);
	}
	json_bool(j, "hold", a->hold);
	if (a->route != NULL)
		put_destination(cc, j, a->route, recipient);
	json_open_as(j, "steps", '[');
	access_explain(f, recipient, put_step, j);
	json_close(j, ']');
	json_close(j, '}');
	control_send(cc);
}

/* The listener that was named, else the one that such a client would come to. */
static const struct listener_config *
choose_listener(const struct config *c, const struct trial *t)
{
	if (t->listener != NULL)
		return door_listener(c, t->listener);
	for (size_t i = 0; t->account != NULL && i < c->listeners; i++)
		if (c->listener[i].auth != AUTH_NO)
			return &c->listener[i];
	return c->listeners > 0 ? &c->listener[0] : NULL;
}

/* What would end it before MAIL; false: the client has been told. */
static bool
gets_to_mail(
    struct control_client *cc, const struct trial *t, const struct listener_config *l)
{
	char ip[NET_TEXT];
	net_format_ip(&t->ip, ip);
	if (l == NULL) {
		unknown_listener(cc, t->listener ? t->listener : "");
	} else if (l->clients.n > 0 && !network_list_has(&l->clients, &t->ip)) {
		control_endf(cc, 1,
		    "listener \"%.60s\" (line %u) turns %s away: it is not in its "
		    "clients",
		    l->name, l->line, ip);
	} else if (t->account != NULL && (l->auth == AUTH_NO || l->auth == AUTH_ANY)) {
		control_endf(cc, 1, "listener \"%.60s\" (line %u) has auth = \"%s\": %s",
		    l->name, l->line, l->auth == AUTH_NO ? "no" : "any",
		    l->auth == AUTH_NO
			? "nobody can sign in there"
			: "any name is taken there, and none gives a right");
	} else {
		return true;
	}
	return false;
}

static void
decide(struct control_client *cc, struct trial *t)
{
	const struct config *c = control_config(cc->control);
	const struct listener_config *l = choose_listener(c, t);
	struct access_answer answer;
	const char *rule = NULL;
	if (!gets_to_mail(cc, t, l))
		return;
	struct access_facts f = {
	    .policy = &c->policy,
	    .networks = l->has_networks ? &l->networks : NULL,
	    .client = &t->ip,
	    .helo = span_str(t->helo),
	    .listener = span_str(l->name),
	    .account = span_str(t->account),
	    .account_sender = t->sender,
	    .account_senders = t->senders,
	    .auth_required = l->auth == AUTH_REQUIRED,
	};
	(void)read_sender(t->from, &f.sender);
	struct verdict v = access_sender(&f, &rule);
	struct json *j = open_stage(cc, "MAIL", &v, rule);
	json_cstr(j, "listener", l->name);
	json_close(j, '}');
	control_send(cc);
	if (!verdict_ok(&v)) {
		control_end(cc, 1, NULL);
		return;
	}
	access_recipient(&f, span_str(t->to), &answer);
	look_for_mailbox(cc, span_str(t->to), &answer);
	recipient_line(cc, &f, span_str(t->to), &answer);
	control_end(cc, verdict_ok(&answer.verdict) ? 0 : 1, NULL);
}

static void
trial_gone(struct control_client *cc)
{
	((struct trial *)cc->command)->client = NULL;
}

static void
take_account(struct trial *t, const json_t *account)
{
	size_t i;
	json_t *one;
	t->found = true;
	t->disabled = json_is_true(json_object_get(account, "disabled"));
	json_t *list = json_object_get(account, "address");
	json_array_foreach(list, i, one)
	{
		if (!json_is_string(one) || t->senders >= ACCOUNT_SENDERS_MAX)
			continue;
		t->sender = mem_resize(t->sender, t->senders + 1, sizeof(*t->sender));
		t->sender[t->senders] = (struct route_pattern){0};
		if (route_pattern_parse(span_str(json_string_value(one)),
			&t->sender[t->senders], &t->trouble) == OK)
			t->senders++;
	}
}

static void
account_end(struct trial *t, const json_t *last)
{
	struct control_client *cc = t->client;
	const char *why = json_string_value(json_object_get(last, "error"));
	if (cc != NULL) {
		cc->command = NULL;
		if (t->trouble.n > 0)
			control_endf(cc, 1, "account \"%.60s\": %.*s", t->account,
			    SPAN_ARG(buf_span(&t->trouble)));
		else if (!t->found)
			control_endf(cc, 1, "%.60s: %s", t->account,
			    why ? why : "there is no such account");
		else if (t->disabled)
			control_endf(cc, 1,
			    "account \"%.60s\" is disabled: it cannot sign in; relayctl "
			    "user set NAME --enable lets it again",
			    t->account);
		else
			decide(cc, t);
	}
	trial_free(&t);
}

static void
account_told(void *arg, struct span object, bool end)
{
	struct trial *t = arg;
	json_error_t error;
	json_t *line = json_loadb(object.p, object.n, 0, &error);
	if (end)
		account_end(t, line);
	else
		take_account(t, line);
	json_decref(line);
}

static void
ask_account(struct control_client *cc, struct trial *t)
{
	char text[1024];
	json_t *ask =
	    json_pack("{s:i,s:s,s:s}", "v", 1, "cmd", "user-list", "name", t->account);
	size_t n = json_dumpb(ask, text, sizeof(text), JSON_COMPACT);
	json_decref(ask);
	if (n == 0 || n > sizeof(text)) {
		control_end(cc, 2, "no account has so long a name");
		trial_free(&t);
		return;
	}
	cc->command = t;
	cc->gone = trial_gone;
	signin_admin(cc->control->host.signin, (struct span){text, n}, account_told, t);
}

static char *
copy_member(const json_t *request, const char *name)
{
	const char *s = text_member(request, name);
	return s ? mem_strdup(s) : NULL;
}

void
command_policy_test(struct control_client *cc, const json_t *request)
{
	const char *ip = text_member(request, "ip"), *to = text_member(request, "to");
	const char *from = json_string_value(json_object_get(request, "from"));
	const char *helo = text_member(request, "helo");
	const char *listener = text_member(request, "listener");
	struct net_addr client;
	struct address a;
	struct span sender;
	if (ip == NULL || net_parse_ip(span_str(ip), &client) != OK || from == NULL ||
	    !read_sender(from, &sender) || to == NULL ||
	    address_parse(span_str(to), &a) != OK) {
		control_end(cc, 2,
		    "say who sends what: relayctl policy-test --ip 192.0.2.7 --from "
		    "me@here.example --to you@there.example");
		return;
	}
	if (listener != NULL &&
	    door_listener(control_config(cc->control), listener) == NULL) {
		unknown_listener(cc, listener);
		return;
	}
	struct trial *t = NEW(struct trial);
	t->client = cc;
	t->ip = client;
	t->helo = mem_strdup(helo ? helo : "");
	t->from = mem_strdup(from);
	t->to = mem_strdup(to);
	t->account = copy_member(request, "account");
	t->listener = copy_member(request, "listener");
	buf_init(&t->trouble, 300);
	if (t->account != NULL && cc->control->host.signin != NULL) {
		ask_account(cc, t);
		return;
	}
	if (t->account != NULL)
		control_end(cc, 1, "this relayd keeps no accounts");
	else
		decide(cc, t);
	trial_free(&t);
}
