/* SPDX-License-Identifier: ISC */
/* disk - nodes with a current and a durable side, and what lies between. */
#include "tests/power/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"

#define SECTOR 512
#define NAME_SIZE 40
#define META_BYTES 8192         /* LMDB's two meta pages */
#define SPARSE_OVER (16u << 20) /* larger than what is written: only its size is kept */

struct image {
	uint8_t *p;
	size_t n, cap;
};

struct node;

struct entry {
	char name[NAME_SIZE];
	struct node *node; /* NULL: removed */
};

struct entries {
	struct entry *e;
	size_t n;
};

/* A change that is not flushed. */
struct change {
	enum stream_kind kind;
	uint64_t at;
	size_t n;
	const uint8_t *data;
	char name[NAME_SIZE], other[NAME_SIZE];
	struct node *node;
};

struct node {
	struct node *next; /* of all */
	uint64_t ino;
	bool dir, database;
	struct image now, flushed;
	struct entries names, flushed_names;
	struct change *change;
	size_t changes, cap;
};

struct record {
	struct stream_head h;
	const uint8_t *tail; /* names, then data */
};

struct disk {
	uint8_t *map;
	size_t size;
	struct record *record;
	size_t records, at;
	struct node *nodes, *root;
	bool committed;
	uint64_t dice;
	struct image scratch;
};

/* ---- chance */

static uint64_t
roll(struct disk *d)
{
	uint64_t z = d->dice += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static bool
chance(struct disk *d, unsigned percent)
{
	return roll(d) % 100 < percent;
}

/* ---- images */

static void
image_resize(struct image *m, size_t n)
{
	if (n > m->cap) {
		m->cap = n * 2 + 4096;
		m->p = mem_resize(m->p, m->cap, 1);
	}
	if (n > m->n)
		memset(m->p + m->n, 0, n - m->n);
	m->n = n;
}

static void
image_write(struct image *m, size_t at, const uint8_t *data, size_t n)
{
	if (at + n > m->n)
		image_resize(m, at + n);
	memcpy(m->p + at, data, n);
}

static void
image_copy(struct image *to, const struct image *from)
{
	to->n = 0;
	image_resize(to, from->n);
	if (from->n > 0)
		memcpy(to->p, from->p, from->n);
}

/* ---- names */

static struct entry *
find(struct entries *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->e[i].node != NULL && strcmp(l->e[i].name, name) == 0)
			return &l->e[i];
	return NULL;
}

static void
set_name(struct entries *l, const char *name, struct node *n)
{
	struct entry *e = find(l, name);
	if (e == NULL) {
		if (n == NULL)
			return;
		l->e = mem_resize(l->e, l->n + 1, sizeof(*l->e));
		e = &l->e[l->n++];
		CHECK(strlen(name) < NAME_SIZE);
		memcpy(e->name, name, strlen(name) + 1);
	}
	e->node = n;
	if (n == NULL)
		*e = l->e[--l->n];
}

static void
entries_copy(struct entries *to, const struct entries *from)
{
	to->e = mem_resize(to->e, from->n, sizeof(*to->e));
	to->n = from->n;
	if (from->n > 0)
		memcpy(to->e, from->e, from->n * sizeof(*to->e));
}

static void
apply_name(struct entries *l, const struct change *c)
{
	if (c->kind == STREAM_RENAME)
		set_name(l, c->name, NULL);
	set_name(l, c->kind == STREAM_RENAME ? c->other : c->name, c->node);
}

/* ---- nodes */

static struct node *
node_new(struct disk *d, uint64_t ino, bool dir)
{
	struct node *n = NEW(struct node);
	n->next = d->nodes;
	n->ino = ino;
	n->dir = dir;
	d->nodes = n;
	return n;
}

/* The latest with this number, for numbers may come back. */
static struct node *
node_of(const struct disk *d, uint64_t ino)
{
	struct node *n = d->nodes;
	while (n != NULL && n->ino != ino)
		n = n->next;
	return n;
}

