/* SPDX-License-Identifier: ISC */
/*
 * dns_cares - raw questions over c-ares: UDP, TCP when truncated, retries,
 * the next server when one fails.  Everything else is ours.
 *
 * c-ares may call back from inside ares_send() and ares_process_fd(), and must
 * not be cancelled or destroyed in there.  So a callback only notes the
 * outcome and arms `tidy`, which runs at the end of the turn, outside c-ares:
 * it replaces and destroys channels, sends what waits, calls the askers back.
 *
 * A channel cannot be changed, only replaced; the old one drains and is then
 * destroyed.  Reasons: resolv.conf changed; a FORMERR made c-ares switch EDNS
 * off for good; the servers have been silent for a while (a socket may be
 * bound to an address that we lost).  The last two at most once a minute.
 *
 * Ids on the wire are ours, random and unique among the questions in flight;
 * the asker's own id is put back into the answer.  One UDP socket per server
 * means one source port: servers should be on loopback, and the log says so
 * when they are not.
 *
 * ares_library_init() is not called: on Unix it only counts, without a lock.
 */
#include <ares.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"
#include "resolver/dnsmsg.h"
#include "resolver/resolver.h"

#define TIMEOUT_MS 5000
#define TRIES 3
#define IN_FLIGHT_MAX 3000
#define WAITING_MAX 10000
#define TICK_MS 100 /* c-ares looks for timeouts */
#define CONF_CHECK_MS (5 * SECOND_MS)
#define RENEW_MS MINUTE_MS
#define SILENT_MAX 5 /* timeouts in a row */
#define SERVERS_MAX 16
#define RESOLV_CONF "/etc/resolv.conf"

/* A file as it was when it was read. */
struct seen {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime;
};

struct channel {
	struct link link; /* in cares.channels */
	struct cares *owner;
	ares_channel ares;
	struct list sockets;
	unsigned pending;
	unsigned silent; /* timeouts since the last answer */
};

/* One socket of c-ares.  Dead ones are kept until tidy: it may be their own callback that
 * runs. */
struct sock {
	struct link link; /* in channel.sockets or cares.dead_sockets */
	struct channel *channel;
	struct watch watch;
};

struct question {
	struct link link; /* in cares.waiting or cares.done; in none while in flight */
	struct cares *owner;
	struct channel *channel; /* while in flight */
	dns_fn *fn;
	void *arg;
	struct instant asked;
	uint16_t wire_id;
	enum err status;
	struct buf bytes; /* the query; later the answer */
	uint16_t id;      /* the asker's */
};

struct cares {
	struct dns_transport transport; /* first: this is one */
	struct loop *loop;              /* borrowed */
	struct log *log;                /* borrowed; may be NULL */
	char *servers, *resolv_conf;    /* owned */
	int64_t timeout_ms;
	unsigned tries;

	struct channel *current;
	struct list channels; /* the current one and those that drain */
	struct list waiting, done, dead_sockets;
	unsigned in_flight, waiting_n;
	uint8_t id_used[UINT16_MAX / 8 + 1];

	struct timer tick;
	struct later tidy;
	struct seen conf;
	struct instant conf_checked, renewed;
	const char *renew; /* why the channel should be replaced, or NULL */
	bool closing;
};

/* ---- servers */

static bool
add_server(struct ares_addr_port_node *node, struct span text)
{
	struct net_addr addr;
	if (net_parse_addr(text, &addr) != OK) {
		if (net_parse_ip(text, &addr) != OK)
			return false;
		addr.port = 53;
	}
	*node =
	    (struct ares_addr_port_node){.udp_port = addr.port, .tcp_port = addr.port};
	node->family = addr.family == NET_IPV4 ? AF_INET : AF_INET6;
	memcpy(&node->addr, addr.ip, addr.family == NET_IPV4 ? 4 : 16);
	return true;
}

