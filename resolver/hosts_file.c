/* SPDX-License-Identifier: ISC */
/* hosts_file - "192.0.2.1  mail.lan mail  # a comment"; what cannot be read is passed
 * over. */
#include "resolver/hosts_file.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/buf.h"

static struct span
take_word(struct span *line)
{
	size_t n = 0;
	*line = span_trim(*line);
	while (n < line->n && line->p[n] != ' ' && line->p[n] != '\t')
		n++;
	struct span word = span_cut(*line, 0, n);
	*line = span_cut(*line, n, line->n);
	return word;
}

static bool
line_names(struct span line, struct span name)
{
	struct span word;
	while ((word = take_word(&line)).n > 0)
		if (span_ieq(word, name))
			return true;
	return false;
}

size_t
hosts_text_find(struct span text, struct span name, enum net_family family,
    struct net_addr *out, size_t max)
{
	size_t n = 0;
	while (text.n > 0 && n < max) {
		size_t end = span_find(text, '\n');
		struct span line = span_cut(text, 0, end);
		text = span_cut(text, end + 1, text.n);
		line = span_cut(line, 0, span_find(line, '#'));
		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		struct net_addr a;
		if (net_parse_ip(take_word(&line), &a) != OK)
			continue;
		if ((family == NET_NONE || a.family == family) && line_names(line, name))
			out[n++] = a;
	}
	return n;
}

size_t
hosts_file_find(const char *path, struct span name, enum net_family family,
    struct net_addr *out, size_t max)
{
	struct buf text;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return 0;
	buf_init(&text, HOSTS_FILE_MAX);
	for (;;) {
		char *room = buf_room(&text, 4096);
		ssize_t n = room != NULL ? read(fd, room, 4096) : 0;
		if (n <= 0)
			break;
		text.n += (size_t)n;
	}
	(void)close(fd);
	size_t found = hosts_text_find(buf_span(&text), name, family, out, max);
	buf_clear(&text);
	return found;
}
