/* SPDX-License-Identifier: ISC */
/* ctl_socket - one request to the running relayd, its answer line by line. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "relay/control/control.h"
#include "tools/ctl.h"

#define ANSWER_LINE_MAX (4u << 20)
#define NOT_ALLOWED (-2) /* somebody may well be there */

static const char *
socket_path(struct ctl *c)
{
	if (c->socket != NULL)
		return c->socket;
	const struct config *config = ctl_config(c);
	return config ? config->control_path : NULL;
}

static int
connect_to(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(at.sun_path))
		return -1;
	memcpy(at.sun_path, path, strlen(path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0)
		return fd;
	bool forbidden = errno == EACCES;
	if (forbidden)
		fprintf(stderr,
		    "relayctl: no permission for %s; run as root or join its group\n",
		    path);
	(void)close(fd);
	return forbidden ? NOT_ALLOWED : -1;
}

static bool
send_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return false;
		p += sent;
		n -= (size_t)sent;
	}
	return true;
}

/* The request may hold a password: one buffer, which is wiped. */
static bool
send_request(int fd, const json_t *request)
{
	char *text = mem_alloc_raw(CONTROL_LINE_MAX);
	size_t n = json_dumpb(request, text, CONTROL_LINE_MAX - 2, JSON_COMPACT);
	bool fits = n > 0 && n <= CONTROL_LINE_MAX - 2;
	if (fits)
		memcpy(text + n, "\r\n", 2);
	else
		fputs("relayctl: too much for one request\n", stderr);
	bool ok = fits && send_all(fd, text, n + 2);
	explicit_bzero(text, CONTROL_LINE_MAX);
	mem_free(&text);
	return ok;
}

bool
ctl_take_line(struct ctl *c, struct span text, int *status)
{
	json_error_t error;
	/* lists are long: a line that goes out as it comes is not looked into */
	if (ctl_as_it_comes(c) && memmem(text.p, text.n, "\"end\":", 6) == NULL) {
		ctl_line(c, NULL, text.p, text.n);
		return false;
	}
	json_t *line = json_loadb(text.p, text.n, 0, &error);
	if (line == NULL) {
		fprintf(stderr, "relayctl: relayd's answer is not understood: %s\n",
		    error.text);
		*status = CTL_NOTHING;
		return true;
	}
	bool last = json_is_true(json_object_get(line, "end"));
	if (last) {
		const char *why = json_string_value(json_object_get(line, "error"));
		*status = (int)json_integer_value(json_object_get(line, "status"));
		bool nothing = why != NULL && strcmp(why, "nothing matched") == 0;
		if (nothing && c->nothing_is_fine) {
			*status = CTL_DONE;
		} else if (why != NULL) {
			fputs("relayctl: ", stderr);
			ctl_put_to(stderr, why);
			fputc('\n', stderr);
		}
	} else {
		ctl_line(c, line, text.p, text.n);
	}
	json_decref(line);
	return last;
}

static int
read_answer(struct ctl *c, int fd)
{
	struct buf in;
	int status = CTL_NOTHING;
	bool last = false;
	buf_init(&in, ANSWER_LINE_MAX);
	while (!last) {
		char *room = buf_room(&in, 64u << 10);
		ssize_t n = room ? recv(fd, room, 64u << 10, 0) : -1;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			fputs("relayctl: relayd closed the connection before it had "
			      "answered: it ends just now, or its log says why; ask "
			      "again\n",
			    stderr);
			break;
		}
		in.n += (size_t)n;
		size_t from = 0;
		while (!last) {
			struct span rest = span_cut(buf_span(&in), from, in.n);
			size_t end = span_find(rest, '\n');
			if (end == rest.n)
				break;
			last = ctl_take_line(c, span_cut(rest, 0, end), &status);
			from += end + 1;
		}
		buf_consume(&in, from);
	}
	buf_clear(&in);
	return status;
}

int
ctl_ask(struct ctl *c, const json_t *request)
{
	const char *path = socket_path(c);
	if (path == NULL) { /* the reason has been printed; relayd may well be running */
		fprintf(stderr,
		    "relayctl: so its socket is not known; name it, without -c: "
		    "RELAYD_SOCKET=/run/relayd/control.sock relayctl ...\n");
		return CTL_NOTHING;
	}
	int fd = connect_to(path);
	if (fd < 0)
		return fd == NOT_ALLOWED ? CTL_NOTHING : -1;
	int status = send_request(fd, request) ? read_answer(c, fd) : CTL_NOTHING;
	(void)close(fd);
	return status;
}

bool
ctl_hold(struct ctl *c, int *fd)
{
	static const char request[] = "{\"v\":1,\"cmd\":\"spool-hold\"}\r\n",
			  held[] = "{\"held\":true}";
	char answer[256];
	const char *path = socket_path(c);
	*fd = path != NULL ? connect_to(path) : -1;
	if (*fd < 0)
		return *fd != NOT_ALLOWED;
	ssize_t n = -1;
	if (send_all(*fd, request, sizeof(request) - 1))
		n = recv(*fd, answer, sizeof(answer), 0);
	if (n >= (ssize_t)sizeof(held) - 1 && memcmp(answer, held, sizeof(held) - 1) == 0)
		return true;
	(void)close(*fd);
	*fd = -1;
	return false;
}
