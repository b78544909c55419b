#include "restore/rehearse.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/dirchain.h"
#include "bkd/base/json.h"
#include "restore/verb.h"

enum { BLOCK = 4096 };

static const char *action_name(enum decide_action action)
{
    return action == DECIDE_CREATE ? "create" : action == DECIDE_REPLACE ? "replace" : action == DECIDE_METADATA ? "update" : "leave";
}

static void print_action(const struct rehearse *r, const struct manifest_entry *e, enum decide_action action, uint64_t bytes, const char *why)
{
    if (r->report->json) {
        struct error ignored; // a reader that went away does not end it
        char type[2] = { (char)e->type, '\0' };
        struct json *line = json_line_new("action");
        json_add_str(line, "action", action_name(action));
        json_add_name(line, "path", buf_str(&e->path), e->path.len);
        json_add_str(line, "entry_type", type);
        json_add_u64(line, "bytes", bytes);
        if (why[0] != '\0')
            json_add_str(line, "why", why);
        (void)!json_line_print(&line, stdout, &ignored);
        return;
    }
    if (r->report->quiet)
        return;
    _cleanup_buf_ struct buf line = { 0 };
    buf_addf(&line, "%-7s ", action_name(action));
    verb_add_printable(&line, buf_str(&e->path), e->path.len);
    if (bytes > 0) {
        char size[CLOCK_TEXT_MAX];
        clock_format_bytes(size, bytes);
        buf_addf(&line, " (%s)", size);
    }
    if (why[0] != '\0')
        buf_addf(&line, ": %s", why);
    (void)puts(buf_str(&line)); // as above
}

// ---- counting

static void count_made(struct rehearse *r, const struct manifest_entry *e, bool further)
{
    struct report *report = r->report;
    if (further) {
        report->hard_links++;
        return;
    }
    switch (e->type) {
    case MANIFEST_DIR:
        report->dirs++;
        break;
    case MANIFEST_FILE:
        report->files++;
        report->bytes += e->size;
        report->needed += r->sparse ? plan_data_blocks(r->plan, e) : (e->size + BLOCK - 1) / BLOCK * BLOCK;
        break;
    case MANIFEST_LINK:
        report->links++;
        break;
    default:
        report->others++;
    }
}

static void count_action(struct rehearse *r, const struct manifest_entry *e, enum decide_action action, bool further, const char *why)
{
    bool made = action == DECIDE_CREATE || action == DECIDE_REPLACE;
    if (made)
        count_made(r, e, further);
    r->report->replaced += action == DECIDE_REPLACE;
    r->report->updated += action == DECIDE_METADATA && e->type != MANIFEST_DIR;
    r->report->left += action == DECIDE_LEAVE;
    print_action(r, e, action, made && !further && e->type == MANIFEST_FILE ? e->size : 0, action == DECIDE_CREATE ? "" : why);
}

// ---- one entry

static bool is_below(const struct manifest_entry *e, const struct buf *dir)
{
    return dir->len > 0 && manifest_path_below(buf_str(&e->path), e->path.len, buf_str(dir), dir->len);
}

static void remember(struct buf *dir, const struct manifest_entry *e)
{
    buf_reset(dir);
    buf_add(dir, e->path.data, e->path.len);
}

static int meet(struct rehearse *r, struct dirchain *chain, const struct manifest_entry *e, const char *below, struct meeting *ret_meeting,
                struct error *why)
{
    int dirfd;
    const char *name;
    struct attrs attrs;
    struct error ignored;
    *ret_meeting = (struct meeting){ .action = DECIDE_CREATE, .why = "" };
    // What cannot be reached does not exist yet.
    if (r->target_fd < 0 || is_below(e, &r->fresh) || dirchain_parent(chain, below, &dirfd, &name, &ignored) < 0)
        return 0;
    attrs_of_entry(r->names, r->self, e, &attrs);
    return meet_name(r->meet, dirfd, name, e, &attrs, r->plan->sequence, ret_meeting, why);
}

static void rehearse_entry(struct rehearse *r, struct dirchain *chain, const struct manifest_entry *e, enum plan_role role, bool further)
{
    const char *path = buf_str(&e->path), *below = plan_strip(path, r->strip);
    struct meeting m;
    struct error why;
    if (below == NULL || e->type == MANIFEST_SOCKET || (r->leave_streams && *path != '/'))
        return;
    if (is_below(e, &r->blocked)) {
        report_problem(r->report, REPORT_SKIPPED, path, "its directory could not be made");
        return;
    }
    if (r->self->untrusted && (e->type == MANIFEST_CHAR || e->type == MANIFEST_BLOCK)) {
        report_problem(r->report, REPORT_STRIPPED, path, "a device; it is left out");
        return;
    }
    if (meet(r, chain, e, below, &m, &why) < 0) {
        report_problem(r->report, REPORT_FAILED, path, why.text);
        return;
    }
    bool ancestor = role == PLAN_ANCESTOR, dir = e->type == MANIFEST_DIR;
    if (m.action == DECIDE_EXISTS || m.action == DECIDE_CONFLICT || (ancestor && m.action == DECIDE_REPLACE)) {
        report_problem(r->report, REPORT_EXISTS, path, r->meet->rules->mode == DECIDE_NEVER && !dir ? "" : m.why);
        if (dir)
            remember(&r->blocked, e);
        return;
    }
    if (dir && (m.action == DECIDE_REPLACE || m.action == DECIDE_CREATE))
        remember(&r->fresh, e);
    r->report->existing_dirs += dir && m.existing.there.exists && m.action != DECIDE_REPLACE;
    if (m.action != DECIDE_ENTER && !(ancestor && m.action != DECIDE_CREATE))
        count_action(r, e, m.action, further, m.why);
}

void rehearse_deleted(const struct rehearse *r, const char *below)
{
    if (r->report->json) {
        struct error ignored; // as above
        struct json *line = json_line_new("action");
        json_add_str(line, "action", "delete");
        json_add_name(line, "path", below, strlen(below));
        json_add_str(line, "why", "it is not in the snapshot");
        (void)!json_line_print(&line, stdout, &ignored);
        return;
    }
    if (r->report->quiet)
        return;
    _cleanup_buf_ struct buf line = { 0 };
    buf_add_str(&line, "delete  /");
    verb_add_printable(&line, below, strlen(below));
    (void)puts(buf_str(&line)); // as above
}

int rehearse_run(struct rehearse *r, struct error *err)
{
    _cleanup_dirchain_ struct dirchain chain = { .io = r->io, .root_fd = -1 };
    const struct manifest_entry *e;
    enum plan_role role;
    bool later;
    int got = r->target_fd < 0 ? 0 : io_open(r->io, r->target_fd, ".", O_RDONLY | O_DIRECTORY, 0, &chain.root_fd, err);
    r->sparse = plan_is_sparse(r->plan);
    if (got == 0)
        got = plan_rewind(r->plan, err);
    while (got == 0 && (got = plan_next(r->plan, &e, &role, &later, err)) == 0 && e != NULL)
        rehearse_entry(r, &chain, e, role, later);
    buf_done(&r->blocked);
    buf_done(&r->fresh);
    return got;
}
