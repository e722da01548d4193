/* SPDX-License-Identifier: ISC */
/*
 * daemon_sockets - what is bound while we may still bind low ports, and served
 * when everything else stands; between the two relayd becomes somebody else.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/dir.h"
#include "base/mem.h"
#include "relay/daemon_private.h"

static enum err
bind_listener(struct daemon *d, const struct listener_config *l,
    const struct net_addr *at, struct buf *why)
{
	static const char *const protocol[] = {[LISTENER_SMTP] = "smtp",
	    [LISTENER_LMTP] = "lmtp",
	    [LISTENER_POP3] = "pop3",
	    [LISTENER_IMAP] = "imap"};
	char text[NET_TEXT];
	unsigned n = worker_count(d);
	net_format(at, text);
	for (unsigned i = 0; i < n; i++) {
		int fd = service_socket(d->service, at);
		if (fd < 0)
			fd = net_listen(at, n > 1);
		if (fd < 0) {
			buf_addf(why, "listener \"%s\": cannot listen on %s: %s; %s",
			    l->name, text, err_text((enum err)fd),
			    fd == ERR_UNREACHABLE
				? "this machine does not have that address"
			    : fd == ERR_DENIED
				? "ports under 1024 need root or CAP_NET_BIND_SERVICE"
				: "is another mail server running there?");
			return (enum err)fd;
		}
		d->bound = mem_resize(d->bound, d->bounds + 1, sizeof(*d->bound));
		d->bound[d->bounds++] = (struct bound){fd, l->name, i};
	}
	LOG(d->log, EV_LISTENING, F_STR("listener", l->name), F_STR("at", text),
	    F_STR("protocol", protocol[l->protocol]));
	return OK;
}

/* What the service manager listens on for us, and no listener wants: whoever connects
 * there would wait for ever. */
static void
warn_of_left_over(struct daemon *d)
{
	struct buf which;
	buf_init(&which, 16u << 10);
	if (service_left_over(d->service, &which))
		LOG(d->log, EV_CONFIG, F_SPAN("sockets", buf_span(&which)),
		    F_STR("what", "handed over by the service manager, and no listener "
				  "has this address"),
		    F_STR("do", "make listener { bind } and ListenStream= say the same"));
	buf_clear(&which);
}

static enum err
bind_page(struct daemon *d, struct buf *why)
{
	const struct metrics_config *m = &d->config->metrics;
	for (size_t i = 0; i < m->binds; i++) {
		char text[NET_TEXT];
		net_format(&m->bind[i], text);
		int fd = service_socket(d->service, &m->bind[i]);
		if (fd < 0)
			fd = net_listen(&m->bind[i], false);
		if (fd < 0) {
			buf_addf(why,
			    "metrics: cannot listen on %s: %s; is another relayd "
			    "running, or "
			    "take another port: metrics { bind = \"127.0.0.1:9526\" }",
			    text, err_text((enum err)fd));
			return (enum err)fd;
		}
		d->web_fd[d->web_fds++] = fd;
		LOG(d->log, EV_LISTENING, F_STR("listener", "metrics"), F_STR("at", text),
		    F_STR("protocol", m->tls ? "https" : "http"));
	}
	return OK;
}

static void
say_socket(struct buf *why, const char *which, const char *path, enum err e)
{
	const char *hint = "; make the directory above it, writable for relayd";
	if (e == ERR_BUSY)
		hint = "; another relayd answers there, or the path is something else";
	else if (e == ERR_DENIED)
		hint = "; its directory must belong to the user that relayd runs as";
	else if (e == ERR_RANGE)
		hint = "; the path is too long for a socket: choose a shorter one";
	buf_addf(why, "%s socket %s: %s%s", which, path, err_text(e), hint);
}

enum err
bind_sockets(struct daemon *d, struct buf *why)
{
	const struct config *c = d->config;
	enum err e = OK;
	for (size_t i = 0; i < c->listeners && e == OK; i++)
		for (size_t k = 0; k < c->listener[i].binds && e == OK; k++)
			e = bind_listener(
			    d, &c->listener[i], &c->listener[i].bind[k], why);
	if (e == OK)
		e = bind_page(d, why);
	if (e == OK)
		warn_of_left_over(d);
	if (e == OK && c->submit.path != NULL) {
		d->submit_fd = control_socket(c->submit.path, c->submit.mode);
		if (d->submit_fd < 0) {
			e = (enum err)d->submit_fd;
			say_socket(why, "submit", c->submit.path, e);
		}
	}
	if (e != OK || c->control_path == NULL)
		return e;
	d->control_fd = control_socket(c->control_path, c->control_mode);
	if (d->control_fd >= 0)
		return OK;
	e = (enum err)d->control_fd;
	say_socket(why, "control", c->control_path, e);
	return e;
}

