/* SPDX-License-Identifier: ISC */
/*
 * structure - what is known of a message's parts, beside it: made once by whoever takes
 * the message in, opaque here.  It goes with the content.
 */
#include "spool/private.h"

enum err
put_structure(struct batch *b, uint64_t message, struct span structure)
{
	unsigned char key[KEY_ID];
	if (structure.n == 0 || structure.n > MAIL_STRUCTURE_MAX)
		return OK; /* whoever wants it makes it */
	key_put(key, message, 8);
	buf_reset(&b->record);
	record_put_octets(&b->record, structure);
	b->work += structure.n;
	return db_put(
	    b->txn, b->spool->dbi[DB_MIME], key, KEY_ID, buf_span(&b->record), 0);
}

enum err
delete_structure(struct batch *b, uint64_t message)
{
	unsigned char key[KEY_ID];
	key_put(key, message, 8);
	return db_del(b->txn, b->spool->dbi[DB_MIME], key, KEY_ID);
}

/* While the message is there: it goes with it. */
enum err
apply_structure(struct batch *b, uint64_t message, struct span structure)
{
	struct span v;
	enum dbi where;
	enum err e = db_get_message(b->txn, b->spool, message, &v, &where);
	return e == OK ? put_structure(b, message, structure) : e;
}
