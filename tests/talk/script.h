/* SPDX-License-Identifier: ISC */
/*
 * script - a talk as it was written: steps, and in them the parts that actors
 * play.  Pure: reading a file has no other effect.  The language is in
 * tests/README.md.
 */
#ifndef TESTS_TALK_SCRIPT_H
#define TESTS_TALK_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/net.h"

enum item_kind {
	ITEM_SEND,     /* > text       a line, CRLF is added */
	ITEM_RAW,      /* >> text      octets with escapes, nothing is added */
	ITEM_DATA,     /* | text       a line of data, CRLF is added */
	ITEM_EXPECT,   /* < prefix     the next reply or line begins so */
	ITEM_MATCH,    /* <~ regex     it matches */
	ITEM_BODY,     /* <body        read data up to the lone dot */
	ITEM_BODY_IS,  /* <body~ re    the data matches */
	ITEM_BODY_NOT, /* <body!~ re   it does not */
	ITEM_BDAT,     /* <bdat        read BDAT n LAST and its octets, as a body */
	ITEM_EOF,      /* <eof         the other side closes */
	ITEM_TLS,      /* tls WORDS    the handshake, here and now */
	ITEM_TLS_OFF,  /* tls off      close_notify; what is sent then is clear */
	ITEM_TLS_IS,   /* <tls~ regex  what is known of it matches */
	ITEM_CLOSE,    /* close */
	ITEM_RESET,    /* reset        close without reading what has come */
};

struct item {
	enum item_kind kind;
	unsigned line;
	struct span text; /* for ITEM_RAW: escapes resolved */
};

enum part_kind { PART_CLIENT, PART_SERVER, PART_CONTROL };

/* What one actor is to do in one block. */
struct part {
	enum part_kind kind;
	unsigned line;
	const char *name;
	bool again;           /* go on with the connection of an earlier block */
	struct net_addr from; /* client */
	const char *listener; /* client */
	struct item *item;
	size_t items;
	bool attached; /* server: its connection has come (set while playing) */
};

enum step_kind {
	STEP_DNS,    /* text: lines for the zone; "clear" empties it */
	STEP_PLAY,   /* parts, side by side */
	STEP_PASS,   /* ms */
	STEP_CLOCK,  /* ms: the wall clock jumps by that */
	STEP_REFUSE, /* words: names */
	STEP_SILENT,
	STEP_ACCEPT,
	STEP_LOG, /* words: event, key=value ... */
	STEP_NOLOG,
	STEP_SPOOL,     /* n: messages */
	STEP_MAILBOXES, /* word: the owner; text: picture.h */
	STEP_RELOAD,    /* text: a configuration; wrong: it must be refused */
	STEP_LOSE,      /* words: files of the spool */
	STEP_STOP,
	STEP_START,
	STEP_RESTART,
	STEP_DIE, /* text: name of the fault; n */
	STEP_FAIL,
	STEP_CRASH, /* text: what a message has that makes it crash */
};

struct step {
	enum step_kind kind;
	unsigned line;
	const char *text;
	const char **word;
	size_t words;
	struct part *part;
	size_t parts;
	int64_t ms;
	unsigned long n, times;
	bool wrong;
};

/* An address line of the zone, wherever in the script it stands. */
struct host {
	const char *name;
	struct net_addr addr;
};

struct script {
	const char *path;
	const char *title;
	const char *config; /* the whole text */
	struct step *step;
	size_t steps;
	struct host *host;
	size_t hosts;
	bool secure_hosts; /* some server block switches TLS on */
	char **owned;      /* every text that the others point into */
	size_t owneds;
};

/* NULL: it cannot be read or understood; that has been printed. */
struct script *script_read(const char *path);
void script_free(struct script **s);

/* Does NAME, as in `server NAME`, stand for this address? */
bool script_names(const struct script *s, const char *name, const struct net_addr *a);

/*
 * The names of a certificate for `server NAME` (or the hosts of an address), as OpenSSL
 * writes them: "DNS:mx1.example.org,IP:192.0.2.1". Owned by the caller.
 */
char *script_cert_names(const struct script *s, const char *name);

/* The NAME of some server block for this address; NULL if there is none. */
const char *script_server_at(const struct script *s, const struct net_addr *a);

/* The next word of an item's text, {NULL,0} at the end. */
struct span script_word(struct span *text);

#endif
