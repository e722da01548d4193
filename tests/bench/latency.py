# SPDX-License-Identifier: ISC
"""The case "latency": single messages through a relay that has nothing else to do, one
every few milliseconds.  Generator and sink note the moments by one clock: the final dot,
the 250, and the arrival of the whole message at the next hop."""
import os
import tempfile

import relays
import table
import traffic

CASE = {"name": "latency", "size": 10240, "clients": 1}
PAUSE_MS = 5
SPANS = ("dot to 250", "250 to next hop", "dot to next hop")


def read_numbers(file):
    with open(file, encoding="ascii") as f:
        return {int(w[0]): [int(n) for n in w[1:]] for w in map(str.split, f)}


def percentile(values, percent):
    return sorted(values)[min(len(values) * percent // 100, len(values) - 1)]


def measured(name, scratch, messages):
    """{span: (p50, p99)} in milliseconds."""
    with tempfile.TemporaryDirectory(prefix="relayd-bench.", dir=scratch) as directory:
        sent_file, came_file = (os.path.join(directory, n) for n in ("sent", "came"))
        sink = traffic.Sink(CASE, times=came_file)
        relay = relays.start(name, directory, sink.port)
        try:
            traffic.warm_up(relay, sink, dict(CASE, clients=10))
            sink.begin("single")
            traffic.load(relay.port, CASE, "single", "--messages", messages,
                         "--pause", PAUSE_MS, "--times", sent_file)
            sink.expect(messages, 60)
        finally:
            relay.stop()
            sink.stop()
        came = read_numbers(came_file)
        sent = read_numbers(sent_file)
    spans = {span: [] for span in SPANS}
    for number, (dot, answered) in sent.items():
        arrived = came[number][0]
        for span, us in zip(SPANS, (answered - dot, arrived - answered, arrived - dot)):
            spans[span].append(us / 1000)
    return {span: {"p50": percentile(ms, 50), "p99": percentile(ms, 99)}
            for span, ms in spans.items()}


def run(options):
    results = {name: [] for name in relays.names()}
    for turn in range(options.runs):
        for name in results:
            table.progress(f"latency: {name}, run {turn + 1} of {options.runs}")
            results[name].append(measured(name, options.scratch,
                                          20 if options.smoke else 300))
    table.row("\nlatency: single messages, ms", [("p50", 10), ("p99", 10)])
    for span in SPANS:
        for name, runs in results.items():
            cells = [(table.number(table.median([r[span] for r in runs], p)), 10)
                     for p in ("p50", "p99")]
            table.row(f"{span if name == 'relayd' else '':<18} {name}", cells)
    summary = {name: {span: table.summary([r[span] for r in runs]) for span in SPANS}
               for name, runs in results.items()}
    table.save(options, "latency", dict(results, summary=summary))
