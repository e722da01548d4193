/* SPDX-License-Identifier: ISC */
/* Control over a socket pair: requests that are wrong, route-test, policy-test, a probe
 * that outlives its administrator, and that passwords do not stay in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "relay/control/client.h"
#include "tests/lib/fake_world.h"

static const char configuration[] =
    "hostname = \"relay.test\"\n"
    "spool { path = \"/nowhere\" }\n"
    "networks = {\"192.0.2.0/24\"}\n"
    "listener \"smtp\" { bind = {\"127.0.0.1:25\"} }\n"
    "listener \"inside\" { bind = {\"127.0.0.1:26\"} clients = {\"10.0.0.0/8\"} }\n"
    "route \"joe\" { from = {\"joe@here.example\"} account = {\"joe\"} via = "
    "{\"192.0.2.1:25\"} }\n"
    "route \"office\" { to = {\"office.example\"} via = {\"192.0.2.2:25\"} inbound = "
    "true "
    "}\n"
    "route \"late\" { listener = {\"inside\"} deliver = \"hold\" }\n"
    "route \"lan\" { client = {\"10.0.0.0/8\"} via = {\"192.0.2.3:25\"} }\n"
    "route \"world\" { deliver = \"mx\" }\n";

struct fixture {
	struct fake_world w;
	struct loop *loop;
	struct control *control;
	const struct config *config;
	int peer;
	char answer[16384];
	/* the probe under way */
	void (*told)(void *arg, const struct probe_finding *f);
	void (*done)(void *arg, const char *why);
	void *arg;
	char asked[200];
};

static const struct config *
the_config(void *arg)
{
	return ((struct fixture *)arg)->config;
}

static void
probe(void *arg, struct span route, struct span domain,
    void (*told)(void *told_arg, const struct probe_finding *f),
    void (*done)(void *told_arg, const char *why), void *told_arg)
{
	struct fixture *f = arg;
	f->told = told;
	f->done = done;
	f->arg = told_arg;
	(void)snprintf(
	    f->asked, sizeof(f->asked), "%.*s %.*s", SPAN_ARG(route), SPAN_ARG(domain));
}

static int
setup(void **state)
{
	struct fixture *f = NEW(struct fixture);
	struct buf errors;
	int pair[2];
	buf_init(&errors, 4096);
	fake_world_init(&f->w);
	f->loop = loop_new(&f->w.world);
	f->config = config_parse("t.conf", configuration, &errors);
	if (f->config == NULL)
		fail_msg("%.*s", SPAN_ARG(buf_span(&errors)));
	buf_clear(&errors);
	struct control_options o = {
	    .loop = f->loop, .host = {.config = the_config, .probe = probe, .arg = f}};
	f->control = control_new(&o);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	f->peer = pair[1];
	control_serve(f->control, pair[0]);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	if (f->peer >= 0)
		(void)close(f->peer);
	control_free(&f->control);
	loop_free(&f->loop);
	config_unref(&f->config);
	mem_free(state);
	return 0;
}

static void
settle(struct fixture *f)
{
	while (loop_turn(f->loop, false))
		;
}

static const char *
read_answer(struct fixture *f)
{
	settle(f);
	ssize_t n = recv(f->peer, f->answer, sizeof(f->answer) - 1, 0);
	f->answer[n > 0 ? n : 0] = '\0';
	return f->answer;
}

static const char *
ask(struct fixture *f, const char *request)
{
	assert_int_equal(
	    send(f->peer, request, strlen(request), 0), (ssize_t)strlen(request));
	assert_int_equal(send(f->peer, "\r\n", 2, 0), 2);
	return read_answer(f);
}

#define HAS(text, part)                                                 \
	do {                                                            \
		if (strstr((text), (part)) == NULL)                     \
			fail_msg("no %s in what came: %s", part, text); \
	} while (0)

