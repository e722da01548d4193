/* SPDX-License-Identifier: ISC */
/*
 * fault - named places where a test lets the process die or a call fail.
 *
 *	if (FAULT("spool.commit"))
 *		return ERR_IO;
 *
 * Without RELAY_FAULTS the macro is the constant false and costs nothing.
 * With it (the variants that run talks and crash tests) each pass of a name is
 * counted, and fault_plan() decides: die by _exit(FAULT_EXIT) at the n-th pass
 * of any name, or of one name, or fail there.  The environment can plan too:
 * RELAY_FAULT=die:NAME:N or fail:NAME:N (no NAME: any), read at the first pass
 * unless there is a plan already.
 *
 *	FAULT_BYTES("delivery.send", bytes);
 *
 * strikes each time that these octets hold a certain text: RELAY_FAULT=crash:NAME:TEXT
 * aborts, hang:NAME:TEXT never comes back.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include <stdbool.h>

#include "base/span.h"

#define FAULT_EXIT 77

#ifdef RELAY_FAULTS
#define FAULT(name) fault_hit(name)
#define FAULT_BYTES(name, bytes) fault_bytes((name), (bytes))
#else
#define FAULT(name) (false)
#define FAULT_BYTES(name, bytes) ((void)(bytes))
#endif

enum fault_what { FAULT_NONE, FAULT_DIE, FAULT_FAIL, FAULT_CRASH, FAULT_HANG };

/* True if the call at this place shall fail. May not return. Any thread. */
bool fault_hit(const char *name);

/* From now on: at the n-th pass (1 = the next) of `name` (NULL: of any place) do `what`.
 */
void fault_plan(enum fault_what what, const char *name, unsigned long n);

/* Behind fault_plan(): it strikes at so many passes of one place, one after the other. */
void fault_plan_times(unsigned long times);

/* At this place the process works on these octets.  May not return.  Any thread. */
void fault_bytes(const char *name, struct span bytes);

/* From now on: when that place (NULL: any) has octets with this text, crash or hang. */
void fault_plan_bytes(enum fault_what what, const char *name, const char *text);

/* Passes counted since the last plan, over all names. */
unsigned long fault_passes(void);

#endif