/* The directory of a path, and its last name. */
static struct node *
walk(const struct disk *d, const char *path, char last[NAME_SIZE])
{
	struct node *n = d->root;
	const char *slash;
	while ((slash = strchr(path, '/')) != NULL) {
		char name[NAME_SIZE];
		size_t len = (size_t)(slash - path);
		CHECK(len < sizeof(name));
		memcpy(name, path, len);
		name[len] = '\0';
		struct entry *e = find(&n->names, name);
		CHECK(e != NULL);
		n = e->node;
		path = slash + 1;
	}
	CHECK(strlen(path) < NAME_SIZE);
	memcpy(last, path, strlen(path) + 1);
	return n;
}

static struct change *
add_change(struct node *n, enum stream_kind kind)
{
	if (n->changes == n->cap) {
		n->cap = n->cap ? n->cap * 2 : 8;
		n->change = mem_resize(n->change, n->cap, sizeof(*n->change));
	}
	struct change *c = &n->change[n->changes++];
	*c = (struct change){.kind = kind};
	return c;
}

/* ---- the stream */

static char *
name_of(const struct record *r, bool other)
{
	size_t n = other ? r->h.other_n : r->h.name_n;
	char *text = mem_alloc(n + 1);
	memcpy(text, r->tail + (other ? r->h.name_n : 0), n);
	return text;
}

static bool
name_has(const struct record *r, const char *part)
{
	return memmem(r->tail, r->h.name_n, part, strlen(part)) != NULL;
}

static void
index_stream(struct disk *d)
{
	size_t at = 0, cap = 0;
	while (at + sizeof(struct stream_head) <= d->size) {
		struct record r = {.tail = d->map + at + sizeof(struct stream_head)};
		memcpy(&r.h, d->map + at, sizeof(r.h));
		CHECK(r.h.magic == STREAM_MAGIC);
		at += sizeof(r.h) + r.h.name_n + r.h.other_n + r.h.data_n;
		CHECK(at <= d->size);
		if (d->records == cap) {
			cap = cap ? cap * 2 : 4096;
			d->record = mem_resize(d->record, cap, sizeof(*d->record));
		}
		d->record[d->records++] = r;
	}
	CHECK(at == d->size);
}

static bool
is_late(const struct record *r, const struct disk_order *o)
{
	if (r->h.kind == STREAM_MARK)
		return o->late_marks && r->h.ino == 0;
	return o->late_removals && r->h.kind == STREAM_REMOVE && name_has(r, "/big/");
}

static bool
makes_database(const struct record *r)
{
	return r->h.kind == STREAM_MAKE && name_has(r, "/data.mdb") &&
	       !name_has(r, "lock");
}

/* What is late goes behind the next flush of the database; behind the last one it is
 * dropped. */
static void
delay(struct disk *d, const struct disk_order *o)
{
	struct record *out = mem_alloc((d->records + 1) * sizeof(*out)),
		      *late = mem_alloc((d->records + 1) * sizeof(*late));
	size_t n = 0, lates = 0;
	uint64_t database = 0;
	for (size_t i = 0; i < d->records; i++) {
		const struct record *r = &d->record[i];
		if (makes_database(r))
			database = r->h.ino;
		if (is_late(r, o)) {
			late[lates++] = d->record[i];
			continue;
		}
		out[n++] = d->record[i];
		if (r->h.kind != STREAM_FLUSH || r->h.ino != database)
			continue;
		memcpy(out + n, late, lates * sizeof(*late));
		n += lates;
		lates = 0;
	}
	mem_free(&d->record);
	mem_free(&late);
	d->record = out;
	d->records = n;
}

struct disk *
disk_open(const char *stream, const struct disk_order *o)
{
	struct disk *d = NEW(struct disk);
	struct stat st;
	int fd = open(stream, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0 && fstat(fd, &st) == 0);
	d->size = (size_t)st.st_size;
	if (d->size > 0) {
		d->map = mmap(NULL, d->size, PROT_READ, MAP_PRIVATE, fd, 0);
		CHECK(d->map != MAP_FAILED);
	}
	(void)close(fd);
	index_stream(d);
	if (o->late_marks || o->late_removals)
		delay(d, o);
	d->root = node_new(d, 0, true);
	return d;
}

void
disk_free(struct disk **dp)
{
	struct disk *d = *dp;
	while (d->nodes != NULL) {
		struct node *n = d->nodes;
		d->nodes = n->next;
		mem_free(&n->now.p);
		mem_free(&n->flushed.p);
		mem_free(&n->names.e);
		mem_free(&n->flushed_names.e);
		mem_free(&n->change);
		mem_free(&n);
	}
	if (d->map != NULL)
		CHECK(munmap(d->map, d->size) == 0);
	mem_free(&d->scratch.p);
	mem_free(&d->record);
	mem_free(dp);
}

