/* SPDX-License-Identifier: ISC */
/* dir - directories that stay when the power goes. */
#ifndef BASE_DIR_H
#define BASE_DIR_H

#include <sys/types.h>

#include "base/err.h"

/*
 * The directory exists, and its name is on disk.  The parent is flushed although it may
 * have been there before: whoever made it may not have come so far.  Where the parent may
 * not be opened its owner must have made the directory, and where it can only be read it
 * was there long before: nothing is flushed then.  After a failure errno is set, too.
 */
enum err dir_make(const char *path, mode_t mode);

#endif
