# SPDX-License-Identifier: ISC
"""A file system of its own for one run, in a file on the disk that is measured: what is
written to it is written by that run alone, the journal included.  It needs root; where it
cannot be had, a directory takes its place and nothing is counted."""
import os
import subprocess
import tempfile


class Disk:
    """with Disk(scratch) as disk: ... disk.path ... disk.written()"""

    def __init__(self, scratch):
        self.outside = tempfile.TemporaryDirectory(prefix="relayd-bench.", dir=scratch)
        os.chmod(self.outside.name, 0o755)
        self.path = os.path.join(self.outside.name, "disk")
        self.image = os.path.join(self.outside.name, "image")
        self.mounted = False

    def _run(self, *args):
        return subprocess.run(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              check=False).returncode == 0

    def __enter__(self):
        os.mkdir(self.path)
        if os.geteuid() == 0:
            with open(self.image, "wb") as f:
                f.truncate(4 << 30)
            self.mounted = (
                self._run("mkfs.ext4", "-q", "-F", "-N", "100000", "-J", "size=64", self.image) and
                self._run("mount", "-o", "loop,noinit_itable", self.image, self.path))
        return self

    def __exit__(self, *_):
        if self.mounted:
            self._run("umount", self.path)
        self.outside.cleanup()

    def written(self):
        """Bytes so far, everything flushed; None if that cannot be told."""
        if not self.mounted:
            return None
        self._run("sync", "-f", self.path)
        device = os.stat(self.path).st_dev
        with open(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat",
                  encoding="ascii") as f:
            return int(f.read().split()[6]) * 512
