/* SPDX-License-Identifier: ISC */
/* config_value - between config_value.c (single values) and config_list.c (lists). */
#ifndef RELAY_CONFIG_VALUE_H
#define RELAY_CONFIG_VALUE_H

#include "relay/config_private.h"

#define SHOWN "\"%.*s\""
#define SHOW(v) \
	((v)->text.n > 80 ? 80 : (int)(v)->text.n), ((v)->text.n ? (v)->text.p : "")

struct value {
	struct reading *r;
	const struct block *block;
	const struct config_key *key;
	struct span text;
	struct place at;
	void *field;
	size_t *count;
};

/* Note what is wrong with it, behind "KEY = ". Returns false. */
bool
wrong(const struct value *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The text becomes the field's; what it held goes. */
bool keep(struct value *v, char *text);

/* A domain's canonical form, NULL if it is none. An address is not. */
char *domain_name(struct span text);

/* A file's name; relative ones are beside the configuration. */
char *beside_config(const struct value *v);

bool take_network(struct value *v);
bool take_bind(struct value *v);
bool take_pattern(struct value *v);
bool take_name(struct value *v);
bool take_domain_of_list(struct value *v);
bool take_file_of_list(struct value *v);
bool take_fingerprint(struct value *v);
bool take_rate(struct value *v);
bool take_rewrite(struct value *v);
bool take_masquerade(struct value *v);
bool take_source(struct value *v);
bool take_hop(struct value *v);
bool take_socks(struct value *v);
bool take_server(struct value *v);

#endif
