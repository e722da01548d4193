/* SPDX-License-Identifier: ISC */
/* robot - a next hop that takes everything, for the time after a crash. */
#ifndef TESTS_TALK_ROBOT_H
#define TESTS_TALK_ROBOT_H

#include "tests/talk/stage.h"

/* At this address; takes the descriptor; joins s->robots. */
void robot_new(struct stage *s, int fd, const char *address);
bool robots_step(struct stage *s); /* was anything done? */
void robots_free(struct stage *s);

#endif
