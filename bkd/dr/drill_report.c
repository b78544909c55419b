#include "bkd/dr/drill_report.h"

#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/html.h"

// ---- what it says

enum text {
    TEXT_TITLE, TEXT_PASSED, TEXT_FAILED, TEXT_NOT_ENDED, TEXT_ID, TEXT_PLAN, TEXT_VERSION, TEXT_KIND, TEXT_BEGAN, TEXT_ENDED, TEXT_PLACE, TEXT_RESPONSIBLE, TEXT_PARTICIPANTS,
    TEXT_SCOPE, TEXT_COPY, TEXT_SNAPSHOT, TEXT_STEPS, TEXT_STEP, TEXT_PLANNED, TEXT_MEASURED, TEXT_RESULT, TEXT_SAID, TEXT_RTO, TEXT_RPO, TEXT_TOOK, TEXT_BY_HAND, TEXT_NOT_EXERCISED,
    TEXT_EVALUATION, TEXT_PROBLEMS, TEXT_IMPROVEMENTS, TEXT_OWNER, TEXT_DUE, TEXT_STATE, TEXT_OPEN, TEXT_CLOSED, TEXT_NONE, TEXT_TREND, TEXT_SIGNATURES, TEXT_NAME, TEXT_DATE,
    TEXT_SIGNATURE, TEXT_APPROVER, TEXT_STEP_PASSED, TEXT_STEP_FAILED, TEXT_STEP_SKIPPED, TEXT_NUMBER, TEXT_RECOVERY, TEXT_TIMELINE, TEXT_TIMELINE_KEY, TEXT_LOSS, TEXT_KEPT,
    TEXT_MISSED, TEXTS
};

static const char *const texts[2][TEXTS] = {
    { "Drill report", "PASSED", "NOT PASSED", "NOT ENDED", "Drill", "Plan or policy", "Version (SHA-256)", "Kind", "Began", "Ended", "Place", "Responsible", "Participants", "Scope",
      "Copy used", "Snapshot", "Steps", "Step", "Planned", "Measured", "Result", "What came of it", "Promised recovery time (RTO)", "Promised loss at most (RPO)", "Whole drill",
      "Recovery by hand", "Not exercised", "Evaluation", "Problems", "Improvements", "Owner", "Due", "State", "open", "closed", "none", "Trend", "Signatures", "Name", "Date", "Signature",
      "Approved by", "passed", "failed", "skipped", "No.", "Recovery", "Timeline", "Bars: when each step ran. Grey: how long it was planned to take.",
      "Would have been lost (age of the snapshot)", "as promised", "MORE THAN PROMISED" },
    { "演练报告", "通过", "未通过", "未结束", "演练编号", "预案或策略", "版本(SHA-256)", "类型", "开始", "结束", "地点", "负责人", "参加人员", "范围", "所用副本", "快照", "步骤", "步骤", "计划用时", "实际用时", "结果",
      "说明", "承诺恢复时间(RTO)", "承诺最大数据丢失(RPO)", "演练总用时", "手工恢复用时", "未演练内容", "评价", "发现的问题", "改进措施", "负责人", "期限", "状态", "未完成", "已完成", "无", "趋势", "签字", "姓名", "日期",
      "签名", "批准人", "通过", "失败", "跳过", "编号", "恢复用时", "时间线", "色条:各步骤的实际起止时间;灰条:计划用时。", "会丢失的数据(快照距演练开始的时间)", "达到承诺", "超出承诺" },
};

int drill_report_language(const char *name, enum drill_report_language *ret_language, struct error *err)
{
    bool is_chinese = strcmp(name, "zh") == 0;
    if (!is_chinese && strcmp(name, "en") != 0)
        return error_set(err, ERROR_USAGE, "--lang is en or zh, not '%s'", name);
    *ret_language = is_chinese ? DRILL_REPORT_CHINESE : DRILL_REPORT_ENGLISH;
    return 0;
}

static const char *say(const struct drill_report *r, enum text text) { return texts[r->language][text]; }

