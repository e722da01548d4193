/* SPDX-License-Identifier: ISC */
/* absent_tls - TLS, until its room is here; this file goes then. */
#include "base/io.h"
struct tls_server *tls_server_ref(struct tls_server *ts) { return ts; }
void tls_describe(const struct tls_info *i, struct buf *out) { (void)i, (void)out; }
enum err io_start_tls_server(struct io *io, struct tls_server *ts) { (void)io, (void)ts; return ERR_SYNTAX; }
const struct tls_info *io_tls(const struct io *io) { (void)io; return NULL; }
enum err io_tls_binding(const struct io *io, enum tls_binding kind, struct buf *out) { (void)io, (void)kind, (void)out; return ERR_NOT_FOUND; }
const char *io_trouble(const struct io *io) { (void)io; return ""; }
uint64_t tls_files_stamp(const struct tls_files *file, size_t files) { (void)file, (void)files; return 0; }
struct tls_server *tls_server_new(const struct tls_server_options *o, struct buf *why) { (void)o, (void)why; return NULL; }
struct tls_client *tls_client_new(const char *ca_file, struct buf *why) { (void)ca_file, (void)why; return NULL; }
void tls_client_free(struct tls_client **tc) { *tc = NULL; }
enum err tls_look(const char *certificate_file, struct tls_look *out) { (void)certificate_file, (void)out; return ERR_NOT_FOUND; }
enum err tls_self_signed(const char *hostname, const char *certificate_file, const char *key_file, struct wall now, struct buf *why) { (void)hostname, (void)certificate_file, (void)key_file, (void)now, (void)why; return ERR_NOT_FOUND; }
enum err io_start_tls_client(struct io *io, struct tls_client *tc, const struct tls_peer *peer) { (void)io, (void)tc, (void)peer; return ERR_SYNTAX; }
