#include "bkd/plans/handbook.h"

#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/html.h"
#include "bkd/base/shell.h"
#include "bkd/dr/qr.h"
#include "bkd/plans/handbook_chart.h"
#include "bkd/policy/units.h"

enum text {
    TEXT_TITLE, TEXT_CONTENTS, TEXT_PEOPLE, TEXT_SYSTEMS, TEXT_STEPS, TEXT_ROLE, TEXT_HOLDER, TEXT_DEPUTY, TEXT_CONTACT, TEXT_PLACE, TEXT_SYSTEM, TEXT_POLICY, TEXT_TIER, TEXT_AFTER,
    TEXT_RTO, TEXT_HOST, TEXT_TARGETS, TEXT_OWNER, TEXT_DEADLINE, TEXT_EXPECTED, TEXT_BEGUN, TEXT_ENDED, TEXT_NAME, TEXT_SIGNATURE, TEXT_REMARKS,
    TEXT_PRINTED, TEXT_REHEARSED, TEXT_NOT_REHEARSED, TEXT_REVIEW, TEXT_VERSION, TEXT_WHOLE, TEXT_BEGIN_ALL, TEXT_KEEP, TEXT_TIMES, TEXT_CRITICAL,
    TEXT_MEASURED, TEXT_BY_DEADLINE, TEXT_UNKNOWN, TEXT_ARRIVAL, TEXT_APPROVAL, TEXT_APPROVED, TEXT_DATE, TEXT_NOTES, TEXT_DECIDED, TEXT_TYPES, TEXTS = TEXT_TYPES + RECOVERY_TYPES,
};

static const char *const texts[HANDBOOK_LANGUAGES][TEXTS] = {
    [HANDBOOK_ENGLISH] = {
        "Emergency handbook", "Contents", "Whom to call", "Systems", "Steps", "Role", "Holder", "Deputy", "Contact", "Place", "System", "Policy", "Tier", "After", "To be back in", "Host",
        "Restored to", "Owner", "Deadline", "expected", "Begun at", "Ended at", "Name", "Signature", "Remarks", "Printed", "Rehearsed",
        "NOT REHEARSED in this version", "Review by", "Version (SHA-256)", "All of it takes, at least", "To let bkd carry it out", "Keep a copy away from the machines that it is about.",
        "Time line", "makes the whole as long as it is", "measured", "deadline", "not known", "There after", "Approval", "Approved by", "Date", "Notes", "Decided:",
        "restore", "command", "check", "by hand", "decision", "notify",
    },
    [HANDBOOK_CHINESE] = {
        "应急手册", "目录", "联系人", "系统", "步骤", "角色", "负责人", "代理人", "联系方式", "地点", "系统", "策略", "级别", "依赖", "恢复时限", "主机",
        "恢复到", "负责角色", "期限", "预计", "开始时间", "结束时间", "姓名", "签字", "备注", "打印时间", "已演练",
        "本版本尚未演练", "复审期限", "版本 (SHA-256)", "总共至少需要", "由 bkd 执行", "请在所涉机器之外另存一份。",
        "时间线", "决定总时长的步骤", "实测", "期限", "未知", "到场时间", "批准", "批准人", "日期", "备注", "决定：",
        "恢复", "命令", "检查", "人工", "决策", "通知",
    },
};

bool handbook_parse_language(const char *text, enum handbook_language *ret_language)
{
    bool english = strcmp(text, "en") == 0;
    *ret_language = english ? HANDBOOK_ENGLISH : HANDBOOK_CHINESE;
    return english || strcmp(text, "zh") == 0;
}

static const char *say(const struct handbook *h, enum text text) { return texts[h->language][text]; }

static void add_duration(struct buf *out, uint64_t seconds)
{
    char text[UNITS_TEXT_MAX];
    units_format_duration(text, seconds);
    html_add_element(out, "td", seconds == 0 ? "–" : text);
}

static void add_words(struct buf *out, const struct policy_list *list)
{
    buf_add_str(out, "<td>");
    for (size_t i = 0; i < list->count; i++) {
        buf_add_str(out, i == 0 ? "" : ", ");
        html_add_text(out, list->items[i]);
    }
    buf_add_str(out, "</td>");
}

