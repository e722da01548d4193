#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""make bench: messages per second through the built relay, to a sink on loopback.

Prints a table and writes build/bench.json.  Generator, relay and sink share the
machine; every case runs --runs times and the median is shown with its spread.
"accepted" is the rate at which 250s came back, "delivered" counts until the
sink has the last message.  CPU is that of relayd alone (user and system), from
/proc; flushes are commits of the spool as relayctl status counts them (a commit
is one or two disk flushes).
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "real"))
import real  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return 0.0


def one(case, scratch):
    with tempfile.TemporaryDirectory(prefix="relayd-bench.", dir=scratch) as directory:
        sink = real.Process([os.path.join(real.BUILD, "sink"), "--listen", "127.0.0.1:0",
                             "--count", str(case["messages"] * 1)])
        port = int(sink.wait_line(r"listening .*:(\d+)").group(1))
        relay = real.Relay(directory, f'route "up" {{ via = {{"127.0.0.1:{port}"}} }}\n'
                           'log { level = "warn" }\nlimits { messages = 1000000 }\n')
        signed = case.get("auth") or case.get("tls")
        if signed:
            relay.listen('tls = "starttls" auth = "optional"')
        relay.process = real.Process([os.path.join(real.BUILD, "relayd"), "-c", relay.file])
        real.wait_for("relayd", lambda: os.path.exists(os.path.join(directory, "control.sock")))
        if case.get("auth"):
            relay.add_user("bench", "correct horse")
        pid = relay.process.child.pid
        before = cpu_seconds(pid)
        began = time.monotonic()
        args = [os.path.join(real.BUILD, "load"), "--to", f"127.0.0.1:{relay.port}",
                "--messages", str(case["messages"]), "--connections", str(case["clients"]),
                "--size", str(case["size"]), "--per-connection", str(case["per_connection"])]
        args += ["--tls"] if case.get("tls") else []
        args += ["--auth", "bench:correct horse"] if case.get("auth") else []
        args += ["--no-mail"] if case.get("no_mail") else []
        load = subprocess.run(args, stdout=subprocess.PIPE, text=True, check=True, timeout=600)
        if not case.get("no_mail"):
            sink.child.wait(600)
        seconds = time.monotonic() - began
        status = json.loads(relay.ctl("--json", "status").stdout.splitlines()[0])
        cpu = cpu_seconds(pid) - before
        memory = peak_mib(pid)
        relay.stop()
        sink.stop()
    result = json.loads(load.stdout)
    return {
        "accepted": result["rate"],
        "delivered": case["messages"] / seconds,
        "latency_p50_ms": result["latency_ms"]["p50"],
        "latency_p99_ms": result["latency_ms"]["p99"],
        "cpu_s_per_1000": cpu / case["messages"] * 1000,
        "commits_per_message": status["spool"]["commits"] / case["messages"],
        "peak_mib": memory,
    }


CASES = [
    {"clients": 1, "size": 10240, "messages": 2000, "per_connection": 0},
    {"clients": 10, "size": 10240, "messages": 10000, "per_connection": 0},
    {"clients": 100, "size": 1024, "messages": 20000, "per_connection": 0},
    {"clients": 100, "size": 10240, "messages": 20000, "per_connection": 0},
    {"clients": 100, "size": 10240, "messages": 10000, "per_connection": 1},
    {"clients": 100, "size": 102400, "messages": 3000, "per_connection": 0},
    {"clients": 10, "size": 1048576, "messages": 500, "per_connection": 0},
    # what TLS and signing in cost: handshakes alone, sign-ins, and messages of both kinds
    {"clients": 20, "size": 1024, "messages": 4000, "per_connection": 1, "tls": True,
     "no_mail": True},
    {"clients": 20, "size": 1024, "messages": 4000, "per_connection": 1, "tls": True,
     "auth": True, "no_mail": True},
    {"clients": 20, "size": 10240, "messages": 4000, "per_connection": 1, "tls": True,
     "auth": True},
    {"clients": 100, "size": 10240, "messages": 20000, "per_connection": 0, "tls": True},
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", type=int, help="number of one case")
    parser.add_argument("--scratch", default=None, help="where the spools go (a real disk)")
    args = parser.parse_args()
    scratch = args.scratch or os.path.join(real.ROOT, "build")
    cases = CASES if args.only is None else [CASES[args.only]]
    print(f"{'case':<14} {'clients':>7} {'size':>8} {'per conn':>8} {'accepted/s':>11} {'delivered/s':>11} "
          f"{'spread':>7} {'p50 ms':>7} {'p99 ms':>7} {'CPU s/1000':>10} {'commits/msg':>11} {'MiB':>6}")
    out = []
    for case in cases:
        runs = [one(case, scratch) for _ in range(args.runs)]
        middle = {k: statistics.median(r[k] for r in runs) for k in runs[0]}
        rates = [r["delivered"] for r in runs]
        spread = (max(rates) - min(rates)) / middle["delivered"] * 100
        per = case["per_connection"] or "all"
        kind = [w for w in ("tls", "auth") if case.get(w)]
        kind = "+".join(kind + (["only"] if case.get("no_mail") else [])) or "plain"
        print(f"{kind:<14} {case['clients']:>7} {case['size']:>8} {per:>8} {middle['accepted']:>11.0f} "
              f"{middle['delivered']:>11.0f} {spread:>6.0f}% {middle['latency_p50_ms']:>7.0f} "
              f"{middle['latency_p99_ms']:>7.0f} {middle['cpu_s_per_1000']:>10.2f} "
              f"{middle['commits_per_message']:>11.3f} {middle['peak_mib']:>6.0f}", flush=True)
        out.append({"case": case, "median": middle, "runs": runs})
    with open(os.path.join(real.ROOT, "build", "bench.json"), "w", encoding="ascii") as f:
        json.dump(out, f, indent=1)


if __name__ == "__main__":
    main()