void
serve_sockets(struct daemon *d)
{
	for (size_t i = 0; i < d->bounds; i++)
		ingress_listen(d->worker[d->bound[i].worker].ingress, d->bound[i].fd,
		    d->bound[i].name);
	d->bounds = 0;
	mem_free(&d->bound);
	if (d->submit_fd >= 0)
		ingress_listen_local(d->worker[0].ingress, d->submit_fd);
	d->submit_fd = -1;
	if (d->control_fd >= 0)
		control_listen(d->control, d->control_fd);
	d->control_fd = -1;
	for (size_t i = 0; i < d->web_fds; i++)
		page_listen(d->page, d->web_fd[i]);
	d->web_fds = 0;
}

void
close_sockets(struct daemon *d)
{
	for (size_t i = 0; i < d->bounds; i++)
		(void)close(d->bound[i].fd);
	mem_free(&d->bound);
	if (d->submit_fd >= 0)
		(void)close(d->submit_fd);
	if (d->control_fd >= 0)
		(void)close(d->control_fd);
	for (size_t i = 0; i < d->web_fds; i++)
		(void)close(d->web_fd[i]);
}

/* The self-signed certificate that root has made a moment ago. */
static void
give_own_certificate(const char *spool, const struct passwd *pw)
{
	static const char *const names[] = {
	    "tls", "tls/self-signed.pem", "tls/self-signed.key"};
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct buf path;
		buf_init(&path, 0);
		buf_addf(&path, "%s/%s", spool, names[i]);
		char *name = buf_take(&path);
		(void)!lchown(
		    name, pw->pw_uid, pw->pw_gid); /* not there: nothing to give */
		mem_free(&name);
	}
}

/* What root has made must belong to the user that relayd becomes. */
static enum err
hand_over(struct daemon *d, const struct passwd *pw, struct buf *why)
{
	const char *path = d->config->spool.path;
	if (dir_make(path, 0700) != OK) {
		buf_addf(why,
		    "spool %s: cannot make the directory: %s; make its parent first: "
		    "mkdir -p",
		    path, strerror(errno));
		return err_from_errno(errno);
	}
	struct stat st;
	give_own_certificate(path, pw);
	if (stat(path, &st) == 0 && st.st_uid == 0 &&
	    chown(path, pw->pw_uid, pw->pw_gid) != 0) {
		buf_addf(why,
		    "spool %s: cannot give it to user \"%s\": %s; chown it by hand", path,
		    pw->pw_name, strerror(errno));
		return err_from_errno(errno);
	}
	if (d->control_fd >= 0 &&
	    chown(d->config->control_path, pw->pw_uid, pw->pw_gid) != 0) {
		buf_addf(why,
		    "control socket: cannot give it to user \"%s\": %s; put it into a "
		    "directory "
		    "of this machine's own, such as /run/relayd",
		    pw->pw_name, strerror(errno));
		return err_from_errno(errno);
	}
	return OK;
}

/* What relayd could read as root, and will not be able to read again at a reload. */
static void
warn_of_keys(const struct daemon *d)
{
	const struct tls_config *t = &d->config->tls;
	const struct name_list *lists[] = {&t->certificates, &t->keys};
	for (size_t k = 0; k < COUNT_OF(lists); k++)
		for (size_t i = 0; i < lists[k]->n; i++)
			if (access(lists[k]->name[i], R_OK) != 0)
				LOG(d->log, EV_CONFIG, F_STR("file", lists[k]->name[i]),
				    F_STR("what",
					"the user that relayd runs as cannot read it"),
				    F_STR("now", "a reload cannot renew it: give "
						 "relayd's group the right to "
						 "read (chgrp, chmod 640), or restart "
						 "relayd instead"));
}

enum err
drop_privileges(struct daemon *d, struct buf *why)
{
	if (d->config->user == NULL || geteuid() != 0)
		return OK;
	const struct passwd *pw = getpwnam(d->config->user);
	if (pw == NULL) {
		buf_addf(why,
		    "user \"%s\" does not exist; make it with: adduser --system --group "
		    "%s",
		    d->config->user, d->config->user);
		return ERR_CONFIG;
	}
	enum err e = hand_over(d, pw, why);
	if (e != OK)
		return e;
	if (initgroups(pw->pw_name, pw->pw_gid) != 0 || setgid(pw->pw_gid) != 0 ||
	    setuid(pw->pw_uid) != 0 || (pw->pw_uid != 0 && setuid(0) == 0)) {
		buf_addf(why,
		    "could not become user \"%s\": start relayd with the right to (as "
		    "root), "
		    "or as that user, without user = in its configuration",
		    pw->pw_name);
		return ERR_DENIED;
	}
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	warn_of_keys(d);
	return OK;
}
