/* SPDX-License-Identifier: ISC */
/* verdict - made from code, enhanced code and text; written as a reply line. */
#include "policy/verdict.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/scan.h"

static void
read_enhanced(struct verdict *v, const char *text)
{
	struct scan s = scan_over(span_str(text));
	uint64_t klass, subject, detail;
	if (text == NULL || !scan_u64(&s, 5, &klass) || !scan_char(&s, '.') ||
	    !scan_u64(&s, 999, &subject) || !scan_char(&s, '.') ||
	    !scan_u64(&s, 999, &detail) || !scan_done(&s) ||
	    (klass != 2 && klass != 4 && klass != 5))
		return;
	v->klass = (uint8_t)klass;
	v->subject = (uint16_t)subject;
	v->detail = (uint16_t)detail;
}

struct verdict
verdict_make(unsigned code, const char *enhanced, const char *fmt, ...)
{
	struct verdict v = {.code = (uint16_t)code};
	va_list ap;
	read_enhanced(&v, enhanced);
	va_start(ap, fmt);
	(void)vsnprintf(v.text, sizeof(v.text), fmt, ap);
	va_end(ap);
	for (char *p = v.text; *p; p++)
		if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e)
			*p = '?';
	return v;
}

void
verdict_status(const struct verdict *v, char out[16])
{
	unsigned klass = v->klass ? v->klass : v->code / 100;
	if (klass != 2 && klass != 4 && klass != 5)
		klass = 4;
	(void)snprintf(out, 16, "%u.%u.%u", klass, v->klass ? v->subject : 0u,
	    v->klass ? v->detail : 0u);
}

void
verdict_add(struct buf *b, const struct verdict *v)
{
	buf_addf(b, "%03u ", v->code);
	if (v->klass != 0)
		buf_addf(b, "%u.%u.%u ", v->klass, v->subject, v->detail);
	buf_add_str(b, v->text);
}
