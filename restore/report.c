#include "restore/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/json.h"
#include "bkd/base/log.h"

static const char *const kind_names[REPORT_KINDS] = { "lost", "refused", "exists", "failed", "metadata", "skipped", "differs", "stripped" };
static const char *const kind_texts[REPORT_KINDS] = {
    "lost: ", "refused: ", "exists already, left alone", "not written: ", "not exact: ", "not restored: ", "differs on disk: ", "stripped: ",
};
static const char *const next_steps[REPORT_KINDS] = {
    "run `bkd-restore check` on this repository, then restore this file from another copy or an earlier snapshot",
    "do not trust this repository before `bkd-restore check` and its signatures were looked at",
    "compare it, then remove it or choose an empty --target",
    "correct the reason and restore this path again",
    "set it by hand, or restore as root onto a file system that has it",
    "restore it again when what it depends on is there",
    "look for errors of the disk in the system's log, and for programs that write there; restore this path again",
    "give it back by hand, or restore it without --untrusted, once you trust it",
};

void report_problem(struct report *r, enum report_kind kind, const char *path, const char *reason)
{
    struct error err;
    r->count[kind]++;
    if (r->told != NULL)
        told_add(r->told, kind == REPORT_METADATA ? TOLD_INEXACT : TOLD_LEFT, path);
    progress_pause(r->progress);
    if (!r->json) {
        log_warn("'%s' %s%s%s", path, kind_texts[kind], kind == REPORT_EXISTS && *reason != '\0' ? ": " : "", reason);
        return;
    }
    struct json *line = json_line_new("problem");
    json_add_str(line, "kind", kind_names[kind]);
    json_add_name(line, "path", path, strlen(path));
    json_add_str(line, "reason", kind == REPORT_EXISTS && reason[0] == '\0' ? "the target has this name already" : reason);
    json_add_str(line, "next_step", next_steps[kind]);
    if (json_line_print(&line, stdout, &err) < 0)
        return; // a reader that went away does not stop a restore
}

void report_inexact(struct report *r, const char *path, const char *lost, const char *stripped)
{
    if (*lost != '\0')
        report_problem(r, REPORT_METADATA, path, lost);
    if (*stripped != '\0')
        report_problem(r, REPORT_STRIPPED, path, stripped);
}

int report_result(const struct report *r, struct error *err)
{
    uint64_t lost = r->count[REPORT_LOST] + r->count[REPORT_REFUSED];
    if (lost > 0)
        return error_set(
            err, ERROR_INTEGRITY,
            "%" PRIu64
            " entries could not be restored because stored data is damaged, missing or not what was signed; run `bkd-restore check` "
            "and restore them from another copy or an earlier snapshot",
            lost);
    if (r->count[REPORT_DIFFERS] > 0)
        return error_set(err, ERROR_INTEGRITY,
                         "%" PRIu64 " entries were restored, but are not the same when read again from the disk; do not use this disk before it "
                         "was tested",
                         r->count[REPORT_DIFFERS]);
    uint64_t left = r->count[REPORT_EXISTS] + r->count[REPORT_FAILED] + r->count[REPORT_SKIPPED];
    if (left > 0)
        return error_set(err, ERROR_INCOMPLETE, "%" PRIu64 " entries were not restored; each is listed with its reason", left);
    if (r->count[REPORT_METADATA] > 0)
        return error_set(err, ERROR_INCOMPLETE,
                         "all content is there, but %" PRIu64 " entries do not have all their metadata; each is listed",
                         r->count[REPORT_METADATA]);
    if (r->owners > 0)
        return error_set(err, ERROR_INCOMPLETE,
                         "all content is there, but %" PRIu64
                         " entries belong to you instead of their owners; restore as root to change that",
                         r->owners);
    return 0;
}

