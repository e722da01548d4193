/* SPDX-License-Identifier: ISC */
/*
 * search - what SEARCH, SORT and THREAD look for (RFC 9051 6.4.4, 5032, 7162, 8474, 8514,
 * 5256): read into a tree, then asked of mails.
 *
 *	e = search_parse(&lex, &options, &search);      io thread
 *	search_resolve(search, ...);                    its sets, on the session's numbers
 *	search_match(search, &mail):  SEARCH_YES, SEARCH_NO, or what it must see first
 *
 * A mail is asked with what is at hand; SEARCH_SIGHT means that its row and shape are
 * needed, SEARCH_CONTENT that its octets are.  So searches by flag never see the disk.
 * Strings are compared folded (text_fold), as substrings (RFC 9051 6.4.4).
 *
 * TEXT and BODY read the octets each time; there is no index of them, because measuring
 * has not shown a need: 40 MB in 10,000 mails take 0.18 s (tests/bench/reading.py;
 * Dovecot without an index 0.78 s).  One of words would not find substrings; one of
 * trigrams is about as large as the text, and is written for every message that comes, in
 * the transaction that its sender waits for, whether anybody ever searches or not.  What
 * can decide without the octets (flags, days, sizes, the usual fields) is asked first.
 */
#ifndef RELAY_IMAP_SEARCH_H
#define RELAY_IMAP_SEARCH_H

#include "relay/imap/lex.h"
#include "relay/mime/shape.h"
#include "spool/mailbox.h"

#define SEARCH_DEPTH_MAX 50
#define SEARCH_KEYS_MAX 10000
#define SEARCH_OCTETS_MAX 100 /* of them, that read octets: HEADER, BODY, TEXT */

struct search;

struct search_options {
	bool rev2;    /* RECENT, NEW, OLD are gone; 8 bits are UTF-8 without CHARSET */
	bool charset; /* it is read already (SORT, THREAD): `name` */
	struct span name;
};

enum search_error {
	SEARCH_FINE,
	SEARCH_SYNTAX,      /* BAD */
	SEARCH_BAD_CHARSET, /* NO [BADCHARSET (UTF-8 US-ASCII)] */
	SEARCH_TOO_DEEP,    /* BAD */
};

/* From the (optional) CHARSET on, to the end of the command. */
enum search_error
search_parse(struct lex *l, const struct search_options *o, struct search **out);
void search_free(struct search **s);

size_t search_size(const struct search *s);       /* keys in it */
bool search_reads_octets(const struct search *s); /* HEADER, BODY, TEXT */
bool search_uses_modseq(const struct search *s);  /* a MODSEQ key: the answer has one */
bool search_uses_numbers(const struct search *s); /* sequence numbers, other than "$" */
bool search_has_bad_number(const struct search *s, uint32_t exists); /* 0 or over it */

/* Sets become those of now: sequence numbers' last is `exists`, uids' are `last_mail` and
 * `last_uid` (set_resolve_uids()); "$" is `saved` (uids; resolved; borrowed while
 * searching).  Keywords become bits: known gives the bit of a name, or -1.  now: for
 * YOUNGER and OLDER (RFC 5032). */
void search_resolve(struct search *s, uint32_t exists, uint32_t last_mail,
    uint32_t last_uid, const struct set *saved,
    int (*known)(void *arg, struct span keyword), void *arg, struct wall now);

struct search_mail {
	uint32_t number;     /* sequence number; 0: not numbered (UIDONLY) */
	uint32_t uid, flags; /* enum mail_flag */
	uint64_t keywords, modseq;
	bool recent;
	/* NULL until asked for */
	const struct mail_sight *sight;
	const struct shape *shape;
	const struct kept_mail *mail; /* with content */
};

enum search_answer { SEARCH_NO, SEARCH_YES, SEARCH_SIGHT, SEARCH_CONTENT };
/* Pure and any thread; one search at one time in one thread. */
enum search_answer search_match(struct search *s, const struct search_mail *m);

/* ---- SORT (RFC 5256, 5957 DISPLAY) */

enum sort_key {
	SORT_ARRIVAL,
	SORT_CC,
	SORT_DATE,
	SORT_DISPLAYFROM,
	SORT_DISPLAYTO,
	SORT_FROM,
	SORT_SIZE,
	SORT_SUBJECT,
	SORT_TO,
};
#define SORT_KEYS_MAX 20

struct sort_program {
	struct {
		enum sort_key key;
		bool reverse;
	} key[SORT_KEYS_MAX];
	size_t n;
};
bool sort_parse(struct lex *l, struct sort_program *out); /* "(REVERSE DATE SUBJECT)" */

/* Mails are added in the order of their numbers; then they are sorted. */
struct sorter;
struct sorter *sorter_new(const struct sort_program *p);
void sorter_free(struct sorter **s);
/* number: what the answer shows (sequence number or uid). False: over `max` octets of
 * memory in all: give up. */
bool sorter_add(struct sorter *s, uint32_t number, const struct mail_sight *x,
    const struct shape *shape);
const uint32_t *sorter_end(struct sorter *s, size_t *n);

/* ---- THREAD (RFC 5256) */

enum thread_algorithm { THREAD_ORDEREDSUBJECT, THREAD_REFERENCES };
struct threader;
struct threader *threader_new(enum thread_algorithm a);
void threader_free(struct threader **t);
bool threader_add(struct threader *t, uint32_t number, const struct mail_sight *x,
    const struct shape *shape);
/* "(2)(3 6 (4 23)(44 7 96))" */
void threader_end(struct threader *t, struct buf *out);

#define SORT_MEMORY_MAX (64u << 20)

#endif