/* The servers of the configuration. Returns how many, or 0 with the culprit in *bad. */
static size_t
read_servers(
    const char *text, struct ares_addr_port_node node[SERVERS_MAX], struct span *bad)
{
	struct span rest = span_str(text);
	size_t n = 0;
	while (rest.n > 0) {
		size_t comma = span_find(rest, ',');
		*bad = span_trim(span_cut(rest, 0, comma));
		if (n == SERVERS_MAX || !add_server(&node[n], *bad))
			return 0;
		if (n > 0)
			node[n - 1].next = &node[n];
		n++;
		rest = span_cut(rest, comma + 1, rest.n);
	}
	return n;
}

static struct net_addr
server_address(const struct ares_addr_port_node *node)
{
	struct sockaddr_storage ss = {.ss_family = (sa_family_t)node->family};
	struct net_addr addr;
	if (node->family == AF_INET)
		memcpy(&((struct sockaddr_in *)&ss)->sin_addr, &node->addr, 4);
	else
		memcpy(&((struct sockaddr_in6 *)&ss)->sin6_addr, &node->addr, 16);
	net_from_sockaddr((const struct sockaddr *)&ss, &addr);
	addr.port = node->udp_port ? (uint16_t)node->udp_port : 53;
	return addr;
}

/* Append the servers of a channel; true if all are on loopback. */
static bool
list_servers(const struct channel *ch, struct buf *out)
{
	struct ares_addr_port_node *first = NULL;
	bool local = true;
	if (ares_get_servers_ports(ch->ares, &first) != ARES_SUCCESS)
		return true;
	for (const struct ares_addr_port_node *s = first; s != NULL; s = s->next) {
		char text[NET_TEXT];
		struct net_addr addr = server_address(s);
		net_format(&addr, text);
		buf_addf(out, "%s%s", s == first ? "" : ", ", text);
		local = local && net_is_loopback(&addr);
	}
	ares_free_data(first);
	return local;
}

static void
log_servers(struct cares *c, const char *why)
{
	struct buf list = {0};
	bool local = list_servers(c->current, &list);
	const char *note =
	    local ? "" : "not on loopback: answers are easier to forge on the way";
	if (c->log != NULL)
		LOG(c->log, EV_DNS_SERVERS, F_SPAN("servers", buf_span(&list)),
		    F_STR("why", why), F_STR("note", note));
	buf_clear(&list);
}

/* ---- sockets of c-ares on the loop */

static void
on_ready(void *arg, unsigned what)
{
	struct sock *s = arg;
	struct channel *ch = s->channel;
	ares_socket_t fd = s->watch.fd;
	later_set(&ch->owner->tidy);
	ares_process_fd(ch->ares, (what & WATCH_READ) ? fd : ARES_SOCKET_BAD,
	    (what & WATCH_WRITE) ? fd : ARES_SOCKET_BAD);
}

static struct sock *
find_socket(struct channel *ch, ares_socket_t fd)
{
	LIST_EACH (&ch->sockets, k) {
		struct sock *s = CONTAINER_OF(k, struct sock, link);
		if (s->watch.fd == fd)
			return s;
	}
	return NULL;
}

/* c-ares tells what it wants of a socket; nothing (0, 0) just before it closes it. */
static void
on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct channel *ch = arg;
	struct sock *s = find_socket(ch, fd);
	if (!readable && !writable) {
		if (s == NULL)
			return;
		watch_clear(&s->watch);
		list_remove(&s->link);
		list_push(&ch->owner->dead_sockets, &s->link);
		later_set(&ch->owner->tidy);
		return;
	}
	if (s == NULL) {
		s = NEW(struct sock);
		s->channel = ch;
		watch_init(&s->watch, ch->owner->loop, fd, on_ready, s);
		list_push(&ch->sockets, &s->link);
	}
	watch_set(
	    &s->watch, (readable ? WATCH_READ : 0u) | (writable ? WATCH_WRITE : 0u));
}

static void
bury_sockets(struct cares *c)
{
	for (struct link *k; (k = list_pop(&c->dead_sockets)) != NULL;) {
		struct sock *s = CONTAINER_OF(k, struct sock, link);
		mem_free(&s);
	}
}

/* ---- channels */

static int
set_servers(struct cares *c, struct channel *ch)
{
	struct ares_addr_port_node node[SERVERS_MAX];
	struct span bad;
	if (c->servers == NULL)
		return ARES_SUCCESS;
	CHECK(read_servers(c->servers, node, &bad) > 0);
	return ares_set_servers_ports(ch->ares, node);
}

