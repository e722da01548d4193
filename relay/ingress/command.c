/* SPDX-License-Identifier: ISC */
/* command - see command.h. */
#include "relay/ingress/command.h"

#include "base/mem.h"
#include "base/scan.h"
#include "base/units.h"
#include "relay/ingress/params.h"

/* More cannot be meant, and sums of such numbers cannot overflow. */
#define CHUNK_MAX (UINT64_C(1) << 62)

bool
command_split(struct span line, struct span *verb, struct span *args)
{
	struct scan s = scan_over(span_trim(line));
	if (!scan_run(&s, is_alnum, verb))
		return false;
	if (!scan_done(&s) && !scan_blanks(&s))
		return false;
	*args = scan_rest(&s);
	return true;
}

static bool
refuse(struct verdict *why, unsigned code, const char *enhanced, const char *text)
{
	*why = verdict_make(code, enhanced, "%s", text);
	return false;
}

/* "FROM:" or "TO:", the path, and nothing but a blank or the end behind it. */
static bool
take_path(struct scan *s, struct span word, enum address_kind kind, struct address *out,
    struct verdict *why)
{
	const char *status = kind == ADDRESS_REVERSE ? "5.1.7" : "5.1.3";
	if (!scan_itext(s, word))
		return refuse(why, 501, "5.5.4",
		    kind == ADDRESS_REVERSE ? "Syntax: MAIL FROM:<address>"
					    : "Syntax: RCPT TO:<address>");
	scan_skip_blanks(s); /* many devices put one here */
	enum err e = address_path(s, kind, true, out);
	if (e == ERR_RANGE)
		return refuse(why, 501, status, "Address too long");
	if (e != OK || (!scan_done(s) && !scan_blanks(s)))
		return refuse(why, 501, status, "Bad address syntax");
	return true;
}

static bool
need_smtputf8(struct verdict *why)
{
	return refuse(why, 553, "5.6.7", "This address needs MAIL with SMTPUTF8");
}

bool
command_mail(struct span args, struct mail_command *out, struct verdict *why)
{
	*out = (struct mail_command){0};
	struct scan s = scan_over(args);
	if (!take_path(&s, SPAN("FROM:"), ADDRESS_REVERSE, &out->sender, why) ||
	    !params_mail(&s, out, why))
		return false;
	if (out->sender.utf8 && !out->smtputf8)
		return need_smtputf8(why);
	return true;
}

bool
command_rcpt(
    struct span args, bool utf8_ok, struct rcpt_command *out, struct verdict *why)
{
	*out = (struct rcpt_command){0};
	struct scan s = scan_over(args);
	if (!take_path(&s, SPAN("TO:"), ADDRESS_FORWARD, &out->recipient, why) ||
	    !params_rcpt(&s, utf8_ok, out, why))
		return false;
	if (out->recipient.utf8 && !utf8_ok)
		return need_smtputf8(why);
	return true;
}

bool
command_bdat(struct span args, struct bdat_command *out, struct verdict *why)
{
	*out = (struct bdat_command){0};
	struct scan s = scan_over(args);
	struct span word;
	if (!scan_word(&s, &word) || units_u64(word, CHUNK_MAX, &out->size) != OK)
		return refuse(why, 501, "5.5.4", "Syntax: BDAT size [LAST]");
	out->trusted = true;
	scan_skip_blanks(&s);
	if (scan_done(&s))
		return true;
	out->last = span_ieq(scan_rest(&s), SPAN("LAST"));
	return out->last || refuse(why, 501, "5.5.4", "Syntax: BDAT size [LAST]");
}
