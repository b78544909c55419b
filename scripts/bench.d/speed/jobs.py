"""The jobs: what is measured, in which order. All tools take their turn in each step (A B A B), on the same data; then comes the next step, then the next round."""
import os
import shutil
import subprocess
import sys
import time

import far
import same
import tools
import workloads
from measure import Failed, Measure

STEPS = ("first", "same", "restore", "file", "next")


def say(text):
    print("bench: " + text, file=sys.stderr, flush=True)


class Bench:
    """What the jobs share."""

    def __init__(self, options, runner, places, results):
        self.options, self.runner, self.places, self.results = options, runner, places, results
        self.cage = runner.cage

    def wants(self, job):
        only = self.options.only
        return not only or any(job == o or job.startswith(o + ".") for o in only)

    def note(self, job, tool, round_, measure, **more):
        entry = {"job": job, "tool": tool, "round": round_, "wall_s": round(measure.wall_s, 4), "cpu_s": round(measure.cpu_s, 3), "rss_kib": measure.rss_kib, **more}
        self.results.add(entry)
        say("%-12s %-13s %8.2f s  %8.2f s of CPU  %7.1f MiB%s" % (job, tool, measure.wall_s, measure.cpu_s, measure.rss_kib / 1024,
            "  %.1f MiB stored" % (more["stored_bytes"] / 1048576) if "stored_bytes" in more else ""))

    def fail(self, job, tool, round_, why):
        self.results.add({"job": job, "tool": tool, "round": round_, "failed": str(why)})
        say("%s, %s: FAILED: %s" % (job, tool, why))


class Series:
    """One workload on a file system of its own: rounds of first backup, unchanged, restore, one file, next night."""

    def __init__(self, bench, workload):
        self.bench, self.workload = bench, workload
        self.name = workload.name

    def wants(self, step):
        return self.bench.wants("%s.%s" % (self.name, step))

    def run(self):
        bench = self.bench
        if not any(self.wants(step) for step in STEPS):
            return
        with Field(bench, self.workload, 6) as field:
            self.field, self.source = field.path, field.source
            for round_ in range(1, bench.options.rounds + 1):
                self.round(round_)

    def round(self, round_):
        self.round_, self.used = round_, {}
        wanted = {step for step in STEPS if self.wants(step)}
        for name in self.bench.options.tools:
            if wanted & set(tools.ALL[name].steps) and tools.ALL[name].of in (None, self.name):
                tool = tools.ALL[name](self.bench.runner, os.path.join(self.field, name.replace("|", "-")), self.source, self.bench.options)
                tool.start()
                self.used[name] = tool
        self.each("first", self.backup)
        for step, do in (("same", self.backup), ("restore", self.restore), ("file", self.file)):
            if step in wanted:
                self.each(step, do)
        if "next" in wanted:
            self.workload.night(self.source)
            self.each("next", self.backup)
        for tool in self.used.values():
            tools.remove(tool)

    def each(self, step, do):
        """One step of all tools; whoever fails is out of the round."""
        for name in tools.in_turn([n for n in self.used if step in self.used[n].steps], self.round_):
            job = "%s.%s" % (self.name, step)
            try:
                do(job, step, self.used[name])
            except Failed as why:
                self.bench.fail(job, name, self.round_, why)
                tools.remove(self.used.pop(name))

    def backup(self, job, step, tool):
        before = tool.stored_bytes()
        measure = self.bench.runner.measure(tool.backup())
        more = {} if step == "same" else {"stored_bytes": tool.stored_bytes() - before}
        self.bench.note(job, tool.name, self.round_, measure, **more)

    def restore(self, job, step, tool):
        out = self.bench.places.fresh("out", self.workload.mib() * 2)
        try:
            if self.bench.cage:
                self.bench.cage.slow(self.bench.places.device(out))
            measure = self.bench.runner.measure(tool.restore(out), until_on_disk=out if self.bench.options.restores == "durable" else None)
            same.check(self.bench.runner, self.source, tool.restored(out), tool.keeps_link_times)
            self.bench.note(job, tool.name, self.round_, measure, equal=True)
        finally:
            self.bench.places.drop(out)

    def file(self, job, step, tool):
        name = one_file(self.source)
        out = os.path.join(self.bench.places.work, "file")
        try:
            measure = self.bench.runner.measure(tool.file(name, out))
            same.check_file(self.bench.runner, self.source, name, out)
            self.bench.note(job, tool.name, self.round_, measure, equal=True)
        finally:
            shutil.rmtree(out, ignore_errors=True)


