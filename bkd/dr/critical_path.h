// When the parts of something larger can begin and end at the earliest, and which of them make it as long as it is (Kelley and Walker, Critical-Path Planning
// and Scheduling, 1959). Pure.
#ifndef BKD_DR_CRITICAL_PATH_H
#define BKD_DR_CRITICAL_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct critical_path_node {
    uint64_t duration; // in any unit; the sum of all must fit
    // Set by critical_path:
    uint64_t start, end; // at the earliest
    uint64_t slack;      // so much later it may begin without the whole taking longer
    bool is_critical;    // slack 0
};

// needs: n × n, [i * n + k] = node i waits for the end of node k. *ret_total is when the last one ends. False, with nothing set, when nodes wait for each other.
bool critical_path(struct critical_path_node *nodes, size_t n, const bool *needs, uint64_t *ret_total);

#endif