// Kinds and evaluations, as records have them. What steps and people said stays as it was said.
static const char *say_phrase(const struct drill_report *r, const char *phrase)
{
    static const char *const phrases[][2] = {
        { "negative", "反向演练(破坏与欺骗)" },
        { "by-hand", "手工恢复" },
        { "key", "离线密钥" },
        { "rehearsal", "隔离环境中的预演" },
        { "tabletop", "桌面推演" },
        { "all steps were done, in time", "所有步骤均按时完成" },
        { "all steps were done, later than promised", "所有步骤均已完成,但晚于承诺时间" },
        { "not all steps were done", "并非所有步骤都已完成" },
        { "broken off", "中途终止" },
        { "the tree that recover.sh made was compared with the manifest, entry by entry and hash by hash", "recover.sh 恢复的目录树已与清单逐项、逐哈希比对" },
        { "the key opened an object of the newest snapshot, whole", "该密钥完整地打开了最新快照的一个对象" },
        { "each trick that was tried had to be noticed by bkd check and bkd-restore", "每一项破坏与欺骗都必须被 bkd check 和 bkd-restore 发现" },
    };
    for (size_t i = 0; phrase != NULL && r->language == DRILL_REPORT_CHINESE && i < sizeof phrases / sizeof *phrases; i++)
        if (strcmp(phrases[i][0], phrase) == 0)
            return phrases[i][1];
    return phrase;
}

// ---- HTML

static const char style[] =
    ".cover{border-top:6px solid #1b1f24;padding-top:1em}.cover .kind{letter-spacing:.12em;color:#57606a;text-transform:uppercase;margin:0}section{break-inside:avoid}"
    "thead th,td.passed,td.failed,td.skipped{white-space:nowrap}"
    ".facts th{width:15em;font-weight:600}.n{text-align:right;white-space:nowrap}.verdict{display:inline-block;padding:.2em .8em;border-radius:4px;color:#fff;font-weight:700;margin:.6em 0}"
    ".passed{color:#1a7f37}.failed{color:#b42318;font-weight:700}.skipped{color:#57606a}.verdict.passed{background:#1a7f37;color:#fff}.verdict.failed{background:#b42318;color:#fff}"
    ".gantt{display:grid;grid-template-columns:minmax(6em,14em) 1fr auto;gap:.3em .8em;align-items:center}.gantt span{overflow-wrap:anywhere}"
    ".lane{position:relative;height:1.3em;overflow:hidden;background:linear-gradient(90deg,#d0d7de 1px,#fff 1px) 0 0/25% 100%;border-right:1px solid #d0d7de}"
    ".lane i{position:absolute;top:.25em;height:.8em;min-width:2px;background:#0969da}.lane .plan{top:.05em;height:1.2em;background:#d8dee4}.lane .failed{background:#b42318}"
    ".axis{display:flex;justify-content:space-between;color:#57606a;font-size:.85em}.key{color:#57606a;font-size:.85em}"
    ".sign{table-layout:fixed}.sign td,.sign th{border:1px solid #8c959f}.sign td{height:3.2em}";

static void add_cell(struct buf *out, const char *text)
{
    buf_add_str(out, "<td>");
    html_add_text(out, text);
    buf_add_str(out, "</td>");
}

// What belongs to a heading stays on its page.
static void add_heading(const struct drill_report *r, struct buf *out, enum text text) { buf_addf(out, "</section>\n<section><h2>%s</h2>\n", say(r, text)); }

static void add_fact(const struct drill_report *r, struct buf *out, enum text text, const char *value)
{
    if (value == NULL || value[0] == '\0')
        return;
    buf_addf(out, "<tr><th>%s</th>", say(r, text));
    add_cell(out, value);
    buf_add_str(out, "</tr>\n");
}

static void add_duration_fact(const struct drill_report *r, struct buf *out, enum text text, const char *key)
{
    char duration[CLOCK_TEXT_MAX];
    uint64_t ms;
    if (!json_get_u64(r->record, key, &ms))
        return;
    clock_format_duration(duration, ms * 1000000);
    add_fact(r, out, text, duration);
}

// With whether that is what was promised, where the record says so.
static void add_judged_fact(const struct drill_report *r, struct buf *out, enum text text, const char *key, const char *judged_by)
{
    char duration[CLOCK_TEXT_MAX];
    uint64_t ms;
    bool is_kept = false;
    if (!json_get_u64(r->record, key, &ms))
        return;
    clock_format_duration(duration, ms * 1000000);
    bool is_judged = json_get_bool(r->record, judged_by, &is_kept);
    buf_addf(out, "<tr><th>%s</th><td>%s", say(r, text), duration);
    if (is_judged)
        buf_addf(out, " – <span class=\"%s\">%s</span>", is_kept ? "passed" : "failed", say(r, is_kept ? TEXT_KEPT : TEXT_MISSED));
    buf_add_str(out, "</td></tr>\n");
}

