"""What bkd is held to: ratios of medians within one comparison, and a few absolute figures."""


class Mark:
    """bkd's `field` in `job` is at most `most` times that of `tool` (in `tool_job`, by default the same job); without a tool it is at most `most`."""

    def __init__(self, job, field, most, tool=None, tool_job=None):
        self.job, self.field, self.most, self.tool, self.tool_job = job, field, most, tool, tool_job or job

    def judge(self, results):
        """The ratio or figure, and whether it is met; None when it was not measured."""
        ours = results.summary(self.job, "bkd")
        theirs = results.summary(self.tool_job, self.tool) if self.tool else None
        if not ours or self.field not in ours or (self.tool and not (theirs and theirs.get(self.field))):
            return None
        seen = ours[self.field] / theirs[self.field] if self.tool else ours[self.field]
        return seen, seen <= self.most

    def text(self):
        what = {"wall_s": "time", "stored_mib": "stored", "rss_mib": "memory"}[self.field]
        if self.tool is None:
            return "%s ≤ %g %s" % (what, self.most, {"wall_s": "s", "rss_mib": "MiB"}[self.field])
        return "%s ≤ %g × %s%s" % (what, self.most, self.tool, "" if self.tool_job == self.job else "'s " + self.tool_job)


PIPE = "tar|zstd|age"
MARKS = [
    Mark("W1.first", "wall_s", 0.4, "restic"), Mark("W1.first", "wall_s", 0.4, "borg"), Mark("W1.first", "wall_s", 0.5, PIPE), Mark("W1.first", "stored_mib", 0.95, "restic"),
    Mark("W2.first", "wall_s", 0.7, "restic"), Mark("W2.first", "wall_s", 1.15, PIPE), Mark("W3.first", "wall_s", 0.7, "restic"), Mark("W3.first", "wall_s", 1.15, PIPE),
    Mark("W1.next", "wall_s", 0.3, "restic"), Mark("W1.next", "stored_mib", 0.8, "restic"),
    Mark("W2.next", "wall_s", 0.4, "restic"), Mark("W2.next", "wall_s", 0.2, "rdiff"), Mark("W2.next", "stored_mib", 0.5, "restic"),
    Mark("W3.next", "wall_s", 0.5, "restic"), Mark("W3.next", "stored_mib", 0.55, "restic"),
    Mark("W1.same", "wall_s", 0.2, "restic"), Mark("W1.same", "wall_s", 2, "find"), Mark("W4.same", "wall_s", 0.2, "restic"), Mark("W4.same", "wall_s", 1.5, "find"),
    Mark("W4.first", "wall_s", 0.4, "restic"), Mark("W4.first", "wall_s", 1, PIPE), Mark("W4.first", "rss_mib", 128),
    Mark("W5.next", "wall_s", 1.2, "bkd", "W5.first"),
    Mark("W1.restore", "wall_s", 0.5, "restic"), Mark("W1.restore", "wall_s", 1.1, PIPE), Mark("W2.restore", "wall_s", 0.5, "restic"),
    Mark("W2.restore", "wall_s", 1.1, PIPE), Mark("W3.restore", "wall_s", 0.5, "restic"), Mark("W3.restore", "wall_s", 1.1, PIPE),
    Mark("nights.restore-last", "wall_s", 1.3, "bkd", "nights.restore-first"),
    Mark("nights.restore-last", "wall_s", 1.3, "bkd", "nights.restore-fresh"),
    Mark("W1.file", "wall_s", 0.3), Mark("ssh.file", "wall_s", 3),
    Mark("ssh.first", "wall_s", 0.12, "restic"), Mark("ssh.first", "wall_s", 0.3, "borg"), Mark("ssh.first", "wall_s", 0.8, "tar|zstd|ssh"),
    Mark("daemon.idle", "rss_mib", 16),
]
MEMORY = 192  # MiB, of bkd in any job


def judge(results):
    """Pairs of a mark's text and its verdict ("met", "missed"), with the job and the figure."""
    rows = []
    for mark in MARKS:
        verdict = mark.judge(results)
        if verdict:
            rows.append({"job": mark.job, "mark": mark.text(), "seen": round(verdict[0], 3), "met": verdict[1]})
    memory = [(results.summary(job, "bkd")["rss_mib"], job) for job in results.jobs() if results.summary(job, "bkd")]
    if memory:
        most, job = max(memory)
        rows.append({"job": job, "mark": "memory ≤ %d MiB everywhere" % MEMORY, "seen": round(most, 1), "met": most <= MEMORY})
    return rows
