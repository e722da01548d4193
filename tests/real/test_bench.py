#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The benchmark works: its smallest form runs, and would notice mail that is lost or comes
twice.  No figure is judged here."""
import json
import os
import smtplib
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import real  # noqa: E402
sys.path.insert(0, os.path.join(real.ROOT, "tests", "bench"))
import traffic  # noqa: E402

LETTER = "X-Ledger: {}\r\n\r\nhello\r\n"


class Bench(real.RealTest):
    def test_smoke(self):
        os.chmod(self.dir, 0o755)  # Postfix has users of its own
        done = subprocess.run(["/usr/bin/python3", os.path.join(real.ROOT, "tests/bench/bench.py"),
                               "--smoke", "--out", self.dir, "--scratch", self.dir],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=500, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        for name in ("10k-10", "10k-20-tls-one"):
            with open(os.path.join(self.dir, name + ".json"), encoding="ascii") as f:
                found = json.load(f)
            for run in found["runs"]["relayd"]:
                self.assertGreaterEqual(run["messages"], 10)
                self.assertGreater(run["delivered"], 0)
            self.assertGreater(found["summary"]["relayd"]["delivered"]["median"], 0)
            self.assertEqual(found["summary"]["relayd"]["delivered"]["spread_percent"], 0)
        for name in ("latency", "queue", "dead", "overload", "idle"):
            self.assertTrue(os.path.exists(os.path.join(self.dir, name + ".json")), name)
        with open(os.path.join(self.dir, "queue.json"), encoding="ascii") as f:
            found = json.load(f)
        self.assertEqual(found["summary"]["relayd"]["drained a second"]["median"],
                         found["runs"]["relayd"][0]["drained"])
        table = subprocess.run(["/usr/bin/python3", os.path.join(real.ROOT, "tests/bench/summary.py"),
                                "--out", self.dir], stdout=subprocess.PIPE, text=True,
                               timeout=real.LIMIT, check=True).stdout
        self.assertIn("| drained/s, one destination | ", table)
        self.assertIn("| an idle connection, tls, KiB | ", table)

    def sink_that_got(self, *ids):
        sink = traffic.Sink({})
        self.addCleanup(sink.stop)
        sink.begin("run")
        with smtplib.SMTP("127.0.0.1", sink.port) as client:
            for i in ids:
                client.sendmail("a@me.test", ["r0@sink.test", "r1@sink.test"], LETTER.format(i))
        return sink

    def test_all_there(self):
        report = self.sink_that_got("run-0", "run-1").expect(4, 10)
        self.assertEqual(report["messages"], 2)

    def test_lost_is_noticed(self):
        with self.assertRaisesRegex(AssertionError, "6 were to come, but: .*'pairs': 4"):
            self.sink_that_got("run-0", "run-1").expect(6, 0.1)

    def test_twice_is_noticed(self):
        with self.assertRaisesRegex(AssertionError, "'duplicates': 2"):
            self.sink_that_got("run-0", "run-0").expect(2, 10)

    def test_of_another_run_is_noticed(self):
        with self.assertRaisesRegex(AssertionError, "'strays': 1"):
            self.sink_that_got("warm-0", "run-0").expect(2, 10)


if __name__ == "__main__":
    unittest.main()