static int
init_channel(struct cares *c, struct channel *ch)
{
	struct ares_options o = {
	    .flags = ARES_FLAG_EDNS | ARES_FLAG_NOCHECKRESP | ARES_FLAG_STAYOPEN,
	    .timeout = (int)c->timeout_ms,
	    .tries = (int)c->tries,
	    .ednspsz = DNS_UDP_SIZE,
	    .sock_state_cb = on_socket_state,
	    .sock_state_cb_data = ch,
	    .resolvconf_path = c->resolv_conf,
	};
	int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
		   ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_STATE_CB | ARES_OPT_RESOLVCONF;
	int rc = ares_init_options(&ch->ares, &o, mask);
	if (rc != ARES_SUCCESS)
		return rc;
	rc = set_servers(c, ch);
	if (rc != ARES_SUCCESS)
		ares_destroy(ch->ares);
	return rc;
}

/* NULL if c-ares cannot: *rc is its reason. */
static struct channel *
channel_new(struct cares *c, int *rc)
{
	struct channel *ch = NEW(struct channel);
	ch->owner = c;
	list_init(&ch->sockets);
	*rc = init_channel(c, ch);
	if (*rc != ARES_SUCCESS) {
		mem_free(&ch);
		return NULL;
	}
	list_push(&c->channels, &ch->link);
	return ch;
}

/* Not from inside c-ares. Questions still in flight are called back, with
 * ARES_EDESTRUCTION. */
static void
channel_free(struct channel **chp)
{
	struct channel *ch = *chp;
	ares_destroy(ch->ares);
	CHECK(ch->pending == 0 && list_empty(&ch->sockets));
	list_remove(&ch->link);
	mem_free(chp);
}

static void
renew(struct cares *c, const char *why)
{
	int rc;
	struct channel *ch = channel_new(c, &rc);
	if (ch == NULL) {
		if (c->log != NULL)
			LOG(c->log, EV_CONFIG,
			    F_STR("what", "name servers stay as they were"),
			    F_STR("why", ares_strerror(rc)));
		return;
	}
	c->current = ch;
	log_servers(c, why);
}

static void
destroy_drained(struct cares *c)
{
	LIST_EACH (&c->channels, k) {
		struct channel *ch = CONTAINER_OF(k, struct channel, link);
		if (ch != c->current && ch->pending == 0)
			channel_free(&ch);
	}
}

/* Has a FORMERR made c-ares give up EDNS?  Then answers over 512 octets would all need
 * TCP. */
static bool
edns_is_off(const struct channel *ch)
{
	struct ares_options o = {0};
	int mask = 0;
	bool off = ares_save_options(ch->ares, &o, &mask) == ARES_SUCCESS &&
		   (o.flags & ARES_FLAG_EDNS) == 0;
	ares_destroy_options(&o);
	return off;
}

static void
watch_health(struct cares *c)
{
	struct instant now = loop_now(c->loop);
	if (instant_since(now, c->renewed) < RENEW_MS)
		return;
	if (edns_is_off(c->current))
		c->renew = "a server had answered FORMERR; EDNS is tried anew";
	else if (c->current->silent >= SILENT_MAX)
		c->renew = "no answer for a while; new sockets are tried";
	if (c->renew == NULL)
		return;
	c->renewed = now;
	later_set(&c->tidy);
}

/* ---- resolv.conf */

static struct seen
look_at(const char *path)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return (struct seen){0};
	return (struct seen){st.st_dev, st.st_ino, st.st_size, st.st_mtim};
}

static bool
same_file(const struct seen *a, const struct seen *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec;
}

/* From ask(), which is never called by c-ares: here a channel may be made at once. */
static void
check_resolv_conf(struct cares *c)
{
	struct instant now = loop_now(c->loop);
	if (c->servers != NULL || instant_since(now, c->conf_checked) < CONF_CHECK_MS)
		return;
	c->conf_checked = now;
	struct seen seen = look_at(c->resolv_conf);
	if (same_file(&seen, &c->conf))
		return;
	c->conf = seen;
	renew(c, "resolv.conf changed");
	later_set(&c->tidy);
}

