#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Figures, health and the status page over HTTP: with promtool, with Python's own
client, with octets that no client would send, and in a browser."""
import contextlib
import html
import http.client
import json
import os
import re
import shutil
import smtplib
import socket
import ssl
import subprocess
import sys
import unittest
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import real  # noqa: E402
import upstream  # noqa: E402
from test_relay import Hop, Keeper, SMTP  # noqa: E402

PROMTOOL = os.path.join(real.PEERS, "prometheus/usr/bin/promtool")
USER, PASSWORD = "admin", "ordinary"
HERE = os.path.dirname(os.path.abspath(__file__))
EVIL = '"<script>alert(1)</script>"@held.test'


class Answer:
    def __init__(self, got):
        self.status = got.status
        self.fields = got.headers
        self.text = got.read().decode()


class Page:
    """A browser's part: a cookie, and the token of the last page."""

    def __init__(self, port, tls=None):
        self.port, self.tls = port, tls
        self.cookie = self.token = None

    def ask(self, method, path, form=None, **fields):
        if self.tls:
            c = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=real.LIMIT,
                                            context=self.tls)
        else:
            c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=real.LIMIT)
        head = {k.replace("_", "-"): v for k, v in fields.items()}
        if self.cookie:
            head["Cookie"] = self.cookie
        body = None
        if form is not None:
            body = urllib.parse.urlencode(form, doseq=True)
            head.setdefault("Content-Type", "application/x-www-form-urlencoded")
        c.request(method, path, body, head)
        a = Answer(c.getresponse())
        c.close()
        if a.fields["Set-Cookie"]:
            self.cookie = a.fields["Set-Cookie"].split(";")[0]
        found = re.search(r'name="token" value="(\w+)"', a.text)
        if found:
            self.token = found[1]
        return a

    def get(self, path, **fields):
        return self.ask("GET", path, **fields)

    def act(self, do, form, **fields):
        return self.ask("POST", "/act", {"do": do, "token": self.token, **form}, **fields)

    def sign_in(self, password, name=USER, **fields):
        return self.ask("POST", "/sign-in",
                        {"name": name, "password": password, "back": "/queue"}, **fields)


