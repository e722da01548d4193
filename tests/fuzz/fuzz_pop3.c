/* SPDX-License-Identifier: ISC */
/*
 * Whole POP3 sessions of a hostile client, with a real spool and real accounts.  The
 * first octet says whether the client has signed in already, and how its octets are cut
 * into pieces.  Mail is deleted only by DELE and QUIT, and nobody stays behind.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "tests/fuzz/pickup_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAILS 3
#define SIGN_IN "USER joe\r\nPASS Hello world!\r\n"

static struct pickup_rig *rig;

static bool
holds(const uint8_t *data, size_t n, const char *word)
{
	size_t len = strlen(word);
	for (size_t i = 0; i + len <= n; i++)
		if (strncasecmp((const char *)data + i, word, len) == 0)
			return true;
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (rig == NULL)
		rig = pickup_rig_new("pop3");
	if (size < 1)
		return 0;
	pickup_rig_fill(rig, MAILS);
	int fd = pickup_rig_connect(rig);
	if (data[0] & 1) {
		CHECK(pickup_rig_send(rig, fd, SPAN(SIGN_IN)));
		pickup_rig_turns(rig, fd);
	}
	size_t piece = data[0] & 2 ? 1 + (data[0] >> 2) : size;
	for (size_t at = 1; at < size; at += piece) {
		size_t n = size - at < piece ? size - at : piece;
		if (!pickup_rig_send(rig, fd, (struct span){(const char *)data + at, n}))
			break;
		pickup_rig_turns(rig, fd);
	}
	pickup_rig_end(rig, fd);
	if (pickup_rig_mails(rig) < MAILS)
		CHECK(holds(data, size, "DELE") && holds(data, size, "QUIT"));
	/* nobody has the maildrop any more */
	struct instant now = {atomic_load(&rig->rig->mono_ms)};
	CHECK(drops_take(rig->drops, SPAN("joe"), now, 0) == DROPS_TAKEN);
	drops_leave(rig->drops, SPAN("joe"));
	return 0;
}
