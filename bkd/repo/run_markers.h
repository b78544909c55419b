// Markers of backups under way (`runs/<nonce>`): whoever removes data leaves alone what a run that is alive builds on, and what it has stored and not yet
// committed. Not signed: a marker can only make data stay, and only for a while.
#ifndef BKD_REPO_RUN_MARKERS_H
#define BKD_REPO_RUN_MARKERS_H

#include "bkd/repo/repository.h"

#define RUN_MARKERS_RENEW_NS (UINT64_C(6) * 3600 * 1000000000)  // how often a run that goes on makes a new marker
#define RUN_MARKERS_ALIVE_NS (UINT64_C(24) * 3600 * 1000000000) // a marker older than this, or so much in the future, is one of a run that was killed

struct run_marker {
    char *name;         // owned
    uint8_t chain[16];
    uint8_t parent[32]; // SHA-256 of the head it builds on; zeros: none
    uint64_t time_ns;
    bool alive;         // at the time that was asked for
};

struct run_markers {
    struct run_marker *items; // owned
    size_t n;
};

// Makes a marker; *ret_name is for run_markers_end, caller frees.
MUST_USE int run_markers_begin(const struct repository *r, const uint8_t chain[16], const uint8_t *parent_sha256, const char *host, char **ret_name, struct error *err);
// Takes a marker away. One that stays (a place that can only grow, a line that broke) is taken for dead after a while.
void run_markers_end(const struct repository *r, const char *name);

// All markers; those that cannot be understood are dead.
MUST_USE int run_markers_load(const struct repository *r, uint64_t now_ns, struct run_markers *ret_runs, struct error *err);
void run_markers_done(struct run_markers *runs);
#define _cleanup_run_markers_ __attribute__((cleanup(run_markers_done)))
bool run_markers_any_alive(const struct run_markers *runs);
// Does a run that is alive build on this head?
bool run_markers_need(const struct run_markers *runs, const struct repository_head *head);

#endif
