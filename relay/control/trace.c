/* SPDX-License-Identifier: ISC */
/*
 * trace - the lines of SMTP connections as they are said (base/tap.h), for an
 * administrator who watches: those from clients (in) or to next hops (out), of one
 * address or name.  It ends after a while, or when he goes away; a sign of life
 * every few seconds finds out that he has.
 */
#include <string.h>

#include "base/mem.h"
#include "base/tap.h"
#include "base/units.h"
#include "relay/control/client.h"

#define TRACE_MS (5 * MINUTE_MS) /* unless the request says otherwise */
#define TRACE_MAX_MS DAY_MS
#define PULSE_MS (10 * SECOND_MS)

struct trace {
	struct control_client *client;
	struct tap_watch *watch;
	struct timer pulse;
	struct instant end;
	uint64_t limit, told, lost;
	struct later over;
};

static void
trace_free(struct control_client *cc)
{
	struct trace *t = cc->command;
	tap_watch_stop(&t->watch);
	timer_clear(&t->pulse);
	later_clear(&t->over);
	mem_free(&t);
}

static void
on_over(void *arg)
{
	struct control_client *cc = ((struct trace *)arg)->client;
	trace_free(cc);
	cc->command = NULL;
	control_end(cc, 0, NULL);
}

static void
on_line(void *arg, const struct tap_line *l)
{
	struct trace *t = arg;
	struct control_client *cc = t->client;
	t->lost += l->lost;
	if (control_full(cc)) {
		t->lost++;
		return;
	}
	char who[NET_TEXT];
	net_format_ip(&l->who, who);
	struct buf when;
	buf_init(&when, 64);
	wall_add_iso(&when, world_wall(loop_world(cc->control->loop)));
	struct json *j = control_line(cc);
	json_open(j, '{');
	json_str(j, "time", buf_span(&when));
	json_int(j, "connection", (int64_t)l->connection);
	json_cstr(j, "peer", who);
	json_cstr(j, l->side == TAP_INBOUND ? "listener" : "host", l->name);
	if (l->side == TAP_OUTBOUND)
		json_cstr(j, "destination", l->about);
	json_cstr(j, "from", l->sent ? "us" : "them");
	json_str(j, "text", l->text);
	if (t->lost > 0)
		json_int(j, "lost", (int64_t)t->lost);
	json_close(j, '}');
	control_send(cc);
	buf_clear(&when);
	t->lost = 0;
	if (++t->told == t->limit)
		later_set(&t->over);
}

/* The connection is written to, so that its end is seen. */
static void
on_pulse(void *arg)
{
	struct trace *t = arg;
	struct control_client *cc = t->client;
	if (instant_since(loop_now(cc->control->loop), t->end) >= 0) {
		later_set(&t->over);
		return;
	}
	struct json *j = control_line(cc);
	json_open(j, '{');
	json_bool(j, "quiet", true);
	json_close(j, '}');
	control_send(cc);
	int64_t left = instant_since(t->end, loop_now(cc->control->loop));
	timer_set(&t->pulse, left < PULSE_MS ? left : PULSE_MS);
}

static bool
read_want(const json_t *request, struct tap_want *want, int64_t *for_ms, const char **bad)
{
	const char *side = json_string_value(json_object_get(request, "what"));
	const char *ip = json_string_value(json_object_get(request, "ip"));
	const char *how_long = json_string_value(json_object_get(request, "for"));
	want->name = json_string_value(json_object_get(request, "name"));
	*for_ms = TRACE_MS;
	*bad = "trace takes in or out";
	if (side == NULL || (strcmp(side, "in") != 0 && strcmp(side, "out") != 0))
		return false;
	want->side = strcmp(side, "in") == 0 ? TAP_INBOUND : TAP_OUTBOUND;
	*bad = "ip takes an address or a network, as in 192.0.2.0/24";
	if (ip != NULL && net_parse_cidr(span_str(ip), &want->net) != OK)
		return false;
	*bad = "for takes a duration with a unit, up to 1d";
	return how_long == NULL || (units_duration(span_str(how_long), for_ms) == OK &&
				       *for_ms > 0 && *for_ms <= TRACE_MAX_MS);
}

void
command_trace(struct control_client *cc, const json_t *request)
{
	struct tap_want want = {0};
	struct control *c = cc->control;
	const char *bad;
	int64_t for_ms;
	if (!read_want(request, &want, &for_ms, &bad)) {
		control_end(cc, 2, bad);
		return;
	}
	struct trace *t = NEW(struct trace);
	t->client = cc;
	t->limit = command_limit(request);
	t->end = instant_after(loop_now(c->loop), for_ms);
	timer_init(&t->pulse, c->loop, on_pulse, t);
	later_init(&t->over, c->loop, on_over, t);
	t->watch =
	    tap_watch_start(log_taps(c->log), &want, loop_inbox(c->loop), on_line, t);
	if (t->watch == NULL) {
		timer_clear(&t->pulse);
		mem_free(&t);
		control_end(
		    cc, 1, "others watch already, as many as can: try again later");
		return;
	}
	LOG(c->log, EV_ADMIN, F_STR("what", "trace"), control_by(cc));
	cc->command = t;
	cc->gone = trace_free;
	cc->more = NULL;
	on_pulse(t);
}
