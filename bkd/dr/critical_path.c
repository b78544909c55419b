#include "bkd/dr/critical_path.h"

#include <stdlib.h>

#include "bkd/base/buf.h"

// An order in which each node comes after what it waits for (Kahn 1962). False: there is none.
static bool sort(size_t n, const bool *needs, size_t *order)
{
    size_t *waits = xcalloc(n + 1, sizeof *waits), sorted = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n; k++)
            waits[i] += needs[i * n + k];
        if (waits[i] == 0)
            order[sorted++] = i;
    }
    for (size_t at = 0; at < sorted; at++)
        for (size_t i = 0; i < n; i++)
            if (needs[i * n + order[at]] && --waits[i] == 0)
                order[sorted++] = i;
    free(waits);
    return sorted == n;
}

static uint64_t go_forward(struct critical_path_node *nodes, size_t n, const bool *needs, const size_t *order)
{
    uint64_t total = 0;
    for (size_t at = 0; at < n; at++) {
        size_t i = order[at];
        nodes[i].start = 0;
        for (size_t k = 0; k < n; k++)
            if (needs[i * n + k] && nodes[k].end > nodes[i].start)
                nodes[i].start = nodes[k].end;
        nodes[i].end = nodes[i].start + nodes[i].duration;
        total = nodes[i].end > total ? nodes[i].end : total;
    }
    return total;
}

// From the last to the first: what waits for a node must still be able to begin at its latest.
static void go_back(struct critical_path_node *nodes, size_t n, const bool *needs, const size_t *order, uint64_t total)
{
    for (size_t at = n; at > 0; at--) {
        size_t i = order[at - 1];
        uint64_t latest_end = total;
        for (size_t k = 0; k < n; k++)
            if (needs[k * n + i] && nodes[k].start + nodes[k].slack < latest_end)
                latest_end = nodes[k].start + nodes[k].slack;
        nodes[i].slack = latest_end - nodes[i].end;
        nodes[i].is_critical = nodes[i].slack == 0;
    }
}

bool critical_path(struct critical_path_node *nodes, size_t n, const bool *needs, uint64_t *ret_total)
{
    size_t *order = xcalloc(n + 1, sizeof *order);
    bool sorted = sort(n, needs, order);
    if (sorted) {
        *ret_total = go_forward(nodes, n, needs, order);
        go_back(nodes, n, needs, order, *ret_total);
    }
    free(order);
    return sorted;
}
