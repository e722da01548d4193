/* SPDX-License-Identifier: ISC */
/* accounts_file - reading all accounts at start, writing them after each change. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/mem.h"
#include "relay/signin/accounts.h"

#define VERSION 1
#define FILE_MAX (256u << 20)

/* ---- octets in base64 */

static bool
take_octets(const json_t *value, uint8_t *out, size_t n)
{
	struct buf b;
	buf_init(&b, 1024);
	const char *text = json_string_value(value);
	bool ok = text != NULL && base64_decode(span_str(text), &b) == OK && b.n == n;
	if (ok)
		memcpy(out, b.p, n);
	buf_wipe(&b);
	return ok;
}

static void
put_octets(struct json *j, const char *name, const uint8_t *p, size_t n)
{
	struct buf b;
	buf_init(&b, 1024);
	base64_encode((struct span){(const char *)p, n}, &b);
	json_str(j, name, buf_span(&b));
	buf_clear(&b);
}

/* ---- reading */

static bool
take_names(const json_t *list, size_t max, struct name_list *out)
{
	if (list == NULL)
		return true;
	if (!json_is_array(list) || json_array_size(list) > max)
		return false;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));
		if (text == NULL)
			return false;
		names_add(out, text);
	}
	return true;
}

static bool
take_scram(const json_t *o, struct scram_keys *k)
{
	if (o == NULL)
		return true;
	json_int_t n = json_integer_value(json_object_get(o, "iterations"));
	k->known = n >= 4096 && n <= 1000000;
	k->iterations = (unsigned)n;
	return k->known &&
	       take_octets(json_object_get(o, "salt"), k->salt, sizeof(k->salt)) &&
	       take_octets(json_object_get(o, "stored256"), k->stored256, SHA256_SIZE) &&
	       take_octets(json_object_get(o, "server256"), k->server256, SHA256_SIZE) &&
	       take_octets(json_object_get(o, "stored1"), k->stored1, SHA1_SIZE) &&
	       take_octets(json_object_get(o, "server1"), k->server1, SHA1_SIZE);
}

static bool
take_secret(const json_t *o, struct account *acc)
{
	const char *label = json_string_value(json_object_get(o, "label"));
	const char *hash = json_string_value(json_object_get(o, "hash"));
	if (label == NULL || strlen(label) > LABEL_MAX || hash == NULL ||
	    password_hash_kind(hash) == NULL ||
	    account_secret(acc, span_str(label)) != NULL)
		return false;
	struct secret *s = account_add_secret(acc, span_str(label));
	if (s == NULL)
		return false;
	const char *plain = json_string_value(json_object_get(o, "plain"));
	s->hash = mem_strdup(hash);
	s->plain = plain != NULL ? mem_strdup(plain) : NULL;
	s->created.ms = json_integer_value(json_object_get(o, "created"));
	return take_names(json_object_get(o, "service"), SERVICES_MAX, &s->services) &&
	       take_scram(json_object_get(o, "scram"), &s->scram);
}

static bool
take_account(struct accounts *a, const json_t *o)
{
	const char *name = json_string_value(json_object_get(o, "name"));
	const json_t *secrets = json_object_get(o, "secrets");
	if (name == NULL || !account_name_ok(span_str(name)) || !json_is_array(secrets))
		return false;
	struct account *acc = account_new(span_str(name));
	acc->disabled = json_is_true(json_object_get(o, "disabled"));
	bool ok = take_names(json_object_get(o, "address"), ACCOUNT_SENDERS_MAX,
		      &acc->senders) &&
		  take_names(json_object_get(o, "certificate"), CERTIFICATES_MAX,
		      &acc->certificates);
	for (size_t i = 0; ok && i < json_array_size(secrets); i++)
		ok = take_secret(json_array_get(secrets, i), acc);
	ok = ok && accounts_add(a, acc) == OK;
	if (!ok)
		account_free(&acc);
	return ok;
}

