/* SPDX-License-Identifier: ISC */
/*
 * actors - clients, next hops and administrators, as a script has them play.
 *
 * A cast keeps every connection by the name of its actor, so that a later block
 * can go on with it (`again`).  cast_play() plays the parts of one step side by
 * side: each goes on as long as it need not wait; when all wait and the daemon
 * has nothing to do either, the talk has failed.
 */
#ifndef TESTS_TALK_ACTORS_H
#define TESTS_TALK_ACTORS_H

#include "tests/talk/stage.h"

struct cast;

struct cast *cast_new(struct stage *s);
void cast_free(struct cast **c);
void cast_play(struct cast *c, struct step *step);

/* Who has seen the end of his connection closes his side, too. */
void cast_hang_up(struct cast *c);

#endif
