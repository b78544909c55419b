# speed [OPTION…]: backups and restores of bkd beside restic, borg, tar|zstd|age, rsync, rdiff and others, with the marks they are held to (--help)
"""Makes its workloads, runs all tools in turn on the same data, checks each restore, and writes a table as text, JSON and HTML."""
import argparse
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile

import jobs
import limits
import page
import places
import results
import table
import tools
import workloads
from measure import Failed, Runner

PACKAGES = ("e2fsprogs", "openssh-client", "openssh-server", "postgresql", "rsync", "time")


def words(text):
    return [w for w in text.split(",") if w]


def size(text):
    units = {"K": 10, "M": 20, "G": 30}
    return int(text[:-1]) << units[text[-1].upper()] if text[-1].upper() in units else int(text)


def parse(argv):
    p = argparse.ArgumentParser(prog="scripts/bench speed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, epilog="""
jobs are W1.first, W1.next, W1.same, W1.restore, W1.file, the same of W2 (disk image), W3 (PostgreSQL), W4 (tiny files), W5 (a large file, wholly
rewritten), ssh.first, ssh.file (W1, 30 ms away), nights.restore-first, -last, -fresh (W2), daemon.idle; --only W1,W2.next chooses. Full sizes (--scale 1): %s.
Tools: %s; usually %s.""" % (workloads.Sizes(1, {}).text(), ", ".join(tools.ALL), ", ".join(tools.USUAL)))
    p.add_argument("--scale", type=float, default=0.04, help="sizes of all workloads, as a share of the full ones (%(default)s; 1 takes an hour or more)")
    for name, full in workloads.FULL.items():
        p.add_argument("--" + name.replace("_", "-"), type=int, metavar="N", help="instead of the scaled %d" % full)
    p.add_argument("--rounds", type=int, default=3, help="of each job; medians are shown (%(default)s)")
    p.add_argument("--only", type=words, default=[], metavar="JOB,…", help="these jobs only")
    p.add_argument("--tools", type=words, default=list(tools.USUAL), metavar="TOOL,…", help="these tools only")
    p.add_argument("--skip", type=words, default=[], metavar="TOOL,…", help="not these")
    p.add_argument("--also", type=words, default=[], metavar="TOOL,…", help="these, too")
    p.add_argument("--nights", type=int, default=30, help="of the restore after many (%(default)s)")
    p.add_argument("--seed", default="1", help="of the workloads and their changes (%(default)s)")
    p.add_argument("--from", dest="roots", type=words, default=["/usr"], metavar="DIR,…", help="where real files are taken from (/usr)")
    p.add_argument("--policy", action="append", default=[], metavar="LINE", help="a line for bkd's policy, such as 'compression: 1'; may be repeated")
    p.add_argument("--jobs", type=int, default=0, metavar="N", help="bkd's --jobs")
    p.add_argument("--fs", choices=places.KINDS, help="file system of sources, repositories and restores (ext4 in a file where that can be mounted, else none)")
    p.add_argument("--restores", choices=("own", "durable", "cached"), default="own",
                   help="when a restore is over: when the tool says so (own; bkd's is then on the disk, those of others are not), when it is on the disk (durable: 'sync -f' "
                        "behind each), or when all is written (cached: bkd with --no-sync)")
    p.add_argument("--work", help="directory to work in (a new one in TMPDIR or /var/tmp)")
    p.add_argument("--cold", action="store_true", help="drop the page cache before each measurement (root)")
    p.add_argument("--memory", type=size, metavar="BYTES", help="memory limit of what is measured, such as 256M (root; control groups)")
    p.add_argument("--slow-disk", type=size, metavar="BYTES/S", help="rate of the disk for what is measured, such as 20M (root; implies --cold)")
    p.add_argument("--results", metavar="FILE", help="append every measurement to this file, and show all that stand in it: for a comparison in pieces")
    p.add_argument("--json", metavar="FILE", help="write the table as JSON ('-': standard output, instead of text)")
    p.add_argument("--html", metavar="FILE", help="write the table as a page")
    p.add_argument("--report", action="store_true", help="measure nothing, only show what --results holds")
    o = p.parse_args(argv)
    complete(p, o)
    return o


def complete(parser, o):
    o.tools = [t for t in dict.fromkeys(o.tools + o.also) if t not in o.skip]
    unknown = [t for t in o.tools + o.skip if t not in tools.ALL]
    if unknown:
        parser.error("there is no tool '%s' here; there are: %s" % (unknown[0], ", ".join(tools.ALL)))
    unknown = [j for j in o.only if not any(j == k or k.startswith(j + ".") for k in jobs.KNOWN)]
    if unknown:
        parser.error("there is no job '%s'; there are: %s" % (unknown[0], ", ".join(jobs.KNOWN)))
    if o.report and not o.results:
        parser.error("--report shows what stands in the file of --results")
    if o.rounds < 1 or o.scale <= 0:
        parser.error("--rounds and --scale are above 0")
    if o.slow_disk and o.fs == "tmpfs":
        parser.error("--slow-disk needs a disk: another --fs than tmpfs")
    o.cold = o.cold or bool(o.slow_disk)
    if (o.cold or o.memory) and os.getuid() != 0:
        parser.error("--cold, --memory and --slow-disk need root")


def install(o):
    """What is missing, by scripts/packages.sh."""
    packages = list(PACKAGES) + [p for t in o.tools for p in tools.ALL[t].packages] + ["xfsprogs"] * (o.fs == "xfs")
    subprocess.run(["sh", "-c", '. "$BENCH_ROOT/scripts/packages.sh"; need_packages "$@" >&2', "sh", *packages], check=True)


def processor():
    with open("/proc/cpuinfo") as f:
        return next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), platform.machine())


def facts(o, sizes, kind):
    with open("/proc/meminfo") as f:
        memory = int(f.readline().split()[1]) >> 20
    caches = "cold" if o.cold else "warm"
    limit = (", at most %d MiB" % (o.memory >> 20) if o.memory else "") + (", a disk of %d MiB/s" % (o.slow_disk >> 20) if o.slow_disk else "")
    return {"machine": "%d × %s, %d GiB, Linux %s" % (os.cpu_count(), processor(), memory, platform.release()),
            "how": "%s, %s caches%s, seed %s, bkd --jobs %s%s" % (kind, caches, limit, o.seed, o.jobs or "as it chooses", "" if o.restores == "own" else ", restores " + o.restores), "sizes": sizes.text(),
            "workloads": {**{w.name: "%s, %s" % (w.name, w.what) for w in workloads.ALL.values()}, "ssh": "W1 over SSH, 30 ms", "nights": "W2, many nights", "daemon": "daemon"},
            "versions": {t: "%s: %s" % (t, tools.ALL[t].version()) for t in o.tools}}


def choose_fs(o, runner, work):
    """ext4 in a file unless told otherwise, or where it cannot be mounted."""
    if o.fs:
        return places.Places(runner, work, o.fs)
    trial = places.Places(runner, work, "ext4")
    try:
        trial.drop(trial.fresh("trial", 16))
        return trial
    except Failed:
        jobs.say("nothing can be mounted here: restores go to plain directories, where ext4 is slow after the removal of a large tree")
        return places.Places(runner, work, "none")


def compare(o, found):
    work = tempfile.mkdtemp(prefix="bkd-bench-", dir=o.work or os.environ.get("TMPDIR", "/var/tmp"))
    cage = limits.Cage(o.memory, o.slow_disk) if o.memory or o.slow_disk else None
    runner = Runner(work, {"HOME": work}, o.cold, cage)
    where = choose_fs(o, runner, work)
    sizes = workloads.Sizes(o.scale, {n: getattr(o, n) for n in workloads.FULL})
    try:
        found.add({"facts": facts(o, sizes, where.kind)})
        jobs.run_all(jobs.Bench(o, runner, where, found), sizes)
    finally:
        where.drop_all()
        if cage:
            cage.close()
        shutil.rmtree(work, ignore_errors=True)


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


def main():
    o = parse(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is mounted goes
    found = results.Results(o.results)
    if o.results:
        found.load(o.results)
    if not o.report:
        install(o)
        try:
            compare(o, found)
        except Failed as why:
            sys.exit("bench speed: %s" % why)
    if o.html:
        write(o.html, page.make(found))
    if o.json and o.json != "-":
        write(o.json, table.as_json(found))
    sys.stdout.write(table.as_json(found) if o.json == "-" else table.text(found))
    sys.exit(1 if found.failures() else 0)


if __name__ == "__main__":
    main()
