/* SPDX-License-Identifier: ISC */
/*
 * config_files - the files that a configuration names: certificates, keys,
 * authorities, passwords.  They are read once, into the snapshot, before it is
 * shared; who changes one of them gets a new snapshot.
 */
#include "relay/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/world.h"
#include "relay/config_private.h"

#define SECRET_MAX 1024 /* octets of a password file's first line */
#define SELF_SIGNED "self-signed.pem"
#define SELF_SIGNED_KEY "self-signed.key"
#define EXPIRES_SOON (14 * DAY_MS)

struct opening {
	struct config *c;
	bool make;
	struct buf *errors;
	bool failed;
	char *own_certificate, *own_key; /* of the self-signed one */
	struct tls_files file[TLS_FILES_MAX];
	size_t files;
};

static void __attribute__((format(printf, 3, 4)))
say(struct opening *o, bool warning, const char *fmt, ...)
{
	va_list ap;
	buf_addf(o->errors, "%s: %s", o->c->file, warning ? "warning: " : "");
	va_start(ap, fmt);
	buf_addv(o->errors, fmt, ap);
	va_end(ap);
	buf_add_char(o->errors, '\n');
	o->failed = o->failed || !warning;
}

/* A FIFO or a device would keep the main thread, and all deliveries, waiting for whoever
 * writes to it.  What cannot be looked at is told of by whoever reads it. */
static bool
is_plain(struct opening *o, const char *path)
{
	struct stat st;
	if (path == NULL || stat(path, &st) != 0 || S_ISREG(st.st_mode))
		return true;
	say(o, false, "cannot read \"%s\": not a file", path);
	return false;
}

/* ---- certificates */

/* "DIR/NAME" */
static char *
in_dir(const char *dir, const char *name)
{
	struct buf path;
	buf_init(&path, 0);
	buf_addf(&path, "%s/%s", dir, name);
	return buf_take(&path);
}

static void
make_self_signed(struct opening *o)
{
	struct buf why;
	buf_init(&why, 1024);
	if (tls_self_signed(o->c->policy.hostname, o->own_certificate, o->own_key,
		world_wall(world_real()), &why) == OK)
		say(o, true,
		    "tls: there is no certificate, so listeners use the self-signed %s, "
		    "which "
		    "was made just now; clients that check certificates will refuse it: "
		    "write tls { "
		    "certificate = \"...\" key = \"...\" }",
		    o->own_certificate);
	else
		say(o, false, "tls: no self-signed certificate could be made: %.*s",
		    SPAN_ARG(buf_span(&why)));
	buf_clear(&why);
}

/* Without a certificate of the administrator's: the one of the last time, or a new one.
 */
static void
use_self_signed(struct opening *o)
{
	if (!o->make)
		return;
	char *dir = in_dir(o->c->spool.path, "tls");
	(void)mkdir(o->c->spool.path,
	    0700); /* what is wrong with these is told by the next step */
	(void)mkdir(dir, 0700);
	o->own_certificate = in_dir(dir, SELF_SIGNED);
	o->own_key = in_dir(dir, SELF_SIGNED_KEY);
	mem_free(&dir);
	if (access(o->own_certificate, F_OK) != 0 || access(o->own_key, F_OK) != 0)
		make_self_signed(o);
	o->file[o->files++] = (struct tls_files){o->own_certificate, o->own_key};
}

static void
name_files(struct opening *o)
{
	const struct tls_config *t = &o->c->tls;
	for (size_t i = 0; i < t->certificates.n; i++) {
		const char *key = i < t->keys.n ? t->keys.name[i] : NULL;
		o->file[o->files++] = (struct tls_files){t->certificates.name[i], key};
	}
}