def one_file(source):
    """One in the middle, of some size."""
    names = sorted(os.path.relpath(os.path.join(where, n), source) for where, _, files in os.walk(source) for n in files)
    names = [n for n in names if os.path.isfile(os.path.join(source, n)) and not os.path.islink(os.path.join(source, n)) and os.path.getsize(os.path.join(source, n)) > 0]
    return names[len(names) // 2]


def describe(source):
    files = size = 0
    for where, _, names in os.walk(source):
        files += len(names)
        size += sum(os.lstat(os.path.join(where, n)).st_size for n in names)
    return "%d files, %.0f MiB" % (files, size / 1048576)


class Field:
    """A file system with a workload on it, as a context."""

    def __init__(self, bench, workload, times):
        self.bench, self.workload, self.times = bench, workload, times

    def __enter__(self):
        bench, workload = self.bench, self.workload
        self.path = bench.places.fresh("field", workload.mib() * self.times)
        if bench.cage:
            bench.cage.slow(bench.places.device(self.path))
        self.source = os.path.join(self.path, "source")
        os.mkdir(self.source)
        say("%s: making the %s" % (workload.name, workload.what))
        begin = time.monotonic()
        try:
            workload.make(self.source)
        except Exception:
            bench.places.drop(self.path)
            raise
        say("%s: made in %.0f s, %s" % (workload.name, time.monotonic() - begin, describe(self.source)))
        if not bench.options.cold:
            bench.runner.run("tar -C '%s' -c . | cat >/dev/null" % self.source)  # all of it in the page cache, for whoever is first
        return self

    def __exit__(self, *_):
        self.bench.places.drop(self.path)


class Nights:
    """A disk image restored as it was after one night and after many, out of the same repository; and as it is after many out of a repository that has seen nothing else: the
    nights fill holes of the image, so that more is written at more places, whoever restores it."""

    JOBS = ("nights.restore-first", "nights.restore-last", "nights.restore-fresh")

    def __init__(self, bench, workload):
        self.bench, self.workload = bench, workload

    def run(self):
        with Field(self.bench, self.workload, 8) as field:
            tool = tools.Bkd(self.bench.runner, os.path.join(field.path, "bkd"), field.source, self.bench.options)
            tool.start()
            self.bench.runner.run(tool.backup())
            early = os.path.join(field.path, "early")
            for night in range(self.bench.options.nights):
                self.workload.night(field.source)
                self.bench.runner.run(tool.backup())
                if night == 0:
                    self.bench.runner.run("cp -a --sparse=always '%s' '%s'" % (field.source, early))
            fresh = tools.Bkd(self.bench.runner, os.path.join(field.path, "fresh"), field.source, self.bench.options)
            fresh.start()
            self.bench.runner.run(fresh.backup())
            for round_ in range(1, self.bench.options.rounds + 1):
                for job, of, snapshot, wanted in ((self.JOBS[0], tool, "2", early), (self.JOBS[1], tool, "latest", field.source), (self.JOBS[2], fresh, "latest", field.source)):
                    self.restore(job, of, snapshot, wanted, round_)

    def restore(self, job, tool, snapshot, wanted, round_):
        out = self.bench.places.fresh("out", self.workload.mib() * 2)
        try:
            measure = self.bench.runner.measure(tool.reader("restore", snapshot, "--target", out, *tool.jobs()))
            same.check(self.bench.runner, wanted, tool.restored(out))
            self.bench.note(job, tool.name, round_, measure, equal=True)
        finally:
            self.bench.places.drop(out)


class Idle:
    """The memory of a daemon that has nothing to do."""

    JOBS = ("daemon.idle",)
    POLICIES, SETTLE_S = 3, 3

    def __init__(self, bench):
        self.bench = bench

    def run(self):
        home = os.path.join(self.bench.places.work, "daemon")
        tool = tools.Bkd(self.bench.runner, home, self.bench.places.work, self.bench.options)
        self.bench.runner.run(tool.bkd("keys", "init"))
        policies = os.path.join(tool.config, "policies")
        for n in range(self.POLICIES):
            shutil.copy(policies + "/p.yaml", "%s/p%d.yaml" % (policies, n))
            with open("%s/p%d.yaml" % (policies, n), "a") as f:
                f.write('schedule: "0 3 1 1 *"\n')
        os.unlink(policies + "/p.yaml")
        daemon = subprocess.Popen(tool.bkd("daemon"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(self.SETTLE_S)
        with open("/proc/%d/status" % daemon.pid) as f:
            rss = next((int(line.split()[1]) for line in f if line.startswith("VmRSS")), None)
        daemon.terminate()
        daemon.wait()
        if rss is None:
            self.bench.fail(self.JOBS[0], "bkd", 1, "the daemon ended by itself")
        else:
            self.bench.note(self.JOBS[0], "bkd", 1, Measure(0, 0, rss))


KNOWN = ["%s.%s" % (w, s) for w in workloads.ALL for s in STEPS] + list(far.JOBS + Nights.JOBS + Idle.JOBS)


def run_all(bench, sizes):
    def workload(name):
        return workloads.ALL[name](bench.runner, sizes, bench.options.seed, bench.options.roots)

    for name in workloads.ALL:
        Series(bench, workload(name)).run()
    if any(bench.wants(job) for job in far.JOBS):
        with Field(bench, workload("W1"), 3) as field:
            far.Far(bench).run(field.source, one_file(field.source))
    if any(bench.wants(job) for job in Nights.JOBS):
        Nights(bench, workload("W2")).run()
    if any(bench.wants(job) for job in Idle.JOBS):
        Idle(bench).run()
