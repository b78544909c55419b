"""A cage for what is measured: a control group with little memory, and a disk that is read and written slowly."""
import os
import time

from measure import Failed

V1, V2 = "/sys/fs/cgroup/%s", "/sys/fs/cgroup"


class Cage:
    """One group (version 2) or one a controller (version 1). enter() is called in the process to be measured, before it becomes the command."""

    def __init__(self, memory_bytes, disk_bytes_s):
        self.memory, self.rate = memory_bytes, disk_bytes_s
        self.is_v2 = os.path.exists(V2 + "/cgroup.controllers")
        controllers = ["memory"] * bool(memory_bytes) + ["io" if self.is_v2 else "blkio"] * bool(disk_bytes_s)
        tops = [V2] if self.is_v2 else [V1 % c for c in controllers]
        self.groups = [os.path.join(top, "bkd-bench-%d" % os.getpid()) for top in tops]
        if self.is_v2:
            self._write(os.path.join(V2, "cgroup.subtree_control"), " ".join("+" + c for c in controllers))
        for group in self.groups:
            os.mkdir(group)
        if memory_bytes:
            self._set("memory.max" if self.is_v2 else "memory.limit_in_bytes", memory_bytes)

    def _write(self, path, text):
        with open(path, "w") as f:
            f.write(str(text))

    def _set(self, name, text):
        for group in self.groups:
            if os.path.exists(os.path.join(group, name)):
                self._write(os.path.join(group, name), text)

    def slow(self, device):
        """From now on this device ("MAJOR:MINOR") as well. In groups of version 1 only reads and what is written past the page cache are slow."""
        if not self.rate:
            return
        try:
            self._set("io.max", "%s rbps=%d wbps=%d" % (device, self.rate, self.rate))
            for name in ("blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device"):
                self._set(name, "%s %d" % (device, self.rate))
        except OSError as why:
            raise Failed("--slow-disk: %s is no disk whose rate can be limited: %s" % (device, why.strerror)) from why

    def enter(self):
        for group in self.groups:
            self._write(os.path.join(group, "cgroup.procs"), os.getpid())

    def close(self):
        for group in self.groups:
            for _ in range(50):
                try:
                    os.rmdir(group)
                    break
                except OSError:  # its last process is not gone yet
                    time.sleep(0.1)
