#include "bkd/policy/recovery_graph.h"

#include <stdlib.h>
#include <string.h>

static bool has(const struct policy_list *list, const char *word)
{
    for (size_t i = 0; word != NULL && i < list->count; i++)
        if (strcmp(list->items[i], word) == 0)
            return true;
    return false;
}

// system_needs: [i * count + k] = system i waits for system k, itself or by others between them (Warshall 1962).
static bool *close_systems(const struct recovery *plan)
{
    size_t n = plan->system_count;
    bool *needs = xcalloc(n * n + 1, sizeof *needs);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++)
            needs[i * n + k] = has(&plan->systems[i].after, plan->systems[k].name);
    for (size_t via = 0; via < n; via++)
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; k < n; k++)
                needs[i * n + k] = needs[i * n + k] || (needs[i * n + via] && needs[via * n + k]);
    return needs;
}

// n when the step belongs to none.
static size_t system_of(const struct recovery *plan, const struct recovery_step *step)
{
    const struct recovery_system *system = step->system == NULL ? NULL : recovery_find_system(plan, step->system);
    return system == NULL ? plan->system_count : (size_t)(system - plan->systems);
}

void recovery_graph_init(struct recovery_graph *graph, const struct recovery *plan)
{
    size_t n = plan->step_count, systems = plan->system_count;
    bool *system_needs = close_systems(plan);
    *graph = (struct recovery_graph){ .n = n, .needs = xcalloc(n * n + 1, sizeof *graph->needs) };
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n; k++) {
            size_t mine = system_of(plan, &plan->steps[i]), other = system_of(plan, &plan->steps[k]);
            bool by_system = mine < systems && other < systems && system_needs[mine * systems + other];
            graph->needs[i * n + k] = by_system || has(&plan->steps[i].after, plan->steps[k].id);
        }
    }
    free(system_needs);
}

void recovery_graph_done(struct recovery_graph *graph)
{
    free(graph->needs);
    *graph = (struct recovery_graph){ 0 };
}

bool recovery_graph_needs(const struct recovery_graph *graph, size_t step, size_t other) { return graph->needs[step * graph->n + other]; }

// Is there a way from a step to another one? It is added to the text.
static bool find_way(const struct recovery_graph *g, const struct recovery *plan, size_t from, size_t to, bool *seen, struct buf *text)
{
    size_t length = text->len;
    seen[from] = true;
    for (size_t k = 0; k < g->n; k++) {
        if (!recovery_graph_needs(g, from, k) || (k != to && seen[k]))
            continue;
        buf_addf(text, " after '%s'", plan->steps[k].id);
        if (k == to || find_way(g, plan, k, to, seen, text))
            return true;
        text->len = length;
    }
    return false;
}

bool recovery_graph_circle(const struct recovery_graph *graph, const struct recovery *plan, struct buf *ret_text, size_t *ret_step)
{
    bool *seen = xcalloc(graph->n + 1, sizeof *seen);
    bool found = false;
    for (size_t i = 0; i < graph->n && !found; i++) {
        memset(seen, 0, graph->n * sizeof *seen);
        ret_text->len = 0;
        buf_addf(ret_text, "'%s'", plan->steps[i].id);
        found = find_way(graph, plan, i, i, seen, ret_text);
        *ret_step = i;
    }
    free(seen);
    return found;
}