/* ---- questions */

static void
put_id(struct buf *message, uint16_t id)
{
	message->p[0] = (char)(id >> 8);
	message->p[1] = (char)(id & 0xff);
}

static uint16_t
get_id(const struct buf *message)
{
	return (
	    uint16_t)((unsigned char)message->p[0] << 8 | (unsigned char)message->p[1]);
}

static uint16_t
take_id(struct cares *c)
{
	uint16_t id;
	do
		world_random(loop_world(c->loop), &id, sizeof(id));
	while ((c->id_used[id / 8] & 1u << id % 8) != 0);
	c->id_used[id / 8] |= (uint8_t)(1u << id % 8);
	return id;
}

static void
release_id(struct cares *c, uint16_t id)
{
	c->id_used[id / 8] &= (uint8_t) ~(1u << id % 8);
}

static void
question_free(struct question **qp)
{
	buf_clear(&(*qp)->bytes);
	mem_free(qp);
}

/* The outcome stands; the asker hears of it at the end of the turn. */
static void
finish(struct question *q, enum err status)
{
	q->status = status;
	list_push(&q->owner->done, &q->link);
	later_set(&q->owner->tidy);
}

static enum err
status_of(int ares_status)
{
	switch (ares_status) {
	case ARES_SUCCESS: return OK;
	case ARES_ETIMEOUT: return ERR_TIMEOUT;
	case ARES_ECONNREFUSED: return ERR_REFUSED;
	default: return ERR_IO;
	}
}

/* By c-ares, from wherever it is. */
static void
on_answer(void *arg, int ares_status, int timeouts, unsigned char *msg, int len)
{
	struct question *q = arg;
	struct cares *c = q->owner;
	enum err status = status_of(ares_status);
	(void)timeouts;
	c->in_flight--;
	q->channel->pending--;
	release_id(c, q->wire_id);
	if (c->closing) {
		question_free(&q);
		return;
	}
	if (status == ERR_TIMEOUT)
		q->channel->silent++;
	else
		q->channel->silent = 0;
	buf_reset(&q->bytes);
	if (status == OK && msg != NULL && len >= 2) {
		buf_add(&q->bytes, msg, (size_t)len);
		put_id(&q->bytes, q->id);
	}
	finish(q, q->bytes.n > 0 || status != OK ? status : ERR_IO);
}

static void
send_question(struct cares *c, struct question *q)
{
	q->channel = c->current;
	q->wire_id = take_id(c);
	put_id(&q->bytes, q->wire_id);
	c->in_flight++;
	q->channel->pending++;
	if (!timer_is_set(&c->tick))
		timer_set(&c->tick, TICK_MS);
	/* c-ares copies the query before it can call back, which frees or refills
	 * q->bytes. */
	ares_send(c->current->ares, (const unsigned char *)q->bytes.p, (int)q->bytes.n,
	    on_answer, q);
}

