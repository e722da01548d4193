/* SPDX-License-Identifier: ISC */
/*
 * params - a parameter is a row: its keyword, whether it has a value, and the
 * function that takes the value or says that it is wrong.
 */
#include "relay/ingress/params.h"

#include "base/mem.h"
#include "base/units.h"
#include "spool/message.h"

#define SIZE_DIGITS 20                   /* RFC 1870 4 */
#define SIZE_TRUSTED (UINT64_C(1) << 62) /* more is too much, whatever it is */

enum param_answer { PARAM_OK, PARAM_BAD, PARAM_TOO_MUCH };

/* What is being filled: one of the two commands. */
struct param_target {
	struct mail_command *mail;
	struct rcpt_command *rcpt;
	bool utf8_ok;
};

struct param {
	struct span name;
	bool has_value;
	enum param_answer (*take)(struct param_target *t, struct span value);
};

/* ---- MAIL */

static enum param_answer
take_size(struct param_target *t, struct span value)
{
	if (value.n > SIZE_DIGITS)
		return PARAM_BAD;
	enum err e = units_u64(value, SIZE_TRUSTED, &t->mail->size);
	if (e == ERR_RANGE)
		return PARAM_TOO_MUCH;
	return e == OK ? PARAM_OK : PARAM_BAD;
}

static enum param_answer
take_body(struct param_target *t, struct span value)
{
	t->mail->eight_bit = span_ieq(value, SPAN("8BITMIME"));
	t->mail->binary = span_ieq(value, SPAN("BINARYMIME"));
	bool known =
	    t->mail->eight_bit || t->mail->binary || span_ieq(value, SPAN("7BIT"));
	return known ? PARAM_OK : PARAM_BAD;
}

static enum param_answer
take_smtputf8(struct param_target *t, struct span value)
{
	(void)value;
	t->mail->smtputf8 = true;
	return PARAM_OK;
}

static enum param_answer
take_ret(struct param_target *t, struct span value)
{
	if (span_ieq(value, SPAN("FULL")))
		t->mail->ret = MESSAGE_RET_FULL;
	else if (span_ieq(value, SPAN("HDRS")))
		t->mail->ret = MESSAGE_RET_HDRS;
	else
		return PARAM_BAD;
	return PARAM_OK;
}

/* Whether it decodes; what it decodes to is of interest only to who writes a notice. */
static bool
is_xtext(struct span text)
{
	struct buf decoded;
	buf_init(&decoded, ORCPT_MAX);
	bool ok = text.n > 0 && xtext_decode(text, &decoded) == OK;
	buf_clear(&decoded);
	return ok;
}

static enum param_answer
take_envid(struct param_target *t, struct span value)
{
	t->mail->envid = value;
	return value.n <= ENVID_MAX && is_xtext(value) ? PARAM_OK : PARAM_BAD;
}

/* Who the client says has written it: nobody's word for it, so it goes no further. */
static enum param_answer
take_auth(struct param_target *t, struct span value)
{
	t->mail->auth = true;
	return value.n <= AUTH_PARAM_MAX && is_xtext(value) ? PARAM_OK : PARAM_BAD;
}

static const struct param mail_param[] = {
    {{"SIZE", 4}, true, take_size},
    {{"BODY", 4}, true, take_body},
    {{"SMTPUTF8", 8}, false, take_smtputf8},
    {{"RET", 3}, true, take_ret},
    {{"ENVID", 5}, true, take_envid},
    {{"AUTH", 4}, true, take_auth},
};

/* ---- RCPT */

static uint8_t
notify_word(struct span word)
{
	static const struct {
		struct span word;
		uint8_t flag;
	} known[] = {
	    {{"SUCCESS", 7}, NOTIFY_SUCCESS},
	    {{"FAILURE", 7}, NOTIFY_FAILURE},
	    {{"DELAY", 5}, NOTIFY_DELAY},
	};
	for (size_t i = 0; i < COUNT_OF(known); i++) {
		if (span_ieq(word, known[i].word))
			return known[i].flag;
	}
	return 0;
}

