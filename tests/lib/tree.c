/* SPDX-License-Identifier: ISC */
#include "tests/lib/tree.h"

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

static int
remove_one(const char *path, const struct stat *st, int what, struct FTW *ftw)
{
	(void)st, (void)what, (void)ftw;
	return remove(path);
}

void
tree_remove(const char *path)
{
	(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
