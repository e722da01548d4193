/* SPDX-License-Identifier: ISC */
/*
 * ctl_import - "relayctl import postfix [main.cf]": a configuration for relayd that
 * does what this one does, on standard output; what could not be carried over is said
 * in comments there and, counted, on standard error.
 *
 * A table says what each parameter becomes.  What only moves files around or tunes
 * processes that relayd does not have is passed over in silence; everything else that
 * was set and is not understood is named with its line.  Maps are read where they are
 * plain text (hash:, lmdb: and the like have the text beside them).
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/net.h"
#include "tools/ctl.h"
#include "tools/ctl_import.h"

/* ---- reading main.cf */

static void
add_setting(struct import *im, struct span name, struct span value, unsigned line)
{
	for (size_t i = 0; i < im->n; i++)
		if (span_eq(span_str(im->set[i].name), name)) { /* the last one counts */
			mem_free(&im->set[i].value);
			im->set[i].value = span_dup(value);
			im->set[i].line = line;
			return;
		}
	if (im->n == IMPORT_SETTINGS_MAX)
		return;
	im->set[im->n++] =
	    (struct import_setting){span_dup(name), span_dup(value), line, false};
}

static void
take_logical(struct import *im, struct span text, unsigned line)
{
	size_t eq = span_find(text, '=');
	if (eq == text.n)
		return;
	add_setting(im, span_trim(span_cut(text, 0, eq)),
	    span_trim(span_cut(text, eq + 1, text.n)), line);
}

/* A line that begins with a blank goes on with the one before it; "#" begins a comment
 * only at the beginning. */
static bool
read_main_cf(struct import *im, FILE *f)
{
	char *line = NULL;
	size_t cap = 0;
	unsigned number = 0, began = 0;
	struct buf logical;
	buf_init(&logical, 1u << 20);
	while (getline(&line, &cap, f) >= 0) {
		line[strcspn(line, "\r\n")] = '\0';
		struct span s = span_str(line);
		struct span plain = span_trim(s);
		number++;
		if (plain.n == 0 || plain.p[0] == '#')
			continue;
		bool goes_on = s.p[0] == ' ' || s.p[0] == '\t';
		if (!goes_on) {
			take_logical(im, buf_span(&logical), began);
			buf_reset(&logical);
			began = number;
		} else {
			buf_add_char(&logical, ' ');
		}
		buf_add_span(&logical, plain);
	}
	take_logical(im, buf_span(&logical), began);
	buf_clear(&logical);
	free(line);
	return ferror(f) == 0;
}

static struct import_setting *
find(struct import *im, struct span name)
{
	for (size_t i = 0; i < im->n; i++)
		if (span_eq(span_str(im->set[i].name), name))
			return &im->set[i];
	return NULL;
}

static const char *
fallback_of(struct span name)
{
	static const char *const known[][2] = {
	    {"mydestination", "$myhostname, localhost.$mydomain, localhost"},
	    {"myorigin", "$myhostname"}, {"inet_interfaces", "all"}};
	for (size_t i = 0; i < COUNT_OF(known); i++)
		if (span_eq(span_str(known[i][0]), name))
			return known[i][1];
	return "";
}

static void expand(struct import *im, struct span value, unsigned depth, struct buf *out);

static void
expand_name(struct import *im, struct span name, unsigned depth, struct buf *out)
{
	struct import_setting *s = find(im, name);
	if (s != NULL) {
		expand(im, span_str(s->value), depth + 1, out);
	} else if (span_eq(name, SPAN("mydomain"))) {
		struct buf host;
		buf_init(&host, 4096);
		expand_name(im, SPAN("myhostname"), depth + 1, &host);
		struct span h = buf_span(&host);
		buf_add_span(out, span_cut(h, span_find(h, '.') + 1, h.n));
		buf_clear(&host);
	} else {
		expand(im, span_str(fallback_of(name)), depth + 1, out);
	}
}

