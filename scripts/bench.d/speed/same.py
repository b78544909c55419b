"""Is a restored tree what was backed up? Asked of rsync, which none of the tools compared wrote: content by checksum, types, modes, owners, links, times."""
from measure import Failed

SHOWN = 5


def check(runner, source, restored, link_times=True):
    """Raises Failed with the first differences. Times to the second, as not all of the tools keep more."""
    times = [] if link_times else ["--omit-link-times"]
    said = runner.run(["rsync", "-naHc", "--delete", "--itemize-changes", *times, source + "/", restored + "/"])
    lines = [line for line in said.split("\n") if line and not line.endswith(" ./")]
    if lines:
        raise Failed("%d differences between '%s' and '%s': %s" % (len(lines), source, restored, "; ".join(lines[:SHOWN])))


def check_file(runner, source, name, out):
    """One file, wherever below `out` it was put."""
    runner.run('f=$(find "%s" -type f) && cmp "$f" "%s/%s"' % (out, source, name))
