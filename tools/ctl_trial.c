/* SPDX-License-Identifier: ISC */
/* ctl_trial - accounts, and the answers of policy-test, route-test and probe, for people.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tools/ctl.h"

/* ---- user list */

/* Texts of an array, or one member of its objects, joined by commas. */
static void
join(struct buf *out, const json_t *array, const char *member)
{
	size_t i;
	json_t *v;
	json_array_foreach(array, i, v)
	{
		const char *text =
		    json_string_value(member ? json_object_get(v, member) : v);
		if (text == NULL)
			continue;
		if (out->n > 0)
			buf_add_char(out, ',');
		buf_add_str(out, *text ? text : "(main)");
	}
}

static void
joined_cell(
    const json_t *array, const char *member, const char *none, size_t width, bool last)
{
	struct buf b;
	buf_init(&b, 64u << 10);
	join(&b, array, member);
	char *text = buf_take(&b);
	ctl_cell(*text ? text : none, width, last);
	mem_free(&text);
}

void
ctl_print_user(struct ctl *c, const json_t *line)
{
	const json_t *fingerprints = json_object_get(line, "certificate");
	char count[32];
	if (!c->header) {
		ctl_cell("NAME", 24, false);
		ctl_cell("STATE", 8, false);
		ctl_cell("SECRETS", 24, false);
		ctl_cell("CERTS", 5, false);
		ctl_cell("MAILS", 6, false);
		ctl_cell("FETCHED", 10, false);
		ctl_cell("ADDRESSES", 0, true);
		c->header = true;
	}
	ctl_cell(ctl_text(line, "name"), 24, false);
	ctl_cell(json_is_true(json_object_get(line, "disabled")) ? "disabled" : "enabled",
	    8, false);
	joined_cell(json_object_get(line, "secrets"), "label", "-", 24, false);
	(void)snprintf(count, sizeof(count), "%zu", json_array_size(fingerprints));
	ctl_cell(count, 5, false);
	const json_t *mails =
	    json_object_get(line, "messages"); /* not with relayd stopped */
	(void)snprintf(count, sizeof(count), "%lld", ctl_number(line, "messages"));
	ctl_cell(mails != NULL ? count : "", 6, false);
	(void)snprintf(count, sizeof(count), "%.10s", ctl_text(line, "last_pickup"));
	ctl_cell(count, 10, false);
	joined_cell(json_object_get(line, "address"), NULL, "(sends as anybody)",
	    c->width > 108 ? c->width - 90 : 0, true);
}

/* What a change of accounts would do. */
static void
print_would(const json_t *line)
{
	static const struct {
		const char *action, *what;
	} known[] = {
	    {"user-add", "add account"},
	    {"user-passwd", "change the password of"},
	    {"user-set", "change account"},
	    {"user-delete", "delete account"},
	    {"user-secret-add", "add a secret to"},
	    {"user-secret-delete", "delete a secret of"},
	};
	const char *action = ctl_text(line, "action"), *label = ctl_text(line, "label");
	long long mails = ctl_number(line, "messages");
	for (size_t i = 0; i < COUNT_OF(known); i++)
		if (strcmp(known[i].action, action) == 0)
			printf("would %s ", known[i].what);
	ctl_put(ctl_text(line, "name"));
	if (*label != '\0') {
		fputs(": ", stdout);
		ctl_put(label);
	}
	if (mails > 0 && strcmp(action, "user-delete") == 0)
		printf(", which holds %lld mail%s", mails, mails == 1 ? "" : "s");
	putchar('\n');
}

void
ctl_print_account_change(struct ctl *c, const json_t *line)
{
	(void)c;
	if (json_is_true(json_object_get(line, "dry_run")))
		print_would(line);
}

void
ctl_print_new_secret(struct ctl *c, const json_t *line)
{
	if (c->dry_run) {
		print_would(line);
		return;
	}
	ctl_put(ctl_text(line, "password"));
	putchar('\n');
}

/* ---- policy-test */

static void
print_steps(const json_t *steps)
{
	size_t i;
	json_t *step;
	json_array_foreach(steps, i, step)
	{
		fputs(
		    json_is_true(json_object_get(step, "decided")) ? "    * " : "      ",
		    stdout);
		ctl_put(ctl_text(step, "step"));
		putchar('\n');
	}
}

static void
print_member(const char *name, const char *text)
{
	if (*text == '\0')
		return;
	printf("      %s", name);
	ctl_put(text);
	putchar('\n');
}

void
ctl_print_policy(struct ctl *c, const json_t *line)
{
	(void)c;
	ctl_put(ctl_text(line, "stage"));
	fputs("  ", stdout);
	ctl_put(ctl_text(line, "answer"));
	putchar('\n');
	print_steps(json_object_get(line, "steps"));
	print_member("listener: ", ctl_text(line, "listener"));
	print_member("decided by: ", ctl_text(line, "rule"));
	if (*ctl_text(line, "by")) {
		fputs("      rule \"", stdout);
		ctl_put(ctl_text(line, "by"));
		printf("\" (line %lld)\n", ctl_number(line, "line"));
	}
	if (json_is_true(json_object_get(line, "hold")))
		puts("      held until an administrator releases it");
	print_member("", ctl_text(line, "explanation"));
}

/* ---- route-test */

void
ctl_print_route(struct ctl *c, const json_t *line)
{
	size_t i;
	json_t *r;
	(void)c;
	json_array_foreach(json_object_get(line, "passed_over"), i, r)
	{
		fputs("not ", stdout);
		ctl_put(ctl_text(r, "route"));
		printf(" (line %lld): ", ctl_number(r, "line"));
		ctl_put(ctl_text(r, "because"));
		putchar('\n');
	}
	if (*ctl_text(line, "route") == '\0')
		return;
	ctl_put(ctl_text(line, "explanation"));
	fputs("\ndestination ", stdout);
	ctl_put(ctl_text(line, "destination"));
	if (json_is_true(json_object_get(line, "inbound")))
		fputs("\ninbound: strangers may send there, too", stdout);
	putchar('\n');
	const json_t *boxes = json_object_get(line, "mailboxes");
	if (boxes != NULL && json_array_size(boxes) == 0)
		fputs("nobody's mailbox: the recipient would be refused\n", stdout);
	json_array_foreach(boxes, i, r)
	{
		fputs("mailbox of ", stdout);
		ctl_put(json_string_value(r) ? json_string_value(r) : "?");
		putchar('\n');
	}
}

/* ---- probe */

void
ctl_print_probe(struct ctl *c, const json_t *line)
{
	(void)c;
	ctl_put(ctl_text(line, "host"));
	if (json_is_true(json_object_get(line, "ok"))) {
		printf("  ok, %lld ms: ", ctl_number(line, "ms"));
	} else {
		fputs("  FAILED at ", stdout);
		ctl_put(ctl_text(line, "stage"));
		printf(", %lld ms: ", ctl_number(line, "ms"));
	}
	ctl_put(ctl_text(line, "text"));
	putchar('\n');
}