static void add_header_row(const struct handbook *h, struct buf *out, const enum text *columns, size_t n)
{
    buf_add_str(out, "<table><thead><tr>");
    for (size_t i = 0; i < n; i++)
        html_add_element(out, "th", say(h, columns[i]));
    buf_add_str(out, "</tr></thead>\n");
}

// ---- the parts

static const char style[] =
    ".cover{border-top:6px solid #1b1f24;padding-top:1em}.cover .kind{font-size:1em;letter-spacing:.12em;color:#57606a;text-transform:uppercase;margin:0}"
    ".cover .about{font-size:1.15em}.state{border:2px solid #b42318;color:#b42318;padding:.35em .8em;font-weight:700;display:inline-block;margin:.6em 0}"
    ".state.good{border-color:#1a7f37;color:#1a7f37}.facts{display:grid;grid-template-columns:max-content 1fr;gap:.15em 1.2em;margin:.6em 0;font-size:.93em}.facts dt{color:#57606a}"
    ".facts dd{margin:0;overflow-wrap:anywhere}.all{border:1px solid #8c959f;padding:.6em .9em;margin:1em 0}.keep{font-weight:600}"
    ".contents{padding-left:1.4em}.contents ol{columns:2;column-gap:3em;padding-left:1.4em}.contents li li{break-inside:avoid}section{break-inside:avoid}"
    ".step{border:1.5px solid #1b1f24;padding:.8em 1em;margin:0 0 1.1em;break-inside:avoid}.step header{display:flex;gap:.6em;align-items:center}"
    ".step header h3{flex:1}.tag{border:1px solid #57606a;border-radius:1em;padding:0 .8em;font-size:.85em;color:#57606a;white-space:nowrap}"
    ".box{display:inline-block;width:1.25em;height:1.25em;border:1.5px solid #1b1f24;flex:none;vertical-align:text-bottom;margin-right:.4em}.choices{margin:.6em 0}.choice{margin-left:1.2em}"
    ".step .facts{grid-template-columns:max-content 3fr max-content 2fr}.step p{white-space:pre-line}"
    ".run{display:flex;gap:1em;align-items:center}.run pre{flex:1;margin:.3em 0;background:#f3f5f7;padding:.6em .8em}.qr{width:30mm;height:30mm;flex:none;background:#fff}"
    ".sign{margin-top:.6em;table-layout:fixed}.sign td{border:1px solid #8c959f;height:3.4em;font-size:.8em;color:#57606a;padding:.15em .5em}.sign th{border:1px solid #8c959f}"
    ".lines div{border-bottom:1px solid #8c959f;height:2.4em}"
    ".roles td{white-space:normal}.name{font-weight:600}.minor{font-size:.9em;color:#57606a}.last{break-inside:avoid}\n" HANDBOOK_CHART_STYLE;

static void add_head(const struct handbook *h, struct buf *out)
{
    buf_addf(out, "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"%s\"><head><meta charset=\"utf-8\"/>", h->language == HANDBOOK_CHINESE ? "zh-CN" : "en");
    buf_add_str(out, "<meta name=\"viewport\" content=\"width=device-width\"/><title>");
    html_add_text(out, say(h, TEXT_TITLE));
    buf_add_str(out, ": ");
    html_add_text(out, h->plan->name);
    _cleanup_free_ char *foot = xasprintf("%s: %s · %.12s · %s", say(h, TEXT_TITLE), h->plan->name, h->plan->sha256, h->printed);
    buf_add_str(out, "</title><style>\n");
    html_add_style(out, foot);
    buf_addf(out, "%s</style></head><body>\n", style);
}

static void add_fact(const struct handbook *h, struct buf *out, enum text name, const char *value)
{
    html_add_element(out, "dt", say(h, name));
    html_add_element(out, "dd", value);
}

