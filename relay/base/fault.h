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
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include <stdbool.h>

#define FAULT_EXIT 77

#ifdef RELAY_FAULTS
#define FAULT(name) fault_hit(name)
#else
#define FAULT(name) (false)
#endif

enum fault_what { FAULT_NONE, FAULT_DIE, FAULT_FAIL };

/* True if the call at this place shall fail. May not return. Any thread. */
bool fault_hit(const char *name);

/* From now on: at the n-th pass (1 = the next) of `name` (NULL: of any place) do `what`.
 */
void fault_plan(enum fault_what what, const char *name, unsigned long n);

/* Passes counted since the last plan, over all names. */
unsigned long fault_passes(void);

#endif
