// Before a disaster: what is known of a policy's restores, the model fitted to it (bkd/dr/estimate.h), and which restore a scenario asks for.
#ifndef BKD_PROOF_ESTIMATING_H
#define BKD_PROOF_ESTIMATING_H

#include "bkd/base/clock.h"
#include "bkd/dr/estimate.h"
#include "bkd/host/context.h"
#include "bkd/policy/config.h"
#include "bkd/record/catalogue.h"

// What is left after it, so where to restore from. After an attack the last clean snapshot has to be found: one restore aside, one in earnest.
struct estimating_scenario {
    const char *name;
    bool from_repository;
    bool is_elsewhere; // people meet in another place
    unsigned restores;
    const char *text;
};
enum { ESTIMATING_SCENARIOS = 4 };
extern const struct estimating_scenario estimating_scenarios[ESTIMATING_SCENARIOS];
// ERROR_USAGE: there is none of that name.
MUST_USE int estimating_find_scenario(const char *name, const struct estimating_scenario **ret_scenario, struct error *err);

struct estimating {
    struct policy policy;
    struct estimate_run *runs; // in the order they were made; owned
    size_t n;
    struct estimate_model model;
    uint64_t snapshot, files, bytes; // of the newest snapshot
};

// Of a policy, by what was measured before the moment (0 = until now). ERROR_NOT_FOUND: nothing was, or there is no snapshot; policy and snapshot are set as far as
// they are known. estimating_done in every case.
MUST_USE int estimating_load(const struct context *ctx, struct catalogue *catalogue, const char *policy, uint64_t before_ns, struct estimating *ret_estimating, struct error *err);
void estimating_done(struct estimating *e);
#define _cleanup_estimating_ __attribute__((cleanup(estimating_done)))

// Does a copy of the policy outlive the scenario? A repository on the host itself does not.
bool estimating_is_survived(const struct policy *policy, const struct estimating_scenario *scenario);

// What is asked on the command line.
struct estimating_options {
    const struct estimating_scenario *scenario; // NULL = all
    double line_rate;  // bytes a second; 0 = as measured
    unsigned parallel; // 0 = was not said
    bool has_people;   // people_s was said, so that nothing else counts
    double people_s;
};
MUST_USE int estimating_read_options(const struct cli_args *args, struct estimating_options *ret_options, struct error *err);
// Seconds until somebody begins: as the options say, else as bkd.yaml does.
double estimating_people_s(const struct estimating_options *options, const struct config *config, const struct estimating_scenario *scenario);

uint64_t estimating_ms(double seconds);
// "1 h 20 min".
void estimating_format(char ret_text[CLOCK_TEXT_MAX], double seconds);

#endif
