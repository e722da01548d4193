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
    "listener \"smtp\" { bind = {\"127.0.0.1:25\"} auth = \"optional\" auth-in-clear = "
    "true }\n"
    "listener \"inside\" { bind = {\"127.0.0.1:26\"} clients = {\"10.0.0.0/8\"} }\n"
    "listener \"plain\" { bind = {\"127.0.0.1:27\"} auth = \"no\" }\n"
    "route \"joe\" { from = {\"joe@here.example\"} account = {\"joe\"} via = "
    "{\"192.0.2.1:25\"} }\n"
    "route \"office\" { to = {\"office.example\"} via = {\"192.0.2.2:25\"} inbound = "
    "true "
    "}\n"
    "route \"late\" { listener = {\"inside\"} deliver = \"hold\" }\n"
    "route \"lan\" { client = {\"10.0.0.0/8\"} via = {\"192.0.2.3:25\"} }\n"
    "route \"world\" { deliver = \"mx\" }\n";

/* The program's own signin_admin() stands before the real one: it keeps the request,
 * and the test answers when it likes. */
struct signin {
	char request[1000];
	void (*told)(void *arg, struct span object, bool end);
	void *arg;
};

void
signin_admin(struct signin *s, struct span request,
    void (*told)(void *arg, struct span object, bool end), void *arg)
{
	span_copy(request, s->request, sizeof(s->request));
	s->told = told;
	s->arg = arg;
}

struct fixture {
	struct fake_world w;
	struct log *log;
	struct buf logged;
	struct signin signin;
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
	/* the account that has changed */
	char changed[200];
	void (*known)(void *arg);
	void *known_arg;
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

static void
account_changed(
    void *arg, struct span name, bool ends, void (*told)(void *told_arg), void *told_arg)
{
	struct fixture *f = arg;
	(void)snprintf(f->changed, sizeof(f->changed), "%.*s%s", SPAN_ARG(name),
	    ends ? " ends" : "");
	f->known = told;
	f->known_arg = told_arg;
}

static void
on_log(void *arg, enum log_level level, struct span line)
{
	struct fixture *f = arg;
	(void)level;
	buf_add_span(&f->logged, line);
	buf_add_char(&f->logged, '\n');
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
	f->log = log_new(&f->w.world, STDERR_FILENO);
	log_hook(f->log, on_log, f);
	struct control_options o = {.loop = f->loop,
	    .log = f->log,
	    .host = {.config = the_config, .probe = probe, .arg = f}};
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
	log_free(&f->log);
	buf_clear(&f->logged);
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

/* The administrator goes away, and control learns it by writing. */
static void
leave(struct fixture *f)
{
	(void)close(f->peer);
	f->peer = -1;
	settle(f);
}

static void
answer(struct fixture *f, const char *object, bool end)
{
	f->signin.told(f->signin.arg, span_str(object), end);
}

static const char *
logged(struct fixture *f)
{
	log_flush(f->log);
	buf_add_char(&f->logged, '\0');
	f->logged.n--;
	return f->logged.p;
}

static void
has(const char *text, const char *part, int line)
{
	if (strstr(text, part) == NULL)
		fail_msg("line %d: no %s in what came: %s", line, part, text);
}
#define HAS(text, part) has((text), (part), __LINE__)

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
		"inside, plain\""},
	    {"{\"v\":1,\"cmd\":\"route-test\",\"from\":\"<>\",\"to\":\"c@d.example\"}",
		"{\"route\":\"world\",\"destination\":\"mx:d.example\""},
	    {"{\"v\":1,\"cmd\":\"route-test\",\"from\":\"<>\",\"to\":\"c@d.example\"}",
		"\"passed_over\":[{\"route\":\"joe\",\"line\":7,\"because\":\"sender\"},"
		"{\"route\":\"office\",\"line\":8,\"because\":\"recipient\"},"
		"{\"route\":\"late\",\"line\":9,\"because\":\"listener\"},"
		"{\"route\":\"lan\",\"line\":10,\"because\":\"client\"}]"},
	    {"{\"v\":1,\"cmd\":\"route-test\",\"from\":\"joe@here.example\",\"to\":"
	     "\"c@d.example\"}",
		"{\"route\":\"joe\",\"line\":7,\"because\":\"account\"}"},
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
	leave(f);
	f->told(f->arg, &good);
	settle(f);
	control_free(&f->control);
	f->told(f->arg, &good);
	f->done(f->arg, NULL);
}

