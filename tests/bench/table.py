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


def save(options, name, result):
    os.makedirs(options.out, exist_ok=True)
    with open(os.path.join(options.out, f"{name}.json"), "w", encoding="ascii") as f:
        json.dump(result, f, indent=1)
