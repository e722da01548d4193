# SPDX-License-Identifier: ISC
"""How results are shown: medians, spreads, ratios, and a line that says what is going on."""
import json
import os
import statistics
import sys

def median(runs, key):
    values = [r[key] for r in runs if r.get(key) is not None]
    return statistics.median(values) if values else None


def spread(runs, key):
    """Highest less lowest, in percent of the median."""
    values = [r[key] for r in runs]
    middle = statistics.median(values)
    return (max(values) - min(values)) / middle * 100 if middle else 0


def summary(runs):
    """{figure: its median, and how far the runs lie apart}, of what is a number in each."""
    keys = [k for k in runs[0] if all(isinstance(r.get(k), (int, float)) for r in runs)]
    return {k: {"median": median(runs, k), "spread_percent": spread(runs, k)} for k in keys}


def number(value, digits=None):
    """Three significant digits or so."""
    if value is None:
        return "-"
    if digits is None:
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 3
    return f"{value:,.{digits}f}"


def ratio(ours, theirs):
    return f"{number(ours / theirs)} x" if ours and theirs else "-"


def progress(text):
    """On a terminal, a line that the next one replaces."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def row(first, columns, width=34):
    progress("")
    print(f"{first:<{width}}" + "".join(f"{text:>{w}}" for text, w in columns), flush=True)


def in_turn(options, names, measure):
    """{name: what measure(name) gave in each run}: one after the other, and again.  What is
    long already is run once."""
    times = 1 if options.long or options.short else options.runs
    results = {name: [] for name in names}
    for _ in range(times):
        for name, runs in results.items():
            runs.append(measure(name))
    return results


def figure_of(line, runs):
    """The median over the runs of what a line (title, figure, ...) shows, and how far they
    lie apart in percent of it."""
    values = [{"it": line[1](r)} for r in runs]
    if any(v["it"] is None for v in values):
        return None, None
    return median(values, "it"), spread(values, "it")


def compare(first, heads, lines, results):
    """A row for each line (title, figure, 1 or -1 where more or less is better), with the
    ratio; their summary, for the JSON."""
    ratios = any(len(line) > 2 for line in lines)
    row(first, [c for head in heads for c in ((head, 20), ("+-", 6))] +
        ([("ratio", 10)] if ratios else []))
    summary = {name: {} for name in results}
    for line in lines:
        cells, figures = [], []
        for name, runs in results.items():
            middle, apart = figure_of(line, runs)
            summary[name][line[0]] = {"median": middle, "spread_percent": apart}
            figures.append(middle)
            cells += [(number(middle), 20), ("-" if apart is None else f"{apart:.0f}%", 6)]
        better = line[2] if len(line) > 2 else 0
        times = "-"
        if better and len(figures) == 2:
            times = ratio(*(figures if better > 0 else reversed(figures)))
        row(line[0], cells + ([(times, 10)] if ratios else []))
    return summary


def save(options, name, result):
    os.makedirs(options.out, exist_ok=True)
    with open(os.path.join(options.out, f"{name}.json"), "w", encoding="ascii") as f:
        json.dump(result, f, indent=1)
