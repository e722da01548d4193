/* SPDX-License-Identifier: ISC */
/* config_hint - what would be right: the nearest known word, or all of them. */
#include "relay/config_private.h"

#include <string.h>

#include "base/mem.h"

#define WORD_MAX 32

static unsigned
least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Letters to add, drop, change or swap with their neighbour (optimal string alignment).
 */
static unsigned
distance(const char *a, const char *b)
{
	unsigned d[WORD_MAX + 1][WORD_MAX + 1];
	size_t an = strlen(a), bn = strlen(b);
	if (an > WORD_MAX || bn > WORD_MAX)
		return WORD_MAX;
	for (size_t i = 0; i <= an; i++)
		d[i][0] = (unsigned)i;
	for (size_t k = 0; k <= bn; k++)
		d[0][k] = (unsigned)k;
	for (size_t i = 1; i <= an; i++) {
		for (size_t k = 1; k <= bn; k++) {
			unsigned change = ascii_lower(a[i - 1]) != ascii_lower(b[k - 1]);
			d[i][k] = least(d[i - 1][k] + 1, d[i][k - 1] + 1);
			d[i][k] = least(d[i][k], d[i - 1][k - 1] + change);
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] &&
			    a[i - 2] == b[k - 1])
				d[i][k] = least(d[i][k], d[i - 2][k - 2] + 1);
		}
	}
	return d[an][bn];
}

struct nearest {
	const char *word;
	unsigned distance;
};

/* A third of the letters may be wrong, but no word is near to nothing. */
static void
consider(struct nearest *n, const char *typed, const char *known)
{
	unsigned d = distance(typed, known);
	if (d <= (strlen(known) + 2) / 3 && d < strlen(typed) && d < n->distance)
		*n = (struct nearest){known, d};
}

static bool
add_nearest(const struct nearest *n, struct buf *out)
{
	if (n->word != NULL)
		buf_addf(out, "; did you mean \"%s\"?", n->word);
	return n->word != NULL;
}

/* Where else the key is: a section without a name, which is for all, before the others.
 */
static const struct config_key *
elsewhere(const char *name)
{
	const struct config_key *found = NULL;
	for (const struct config_key *k = config_schema; k->name != NULL; k++) {
		if (strcmp(k->name, name) != 0)
			continue;
		if (!config_section_find(k->section)->titled)
			return k;
		found = found != NULL ? found : k;
	}
	return found;
}

static void
add_known(const char *section, struct buf *out)
{
	const char *between = "; known here: ";
	for (const struct config_key *k = config_schema; k->name != NULL; k++) {
		if (strcmp(k->section, section) != 0)
			continue;
		buf_addf(out, "%s%s", between, k->name);
		between = ", ";
	}
	for (const struct config_section *s = config_sections + 1; !*section && s->name;
	     s++)
		buf_addf(out, ", %s", s->name);
}

void
config_hint_key(const char *section, const char *name, struct buf *out)
{
	struct nearest n = {NULL, WORD_MAX};
	const struct config_key *other = elsewhere(name);
	for (const struct config_key *k = config_schema; k->name != NULL; k++)
		if (strcmp(k->section, section) == 0)
			consider(&n, name, k->name);
	for (const struct config_section *s = config_sections + 1; !*section && s->name;
	     s++)
		consider(&n, name, s->name);
	if (other != NULL && *other->section != '\0')
		buf_addf(out, "; it belongs into %s { }", other->section);
	else if (other != NULL || config_section_find(name) != NULL)
		buf_add_str(out,
		    "; it belongs outside of this section: is a } missing before it?");
	else if (!add_nearest(&n, out))
		add_known(section, out);
}

void
config_hint_word(const char *const *words, const char *word, struct buf *out)
{
	struct nearest n = {NULL, WORD_MAX};
	for (const char *const *w = words; *w != NULL; w++)
		consider(&n, word, *w);
	if (add_nearest(&n, out))
		return;
	for (const char *const *w = words; *w != NULL; w++)
		buf_addf(out, "%s\"%s\"",
		    w == words ? "; write "
		    : w[1]     ? ", "
			       : " or ",
		    *w);
}
