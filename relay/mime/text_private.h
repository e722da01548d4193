/* SPDX-License-Identifier: ISC */
/* text_private - what the files of text share: UTF-8 octet by octet, and a reader in
 * place. */
#ifndef RELAY_MIME_TEXT_PRIVATE_H
#define RELAY_MIME_TEXT_PRIVATE_H

#include <iconv.h>
#include <stddef.h>

#include "relay/mime/text.h"

#define UTF8_REPLACEMENT 0xfffdu

/* ---- UTF-8 (text_utf8.c) */

enum utf8 {
	UTF8_CHAR, /* len: its octets */
	UTF8_BAD,  /* len: octets that can be no character together, at least 1 */
	UTF8_MORE, /* what is there may begin one */
};
/* What s, which is not empty, begins with. */
enum utf8 utf8_step(struct span s, size_t *len);

size_t utf8_ascii(struct span s); /* how many octets at the beginning are ASCII */
size_t utf8_valid(struct span s); /* ... are whole characters */
uint32_t utf8_get(struct span s); /* the first character of valid UTF-8 */

/* Append valid UTF-8, cut at a character where it does not fit; nothing is added any more
 * to what has overflowed, so that it stays a beginning. */
void text_put(struct buf *out, struct span valid);
/* What is no character becomes U+FFFD. */
void text_put_char(struct buf *out, uint32_t c);

/* White space and controls made one blank, none at both ends. */
struct squeeze {
	struct buf *out;
	bool any, blank;
	bool wide; /* those of Unicode, too; and what cannot be seen next to a blank goes
		    */
};
void squeeze_put(struct squeeze *q, struct span valid);

/* ---- charsets (text_charset.c) */

struct charset {
	const char *name;  /* in lower case */
	const char *iconv; /* NULL: as `how` says */
	enum charset_how {
		CHARSET_GUESS, /* UTF-8 where it is valid, else Windows-1252 */
		CHARSET_UTF8,
		CHARSET_WESTERN,  /* Windows-1252 */
		CHARSET_ICONV,    /* ASCII alone is itself */
		CHARSET_STATEFUL, /* it need not be */
		CHARSET_STEPWISE, /* nor is iconv the same after an error in all splits */
		CHARSET_JIS,      /* read as EUC, which iconv knows more of */
	} how;
	/* octets to go on by after an error; 2 of CHARSET_ICONV and _JIS: if both have
	 * bit 8 */
	unsigned unit;
};
const struct charset *charset_find(struct span name); /* NULL: unknown */

/* ---- header fields (text_field.c) */

/* text_add_field(), which opens iconv not more than *opens times, and counts down: it is
 * the dearest part of all.  What comes after that is read as if no charset were said. */
void text_add_words(struct span body, unsigned *opens, struct buf *out);

/* ---- a reader in place (text_reader.c) */

struct text_reader {
	const struct charset *set; /* NULL: as CHARSET_GUESS */
	bool opened;
	iconv_t cd;
	char kept[32]; /* of a character that is not whole yet */
	size_t kept_n;
	struct jis {
		enum jis_mode { JIS_ASCII, JIS_KANJI, JIS_KANJI_TOO, JIS_KANA } mode;
		char held[4]; /* an escape sequence, or half a character */
		size_t held_n;
	} jis;
};
void text_reader_init(struct text_reader *t, struct span charset);
void text_reader_clear(struct text_reader *t);
/* What iconv is to read. */
void text_reader_convert(struct text_reader *t, struct span in, struct buf *out);

/* CHARSET_JIS (text_jis.c). */
void text_jis_take(struct text_reader *t, struct span in, struct buf *out);
void text_jis_end(struct text_reader *t, struct buf *out);

#endif