static void add_duration_cell(struct buf *out, const struct json *object, const char *key)
{
    char duration[CLOCK_TEXT_MAX] = "–";
    uint64_t ms;
    if (json_get_u64(object, key, &ms))
        clock_format_duration(duration, ms * 1000000);
    buf_addf(out, "<td class=\"n\">%s</td>", duration);
}

static void begin_table(const struct drill_report *r, struct buf *out, const enum text *columns, size_t n)
{
    buf_add_str(out, "<table><thead><tr>");
    for (size_t i = 0; i < n; i++)
        buf_addf(out, "<th>%s</th>", say(r, columns[i]));
    buf_add_str(out, "</tr></thead><tbody>\n");
}
#define BEGIN_TABLE(r, out, ...) begin_table(r, out, (const enum text[]){ __VA_ARGS__ }, sizeof((const enum text[]){ __VA_ARGS__ }) / sizeof(enum text))

static void end_table(struct buf *out) { buf_add_str(out, "</tbody></table>\n"); }

// ---- parts

static enum text verdict_of(const struct json *record)
{
    bool passed = false;
    return !json_get_bool(record, "passed", &passed) ? TEXT_NOT_ENDED : passed ? TEXT_PASSED : TEXT_FAILED;
}

static void add_verdict(const struct drill_report *r, struct buf *out)
{
    enum text verdict = verdict_of(r->record);
    buf_addf(out, "<div class=\"verdict %s\">%s</div>\n", verdict == TEXT_PASSED ? "passed" : "failed", say(r, verdict));
}

static void add_facts(const struct drill_report *r, struct buf *out)
{
    static const struct {
        enum text text;
        const char *key;
    } facts[] = {
        { TEXT_ID, "id" },       { TEXT_PLAN, "plan" },   { TEXT_VERSION, "plan_version" },     { TEXT_KIND, "kind" },                 { TEXT_SCOPE, "scope" }, { TEXT_BEGAN, "started" },
        { TEXT_ENDED, "ended" }, { TEXT_PLACE, "place" }, { TEXT_RESPONSIBLE, "responsible" }, { TEXT_PARTICIPANTS, "participants" }, { TEXT_COPY, "copy" },
    };
    char number[24];
    uint64_t snapshot;
    buf_add_str(out, "<table class=\"facts\"><tbody>\n");
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        add_fact(r, out, facts[i].text, say_phrase(r, json_get_str(r->record, facts[i].key)));
    if (json_get_u64(r->record, "snapshot", &snapshot)) {
        (void)snprintf(number, sizeof number, "%llu", (unsigned long long)snapshot);
        add_fact(r, out, TEXT_SNAPSHOT, number);
    }
    add_duration_fact(r, out, TEXT_RTO, "objective_rto_ms");
    add_judged_fact(r, out, TEXT_RECOVERY, "recovery_ms", "within_rto");
    add_judged_fact(r, out, TEXT_BY_HAND, "by_hand_ms", "within_rto");
    add_duration_fact(r, out, TEXT_RPO, "objective_rpo_ms");
    add_judged_fact(r, out, TEXT_LOSS, "loss_ms", "within_rpo");
    add_duration_fact(r, out, TEXT_TOOK, "took_ms");
    end_table(out);
}

static const char *step_result(const struct drill_report *r, const char *result)
{
    enum text text = strcmp(result, "passed") == 0 ? TEXT_STEP_PASSED : strcmp(result, "failed") == 0 ? TEXT_STEP_FAILED : TEXT_STEP_SKIPPED;
    return say(r, text);
}

static const char *class_of(const struct json *step)
{
    const char *result = json_get_str(step, "result");
    return result != NULL && (strcmp(result, "passed") == 0 || strcmp(result, "failed") == 0) ? result : "skipped";
}

static void add_step(const struct drill_report *r, struct buf *out, const struct json *step)
{
    buf_add_str(out, "<tr>");
    add_cell(out, json_get_str(step, "name"));
    add_duration_cell(out, step, "planned_ms");
    add_duration_cell(out, step, "took_ms");
    buf_addf(out, "<td class=\"%s\">%s</td>", class_of(step), step_result(r, class_of(step)));
    add_cell(out, json_get_str(step, "text"));
    buf_add_str(out, "</tr>\n");
}

