/* SPDX-License-Identifier: ISC */
/* pages - heads, trees, free list; each number from the file is looked at before it is
 * followed. */
#include "spool/pages.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/span.h"

#define MAGIC 0xbeefc0deu
#define VERSION 1
#define HEADS 2
#define HEAD_BYTES 152
#define PAGE_MIN 512u
#define PAGE_MAX 65536u
#define PAGE_HEAD 16u
#define NODE_HEAD 8u
#define KEY_MAX 511u
#define DEPTH_MAX 32 /* of LMDB's cursors */
#define TREE_BYTES 48
#define NO_PAGE UINT64_MAX
#define SENTENCES 100 /* told; all are counted */
#define HEADS_TRIES 20

enum page_flag { PAGE_BRANCH = 1, PAGE_LEAF = 2, PAGE_OVERFLOW = 4, PAGE_IS_HEAD = 8 };
enum node_flag { NODE_BIG = 1, NODE_TREE = 2 };
#define TREE_INTEGER_KEYS 8u /* of the free list */
#define ENV_NOSUBDIR 0x4000u /* of the environment; it stands beside that */

struct tree { /* MDB_db */
	uint32_t pad;
	uint16_t flags, depth;
	uint64_t branches, leaves, overflow, entries, root;
};

struct head { /* MDB_meta */
	uint32_t page_size;
	struct tree free, main;
	uint64_t last, txn;
};

struct key {
	size_t n;
	unsigned char p[KEY_MAX];
};

struct level {
	unsigned char *page;
	unsigned next; /* node */
};

struct walk {
	int fd;
	void (*told)(void *arg, const char *sentence);
	void *arg;
	uint64_t found;
	uint32_t page_size;
	uint64_t last;       /* page that was ever used */
	uint64_t there;      /* pages that the file has */
	unsigned char *seen; /* a bit for each of them */
	uint64_t taken;      /* pages that belong to something */
	/* the tree that is walked */
	const char *name;
	const struct tree *tree;
	struct tree counted;
	struct key before, floor; /* the last key; the least that may come */
	bool first, has_floor;
	struct level level[DEPTH_MAX];
};

/* ---- numbers, as this machine has them */

