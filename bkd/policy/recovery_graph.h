// Which step of a plan waits for which: what `after` says of steps, and what it says of their systems. Pure.
#ifndef BKD_POLICY_RECOVERY_GRAPH_H
#define BKD_POLICY_RECOVERY_GRAPH_H

#include "bkd/policy/recovery.h"

struct recovery_graph {
    size_t n;    // steps, in the order of the plan
    bool *needs; // n × n: [i * n + k] = step i waits for step k
};

// References that lead nowhere are left out.
void recovery_graph_init(struct recovery_graph *graph, const struct recovery *plan);
void recovery_graph_done(struct recovery_graph *graph);
#define _cleanup_recovery_graph_ __attribute__((cleanup(recovery_graph_done)))

bool recovery_graph_needs(const struct recovery_graph *graph, size_t step, size_t other);
// Steps that wait for each other: "'a' after 'b' after 'a'", and one of them; false when there are none.
bool recovery_graph_circle(const struct recovery_graph *graph, const struct recovery *plan, struct buf *ret_text, size_t *ret_step);

#endif
