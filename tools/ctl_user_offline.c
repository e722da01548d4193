/* SPDX-License-Identifier: ISC */
/* ctl_user_offline - accounts of a relayd that does not run, in their directory. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "relay/control/boxes.h"
#include "relay/control/control.h"
#include "relay/signin/offline.h"
#include "tools/ctl.h"

struct offline {
	struct ctl *ctl;
	int status;
};

static void
told(void *arg, struct span object, bool end)
{
	struct offline *o = arg;
	(void)end;
	(void)ctl_take_line(o->ctl, object, &o->status);
}

bool
ctl_user_can_offline(const char *command)
{
	return strncmp(command, "user-", 5) == 0;
}

/* What the mailboxes of a name hold. False: that cannot be known, and it was said why. */
static bool
held(struct ctl *c, const char *name, struct mailbox_usage *u)
{
	struct ctl_spool spool = {.may_be_missing = true};
	char owner[MAILBOX_OWNER_MAX + 1], at[MAILBOX_OWNER_MAX + 1] = "";
	struct owner_row row;
	*u = (struct mailbox_usage){0};
	box_owner(name, owner);
	enum err e = ctl_spool_open(c, &spool);
	if (e == ERR_NOT_FOUND)
		return true;
	if (e != OK)
		return false;
	while ((e = spool_read_owner(spool.reader, span_str(at), &row)) == OK &&
	       strcmp(row.name, owner) < 0)
		memcpy(at, row.name, sizeof(at));
	if (e == OK && strcmp(row.name, owner) == 0)
		*u = row.usage;
	if (e != OK && e != ERR_NOT_FOUND)
		fprintf(stderr, "relayctl: reading the spool: %s\n", err_text(e));
	ctl_spool_close(&spool);
	return e == OK || e == ERR_NOT_FOUND;
}

/* What a mailbox holds must not go, or fall to somebody else, by the way. */
static bool
mail_is_thought_of(struct ctl *c, const json_t *request)
{
	const char *name = ctl_text(request, "name"), *mail = ctl_text(request, "mail");
	bool add = strcmp(c->command, "user-add") == 0;
	struct mailbox_usage u;
	if ((!add && strcmp(c->command, "user-delete") != 0) || strcmp(mail, "keep") == 0)
		return true;
	if (!held(c, name, &u))
		return false;
	if (u.messages == 0)
		return true;
	unsigned long long n = (unsigned long long)u.messages;
	if (add)
		fprintf(stderr,
		    "relayctl: a mailbox of that name holds %llu mail%s: is there such "
		    "an account (relayctl user list), or from an earlier one? "
		    "--keep-mail gives that to the new account; or start relayd and "
		    "remove it with: relayctl mailbox delete %s --all\n",
		    n, n == 1 ? "" : "s", name);
	else
		fprintf(stderr,
		    "relayctl: %s holds %llu mail%s: say --keep-mail, or start relayd, "
		    "which can delete mail\n",
		    name, n, n == 1 ? "" : "s");
	return false;
}

int
ctl_user_offline(struct ctl *c, const json_t *request)
{
	const struct config *config = ctl_config(c);
	struct offline o = {.ctl = c, .status = CTL_NOTHING};
	struct buf why;
	if (config == NULL)
		return CTL_USAGE;
	if (!mail_is_thought_of(c, request))
		return CTL_NOTHING;
	char *dir = config_accounts_dir(config);
	char *text = mem_alloc_raw(CONTROL_LINE_MAX);
	size_t n = json_dumpb(request, text, CONTROL_LINE_MAX, JSON_COMPACT);
	buf_init(&why, 4096);
	if (n == 0 || n > CONTROL_LINE_MAX) {
		fputs("relayctl: too much for one request\n", stderr);
	} else if (accounts_admin_offline(dir, (struct span){text, n}, told, &o, &why) !=
		   OK) {
		fputs("relayctl: ", stderr);
		buf_add_char(&why, '\0');
		ctl_put_to(stderr, why.p);
		fputc('\n', stderr);
		o.status = CTL_NOTHING;
	}
	explicit_bzero(text, CONTROL_LINE_MAX);
	mem_free(&text);
	mem_free(&dir);
	buf_clear(&why);
	return o.status;
}
