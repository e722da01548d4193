/* SPDX-License-Identifier: ISC */
/* control - the socket, its clients, and the frame around a command. */
#include "relay/control/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/control/client.h"

#define IDLE_MS (10 * MINUTE_MS)
#define LISTEN_BACKLOG 64
#define ACCEPT_AGAIN_MS SECOND_MS

static void client_drop(struct control_client *cc);

/* ---- answers */

struct json *
control_line(struct control_client *cc)
{
	buf_reset(&cc->line);
	cc->json = (struct json){.out = &cc->line};
	return &cc->json;
}

/* From inside: whoever asked has the object as it would have come over the socket. */
static void
tell_inside(struct control_client *cc)
{
	json_t *object = json_loadb(cc->line.p, cc->line.n, 0, NULL);
	if (object != NULL)
		cc->inquiry.told(cc->inquiry.arg, object);
	json_decref(object);
}

void
control_send(struct control_client *cc)
{
	if (cc->account != NULL && !cc->dead)
		tell_inside(cc);
	buf_add_char(&cc->line, '\n');
	if (cc->io == NULL)
		return;
	io_add(cc->io, cc->line.p, cc->line.n);
	io_deadline(cc->io, IDLE_MS);
}

bool
control_full(const struct control_client *cc)
{
	return cc->io != NULL && io_queued(cc->io) > IO_HIGH;
}

/* done() may ask again, or be the end of whoever asked. */
static void
end_inside(struct control_client *cc, int status, const char *error)
{
	struct control_inquiry inquiry = cc->inquiry;
	char text[512];
	span_copy(span_str(error != NULL ? error : ""), text, sizeof(text));
	if (cc->dead)
		return;
	client_drop(cc);
	inquiry.done(inquiry.arg, status, error != NULL ? text : NULL);
}

struct log_field
control_by(const struct control_client *cc)
{
	if (cc->account != NULL)
		return F_STR("account", cc->account);
	return F_INT("uid", cc->uid);
}

void
control_end(struct control_client *cc, int status, const char *error)
{
	CHECK(cc->command == NULL);
	cc->more = NULL;
	cc->gone = NULL;
	if (cc->account != NULL) {
		end_inside(cc, status, error);
		return;
	}
	struct json *j = control_line(cc);
	json_open(j, '{');
	json_bool(j, "end", true);
	json_int(j, "status", status);
	if (error != NULL)
		json_cstr(j, "error", error);
	json_close(j, '}');
	control_send(cc);
	if (cc->io != NULL)
		io_resume(cc->io);
}

void
control_endf(struct control_client *cc, int status, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	control_end(cc, status, text);
}

/* ---- clients */

static void
client_drop(struct control_client *cc)
{
	if (cc->dead)
		return;
	cc->dead = true;
	if (cc->gone != NULL)
		cc->gone(cc);
	cc->command = NULL;
	cc->gone = NULL;
	if (cc->account != NULL) {
		later_clear(&cc->begin);
		json_decref(cc->request);
		cc->request = NULL;
	}
	io_free(&cc->io);
	list_remove(&cc->link);
	list_push(&cc->control->dead, &cc->link);
	later_set(&cc->control->reap);
}

static void
reap(void *arg)
{
	struct control *c = arg;
	struct link *k;
	while ((k = list_pop(&c->dead)) != NULL) {
		struct control_client *cc = CONTAINER_OF(k, struct control_client, link);
		buf_clear(&cc->line);
		c->client_count -= cc->account == NULL;
		mem_free(&cc->account);
		mem_free(&cc);
	}
}

static void
take_request(struct control_client *cc, struct span line)
{
	json_error_t error;
	json_t *request = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, &error);
	control_wipe(line);
	io_pause(cc->io);
	if (request == NULL || !json_is_object(request))
		control_endf(cc, 2,
		    "the request is not a JSON object in one line: %.200s",
		    request ? "something else" : error.text);
	else
		control_run(cc, request);
	control_wipe_secrets(request);
	json_decref(request);
}

static void
on_input(struct control_client *cc)
{
	struct span line;
	if (cc->until_eof) {
		client_drop(cc);
		return;
	}
	while (cc->io != NULL && !io_paused(cc->io)) {
		enum io_line got = io_line(cc->io, CONTROL_LINE_MAX - 2, &line);
		if (got == IO_MORE)
			return;
		if (got == IO_LINE)
			take_request(cc, line);
		else
			control_end(cc, 2,
			    "a request is one line that ends in CR LF, 64 KiB at most");
	}
}

static void
on_io(void *arg, enum io_event ev)
{
	struct control_client *cc = arg;
	switch (ev) {
	case IO_INPUT: on_input(cc); break;
	case IO_DRAINED:
		if (cc->more != NULL)
			cc->more(cc);
		break;
	case IO_EOF:
		if (cc->until_eof) {
			client_drop(cc);
		} else if (cc->command == NULL && io_queued(cc->io) > 0) {
			io_finish(&cc->io, 5 * SECOND_MS);
			client_drop(cc);
		} else if (cc->command == NULL) {
			client_drop(cc);
		}
		break;
	case IO_TIMEOUT:
	case IO_ERROR:
	case IO_TLS:
	case IO_CONNECTED: client_drop(cc); break;
	}
	if (!cc->dead)
		io_deadline(cc->io, IDLE_MS);
}

void
control_serve(struct control *c, int fd)
{
	if (c->client_count >= CONTROL_CLIENT_MAX) {
		(void)close(fd);
		return;
	}
	struct control_client *cc = NEW(struct control_client);
	cc->control = c;
	buf_init(&cc->line, 1u << 20);
	cc->io = io_new(c->loop, fd, on_io, cc);
	io_deadline(cc->io, IDLE_MS);
	list_push(&c->clients, &cc->link);
	c->client_count++;
	struct ucred peer;
	socklen_t n = sizeof(peer);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0)
		cc->uid = peer.uid;
}