static enum err
take_head(struct accounts *a, const json_t *o, struct buf *why)
{
	json_int_t version = json_integer_value(json_object_get(o, "relayd-accounts"));
	if (version > VERSION) {
		buf_addf(why,
		    "the accounts were written by a newer relayd (format %lld): use that "
		    "one",
		    (long long)version);
		return ERR_VERSION;
	}
	if (version != VERSION ||
	    !take_octets(json_object_get(o, "key"), a->salt_key, sizeof(a->salt_key)))
		return ERR_DAMAGED;
	return OK;
}

static enum err
take_line(struct accounts *a, struct span line, unsigned number, struct buf *why)
{
	json_t *o = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, NULL);
	enum err e = ERR_DAMAGED;
	if (json_is_object(o))
		e = number == 1          ? take_head(a, o, why)
		    : take_account(a, o) ? OK
					 : ERR_DAMAGED;
	json_decref(o);
	if (e == ERR_DAMAGED)
		buf_addf(why,
		    "the file of accounts is damaged in line %u: bring back a copy of "
		    "it; it is "
		    "left as it is",
		    number);
	return e;
}

static enum err
take_text(struct accounts *a, struct span text, struct buf *why)
{
	enum err e = OK;
	for (unsigned number = 1; text.n > 0 && e == OK; number++) {
		size_t end = span_find(text, '\n');
		if (end == text.n) {
			buf_addf(why,
			    "the file of accounts ends in the middle of line %u", number);
			return ERR_DAMAGED;
		}
		e = take_line(a, span_cut(text, 0, end), number, why);
		text = span_cut(text, end + 1, text.n);
	}
	return e;
}

/* Root's relayctl must not take the file away from the user that relayd runs as. */
static void
keep_owner(const struct accounts *a, int fd)
{
	struct stat st;
	if (geteuid() == 0 && fstat(a->dir, &st) == 0)
		(void)!fchown(fd, st.st_uid, st.st_gid);
}

static enum err
read_file(int fd, const struct stat *st, struct buf *out, struct buf *why)
{
	if (!S_ISREG(st->st_mode) || st->st_size > FILE_MAX) {
		buf_add_str(why, "the file of accounts is no ordinary file");
		return ERR_DAMAGED;
	}
	if (st->st_uid != geteuid() && geteuid() != 0) {
		buf_addf(why, "the file of accounts belongs to uid %u: chown it",
		    (unsigned)st->st_uid);
		return ERR_DENIED;
	}
	if ((st->st_mode & 077) != 0) {
		buf_add_str(why,
		    "others may read the file of accounts: run chmod 600 on it, and "
		    "think of new passwords");
		return ERR_DENIED;
	}
	size_t left = (size_t)st->st_size;
	while (left > 0) {
		ssize_t n = read(fd, buf_room(out, left), left);
		if (n <= 0)
			return ERR_IO;
		out->n += (size_t)n;
		left -= (size_t)n;
	}
	return OK;
}

static enum err
load(struct accounts *a, struct buf *why)
{
	struct buf text;
	struct stat st;
	int fd = openat(a->dir, "accounts", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT) {
		world_random(a->world, a->salt_key, sizeof(a->salt_key));
		return OK;
	}
	if (fd < 0) {
		buf_addf(why, "the file of accounts cannot be read: %s", strerror(errno));
		return err_from_errno(errno);
	}
	buf_init(&text, FILE_MAX + 1);
	enum err e = fstat(fd, &st) == 0 ? read_file(fd, &st, &text, why) : ERR_IO;
	if (e == OK)
		e = take_text(a, buf_span(&text), why);
	buf_wipe(&text);
	(void)close(fd);
	return e;
}

void
accounts_reload(struct accounts *a)
{
	struct buf why;
	buf_init(&why, 1024);
	while (a->by_name.n > 0)
		accounts_remove(
		    a, CONTAINER_OF(map_first(&a->by_name), struct account, node));
	a->lost = load(a, &why) != OK; /* then nothing is written over what is there */
	buf_clear(&why);
}

