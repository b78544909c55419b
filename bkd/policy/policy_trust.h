// Who could have written a policy that names programs: these run with the rights of whoever runs bkd.
#ifndef BKD_POLICY_POLICY_TRUST_H
#define BKD_POLICY_POLICY_TRUST_H

#include "bkd/policy/policy.h"

// The file, and each directory that leads to it, must belong to root or to the user at hand, and be writable for nobody else (a directory with the
// sticky bit may be). ERROR_USAGE names what is not, and the command that corrects it. Policies without commands are not looked at.
MUST_USE int policy_trust_check(const struct io *io, const struct policy *policy, struct error *err);
// The same for any file of the configuration: `noun` says what it is, `does` why it matters ("names commands to run").
MUST_USE int policy_trust_check_file(const struct io *io, const char *file, const char *noun, const char *does, struct error *err);

#endif
