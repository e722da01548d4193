/* SPDX-License-Identifier: ISC */
#include "base/tls.h"
void
tls_server_unref(struct tls_server **ts)
{
	*ts = NULL;
}
