/* SPDX-License-Identifier: ISC */
/* local - see local.h. */
#include "relay/ingress/local.h"

#include <pwd.h>
#include <sys/socket.h>

#include "base/mem.h"

#define ENTRY_MAX 4096 /* octets of a line of passwd(5) */

static void
add_name(struct buf *b, unsigned uid)
{
	char memory[ENTRY_MAX];
	struct passwd pw, *found = NULL;
	int e = getpwuid_r((uid_t)uid, &pw, memory, sizeof(memory), &found);
	if (e == 0 && found != NULL && found->pw_name[0] != '\0')
		buf_add_str(b, found->pw_name);
	else
		buf_addf(b, "uid %u", uid);
}

struct account_card *
local_card(unsigned uid)
{
	struct account_card *c = NEW(struct account_card);
	struct buf name;
	buf_init(&name, ENTRY_MAX * 2);
	buf_add_str(&name, LOCAL_PREFIX);
	add_name(&name, uid);
	c->name = buf_take(&name);
	c->secret = mem_strdup("");
	return c;
}

struct span
local_user(const struct account_card *c)
{
	struct span name = span_str(c->name);
	return span_cut(name, sizeof(LOCAL_PREFIX) - 1, name.n);
}

bool
local_peer(int fd, unsigned *uid)
{
	struct ucred who;
	socklen_t n = sizeof(who);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) != 0 || n != sizeof(who) ||
	    who.uid == (uid_t)-1)
		return false;
	*uid = who.uid;
	return true;
}
