#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""dns_server - a DNS server on loopback that answers, or misbehaves, as a file says.

usage: dns_server.py [--address 127.0.0.1] [--port 0] ZONEFILE

Serves UDP and TCP on one port, prints "listening PORT", and ends when its
standard input is closed, so that no test leaves it behind.  The zone file is
read again when it has changed (or on SIGHUP); its lines are those of
tests/lib/fake_dns.h:

    example.org      MX 10 mx1.example.org       also A, AAAA, CNAME, CNAME-ONLY, TXT
    mx1.example.org  300 A 192.0.2.1             the TTL may be given
    bad.example      SERVFAIL                    also REFUSED, NOTIMP, FORMERR, NXDOMAIN
    bad.example      SERVFAIL AAAA               any of these words for one type only
    slow.example     TIMEOUT                     never an answer
    late.example     SLOW 900                    the true answer after so many ms
    big.example      TRUNCATE                    TC over UDP; the true answer over TCP
    x.example        GARBAGE                     also EMPTY, WRONGID, WRONGNAME, NOQUESTION
    old.example      NOEDNS                      FORMERR without OPT if the query has OPT
    drip.example     DRIP                        TC over UDP; over TCP one octet in 2 ms
    notcp.example    NOTCP                       TC over UDP; TCP is closed without an answer