static enum param_answer
take_notify(struct param_target *t, struct span value)
{
	if (span_ieq(value, SPAN("NEVER"))) {
		t->rcpt->notify = NOTIFY_NEVER;
		return PARAM_OK;
	}
	unsigned flags = 0;
	struct scan s = scan_over(value);
	for (;;) {
		struct span word;
		bool more = scan_until(&s, ',', &word);
		uint8_t flag = notify_word(more ? word : scan_rest(&s));
		if (flag == 0)
			return PARAM_BAD;
		flags |= flag;
		if (!more)
			break;
	}
	t->rcpt->notify = (uint8_t)flags;
	return PARAM_OK;
}

static bool
is_atom_char(unsigned char c)
{
	return is_alnum(c) || c == '-' || c == '_' || c == '.' || c == '+';
}

/* RFC 6533 3: in a session with SMTPUTF8 a utf-8 address may stand there as it is. */
static bool
is_unitext(struct span text)
{
	char ascii[ORCPT_MAX];
	size_t n = 0;
	for (size_t i = 0; i < text.n; i++) {
		if ((unsigned char)text.p[i] < 0x80)
			ascii[n++] = text.p[i];
	}
	return n == 0 || is_xtext((struct span){ascii, n});
}

static enum param_answer
take_orcpt(struct param_target *t, struct span value)
{
	struct scan s = scan_over(value);
	struct span type;
	if (value.n > ORCPT_MAX || !scan_run(&s, is_atom_char, &type) ||
	    !scan_char(&s, ';'))
		return PARAM_BAD;
	bool raw_utf8 = t->utf8_ok && span_ieq(type, SPAN("utf-8"));
	struct span address = scan_rest(&s);
	if (address.n == 0 || !(raw_utf8 ? is_unitext(address) : is_xtext(address)))
		return PARAM_BAD;
	t->rcpt->orcpt = value;
	return PARAM_OK;
}

static const struct param rcpt_param[] = {
    {{"NOTIFY", 6}, true, take_notify},
    {{"ORCPT", 5}, true, take_orcpt},
};

/* ---- both */

static const struct param *
find_param(const struct param *table, size_t n, struct span name)
{
	for (size_t i = 0; i < n; i++) {
		if (span_ieq(table[i].name, name))
			return &table[i];
	}
	return NULL;
}

static bool
refuse(struct verdict *why, unsigned code, const char *enhanced, const char *text,
    struct span name)
{
	*why = verdict_make(code, enhanced, "%s %.*s", text, SPAN_ARG(name));
	return false;
}

static bool
take_param(const struct param *p, struct param_target *t, bool has_value,
    struct span value, struct verdict *why)
{
	if (has_value != p->has_value || (has_value && value.n == 0))
		return refuse(why, 501, "5.5.4", "Bad value of", p->name);
	switch (p->take(t, value)) {
	case PARAM_OK: return true;
	case PARAM_TOO_MUCH: return refuse(why, 552, "5.3.4", "Too much:", p->name);
	case PARAM_BAD: break;
	}
	return refuse(why, 501, "5.5.4", "Bad value of", p->name);
}

static bool
take_params(struct scan *s, const struct param *table, size_t n, struct param_target *t,
    struct verdict *why)
{
	unsigned seen = 0;
	struct span word;
	while (scan_word(s, &word)) {
		scan_skip_blanks(s);
		struct span name = span_cut(word, 0, span_find(word, '='));
		bool has_value = name.n < word.n;
		const struct param *p = find_param(table, n, name);
		if (p == NULL)
			return refuse(
			    why, 555, "5.5.4", "Parameter not recognised:", name);
		unsigned bit = 1u << (p - table);
		if ((seen & bit) != 0)
			return refuse(why, 501, "5.5.4", "Given twice:", p->name);
		seen |= bit;
		struct span value = span_cut(word, name.n + 1, word.n);
		if (!take_param(p, t, has_value, value, why))
			return false;
	}
	return true;
}

bool
params_mail(struct scan *s, struct mail_command *out, struct verdict *why)
{
	struct param_target t = {.mail = out};
	return take_params(s, mail_param, COUNT_OF(mail_param), &t, why);
}

bool
params_rcpt(struct scan *s, bool utf8_ok, struct rcpt_command *out, struct verdict *why)
{
	struct param_target t = {.rcpt = out, .utf8_ok = utf8_ok};
	return take_params(s, rcpt_param, COUNT_OF(rcpt_param), &t, why);
}