static void
test_answers(void **state)
{
	static const struct {
		const char *request, *part;
	} cases[] = {
	    {"{\"v\":1,\"cmd\":\"probe\"}", "\"status\":2,\"error\":\"say which route"},
	    {"{\"v\":1,\"cmd\":\"probe\",\"route\":\"nix\"}",
		"\"status\":2,\"error\":\"there is no route \\\"nix\\\""},
	    {"{\"v\":1,\"cmd\":\"probe\",\"route\":\"world\"}",
		"\"status\":2,\"error\":\"route \\\"world\\\" goes by MX records"},
	    {"{\"v\":1,\"cmd\":\"probe\",\"route\":\"world\",\"domain\":\"a..b\"}",
		"\"status\":2,\"error\":\"that is no domain"},
	    {"{\"v\":1,\"cmd\":\"probe\",\"route\":\"late\"}",
		"\"status\":2,\"error\":\"route \\\"late\\\" speaks to no other host"},
	    {"{\"v\":1,\"cmd\":\"user-list\"}",
		"\"status\":1,\"error\":\"this relayd keeps no accounts"},
	    {"{\"v\":1,\"cmd\":\"route-test\",\"from\":\"a@b.example\",\"to\":\"nix\"}",
		"\"status\":2,\"error\":\"say from whom to whom"},
	    {"{\"v\":1,\"cmd\":\"route-test\",\"from\":\"a@b.example\",\"to\":\"c@d."
	     "example\","
	     "\"ip\":\"x\"}",
		"\"status\":2,\"error\":\"--ip takes an address"},
	    {"{\"v\":1,\"cmd\":\"route-test\",\"from\":\"a@b.example\",\"to\":\"c@d."
	     "example\","
	     "\"listener\":\"nix\"}",
		"\"status\":2,\"error\":\"there is no listener \\\"nix\\\"; there are: "
		"smtp, "
		"inside\""},
	    {"{\"v\":1,\"cmd\":\"route-test\",\"from\":\"<>\",\"to\":\"c@d.example\"}",
		"{\"route\":\"world\",\"destination\":\"mx:d.example\""},
	    {"{\"v\":1,\"cmd\":\"route-test\",\"from\":\"<>\",\"to\":\"c@d.example\"}",
		"\"passed_over\":[{\"route\":\"joe\",\"line\":6,\"because\":\"sender\"},"
		"{\"route\":\"office\",\"line\":7,\"because\":\"recipient\"},"
		"{\"route\":\"late\",\"line\":8,\"because\":\"listener\"},"
		"{\"route\":\"lan\",\"line\":9,\"because\":\"client\"}]"},
	    {"{\"v\":1,\"cmd\":\"route-test\",\"from\":\"joe@here.example\",\"to\":"
	     "\"c@d.example\"}",
		"{\"route\":\"joe\",\"line\":6,\"because\":\"account\"}"},
	    {"{\"v\":1,\"cmd\":\"route-test\",\"from\":\"joe@here.example\",\"to\":"
	     "\"c@d.example\",\"account\":\"joe\"}",
		"\"destination\":\"via:joe\""},
	    {"{\"v\":1,\"cmd\":\"route-test\",\"from\":\"\",\"to\":\"c@d.example\","
	     "\"ip\":"
	     "\"10.1.1.1\"}",
		"\"route\":\"lan\""},
	    {"{\"v\":1,\"cmd\":\"route-test\",\"from\":\"\",\"to\":\"c@d.example\","
	     "\"listener\":\"inside\"}",
		"\"route\":\"late\""},
	    {"{\"v\":1,\"cmd\":\"policy-test\",\"ip\":\"192.0.2.7\",\"from\":\"a@b."
	     "example\"}",
		"\"status\":2,\"error\":\"say who sends what"},
	    {"{\"v\":1,\"cmd\":\"policy-test\",\"ip\":\"192.0.2.7\",\"from\":\"a@b."
	     "example\","
	     "\"to\":\"c@d.example\",\"listener\":\"nix\"}",
		"\"status\":2,\"error\":\"there is no listener"},
	    {"{\"v\":1,\"cmd\":\"policy-test\",\"ip\":\"192.0.2.7\",\"from\":\"a@b."
	     "example\","
	     "\"to\":\"c@d.example\",\"listener\":\"inside\"}",
		"\"status\":1,\"error\":\"listener \\\"inside\\\" (line 5) turns "
		"192.0.2.7 "
		"away"},
	    {"{\"v\":1,\"cmd\":\"policy-test\",\"ip\":\"192.0.2.7\",\"from\":\"a@b."
	     "example\","
	     "\"to\":\"c@d.example\",\"account\":\"joe\"}",
		"\"status\":1,\"error\":\"this relayd keeps no accounts"},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const char *got = ask(f, cases[i].request);
		HAS(got, cases[i].part);
		HAS(got, "{\"end\":true,");
	}
}

