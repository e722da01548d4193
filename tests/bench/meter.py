# SPDX-License-Identifier: ISC
"""What a relay has used, read from /proc: of all processes of its tree, and of those
that have ended (a parent is charged for the children it has waited for)."""
import os
import threading

TICKS = os.sysconf("SC_CLK_TCK")


def _stat(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
        return f.read().rsplit(")", 1)[1].split()


def tree(root):
    """This process and its descendants."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                children.setdefault(int(_stat(name)[1]), []).append(int(name))
            except OSError:
                continue  # it has ended
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def _numbers(pid, file, *keys):
    """The sum of these lines of /proc/PID/FILE."""
    total = 0
    try:
        with open(f"/proc/{pid}/{file}", encoding="ascii", errors="replace") as f:
            for line in f:
                key, _, value = line.partition(":")
                if key in keys:
                    total += int(value.split()[0])
    except OSError:
        pass
    return total


def cpu_seconds(root):
    total = 0
    for pid in tree(root):
        try:
            total += sum(int(n) for n in _stat(pid)[11:15])  # own and of children that ended
        except OSError:
            continue
    return total / TICKS


def own_kib(root):
    """Memory that is its own: neither programs nor files that are mapped."""
    return sum(_numbers(pid, "status", "RssAnon", "RssShmem") for pid in tree(root))


class Peak:
    """The highest own_kib() while it is open, looked at every quarter of a second."""

    def __init__(self, root):
        self.root, self.kib = root, 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self):
        while not self.over.wait(0.25):
            self.kib = max(self.kib, own_kib(self.root))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.kib = max(self.kib, own_kib(self.root))
