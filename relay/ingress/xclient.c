/* SPDX-License-Identifier: ISC */
/* xclient - see xclient.h: an attribute is a row of the table. */
#include "relay/ingress/xclient.h"

#include "base/mem.h"
#include "base/scan.h"
#include "policy/address.h"

struct attribute {
	struct span name;
	/* value: decoded; {NULL,0}: not known */
	bool (*take)(struct xclient *x, struct span value);
};

static bool
take_addr(struct xclient *x, struct span value)
{
	uint16_t port = x->address.port;
	x->addr = value.p != NULL;
	x->addr_unknown = !x->addr;
	if (!x->addr)
		return true;
	bool ipv6 = span_istarts(value, SPAN("IPV6:"));
	struct span text = ipv6 ? span_cut(value, 5, value.n) : value;
	if (net_parse_ip(text, &x->address) != OK)
		return false;
	x->address.port = port;
	return ipv6 == (span_find(text, ':') < text.n);
}

static bool
read_port(struct span value, uint16_t *out)
{
	struct scan s = scan_over(value);
	uint64_t port;
	if (!scan_u64(&s, 65535, &port) || !scan_done(&s))
		return false;
	*out = (uint16_t)port;
	return true;
}

static bool
take_port(struct xclient *x, struct span value)
{
	x->port = value.p != NULL;
	return !x->port || read_port(value, &x->address.port);
}

static bool
take_login(struct xclient *x, struct span value)
{
	x->login = value.n > 0;
	span_copy(value, x->login_name, sizeof(x->login_name));
	return true;
}

static bool
take_proto(struct xclient *x, struct span value)
{
	(void)x;
	return value.p == NULL || span_ieq(value, SPAN("SMTP")) ||
	       span_ieq(value, SPAN("ESMTP"));
}

static bool
take_destport(struct xclient *x, struct span value)
{
	(void)x;
	uint16_t port;
	return value.p == NULL || read_port(value, &port);
}

static bool
take_any(struct xclient *x, struct span value)
{
	(void)x, (void)value;
	return true;
}

static const struct attribute table[] = {
    {{"NAME", 4}, take_any},
    {{"ADDR", 4}, take_addr},
    {{"PORT", 4}, take_port},
    {{"PROTO", 5}, take_proto},
    {{"HELO", 4}, take_any},
    {{"LOGIN", 5}, take_login},
    {{"DESTADDR", 8}, take_any},
    {{"DESTPORT", 8}, take_destport},
};

static const struct attribute *
find_attribute(struct span name)
{
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		if (span_ieq(table[i].name, name))
			return &table[i];
	}
	return NULL;
}

static bool
take_value(const struct attribute *a, struct xclient *x, struct span text)
{
	if (span_ieq(text, SPAN("[UNAVAILABLE]")) ||
	    span_ieq(text, SPAN("[TEMPUNAVAIL]")))
		return a->take(x, (struct span){0});
	struct buf value;
	buf_init(&value, XCLIENT_VALUE_MAX);
	bool ok = text.n > 0 && xtext_decode(text, &value) == OK && value.n > 0 &&
		  !value.overflow && a->take(x, buf_span(&value));
	buf_clear(&value);
	return ok;
}

bool
xclient_parse(struct span args, struct xclient *out, struct verdict *why)
{
	*out = (struct xclient){0};
	struct scan s = scan_over(args);
	struct span word;
	unsigned seen = 0;
	while (scan_word(&s, &word)) {
		scan_skip_blanks(&s);
		struct span name = span_cut(word, 0, span_find(word, '='));
		const struct attribute *a = find_attribute(name);
		unsigned bit = a != NULL ? 1u << (a - table) : 0;
		if (a == NULL || (seen & bit) != 0 || name.n == word.n ||
		    !take_value(a, out, span_cut(word, name.n + 1, word.n))) {
			*why = verdict_make(
			    501, "5.5.4", "Bad attribute %.*s", SPAN_ARG(name));
			return false;
		}
		seen |= bit;
	}
	if (seen == 0)
		*why = verdict_make(501, "5.5.4", "Syntax: XCLIENT attribute=value ...");
	return seen != 0;
}
