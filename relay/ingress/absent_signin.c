/* SPDX-License-Identifier: ISC */
/* absent_signin - sign-in, until its room is here; this file goes then. */
#include "base/mem.h"
#include "relay/signin/signin.h"
void account_card_free(struct account_card **c) { if (*c == NULL) return; mem_free(&(*c)->name); mem_free(&(*c)->secret); mem_free(c); }
void signin_mechanisms(const struct signin_facts *f, bool clear_ok, struct buf *out) { (void)f, (void)clear_ok, (void)out; }
struct signin_exchange *signin_begin(struct signin *s, struct span mechanism, const struct signin_facts *f, struct span initial, signin_fn *fn, void *arg) { (void)s, (void)mechanism, (void)f, (void)initial, (void)fn, (void)arg; return NULL; }
void signin_respond(struct signin_exchange *x, struct span response) { (void)x, (void)response; }
void signin_cancel(struct signin_exchange **x) { *x = NULL; }