static void add_title(const struct handbook *h, struct buf *out)
{
    char total[CLOCK_TEXT_MAX], promised[CLOCK_TEXT_MAX];
    clock_format_duration(total, h->times->total_ns);
    clock_format_duration(promised, h->plan->rto_s * UINT64_C(1000000000));
    _cleanup_free_ char *printed = xasprintf("%s, %s", h->printed, h->host);
    _cleanup_free_ char *rehearsed = h->rehearsed == NULL ? NULL : xasprintf("%s: %s", say(h, TEXT_REHEARSED), h->rehearsed);
    buf_add_str(out, "<div class=\"cover\"><p class=\"kind\">");
    html_add_text(out, say(h, TEXT_TITLE));
    buf_add_str(out, "</p>");
    html_add_element(out, "h1", h->plan->name);
    buf_add_str(out, "<p class=\"about\">");
    html_add_text(out, h->plan->description);
    buf_addf(out, "</p><div class=\"state%s\">", h->rehearsed == NULL ? "" : " good");
    html_add_text(out, h->rehearsed == NULL ? say(h, TEXT_NOT_REHEARSED) : rehearsed);
    buf_add_str(out, "</div><dl class=\"facts\">");
    if (h->plan->rto_s > 0)
        add_fact(h, out, TEXT_RTO, promised);
    add_fact(h, out, TEXT_WHOLE, total);
    if (h->plan->review[0] != '\0')
        add_fact(h, out, TEXT_REVIEW, h->plan->review);
    add_fact(h, out, TEXT_VERSION, h->plan->sha256);
    add_fact(h, out, TEXT_PRINTED, printed);
    buf_add_str(out, "</dl><p class=\"keep\">");
    html_add_text(out, say(h, TEXT_KEEP));
    buf_add_str(out, "</p></div>\n");
}

static void add_contents(const struct handbook *h, struct buf *out)
{
    static const enum text parts[] = { TEXT_PEOPLE, TEXT_SYSTEMS, TEXT_TIMES, TEXT_STEPS, TEXT_APPROVAL };
    static const char *const anchors[] = { "people", "systems", "times", "steps", "approval" };
    html_add_element(out, "h2", say(h, TEXT_CONTENTS));
    buf_add_str(out, "<ol class=\"contents\">");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        buf_addf(out, "<li><a href=\"#%s\">%s</a>", anchors[i], say(h, parts[i]));
        for (size_t k = 0; parts[i] == TEXT_STEPS && k < h->plan->step_count; k++) {
            buf_addf(out, "%s<li><a href=\"#step-%zu\">", k == 0 ? "<ol>" : "", k + 1);
            html_add_text(out, h->plan->steps[k].title[0] != '\0' ? h->plan->steps[k].title : h->plan->steps[k].id);
            buf_addf(out, "</a></li>%s", k + 1 == h->plan->step_count ? "</ol>" : "");
        }
        buf_add_str(out, "</li>");
    }
    buf_add_str(out, "</ol>\n");
}

// A name, and below it how to reach that person.
static void add_person(struct buf *out, const char *name, const char *contact)
{
    buf_add_str(out, "<td><span class=\"name\">");
    html_add_text(out, name);
    buf_add_str(out, "</span><br/>");
    html_add_text(out, contact);
    buf_add_str(out, "</td>");
}

static void add_people(const struct handbook *h, struct buf *out)
{
    static const enum text columns[] = { TEXT_ROLE, TEXT_HOLDER, TEXT_DEPUTY, TEXT_PLACE, TEXT_ARRIVAL };
    buf_addf(out, "<section><h2 id=\"people\">%s</h2>\n", say(h, TEXT_PEOPLE));
    add_header_row(h, out, columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < h->plan->role_count; i++) {
        const struct recovery_role *role = &h->plan->roles[i];
        buf_add_str(out, "<tr>");
        html_add_element(out, "td", role->name);
        add_person(out, role->holder, role->contact);
        add_person(out, role->deputy[0] == '\0' ? "–" : role->deputy, role->deputy_contact);
        html_add_element(out, "td", role->place);
        add_duration(out, role->arrival_s);
        buf_add_str(out, "</tr>\n");
    }
    buf_add_str(out, "</table></section>\n");
}

