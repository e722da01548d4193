/* SPDX-License-Identifier: ISC */
/*
 * environment - a configuration from RELAYD_... variables, for a container that sends
 * everything by one smarthost.  It is written as a file would be, and goes through the
 * same parser.  A variable that begins with RELAYD_ and is not known is an error, for a
 * misspelt one must not leave a setting at something wider than was meant; and nobody
 * but this machine may relay unless RELAYD_NETWORKS says who.
 */
#ifndef RELAY_ENVIRONMENT_H
#define RELAY_ENVIRONMENT_H

#include <stdbool.h>

#include "base/buf.h"

/* False: `errors` has a line for each thing that is wrong. */
bool environment_config(char *const *env, struct buf *text, struct buf *errors);

#endif