static void add_steps(const struct drill_report *r, struct buf *out)
{
    const struct json *steps = json_get(r->record, "steps");
    size_t n = steps == NULL ? 0 : json_length(steps);
    add_heading(r, out, TEXT_STEPS);
    BEGIN_TABLE(r, out, TEXT_STEP, TEXT_PLANNED, TEXT_MEASURED, TEXT_RESULT, TEXT_SAID);
    for (size_t i = 0; i < n; i++)
        add_step(r, out, json_at(steps, i));
    end_table(out);
}

// ---- the timeline: what ran side by side stands below each other

static void add_bar(struct buf *out, const char *class, uint64_t begun_ms, uint64_t took_ms, uint64_t total_ms)
{
    if (took_ms > 0)
        buf_addf(out, "<i class=\"%s\" style=\"left:%.2f%%;width:%.2f%%\"></i>", class, (double)begun_ms * 100 / (double)total_ms, (double)took_ms * 100 / (double)total_ms);
}

static void add_lane(struct buf *out, const struct json *step, uint64_t total_ms)
{
    char took[CLOCK_TEXT_MAX];
    uint64_t begun_ms = json_number(step, "begun_ms"), took_ms = json_number(step, "took_ms");
    clock_format_duration(took, took_ms * 1000000);
    buf_add_str(out, "<span>");
    html_add_text(out, json_get_str(step, "name"));
    buf_add_str(out, "</span><span class=\"lane\">");
    add_bar(out, "plan", begun_ms, json_number(step, "planned_ms"), total_ms);
    add_bar(out, class_of(step), begun_ms, took_ms == 0 ? 1 : took_ms, total_ms);
    buf_addf(out, "</span><span class=\"n\">%s</span>\n", took);
}

static void add_axis(struct buf *out, uint64_t total_ms)
{
    char half[CLOCK_TEXT_MAX], all[CLOCK_TEXT_MAX];
    clock_format_duration(half, total_ms / 2 * 1000000);
    clock_format_duration(all, total_ms * 1000000);
    buf_addf(out, "<span></span><span class=\"axis\"><span>0</span><span>%s</span><span>%s</span></span><span></span>\n", half, all);
}

// As wide as what was measured: a plan that allows for hours would leave nothing to be seen of minutes. Records of before have no begins.
static void add_timeline(const struct drill_report *r, struct buf *out)
{
    const struct json *steps = json_get(r->record, "steps");
    size_t n = steps == NULL ? 0 : json_length(steps), shown = 0;
    uint64_t total_ms = 1, ignored;
    for (size_t i = 0; i < n; i++) {
        uint64_t end_ms = json_number(json_at(steps, i), "begun_ms") + json_number(json_at(steps, i), "took_ms");
        total_ms = end_ms > total_ms ? end_ms : total_ms;
        shown += json_get_u64(json_at(steps, i), "begun_ms", &ignored);
    }
    if (shown < n || n == 0)
        return;
    add_heading(r, out, TEXT_TIMELINE);
    buf_add_str(out, "<div class=\"gantt\">\n");
    for (size_t i = 0; i < n; i++)
        if (strcmp(class_of(json_at(steps, i)), "skipped") != 0)
            add_lane(out, json_at(steps, i), total_ms);
    add_axis(out, total_ms);
    buf_addf(out, "</div>\n<p class=\"key\">%s</p>\n", say(r, TEXT_TIMELINE_KEY));
}

static void add_list(const struct drill_report *r, struct buf *out, enum text title, const char *key)
{
    const struct json *list = json_get(r->record, key);
    size_t n = list == NULL ? 0 : json_length(list);
    add_heading(r, out, title);
    buf_add_str(out, "<ul>\n");
    for (size_t i = 0; i < n; i++) {
        buf_add_str(out, "<li>");
        html_add_text(out, json_str_at(list, i));
        buf_add_str(out, "</li>\n");
    }
    if (n == 0)
        buf_addf(out, "<li>%s</li>\n", say(r, TEXT_NONE));
    buf_add_str(out, "</ul>\n");
}

static void add_evaluation(const struct drill_report *r, struct buf *out)
{
    add_heading(r, out, TEXT_EVALUATION);
    buf_add_str(out, "<p>");
    html_add_text(out, say_phrase(r, json_get_str(r->record, "evaluation")));
    buf_add_str(out, "</p>\n");
}

