/* SPDX-License-Identifier: ISC */
/* check - report a broken invariant without allocating, then abort. */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void
check_failed(const char *what, const char *file, int line)
{
	char text[512];
	int n = snprintf(text, sizeof(text),
	    "relayd: broken invariant: %s (%s:%d); please report this line\n", what, file,
	    line);
	if (n > 0) {
		size_t len = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
		ssize_t ignored = write(STDERR_FILENO, text, len);
		(void)ignored;
	}
	abort();
}
