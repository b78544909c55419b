#include "restore/ready.h"

#include <inttypes.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/json.h"
#include "bkd/base/log.h"

static void tell_loss(const struct ready *r, enum need need, uint64_t count, const char *example)
{
    log_warn("the target's file system cannot hold %s: %" PRIu64 " %s %s, for example '%s'", needs_text(need), count,
             count == 1 ? "entry" : "entries", needs_is_entry(need) ? "cannot be made" : "will not be exact", example);
    if (!r->report->json)
        return;
    struct error ignored; // told on standard error as well
    struct json *line = json_line_new("loss");
    json_add_str(line, "what", needs_name(need));
    json_add_bool(line, "entry", needs_is_entry(need));
    json_add_u64(line, "entries", count);
    json_add_name(line, "example", example, strlen(example));
    (void)!json_line_print(&line, stdout, &ignored);
}

static int judge(const struct ready *r, const struct needs *needs, struct error *err)
{
    unsigned kinds = 0;
    for (int i = 0; i < NEED_FOLDED; i++) {
        if (needs->count[i] == 0)
            continue;
        tell_loss(r, i, needs->count[i], needs->example[i]);
        kinds++;
    }
    if (needs->count[NEED_FOLDED] > 0)
        return error_set(err, ERROR_FAILED,
                         "nothing was written: '%s' does not tell upper from lower case, so %" PRIu64
                         " names would stand for others, as '%.300s' for '%.300s'; choose another --target, or leave them out with --exclude",
                         r->target, needs->count[NEED_FOLDED], needs->folded_with, needs->example[NEED_FOLDED]);
    if (kinds > 0 && r->strict)
        return error_set(err, ERROR_FAILED, "nothing was written: --strict, and '%s' cannot hold everything as it was", r->target);
    return 0;
}

int ready_check(struct ready *r, struct error *err)
{
    struct abilities abilities;
    _cleanup_needs_ struct needs needs = { 0 };
    struct error why;
    if (abilities_probe(r->question.io, r->target_fd, &abilities, &why) < 0) {
        log_debug("what '%s' can hold was not tried: %s", r->target, why.text);
        return 0;
    }
    r->question.abilities = &abilities;
    int e = needs_count(&r->question, &needs, err);
    return e < 0 ? e : judge(r, &needs, err);
}

static void tell_line(const struct expect *e)
{
    _cleanup_buf_ struct buf text = { 0 };
    char duration[CLOCK_TEXT_MAX], bytes[CLOCK_TEXT_MAX], rate[CLOCK_TEXT_MAX];
    clock_format_duration(duration, (uint64_t)(e->seconds * 1e9));
    clock_format_bytes(bytes, e->bytes);
    clock_format_bytes(rate, (uint64_t)e->bytes_per_second);
    buf_addf(&text, "expected: %s%s (%" PRIu64 " files, %s", e->seconds < 1 ? "" : "about ", e->seconds < 1 ? "less than a second" : duration,
             e->files, bytes);
    if (e->bytes_per_second > 0)
        buf_addf(&text, "; measured here: %s/s", rate);
    if (e->files_per_second > 0)
        buf_addf(&text, "%s%.0f small files/s", e->bytes_per_second > 0 ? ", " : "; measured here: ", e->files_per_second);
    log_info("%s)", buf_str(&text));
}

void ready_tell(struct report *report, const struct expect *e)
{
    report->expected_ns = (uint64_t)(e->seconds * 1e9);
    report->expected_known = true;
    if (!report->json) {
        tell_line(e);
        return;
    }
    struct error ignored; // the summary says it again
    struct json *line = json_line_new("expectation");
    json_add_u64(line, "files", e->files);
    json_add_u64(line, "bytes", e->bytes);
    json_add_u64(line, "expected_ms", report->expected_ns / 1000000);
    json_add_u64(line, "bytes_per_second", (uint64_t)e->bytes_per_second);
    json_add_u64(line, "files_per_second", (uint64_t)e->files_per_second);
    (void)!json_line_print(&line, stdout, &ignored);
}