static void add_improvements(const struct drill_report *r, struct buf *out)
{
    const char *id = json_get_str(r->record, "id");
    add_heading(r, out, TEXT_IMPROVEMENTS);
    BEGIN_TABLE(r, out, TEXT_NUMBER, TEXT_IMPROVEMENTS, TEXT_OWNER, TEXT_DUE, TEXT_STATE);
    for (size_t i = 0; i < r->improvements->n; i++) {
        const struct improvement *item = &r->improvements->items[i];
        if (id == NULL || strcmp(item->drill, id) != 0)
            continue;
        buf_addf(out, "<tr><td>%llu</td>", (unsigned long long)item->id);
        add_cell(out, item->text);
        add_cell(out, item->owner);
        add_cell(out, item->due);
        buf_addf(out, "<td>%s ", say(r, item->closed == NULL ? TEXT_OPEN : TEXT_CLOSED));
        html_add_text(out, item->note);
        buf_add_str(out, "</td></tr>\n");
    }
    end_table(out);
}

static void add_trend(const struct drill_report *r, struct buf *out)
{
    add_heading(r, out, TEXT_TREND);
    BEGIN_TABLE(r, out, TEXT_BEGAN, TEXT_ID, TEXT_RESULT, TEXT_TOOK, TEXT_RECOVERY, TEXT_RTO);
    for (size_t i = 0; i < r->n_earlier; i++) {
        enum text verdict = verdict_of(r->earlier[i]);
        buf_add_str(out, "<tr>");
        add_cell(out, json_get_str(r->earlier[i], "started"));
        add_cell(out, json_get_str(r->earlier[i], "id"));
        buf_addf(out, "<td class=\"%s\">%s</td>", verdict == TEXT_PASSED ? "passed" : "failed", say(r, verdict));
        add_duration_cell(out, r->earlier[i], "took_ms");
        add_duration_cell(out, r->earlier[i], json_number(r->earlier[i], "by_hand_ms") > 0 ? "by_hand_ms" : "recovery_ms");
        add_duration_cell(out, r->earlier[i], "objective_rto_ms");
        buf_add_str(out, "</tr>\n");
    }
    end_table(out);
}

static void add_signatures(const struct drill_report *r, struct buf *out)
{
    static const enum text who[] = { TEXT_RESPONSIBLE, TEXT_PARTICIPANTS, TEXT_APPROVER };
    add_heading(r, out, TEXT_SIGNATURES);
    buf_addf(out, "<table class=\"sign\"><thead><tr><th></th><th>%s</th><th>%s</th><th>%s</th></tr></thead><tbody>\n", say(r, TEXT_NAME), say(r, TEXT_DATE), say(r, TEXT_SIGNATURE));
    for (size_t i = 0; i < sizeof who / sizeof *who; i++)
        buf_addf(out, "<tr><th>%s</th><td></td><td></td><td></td></tr>\n", say(r, who[i]));
    end_table(out);
}

static void add_head(const struct drill_report *r, struct buf *out)
{
    const char *id = json_get_str(r->record, "id"), *plan = json_get_str(r->record, "plan");
    _cleanup_free_ char *foot = xasprintf("%s: %s · %s", say(r, TEXT_TITLE), plan == NULL ? "" : plan, id == NULL ? "" : id);
    buf_addf(out, "<!DOCTYPE html>\n<html lang=\"%s\">\n<head>\n<meta charset=\"utf-8\">\n<title>%s ", r->language == DRILL_REPORT_CHINESE ? "zh-CN" : "en", say(r, TEXT_TITLE));
    html_add_text(out, id);
    buf_add_str(out, "</title>\n<style>");
    html_add_style(out, foot);
    buf_addf(out, "%s</style>\n</head>\n<body>\n<section class=\"cover\"><p class=\"kind\">%s</p><h1>", style, say(r, TEXT_TITLE));
    html_add_text(out, plan);
    buf_add_str(out, "</h1>\n");
}

void drill_report_html(const struct drill_report *r, struct buf *ret_html)
{
    struct buf *out = ret_html;
    add_head(r, out);
    add_verdict(r, out);
    add_facts(r, out);
    add_steps(r, out);
    add_timeline(r, out);
    add_evaluation(r, out);
    add_list(r, out, TEXT_NOT_EXERCISED, "not_exercised");
    add_list(r, out, TEXT_PROBLEMS, "problems");
    add_improvements(r, out);
    add_trend(r, out);
    add_signatures(r, out);
    buf_add_str(out, "</section>\n</body>\n</html>\n");
}