static void
test_accounts(void **state)
{
	struct fixture *f = *state;
	f->control->host.signin = &f->signin;
	HAS(ask(f, "{\"v\":1,\"cmd\":\"user-add\"}"), "\"status\":2,");
	HAS(ask(f, "{\"v\":1,\"cmd\":\"user-secret-add\",\"name\":\"joe\"}"),
	    "\"status\":2,");
	assert_string_equal(f->signin.request, "");
	assert_string_equal(
	    ask(f, "{\"v\":1,\"cmd\":\"user-add\",\"name\":\"joe\","
		   "\"password\":\"xyzzy\",\"address\":[\"a@b.example\"]}"),
	    "");
	assert_string_equal(f->signin.request,
	    "{\"v\":1,\"cmd\":\"user-add\",\"name\":\"joe\",\"password\":\"xyzzy\","
	    "\"address\":[\"a@b.example\"]}");
	answer(f, "{\"end\":true,\"status\":1,\"error\":\"there is one\"}", true);
	assert_string_equal(
	    read_answer(f), "{\"end\":true,\"status\":1,\"error\":\"there is one\"}\n");
	HAS(logged(f), " admin what=user-add uid=");
	HAS(logged(f), " account=joe secret=\"\" changed=password,address status=1\n");
	assert_null(strstr(logged(f), "xyzzy"));
	/* a list comes as it is, and is no news */
	buf_reset(&f->logged);
	assert_string_equal(ask(f, "{\"v\":1,\"cmd\":\"user-list\"}"), "");
	answer(f, "{\"name\":\"joe\"}", false);
	answer(f, "{\"name\":\"jane\"}", false);
	assert_string_equal(read_answer(f), "{\"name\":\"joe\"}\n{\"name\":\"jane\"}\n");
	answer(f, "{\"end\":true,\"status\":0}", true);
	assert_string_equal(read_answer(f), "{\"end\":true,\"status\":0}\n");
	assert_string_equal(logged(f), "");
	/* an answer that is none */
	assert_string_equal(ask(f, "{\"v\":1,\"cmd\":\"user-list\"}"), "");
	answer(f, "what", true);
	HAS(read_answer(f), "{\"end\":true,\"status\":1,\"error\":\"the answer about");
}

/* The end of an answer waits until everyone here knows of the change. */
static void
test_accounts_change(void **state)
{
	static const struct {
		const char *request, *changed;
	} cases[] = {
	    {"user-add\",\"password\":\"x", "Joe"},
	    {"user-set\",\"disabled\":\"x", "Joe"},
	    {"user-passwd\",\"password\":\"x", "Joe ends"},
	    {"user-secret-add\",\"label\":\"x", "Joe"},
	    {"user-secret-delete\",\"label\":\"x", "Joe ends"},
	    {"user-delete", "Joe ends"},
	};
	struct fixture *f = *state;
	f->control->host.signin = &f->signin;
	f->control->host.account_changed = account_changed;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char request[300];
		snprintf(request, sizeof(request),
		    "{\"v\":1,\"name\":\"Joe\",\"cmd\":\"%s\"}", cases[i].request);
		f->changed[0] = '\0';
		assert_string_equal(ask(f, request), "");
		assert_string_equal(f->changed, "");
		answer(f, "{\"end\":true,\"status\":0}", true);
		assert_string_equal(f->changed, cases[i].changed);
		assert_string_equal(read_answer(f), "");
		f->known(f->known_arg);
		assert_string_equal(read_answer(f), "{\"end\":true,\"status\":0}\n");
	}
	/* nothing has changed */
	f->changed[0] = '\0';
	(void)ask(f, "{\"v\":1,\"cmd\":\"user-delete\",\"name\":\"Joe\"}");
	answer(f, "{\"end\":true,\"status\":1,\"error\":\"no\"}", true);
	HAS(read_answer(f), "\"status\":1,\"error\":\"no\"");
	(void)ask(f, "{\"v\":1,\"cmd\":\"user-list\",\"name\":\"Joe\"}");
	answer(f, "{\"end\":true,\"status\":0}", true);
	HAS(read_answer(f), "\"status\":0");
	assert_string_equal(f->changed, "");
	/* the administrator has gone before it was in force, and then control */
	(void)ask(f, "{\"v\":1,\"cmd\":\"user-delete\",\"name\":\"Joe\"}");
	answer(f, "{\"end\":true,\"status\":0}", true);
	assert_string_equal(f->changed, "Joe ends");
	leave(f);
	control_free(&f->control);
	f->known(f->known_arg);
}

