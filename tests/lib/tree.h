/* SPDX-License-Identifier: ISC */
/* tree - the end of a test's directory. */
#ifndef TESTS_LIB_TREE_H
#define TESTS_LIB_TREE_H

/* With all that is below it; symbolic links are not followed.  What is not there, or
 * will not go, stays without a word. */
void tree_remove(const char *path);

#endif