static void
test_policy(void **state)
{
	struct fixture *f = *state;
	const char *ours = ask(f, "{\"v\":1,\"cmd\":\"policy-test\",\"ip\":\"192.0.2.7\","
				  "\"from\":\"a@b.example\",\"to\":\"c@d.example\"}");
	HAS(ours, "{\"stage\":\"MAIL\",\"accepted\":true,\"answer\":\"250 2.1.0 ");
	HAS(ours, "\"step\":");
	HAS(ours, "{\"stage\":\"RCPT\",\"accepted\":true,\"answer\":\"250 2.1.5 ");
	HAS(ours, "\"destination\":\"mx:d.example\"");
	HAS(ours, "{\"end\":true,\"status\":0}");
	const char *theirs =
	    ask(f, "{\"v\":1,\"cmd\":\"policy-test\",\"ip\":\"198.51.100.7\","
		   "\"from\":\"a@b.example\",\"to\":\"c@d.example\"}");
	HAS(theirs, "{\"stage\":\"RCPT\",\"accepted\":false,\"answer\":\"550 5.7.1 ");
	HAS(theirs, "{\"end\":true,\"status\":1}");
	const char *in =
	    ask(f, "{\"v\":1,\"cmd\":\"policy-test\",\"ip\":\"198.51.100.7\","
		   "\"from\":\"<>\",\"to\":\"c@office.example\"}");
	HAS(in, "\"destination\":\"via:office\"");
	HAS(in, "{\"end\":true,\"status\":0}");
}

static void
test_probe(void **state)
{
	static const struct probe_finding bad = {"a[192.0.2.1]:25", false, "tls",
					      "wrong name", 12},
					  good = {"b[192.0.2.2]:25", true, "ready",
					      "TLSv1.3", 34};
	struct fixture *f = *state;
	assert_string_equal(
	    ask(f, "{\"v\":1,\"cmd\":\"probe\",\"route\":\"world\",\"domain\":"
		   "\"B\xc3\xbc"
		   "CHER.example\"}"),
	    "");
	assert_string_equal(f->asked, "world xn--bcher-kva.example");
	f->told(f->arg, &bad);
	assert_string_equal(read_answer(f),
	    "{\"host\":\"a[192.0.2.1]:25\",\"ok\":false,\"stage\":\"tls\",\"text\":"
	    "\"wrong name\",\"ms\":12}\n");
	f->told(f->arg, &good);
	HAS(read_answer(f), "\"ok\":true,\"stage\":\"ready\"");
	f->done(f->arg, NULL);
	assert_string_equal(read_answer(f), "{\"end\":true,\"status\":0}\n");
	/* none works */
	assert_string_equal(
	    ask(f, "{\"v\":1,\"cmd\":\"probe\",\"route\":\"office\"}"), "");
	f->told(f->arg, &bad);
	f->done(f->arg, NULL);
	HAS(read_answer(f), "{\"end\":true,\"status\":1,\"error\":\"none of them");
	/* not even begun */
	assert_string_equal(
	    ask(f, "{\"v\":1,\"cmd\":\"probe\",\"route\":\"office\"}"), "");
	f->done(f->arg, "no hosts");
	HAS(read_answer(f), "{\"end\":true,\"status\":1,\"error\":\"no hosts\"}");
}

static void
test_probe_outlives(void **state)
{
	static const struct probe_finding good = {
	    "b[192.0.2.2]:25", true, "ready", "", 34};
	struct fixture *f = *state;
	assert_string_equal(
	    ask(f, "{\"v\":1,\"cmd\":\"probe\",\"route\":\"office\"}"), "");
	/* half a line more, and gone: only an error ends a command under way */
	struct linger at_once = {.l_onoff = 1};
	(void)setsockopt(f->peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	(void)close(f->peer);
	f->peer = -1;
	settle(f);
	f->told(f->arg, &good);
	settle(f);
	control_free(&f->control);
	f->told(f->arg, &good);
	f->done(f->arg, NULL);
}

static void
test_wiping(void **state)
{
	(void)state;
	json_t *request =
	    json_pack("{s:s,s:s,s:s}", "name", "joe", "password", "xyzzy", "hash", "$6$");
	const json_t *password = json_object_get(request, "password");
	control_wipe_secrets(request);
	assert_int_equal(json_string_length(password), 5);
	assert_memory_equal(json_string_value(password), "\0\0\0\0\0", 5);
	assert_string_equal(json_string_value(json_object_get(request, "hash")), "");
	assert_string_equal(json_string_value(json_object_get(request, "name")), "joe");
	json_decref(request);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_policy, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_probe, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_probe_outlives, setup, teardown),
	    cmocka_unit_test(test_wiping),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
