/* SPDX-License-Identifier: ISC */
/* params - the ESMTP parameters of MAIL and RCPT: two tables in params.c. */
#ifndef RELAY_INGRESS_PARAMS_H
#define RELAY_INGRESS_PARAMS_H

#include "base/scan.h"
#include "relay/ingress/command.h"

/* All parameters up to the end of the line. False: `why` is the answer. */
bool params_mail(struct scan *s, struct mail_command *out, struct verdict *why);
bool
params_rcpt(struct scan *s, bool utf8_ok, struct rcpt_command *out, struct verdict *why);

#endif
