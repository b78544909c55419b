// The steps of a plan on a time line, as bars of HTML: what makes it as long as it is stands out, also in black and white. Pure.
#ifndef BKD_PLANS_HANDBOOK_CHART_H
#define BKD_PLANS_HANDBOOK_CHART_H

#include "bkd/plans/plan_times.h"

// Words of the page's language.
struct handbook_chart_words {
    const char *sources[3]; // as enum plan_times_source
    const char *critical;   // the legend of the dark bars
};

#define HANDBOOK_CHART_STYLE \
    ".gantt{break-inside:auto}.gantt div{display:grid;grid-template-columns:14em 1fr 11em;gap:.8em;align-items:center;padding:.22em 0;border-bottom:1px solid #e7ebef;break-inside:avoid}" \
    ".gantt .label{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}.gantt .track{position:relative;height:1em;background:#f3f5f7}" \
    ".gantt .track i{position:absolute;top:0;height:100%;min-width:2px;background:#fff;border:1px solid #57606a}.gantt .track i.critical{background:#1b1f24;border-color:#1b1f24}" \
    ".gantt .took{font-size:.85em;color:#57606a}.gantt .axis .track{background:none;height:auto;display:flex;justify-content:space-between;color:#57606a;font-size:.85em}" \
    ".legend{font-size:.85em;color:#57606a}.legend i{display:inline-block;width:2em;height:.8em;background:#1b1f24;vertical-align:baseline;margin-right:.5em}\n"

void handbook_chart_add(struct buf *out, const struct recovery *plan, const struct plan_times *times, const struct handbook_chart_words *words);

#endif