/* ---- from inside */

static void
begin_inside(void *arg)
{
	struct control_client *cc = arg;
	control_run(cc, cc->request);
}

struct control_client *
control_ask(struct control *c, const char *account, const json_t *request,
    const struct control_inquiry *inquiry)
{
	struct control_client *cc = NEW(struct control_client);
	cc->control = c;
	cc->account = mem_strdup(account);
	cc->request = json_deep_copy(request);
	cc->inquiry = *inquiry;
	buf_init(&cc->line, 1u << 20);
	later_init(&cc->begin, c->loop, begin_inside, cc);
	later_set(&cc->begin);
	list_push(&c->clients, &cc->link);
	return cc;
}

void
control_ask_cancel(struct control_client **ccp)
{
	struct control_client *cc = *ccp;
	*ccp = NULL;
	if (cc != NULL)
		client_drop(cc);
}

/* ---- who may come in */

static bool
in_group(int fd, gid_t want, gid_t first)
{
	gid_t list[256];
	socklen_t n = sizeof(list);
	if (first == want)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, list, &n) != 0)
		return false;
	for (size_t i = 0; i < n / sizeof(gid_t); i++)
		if (list[i] == want)
			return true;
	return false;
}

/* root, ourselves, and the group that the socket's mode lets in. */
static bool
peer_allowed(struct control *c, int fd)
{
	struct ucred peer;
	struct stat st;
	struct sockaddr_un at;
	socklen_t n = sizeof(peer), at_n = sizeof(at);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) != 0)
		return false;
	if (peer.uid == 0 || peer.uid == geteuid())
		return true;
	if (getsockname(c->fd, (struct sockaddr *)&at, &at_n) != 0 ||
	    stat(at.sun_path, &st) != 0)
		return false;
	return (st.st_mode & S_IWGRP) != 0 && in_group(fd, st.st_gid, peer.gid);
}

static void
on_accept(void *arg, unsigned what)
{
	struct control *c = arg;
	(void)what;
	int fd = accept4(c->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		/* out of descriptors: the connection keeps waiting, and we do not spin on
		 * it */
		watch_set(&c->accept, 0);
		timer_set(&c->accept_again, ACCEPT_AGAIN_MS);
	}
	if (fd < 0)
		return;
	if (peer_allowed(c, fd))
		control_serve(c, fd);
	else
		(void)close(fd);
}

static void
on_accept_again(void *arg)
{
	struct control *c = arg;
	watch_set(&c->accept, WATCH_READ);
}

void
control_listen(struct control *c, int fd)
{
	CHECK(c->fd < 0);
	timer_init(&c->accept_again, c->loop, on_accept_again, c);
	c->fd = fd;
	watch_init(&c->accept, c->loop, fd, on_accept, c);
	watch_set(&c->accept, WATCH_READ);
}

/* ---- life */

struct control *
control_new(const struct control_options *o)
{
	struct control *c = NEW(struct control);
	c->loop = o->loop;
	c->log = o->log;
	c->spool = o->spool;
	c->scheduler = o->scheduler;
	c->ingress = o->ingress;
	c->egress = o->egress;
	c->pickup = o->pickup;
	c->host = o->host;
	c->fd = -1;
	list_init(&c->clients);
	list_init(&c->dead);
	later_init(&c->reap, c->loop, reap, c);
	return c;
}

void
control_free(struct control **cp)
{
	struct control *c = *cp;
	if (c == NULL)
		return;
	LIST_EACH (&c->clients, k)
		client_drop(CONTAINER_OF(k, struct control_client, link));
	reap(c);
	later_clear(&c->reap);
	if (c->fd >= 0) {
		struct sockaddr_un at;
		socklen_t n = sizeof(at);
		if (getsockname(c->fd, (struct sockaddr *)&at, &n) == 0 &&
		    n > sizeof(sa_family_t))
			(void)unlink(at.sun_path);
		watch_clear(&c->accept);
		timer_clear(&c->accept_again);
		(void)close(c->fd);
	}
	mem_free(cp);
}

/* ---- the socket */

static void
make_parent(const char *path, bool everyone)
{
	char *dir = mem_strdup(path);
	char *slash = strrchr(dir, '/');
	if (slash != NULL && slash != dir) {
		*slash = '\0';
		mode_t mode = everyone ? 0755 : 0750;
		if (mkdir(dir, mode) == 0)
			(void)chmod(dir, mode); /* whatever the umask */
	}
	mem_free(&dir);
}

/* Somebody answers at the address: it is not ours to replace. */
static bool
alive(const struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	bool yes =
	    connect(fd, (const struct sockaddr *)at, sizeof(*at)) == 0 || errno == EAGAIN;
	(void)close(fd);
	return yes;
}

int
control_socket(const char *path, unsigned mode)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct stat st;
	if (strlen(path) >= sizeof(at.sun_path))
		return ERR_RANGE;
	memcpy(at.sun_path, path, strlen(path) + 1);
	make_parent(path, (mode & 0007) != 0);
	if (alive(&at))
		return ERR_BUSY;
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		(void)unlink(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_from_errno(errno);
	mode_t old = umask(0777 & ~mode);
	int bound = bind(fd, (const struct sockaddr *)&at, sizeof(at));
	int saved = errno;
	(void)umask(old);
	if (bound != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
		enum err e = err_from_errno(bound != 0 ? saved : errno);
		(void)close(fd);
		return e;
	}
	return fd;
}
