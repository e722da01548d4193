/* SPDX-License-Identifier: ISC */
/* dir - mkdir, and the flush of the directory that holds the name. */
#include "base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

static char *
parent_of(const char *path)
{
	char *parent = mem_strdup(path);
	size_t n = strlen(parent);
	while (n > 1 && parent[n - 1] == '/')
		parent[--n] = '\0';
	char *slash = strrchr(parent, '/');
	if (slash != NULL) {
		slash[slash == parent] = '\0';
		return parent;
	}
	mem_free(&parent);
	return mem_strdup(".");
}

static enum err
sync_parent(const char *path)
{
	char *parent = parent_of(path);
	int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = fd >= 0 && fsync(fd) == 0 ? 0 : errno;
	if ((fd < 0 && error == EACCES) ||
	    (fd >= 0 && (error == EINVAL || error == EROFS)))
		error = 0;
	if (fd >= 0)
		(void)close(fd);
	mem_free(&parent);
	errno = error;
	return err_from_errno(error);
}

enum err
dir_make(const char *path, mode_t mode)
{
	if (mkdir(path, mode) != 0 && errno != EEXIST)
		return err_from_errno(errno); /* errno says more */
	return sync_parent(path);
}