/* $name, ${name}, $(name); deeper than anyone writes is a circle. */
static void
expand(struct import *im, struct span value, unsigned depth, struct buf *out)
{
	for (size_t i = 0; i < value.n && depth < 20; i++) {
		if (value.p[i] != '$') {
			buf_add_char(out, value.p[i]);
			continue;
		}
		bool bracket =
		    i + 1 < value.n && (value.p[i + 1] == '{' || value.p[i + 1] == '(');
		size_t from = i + 1 + bracket, to = from;
		while (to < value.n &&
		       (isalnum((unsigned char)value.p[to]) || value.p[to] == '_'))
			to++;
		expand_name(im, span_cut(value, from, to - from), depth, out);
		i = bracket && to < value.n ? to : to - 1;
	}
}

char *
import_get(struct import *im, const char *name)
{
	struct buf b;
	struct import_setting *s = find(im, span_str(name));
	if (s == NULL)
		return NULL;
	s->used = true;
	buf_init(&b, 1u << 20);
	expand(im, span_str(s->value), 0, &b);
	return buf_take(&b);
}

bool
import_is(struct import *im, const char *name, const char *value)
{
	char *v = import_get(im, name);
	bool is = v != NULL && strcasecmp(v, value) == 0;
	mem_free(&v);
	return is;
}

/* ---- writing */

void
import_note(struct import *im, const char *fmt, ...)
{
	va_list ap;
	im->notes++;
	buf_add_str(&im->said, "# NOT CARRIED OVER: ");
	va_start(ap, fmt);
	buf_addv(&im->said, fmt, ap);
	va_end(ap);
	buf_add_char(&im->said, '\n');
}

void
import_hint(struct import *im, const char *fmt, ...)
{
	va_list ap;
	buf_add_str(&im->said, "# LOOK AT: ");
	va_start(ap, fmt);
	buf_addv(&im->said, fmt, ap);
	va_end(ap);
	buf_add_char(&im->said, '\n');
}

void
import_quote(struct buf *out, struct span s)
{
	buf_add_char(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_add_char(out, '\\');
		if ((unsigned char)s.p[i] >= 0x20)
			buf_add_char(out, s.p[i]);
	}
	buf_add_char(out, '"');
}

bool
import_word(struct span *rest, struct span *word)
{
	size_t i = 0, k;
	while (i < rest->n && strchr(" \t,", rest->p[i]) != NULL)
		i++;
	for (k = i; k < rest->n && strchr(" \t,", rest->p[k]) == NULL; k++) {
	}
	*word = span_cut(*rest, i, k - i);
	*rest = span_cut(*rest, k, rest->n);
	return word->n > 0;
}

/* ---- maps */

static const char *
text_of_map(struct span map, char path[4096])
{
	static const char *const plain[] = {
	    "hash:", "lmdb:", "btree:", "cdb:", "dbm:", "texthash:", "sdbm:"};
	for (size_t i = 0; i < COUNT_OF(plain); i++) {
		struct span kind = span_str(plain[i]);
		if (span_starts(map, kind)) {
			span_copy(span_cut(map, kind.n, map.n), path, 4096);
			return path;
		}
	}
	return NULL;
}

static void
map_lines(struct import *im, FILE *f,
    void (*row)(struct import *, struct span key, struct span value))
{
	char *line = NULL;
	size_t cap = 0;
	while (getline(&line, &cap, f) >= 0) {
		line[strcspn(line, "\r\n")] = '\0';
		struct span rest = span_trim(span_str(line)), key;
		if (rest.n == 0 || rest.p[0] == '#' || !import_word(&rest, &key))
			continue;
		row(im, key, span_trim(rest));
	}
	free(line);
}

void
import_map(struct import *im, const char *parameter,
    void (*row)(struct import *, struct span key, struct span value))
{
	char path[4096], *value = import_get(im, parameter);
	struct span rest = span_str(value ? value : ""), map;
	while (import_word(&rest, &map)) {
		if (text_of_map(map, path) == NULL) {
			import_note(im,
			    "%s: the map %.*s is not a text file; write it down "
			    "as routes or accounts",
			    parameter, SPAN_ARG(map));
			continue;
		}
		FILE *f = fopen(path, "re");
		if (f == NULL) {
			import_note(im, "%s: %s: %s", parameter, path, strerror(errno));
			continue;
		}
		map_lines(im, f, row);
		(void)fclose(f);
	}
	mem_free(&value);
}

/* ---- what is left */

