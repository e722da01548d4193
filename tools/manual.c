/* SPDX-License-Identifier: ISC */
/*
 * manual PAGE.in - relayd.conf(5) on standard output.  Only the build runs it:
 * relay/config_manual.c does the work.
 */
#include <stdio.h>

#include "relay/config_private.h"

int
main(int argc, char **argv)
{
	FILE *in = argc == 2 ? fopen(argv[1], "r") : NULL;
	if (in == NULL) {
		fputs("usage: manual PAGE.in\n", stderr);
		return 64;
	}
	struct buf page, out, problems;
	buf_init(&page, 0);
	buf_init(&out, 0);
	buf_init(&problems, 0);
	for (int c; (c = getc(in)) != EOF;)
		buf_add_char(&page, (char)c);
	bool fine =
	    ferror(in) == 0 && config_manual(buf_span(&page), argv[1], &out, &problems);
	if (fine)
		fine = fwrite(out.p, 1, out.n, stdout) == out.n && fflush(stdout) == 0;
	else
		fprintf(stderr, "%.*s", (int)problems.n, problems.p);
	fclose(in);
	buf_clear(&page);
	buf_clear(&out);
	buf_clear(&problems);
	return fine ? 0 : 1;
}
