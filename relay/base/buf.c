/* SPDX-License-Identifier: ISC */
/* buf - a growing byte buffer with a bound. */
#include "base/buf.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void
buf_clear(struct buf *b)
{
	mem_free(&b->p);
	*b = (struct buf){.max = b->max};
}

void
buf_wipe(struct buf *b)
{
	if (b->p != NULL)
		explicit_bzero(b->p, b->cap);
	buf_clear(b);
}

void
buf_reset(struct buf *b)
{
	b->n = 0;
	b->overflow = false;
}

char *
buf_room(struct buf *b, size_t n)
{
	size_t max = b->max ? b->max : BUF_DEFAULT_MAX;
	if (n > max || b->n > max - n) {
		b->overflow = true;
		return NULL;
	}
	if (b->p == NULL || b->cap - b->n < n) {
		size_t cap = b->cap ? b->cap * 2 : 128;
		if (cap < b->n + n)
			cap = b->n + n;
		b->p = mem_resize(b->p, cap, 1);
		b->cap = cap;
	}
	return b->p + b->n;
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
	if (n == 0)
		return;
	char *at = buf_room(b, n);
	if (at == NULL)
		return;
	memcpy(at, p, n);
	b->n += n;
}

void
buf_add_span(struct buf *b, struct span s)
{
	buf_add(b, s.p, s.n);
}

void
buf_add_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_add_char(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void
buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	buf_addv(b, fmt, ap);
	va_end(ap);
}

void
buf_addv(struct buf *b, const char *fmt, va_list ap)
{
	char small[256];
	va_list again;
	va_copy(again, ap);
	int n = vsnprintf(small, sizeof(small), fmt, ap);
	CHECK(n >= 0);
	size_t len = (size_t)n;
	if (len < sizeof(small)) {
		buf_add(b, small, len);
	} else {
		/* Not in place: its NUL may be over the bound where the text is not. */
		char *large = mem_alloc_raw(len + 1);
		(void)vsnprintf(large, len + 1, fmt, again);
		buf_add(b, large, len);
		mem_free(&large);
	}
	va_end(again);
}

void
buf_add_escaped(struct buf *b, struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c == '\\' || c == '"')
			buf_addf(b, "\\%c", c);
		else if (c >= 0x20 && c < 0x7f)
			buf_add_char(b, (char)c);
		else
			buf_addf(b, "\\x%02x", c);
	}
}

void
buf_consume(struct buf *b, size_t n)
{
	CHECK(n <= b->n);
	b->n -= n;
	if (b->n > 0 && n > 0)
		memmove(b->p, b->p + n, b->n);
}

struct span
buf_span(const struct buf *b)
{
	return (struct span){b->p, b->n};
}

char *
buf_take(struct buf *b)
{
	char *p = mem_resize(b->p, b->n + 1, 1);
	p[b->n] = '\0';
	*b = (struct buf){.max = b->max};
	return p;
}
