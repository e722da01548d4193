/* SPDX-License-Identifier: ISC */
/* accounts - the table; reading and writing are in accounts_file.c. */
#include "relay/signin/accounts.h"

#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"

/* ---- one account */

bool
account_name_ok(struct span name)
{
	if (name.n == 0 || name.n > ACCOUNT_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if ((unsigned char)name.p[i] <= 0x20 || name.p[i] == 0x7f)
			return false;
	return true;
}

void
names_add(struct name_list *l, const char *text)
{
	l->name = mem_resize(l->name, l->n + 1, sizeof(char *));
	l->name[l->n++] = mem_strdup(text);
}

struct account *
account_new(struct span name)
{
	struct account *acc = NEW(struct account);
	acc->name = span_dup(name);
	acc->key = span_dup(name);
	for (char *p = acc->key; *p != '\0'; p++)
		*p = ascii_lower(*p);
	return acc;
}

static void
secret_clear(struct secret *s)
{
	name_list_clear(&s->services);
	if (s->hash != NULL)
		explicit_bzero(s->hash, strlen(s->hash));
	mem_free(&s->hash);
	if (s->plain != NULL)
		explicit_bzero(s->plain, strlen(s->plain));
	mem_free(&s->plain);
	mem_free(&s->label);
	explicit_bzero(&s->scram, sizeof(s->scram));
}

void
account_free(struct account **ap)
{
	struct account *acc = *ap;
	if (acc == NULL)
		return;
	for (size_t i = 0; i < acc->secrets; i++)
		secret_clear(&acc->secret[i]);
	name_list_clear(&acc->senders);
	name_list_clear(&acc->certificates);
	mem_free(&acc->name);
	mem_free(&acc->key);
	mem_free(ap);
}

struct secret *
account_secret(struct account *acc, struct span label)
{
	for (size_t i = 0; i < acc->secrets; i++)
		if (span_eq(span_str(acc->secret[i].label), label))
			return &acc->secret[i];
	return NULL;
}

struct secret *
account_add_secret(struct account *acc, struct span label)
{
	if (acc->secrets == SECRETS_MAX)
		return NULL;
	struct secret *s = &acc->secret[acc->secrets++];
	*s = (struct secret){.label = span_dup(label)};
	return s;
}

void
account_drop_secret(struct account *acc, struct secret *s)
{
	secret_clear(s);
	acc->secrets--;
	size_t behind = (size_t)(&acc->secret[acc->secrets] - s);
	memmove(s, s + 1, behind * sizeof(*s));
}

void
secret_set(const struct accounts *a, struct account *acc, struct secret *s,
    const char *hash, struct span password)
{
	mem_free(&s->hash);
	s->hash = mem_strdup(hash);
	s->created = world_wall(a->world);
	s->scram = (struct scram_keys){0};
	if (password.n == 0)
		return;
	accounts_salt(a, acc, span_str(acc->name), NULL, s, &s->scram);
	password_scram(password, &s->scram);
}

bool
secret_serves(const struct secret *s, const char *service)
{
	return s->services.n == 0 || name_list_has(&s->services, span_str(service)) ||
	       (strcmp(service, "imap") == 0 && secret_shows_queue(s));
}

bool
secret_shows_queue(const struct secret *s)
{
	return name_list_has(&s->services, SPAN("queue"));
}

/* ---- salts */

static void
made_salt(const struct accounts *a, struct span name, uint8_t out[SCRAM_SALT])
{
	uint8_t made[SHA256_SIZE];
	char key[ACCOUNT_NAME_MAX + 1];
	size_t n = name.n < ACCOUNT_NAME_MAX ? name.n : ACCOUNT_NAME_MAX;
	for (size_t i = 0; i < n; i++)
		key[i] = ascii_lower(name.p[i]);
	hmac_of(DIGEST_SHA256, (struct span){(const char *)a->salt_key, SHA256_SIZE},
	    (struct span){key, n}, made);
	memcpy(out, made, SCRAM_SALT);
}

void
accounts_salt(const struct accounts *a, const struct account *acc, struct span name,
    const char *service, const struct secret *but, struct scram_keys *out)
{
	const struct secret *first = NULL;
	for (size_t i = 0; acc != NULL && i < acc->secrets; i++) {
		const struct secret *s = &acc->secret[i];
		bool is_main = s->label[0] == '\0';
		if (s != but && s->scram.known && (first == NULL || is_main) &&
		    (service == NULL || secret_serves(s, service)))
			first = s;
	}
	*out = (struct scram_keys){.iterations = SCRAM_ITERATIONS};
	made_salt(a, name, out->salt);
	if (first != NULL) {
		out->iterations = first->scram.iterations;
		memcpy(out->salt, first->scram.salt, SCRAM_SALT);
	}
}

/* ---- the table */

struct account *
accounts_find(const struct accounts *a, struct span name)
{
	char key[ACCOUNT_NAME_MAX + 1];
	if (!account_name_ok(name))
		return NULL;
	for (size_t i = 0; i < name.n; i++)
		key[i] = ascii_lower(name.p[i]);
	struct map_node *k = map_get(&a->by_name, (struct span){key, name.n});
	return k != NULL ? CONTAINER_OF(k, struct account, node) : NULL;
}

struct account *
accounts_with_certificate(const struct accounts *a, struct span fingerprint)
{
	MAP_EACH (&a->by_name, k) {
		struct account *acc = CONTAINER_OF(k, struct account, node);
		if (name_list_has(&acc->certificates, fingerprint))
			return acc;
	}
	return NULL;
}

void
account_touch(struct accounts *a, struct account *acc)
{
	acc->changed = ++a->changes;
}

enum err
accounts_room(const struct accounts *a, const struct account *acc)
{
	if (map_get(&a->by_name, span_str(acc->key)) != NULL)
		return ERR_EXISTS;
	return a->by_name.n < ACCOUNTS_MAX ? OK : ERR_FULL;
}

enum err
accounts_add(struct accounts *a, struct account *acc)
{
	enum err e = accounts_room(a, acc);
	if (e != OK)
		return e;
	map_put(&a->by_name, &acc->node, span_str(acc->key));
	account_touch(a, acc);
	return OK;
}

void
accounts_remove(struct accounts *a, struct account *acc)
{
	map_remove(&a->by_name, &acc->node);
	account_free(&acc);
}

void
accounts_close(struct accounts **ap)
{
	struct accounts *a = *ap;
	if (a == NULL)
		return;
	while (a->by_name.n > 0)
		accounts_remove(
		    a, CONTAINER_OF(map_first(&a->by_name), struct account, node));
	map_clear(&a->by_name);
	if (a->lock >= 0)
		(void)close(a->lock);
	if (a->dir >= 0)
		(void)close(a->dir);
	explicit_bzero(a->salt_key, sizeof(a->salt_key));
	mem_free(ap);
}

/* ---- cards */

void
account_card_free(struct account_card **cp)
{
	struct account_card *c = *cp;
	if (c == NULL)
		return;
	struct pattern_list l = {c->sender, c->senders};
	pattern_list_clear(&l);
	mem_free(&c->name);
	mem_free(&c->secret);
	mem_free(cp);
}

bool
account_card_may_send(const struct account_card *c, struct span sender)
{
	struct pattern_list l = {c->sender, c->senders};
	return sender.n == 0 || pattern_list_fits(&l, sender);
}
