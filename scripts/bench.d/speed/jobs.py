"""The jobs: what is measured, in which order. All tools take their turn in each step (A B A B), on the same data; then comes the next step, then the next round."""
import os
import shutil
import sys
import time

import same
import tools
import workloads
from measure import Failed

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
        self.field = bench.places.fresh("field", self.workload.mib() * 6)
        if bench.cage:
            bench.cage.slow(bench.places.device(self.field))
        self.source = os.path.join(self.field, "source")
        os.mkdir(self.source)
        say("%s: making the %s" % (self.name, self.workload.what))
        begin = time.monotonic()
        self.workload.make(self.source)
        say("%s: made in %.0f s, %s" % (self.name, time.monotonic() - begin, describe(self.source)))
        if not bench.options.cold:
            bench.runner.run("tar -C '%s' -c . | cat >/dev/null" % self.source)  # all of it in the page cache, for whoever is first
        try:
            for round_ in range(1, bench.options.rounds + 1):
                self.round(round_)
        finally:
            bench.places.drop(self.field)

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
        for name in [n for n in self.used if step in self.used[n].steps]:
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
            measure = self.bench.runner.measure(tool.restore(out))
            same.check(self.bench.runner, self.source, tool.restored(out))
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


def run_all(bench, sizes):
    for name in bench.options.workloads:
        workload = workloads.ALL[name](bench.runner, sizes, bench.options.seed, bench.options.roots)
        Series(bench, workload).run()
