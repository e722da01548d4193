/* SPDX-License-Identifier: ISC */
/* ctl_user_offline - accounts of a relayd that does not run, in their directory. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
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

int
ctl_user_offline(struct ctl *c, const json_t *request)
{
	const struct config *config = ctl_config(c);
	struct offline o = {.ctl = c, .status = CTL_NOTHING};
	struct buf why;
	if (config == NULL)
		return CTL_USAGE;
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