enum err
accounts_open(struct accounts **out, struct world *w, int dir, struct buf *why)
{
	struct accounts *a = NEW(struct accounts);
	uint64_t seed[2];
	*out = NULL;
	a->world = w;
	a->dir = dir;
	world_random(w, seed, sizeof(seed));
	map_init(&a->by_name, seed);
	a->lock = openat(dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	enum err e = a->lock >= 0 ? OK : err_from_errno(errno);
	if (a->lock >= 0)
		keep_owner(a, a->lock);
	if (e == OK && flock(a->lock, LOCK_EX | LOCK_NB) != 0)
		e = errno == EWOULDBLOCK ? ERR_BUSY : err_from_errno(errno);
	if (e == ERR_BUSY)
		buf_add_str(why, "another relayd or relayctl has the accounts open");
	if (e == OK)
		e = load(a, why);
	if (e == OK) {
		*out = a;
		return OK;
	}
	if (why->n == 0)
		buf_addf(why, "the accounts cannot be opened: %s", err_text(e));
	accounts_close(&a);
	return e;
}

/* ---- writing */

static void
put_names(struct json *j, const char *name, const struct name_list *l)
{
	json_open_as(j, name, '[');
	for (size_t i = 0; i < l->n; i++)
		json_cstr(j, NULL, l->name[i]);
	json_close(j, ']');
}

static void
put_secret(struct json *j, const struct secret *s)
{
	json_open(j, '{');
	json_cstr(j, "label", s->label);
	put_names(j, "service", &s->services);
	json_cstr(j, "hash", s->hash);
	if (s->plain != NULL)
		json_cstr(j, "plain", s->plain);
	json_int(j, "created", s->created.ms);
	if (s->scram.known) {
		json_open_as(j, "scram", '{');
		json_int(j, "iterations", s->scram.iterations);
		put_octets(j, "salt", s->scram.salt, SCRAM_SALT);
		put_octets(j, "stored256", s->scram.stored256, SHA256_SIZE);
		put_octets(j, "server256", s->scram.server256, SHA256_SIZE);
		put_octets(j, "stored1", s->scram.stored1, SHA1_SIZE);
		put_octets(j, "server1", s->scram.server1, SHA1_SIZE);
		json_close(j, '}');
	}
	json_close(j, '}');
}

static void
put_account(struct buf *out, const struct account *acc)
{
	struct json j = {.out = out};
	json_open(&j, '{');
	json_cstr(&j, "name", acc->name);
	put_names(&j, "address", &acc->senders);
	put_names(&j, "certificate", &acc->certificates);
	json_bool(&j, "disabled", acc->disabled);
	json_open_as(&j, "secrets", '[');
	for (size_t i = 0; i < acc->secrets; i++)
		put_secret(&j, &acc->secret[i]);
	json_close(&j, ']');
	json_close(&j, '}');
	buf_add_char(out, '\n');
}

static void
put_all(const struct accounts *a, struct buf *out)
{
	struct json j = {.out = out};
	json_open(&j, '{');
	json_int(&j, "relayd-accounts", VERSION);
	put_octets(&j, "key", a->salt_key, sizeof(a->salt_key));
	json_close(&j, '}');
	buf_add_char(out, '\n');
	MAP_EACH (&a->by_name, k)
		put_account(out, CONTAINER_OF(k, struct account, node));
}

static bool
write_whole(int fd, struct span text)
{
	while (text.n > 0) {
		ssize_t n = write(fd, text.p, text.n);
		if (n <= 0)
			return false;
		text = span_cut(text, (size_t)n, text.n);
	}
	return fsync(fd) == 0;
}

enum err
accounts_save(struct accounts *a)
{
	struct buf text;
	if (a->lost)
		return ERR_DAMAGED;
	buf_init(&text, FILE_MAX);
	put_all(a, &text);
	(void)unlinkat(a->dir, "accounts.new", 0);
	int fd = openat(a->dir, "accounts.new",
	    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	enum err e = fd >= 0 ? OK : err_from_errno(errno);
	if (e == OK && text.overflow)
		e = ERR_FULL;
	if (e == OK && !write_whole(fd, buf_span(&text)))
		e = errno != 0 ? err_from_errno(errno) : ERR_IO;
	if (fd >= 0) {
		keep_owner(a, fd);
		(void)close(fd);
	}
	if (e == OK && (renameat(a->dir, "accounts.new", a->dir, "accounts") != 0 ||
			   fsync(a->dir) != 0))
		e = err_from_errno(errno);
	buf_wipe(&text);
	return e;
}