static bool
is_passed_over(const char *name)
{
	static const char *const names[] = {"alias_database", "append_dot_mydomain",
	    "biff", "bounce_template_file", "command_directory", "compatibility_level",
	    "config_directory", "daemon_directory", "data_directory", "debug_peer_level",
	    "debugger_command", "default_privs", "html_directory", "inet_protocols",
	    "local_recipient_maps", "mail_name", "mail_owner", "mail_spool_directory",
	    "mailbox_command", "mailbox_size_limit", "mailq_path", "maillog_file",
	    "manpage_directory", "meta_directory", "multi_instance_enable", "mydomain",
	    "myorigin", "newaliases_path", "queue_directory", "readme_directory",
	    "recipient_delimiter", "sample_directory", "sendmail_path", "setgid_group",
	    "shlib_directory", "smtp_sasl_security_options",
	    "smtp_sasl_tls_security_options", "smtp_tls_note_starttls_offer",
	    "smtp_tls_session_cache_database", "smtp_tls_loglevel", "smtpd_banner",
	    "smtpd_helo_required", "smtpd_tls_loglevel", "smtpd_tls_received_header",
	    "smtpd_tls_session_cache_database", "smtpd_sasl_type", "smtpd_sasl_path",
	    "smtpd_sasl_security_options", "smtpd_sasl_local_domain",
	    "broken_sasl_auth_clients", "tls_random_source",
	    "unknown_local_recipient_reject_code", "disable_vrfy_command",
	    "strict_rfc821_envelopes", "syslog_name", "syslog_facility",
	    "smtp_tls_mandatory_protocols", "smtp_tls_protocols",
	    "smtpd_tls_mandatory_protocols", "smtpd_tls_protocols", "smtpd_tls_ciphers",
	    "smtp_tls_ciphers", "tls_preempt_cipherlist", "smtpd_tls_mandatory_ciphers",
	    "smtputf8_enable", "alias_maps"};
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static void
say_what_is_left(struct import *im)
{
	for (size_t i = 0; i < im->n; i++) {
		const struct import_setting *s = &im->set[i];
		if (!s->used && *s->value != '\0' && !is_passed_over(s->name))
			import_note(im, "line %u: %s = %s", s->line, s->name, s->value);
	}
}

static void
import_free(struct import *im)
{
	for (size_t i = 0; i < im->n; i++) {
		mem_free(&im->set[i].name);
		mem_free(&im->set[i].value);
	}
	buf_clear(&im->out);
	buf_clear(&im->routes);
	buf_clear(&im->said);
	mem_free(&im);
}

static void
put_result(struct import *im, const char *file)
{
	printf("# made from %s by relayctl import postfix; check it: relayd -t -c FILE\n",
	    file);
	for (struct span rest = buf_span(&im->said); rest.n > 0;) {
		size_t end = span_find(rest, '\n');
		char *line = span_dup(span_cut(rest, 0, end));
		ctl_put(line);
		putchar('\n');
		mem_free(&line);
		rest = span_cut(rest, end + 1, rest.n);
	}
	putchar('\n');
	(void)fwrite(im->out.p, 1, im->out.n, stdout);
	putchar('\n');
	(void)fwrite(im->routes.p, 1, im->routes.n, stdout);
	if (im->notes > 0)
		fprintf(stderr,
		    "relayctl: %u settings of %s could not be carried over; the "
		    "first lines of the result name them\n",
		    im->notes, file);
}

int
ctl_import_postfix(const char *main_cf)
{
	FILE *f = fopen(main_cf, "re");
	if (f == NULL) {
		fprintf(stderr,
		    "relayctl: %s: %s; say where main.cf is: relayctl import "
		    "postfix FILE\n",
		    main_cf, strerror(errno));
		return CTL_NOTHING;
	}
	struct import *im = NEW(struct import);
	buf_init(&im->out, 4u << 20);
	buf_init(&im->routes, 16u << 20);
	buf_init(&im->said, 4u << 20);
	bool ok = read_main_cf(im, f);
	(void)fclose(f);
	if (!ok) {
		fprintf(stderr, "relayctl: reading %s: %s\n", main_cf, strerror(errno));
	} else {
		import_server(im);
		import_routes(im);
		say_what_is_left(im);
		put_result(im, main_cf);
	}
	import_free(im);
	return ok ? CTL_DONE : CTL_NOTHING;
}
