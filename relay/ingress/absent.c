/* SPDX-License-Identifier: ISC */
/* absent - TLS and sign-in, until their rooms are here; this file goes then. */
#include "base/io.h"
#include "base/mem.h"
#include "relay/signin/signin.h"
struct tls_server *
tls_server_ref(struct tls_server *ts)
{
	return ts;
}
void
tls_describe(const struct tls_info *i, struct buf *out)
{
	(void)i, (void)out;
}
enum err
io_start_tls_server(struct io *io, struct tls_server *ts)
{
	(void)io, (void)ts;
	return ERR_SYNTAX;
}
const struct tls_info *
io_tls(const struct io *io)
{
	(void)io;
	return NULL;
}
enum err
io_tls_binding(const struct io *io, enum tls_binding kind, struct buf *out)
{
	(void)io, (void)kind, (void)out;
	return ERR_NOT_FOUND;
}
const char *
io_trouble(const struct io *io)
{
	(void)io;
	return "";
}
void
account_card_free(struct account_card **c)
{
	if (*c == NULL)
		return;
	mem_free(&(*c)->name);
	mem_free(&(*c)->secret);
	mem_free(c);
}
void
signin_mechanisms(const struct signin_facts *f, bool clear_ok, struct buf *out)
{
	(void)f, (void)clear_ok, (void)out;
}
struct signin_exchange *
signin_begin(struct signin *s, struct span mechanism, const struct signin_facts *f,
    struct span initial, signin_fn *fn, void *arg)
{
	(void)s, (void)mechanism, (void)f, (void)initial, (void)fn, (void)arg;
	return NULL;
}
void
signin_respond(struct signin_exchange *x, struct span response)
{
	(void)x, (void)response;
}
void
signin_cancel(struct signin_exchange **x)
{
	*x = NULL;
}
uint64_t
tls_files_stamp(const struct tls_files *file, size_t files)
{
	(void)file, (void)files;
	return 0;
}
struct tls_server *
tls_server_new(const struct tls_server_options *o, struct buf *why)
{
	(void)o, (void)why;
	return NULL;
}
struct tls_client *
tls_client_new(const char *ca_file, struct buf *why)
{
	(void)ca_file, (void)why;
	return NULL;
}
void
tls_client_free(struct tls_client **tc)
{
	*tc = NULL;
}
enum err
tls_look(const char *certificate_file, struct tls_look *out)
{
	(void)certificate_file, (void)out;
	return ERR_NOT_FOUND;
}
enum err
tls_self_signed(const char *hostname, const char *certificate_file, const char *key_file,
    struct wall now, struct buf *why)
{
	(void)hostname, (void)certificate_file, (void)key_file, (void)now, (void)why;
	return ERR_NOT_FOUND;
}
