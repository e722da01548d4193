/* SPDX-License-Identifier: ISC */
/*
 * page_plot - plots as SVG, drawn here: no script, no library, and colours that come from
 * the style sheet, so that they follow light and dark.  Under each stands what it shows
 * in words, for those who do not see it.
 */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "relay/control/page_private.h"

#define WIDTH 720
#define HEIGHT 200
#define LEFT 54 /* room for the scale */
#define BOTTOM 26
#define TOP 18
#define RIGHT 8

struct line {
	const char *name, *class;
	double y[SAMPLES];
	bool area;
};

struct plot {
	struct buf *b;
	const struct series *s;
	size_t n;   /* points */
	double top; /* of the scale */
	int64_t from, until;
};

static double
x_of(const struct plot *p, int64_t ms)
{
	double all = (double)(p->until - p->from);
	return LEFT +
	       (double)(ms - p->from) / (all > 0 ? all : 1) * (WIDTH - LEFT - RIGHT);
}

static double
y_of(const struct plot *p, double value)
{
	return HEIGHT - BOTTOM - value / p->top * (HEIGHT - BOTTOM - TOP);
}

/* At or above, and its quarters are round, too. */
static double
nice(double value)
{
	static const double small[] = {4, 8, 12, 20}, steps[] = {2, 4, 6, 8, 10};
	double power = 10;
	for (size_t i = 0; i < COUNT_OF(small); i++)
		if (value <= small[i])
			return small[i];
	while (power * 10 < value)
		power *= 10;
	for (size_t i = 0; i < COUNT_OF(steps); i++)
		if (steps[i] * power >= value)
			return steps[i] * power;
	return power * 10;
}

static void
put_value(struct buf *b, double value)
{
	if (value >= 1e6)
		buf_addf(b, "%.4gM", value / 1e6);
	else if (value >= 1e4)
		buf_addf(b, "%.4gk", value / 1e3);
	else
		buf_addf(b, "%.4g", value);
}

static void
put_scale(const struct plot *p)
{
	for (int i = 0; i <= 4; i++) {
		double value = p->top * i / 4, y = y_of(p, value);
		buf_addf(p->b,
		    "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
		    "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">",
		    LEFT, WIDTH - RIGHT, y, y, LEFT - 6, y + 4);
		put_value(p->b, value);
		buf_add_str(p->b, "</text>");
	}
}

/* Hours and minutes at four places, and seconds where it is all about those. */
static void
put_times(const struct plot *p)
{
	bool seconds = p->until - p->from < 5 * MINUTE_MS;
	for (int i = 0; i <= 3; i++) {
		int64_t ms = p->from + (p->until - p->from) * i / 3;
		struct text t = text_time(ms / 1000);
		const char *anchor = i == 0 ? "start" : i == 3 ? "end" : "middle";
		buf_addf(p->b,
		    "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">%.*s"
		    "</text>",
		    x_of(p, ms), HEIGHT - 5, anchor, seconds ? 8 : 5,
		    strlen(t.s) > 11 ? t.s + 11 : "");
	}
}

static void
put_points(const struct plot *p, const struct line *l)
{
	for (size_t i = 0; i < p->n; i++)
		buf_addf(p->b, "%c%.1f %.1f", i == 0 ? 'M' : 'L',
		    x_of(p, series_at(p->s, p->s->n - p->n + i)->at.ms),
		    y_of(p, l->y[i]));
}

static void
put_path(const struct plot *p, const struct line *l)
{
	if (l->area) {
		buf_addf(p->b, "<path class=\"area\" d=\"");
		put_points(p, l);
		buf_addf(p->b, "L%.1f %.1fL%.1f %.1fZ\"/>", x_of(p, p->until), y_of(p, 0),
		    x_of(p, p->from), y_of(p, 0));
	}
	buf_addf(p->b, "<path class=\"%s\" d=\"", l->class);
	put_points(p, l);
	buf_add_str(p->b, "\"/>");
}