static void
look_at_dates(struct opening *o)
{
	int64_t now = world_wall(world_real()).ms;
	for (size_t i = 0; i < o->files; i++) {
		struct tls_look look;
		const char *name = o->file[i].certificate;
		if (tls_look(name, &look) != OK)
			continue; /* tls_server_new() says it better */
		struct buf when;
		buf_init(&when, 64);
		wall_add_iso(&when, look.until);
		if (look.until.ms < now)
			say(o, true, "tls: %s expired on %.10s; clients will refuse it",
			    name, when.p);
		else if (look.until.ms < now + EXPIRES_SOON)
			say(o, true, "tls: %s expires on %.10s; renew it", name, when.p);
		buf_clear(&when);
	}
}

static void
open_server(struct opening *o, struct tls_server **out, enum tls_profile profile,
    enum tls_ask ask)
{
	struct buf why;
	struct tls_server_options so = {
	    .file = o->file,
	    .files = o->files,
	    .profile = profile,
	    .ask = ask,
	    .client_ca = ask != TLS_ASK_NO ? o->c->tls.client_ca : NULL,
	};
	if (*out != NULL || o->files == 0 || o->failed)
		return;
	buf_init(&why, 1024);
	*out = tls_server_new(&so, &why);
	if (*out == NULL)
		say(o, false, "tls: %.*s; name PEM files that relayd may read",
		    SPAN_ARG(buf_span(&why)));
	buf_clear(&why);
}

static void
open_listener(struct opening *o, const struct listener_config *l)
{
	struct config *c = o->c;
	if (l->tls == TLS_NONE)
		return;
	if (l->tls == TLS_LEGACY)
		open_server(o, &c->tls_legacy, TLS_PROFILE_LEGACY, TLS_ASK_NO);
	else if (l->certificate == CERTIFICATE_REQUIRED)
		open_server(
		    o, &c->tls_modern_require, TLS_PROFILE_MODERN, TLS_ASK_REQUIRE);
	else if (l->certificate == CERTIFICATE_ASK)
		open_server(o, &c->tls_modern_ask, TLS_PROFILE_MODERN, TLS_ASK_YES);
	else
		open_server(o, &c->tls_modern, TLS_PROFILE_MODERN, TLS_ASK_NO);
}

static bool
wants_tls(const struct config *c)
{
	for (size_t i = 0; i < c->listeners; i++)
		if (c->listener[i].tls != TLS_NONE)
			return true;
	return c->metrics.tls;
}

static void
open_listeners(struct opening *o)
{
	name_files(o);
	if (o->files == 0 && wants_tls(o->c))
		use_self_signed(o);
	bool plain = is_plain(o, o->c->tls.client_ca);
	for (size_t i = 0; i < o->files; i++)
		plain = is_plain(o, o->file[i].certificate) &&
			is_plain(o, o->file[i].key) && plain;
	if (!plain)
		return;
	look_at_dates(o);
	for (size_t i = 0; i < o->c->listeners; i++)
		open_listener(o, &o->c->listener[i]);
	if (o->c->metrics.tls)
		open_server(o, &o->c->tls_modern, TLS_PROFILE_MODERN, TLS_ASK_NO);
}

/* An authority's file is read by whoever needs it; here it is only looked at. */
static void
check_authority(struct opening *o, const char *what, const char *path)
{
	struct buf why;
	if (path == NULL || !is_plain(o, path))
		return;
	buf_init(&why, 1024);
	struct tls_client *tc = tls_client_new(path, &why);
	if (tc == NULL)
		say(o, false, "%s: %.*s; name a PEM file that relayd may read", what,
		    SPAN_ARG(buf_span(&why)));
	tls_client_free(&tc);
	buf_clear(&why);
}

/* ---- passwords */

static void
complain_of_secret(struct opening *o, const struct route *r, const char *what)
{
	say(o, false, "route \"%s\" (line %u): secret-file %s: %s", r->name, r->line,
	    r->secret_file, what);
}

