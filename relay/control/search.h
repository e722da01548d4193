/* SPDX-License-Identifier: ISC */
/*
 * search - which events of history (spool/history.h) somebody asks for, and how
 * one looks as a JSON object.  relayctl uses it on a stopped spool, too.
 *
 * A request has, beside the selector (select.h; id, from, to, domain, code,
 * older and younger, of the event):
 *
 *	msgid         the Message-ID, with or without < >; "*" and "?" match
 *	event         accepted, delivered, deferred, failed, deleted, held, ...
 *	since, until  a duration ago ("2h"), or a time: "2026-11-29", "2026-11-29 10:30",
 *	              "2026-11-29T10:30:00Z"; local time without the Z
 *
 * Only an acceptance has the Message-ID; the later events of a message follow by
 * its id.  SEARCH_IDS_MAX messages are followed; of more, only the acceptances
 * are told.
 */
#ifndef RELAY_CONTROL_SEARCH_H
#define RELAY_CONTROL_SEARCH_H

#include <jansson.h>

#include "base/json.h"
#include "relay/control/select.h"
#include "spool/history.h"

#define SEARCH_IDS_MAX 10000
#define SEARCH_SLICE (4u << 20) /* octets of history read at a time */

struct search {
	struct selector selector;
	char *message_id, *event;
	struct wall since, until; /* 0: none */
	struct wall now;
	uint64_t *id; /* whose later events are wanted, rising */
	size_t ids;
};

/* False: `why` says what is wrong. Without anything that narrows it, the last day. */
bool
search_read(struct search *s, const json_t *request, struct wall now, struct buf *why);
void search_clear(struct search *s);
struct history_cursor search_begin(const struct search *s);
bool search_wants(struct search *s, const struct history_event *e);

/* As an object; with `why`, as a sentence in the member of that name. */
void search_show(struct json *j, const struct history_event *e, bool why);
/* It ends what was to be done for its recipient. */
bool search_is_last(const struct history_event *e);

#endif
