"""The results as one HTML page that needs nothing else: a bar for each tool in each job, and the marks."""
import html

import marks
import table

STYLE = """
:root{--ink:#1c2430;--dim:#66707f;--line:#e1e5ea;--own:#1b7f5c;--other:#9db2cc;--bad:#b3261e;--back:#fff}
@media (prefers-color-scheme:dark){:root{--ink:#e6eaf0;--dim:#98a2b3;--line:#2c3440;--own:#3fbf8f;--other:#54698a;--bad:#ff8a80;--back:#12161c}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .4rem}p.facts{color:var(--dim);font-size:.85rem;margin:.2rem 0}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.9rem}th{text-align:left;color:var(--dim);font-weight:500}
td,th{padding:.25rem .6rem .25rem 0;border-bottom:1px solid var(--line)}td.n,th.n{text-align:right;white-space:nowrap}
td.bar{width:45%}td.bar i{display:block;height:.9rem;border-radius:2px;background:var(--other);min-width:1px}tr.own td.bar i{background:var(--own)}
tr.own td:first-child{font-weight:600}.met{color:var(--own)}.missed{color:var(--bad);font-weight:600}
@media (max-width:40rem){td.bar{width:25%}.wide{display:none}}
"""
STEPS = {"first": "first backup", "next": "next night", "same": "nothing changed", "restore": "restore of everything", "file": "one file back", "restore-first": "restored as after one night", "restore-last": "restored as after many nights",
         "restore-fresh": "the same, out of one first backup"}


def title(results, job):
    workload, _, step = job.partition(".")
    what = results.facts().get("workloads", {}).get(workload, workload)
    return "%s: %s" % (what, STEPS.get(step, step.replace("-", " ")))


def bars(results, job):
    rows = [(tool, results.summary(job, tool)) for tool in results.tools(job)]
    rows = [(tool, s) for tool, s in rows if s]
    longest = max(s["wall_s"] for _, s in rows) or 1
    yield "<h2>%s</h2><table><tr><th>tool<th>wall time<th class=n>s<th class='n wide'>least–most<th class='n wide'>CPU s<th class='n wide'>memory MiB<th class=n>stored MiB</tr>" % html.escape(
        title(results, job))
    for tool, s in rows:
        yield "<tr%s><td>%s<td class=bar><i style='width:%.1f%%'></i><td class=n>%.2f<td class='n wide'>%.2f–%.2f<td class='n wide'>%.2f<td class='n wide'>%.0f<td class=n>%s</tr>" % (
            " class=own" if tool == "bkd" else "", html.escape(tool), 100 * s["wall_s"] / longest, s["wall_s"], s["wall_min_s"], s["wall_max_s"], s["cpu_s"], s["rss_mib"],
            "%.1f" % s["stored_mib"] if "stored_mib" in s else "")
    yield "</table>"


def mark_rows(judged):
    if not judged:
        return
    yield "<h2>Marks</h2><table><tr><th>job<th>mark<th class=n>seen<th></tr>"
    for m in judged:
        word = "met" if m["met"] else "missed"
        yield "<tr><td>%s<td>%s<td class=n>%.3g<td class=%s>%s</tr>" % (html.escape(m["job"]), html.escape(m["mark"]), m["seen"], word, word)
    yield "</table>"


def make(results):
    out = ["<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'><title>bkd: speed</title><style>%s</style><h1>bkd beside others</h1>" % STYLE]
    for name, value in results.facts().items():
        value = ", ".join(value.values()) if isinstance(value, dict) else value
        out.append("<p class=facts>%s: %s</p>" % (html.escape(name), html.escape(str(value))))
    out += mark_rows(marks.judge(results))
    for job in dict.fromkeys(job for job, _, _ in table.rows(results)):
        out += bars(results, job)
    for e in results.failures():
        out.append("<p class=missed>%s</p>" % html.escape("%(job)s, %(tool)s, round %(round)d failed: %(failed)s" % e))
    return "\n".join(out) + "\n"