/* The first line, without its end. */
static void
take_secret(struct opening *o, struct route *r, char *text, size_t n)
{
	struct span line =
	    span_cut((struct span){text, n}, 0, span_find((struct span){text, n}, '\n'));
	while (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	if (line.n == 0 || line.n >= SECRET_MAX || memchr(line.p, '\0', line.n) != NULL)
		complain_of_secret(o, r,
		    "its first line is no password; write the password and nothing else");
	else
		r->secret = span_dup(line);
}

static void
open_secret(struct opening *o, struct route *r)
{
	char text[SECRET_MAX + 2];
	struct stat st;
	if (!is_plain(o, r->secret_file))
		return;
	int fd = open(r->secret_file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0) {
		complain_of_secret(o, r, strerror(errno));
		return;
	}
	if (fstat(fd, &st) == 0 && (st.st_mode & 0007) != 0)
		say(o, true,
		    "route \"%s\": every user of this machine can read %s; run: chmod "
		    "640 %s",
		    r->name, r->secret_file, r->secret_file);
	ssize_t n = read(fd, text, sizeof(text));
	(void)close(fd);
	if (n < 0)
		complain_of_secret(o, r, strerror(errno));
	else
		take_secret(o, r, text, (size_t)n);
	explicit_bzero(text, sizeof(text));
}

static void
open_routes(struct opening *o)
{
	struct route_table *t = &o->c->policy.routes;
	for (size_t i = 0; i < t->n; i++) {
		struct route *r = &t->route[i];
		char what[128];
		(void)snprintf(what, sizeof(what), "route \"%.64s\" (line %u): tls-ca",
		    r->name, r->line);
		check_authority(o, what, r->tls_ca);
		if (r->secret_file != NULL && r->secret == NULL)
			open_secret(o, r);
	}
}

/* ---- what has changed since */

/* All of them in one number: inode, size and time of change of each. */
static uint64_t
stamp(const struct config *c)
{
	size_t n = 0;
	const struct tls_config *t = &c->tls;
	struct tls_files *file =
	    mem_alloc((t->certificates.n + c->policy.routes.n * 2 + 2) * sizeof(*file));
	for (size_t i = 0; i < t->certificates.n; i++)
		file[n++] = (struct tls_files){
		    t->certificates.name[i], i < t->keys.n ? t->keys.name[i] : NULL};
	if (t->client_ca != NULL)
		file[n++] = (struct tls_files){t->client_ca, NULL};
	if (t->ca != NULL)
		file[n++] = (struct tls_files){t->ca, NULL};
	for (size_t i = 0; i < c->policy.routes.n; i++) {
		const struct route *r = &c->policy.routes.route[i];
		if (r->secret_file != NULL)
			file[n++] = (struct tls_files){r->secret_file, NULL};
		if (r->tls_ca != NULL)
			file[n++] = (struct tls_files){r->tls_ca, NULL};
	}
	uint64_t all = tls_files_stamp(file, n);
	mem_free(&file);
	return all;
}

bool
config_files_changed(const struct config *c)
{
	uint64_t now = stamp(c);
	return now != 0 && now != c->files_stamp; /* 0: one is missing, being replaced */
}

/* ---- all of it */

bool
config_open(struct config *c, bool make, struct buf *errors)
{
	struct opening o = {.c = c, .make = make, .errors = errors};
	c->files_stamp = stamp(c);
	open_listeners(&o);
	check_authority(&o, "tls: ca", c->tls.ca);
	open_routes(&o);
	mem_free(&o.own_certificate);
	mem_free(&o.own_key);
	return !o.failed;
}

struct tls_server *
config_tls(const struct config *c, const struct listener_config *l)
{
	if (l == NULL || l->tls == TLS_NONE)
		return NULL;
	if (l->tls == TLS_LEGACY)
		return c->tls_legacy;
	if (l->certificate == CERTIFICATE_REQUIRED)
		return c->tls_modern_require;
	return l->certificate == CERTIFICATE_ASK ? c->tls_modern_ask : c->tls_modern;
}

char *
config_accounts_dir(const struct config *c)
{
	return c->accounts.path != NULL ? mem_strdup(c->accounts.path)
					: in_dir(c->spool.path, "accounts");
}
