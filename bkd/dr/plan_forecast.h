// How long a recovery plan would take, from how long its parts do: when each can begin at the earliest, which of them make the whole as long as it is, and within which
// interval the whole lies. Pure.
#ifndef BKD_DR_PLAN_FORECAST_H
#define BKD_DR_PLAN_FORECAST_H

#include <stdbool.h>
#include <stddef.h>

struct plan_forecast_part {
    double low_s, likely_s, high_s; // how long it takes; 0 <= low_s <= likely_s <= high_s
    bool is_restore;                // only so many of these run at once
    // Set by plan_forecast, by likely_s:
    double start_s, end_s;
    bool is_critical; // of the chain of parts, each beginning when the one before ended, that ends last
};

struct plan_forecast {
    double low_s, likely_s, high_s;
};

// Parts begin as soon as those that they need have ended; of restores at most `most` run at once (0 = any number), those first that come first. needs: n × n,
// [i * n + k] = part i waits for the end of part k. False, with nothing set, when parts wait for each other.
bool plan_forecast(struct plan_forecast_part *parts, size_t n, const bool *needs, size_t most, struct plan_forecast *ret_forecast);

// With how many of the restores, itself among them, each may run at the same time: those that neither come before nor after it. `most` as above. 0 for what is no restore.
void plan_forecast_together(const struct plan_forecast_part *parts, size_t n, const bool *needs, size_t most, size_t *ret_together);

#endif
