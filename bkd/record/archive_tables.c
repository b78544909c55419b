#include "bkd/record/archive_tables.h"

#define OF_RUNS "WHERE run IN (SELECT id FROM runs WHERE (?1 IS NULL OR policy = ?1) AND coalesce(ended_ns, started_ns) >= ?2)"
#define OF_POLICY "WHERE (?1 IS NULL OR policy = ?1) AND "

const struct archive_table archive_tables[] = {
    { .name = "hosts", .select = "hosts WHERE last_seen_ns >= ?2" },
    { .name = "policy_versions", .select = "policy_versions " OF_POLICY "last_seen_ns >= ?2", .has_id = true, .known_by = "policy sha256" },
    { .name = "copies", .select = "copies " OF_POLICY "?2 >= 0", .has_id = true, .known_by = "policy url serial" },
    { .name = "runs", .select = "runs " OF_POLICY "coalesce(ended_ns, started_ns) >= ?2", .has_id = true, .known_by = "uid",
      .refs = { { "copy", "copies" }, { "policy_version", "policy_versions" } } },
    { .name = "run_phases", .select = "run_phases " OF_RUNS, .refs = { { "run", "runs" } } },
    { .name = "run_figures", .select = "run_figures " OF_RUNS, .refs = { { "run", "runs" } } },
    { .name = "slots", .select = "slots " OF_POLICY "decided_ns >= ?2", .refs = { { "run", "runs" } } },
    { .name = "pauses", .select = "pauses " OF_POLICY "?2 >= 0" },
    { .name = "alarms", .select = "alarms WHERE (?1 IS NULL OR policy IN (?1, '')) AND coalesce(cleared_ns, last_seen_ns) >= ?2", .has_id = true,
      .known_by = "kind policy copy opened_ns" },
    { .name = "events", .select = "events WHERE (?1 IS NULL OR policy IN (?1, '')) AND time_ns >= ?2", .has_id = true, .known_by = "time_ns kind policy text",
      .refs = { { "alarm", "alarms" }, { "run", "runs" } } },
    { .name = "verifications", .select = "verifications " OF_POLICY "time_ns >= ?2", .has_id = true, .known_by = "uid", .refs = { { "run", "runs" } } },
    { .name = "drills", .select = "drills WHERE coalesce(ended_ns, started_ns) >= ?2", .has_id = true, .known_by = "uid" },
};
const size_t archive_tables_n = sizeof archive_tables / sizeof *archive_tables;
