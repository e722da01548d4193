/* SPDX-License-Identifier: ISC */
/* offline - the same requests on the directory itself, while relayd does not run. */
#include "relay/signin/offline.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/dir.h"
#include "relay/signin/accounts.h"

/* Made by root, it must belong to whom the spool belongs to. */
static void
own_as_parent(int fd)
{
	struct stat st;
	if (geteuid() == 0 && fstatat(fd, "..", &st, 0) == 0)
		(void)!fchown(fd, st.st_uid, st.st_gid);
}

enum err
accounts_admin_offline(const char *dir, struct span request,
    void (*told)(void *arg, struct span object, bool end), void *arg, struct buf *why)
{
	bool made = access(dir, F_OK) != 0;
	(void)dir_make(dir, 0700); /* what is wrong with it is told by the next step */
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		buf_addf(why, "accounts: cannot open %s: %s", dir, strerror(errno));
		return err_from_errno(errno);
	}
	if (made)
		own_as_parent(fd);
	struct accounts *a;
	enum err e = accounts_open(&a, world_real(), fd, why);
	if (e != OK)
		return e;
	accounts_admin(a, request, told, arg);
	accounts_close(&a);
	return OK;
}
