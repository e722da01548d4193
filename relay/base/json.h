/* SPDX-License-Identifier: ISC */
/*
 * json - writes JSON; commas are its business.
 *
 *	struct json j = {.out = &b};
 *	json_open(&j, '{');
 *	json_str(&j, "id", span);          members of an object have a name,
 *	json_open_as(&j, "to", '[');
 *	json_str(&j, NULL, address);       elements of an array have none
 *	json_close(&j, ']');
 *	json_close(&j, '}');
 *
 * Strings may hold any bytes: what is not valid UTF-8 is written as U+FFFD.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

struct json {
	struct buf *out; /* borrowed */
	bool comma;
};

void json_open(struct json *j, char bracket); /* '{' or '[' */
void
json_open_as(struct json *j, const char *name, char bracket); /* a member that is one */
void json_close(struct json *j, char bracket);                /* '}' or ']' */
void json_str(struct json *j, const char *name, struct span value);
void json_cstr(struct json *j, const char *name, const char *value); /* NULL: null */
void json_int(struct json *j, const char *name, int64_t value);
void json_bool(struct json *j, const char *name, bool value);
void json_nothing(struct json *j, const char *name);

#endif