static void add_phases(struct json *line, struct timing *timing)
{
    struct json *phases = json_add_object(line, "phases");
    for (int i = 0; i < TIMING_PHASES; i++) {
        struct json *phase = json_add_object(phases, timing_name(i));
        json_add_u64(phase, "bytes", timing->bytes[i]);
        json_add_u64(phase, "ms", timing->ns[i] / 1000000);
    }
}

static void print_json(const struct report *r, const struct report_place *place, struct timing *timing, uint64_t duration_ns, bool complete)
{
    struct error err;
    struct json *line = json_line_new("summary");
    json_add_u64(line, "snapshot", place->snapshot);
    json_add_time(line, "snapshot_time", place->snapshot_time_ns);
    json_add_name(line, "host", place->host, strlen(place->host));
    json_add_name(line, "policy", place->policy, strlen(place->policy));
    json_add_name(line, "target", place->target, strlen(place->target));
    json_add_bool(line, "dry_run", r->dry_run);
    json_add_bool(line, "complete", complete);
    json_add_u64(line, "files", r->files);
    json_add_u64(line, "directories", r->dirs);
    json_add_u64(line, "links", r->links);
    json_add_u64(line, "hard_links", r->hard_links);
    json_add_u64(line, "other", r->others);
    json_add_u64(line, "replaced", r->replaced);
    json_add_u64(line, "updated", r->updated);
    json_add_u64(line, "left", r->left);
    json_add_u64(line, "verified", r->verified);
    json_add_u64(line, "deleted", r->deleted);
    json_add_u64(line, "bytes", r->bytes);
    json_add_u64(line, "bytes_fetched", timing->bytes[TIMING_FETCH]);
    json_add_u64(line, "bytes_written", r->written);
    json_add_u64(line, "bytes_kept", r->kept);
    if (r->dry_run)
        json_add_u64(line, "needed_bytes", r->needed);
    if (r->free_known)
        json_add_u64(line, "free_bytes", r->free_space);
    if (r->expected_known)
        json_add_u64(line, "expected_ms", r->expected_ns / 1000000);
    json_add_u64(line, "duration_ms", duration_ns / 1000000);
    add_phases(line, timing);
    struct json *problems = json_add_object(line, "problems");
    for (int i = 0; i < REPORT_KINDS; i++)
        json_add_u64(problems, kind_names[i], r->count[i]);
    json_add_u64(line, "owners_different", r->owners + r->owners_above);
    json_add_u64(line, "special_impossible", r->impossible);
    json_add_u64(line, "sockets_skipped", r->sockets);
    json_add_u64(line, "streams_skipped", r->streams);
    json_add_u64(line, "changed_while_backed_up", r->unstable);
    if (json_line_print(&line, stdout, &err) < 0)
        return; // the exit code tells the same
}

static void print_phases(struct timing *timing)
{
    printf("  %-10s %12s %10s\n", "phase", "bytes", "seconds");
    for (int i = 0; i < TIMING_PHASES; i++) {
        char bytes[CLOCK_TEXT_MAX] = "";
        if (timing->bytes[i] > 0)
            clock_format_bytes(bytes, timing->bytes[i]);
        printf("  %-10s %12s %10.3f\n", timing_name(i), bytes, (double)timing->ns[i] / 1e9);
    }
    printf("  (open, plan and verify: elapsed; the others: added up over all threads)\n");
}

static void print_count(uint64_t n, const char *text)
{
    if (n > 0)
        printf("  %" PRIu64 " %s\n", n, text);
}

// Ends a line.
static void print_expected(const struct report *r)
{
    char expected[CLOCK_TEXT_MAX];
    clock_format_duration(expected, r->expected_ns);
    if (r->expected_known && r->expected_ns >= 1000000000)
        printf("; expected were %s", expected);
    printf("\n");
}

static void print_needed(const struct report *r)
{
    char needed[CLOCK_TEXT_MAX], have[CLOCK_TEXT_MAX];
    clock_format_bytes(needed, r->needed);
    clock_format_bytes(have, r->free_space);
    printf("  needs %s%s%s%s", needed, r->free_known ? "; " : "", r->free_known ? have : "", r->free_known ? " are free" : "");
    print_expected(r);
}