static uint16_t
n16(const unsigned char *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t
n32(const unsigned char *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t
n64(const unsigned char *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static void
read_tree(const unsigned char *p, struct tree *t)
{
	*t = (struct tree){.pad = n32(p),
	    .flags = n16(p + 4),
	    .depth = n16(p + 6),
	    .branches = n64(p + 8),
	    .leaves = n64(p + 16),
	    .overflow = n64(p + 24),
	    .entries = n64(p + 32),
	    .root = n64(p + 40)};
}

static enum err
read_at(int fd, void *p, size_t n, uint64_t at)
{
	size_t got = 0;
	while (got < n) {
		ssize_t k = pread(fd, (char *)p + got, n - got, (off_t)(at + got));
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return ERR_IO;
		if (k == 0)
			return ERR_NOT_FOUND;
		got += (size_t)k;
	}
	return OK;
}

/* ---- heads */

static bool
read_head(const unsigned char *p, uint64_t number, struct head *h)
{
	read_tree(p + 40, &h->free);
	read_tree(p + 88, &h->main);
	h->page_size = h->free.pad;
	h->last = n64(p + 136);
	h->txn = n64(p + 144);
	return n64(p) == number && n16(p + 10) == PAGE_IS_HEAD && n32(p + 16) == MAGIC &&
	       n32(p + 20) == VERSION;
}

static bool
tree_fits(const struct tree *t, uint64_t last)
{
	if (t->root == NO_PAGE)
		return t->depth == 0 && t->entries == 0;
	return t->root >= HEADS && t->root <= last && t->depth >= 1 &&
	       t->depth <= DEPTH_MAX;
}

static bool
head_fits(const struct head *h, uint64_t i)
{
	return (h->free.flags & ~ENV_NOSUBDIR) == TREE_INTEGER_KEYS &&
	       h->main.flags == 0 && h->main.pad == 0 && h->last >= HEADS - 1 &&
	       tree_fits(&h->free, h->last) && tree_fits(&h->main, h->last) &&
	       (h->txn == 0 || (h->txn & 1) == i);
}

static bool
is_page_size(uint32_t n)
{
	return n >= PAGE_MIN && n <= PAGE_MAX && (n & (n - 1)) == 0;
}

/* Each transaction writes the head that the one before it has not written. */
static enum err
read_heads(int fd, struct head h[HEADS], struct buf *why)
{
	unsigned char p[HEADS][HEAD_BYTES];
	enum err e = read_at(fd, p[0], HEAD_BYTES, 0);
	if (e != OK)
		return e;
	bool fits = read_head(p[0], 0, &h[0]) && is_page_size(h[0].page_size);
	/* where its first head lies about the size of pages, the second is not found */
	e = read_at(fd, p[1], HEAD_BYTES, fits ? h[0].page_size : PAGE_MIN);
	if (e == ERR_IO)
		return e;
	fits = fits && e == OK && read_head(p[1], 1, &h[1]) &&
	       h[0].page_size == h[1].page_size;
	if (!fits || !head_fits(&h[0], 0) || !head_fits(&h[1], 1)) {
		buf_add_str(why, "one of the two heads of the database is damaged");
		return ERR_DAMAGED;
	}
	uint64_t apart = h[0].txn > h[1].txn ? h[0].txn - h[1].txn : h[1].txn - h[0].txn;
	if (apart == 1 || (h[0].txn == 0 && h[1].txn == 0))
		return OK;
	buf_addf(why,
	    "the two heads of the database do not follow each other (%llu and %llu)",
	    (unsigned long long)h[0].txn, (unsigned long long)h[1].txn);
	return ERR_DAMAGED;
}

/* ---- telling */

__attribute__((format(printf, 3, 4))) static void
damaged(struct walk *w, uint64_t page, const char *fmt, ...)
{
	char text[200], what[120];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	(void)snprintf(text, sizeof(text), "I0: page %llu of the database (%s): %s",
	    (unsigned long long)page, w->name, what);
	if (w->found++ < SENTENCES && w->told != NULL)
		w->told(w->arg, text);
}

/* ---- which pages there are */

/* Nothing else has this page. */
static bool
take(struct walk *w, uint64_t page)
{
	if (page < HEADS || page > w->last)
		return false;
	w->taken++;
	if (page >= w->there)
		return true; /* free, and never written */
	unsigned char bit = (unsigned char)(1u << (page % 8));
	bool had = w->seen[page / 8] & bit;
	w->seen[page / 8] |= bit;
	return !had;
}

static bool
take_run(struct walk *w, uint64_t page, uint64_t n)
{
	bool fine = n > 0 && page < w->there && n <= w->there - page;
	for (uint64_t i = 0; fine && i < n; i++)
		fine = take(w, page + i);
	return fine;
}

/* ---- keys */

static int
compare(const struct walk *w, const struct key *a, const struct key *b)
{
	if (w->tree->flags & TREE_INTEGER_KEYS) {
		uint64_t x = n64(a->p), y = n64(b->p);
		return (x > y) - (x < y);
	}
	int c = memcmp(a->p, b->p, a->n < b->n ? a->n : b->n);
	return c != 0 ? c : (a->n > b->n) - (a->n < b->n);
}

static bool
read_key(const struct walk *w, const unsigned char *node, struct key *k)
{
	k->n = n16(node + 6);
	if (k->n == 0 || k->n > KEY_MAX ||
	    ((w->tree->flags & TREE_INTEGER_KEYS) && k->n != 8))
		return false;
	memcpy(k->p, node + NODE_HEAD, k->n);
	return true;
}

static bool
in_order(struct walk *w, const struct key *k)
{
	bool fine = (w->first || compare(w, &w->before, k) < 0) &&
		    (!w->has_floor || compare(w, &w->floor, k) <= 0);
	w->has_floor = false;
	w->first = false;
	w->before = *k;
	return fine;
}

/* ---- one page */

static unsigned
nodes_of(const unsigned char *page)
{
	return (n16(page + 12) - PAGE_HEAD) / 2;
}

static const unsigned char *
node_at(const unsigned char *page, unsigned i)
{
	return page + n16(page + PAGE_HEAD + 2 * i);
}

/* The octets of a node, all of it; 0: it does not lie in its page. */
static uint32_t
node_size(const struct walk *w, const unsigned char *page, unsigned i)
{
	uint32_t at = n16(page + PAGE_HEAD + 2 * i);
	if (at % 2 != 0 || at < n16(page + 14) || at > w->page_size - NODE_HEAD)
		return 0;
	const unsigned char *node = page + at;
	uint64_t n = NODE_HEAD + (uint64_t)n16(node + 6);
	if (n16(page + 10) == PAGE_LEAF)
		n += n16(node + 4) & NODE_BIG ? 8 : n32(node);
	n += n & 1;
	return n <= w->page_size - at ? (uint32_t)n : 0;
}

/* Nodes fill their page from its end, without gaps. */
static const char *
look_at_nodes(const struct walk *w, const unsigned char *page)
{
	uint64_t all = 0;
	for (unsigned i = 0; i < nodes_of(page); i++) {
		uint32_t n = node_size(w, page, i);
		if (n == 0)
			return "a row lies outside of it";
		all += n;
	}
	return all == w->page_size - n16(page + 14) ? NULL : "its rows do not fill it";
}

static const char *
look_at_page(const struct walk *w, const unsigned char *page, uint64_t number, bool leaf)
{
	unsigned lower = n16(page + 12), upper = n16(page + 14);
	if (n64(page) != number)
		return "it says that it is another one";
	if (n16(page + 10) != (leaf ? PAGE_LEAF : PAGE_BRANCH))
		return "it is not of the kind that belongs here";
	if (lower < PAGE_HEAD || lower % 2 != 0 || lower > upper || upper > w->page_size)
		return "its bounds make no sense";
	if (nodes_of(page) < (leaf ? 1 : 2))
		return "it has too few rows";
	return look_at_nodes(w, page);
}

/* ---- leaves */

struct value { /* in its page, or from another on */
	const unsigned char *p;
	uint64_t page;
	uint32_t n;
};

/* The page numbers of a value of the free list: falling, and nobody else's. */
static bool
check_free(struct walk *w, const struct value *v)
{
	uint64_t at = v->page * w->page_size + PAGE_HEAD, n, page, before = NO_PAGE;
	unsigned char p[8];
	for (uint64_t i = 0, end = 0; i <= end; i++) {
		if ((i + 1) * 8 > v->n)
			return false;
		if (v->p != NULL)
			memcpy(p, v->p + i * 8, 8);
		else if (read_at(w->fd, p, 8, at + i * 8) != OK)
			return false;
		n = n64(p);
		if (i == 0) {
			end = n;
			continue;
		}
		page = n;
		if (page >= before || !take(w, page))
			return false;
		before = page;
	}
	return true;
}

static bool
find_value(struct walk *w, const unsigned char *node, struct value *v)
{
	unsigned char head[PAGE_HEAD];
	v->n = n32(node);
	v->p = node + NODE_HEAD + n16(node + 6);
	v->page = 0;
	if ((n16(node + 4) & NODE_BIG) == 0)
		return true;
	v->page = n64(v->p);
	v->p = NULL;
	uint64_t pages = ((uint64_t)v->n + PAGE_HEAD + w->page_size - 1) / w->page_size;
	if (v->page >= w->there ||
	    read_at(w->fd, head, sizeof(head), v->page * w->page_size) != OK)
		return false;
	w->counted.overflow += n32(head + 12);
	return n64(head) == v->page && n16(head + 10) == PAGE_OVERFLOW &&
	       n32(head + 12) == pages && take_run(w, v->page, pages);
}

static void
check_row(struct walk *w, uint64_t number, const unsigned char *node, unsigned want)
{
	struct key k;
	struct value v;
	w->counted.entries++;
	if (!read_key(w, node, &k) || !in_order(w, &k))
		damaged(w, number, "a key is not where it belongs");
	else if ((n16(node + 4) & ~(unsigned)NODE_BIG) != want)
		damaged(w, number, "a row is of a kind that we have none of");
	else if (!find_value(w, node, &v))
		damaged(w, number, "a large value is not where it says");
	else if (want == NODE_TREE && v.n != TREE_BYTES)
		damaged(w, number, "a table has no root");
	else if ((w->tree->flags & TREE_INTEGER_KEYS) && !check_free(w, &v))
		damaged(w, number, "what is said to be free is not");
}

/* ---- trees */

/* Into this level; false: it is damaged, and told. */
static bool
enter(struct walk *w, unsigned depth, uint64_t number)
{
	struct level *l = &w->level[depth];
	bool leaf = depth + 1 == w->tree->depth;
	const char *what = NULL;
	l->next = 0;
	if (l->page == NULL)
		l->page = mem_alloc(w->page_size);
	if (!take_run(w, number, 1))
		what = "it is outside of the file, or belongs to something else, too";
	else if (read_at(w->fd, l->page, w->page_size, number * w->page_size) != OK)
		what = "it cannot be read";
	else
		what = look_at_page(w, l->page, number, leaf);
	if (what != NULL) {
		damaged(w, number, "%s", what);
		return false;
	}
	w->counted.leaves += leaf;
	w->counted.branches += !leaf;
	return true;
}

/* The page below the next node of a branch; NO_PAGE: its key is not in order. */
static uint64_t
below(struct walk *w, struct level *l)
{
	const unsigned char *node = node_at(l->page, l->next);
	struct key k;
	if (l->next > 0) { /* the first one's key does not count */
		if (!read_key(w, node, &k) ||
		    (!w->first && compare(w, &w->before, &k) >= 0))
			return NO_PAGE;
		w->floor = k;
		w->has_floor = true;
	}
	l->next++;
	return n32(node) | (uint64_t)n16(node + 4) << 32;
}

static void
walk_tree(struct walk *w, unsigned want)
{
	unsigned depth = 0;
	if (!enter(w, 0, w->tree->root))
		return;
	for (;;) {
		struct level *l = &w->level[depth];
		bool leaf = depth + 1 == w->tree->depth;
		while (leaf && l->next < nodes_of(l->page))
			check_row(w, n64(l->page), node_at(l->page, l->next++), want);
		if (l->next >= nodes_of(l->page)) {
			if (depth-- == 0)
				return;
			continue;
		}
		uint64_t number = n64(l->page), page = below(w, l);
		if (page == NO_PAGE) {
			damaged(w, number, "a key is not where it belongs");
			l->next++;
		} else if (enter(w, depth + 1, page)) {
			depth++;
		}
	}
}

static void
check_tree(struct walk *w, const char *name, const struct tree *t, unsigned want)
{
	uint64_t before = w->found;
	w->name = name;
	w->tree = t;
	w->counted = (struct tree){0};
	w->first = true;
	w->has_floor = false;
	if (!tree_fits(t, w->last)) {
		damaged(w, 0, "it has no root that makes sense");
		return;
	}
	if (t->root != NO_PAGE)
		walk_tree(w, want);
	if (w->found == before &&
	    (w->counted.entries != t->entries || w->counted.leaves != t->leaves ||
		w->counted.branches != t->branches || w->counted.overflow != t->overflow))
		damaged(w, t->root, "it has other rows or pages than it says");
}

/* ---- the tables, whose roots are the rows of the main tree */

struct table {
	char name[KEY_MAX + 1];
	struct tree tree;
};

struct tables {
	struct table *table;
	size_t n;
};

#define TABLES_MAX 64

/* Once the main tree is known to be sound: it is small. */
static void
collect(struct walk *w, uint64_t page, unsigned depth, struct tables *out)
{
	unsigned char *p = mem_alloc(w->page_size);
	if (read_at(w->fd, p, w->page_size, page * w->page_size) == OK)
		for (unsigned i = 0; i < nodes_of(p) && out->n < TABLES_MAX; i++) {
			const unsigned char *node = node_at(p, i);
			if (depth > 1) {
				collect(w, n32(node) | (uint64_t)n16(node + 4) << 32,
				    depth - 1, out);
				continue;
			}
			struct table *t = &out->table[out->n++];
			span_copy(
			    (struct span){(const char *)node + NODE_HEAD, n16(node + 6)},
			    t->name, sizeof(t->name));
			read_tree(node + NODE_HEAD + n16(node + 6), &t->tree);
		}
	mem_free(&p);
}

static void
check_tables(struct walk *w, const struct tree *main)
{
	struct tables all = {mem_alloc(TABLES_MAX * sizeof(struct table)), 0};
	if (main->root != NO_PAGE)
		collect(w, main->root, main->depth, &all);
	for (size_t i = 0; i < all.n; i++) {
		struct table *t = &all.table[i];
		if (t->tree.flags == 0 && t->tree.pad == 0) {
			check_tree(w, t->name, &t->tree, 0);
			continue;
		}
		w->name = t->name;
		damaged(w, 0, "it is of a kind that we have none of");
	}
	mem_free(&all.table);
}

static const char older[] = "it is older than the last change (page numbers are told "
			    "of transaction %llu, and this would be %llu)";

static void
check_all(struct walk *w, const struct head *h)
{
	check_tree(w, "free list", &h->free, 0);
	uint64_t before = w->found;
	if (before == 0 && !w->first && n64(w->before.p) != h->txn)
		damaged(w, h->free.root, older, (unsigned long long)n64(w->before.p),
		    (unsigned long long)h->txn);
	check_tree(w, "tables", &h->main, NODE_TREE);
	if (w->found == before)
		check_tables(w, &h->main);
	w->name = "all";
	if (w->found == 0 && w->taken + HEADS != h->last + 1)
		damaged(w, h->last, "of %llu pages %llu belong to something",
		    (unsigned long long)h->last + 1,
		    (unsigned long long)w->taken + HEADS);
}

enum err
pages_check(int fd, uint64_t txn, void (*told)(void *arg, const char *sentence),
    void *arg, uint64_t *found)
{
	struct walk w = {.fd = fd, .told = told, .arg = arg, .name = "heads"};
	struct head h[HEADS];
	struct stat st;
	struct buf why;
	*found = 0;
	buf_init(&why, 400);
	enum err e = read_heads(fd, h, &why);
	/* commits may come between one read and the other */
	for (int i = 0; e == ERR_DAMAGED && txn != 0 && i < HEADS_TRIES; i++) {
		buf_reset(&why);
		e = read_heads(fd, h, &why);
	}
	if (e == OK && fstat(fd, &st) != 0)
		e = ERR_IO;
	if (e == ERR_DAMAGED)
		damaged(&w, 0, "%.*s", SPAN_ARG(buf_span(&why)));
	buf_clear(&why);
	*found = w.found;
	if (e != OK)
		return e == ERR_DAMAGED ? OK : e;
	const struct head *newest = &h[h[1].txn > h[0].txn];
	if (txn != 0 && newest->txn != txn)
		newest = &h[h[1].txn <= h[0].txn];
	if (txn != 0 && newest->txn != txn)
		return ERR_AGAIN;
	w.page_size = newest->page_size;
	w.last = newest->last;
	w.there = (uint64_t)st.st_size / w.page_size;
	w.seen = mem_alloc(w.there / 8 + 1);
	check_all(&w, newest);
	for (unsigned i = 0; i < DEPTH_MAX; i++)
		mem_free(&w.level[i].page);
	mem_free(&w.seen);
	*found = w.found;
	return OK;
}

/* ---- at each start */

/*
 * Each transaction but the first frees pages, and says so in the free list under its own
 * number: an older head whose number has changed does not fit the last row there.
 */
static bool
is_newest(struct walk *w, const struct head *h)
{
	unsigned char *page = mem_alloc(w->page_size);
	uint64_t number = h->free.root;
	bool fine = true;
	struct key k;
	w->tree = &h->free;
	for (unsigned depth = 1; fine && depth <= h->free.depth; depth++) {
		bool leaf = depth == h->free.depth;
		fine = number < w->there &&
		       read_at(w->fd, page, w->page_size, number * w->page_size) == OK &&
		       look_at_page(w, page, number, leaf) == NULL;
		if (!fine)
			break;
		const unsigned char *node = node_at(page, nodes_of(page) - 1);
		fine = !leaf || (read_key(w, node, &k) && n64(k.p) == h->txn);
		number = n32(node) | (uint64_t)n16(node + 4) << 32;
	}
	mem_free(&page);
	return fine;
}

enum err
pages_look(int fd, struct buf *why)
{
	struct head h[HEADS];
	struct stat st;
	if (fstat(fd, &st) != 0)
		return err_from_errno(errno);
	enum err e = read_heads(fd, h, why);
	if (e != OK)
		return e == ERR_NOT_FOUND ? OK : e;
	const struct head *newest = &h[h[1].txn > h[0].txn];
	struct walk w = {.fd = fd,
	    .page_size = newest->page_size,
	    .there = (uint64_t)st.st_size / newest->page_size};
	if (newest->main.root != NO_PAGE && newest->main.root >= w.there)
		buf_add_str(why, "the file of the database ends too early");
	else if (!is_newest(&w, newest))
		buf_add_str(why, "the newest head of the database does not fit its free "
				 "list: it may be an older one");
	return why->n > 0 ? ERR_DAMAGED : OK;
}
