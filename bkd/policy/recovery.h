// Recovery plans: how systems come back after a disaster, in which order, and who does what. A plan is CONFIG_DIR/plans/NAME.yaml; its keys are described
// once, in recovery_schema.c. Read as policies are: every mistake with line and column. The same text is executed, rehearsed, walked through and printed.
#ifndef BKD_POLICY_RECOVERY_H
#define BKD_POLICY_RECOVERY_H

#include "bkd/policy/policy.h"

#define RECOVERY_ROLES_MAX 64u
#define RECOVERY_HOSTS_MAX 512u
#define RECOVERY_SYSTEMS_MAX 512u
#define RECOVERY_TARGETS_MAX 16u
#define RECOVERY_STEPS_MAX 1024u
#define RECOVERY_WORDS_MAX 64u // items of one list of words
#define RECOVERY_DRILL_SCHEDULE "Tue *-1,4,7,10-8..14 10:00" // every quarter, clear of its first week, with its holidays

// Where something stands in the file.
struct recovery_at {
    unsigned line, column;
};

// Who answers for something, and who does when the holder cannot be reached.
struct recovery_role {
    char *name, *holder, *deputy, *contact, *deputy_contact, *place; // "" when not given
    uint64_t arrival_s; // until one of them is there; 0 = is not said
    struct recovery_at at;
};

// A machine that steps run on, reached by the system's ssh(1).
struct recovery_host {
    char *name;
    char *address;                        // as ssh(1) takes it: HOST, USER@HOST, ssh://USER@HOST:PORT
    char *ssh_identity, *ssh_known_hosts; // files, relative to CONFIG_DIR/keys; "" = as ssh finds them
    struct recovery_at at;
};

enum recovery_place { RECOVERY_IN_PLACE, RECOVERY_DIRECTORY, RECOVERY_SCRATCH };

// Where a system is restored to in a scenario.
struct recovery_target {
    char *scenario;
    uint64_t to; // enum recovery_place
    char *host;  // name of a host; "" = this one
    char *path;  // of RECOVERY_DIRECTORY; NULL when not given
    struct recovery_at at;
};

struct recovery_system {
    char *name, *description;
    char *policy; // "" when nothing of it is restored
    uint64_t tier;
    struct policy_list after; // names of systems
    uint64_t rto_s;           // 0 = nothing is promised
    char *host;               // where it lives: name of a host; "" = this one
    struct recovery_target *targets; // in scenarios that have none it is restored in place
    size_t target_count;
    struct recovery_at at;
};

// The order is that of the key's choices.
enum recovery_type { RECOVERY_RESTORE, RECOVERY_COMMAND, RECOVERY_CHECK, RECOVERY_MANUAL, RECOVERY_DECISION, RECOVERY_NOTIFY, RECOVERY_TYPES };
const char *recovery_type_name(uint64_t type);

struct recovery_step {
    char *id;
    uint64_t type;            // enum recovery_type
    char *title;              // "" when not given
    char *system;             // name; "" = of none
    struct policy_list after; // ids of steps
    char *owner;              // name of a role; "" when not given
    uint64_t deadline_s;      // from its begin; 0 = none
    char *from, *snapshot;    // restore
    struct policy_list command;
    char *host;               // command: name of a host, "target" = where its system is restored to; "" = this one
    uint64_t timeout_s;       // command; 0 = none
    bool rehearse;            // command, notify: also in a rehearsal
    struct policy_check *checks; // check; none: those of the system's policy
    size_t check_count;
    char *instruction;          // manual, decision
    struct policy_list choices; // decision
    char *message;              // notify
    uint64_t severity;          // notify: as enum config_severity
    struct recovery_at at;
};

// When the plan is rehearsed.
struct recovery_drill {
    bool is_wanted;
    struct policy_list schedule; // RECOVERY_DRILL_SCHEDULE when the plan names none
    char *timezone;              // of the schedule: a name, or "host"
    uint64_t announce_s;         // how long before the participants are told; 0 = they are not
};

// All strings belong to it.
struct recovery {
    char *name; // file name without .yaml
    char *file; // as it was opened
    char sha256[65]; // of the file's bytes: another one is another plan
    char *description;
    char *review;   // "2027-05-01": when it is to be looked through at the latest; "" = never
    uint64_t rto_s; // of the whole; 0 = nothing is promised
    struct recovery_drill drill;
    struct recovery_role *roles;
    size_t role_count;
    struct recovery_host *hosts;
    size_t host_count;
    struct recovery_system *systems;
    size_t system_count;
    struct recovery_step *steps;
    size_t step_count;
};

// Reads and checks a plan. Fails as policy_load does, and with ERROR_USAGE when others could have written it. Call policy_errors_done in every case, recovery_done
// after success.
MUST_USE int recovery_load(const struct io *io, const char *path, struct recovery *ret_plan, struct policy_errors *ret_errors, struct error *err);
// The same for bytes in memory; `path` gives name and messages.
MUST_USE int recovery_parse(const char *path, const void *text, size_t n, struct recovery *ret_plan, struct policy_errors *ret_errors, struct error *err);
void recovery_done(struct recovery *plan);
#define _cleanup_recovery_ __attribute__((cleanup(recovery_done)))

// Of that name, or NULL.
const struct recovery_role *recovery_find_role(const struct recovery *plan, const char *name);
const struct recovery_host *recovery_find_host(const struct recovery *plan, const char *name);
const struct recovery_system *recovery_find_system(const struct recovery *plan, const char *name);
const struct recovery_step *recovery_find_step(const struct recovery *plan, const char *id);
// The target of a system in a scenario (NULL or "": none in particular); NULL = in place, where it lives.
const struct recovery_target *recovery_find_target(const struct recovery_system *system, const char *scenario);
// Where a system is restored to.
struct recovery_destination {
    enum recovery_place to;
    const struct recovery_host *host; // NULL = this one
    const char *tree;                 // "/" in place; NULL in scratch space, which is not made yet
};
// As its target in the scenario says.
struct recovery_destination recovery_find_destination(const struct recovery *plan, const struct recovery_system *system, const char *scenario);
// Does any target name the scenario?
bool recovery_has_scenario(const struct recovery *plan, const char *scenario);

#endif
