#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Runs test programs side by side and counts what passed.

    tests/run.py [-j N] [--title TEXT] [--seconds N] COMMAND...

Each COMMAND is one argument, split as a shell would.  A command passes when it
exits 0.  How many tests it holds is read from its output: cmocka's "Running N
test(s)", unittest's "Ran N tests", or "N passed, N failed"; otherwise it counts
as one.  The output of a command that failed is shown whole.  The counts are
added to the file in $RELAYD_COUNTS, if set: that is how `make test` sums up.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import shlex
import subprocess
import sys
import time


def count(text, ok):
    """(passed, failed) as far as the output tells."""
    own = re.findall(r"^(\d+) passed, (\d+) failed", text, re.M)
    if own:
        return int(own[-1][0]), int(own[-1][1]) or (0 if ok else 1)
    ran = [int(n) for n in re.findall(r"\] (?:\w+: )?Running (\d+) test\(s\)", text)]
    bad = len(set(re.findall(r"^\[  FAILED  \] (?:\w+: )?(\w\S*)$", text, re.M)))
    if not ran:
        ran = [int(n) for n in re.findall(r"^Ran (\d+) tests? in", text, re.M)]
        bad = sum(int(n) for n in re.findall(r"(?:failures|errors)=(\d+)", text))
    total = sum(ran) or 1
    if ok:
        return total, 0
    bad = max(bad, 1)
    return max(total - bad, 0), bad


def skips(text):
    """How many were left out, and the first reason that is given."""
    n = [int(x) for x in re.findall(r"^\d+ passed, \d+ failed, (\d+) skipped", text, re.M)] or \
        [int(x) for x in re.findall(r"^(?:OK|FAILED) \(.*skipped=(\d+)", text, re.M)] or \
        [int(x) for x in re.findall(r"^\[  SKIPPED \] (?:\w+: )?(\d+) test\(s\)", text, re.M)]
    why = re.search(r"^\w+: skipped: (.*)$", text, re.M)
    return sum(n), why[1] if why else ""


def words(command):
    out = []
    for word in shlex.split(command):
        out += sorted(glob.glob(word)) if "*" in word else [word]
    return out


def run(command, seconds):
    began = time.monotonic()
    try:
        done = subprocess.run(words(command), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=seconds, check=False)
        text = done.stdout.decode("utf-8", "replace")
        ok = done.returncode == 0
        if not ok:
            text += f"\n(exit status {done.returncode})\n"
    except subprocess.TimeoutExpired as late:
        text = (late.stdout or b"").decode("utf-8", "replace")
        text += f"\n(stopped after {seconds} s)\n"
        ok = False
    except OSError as error:
        text, ok = f"{error}\n", False
    return command, ok, text, time.monotonic() - began


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-j", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--title", default="tests")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("command", nargs="*")
    args = parser.parse_args()
    passed = failed = skipped = 0
    with concurrent.futures.ThreadPoolExecutor(args.j) as pool:
        jobs = [pool.submit(run, c, args.seconds) for c in args.command]
        for job in concurrent.futures.as_completed(jobs):
            command, ok, text, took = job.result()
            good, bad = count(text, ok)
            passed += good
            failed += bad
            left, why = skips(text)
            skipped += left
            short = shlex.split(command)
            name = " ".join(os.path.basename(w) for w in short[:3])
            print(f"  {'ok  ' if ok else 'FAIL'} {args.title}: {name} ({good}"
                  f"{f' passed, {bad} failed' if bad else ''}"
                  f"{f', {left} SKIPPED' if left else ''}{f': {why}' if why else ''}) {took:.1f}s", flush=True)
            if not ok:
                print(text, flush=True)
    counts = os.environ.get("RELAYD_COUNTS")
    if counts:
        with open(counts, "a", encoding="ascii") as f:
            f.write(f"{passed} {failed} {skipped}\n")
    else:
        print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not args.command else 0


if __name__ == "__main__":
    sys.exit(main())