static void
test_accounts_outlive(void **state)
{
	struct fixture *f = *state;
	f->control->host.signin = &f->signin;
	assert_string_equal(ask(f, "{\"v\":1,\"cmd\":\"user-secret-add\",\"name\":"
				   "\"joe\",\"label\":\"printer\"}"),
	    "");
	control_free(&f->control);
	leave(f);
	answer(f, "{\"password\":\"xyzzy\"}", false);
	answer(f, "{\"end\":true,\"status\":0}", true);
	HAS(logged(f), "what=user-secret-add");
	HAS(logged(f), "account=joe secret=printer");
	assert_null(strstr(logged(f), "xyzzy"));
}

static void
test_policy_account(void **state)
{
	static const struct {
		const char *account, *end, *part;
	} cases[] = {
	    {"{\"name\":\"joe\",\"address\":[\"joe@here.example\"],\"disabled\":false}",
		"{\"end\":true,\"status\":0}", "\"destination\":\"via:joe\""},
	    {"{\"name\":\"joe\",\"address\":[],\"disabled\":false}",
		"{\"end\":true,\"status\":0}", "{\"end\":true,\"status\":0}"},
	    {"{\"name\":\"joe\",\"address\":[\"jane@here.example\"]}",
		"{\"end\":true,\"status\":0}", "{\"end\":true,\"status\":1}"},
	    {"{\"name\":\"joe\",\"address\":[],\"disabled\":true}",
		"{\"end\":true,\"status\":0}",
		"\"status\":1,\"error\":\"account \\\"joe\\\" is disabled"},
	    {"{\"name\":\"joe\",\"address\":[\"@\"]}", "{\"end\":true,\"status\":0}",
		"\"status\":1,\"error\":\"account \\\"joe\\\": "},
	    {NULL, "{\"end\":true,\"status\":0}",
		"\"status\":1,\"error\":\"joe: there is no such account"},
	    {NULL, "{\"end\":true,\"status\":1,\"error\":\"nobody of that name\"}",
		"\"status\":1,\"error\":\"joe: nobody of that name"},
	};
	static const char request[] =
	    "{\"v\":1,\"cmd\":\"policy-test\",\"ip\":\"198.51.100.7\",\"from\":"
	    "\"joe@here.example\",\"to\":\"c@d.example\",\"account\":\"joe\"}";
	struct fixture *f = *state;
	f->control->host.signin = &f->signin;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_string_equal(ask(f, request), "");
		assert_string_equal(f->signin.request,
		    "{\"v\":1,\"cmd\":\"user-list\",\"name\":\"joe\"}");
		if (cases[i].account != NULL)
			answer(f, cases[i].account, false);
		answer(f, cases[i].end, true);
		HAS(read_answer(f), cases[i].part);
	}
	assert_string_equal(
	    ask(f,
		"{\"v\":1,\"cmd\":\"policy-test\",\"ip\":\"198.51.100.7\",\"from\":"
		"\"a@b.example\",\"to\":\"c@d.example\",\"account\":\"joe\",\"listener\":"
		"\"plain\"}"),
	    "");
	answer(f, cases[0].account, false);
	answer(f, cases[0].end, true);
	HAS(read_answer(f),
	    "\"status\":1,\"error\":\"listener \\\"plain\\\" (line 6) has auth = "
	    "\\\"no\\\"");
	assert_string_equal(ask(f, request), "");
	leave(f);
	answer(f, cases[0].account, false);
	answer(f, cases[0].end, true);
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
	    cmocka_unit_test_setup_teardown(test_accounts, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_accounts_outlive, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_accounts_change, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_policy_account, setup, teardown),
	    cmocka_unit_test(test_wiping),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
