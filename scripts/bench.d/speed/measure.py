"""Running one command and weighing it: wall time, processor time and memory, all of its processes."""
import os
import subprocess
import time


class Failed(Exception):
    """A command of the bench, or of what is compared, ended with a failure."""


class Measure:
    """What one command took; rss_kib is of its largest process."""

    def __init__(self, wall_s, cpu_s, rss_kib):
        self.wall_s, self.cpu_s, self.rss_kib = wall_s, cpu_s, rss_kib


def drop_caches():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w") as f:
        f.write("3")


class Runner:
    """Runs commands: argument lists, or texts for sh. Those that are measured run in `cage` (limits.py), with cold caches where `cold`."""

    def __init__(self, work, env, cold=False, cage=None):
        self.log, self.times = os.path.join(work, "log"), os.path.join(work, "times")
        self.env = dict(os.environ, LC_ALL="C", TZ="UTC", **env)
        self.cold, self.cage = cold, cage

    def _run(self, command, cwd, before, prefix):
        argv = prefix + (["sh", "-c", command] if isinstance(command, str) else command)
        with open(self.log, "wb") as log:
            return subprocess.run(argv, env=self.env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=before).returncode

    def _said(self):
        with open(self.log, "rb") as log:
            return log.read().decode(errors="replace")

    def _check(self, command, status):
        if status != 0:
            name = command if isinstance(command, str) else " ".join(command)
            raise Failed("%s: ended with %d: %s" % (name, status, self._said().strip()[-600:] or "(said nothing)"))

    def run(self, command, cwd=None):
        """Not measured. Returns what it printed."""
        self._check(command, self._run(command, cwd, None, []))
        return self._said()

    def measure(self, command, cwd=None, until_on_disk=None):
        """Measured. What was written before is on the disk first, so that nobody pays for another's dirty pages. GNU time asks for processor and memory: it is a small
        process, and the kernel counts to a command what the process had that it was started from. The time ends when the command does, or when all that was written below
        `until_on_disk` is on the disk."""
        os.sync()
        if self.cold:
            drop_caches()
        begin = time.monotonic()
        status = self._run(command, cwd, self.cage.enter if self.cage else None, ["/usr/bin/time", "-q", "-o", self.times, "-f", "%U %S %M"])
        if until_on_disk:
            subprocess.run(["sync", "-f", until_on_disk], check=True)
        wall_s = time.monotonic() - begin
        self._check(command, status)
        with open(self.times) as f:
            user_s, system_s, rss_kib = f.read().split()
        return Measure(wall_s, float(user_s) + float(system_s), int(rss_kib))
