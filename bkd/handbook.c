#include "bkd/handbook.h"

#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/shell.h"
#include "bkd/policy/units.h"
#include "bkd/qr.h"

enum text {
    TEXT_TITLE, TEXT_CONTENTS, TEXT_PEOPLE, TEXT_SYSTEMS, TEXT_STEPS, TEXT_ROLE, TEXT_HOLDER, TEXT_DEPUTY, TEXT_CONTACT, TEXT_PLACE, TEXT_SYSTEM, TEXT_POLICY, TEXT_TIER, TEXT_AFTER,
    TEXT_RTO, TEXT_HOST, TEXT_TARGETS, TEXT_OWNER, TEXT_DEADLINE, TEXT_EXPECTED, TEXT_BEGUN, TEXT_ENDED, TEXT_NAME, TEXT_SIGNATURE, TEXT_REMARKS,
    TEXT_PRINTED, TEXT_REHEARSED, TEXT_NOT_REHEARSED, TEXT_REVIEW, TEXT_VERSION, TEXT_WHOLE, TEXT_BEGIN_ALL, TEXT_KEEP, TEXT_TYPES, TEXTS = TEXT_TYPES + RECOVERY_TYPES,
};

static const char *const texts[HANDBOOK_LANGUAGES][TEXTS] = {
    [HANDBOOK_ENGLISH] = {
        "Emergency handbook", "Contents", "Whom to call", "Systems", "Steps", "Role", "Holder", "Deputy", "Contact", "Place", "System", "Policy", "Tier", "After", "To be back in", "Host",
        "Restored to", "Owner", "Deadline", "expected", "Begun at", "Ended at", "Name", "Signature", "Remarks", "Printed", "Rehearsed",
        "NOT REHEARSED in this version", "Review by", "Version (SHA-256)", "All of it takes, at least", "To let bkd carry it out", "Keep a copy away from the machines that it is about.",
        "restore", "command", "check", "by hand", "decision", "notify",
    },
    [HANDBOOK_CHINESE] = {
        "应急手册", "目录", "联系人", "系统", "步骤", "角色", "负责人", "代理人", "联系方式", "地点", "系统", "策略", "级别", "依赖", "恢复时限", "主机",
        "恢复到", "负责角色", "期限", "预计", "开始时间", "结束时间", "姓名", "签字", "备注", "打印时间", "已演练",
        "本版本尚未演练", "复审期限", "版本 (SHA-256)", "总共至少需要", "由 bkd 执行", "请在所涉机器之外另存一份。",
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

static void add_escaped(struct buf *out, const char *text)
{
    for (; text != NULL && *text != '\0'; text++) {
        const char *entity = *text == '&' ? "&amp;" : *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : *text == '"' ? "&quot;" : NULL;
        if (entity != NULL)
            buf_add_str(out, entity);
        else
            buf_add_char(out, *text);
    }
}

// <tag>text</tag>
static void add_element(struct buf *out, const char *tag, const char *text)
{
    buf_addf(out, "<%s>", tag);
    add_escaped(out, text);
    buf_addf(out, "</%s>", tag);
}

static void add_duration(struct buf *out, uint64_t seconds)
{
    char text[UNITS_TEXT_MAX];
    units_format_duration(text, seconds);
    add_element(out, "td", seconds == 0 ? "–" : text);
}

static void add_words(struct buf *out, const struct policy_list *list)
{
    buf_add_str(out, "<td>");
    for (size_t i = 0; i < list->count; i++) {
        buf_add_str(out, i == 0 ? "" : ", ");
        add_escaped(out, list->items[i]);
    }
    buf_add_str(out, "</td>");
}

static void add_header_row(const struct handbook *h, struct buf *out, const enum text *columns, size_t n)
{
    buf_add_str(out, "<table><tr>");
    for (size_t i = 0; i < n; i++)
        add_element(out, "th", say(h, columns[i]));
    buf_add_str(out, "</tr>\n");
}

// ---- the parts

// A4, black on white; a step is not torn between two pages.
static const char style[] =
    "@page { size: A4; margin: 18mm 15mm; }\n"
    "body { font: 11pt/1.4 'Noto Sans', 'Noto Sans CJK SC', 'Microsoft YaHei', sans-serif; max-width: 180mm; margin: 8mm auto; padding: 0 4mm; color: #000; background: #fff; }\n"
    "h1 { font-size: 20pt; margin: 0 0 2mm; } h2 { font-size: 14pt; border-bottom: 1px solid #000; margin: 8mm 0 3mm; break-after: avoid; }\n"
    "table { border-collapse: collapse; width: 100%; } th, td { border: 1px solid #888; padding: 1mm 2mm; text-align: left; vertical-align: top; overflow-wrap: anywhere; }\n"
    "th { background: #eee; } code, pre { font: 9pt monospace; white-space: pre-wrap; overflow-wrap: anywhere; }\n"
    ".step { border: 1.5px solid #000; padding: 3mm; margin: 0 0 4mm; break-inside: avoid; } .step h3 { margin: 0 0 1mm; font-size: 12pt; }\n"
    ".box { display: inline-block; width: 5mm; height: 5mm; border: 1.5px solid #000; vertical-align: middle; margin-right: 2mm; }\n"
    ".run { display: flex; gap: 4mm; align-items: flex-start; } .run pre { flex: 1; margin: 2mm 0; } .qr { width: 30mm; height: 30mm; flex: none; background: #fff; }\n"
    ".sign td { height: 9mm; width: 20%; font-size: 8pt; } .warn { border: 2px solid #000; padding: 1mm 2mm; font-weight: bold; } .facts { font-size: 9pt; }\n";

static void add_head(const struct handbook *h, struct buf *out)
{
    buf_addf(out, "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"%s\"><head><meta charset=\"utf-8\"/>", h->language == HANDBOOK_CHINESE ? "zh-CN" : "en");
    buf_add_str(out, "<meta name=\"viewport\" content=\"width=device-width\"/><title>");
    add_escaped(out, say(h, TEXT_TITLE));
    buf_add_str(out, ": ");
    add_escaped(out, h->plan->name);
    buf_addf(out, "</title><style>\n%s</style></head><body>\n", style);
}

static void add_fact(const struct handbook *h, struct buf *out, enum text name, const char *value)
{
    add_escaped(out, say(h, name));
    buf_add_str(out, ": ");
    add_escaped(out, value);
    buf_add_str(out, "<br/>");
}

static void add_title(const struct handbook *h, struct buf *out)
{
    char total[CLOCK_TEXT_MAX];
    clock_format_duration(total, h->times->total_ns);
    buf_add_str(out, "<h1>");
    add_escaped(out, say(h, TEXT_TITLE));
    buf_add_str(out, ": ");
    add_escaped(out, h->plan->name);
    buf_add_str(out, "</h1>\n");
    add_element(out, "p", h->plan->description);
    if (h->rehearsed == NULL) {
        buf_add_str(out, "<p class=\"warn\">");
        add_escaped(out, say(h, TEXT_NOT_REHEARSED));
        buf_add_str(out, "</p>");
    }
    buf_add_str(out, "<p class=\"facts\">");
    if (h->rehearsed != NULL)
        add_fact(h, out, TEXT_REHEARSED, h->rehearsed);
    if (h->plan->review[0] != '\0')
        add_fact(h, out, TEXT_REVIEW, h->plan->review);
    add_fact(h, out, TEXT_WHOLE, total);
    add_fact(h, out, TEXT_VERSION, h->plan->sha256);
    _cleanup_free_ char *printed = xasprintf("%s, %s", h->printed, h->host);
    add_fact(h, out, TEXT_PRINTED, printed);
    add_escaped(out, say(h, TEXT_KEEP));
    buf_add_str(out, "</p>\n");
}

static void add_contents(const struct handbook *h, struct buf *out)
{
    static const enum text parts[] = { TEXT_PEOPLE, TEXT_SYSTEMS, TEXT_STEPS };
    static const char *const anchors[] = { "people", "systems", "steps" };
    add_element(out, "h2", say(h, TEXT_CONTENTS));
    buf_add_str(out, "<ol>");
    for (size_t i = 0; i < 3; i++) {
        buf_addf(out, "<li><a href=\"#%s\">", anchors[i]);
        add_escaped(out, say(h, parts[i]));
        buf_add_str(out, "</a>");
        buf_add_str(out, i == 2 ? "<ol>" : "</li>");
    }
    for (size_t i = 0; i < h->plan->step_count; i++) {
        buf_addf(out, "<li><a href=\"#step-%zu\">", i + 1);
        add_escaped(out, h->plan->steps[i].title[0] != '\0' ? h->plan->steps[i].title : h->plan->steps[i].id);
        buf_add_str(out, "</a></li>");
    }
    buf_add_str(out, "</ol></li></ol>\n");
}

static void add_people(const struct handbook *h, struct buf *out)
{
    static const enum text columns[] = { TEXT_ROLE, TEXT_HOLDER, TEXT_CONTACT, TEXT_DEPUTY, TEXT_CONTACT, TEXT_PLACE };
    buf_addf(out, "<h2 id=\"people\">%s</h2>\n", say(h, TEXT_PEOPLE));
    add_header_row(h, out, columns, 6);
    for (size_t i = 0; i < h->plan->role_count; i++) {
        const struct recovery_role *role = &h->plan->roles[i];
        const char *const cells[] = { role->name, role->holder, role->contact, role->deputy, role->deputy_contact, role->place };
        buf_add_str(out, "<tr>");
        for (size_t k = 0; k < 6; k++)
            add_element(out, "td", cells[k]);
        buf_add_str(out, "</tr>\n");
    }
    buf_add_str(out, "</table>\n");
}

static void add_targets(struct buf *out, const struct recovery_system *s)
{
    static const char *const places[] = { "in place", "", "scratch" };
    buf_add_str(out, "<td>");
    for (size_t i = 0; i < s->target_count; i++) {
        const struct recovery_target *t = &s->targets[i];
        _cleanup_free_ char *text = xasprintf("%s: %s%s%s%s", t->scenario, places[t->to], t->path == NULL ? "" : t->path, t->host[0] == '\0' ? "" : " @ ", t->host);
        add_escaped(out, text);
        buf_add_str(out, "<br/>");
    }
    buf_add_str(out, "</td>");
}

static void add_systems(const struct handbook *h, struct buf *out)
{
    static const enum text columns[] = { TEXT_SYSTEM, TEXT_TIER, TEXT_AFTER, TEXT_RTO, TEXT_POLICY, TEXT_HOST, TEXT_TARGETS };
    buf_addf(out, "<h2 id=\"systems\">%s</h2>\n", say(h, TEXT_SYSTEMS));
    add_header_row(h, out, columns, 7);
    for (size_t i = 0; i < h->plan->system_count; i++) {
        const struct recovery_system *s = &h->plan->systems[i];
        buf_add_str(out, "<tr><td>");
        add_escaped(out, s->name);
        buf_add_str(out, s->description[0] == '\0' ? "" : "<br/>");
        add_escaped(out, s->description);
        buf_addf(out, "</td><td>%u</td>", (unsigned)s->tier);
        add_words(out, &s->after);
        add_duration(out, s->rto_s);
        add_element(out, "td", s->policy);
        add_element(out, "td", s->host);
        add_targets(out, s);
        buf_add_str(out, "</tr>\n");
    }
    buf_add_str(out, "</table>\n");
}

static int add_command(struct buf *out, const char *command, struct error *err)
{
    _cleanup_qr_ struct qr code = { 0 };
    int r = qr_encode(command, &code, err);
    if (r < 0)
        return r;
    buf_add_str(out, "<div class=\"run\">");
    add_element(out, "pre", command);
    qr_add_svg(&code, out);
    buf_add_str(out, "</div>");
    return 0;
}

// What somebody types who does the step without bkd's plan; "" = nothing.
static void command_of(const struct recovery *plan, const struct recovery_step *step, struct buf *out)
{
    const struct recovery_system *system = recovery_find_system(plan, step->system);
    bool at_target = system != NULL && strcmp(step->host, "target") == 0; // by the book: where the system lives
    const struct recovery_host *host = recovery_find_host(plan, at_target ? system->host : step->host);
    if (step->type == RECOVERY_COMMAND && host != NULL) {
        _cleanup_buf_ struct buf inner = { 0 };
        shell_add_command(&inner, (const char *const *)step->command.items);
        const char *const words[] = { "ssh", host->address, buf_str(&inner), NULL };
        shell_add_command(out, words);
    } else if (step->type == RECOVERY_COMMAND) {
        shell_add_command(out, (const char *const *)step->command.items);
    } else if (step->type == RECOVERY_RESTORE && system != NULL) {
        const char *const words[] = { "bkd", "rollback", system->policy, step->snapshot, NULL };
        shell_add_command(out, words);
    }
}

static void add_step_facts(const struct handbook *h, size_t i, struct buf *out)
{
    const struct recovery_step *step = &h->plan->steps[i];
    const struct recovery_role *role = recovery_find_role(h->plan, step->owner);
    char deadline[UNITS_TEXT_MAX], expected[CLOCK_TEXT_MAX];
    units_format_duration(deadline, step->deadline_s);
    clock_format_duration(expected, h->times->nodes[i].duration);
    _cleanup_free_ char *owner = role == NULL ? xstrdup("–") : xasprintf("%s (%s, %s)", role->name, role->holder, role->contact);
    _cleanup_free_ char *limit = xasprintf("%s%s%s%s%s", step->deadline_s == 0 ? "–" : deadline, h->times->sources[i] == PLAN_TIMES_MEASURED ? ", " : "",
                                           h->times->sources[i] == PLAN_TIMES_MEASURED ? say(h, TEXT_EXPECTED) : "", h->times->sources[i] == PLAN_TIMES_MEASURED ? " " : "",
                                           h->times->sources[i] == PLAN_TIMES_MEASURED ? expected : "");
    buf_add_str(out, "<p class=\"facts\">");
    add_fact(h, out, TEXT_OWNER, owner);
    add_fact(h, out, TEXT_DEADLINE, limit);
    if (step->system[0] != '\0')
        add_fact(h, out, TEXT_SYSTEM, step->system);
    for (size_t k = 0; k < step->after.count; k++)
        add_fact(h, out, TEXT_AFTER, step->after.items[k]);
    buf_add_str(out, "</p>");
}

static void add_signing(const struct handbook *h, struct buf *out)
{
    static const enum text cells[] = { TEXT_BEGUN, TEXT_ENDED, TEXT_NAME, TEXT_SIGNATURE, TEXT_REMARKS };
    buf_add_str(out, "<table class=\"sign\"><tr>");
    for (size_t i = 0; i < 5; i++)
        add_element(out, "td", say(h, cells[i]));
    buf_add_str(out, "</tr></table></div>\n");
}

static int add_step(const struct handbook *h, size_t i, struct buf *out, struct error *err)
{
    const struct recovery_step *step = &h->plan->steps[i];
    _cleanup_buf_ struct buf command = { 0 };
    int r = 0;
    buf_addf(out, "<div class=\"step\" id=\"step-%zu\"><h3><span class=\"box\"></span>%zu. ", i + 1, i + 1);
    add_escaped(out, step->title[0] != '\0' ? step->title : step->id);
    buf_addf(out, " [%s]</h3>", say(h, (enum text)(TEXT_TYPES + step->type)));
    add_step_facts(h, i, out);
    add_element(out, "p", step->type == RECOVERY_NOTIFY ? step->message : step->instruction);
    for (size_t k = 0; k < step->choices.count; k++) {
        buf_add_str(out, "<span class=\"box\"></span>");
        add_escaped(out, step->choices.items[k]);
        buf_add_str(out, " &#160; ");
    }
    command_of(h->plan, step, &command);
    if (command.len > 0)
        r = add_command(out, buf_str(&command), err);
    add_signing(h, out);
    return r < 0 ? error_prefix(err, "step '%s'", step->id) : 0;
}

int handbook_format(const struct handbook *handbook, struct buf *ret_html, struct error *err)
{
    const char *const all[] = { "bkd", "plan", "run", handbook->plan->name, NULL };
    _cleanup_buf_ struct buf command = { 0 };
    add_head(handbook, ret_html);
    add_title(handbook, ret_html);
    shell_add_command(&command, all);
    add_element(ret_html, "p", say(handbook, TEXT_BEGIN_ALL));
    int r = add_command(ret_html, buf_str(&command), err);
    add_contents(handbook, ret_html);
    add_people(handbook, ret_html);
    add_systems(handbook, ret_html);
    buf_addf(ret_html, "<h2 id=\"steps\">%s</h2>\n", say(handbook, TEXT_STEPS));
    for (size_t i = 0; i < handbook->plan->step_count && r == 0; i++)
        r = add_step(handbook, i, ret_html, err);
    buf_add_str(ret_html, "</body></html>\n");
    return r;
}