static void add_targets(struct buf *out, const struct recovery_system *s)
{
    static const char *const places[] = { "in place", "", "scratch" };
    buf_add_str(out, "<td>");
    for (size_t i = 0; i < s->target_count; i++) {
        const struct recovery_target *t = &s->targets[i];
        _cleanup_free_ char *text = xasprintf("%s: %s%s%s%s", t->scenario, places[t->to], t->path == NULL ? "" : t->path, t->host[0] == '\0' ? "" : " @ ", t->host);
        html_add_text(out, text);
        buf_add_str(out, "<br/>");
    }
    buf_add_str(out, "</td>");
}

static void add_systems(const struct handbook *h, struct buf *out)
{
    static const enum text columns[] = { TEXT_SYSTEM, TEXT_TIER, TEXT_AFTER, TEXT_RTO, TEXT_POLICY, TEXT_HOST, TEXT_TARGETS };
    buf_addf(out, "<section><h2 id=\"systems\">%s</h2>\n", say(h, TEXT_SYSTEMS));
    add_header_row(h, out, columns, 7);
    for (size_t i = 0; i < h->plan->system_count; i++) {
        const struct recovery_system *s = &h->plan->systems[i];
        buf_add_str(out, "<tr><td><span class=\"name\">");
        html_add_text(out, s->name);
        buf_addf(out, "</span>%s<span class=\"minor\">", s->description[0] == '\0' ? "" : "<br/>");
        html_add_text(out, s->description);
        buf_addf(out, "</span></td><td>%u</td>", (unsigned)s->tier);
        add_words(out, &s->after);
        add_duration(out, s->rto_s);
        html_add_element(out, "td", s->policy);
        html_add_element(out, "td", s->host);
        add_targets(out, s);
        buf_add_str(out, "</tr>\n");
    }
    buf_add_str(out, "</table></section>\n");
}

static void add_times(const struct handbook *h, struct buf *out)
{
    const struct handbook_chart_words words = { { say(h, TEXT_MEASURED), say(h, TEXT_BY_DEADLINE), say(h, TEXT_UNKNOWN) }, say(h, TEXT_CRITICAL) };
    buf_addf(out, "<section><h2 id=\"times\">%s</h2>\n", say(h, TEXT_TIMES));
    handbook_chart_add(out, h->plan, h->times, &words);
    buf_add_str(out, "</section>\n");
}

static int add_command(struct buf *out, const char *command, struct error *err)
{
    _cleanup_qr_ struct qr code = { 0 };
    int r = qr_encode(command, &code, err);
    if (r < 0)
        return r;
    buf_add_str(out, "<div class=\"run\">");
    html_add_element(out, "pre", command);
    qr_add_svg(&code, out);
    buf_add_str(out, "</div>");
    return 0;
}

// "15min, expected 12.0 s".
static char *limit_of(const struct handbook *h, size_t i)
{
    char deadline[UNITS_TEXT_MAX], expected[CLOCK_TEXT_MAX];
    uint64_t deadline_s = h->plan->steps[i].deadline_s;
    units_format_duration(deadline, deadline_s);
    clock_format_duration(expected, h->times->nodes[i].duration);
    if (h->times->sources[i] != PLAN_TIMES_MEASURED)
        return xstrdup(deadline_s == 0 ? "–" : deadline);
    return xasprintf("%s, %s %s", deadline_s == 0 ? "–" : deadline, say(h, TEXT_EXPECTED), expected);
}

static void add_step_facts(const struct handbook *h, size_t i, struct buf *out)
{
    const struct recovery_step *step = &h->plan->steps[i];
    const struct recovery_role *role = recovery_find_role(h->plan, step->owner);
    _cleanup_free_ char *owner = role == NULL ? xstrdup("–") : xasprintf("%s: %s, %s", role->name, role->holder, role->contact);
    _cleanup_free_ char *limit = limit_of(h, i);
    _cleanup_buf_ struct buf after = { 0 };
    for (size_t k = 0; k < step->after.count; k++)
        buf_addf(&after, "%s%s", k == 0 ? "" : ", ", step->after.items[k]);
    buf_add_str(out, "<dl class=\"facts\">");
    add_fact(h, out, TEXT_OWNER, owner);
    add_fact(h, out, TEXT_DEADLINE, limit);
    if (step->system[0] != '\0')
        add_fact(h, out, TEXT_SYSTEM, step->system);
    if (after.len > 0)
        add_fact(h, out, TEXT_AFTER, buf_str(&after));
    buf_add_str(out, "</dl>");
}

