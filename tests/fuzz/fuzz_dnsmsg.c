/* SPDX-License-Identifier: ISC */
/*
 * fuzz_dnsmsg - any bytes as an answer from the DNS.
 *
 * The question is taken from the message itself where it has one, so that the
 * fuzzer gets past the check that it is ours.  What is taken over must be fit
 * to be shown and sent.
 */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "resolver/dnsmsg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_host(const char *name)
{
	char again[DNS_NAME_MAX];
	struct buf wire = {0};
	if (strcmp(name, ".") == 0)
		return;
	CHECK(dns_name_read(span_str(name), again));
	CHECK(strcmp(name, again) == 0);
	dns_add_name(&wire, name);
	CHECK(wire.n == strlen(name) + 2 && wire.n <= 255);
	buf_clear(&wire);
}

static void
check_text(const char *text)
{
	size_t n = strlen(text);
	CHECK(n <= DNS_TEXT_MAX);
	for (size_t i = 0; i < n; i++)
		CHECK(text[i] >= 0x20 && text[i] < 0x7f);
}

static void
check_answer(const struct dns_answer *a)
{
	CHECK(a->n <= DNS_RECORD_MAX && a->refs == 1);
	CHECK((a->kind == DNS_DATA) == (a->n > 0));
	CHECK((a->kind == DNS_FAILED) == (a->trouble[0] != '\0'));
	CHECK(dns_answer_size(a) >= sizeof(*a));
	if (a->alias != NULL)
		check_host(a->alias);
	CHECK(a->kind != DNS_ALIAS || a->alias != NULL);
	for (size_t i = 0; i < a->n; i++) {
		const struct dns_record *rec = &a->record[i];
		CHECK((rec->host != NULL) + (rec->text != NULL) +
			  (rec->addr.family != NET_NONE) ==
		      1);
		if (rec->host != NULL)
			check_host(rec->host);
		if (rec->text != NULL)
			check_text(rec->text);
	}
}

/* Turn the answer into a query and read what it asks. */
static struct dns_question
question_of(const uint8_t *data, size_t size)
{
	struct dns_question q;
	char *copy = mem_dup(data, size);
	if (size > 2)
		copy[2] = 1;
	if (dns_read_query((struct span){copy, size}, &q) != OK)
		q = (struct dns_question){
		    .id = 0x1234, .name = "example.org", .type = DNS_MX};
	mem_free(&copy);
	return q;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t types[] = {DNS_MX, DNS_A, DNS_AAAA, DNS_TXT};
	struct dns_question q = question_of(data, size);
	for (size_t i = 0; i < COUNT_OF(types); i++)
		if (q.type == types[i]) {
			struct dns_answer *a =
			    dns_read_answer((struct span){(const char *)data, size}, q.id,
				q.name, q.type);
			check_answer(a);
			dns_answer_unref(&a);
		}
	return 0;
}
