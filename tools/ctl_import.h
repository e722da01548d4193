/* SPDX-License-Identifier: ISC */
/*
 * ctl_import (private to relayctl) - what the files of the import share:
 *
 *	ctl_import.c        main.cf, its parameters, its maps; what is left
 *	ctl_import_server.c who may come: listeners, networks, TLS, limits
 *	ctl_import_routes.c where mail goes: relayhost, transports, rewriting
 */
#ifndef TOOLS_CTL_IMPORT_H
#define TOOLS_CTL_IMPORT_H

#include <stdbool.h>

#include "base/buf.h"

#define IMPORT_SETTINGS_MAX 1000

struct import_setting {
	char *name, *value;
	unsigned line;
	bool used;
};

struct import {
	struct import_setting set[IMPORT_SETTINGS_MAX];
	size_t n;
	struct buf out, routes; /* what is made */
	struct buf said;        /* what is said about it, a comment a line */
	unsigned notes;         /* that something could not be carried over */
	unsigned names;         /* given to routes */
	/* what the row of a map is looked at for (ctl_import_routes.c) */
	struct span want;
	char *user;
	bool known;
};

/* The value with all its $names, or NULL: not set.  It counts as carried over. mem_free
 * it. */
char *import_get(struct import *im, const char *name);
bool import_is(struct import *im, const char *name, const char *value);

void import_note(struct import *im, const char *fmt, ...)
    __attribute__((format(printf, 2, 3))); /* could not be carried over */
void import_hint(struct import *im, const char *fmt, ...)
    __attribute__((format(printf, 2, 3))); /* was, and deserves a look */

void import_quote(struct buf *out, struct span s);
/* The next word of a list with blanks and commas. */
bool import_word(struct span *rest, struct span *word);

/* Each row of the maps that a parameter names. */
void import_map(struct import *im, const char *parameter,
    void (*row)(struct import *, struct span key, struct span value));

void import_server(struct import *im);
void import_routes(struct import *im);

#endif
