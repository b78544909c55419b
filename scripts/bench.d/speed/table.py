"""The results as text and as JSON."""
import json

import marks

TITLE = "%-20s %-13s %9s %17s %9s %9s %11s %6s"
LINE = "%-20s %-13s %9.2f %17s %9.2f %9.1f %11s %6s"


def rows(results):
    for job in results.jobs():
        for tool in results.tools(job):
            summary = results.summary(job, tool)
            if summary:
                yield job, tool, summary


def text(results):
    facts = results.facts()
    lines = ["%s: %s" % (k, v if not isinstance(v, dict) else "; ".join(v.values())) for k, v in facts.items()]
    lines += ["", TITLE % ("JOB", "TOOL", "WALL s", "(least-most)", "CPU s", "RSS MiB", "STORED MiB", "EQUAL")]
    before = None
    for job, tool, s in rows(results):
        if before not in (None, job):
            lines.append("")
        before = job
        lines.append(LINE % (job, tool, s["wall_s"], "%.2f-%.2f (%d)" % (s["wall_min_s"], s["wall_max_s"], s["rounds"]), s["cpu_s"], s["rss_mib"],
                             "%.1f" % s["stored_mib"] if "stored_mib" in s else "", {True: "yes", False: "NO"}.get(s.get("equal"), "")))
    judged = marks.judge(results)
    if judged:
        lines += ["", "%-20s %-34s %9s" % ("MARK OF", "", "SEEN")]
        lines += ["%-20s %-34s %9.3g  %s" % (m["job"], m["mark"], m["seen"], "met" if m["met"] else "MISSED") for m in judged]
    lines += ["FAILED: %(job)s, %(tool)s, round %(round)d: %(failed)s" % e for e in results.failures()]
    return "\n".join(lines) + "\n"


def as_json(results):
    return json.dumps({"type": "speed", "schema": 1, "facts": results.facts(), "jobs": [{"job": j, "tool": t, **s} for j, t, s in rows(results)],
                       "marks": marks.judge(results), "failures": results.failures()}, indent=1) + "\n"