static void print_text(const struct report *r, const struct report_place *place, struct timing *timing, uint64_t duration_ns)
{
    char bytes[CLOCK_TEXT_MAX], duration[CLOCK_TEXT_MAX], rate[CLOCK_TEXT_MAX], when[CLOCK_TEXT_MAX];
    double seconds = (double)(duration_ns == 0 ? 1 : duration_ns) / 1e9;
    clock_format_bytes(bytes, r->bytes);
    clock_format_duration(duration, duration_ns);
    clock_format_bytes(rate, (uint64_t)((double)r->bytes / seconds));
    clock_format_utc(when, place->snapshot_time_ns, false);
    printf("%s snapshot %" PRIu64 " of %s (policy %s, host %s) %s %s\n", r->dry_run ? "Would restore" : "Restored", place->snapshot, when,
           place->policy, place->host, r->dry_run ? "to" : "into", place->target);
    printf("  %" PRIu64 " files, %s; %" PRIu64 " directories, %" PRIu64 " symbolic links, %" PRIu64 " hard links, %" PRIu64 " others\n",
           r->files, bytes, r->dirs, r->links, r->hard_links, r->others);
    if (r->replaced + r->updated + r->left + r->deleted > 0)
        printf("  of these %" PRIu64 " replaced what was there; besides %" PRIu64 " got only their metadata, %" PRIu64 " were left as they are, %" PRIu64
               " were deleted\n",
               r->replaced, r->updated, r->left, r->deleted);
    if (r->verified > 0)
        printf("  %" PRIu64 " entries were read again from the disk and compared\n", r->verified);
    if (r->kept > 0) {
        char kept[CLOCK_TEXT_MAX], written[CLOCK_TEXT_MAX], fetched[CLOCK_TEXT_MAX];
        clock_format_bytes(kept, r->kept);
        clock_format_bytes(written, r->written);
        clock_format_bytes(fetched, timing->bytes[TIMING_FETCH]);
        printf("  %s were there already, %s were written, %s fetched\n", kept, written, fetched);
    }
    if (!r->dry_run) {
        printf("  in %s: %s/s, %.0f files/s", duration, rate, (double)r->files / seconds);
        print_expected(r);
        print_phases(timing);
    } else {
        print_needed(r);
    }
    static const char *const counted[REPORT_KINDS] = {
        "entries LOST: stored data is damaged or missing", "entries REFUSED: the manifest is not what a manifest may be",
        "names existed in the target and were left alone", "entries could not be written",
        "entries do not have all their metadata",          "entries left out because of one of these",
        "entries DIFFER when read again from the disk",
        "entries were stripped of setuid, setgid, capabilities or left out as devices (--untrusted)",
    };
    for (int i = 0; i < REPORT_KINDS; i++)
        print_count(r->count[i], counted[i]);
    print_count(r->owners, "entries belong to you instead of their owners (restore as root to change that)");
    print_count(r->owners_above, "directories on the way to the sources belong to you instead of their owners");
    print_count(r->existing_dirs, "directories existed and keep their own metadata");
    print_count(r->sockets, "sockets are not restored (their programs make them anew)");
    print_count(r->streams, "streams have no place in a running system: name them (stream/NAME) with another --target, or write one out with `bkd-restore dump`");
    print_count(r->unstable, "files were changing while they were backed up");
    print_count(r->mounts, "mount points had not been entered by the backup");
    print_count(r->excluded, "directories held something that the policy left out (--delete removes nothing in them)");
}

void report_summary(const struct report *r, const struct report_place *place, struct timing *timing, bool complete)
{
    uint64_t duration_ns = timing_duration(timing);
    if (r->json)
        print_json(r, place, timing, duration_ns, complete);
    else if (!r->quiet)
        print_text(r, place, timing, duration_ns);
}
