/* SPDX-License-Identifier: ISC */
/* search_private - the tree of a search, between who reads and who asks it. */
#ifndef RELAY_IMAP_SEARCH_PRIVATE_H
#define RELAY_IMAP_SEARCH_PRIVATE_H

#include "relay/imap/search.h"

enum search_key {
	KEY_ALL,
	KEY_NONE,    /* matches nothing */
	KEY_FLAG,    /* flag, want */
	KEY_KEYWORD, /* text: its name; bit */
	KEY_RECENT,
	KEY_NEW,    /* RECENT UNSEEN */
	KEY_NUMBER, /* set of sequence numbers */
	KEY_UIDS,   /* set of uids */
	KEY_SAVED,  /* "$" */
	KEY_MODSEQ, /* number */
	/* what the row tells */
	KEY_BEFORE, /* number: a day */
	KEY_ON,
	KEY_SINCE,
	KEY_SAVED_BEFORE,
	KEY_SAVED_ON,
	KEY_SAVED_SINCE,
	KEY_OLDER, /* number: seconds, then an instant */
	KEY_YOUNGER,
	KEY_LARGER,
	KEY_SMALLER,
	KEY_EMAILID, /* number */
	/* what the shape tells */
	KEY_SENT_BEFORE,
	KEY_SENT_ON,
	KEY_SENT_SINCE,
	KEY_BCC, /* text, folded */
	KEY_CC,
	KEY_FROM,
	KEY_SUBJECT,
	KEY_TO,
	/* what the octets tell */
	KEY_HEADER, /* name, text */
	KEY_BODY,
	KEY_TEXT,
	/* of others */
	KEY_AND,
	KEY_OR,
	KEY_NOT,
};

struct search_node {
	enum search_key key;
	uint32_t first, next; /* child and sibling; 0: none (the root is no child) */
	uint32_t flag;
	bool want;
	int bit;
	int64_t number;
	struct set set;
	char *name;      /* owned */
	struct buf text; /* folded */
};

struct search {
	struct search_node *node;
	size_t nodes, cap;
	const struct set *saved; /* borrowed while searching */
	struct buf scratch, folded;
	struct wall now;
};

/* search_text.c: a header field, the body or all of it, against a folded needle. */
enum search_answer
search_header(struct search *s, const struct search_node *n, const struct search_mail *m);
enum search_answer
search_body(struct search *s, const struct search_node *n, const struct search_mail *m);
bool search_folded(struct search *s, struct span utf8, const struct search_node *n);

#endif
