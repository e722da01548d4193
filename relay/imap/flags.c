/* SPDX-License-Identifier: ISC */
/* flags - see flags.h. */
#include "relay/imap/flags.h"

#include "base/mem.h"

static bool
scan_flag(struct imap *s, struct lex *l, struct mail_change *c, struct flag_list *out)
{
	static const struct {
		const char *name;
		uint32_t flag;
	} known[] = {
	    {"\\Answered", MAIL_ANSWERED},
	    {"\\Flagged", MAIL_FLAGGED},
	    {"\\Deleted", MAIL_DELETED},
	    {"\\Seen", MAIL_SEEN},
	    {"\\Draft", MAIL_DRAFT},
	};
	struct span name;
	if (!lex_flag(l, &name)) {
		imap_bad(s, "", "this is no flag");
		return false;
	}
	for (size_t i = 0; i < COUNT_OF(known); i++) {
		if (span_ieq(name, span_str(known[i].name))) {
			out->flags |= known[i].flag;
			return true;
		}
	}
	if (name.p[0] == '\\') {
		imap_bad(s, "", "this flag is none of ours to set");
		return false;
	}
	unsigned n = mail_change_keyword(c, name);
	if (n >= MAILBOX_KEYWORDS_MAX || name.n > MAILBOX_KEYWORD_MAX) {
		imap_no(s, "[LIMIT] ", "too many keywords, or too long a one");
		return false;
	}
	out->keywords |= UINT64_C(1) << n;
	return true;
}

bool
flags_scan(struct imap *s, struct lex *l, bool parenthesis, struct mail_change *c,
    struct flag_list *out)
{
	*out = (struct flag_list){0};
	bool open = lex_char(l, '(');
	if (!open && parenthesis) {
		imap_bad(s, "", "flags stand in parentheses");
		return false;
	}
	if (open && lex_char(l, ')'))
		return true;
	do {
		if (!scan_flag(s, l, c, out))
			return false;
	} while (lex_space(l));
	if (open && !lex_char(l, ')')) {
		imap_bad(s, "", "a parenthesis is missing");
		return false;
	}
	return true;
}