Standard library only.
"""

import argparse
import ipaddress
import os
import select
import signal
import socket
import struct
import sys
import threading
import time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "MX": 15, "TXT": 16, "AAAA": 28}
RCODES = {"FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "NOTIMP": 4, "REFUSED": 5}
BEHAVIOURS = {
    "TIMEOUT", "SLOW", "TRUNCATE", "GARBAGE", "EMPTY", "WRONGID", "WRONGNAME",
    "NOQUESTION", "NOEDNS", "DRIP", "NOTCP",
} | set(RCODES)
OPT = 41
NEGATIVE_TTL = 300
CHAIN_MAX = 12


def encode_name(name):
    out = b""
    for label in name.split("."):
        if label:
            out += bytes([len(label)]) + label.encode("ascii")
    return out + b"\0"


def decode_name(data, at):
    """The name in a question; compression has no business there."""
    labels = []
    while True:
        n = data[at]
        at += 1
        if n == 0:
            return ".".join(labels), at
        if n > 63:
            raise ValueError("a pointer in a question")
        labels.append(data[at:at + n].decode("latin-1").lower())
        at += n


class Zone:
    """The lines of the file, as {name: [(kind, ...)]}; read again when the file changes."""

    def __init__(self, path):
        self.path = path
        self.stamp = None
        self.records = {}
        self.behaviours = {}
        self.lock = threading.Lock()

    def refresh(self):
        with self.lock:
            st = os.stat(self.path)
            stamp = (st.st_ino, st.st_mtime_ns, st.st_size)
            if stamp != self.stamp:
                self.stamp = stamp
                self.read()

    def read(self):
        self.records, self.behaviours = {}, {}
        with open(self.path, encoding="ascii") as f:
            for text in f.read().replace(";", "\n").splitlines():
                words = text.split("#")[0].split()
                if words:
                    self.add(words)

    def add(self, words):
        name, rest = words[0].lower().rstrip("."), words[1:]
        ttl = int(rest.pop(0)) if rest[0].isdigit() else 3600
        kind = rest.pop(0).upper()
        if kind in BEHAVIOURS:
            ms = int(rest.pop(0)) if kind == "SLOW" else 0
            qtype = TYPES[rest[0].upper()] if rest else 0
            self.behaviours.setdefault(name, []).append((kind, ms, qtype))
            return
        followed = kind != "CNAME-ONLY"
        rtype = TYPES["CNAME" if not followed else kind]
        target, data = self.data(rtype, rest)
        self.records.setdefault(name, []).append((rtype, ttl, data, target, followed))

    @staticmethod
    def data(rtype, rest):
        if rtype == TYPES["MX"]:
            return None, struct.pack("!H", int(rest[0])) + encode_name(rest[1].lower())
        if rtype in (TYPES["CNAME"], TYPES["NS"]):
            return rest[0].lower().rstrip("."), encode_name(rest[0].lower())
        if rtype in (TYPES["A"], TYPES["AAAA"]):
            return None, ipaddress.ip_address(rest[0]).packed
        text = " ".join(rest).encode("ascii")[:255]
        return None, bytes([len(text)]) + text

    def behaviour(self, name, qtype):
        for kind, ms, only in self.behaviours.get(name, []):
            if only in (0, qtype):
                return kind, ms
        return None, 0

    def exists(self, name):
        names = list(self.records) + list(self.behaviours)
        return any(n == name or n.endswith("." + name) for n in names)


class Query:
    def __init__(self, data):
        self.id, self.flags, questions, _, _, additional = struct.unpack("!6H", data[:12])
        if questions != 1 or self.flags & 0xf800:
            raise ValueError("no query")
        self.name, at = decode_name(data, 12)
        self.type, _ = struct.unpack("!2H", data[at:at + 4])
        self.question = data[12:at + 4]
        self.opt = additional > 0


def record(name, rtype, ttl, data):
    return encode_name(name) + struct.pack("!HHIH", rtype, 1, ttl, len(data)) + data


def soa():
    return record(".", TYPES["SOA"], NEGATIVE_TTL,
                  b"\0\0" + struct.pack("!5I", 1, 1, 1, 1, NEGATIVE_TTL))


def message(query, rcode=0, answers=(), authority=(), flags=0, qid=None, question=None, opt=True):
    question = query.question if question is None else question
    opt = opt and query.opt
    head = struct.pack("!6H", query.id if qid is None else qid,
                       0x8180 | flags | rcode, 1 if question else 0,
                       len(answers), len(authority), 1 if opt else 0)
    tail = b"\0" + struct.pack("!HHIH", OPT, 1232, 0, 0) if opt else b""
    return head + question + b"".join(answers) + b"".join(authority) + tail


def honest(zone, query):
    """(rcode, answers, authority) of a server that recurses."""
    answers, name = [], query.name
    for _ in range(CHAIN_MAX):
        own = zone.records.get(name, [])
        hits = [r for r in own if r[0] == query.type]
        if hits:
            return 0, answers + [record(name, r[0], r[1], r[2]) for r in hits], []
        aliases = [r for r in own if r[0] == TYPES["CNAME"]]
        if not aliases:
            return (0 if zone.exists(name) else 3), answers, [soa()]
        alias = aliases[0]
        answers.append(record(name, alias[0], alias[1], alias[2]))
        if not alias[4]:
            return 0, answers, []
        name = alias[3]
    return 0, answers, []


def answer(zone, query, tcp):
    """The octets to send, or None for silence; and how: (octets, delay in s, manner)."""
    kind, ms = zone.behaviour(query.name, query.type)
    rcode, answers, authority = honest(zone, query)
    if kind == "TIMEOUT":
        return None, 0, None
    if kind in RCODES:
        denial = [soa()] if kind == "NXDOMAIN" else []
        return message(query, RCODES[kind], [], denial), 0, None
    if kind == "GARBAGE":
        return bytes(range(64)), 0, None
    if kind == "EMPTY":
        return b"", 0, None
    if kind == "NOEDNS" and query.opt:
        return message(query, RCODES["FORMERR"], opt=False), 0, None
    if kind == "NOQUESTION":
        return message(query, rcode, answers, authority, question=b""), 0, None
    if kind == "WRONGID":
        return message(query, rcode, answers, authority, qid=query.id ^ 1), 0, None
    if kind == "WRONGNAME":
        other = encode_name("other.example") + struct.pack("!2H", query.type, 1)
        return message(query, rcode, answers, authority, question=other), 0, None
    whole = message(query, rcode, answers, authority)
    if not tcp and (kind in ("TRUNCATE", "DRIP", "NOTCP") or
                    len(whole) > (1232 if query.opt else 512)):
        return message(query, flags=0x0200), 0, None
    return whole, ms / 1000, kind


def serve_udp(sock, zone, log):
    while True:
        data, peer = sock.recvfrom(65535)
        try:
            query = Query(data)
        except (ValueError, IndexError, struct.error):
            continue
        log(query, "udp")
        zone.refresh()
        out, delay, _ = answer(zone, query, False)
        if out is None:
            continue
        if delay:
            threading.Timer(delay, sock.sendto, (out, peer)).start()
        else:
            sock.sendto(out, peer)


def read_exactly(conn, n):
    data = b""
    while len(data) < n:
        more = conn.recv(n - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def serve_stream(conn, zone, log):
    try:
        while True:
            n, = struct.unpack("!H", read_exactly(conn, 2))
            query = Query(read_exactly(conn, n))
            log(query, "tcp")
            zone.refresh()
            out, delay, manner = answer(zone, query, True)
            if manner == "NOTCP":
                break
            if out is None:
                continue
            time.sleep(delay)
            whole = struct.pack("!H", len(out)) + out
            step = 1 if manner == "DRIP" else len(whole)
            for at in range(0, len(whole), step):
                conn.sendall(whole[at:at + step])
                if step == 1:
                    time.sleep(0.002)
    except (EOFError, OSError, ValueError, IndexError, struct.error):
        pass
    conn.close()


def serve_tcp(sock, zone, log):
    while True:
        conn, _ = sock.accept()
        threading.Thread(target=serve_stream, args=(conn, zone, log), daemon=True).start()


def open_sockets(address, port):
    """One port for both; with port 0 the two must agree, so that takes some tries."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for _ in range(50):
        tcp = socket.socket(family, socket.SOCK_STREAM)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.bind((address, port))
        udp = socket.socket(family, socket.SOCK_DGRAM)
        try:
            udp.bind((address, tcp.getsockname()[1]))
        except OSError:
            if port:
                raise
            continue
        tcp.listen(64)
        return udp, tcp
    raise SystemExit("no port is free for both UDP and TCP")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("zone")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", help="append one line per question: transport, id, type, name")
    args = parser.parse_args()
    zone = Zone(args.zone)
    zone.refresh()
    signal.signal(signal.SIGHUP, lambda *_: setattr(zone, "stamp", None))
    out = open(args.log, "a", buffering=1, encoding="ascii") if args.log else None

    def log(query, transport):
        if out:
            out.write("%s %d %d %s\n" % (transport, query.id, query.type, query.name))

    udp, tcp = open_sockets(args.address, args.port)
    for target, sock in ((serve_udp, udp), (serve_tcp, tcp)):
        threading.Thread(target=target, args=(sock, zone, log), daemon=True).start()
    print("listening", tcp.getsockname()[1], flush=True)
    while True:
        select.select([0], [], [])
        if not os.read(0, 4096):
            os._exit(0)


if __name__ == "__main__":
    main()