static void
on_tick(void *arg)
{
	struct cares *c = arg;
	LIST_EACH (&c->channels, k)
		ares_process_fd(CONTAINER_OF(k, struct channel, link)->ares,
		    ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	watch_health(c);
	if (c->in_flight > 0)
		timer_set(&c->tick, TICK_MS);
}

/* What waited so long that nobody waits for it any more is not asked. */
static void
send_waiting(struct cares *c)
{
	struct instant now = loop_now(c->loop);
	while (c->in_flight < IN_FLIGHT_MAX) {
		struct link *k = list_pop(&c->waiting);
		if (k == NULL)
			return;
		struct question *q = CONTAINER_OF(k, struct question, link);
		c->waiting_n--;
		if (instant_since(now, q->asked) > MX_DEADLINE_MS) {
			buf_reset(&q->bytes);
			finish(q, ERR_TIMEOUT);
		} else {
			send_question(c, q);
		}
	}
}

static void
call_back(struct cares *c)
{
	for (struct link *k; (k = list_pop(&c->done)) != NULL;) {
		struct question *q = CONTAINER_OF(k, struct question, link);
		q->fn(q->arg, q->status, buf_span(&q->bytes));
		question_free(&q);
	}
}

static void
on_tidy(void *arg)
{
	struct cares *c = arg;
	if (c->renew != NULL)
		renew(c, c->renew);
	c->renew = NULL;
	destroy_drained(c);
	bury_sockets(c);
	send_waiting(c);
	call_back(c);
}

/* ---- the transport */

static void
cares_ask(struct dns_transport *t, struct span query, dns_fn *fn, void *arg)
{
	struct cares *c = (struct cares *)t;
	struct question *q = NEW(struct question);
	CHECK(query.n >= 12 && query.n <= 512);
	*q = (struct question){
	    .owner = c, .fn = fn, .arg = arg, .asked = loop_now(c->loop)};
	buf_add_span(&q->bytes, query);
	q->id = get_id(&q->bytes);
	check_resolv_conf(c);
	if (c->in_flight < IN_FLIGHT_MAX) {
		send_question(c, q);
	} else if (c->waiting_n < WAITING_MAX) {
		c->waiting_n++;
		list_push(&c->waiting, &q->link);
	} else {
		buf_reset(&q->bytes);
		finish(q, ERR_FULL);
	}
}

static void
free_questions(struct list *list)
{
	for (struct link *k; (k = list_pop(list)) != NULL;) {
		struct question *q = CONTAINER_OF(k, struct question, link);
		question_free(&q);
	}
}

static void
cares_free(struct dns_transport *t)
{
	struct cares *c = (struct cares *)t;
	c->closing = true;
	LIST_EACH (&c->channels, k) {
		struct channel *ch = CONTAINER_OF(k, struct channel, link);
		channel_free(&ch);
	}
	bury_sockets(c);
	free_questions(&c->waiting);
	free_questions(&c->done);
	later_clear(&c->tidy);
	timer_clear(&c->tick);
	mem_free(&c->servers);
	mem_free(&c->resolv_conf);
	mem_free(&c);
}

static void
cares_describe(struct dns_transport *t, struct buf *out)
{
	struct cares *c = (struct cares *)t;
	(void)list_servers(c->current, out);
}

static bool
check_servers(const char *servers, struct buf *why)
{
	struct ares_addr_port_node node[SERVERS_MAX];
	struct span bad = {0};
	if (servers == NULL || servers[0] == '\0' ||
	    read_servers(servers, node, &bad) > 0)
		return true;
	buf_add_str(why, "dns servers: \"");
	buf_add_escaped(why, bad);
	buf_addf(why,
	    "\" is no address like 127.0.0.1:53 or [::1]:53 (or there are more than %d)",
	    SERVERS_MAX);
	return false;
}

static struct cares *
cares_new(struct loop *l, struct log *log, const struct dns_options *o)
{
	struct cares *c = NEW(struct cares);
	c->transport = (struct dns_transport){cares_ask, cares_free, cares_describe};
	c->loop = l;
	c->log = log;
	c->timeout_ms = o->timeout_ms ? o->timeout_ms : TIMEOUT_MS;
	c->tries = o->tries ? o->tries : TRIES;
	c->resolv_conf = mem_strdup(o->resolv_conf ? o->resolv_conf : RESOLV_CONF);
	if (o->servers != NULL && o->servers[0] != '\0')
		c->servers = mem_strdup(o->servers);
	list_init(&c->channels);
	list_init(&c->waiting);
	list_init(&c->done);
	list_init(&c->dead_sockets);
	timer_init(&c->tick, l, on_tick, c);
	later_init(&c->tidy, l, on_tidy, c);
	c->conf = look_at(c->resolv_conf);
	c->conf_checked = loop_now(l);
	c->renewed = instant_after(loop_now(l), -RENEW_MS);
	return c;
}

struct dns_transport *
dns_cares_new(
    struct loop *l, struct log *log, const struct dns_options *o, struct buf *why)
{
	int rc;
	if (!check_servers(o->servers, why))
		return NULL;
	struct cares *c = cares_new(l, log, o);
	c->current = channel_new(c, &rc);
	if (c->current == NULL) {
		buf_addf(why, "c-ares cannot start: %s; look at %s", ares_strerror(rc),
		    c->resolv_conf);
		cares_free(&c->transport);
		return NULL;
	}
	log_servers(c, "start");
	return &c->transport;
}