static void add_choices(const struct handbook *h, const struct recovery_step *step, struct buf *out)
{
    if (step->choices.count == 0)
        return;
    buf_addf(out, "<div class=\"choices\">%s ", say(h, TEXT_DECIDED));
    for (size_t k = 0; k < step->choices.count; k++) {
        buf_add_str(out, "<span class=\"choice\"><span class=\"box\"></span>");
        html_add_text(out, step->choices.items[k]);
        buf_add_str(out, "</span>");
    }
    buf_add_str(out, "</div>");
}

static void add_signing(const struct handbook *h, struct buf *out)
{
    static const enum text cells[] = { TEXT_BEGUN, TEXT_ENDED, TEXT_NAME, TEXT_SIGNATURE, TEXT_REMARKS };
    buf_add_str(out, "<table class=\"sign\"><tr>");
    for (size_t i = 0; i < 5; i++)
        html_add_element(out, "td", say(h, cells[i]));
    buf_add_str(out, "</tr></table></div>\n");
}

static int add_step(const struct handbook *h, size_t i, struct buf *out, struct error *err)
{
    const struct recovery_step *step = &h->plan->steps[i];
    const char *text = step->type == RECOVERY_NOTIFY ? step->message : step->instruction, *command = h->commands[i];
    int r = 0;
    buf_addf(out, "<div class=\"step\" id=\"step-%zu\"><header><span class=\"box\"></span><h3>%zu. ", i + 1, i + 1);
    html_add_text(out, step->title[0] != '\0' ? step->title : step->id);
    buf_addf(out, "</h3><span class=\"tag\">%s</span></header>", say(h, (enum text)(TEXT_TYPES + step->type)));
    add_step_facts(h, i, out);
    if (text[0] != '\0')
        html_add_element(out, "p", text);
    add_choices(h, step, out);
    if (command[0] != '\0')
        r = add_command(out, command, err);
    add_signing(h, out);
    return r < 0 ? error_prefix(err, "step '%s'", step->id) : 0;
}

static void add_approval(const struct handbook *h, struct buf *out)
{
    static const enum text cells[] = { TEXT_APPROVED, TEXT_DATE, TEXT_SIGNATURE };
    buf_addf(out, "<div class=\"last\"><h2 id=\"approval\">%s</h2><table class=\"sign\">", say(h, TEXT_APPROVAL));
    for (unsigned row = 0; row < 2; row++) {
        buf_add_str(out, "<tr>");
        for (size_t i = 0; i < 3; i++)
            html_add_element(out, "td", say(h, cells[i]));
        buf_add_str(out, "</tr>");
    }
    buf_addf(out, "</table><h3>%s</h3><div class=\"lines\"><div></div><div></div><div></div></div></div>\n", say(h, TEXT_NOTES));
}

int handbook_format(const struct handbook *handbook, struct buf *ret_html, struct error *err)
{
    const char *const all[] = { "bkd", "plan", "run", handbook->plan->name, handbook->scenario == NULL ? NULL : "--scenario", handbook->scenario, NULL };
    _cleanup_buf_ struct buf command = { 0 };
    add_head(handbook, ret_html);
    add_title(handbook, ret_html);
    shell_add_command(&command, all);
    buf_add_str(ret_html, "<div class=\"all\">");
    html_add_element(ret_html, "h3", say(handbook, TEXT_BEGIN_ALL));
    int r = add_command(ret_html, buf_str(&command), err);
    buf_add_str(ret_html, "</div>\n");
    add_contents(handbook, ret_html);
    add_people(handbook, ret_html);
    add_systems(handbook, ret_html);
    add_times(handbook, ret_html);
    buf_addf(ret_html, "<h2 id=\"steps\">%s</h2>\n", say(handbook, TEXT_STEPS));
    for (size_t i = 0; i < handbook->plan->step_count && r == 0; i++)
        r = add_step(handbook, i, ret_html, err);
    add_approval(handbook, ret_html);
    buf_add_str(ret_html, "</body></html>\n");
    return r;
}
