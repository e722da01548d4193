/* SPDX-License-Identifier: ISC */
/*
 * init - relayd as the first process of a container.  Process 1 is left orphans, whom
 * it must bury, and gets no signal that it does not ask for; so relayd itself runs as a
 * child, and process 1 only hands on signals and buries.
 */
#ifndef RELAY_INIT_H
#define RELAY_INIT_H

/* In process 1 it returns in a child only; process 1 ends with the child's status.
 * Elsewhere it returns at once. */
void init_if_first(void);

#endif
