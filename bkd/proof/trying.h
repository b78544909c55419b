// A trial restore (bkd/dr/trial.h) from a place of a policy: bkd-restore is told all that the policy says of the way there.
#ifndef BKD_PROOF_TRYING_H
#define BKD_PROOF_TRYING_H

#include "bkd/dr/trial.h"
#include "bkd/host/setup.h"

// *request says what to restore, and where to; the repository and the known_hosts that it names come before those of the place. What belongs to the way (keys, their
// passphrase, ssh_config, transport) is filled in, and borrowed only while it runs. ERROR_KEY: the passphrase_command gives no passphrase; else as trial_run.
MUST_USE int trying_run(const struct context *ctx, const struct policy_store *place, const struct trial_request *request, struct trial *ret_trial, struct error *err);

#endif
