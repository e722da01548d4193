/* SPDX-License-Identifier: ISC */
/* inbox - a mutex, a list and an eventfd. */
#include "base/inbox.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"

struct inbox {
	pthread_mutex_t lock;
	struct parcel_chain waiting;
	int fd;
};

void
parcel_chain_add(struct parcel_chain *c, struct parcel *p)
{
	p->next = NULL;
	if (c->first == NULL)
		c->last = &c->first;
	*c->last = p;
	c->last = &p->next;
}

struct parcel *
parcel_chain_take(struct parcel_chain *c)
{
	struct parcel *first = c->first;
	*c = (struct parcel_chain){0};
	return first;
}

struct inbox *
inbox_new(void)
{
	struct inbox *in = NEW(struct inbox);
	CHECK(pthread_mutex_init(&in->lock, NULL) == 0);
	in->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	CHECK(in->fd >= 0);
	return in;
}

void
inbox_free(struct inbox **inp)
{
	struct inbox *in = *inp;
	if (in == NULL)
		return;
	CHECK(in->waiting.first == NULL);
	(void)close(in->fd);
	(void)pthread_mutex_destroy(&in->lock);
	mem_free(inp);
}

int
inbox_fd(const struct inbox *in)
{
	return in->fd;
}

void
inbox_post(struct inbox *in, struct parcel *p)
{
	p->next = NULL;
	inbox_post_chain(in, p);
}

void
inbox_post_chain(struct inbox *in, struct parcel *first)
{
	if (first == NULL)
		return;
	(void)pthread_mutex_lock(&in->lock);
	bool was_empty = in->waiting.first == NULL;
	while (first != NULL) {
		struct parcel *next = first->next;
		parcel_chain_add(&in->waiting, first);
		first = next;
	}
	(void)pthread_mutex_unlock(&in->lock);
	if (was_empty)
		inbox_wake(in);
}

void
inbox_wake(struct inbox *in)
{
	uint64_t one = 1;
	ssize_t n;
	do
		n = write(in->fd, &one, sizeof(one));
	while (n < 0 && errno == EINTR);
}

struct parcel *
inbox_take(struct inbox *in)
{
	uint64_t count;
	ssize_t n = read(in->fd, &count, sizeof(count));
	(void)n; /* EAGAIN: nothing has been posted since the last take */
	(void)pthread_mutex_lock(&in->lock);
	struct parcel *first = parcel_chain_take(&in->waiting);
	(void)pthread_mutex_unlock(&in->lock);
	return first;
}

unsigned
inbox_open_all(struct inbox *in)
{
	unsigned n = 0;
	struct parcel *p = inbox_take(in);
	while (p != NULL) {
		struct parcel *next = p->next;
		p->open(p);
		p = next;
		n++;
	}
	return n;
}

void
inbox_wait(struct inbox *in)
{
	struct pollfd p = {.fd = in->fd, .events = POLLIN};
	while (poll(&p, 1, -1) < 0)
		CHECK(errno == EINTR);
}