/* ---- one record */

static void
make(struct disk *d, const struct record *r)
{
	const struct stream_head *h = &r->h;
	if (h->name_n == 0) { /* the root, which was there */
		d->root->ino = h->ino;
		return;
	}
	char *path = name_of(r, false), last[NAME_SIZE];
	struct node *dir = walk(d, path, last);
	struct entry *e = find(&dir->names, last);
	if (e == NULL || e->node->ino != h->ino) {
		struct node *n = node_new(d, h->ino, h->at != 0);
		n->database = makes_database(r);
		struct change *c = add_change(dir, STREAM_MAKE);
		c->node = n;
		memcpy(c->name, last, sizeof(last));
		apply_name(&dir->names, c);
	}
	mem_free(&path);
}

static void
rename_or_link(struct disk *d, const struct record *r)
{
	const struct stream_head *h = &r->h;
	char *from = name_of(r, false), *to = name_of(r, true), a[NAME_SIZE],
	     b[NAME_SIZE];
	struct node *dir = walk(d, from, a), *there = walk(d, to, b);
	struct entry *e = find(&dir->names, a);
	CHECK(dir == there && e != NULL);
	struct change *c =
	    add_change(dir, h->kind == STREAM_RENAME ? STREAM_RENAME : STREAM_MAKE);
	c->node = e->node;
	memcpy(c->name, h->kind == STREAM_RENAME ? a : b, sizeof(a));
	memcpy(c->other, b, sizeof(b));
	apply_name(&dir->names, c);
	d->committed = c->node->database;
	mem_free(&from);
	mem_free(&to);
}

static void
remove_name(struct disk *d, const struct record *r)
{
	char *path = name_of(r, false), last[NAME_SIZE];
	struct node *dir = walk(d, path, last);
	struct change *c = add_change(dir, STREAM_REMOVE);
	memcpy(c->name, last, sizeof(last));
	apply_name(&dir->names, c);
	mem_free(&path);
}

/* Whatever is large and not written is only a size. */
static void
apply_data(struct image *m, const struct change *c)
{
	if (c->kind == STREAM_WRITE)
		image_write(m, c->at, c->data, c->n);
	else
		image_resize(m, c->at);
}

static void
data(struct disk *d, const struct record *r)
{
	const struct stream_head *h = &r->h;
	struct node *n = node_of(d, h->ino);
	if (n == NULL)
		return; /* its name was never below the root */
	if (h->kind == STREAM_SIZE && h->at > SPARSE_OVER)
		return;
	struct change *c = add_change(n, (enum stream_kind)h->kind);
	c->at = h->at;
	c->n = h->n;
	c->data = r->tail;
	apply_data(&n->now, c);
	d->committed = h->kind == STREAM_WRITE && n->database && h->at < META_BYTES;
}

/* These octets are durable, and nothing else. */
static void
synced(struct disk *d, const struct stream_head *h)
{
	struct node *n = node_of(d, h->ino);
	if (n == NULL || n->changes == 0)
		return;
	struct change *c = &n->change[n->changes - 1];
	CHECK(c->kind == STREAM_WRITE && c->at == h->at && c->n == h->n);
	apply_data(&n->flushed, c);
	n->changes--;
}

static void
flushed(struct disk *d, uint64_t ino)
{
	struct node *n = node_of(d, ino);
	if (n == NULL)
		return;
	if (n->dir)
		entries_copy(&n->flushed_names, &n->names);
	for (size_t i = 0; !n->dir && i < n->changes; i++)
		apply_data(&n->flushed, &n->change[i]);
	n->changes = 0;
}

bool
disk_step(struct disk *d, struct stream_head *out)
{
	if (d->at == d->records)
		return false;
	const struct record *r = &d->record[d->at++];
	d->committed = false;
	switch ((enum stream_kind)r->h.kind) {
	case STREAM_MAKE: make(d, r); break;
	case STREAM_RENAME:
	case STREAM_LINK: rename_or_link(d, r); break;
	case STREAM_REMOVE: remove_name(d, r); break;
	case STREAM_WRITE:
	case STREAM_SIZE: data(d, r); break;
	case STREAM_SYNCED: synced(d, &r->h); break;
	case STREAM_FLUSH: flushed(d, r->h.ino); break;
	case STREAM_MARK: break;
	}
	*out = r->h;
	return true;
}