static void
put_legend(const struct plot *p, const struct line *line, size_t lines)
{
	buf_add_str(p->b, "<ul class=\"legend\">");
	for (size_t i = 0; i < lines; i++) {
		HTML(p->b, "<li class=\"{}\"><i></i>{} <b>", line[i].class, line[i].name);
		put_value(p->b,
		    p->n > 0 ? (double)(int64_t)(line[i].y[p->n - 1] * 10) / 10 : 0);
		buf_add_str(p->b, "</b></li>");
	}
	buf_add_str(p->b, "</ul>");
}

static void
draw(struct plot *p, const char *title, struct line *line, size_t lines)
{
	double most = 0;
	for (size_t k = 0; k < lines; k++)
		for (size_t i = 0; i < p->n; i++)
			if (line[k].y[i] > most)
				most = line[k].y[i];
	p->top = nice(most);
	HTML(p->b, "<figure><figcaption>{}</figcaption>", title);
	put_legend(p, line, lines);
	buf_addf(p->b,
	    "<svg class=\"plot\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH,
	    HEIGHT);
	html_escape(p->b, span_str(title));
	buf_add_str(p->b, "; at most ");
	put_value(p->b, most);
	buf_add_str(p->b, "\">");
	put_scale(p);
	if (p->n >= 2) {
		put_times(p);
		for (size_t k = 0; k < lines; k++)
			put_path(p, &line[k]);
	} else {
		buf_addf(p->b,
		    "<text class=\"tick\" x=\"%d\" y=\"%d\" "
		    "text-anchor=\"middle\">gathering; come back in a minute</text>",
		    WIDTH / 2, HEIGHT / 2);
	}
	buf_add_str(p->b, "</svg></figure>\n");
}

static struct plot
plot_of(struct buf *b, const struct series *s, size_t n)
{
	struct plot p = {.b = b, .s = s, .n = n, .top = 1};
	if (n > 0) {
		p.from = series_at(s, s->n - n)->at.ms;
		p.until = series_at(s, s->n - 1)->at.ms;
	}
	return p;
}

/* Per minute, between a sample and the one before it. */
static double
rate(uint64_t now, uint64_t before, int64_t ms)
{
	return ms > 0 && now > before ? (double)(now - before) * 60000 / (double)ms : 0;
}

void
plot_rates(struct buf *b, const struct series *s, const char *span)
{
	size_t n = s->n > 0 ? s->n - 1 : 0;
	struct line *line = mem_alloc(4 * sizeof(*line));
	line[0] = (struct line){.name = "accepted", .class = "in"};
	line[1] = (struct line){.name = "delivered", .class = "out"};
	line[2] = (struct line){.name = "deferred", .class = "wait"};
	line[3] = (struct line){.name = "bounced", .class = "bad"};
	for (size_t i = 0; i < n; i++) {
		const struct sample *a = series_at(s, i), *z = series_at(s, i + 1);
		int64_t ms = wall_since(z->at, a->at);
		line[0].y[i] = rate(z->accepted, a->accepted, ms);
		line[1].y[i] = rate(z->delivered, a->delivered, ms);
		line[2].y[i] = rate(z->deferred, a->deferred, ms);
		line[3].y[i] = rate(z->bounced, a->bounced, ms);
	}
	struct plot p = plot_of(b, s, n);
	struct buf title;
	buf_init(&title, 100);
	buf_addf(&title, "Mail per minute, the last %s", span);
	buf_add_char(&title, '\0');
	draw(&p, title.p, line, 4);
	buf_clear(&title);
	mem_free(&line);
}

void
plot_queue(struct buf *b, const struct series *s, const char *span)
{
	struct line *line = mem_alloc(sizeof(*line));
	*line = (struct line){.name = "messages", .class = "queue", .area = true};
	for (size_t i = 0; i < s->n; i++)
		line->y[i] = (double)series_at(s, i)->messages;
	struct plot p = plot_of(b, s, s->n);
	struct buf title;
	buf_init(&title, 100);
	buf_addf(&title, "Waiting in the queue, the last %s", span);
	buf_add_char(&title, '\0');
	draw(&p, title.p, line, 1);
	buf_clear(&title);
	mem_free(&line);
}
