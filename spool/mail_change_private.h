/* SPDX-License-Identifier: ISC */
/* mail_change_private - a request of an owner, between those who build and apply it. */
#ifndef SPOOL_MAIL_CHANGE_PRIVATE_H
#define SPOOL_MAIL_CHANGE_PRIVATE_H

#include "spool/private.h"

enum mail_act_kind { ACT_DELETE, ACT_EXPUNGE, ACT_FLAGS, ACT_STORE, ACT_COPY, ACT_MOVE };

struct mail_act {
	enum mail_act_kind kind;
	uint32_t uid;
	uint32_t set, clear; /* FLAGS; set: STORE's flags */
	enum mail_store how;
	uint64_t keywords; /* numbers of the request */
};

struct mail_change {
	atomic_uint refs;
	/* asked for */
	char owner[MAILBOX_OWNER_MAX + 1], name[MAILBOX_NAME_MAX + 1];
	uint32_t number; /* 0: by name */
	struct mail_act *act;
	size_t acts, cap, deletions, copies;
	bool pickup;
	uint32_t recent; /* 0: as it is */
	struct message *notice;
	char *keyword[MAILBOX_KEYWORDS_MAX];
	size_t keywords;
	uint64_t unless;       /* UINT64_MAX: any */
	bool has_target, anew; /* anew: the target is made, and all mails are moved */
	char target_owner[MAILBOX_OWNER_MAX + 1], target_name[MAILBOX_NAME_MAX + 1];
	uint64_t quota_messages, quota_octets; /* 0: any */
	struct append_one {
		struct message *message;
		struct file_use *file;
		struct mail_append how;
	} * append;
	size_t appends;
	/* result */
	bool over_quota;
	uint64_t modseq;
	uint32_t uidvalidity;
	uint32_t *from, *to, *modified;
	size_t pairs, pair_cap, modifieds, modified_cap;
};

/* While it is applied. */
struct applying {
	struct batch *b;
	struct mail_change *c;
	struct mbox box, target;
	struct mbox *to;                 /* &box or &target; NULL: nothing is copied */
	int bit[MAILBOX_KEYWORDS_MAX];   /* of each keyword of the request; -1 */
	uint64_t asked;                  /* bits of box that are known in `there` */
	int there[MAILBOX_KEYWORDS_MAX]; /* of each bit of box that in the target; -1 */
	bool later;                      /* content goes in slices */
	bool damaged; /* a row that did not say what it held: sums are made anew */
	size_t deleted, changed;
};

enum err
read_mail_row(struct applying *a, uint32_t uid, struct mail_record *out, bool *damaged);
enum err delete_mail(
    struct applying *a, uint32_t uid, const struct mail_record *mail, bool release);

/* mail_store.c */
enum err find_keywords(struct applying *a); /* ERR_FULL, ERR_RANGE: nothing is done */
uint64_t map_keywords(const struct applying *a, uint64_t numbers);
void mail_change_note_modified(struct mail_change *c, uint32_t uid);
enum err store_flags(struct applying *a, const struct mail_act *act);

/* mail_copy.c */
enum err copy_mail(struct applying *a, const struct mail_act *act);
enum err append_mails(struct applying *a);
enum err check_appends(const struct mail_change *c);
enum err check_quota(struct applying *a); /* ERR_FULL: over_quota */

#endif
