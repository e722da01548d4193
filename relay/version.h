/* SPDX-License-Identifier: ISC */
/* version - of the programs; the spool and the control protocol count their own. */
#ifndef RELAY_VERSION_H
#define RELAY_VERSION_H

#define RELAYD_VERSION "0.5.0"

#endif