uint64_t
disk_position(const struct disk *d)
{
	return d->at;
}

bool
disk_pending(const struct disk *d)
{
	for (const struct node *n = d->nodes; n != NULL; n = n->next)
		if (n->changes > 0)
			return true;
	return false;
}

bool
disk_committed(const struct disk *d)
{
	return d->committed;
}

/* ---- a state */

static void
keep_sectors(struct disk *d, struct image *m, const struct change *c)
{
	size_t n;
	for (size_t at = 0; at < c->n; at += n) {
		n = SECTOR - (c->at + at) % SECTOR;
		if (n > c->n - at)
			n = c->n - at;
		if (chance(d, 50))
			image_write(m, c->at + at, c->data + at, n);
	}
}

/* The durable image with some of the changes. */
static const struct image *
choose_data(struct disk *d, struct node *n, unsigned percent)
{
	image_copy(&d->scratch, &n->flushed);
	for (size_t i = 0; i < n->changes; i++) {
		const struct change *c = &n->change[i];
		if (chance(d, percent))
			apply_data(&d->scratch, c);
		else if (c->kind == STREAM_WRITE && chance(d, 25))
			keep_sectors(d, &d->scratch, c);
	}
	return &d->scratch;
}

static void
choose_names(struct disk *d, struct node *n, unsigned percent, struct entries *out)
{
	entries_copy(out, &n->flushed_names);
	for (size_t i = 0; i < n->changes; i++)
		if (chance(d, percent))
			apply_name(out, &n->change[i]);
}

static int
remove_one(const char *path, const struct stat *st, int what, struct FTW *ftw)
{
	(void)st, (void)what;
	return ftw->level > 0 ? remove(path) : 0;
}

/* Nobody saw what was stored into the mapped lock file: it may hold anything. */
static void
fill_lock(struct disk *d, const char *name, int fd, size_t size)
{
	uint64_t junk[512];
	if (strstr(name, "-lock") == NULL || size == 0 || chance(d, 50))
		return;
	for (size_t i = 0; i < COUNT_OF(junk); i++)
		junk[i] = roll(d);
	size_t n = size < sizeof(junk) ? size : sizeof(junk);
	CHECK(pwrite(fd, junk, n, 0) == (ssize_t)n);
}

static void
make_file(struct disk *d, const char *path, const char *name, const struct image *m)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	if (strstr(name, "-lock") != NULL) {
		CHECK(ftruncate(fd, (off_t)m->n) == 0);
		fill_lock(d, name, fd, m->n);
	} else if (m->n > 0) {
		CHECK(write(fd, m->p, m->n) == (ssize_t)m->n);
	}
	(void)close(fd);
}

static void
make_dir(struct disk *d, enum disk_choice how, unsigned percent, struct node *n,
    const char *path)
{
	struct entries chosen = {0};
	struct entries *l = how == DISK_ALL ? &n->names : &n->flushed_names;
	if (how == DISK_RANDOM) {
		choose_names(d, n, percent, &chosen);
		l = &chosen;
	}
	for (size_t i = 0; i < l->n; i++) {
		char at[256];
		struct node *child = l->e[i].node;
		CHECK(snprintf(at, sizeof(at), "%s/%s", path, l->e[i].name) <
		      (int)sizeof(at));
		if (child->dir) {
			CHECK(mkdir(at, 0700) == 0);
			make_dir(d, how, percent, child, at);
		} else if (how == DISK_RANDOM) {
			make_file(d, at, l->e[i].name, choose_data(d, child, percent));
		} else {
			make_file(d, at, l->e[i].name,
			    how == DISK_ALL ? &child->now : &child->flushed);
		}
	}
	mem_free(&chosen.e);
}

void
disk_make(struct disk *d, enum disk_choice how, uint64_t dice, const char *dir)
{
	static const unsigned percents[] = {5, 30, 50, 70, 95};
	d->dice = dice;
	unsigned percent = percents[roll(d) % COUNT_OF(percents)];
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	make_dir(d, how, percent, d->root, dir);
}