class PageTest(real.RealTest):

    def paging(self, more="", metrics=""):
        self.port = real.free_port()
        self.dead = real.free_port()
        relay = self.relay(f"""
metrics {{ bind = {{"127.0.0.1:{self.port}"}} {metrics} }}
accounts {{ delay = "100ms" }}
route "down" {{ to = {{"down.test"}} via = {{"127.0.0.1:{self.dead}"}} }}
route "hold" {{ to = {{"held.test"}} deliver = "hold" }}
{more}
route "no" {{ deliver = "reject" text = "not here" }}
""")
        relay.add_user(USER, PASSWORD)
        done = relay.ctl("user", "secret", "add", USER, "page", "--service", "queue")
        self.secret = done.stdout.split()[-1]
        return relay

    def send(self, relay, sender, *to, subject="hi"):
        with smtplib.SMTP("127.0.0.1", relay.port) as c:
            c.ehlo()
            c.mail(sender)
            for a in to:
                code, said = c.rcpt(a) if not a.startswith('"') else c.docmd(f"RCPT TO:<{a}>")
                self.assertEqual(code, 250, said)
            code, said = c.data(f"Subject: {subject}\r\n\r\nhello\r\n")
            self.assertEqual(code, 250, said)
        return said.decode().split()[-1]

    def figures(self, page):
        text = page.get("/metrics").text
        return {k: float(v) for k, v in
                (line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")}


class TlsHop(Hop):
    """A next hop that offers STARTTLS."""

    context = None

    def factory(self):
        return SMTP(self.handler, hostname="hop.test", tls_context=self.context)


class Figures(PageTest):

    def test_tls_of_next_hops(self):
        """Connections to next hops: in the clear, with TLS, and those that TLS has prevented."""
        handler, hops = Keeper(), []
        for kind in (Hop, TlsHop, Hop):
            hop = kind(handler, hostname="127.0.0.1", port=real.free_port())
            if kind is TlsHop:
                hop.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                hop.context.load_cert_chain(*upstream.Authority(self.dir + "/ca").issue("hop.test"))
            hop.start()
            self.addCleanup(hop.stop)
            hops.append(hop.port)
        relay = self.paging("".join(
            f'route "r{i}" {{ to = {{"r{i}.test"}} via = {{"127.0.0.1:{port}"}} tls = {tls} }}\n'
            for i, (port, tls) in enumerate(zip(hops, ("opportunistic", "opportunistic", "required")))))
        page = Page(self.port)
        for i in range(3):
            self.send(relay, "a@b.test", f"x@r{i}.test")
        relay.log(r" delivered .*to=<x@r0.test>")
        relay.log(r" delivered .*to=<x@r1.test>")
        relay.log(r" deferred .*to=<x@r2.test>")
        got = self.figures(page)
        self.assertEqual(got['relayd_outgoing_connections_total{tls="none"}'], 1)
        self.assertEqual(got['relayd_outgoing_connections_total{tls="1.3"}'], 1)
        self.assertEqual(got["relayd_outgoing_tls_failures_total"], 1)
        self.assertGreaterEqual(got["relayd_schedule_fetches_total"], 0)

    def test_scrape(self):
        relay = self.paging()
        page = Page(self.port)
        self.send(relay, "a@b.test", "x@down.test", "y@held.test")
        relay.log(r" deferred .*to=<x@down.test>")
        got = self.figures(page)
        self.assertEqual(got["relayd_accepted_messages_total"], 1)
        self.assertEqual(got["relayd_accepted_recipients_total"], 2)
        self.assertEqual(got["relayd_deferred_recipients_total"], 1)
        self.assertEqual(got['relayd_connections_total{listener="smtp"}'], 1)
        self.assertEqual(got["relayd_destinations_down"], 1)
        real.wait_for("figures of the spool, a second old at most",
                      lambda: self.figures(page)["relayd_queue_messages"] == 1)
        self.assertGreaterEqual(got["relayd_spool_commit_seconds_count"], 1)
        self.assertEqual(got["relayd_ready"], 1)
        self.assertEqual(relay.ctl("bounce", "--to", "x@down.test").returncode, 0)
        relay.log(r" bounced .*to=<x@down.test>")
        self.assertEqual(self.figures(page)
                         ['relayd_bounced_recipients_total{class="policy"}'], 1)

        def surveyed():
            got = self.figures(page)
            return got.get('relayd_queue_recipients{state="held",age="1m"}') == 1 and \
                got["relayd_watchdog_stuck_recipients"] == 0
        real.wait_for("the survey", surveyed)

    def test_format(self):
        """promtool finds nothing; the manual names all there is, and so the dashboard."""
        self.paging()
        page = Page(self.port)
        names = {}

        def complete():
            names.clear()
            self.text = page.get("/metrics").text
            for line in self.text.splitlines():
                if line.startswith("# TYPE "):
                    _, _, name, kind = line.split()
                    names[name] = kind
            return "relayd_queue_recipients" in names
        real.wait_for("a complete scrape", complete)
        done = subprocess.run([PROMTOOL, "check", "metrics"], input=self.text.encode(),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=real.LIMIT, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, b""))
        with open(os.path.join(real.ROOT, "tools/relayd-metrics.7"), encoding="ascii") as f:
            told = set(re.findall(r"^\.It Li (\w+)", f.read(), re.M))
        self.assertEqual(told ^ set(names), set())
        exported = set(names)
        for name, kind in names.items():
            if kind == "histogram":
                exported |= {name + end for end in ("_bucket", "_sum", "_count")}
        for file in ("grafana-dashboard.json", "relayd-alerts.yml"):
            with open(os.path.join(real.ROOT, "tools", file), encoding="utf-8") as f:
                text = f.read()
            used = set(re.findall(r"\b(?:relayd|process)_[a-z_]+\b", text))
            self.assertGreater(len(used), 5, file)
            self.assertEqual(used - exported, set(), file)

    def test_dashboard(self):
        with open(os.path.join(real.ROOT, "tools/grafana-dashboard.json"),
                  encoding="utf-8") as f:
            board = json.load(f)
        ids = [p["id"] for p in board["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        for p in board["panels"]:
            self.assertTrue(p["title"])
            if p["type"] != "row":
                self.assertTrue(all(t["expr"] for t in p["targets"]), p["title"])

    def test_alerts(self):
        for what in (["check", "rules", "tools/relayd-alerts.yml"],
                     ["test", "rules", "tests/real/alerts_test.yml"]):
            done = subprocess.run([PROMTOOL, *what], stdout=subprocess.PIPE, cwd=real.ROOT,
                                  stderr=subprocess.STDOUT, timeout=real.LIMIT, check=False)
            self.assertEqual(done.returncode, 0, done.stdout.decode())

    def test_health(self):
        relay = self.paging()
        page = Page(self.port)
        self.assertEqual((page.get("/healthz").status, page.get("/readyz").status), (200, 200))
        self.assertEqual(page.ask("HEAD", "/healthz").text, "")
        relay.ctl("pause", "in")
        a = page.get("/readyz")
        self.assertEqual(a.status, 503)
        self.assertIn("paused", a.text)
        self.assertEqual(page.get("/healthz").status, 200)
        self.assertIn("turned away", page.get("/").text)
        relay.ctl("resume", "in")
        self.assertEqual(page.get("/readyz").status, 200)

    def test_tls(self):
        self.paging(metrics="tls = true")
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        page = Page(self.port, context)
        self.assertEqual(page.get("/readyz").status, 200)
        a = page.sign_in(self.secret, Origin=f"https://127.0.0.1:{self.port}")
        self.assertEqual(a.status, 303)
        self.assertIn("; Secure", a.fields["Set-Cookie"])


class Many(PageTest):
    """More destinations than a page shows."""

    def test_destinations(self):
        # one is tried, and nobody answers about it; the others wait for their turn
        relay = self.paging('route "mx" { to = {".fill.test"} deliver = "mx" rate = {"1/1d"} }\n'
                            f'dns {{ servers = {{"127.0.0.1:{real.free_port()}"}} timeout = "1s" }}')
        relay.stop()
        subprocess.run([os.path.join(real.BUILD, "fill"), "--spool", self.dir + "/spool",
                        "--messages", "250", "--destinations", "250"],
                       check=True, stdout=subprocess.DEVNULL, timeout=real.LIMIT)
        relay.start()
        self.send(relay, "a@b.test", "x@down.test")
        relay.log(r" deferred .*to=<x@down.test>")
        real.wait_for("all of them", lambda: len(relay.ctl("--json", "hosts").stdout.split("\n"))
                      == 252)
        page = Page(self.port)
        self.assertEqual(page.sign_in(self.secret).status, 303)

        def shown(path):
            text = page.get(path).text
            return re.findall(r'<th role="rowheader" scope="row">((?:mx/|via:)\S+?)</th>', text), text
        first, text = shown("/")
        self.assertEqual(len(first), 100)
        self.assertIn("via:down", first[:2])
        self.assertIn("1 to 100", text)
        self.assertNotIn("Those before", text)
        every = set()
        path = "/"
        for _ in range(3):
            rows, text = shown(path)
            every |= set(rows)
            found = re.search(r'href="([^"]*)#destinations">Those after', text)
            path = html.unescape(found[1]) if found else None
        self.assertIsNone(path)
        self.assertIn("201 to 251", text)
        self.assertEqual(len(every), 251)
        rows, text = shown("/?find=D24.fill&span=day")
        self.assertEqual(rows, ["mx/mx:d24.fill.test"])
        self.assertIn('data-from="/live?find=D24.fill&amp;span=day"', text)
        self.assertIn("mx:d24.fill.test", page.get("/live?find=D24.fill").text)
        self.assertIn("There is none like this", page.get("/?find=%3Cscript%3E&skip=x").text)
        self.assertNotIn("<script>", page.get('/?find=%3Cscript%3E').text.replace(
            "<script src", ""))
        self.assertEqual(page.get("/?skip=99999999999999999999&find=%FF").status, 200)

    def test_switches(self):
        """The one button that makes sense."""
        relay = self.paging()
        page = Page(self.port)
        page.sign_in(self.secret)

        def buttons():
            text = page.get("/").text
            part = text[text.index("All of it"):]
            return re.findall(r'<button name="do" value="(\w+)">', part)
        self.assertEqual(buttons(), ["pause", "pause"])
        self.assertEqual(page.act("pause", {"what": "out", "back": "/"}).status, 303)
        self.assertEqual(buttons(), ["pause", "resume"])
        relay.ctl("pause", "in")
        self.assertEqual(buttons(), ["resume", "resume"])
        self.assertEqual(page.act("resume", {"what": "out", "back": "/"}).status, 303)
        relay.ctl("resume", "in")
        self.assertEqual(buttons(), ["pause", "pause"])


class Guarded(PageTest):
    """What must not be told, and what must not be done."""

    def test_strangers_see_figures_only(self):
        relay = self.paging()
        page = Page(self.port)
        self.send(relay, "secret@sender.test", "x@down.test")
        relay.log(r" deferred ")
        for path in ("/", "/live", "/queue", "/history", "/metrics"):
            text = page.get(path).text
            self.assertNotIn("sender.test", text, path)
            self.assertNotIn("down.test", text, path)
        self.assertEqual(page.get("/nothing").status, 404)
        self.assertEqual(page.ask("POST", "/metrics", {}).status, 405)
        self.assertEqual(page.get("/sign-out").status, 405)

    def test_names(self):
        """DNS rebinding: a name that is not ours is not answered."""
        self.paging(metrics='hosts = {"mail.example.org"}')
        page = Page(self.port)
        for host in ("evil.example", "evil.example:9525", "", "127.0.0.1.evil.example"):
            self.assertEqual(page.get("/", Host=host).status, 421, host)
            self.assertEqual(page.get("/metrics", Host=host).status, 421, host)
        for host in ("localhost", "relay.test:80", "[::1]:9525", "MAIL.example.org"):
            self.assertEqual(page.get("/", Host=host).status, 200, host)

    def test_fields(self):
        self.paging()
        a = Page(self.port).get("/")
        policy = a.fields["Content-Security-Policy"]
        self.assertIn("default-src 'none'", policy)
        self.assertNotIn("unsafe", policy)
        self.assertEqual(a.fields["X-Content-Type-Options"], "nosniff")
        self.assertEqual(a.fields["Cache-Control"], "no-store")
        self.assertNotRegex(a.text, r"\sstyle=|\son\w+=")

    def test_sign_in(self):
        relay = self.paging()
        page = Page(self.port)
        a = page.sign_in(PASSWORD)
        self.assertEqual(a.status, 403)
        self.assertIn("does not show the queue", a.text)
        self.assertEqual(page.sign_in("wrong").status, 403)
        self.assertEqual(page.sign_in("wrong", name='<b>"').status, 403)
        self.assertEqual(page.sign_in(self.secret, Origin="http://evil.example").status, 403)
        self.assertEqual(page.sign_in(self.secret, Sec_Fetch_Site="cross-site").status, 403)
        self.assertIsNone(page.cookie)
        a = page.sign_in(self.secret, Origin=f"http://127.0.0.1:{self.port}",
                         Sec_Fetch_Site="same-origin")
        self.assertEqual((a.status, a.fields["Location"]), (303, "/queue"))
        self.assertRegex(a.fields["Set-Cookie"], "HttpOnly; SameSite=Strict")
        self.assertIn("Sign out", page.get("/queue").text)
        stale = page.cookie
        a = page.ask("POST", "/sign-out", {"token": page.token})
        self.assertEqual(a.status, 303)
        page.cookie = stale
        self.assertNotIn("Sign out", page.get("/queue").text)
        # elsewhere than to a page of ours nobody is sent
        for back in ("//evil.example", "https://evil.example", "/\\evil.example", "/a b"):
            a = page.ask("POST", "/sign-in",
                         {"name": USER, "password": self.secret, "back": back})
            self.assertEqual((a.status, a.fields["Location"]), (303, "/"), back)
        self.assertIn("Sign out", page.get("/queue").text)
        relay.ctl("user", "delete", USER)
        real.wait_for("the end of the session",
                      lambda: "Sign out" not in page.get("/queue").text)

    def test_guesses_are_counted(self):
        self.paging()
        page = Page(self.port)
        for i in range(12):
            page.sign_in(f"guess{i}")
        a = page.sign_in(self.secret)
        self.assertEqual(a.status, 429, a.text)

    def test_forged_forms(self):
        relay = self.paging()
        page = Page(self.port)
        message = self.send(relay, "a@b.test", "x@held.test")
        page.sign_in(self.secret)
        page.get("/queue")
        good = page.token
        for token in ("", "0" * 64, good[:-1]):
            page.token = token
            self.assertEqual(page.act("release", {"id": message}).status, 403)
        page.token = good
        for field in ({"Origin": "http://evil.example"}, {"Origin": "null"},
                      {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"}):
            self.assertEqual(page.act("release", {"id": message}, **field).status, 403)
        cookie, page.cookie = page.cookie, None
        self.assertEqual(page.act("release", {"id": message}).status, 200)  # sign in first
        page.cookie = cookie + "0"
        self.assertIn("Sign in", page.act("release", {"id": message}).text)
        self.assertEqual(relay.queue()[0]["recipients"][0]["state"], "held")


class Acting(PageTest):

    def test_queue(self):
        sink = self.sink()
        relay = self.paging(f'route "up" {{ to = {{"up.test"}} via = '
                            f'{{"127.0.0.1:{sink.port}"}} }}\n')
        page = Page(self.port)
        down = self.send(relay, "ann@a.test", "x@down.test")
        evil = self.send(relay, "bob@a.test", EVIL)
        relay.log(r" deferred .*down.test")
        page.sign_in(self.secret)
        text = page.get("/queue").text
        self.assertIn(down, text)
        self.assertNotIn("<script>alert", text)
        self.assertIn(html.escape("<script>alert(1)</script>"), text)
        self.assertIn(down, page.get("/queue?from=ann@*&state=deferred").text)
        self.assertNotIn(evil, page.get("/queue?from=ann@*").text)
        self.assertIn("Nothing that waits", page.get("/queue?to=nobody@x.test").text)
        self.assertIn('role="alert"', page.get("/queue?older=long").text)
        text = page.get("/queue?to=%22%3E%3Cscript%3Ex").text
        self.assertNotIn("<script>x", text)
        text = page.get(f"/message/{down}").text
        self.assertIn("x@down.test", text)
        self.assertIn("It was tried 1 time", text)
        self.assertIn("Next attempt", text)
        self.assertEqual(page.get("/message/0AAAAAAAAAAAA").status, 404)
        self.assertEqual(page.get("/message/%3Cscript%3E").status, 404)
        self.assertIn("via:", page.get("/").text)

    def test_acts_are_relayctls(self):
        relay = self.paging()
        page = Page(self.port)
        a = self.send(relay, "a@b.test", "x@held.test")
        b = self.send(relay, "b@b.test", "y@down.test")
        relay.log(r" deferred .*down.test")
        page.sign_in(self.secret)
        page.get("/queue")
        got = page.act("hold", {"id": [a, b], "back": "/queue?state=held"})
        self.assertEqual((got.status, got.fields["Location"]), (303, "/queue?state=held"))
        relay.log(rf" admin what=hold account={USER} ")
        self.assertIn("1 recipient is held. Others not:", page.get("/queue").text)
        self.assertEqual({m["recipients"][0]["state"] for m in relay.queue()}, {"held"})
        # what cannot be undone is asked about first
        asked = page.act("delete", {"id": [a, b], "back": "/queue"})
        self.assertEqual(asked.status, 200)
        self.assertIn(a, asked.text)
        self.assertEqual(len(relay.queue()), 2)
        page.act("delete", {"id": [a, b], "back": "/queue", "sure": "yes"})
        relay.log(rf" admin what=delete account={USER} .*applied=1")
        relay.wait_empty()
        self.assertIn("Nothing waits", page.get("/queue").text)
        # what has left is in the history
        real.wait_for("its end in the history",
                      lambda: "deleted" in page.get(f"/message/{a}").text)
        self.assertIn("A message that has left", page.get(f"/message/{a}").text)
        text = page.get("/history").text
        self.assertIn(a, text)
        self.assertIn(b, text)
        text = page.get("/history?to=x@held.test").text
        self.assertIn(a, text)
        self.assertNotIn(b, text)
        self.assertIn('role="alert"', page.get("/history?since=long").text)
        page.act("retry", {})
        self.assertIn("tick a message first", page.get("/queue").text)
        page.act("pause", {"what": "in"})
        self.assertEqual(page.get("/readyz").status, 503)
        relay.log(rf" admin what=pause account={USER} which=in")
        page.act("resume", {"what": "in"})
        self.assertEqual(page.get("/readyz").status, 200)
        page.act("resume", {"what": "mx:never.test"})
        self.assertIn("was not paused", page.get("/").text)


class Hostile(PageTest):

    def say(self, octets, end=True):
        with socket.create_connection(("127.0.0.1", self.port), real.LIMIT) as s:
            s.settimeout(real.LIMIT)
            s.sendall(octets)
            if end:
                s.shutdown(socket.SHUT_WR)
            got = b""
            while True:
                try:
                    more = s.recv(65536)
                except ConnectionResetError:
                    break
                if not more:
                    break
                got += more
        return got

    def test_smuggling(self):
        self.paging()
        host = b"Host: localhost\r\n"
        for bad in (b"GET / HTTP/1.1\nHost: localhost\n\n",
                    b"GET / HTTP/1.1\r\n" + host + b"X: a\rb\r\n\r\n",
                    b"GET / HTTP/1.1\r\n" + host + b"X : a\r\n\r\n",
                    b"GET / HTTP/1.1\r\n" + host + b" folded\r\n\r\n",
                    b"GET / HTTP/1.1\r\n\r\n",
                    b"GET / HTTP/1.1\r\n" + host + host + b"\r\n",
                    b"GET http://localhost/ HTTP/1.1\r\n" + host + b"\r\n",
                    b"GET / HTTP/2.0\r\n" + host + b"\r\n",
                    b"GET  / HTTP/1.1\r\n" + host + b"\r\n",
                    b"POST / HTTP/1.1\r\n" + host + b"Content-Length: 3\r\n"
                    b"Content-Length: 4\r\n\r\nabcd",
                    b"POST / HTTP/1.1\r\n" + host + b"Content-Length: +3\r\n\r\nabc",
                    b"POST / HTTP/1.1\r\n" + host + b"Content-Length: 3, 3\r\n\r\nabc"):
            got = self.say(bad, end=False)
            self.assertTrue(got.startswith(b"HTTP/1.1 400 "), (bad, got[:60]))
            self.assertEqual(got.count(b"HTTP/1.1 "), 1, bad)
        for status, bad in ((501, b"POST / HTTP/1.1\r\n" + host +
                             b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
                            (501, b"BREW / HTTP/1.1\r\n" + host + b"\r\n"),
                            (411, b"POST / HTTP/1.1\r\n" + host + b"\r\n"),
                            (413, b"POST / HTTP/1.1\r\n" + host +
                             b"Content-Length: 999999\r\n\r\n"),
                            (417, b"POST / HTTP/1.1\r\n" + host +
                             b"Expect: 100-continue\r\nContent-Length: 1\r\n\r\n"),
                            (431, b"GET / HTTP/1.1\r\n" + host + b"X: " + b"x" * 9000),
                            (431, b"GET / HTTP/1.1\r\n" + host + b"X: x\r\n" * 70 + b"\r\n")):
            got = self.say(bad, end=False)
            self.assertTrue(got.startswith(b"HTTP/1.1 %d " % status), (bad[:80], got[:60]))
        # two in one write are two answers, in order
        got = self.say(b"GET /readyz HTTP/1.1\r\n" + host + b"\r\n"
                       b"GET /nothing HTTP/1.1\r\n" + host + b"\r\n")
        self.assertEqual(re.findall(rb"HTTP/1\.1 (\d+)", got), [b"200", b"404"])

    def test_crowd(self):
        """More connections than there may be, and they stay: whoever asks is answered all the same."""
        self.paging()
        crowd = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(80)]
        for i, s in enumerate(crowd):
            self.addCleanup(s.close)
            with contextlib.suppress(ConnectionError):  # the first ones have gone for the last
                s.sendall(b"GET / HTTP/1.1\r\nX: " if i % 2 else b"")
        for _ in range(3):
            for path in ("/healthz", "/readyz", "/metrics"):
                self.assertEqual(Page(self.port).get(path).status, 200)


class Browser(PageTest):
    """The page as people see it: Chromium, by playwright-core."""

    def test_browser(self):
        chromium = shutil.which("chromium")
        if chromium is None:
            self.fail("there is no chromium: apt-get install chromium")
        relay = self.paging()
        for i in range(3):
            self.send(relay, f"printer{i}@office.test", f"ann{i}@down.test")
        self.send(relay, "shop@office.test", "x@held.test", "y@held.test", EVIL)
        relay.log(r" deferred .*down.test")
        shots = os.environ.get("PAGE_SHOTS") or os.path.join(self.dir, "shots")
        os.makedirs(shots, exist_ok=True)
        modules = os.path.join(real.PEERS, "node", "node_modules")
        done = subprocess.run(
            ["node", os.path.join(HERE, "page.js"), f"http://127.0.0.1:{self.port}",
             USER, self.secret, chromium, shots],
            env={**os.environ, "NODE_PATH": modules, "TMPDIR": self.dir},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900, check=False)
        self.assertEqual((done.returncode, done.stdout.decode()), (0, "all of it\n"))
        relay.log(rf" admin what=retry account={USER} ")


if __name__ == "__main__":
    unittest.main(verbosity=1)
