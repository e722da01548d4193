#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""make bench: what relayd does beside Postfix, and Dovecot, in the same minutes.

    make bench                       the standard suite, forty minutes
    make bench SHORT=1               five minutes
    make bench CASE=10k-100,idle     these cases (patterns: CASE='10k-*'); CASE=list
    make bench RUNS=5 LONG=1         more runs; with a queue of 1,000,000
    make bench LONG=1 ALONE=1        relayd alone

tests/bench/README.md says what each case measures and how to read it.  Every case is
run RUNS times for each server in turn; medians are shown, with the spread behind
them.  All of it goes into build/bench/CASE.json as well.
"""
import argparse
import fnmatch
import os
import signal
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "real")]
import cases  # noqa: E402
import dead  # noqa: E402
import growing  # noqa: E402
import idle  # noqa: E402
import latency  # noqa: E402
import overload  # noqa: E402
import pickup  # noqa: E402
import reading  # noqa: E402
import relays  # noqa: E402
import real  # noqa: E402
import table  # noqa: E402
import traffic  # noqa: E402
import upstream  # noqa: E402
import waiting  # noqa: E402


# the cases that are not messages from clients to a sink: run(options) prints and saves
OTHERS = {"latency": latency.run, "queue": growing.run, "dead": dead.run,
          "overload": overload.run, "idle": idle.run,
          "pickup": pickup.run, "reading": reading.run, "waiting": waiting.run}
SLOW = ("waiting",)  # not in the standard suite


def one_traffic_case(case, options):
    """Runs it in turn for each relay; {relay: [results]}."""
    results = {name: [] for name in relays.names(case.get("peer", True))}
    certificate = options.certificate if case.get("tls") else None
    sink = traffic.Sink(case, certificate)
    try:
        for run in range(options.runs):
            for name in results:
                table.progress(f"{case['name']}: {name}, run {run + 1} of {options.runs}")
                results[name].append(traffic.measured(name, case, sink, options.scratch,
                                                      options.seconds, certificate))
        for name in results:
            if not case.get("no_mail") and not options.smoke:
                count(case, name, sink, certificate, results[name], options)
    finally:
        sink.stop()
    return results


def count(case, name, sink, certificate, runs, options):
    """Flushes, bytes on disk and calls per message: as more figures of the first run."""
    messages = int(max(min(table.median(runs, "delivered"), 3000), 2 * case["clients"], 50))
    for calls in (False, True) if case.get("calls") and not options.short else (False,):
        table.progress(f"{case['name']}: counting {'calls' if calls else 'flushes'} of {name}")
        runs[0].update(traffic.counted(name, case, sink, options.scratch, certificate,
                                       messages, calls))
    if "commits" in runs[0]:  # the disk of that run is a slower one, which favours batches
        runs[0]["flushes"] = max(runs[0]["flushes"], 2 * table.median(runs, "commits"))


COLUMNS = [("delivered", "messages/s", 12), ("cpu_s_per_1000", "CPU s/1000", 11),
           ("answer_p50_ms", "p50 ms", 8), ("answer_p99_ms", "p99 ms", 8),
           ("flushes", "flushes", 8), ("disk_kib", "KiB disk", 9), ("peak_mib", "MiB", 7),
           ("calls", "calls", 7)]


def print_traffic(case, results):
    for name, runs in results.items():
        cells = []
        for key, _, width in COLUMNS:
            cells.append((table.number(table.median(runs, key)), width))
        cells.insert(1, (f"{table.spread(runs, 'delivered'):.0f}%", 6))
        if name == "relayd" and "postfix" in results:
            cells.append((table.ratio(table.median(runs, "delivered"),
                                      table.median(results["postfix"], "delivered")), 9))
        table.row(f"{case['name'] if name == 'relayd' else '':<18} {name}", cells, 28)


def run_traffic(chosen, options):
    if not chosen:
        return
    head = [(title, width) for _, title, width in COLUMNS]
    head.insert(1, ("+-", 6))
    table.row("relay: per message", head + [("ratio", 9)], 28)
    for case in chosen:
        results = one_traffic_case(case, options)
        print_traffic(case, results)
        table.save(options, case["name"],
                   {"case": case, "seconds": options.seconds, "runs": results,
                    "summary": {name: table.summary(runs) for name, runs in results.items()}})


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", default="", help="names or patterns, with commas; list")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5, help="how long each run sends")
    parser.add_argument("--short", action="store_true", help="five minutes")
    parser.add_argument("--smoke", action="store_true", help="seconds: whether it works")
    parser.add_argument("--long", action="store_true",
                        help="with a queue of 1,000,000, 500,000 for a dead one, 20 minutes of overload")
    parser.add_argument("--alone", action="store_true", help="relayd without Postfix")
    parser.add_argument("--scratch", default=os.path.join(real.ROOT, "build"),
                        help="where the queues are (a real disk)")
    parser.add_argument("--out", default=os.path.join(real.ROOT, "build", "bench"),
                        help="where the results go")
    options = parser.parse_args()
    if options.short or options.smoke:
        options.runs, options.seconds = (2, 0.7) if options.short else (1, 0.2)
    return options


def wanted(name, options, short):
    if options.case:
        return any(fnmatch.fnmatch(name, p) for p in options.case.split(","))
    return short or not (options.short or options.smoke)


def main():
    options = parse()
    relays.alone = options.alone
    if options.case == "list":
        print("\n".join([c["name"] for c in cases.TRAFFIC] + list(OTHERS)))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and all is stopped on the way
    began = time.monotonic()
    fast = cases.SMOKE if options.smoke else cases.SHORT
    with tempfile.TemporaryDirectory(prefix="relayd-bench.") as directory:
        os.chmod(directory, 0o755)
        options.certificate = upstream.Authority(directory).issue("relay.test", "sink.test",
                                                                  rsa=True)
        run_traffic([c for c in cases.TRAFFIC
                     if wanted(c["name"], options, c["name"] in fast)], options)
        for name, run in OTHERS.items():
            if name in SLOW and not options.long and not options.case:
                continue
            if wanted(name, options, name in fast):
                run(options)
    print(f"{time.monotonic() - began:.0f} seconds; {options.out}")


if __name__ == "__main__":
    main()
