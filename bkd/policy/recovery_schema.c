#include "bkd/policy/recovery_schema.h"

#include <string.h>

#include "bkd/policy/zone.h"

#define AT(member) offsetof(struct recovery, member)
#define AT_ROLE(member) offsetof(struct recovery_role, member)
#define AT_HOST(member) offsetof(struct recovery_host, member)
#define AT_SYSTEM(member) offsetof(struct recovery_system, member)
#define AT_TARGET(member) offsetof(struct recovery_target, member)
#define AT_STEP(member) offsetof(struct recovery_step, member)
#define YEAR (UINT64_C(52) * 7 * 24 * 3600)

static const struct schema_key keys[] = {
    { "description", SCHEMA_TEXT, AT(description), 0, 1000, "", false, NULL, "one line of text", "What comes back by this plan, and after what." },
    { "review", SCHEMA_TEXT, AT(review), 0, 10, "", false, NULL, "a date as 2027-05-01",
      "By when the plan is to be looked through again; from then on it is an alarm. Without it that is a year after the file was last changed." },
    { "rto", SCHEMA_DURATION, AT(rto_s), 1, YEAR, "none", false, "none", "none or a duration such as 4h", "How long the whole may take." },
    { "drill", SCHEMA_MAP_OR_NONE, AT(drill.is_wanted), 0, 0, "quarterly", false, NULL, "quarterly, none, or a map with 'schedule', 'timezone' or 'announce'",
      "When the plan is rehearsed (\\fBbkd drill run\\fR): announced beforehand, and an alarm when it was not done. \\fBnone\\fR: nobody asks for it." },
    { "drill.schedule", SCHEMA_SCHEDULE, AT(drill.schedule), 0, 0, NULL, false, NULL, "a calendar expression in quotes, or a list of them",
      "The dates. A drill counts for the date that it is nearest to; a day after a date that has none it is overdue. Without it \\fB\"" RECOVERY_DRILL_SCHEDULE "\"\\fR: "
      "every quarter, on the second Tuesday." },
    { "drill.timezone", SCHEMA_ZONE, AT(drill.timezone), 0, ZONE_NAME_MAX, "host", false, NULL, "a time zone such as Europe/Berlin, or host", "In which the dates are meant." },
    { "drill.announce", SCHEMA_DURATION, AT(drill.announce_s), 1, YEAR, "2w", false, "none", "none or a duration such as 2w",
      "How long before a date its participants, who are the holders of the roles and their deputies, are told of it. Every route of \\fBbkd.yaml\\fR(5) that fits tells, whatever its severity." },
    { "roles", SCHEMA_MAPS, AT(roles), 0, RECOVERY_ROLES_MAX, NULL, false, NULL, "a list of maps with 'name' and 'holder'", "Who answers for steps. People change, roles stay." },
    { "roles.name", SCHEMA_TEXT, AT_ROLE(name), 1, POLICY_NAME_MAX, NULL, true, NULL, "a word", "What steps call it." },
    { "roles.holder", SCHEMA_TEXT, AT_ROLE(holder), 0, 200, "", true, NULL, "the name of a person", "Who has it." },
    { "roles.deputy", SCHEMA_TEXT, AT_ROLE(deputy), 0, 200, "", false, NULL, "the name of a person",
      "Who steps in when the holder cannot be reached. \\fBbkd plan lint\\fR misses one." },
    { "roles.contact", SCHEMA_TEXT, AT_ROLE(contact), 0, 300, "", false, NULL, "one line of text", "How to reach the holder, when the usual ways are gone: a telephone." },
    { "roles.deputy_contact", SCHEMA_TEXT, AT_ROLE(deputy_contact), 0, 300, "", false, NULL, "one line of text", "How to reach the deputy." },
    { "roles.place", SCHEMA_TEXT, AT_ROLE(place), 0, 300, "", false, NULL, "one line of text", "Where the role is carried out." },
    { "roles.arrival", SCHEMA_DURATION, AT_ROLE(arrival_s), 1, YEAR, "none", false, "none", "none or a duration such as 45min",
      "How long it takes, after a disaster, until the holder or the deputy can do something. \\fBbkd estimate\\fR lets their manual steps and decisions wait for it." },
    { "hosts", SCHEMA_MAPS, AT(hosts), 0, RECOVERY_HOSTS_MAX, NULL, false, NULL, "a list of maps with 'name' and 'address'",
      "Machines that steps run on, by \\fBssh\\fR(1), which is never asked for a password. For a restore there, bkd-restore and the keys it needs are copied there, and removed again." },
    { "hosts.name", SCHEMA_TEXT, AT_HOST(name), 1, POLICY_NAME_MAX, NULL, true, NULL, "a word", "What systems and steps call it." },
    { "hosts.address", SCHEMA_TEXT, AT_HOST(address), 1, 300, NULL, true, NULL, "HOST, USER@HOST or ssh://USER@HOST:PORT", "As ssh(1) takes it." },
    { "hosts.ssh_identity", SCHEMA_TEXT, AT_HOST(ssh_identity), 0, 1000, "", false, NULL, "a file",
      "The private key to log in with, in \\fICONFIG_DIR/keys\\fR; else as ssh finds it." },
    { "hosts.ssh_known_hosts", SCHEMA_TEXT, AT_HOST(ssh_known_hosts), 0, 1000, "", false, NULL, "a file",
      "Where the host's key is pinned, in \\fICONFIG_DIR/keys\\fR; else as ssh finds it. A key that is not known is refused." },
    { "systems", SCHEMA_MAPS, AT(systems), 0, RECOVERY_SYSTEMS_MAX, NULL, false, NULL, "a list of maps with 'name'", "What comes back." },
    { "systems.name", SCHEMA_TEXT, AT_SYSTEM(name), 1, POLICY_NAME_MAX, NULL, true, NULL, "a word", "What steps and other systems call it." },
    { "systems.description", SCHEMA_TEXT, AT_SYSTEM(description), 0, 1000, "", false, NULL, "one line of text", "What it is, for people." },
    { "systems.policy", SCHEMA_TEXT, AT_SYSTEM(policy), 0, POLICY_NAME_MAX, "", false, NULL, "the name of a policy", "Whose snapshots it is restored from." },
    { "systems.tier", SCHEMA_NUMBER, AT_SYSTEM(tier), 1, POLICY_TIERS, "1", false, NULL, "a number from 1 to 9",
      "1 is what everything hangs on. Of steps that are ready at once, those of the lower tier begin first." },
    { "systems.after", SCHEMA_WORDS, AT_SYSTEM(after), 0, 0, NULL, false, NULL, "the name of a system, or a list of them",
      "Systems that must be back before: no step of this one begins before all of theirs are done." },
    { "systems.rto", SCHEMA_DURATION, AT_SYSTEM(rto_s), 1, YEAR, "none", false, "none", "none or a duration such as 2h",
      "How long it may take, from the begin of the plan, until the last step of this system is done." },
    { "systems.host", SCHEMA_TEXT, AT_SYSTEM(host), 0, POLICY_NAME_MAX, "", false, NULL, "the name of a host", "Where it lives; else on this host." },
    { "systems.targets", SCHEMA_MAPS, AT_SYSTEM(targets), 0, RECOVERY_TARGETS_MAX, NULL, false, NULL, "a list of maps with 'scenario' and 'to'",
      "Where it is restored to in scenarios (\\fBbkd plan run \\-\\-scenario\\fR). Without one for a scenario: in place, where it lives." },
    { "systems.targets.scenario", SCHEMA_TEXT, AT_TARGET(scenario), 1, POLICY_NAME_MAX, NULL, true, NULL, "a word", "Such as disk-loss, host-loss, site-loss or ransomware." },
    { "systems.targets.to", SCHEMA_CHOICE, AT_TARGET(to), 0, 0, NULL, true, "in-place directory scratch", "in-place, directory or scratch",
      "\\fBin\\-place\\fR: where the files were, on \\fBhost\\fR. \\fBdirectory\\fR: below \\fBpath\\fR there. \\fBscratch\\fR: into scratch space on this host, removed at the end." },
    { "systems.targets.host", SCHEMA_TEXT, AT_TARGET(host), 0, POLICY_NAME_MAX, "", false, NULL, "the name of a host", "The machine, such as a stand-by; else this host, or, in place, where the system lives." },
    { "systems.targets.path", SCHEMA_PATH, AT_TARGET(path), 0, 0, NULL, false, NULL, "an absolute path", "Of \\fBdirectory\\fR: the directory." },
    { "steps", SCHEMA_MAPS, AT(steps), 1, RECOVERY_STEPS_MAX, NULL, true, NULL, "a list of maps with 'id' and 'type'",
      "What is done. Steps run at once, unless \\fBafter\\fR, or that of their systems, says otherwise." },
    { "steps.id", SCHEMA_TEXT, AT_STEP(id), 1, POLICY_NAME_MAX, NULL, true, NULL, "a word", "What other steps, and people, call it." },
    { "steps.type", SCHEMA_CHOICE, AT_STEP(type), 0, 0, NULL, true, "restore command check manual decision notify", "restore, command, check, manual, decision or notify",
      "What it does; see STEPS." },
    { "steps.title", SCHEMA_TEXT, AT_STEP(title), 0, 300, "", false, NULL, "one line of text", "What it is, for people." },
    { "steps.system", SCHEMA_TEXT, AT_STEP(system), 0, POLICY_NAME_MAX, "", false, NULL, "the name of a system", "Whose step it is. \\fBrestore\\fR needs it." },
    { "steps.after", SCHEMA_WORDS, AT_STEP(after), 0, 0, NULL, false, NULL, "the id of a step, or a list of them", "Steps that must be done before." },
    { "steps.owner", SCHEMA_TEXT, AT_STEP(owner), 0, POLICY_NAME_MAX, "", false, NULL, "the name of a role", "Who answers for it. \\fBbkd plan lint\\fR misses one." },
    { "steps.deadline", SCHEMA_DURATION, AT_STEP(deadline_s), 1, YEAR, "none", false, "none", "none or a duration such as 30min",
      "How long it should take. What takes longer goes on, and is on record as late." },
    { "steps.from", SCHEMA_TEXT, AT_STEP(from), 0, 2000, "auto", false, NULL, "auto, repository, offsite or the address of a copy",
      "Of \\fBrestore\\fR: which copy; \\fBauto\\fR is the first offsite one where there is one." },
    { "steps.snapshot", SCHEMA_TEXT, AT_STEP(snapshot), 1, 200, "latest", false, NULL, "latest, latest~N, a number or a tag", "Of \\fBrestore\\fR: which snapshot." },
    { "steps.command", SCHEMA_ARGV, AT_STEP(command), 0, 0, NULL, false, NULL, "a list of a program and its arguments",
      "Of \\fBcommand\\fR, required. It must be one that can be repeated: after an interruption it is." },
    { "steps.host", SCHEMA_TEXT, AT_STEP(host), 0, POLICY_NAME_MAX, "", false, NULL, "the name of a host, or target",
      "Of \\fBcommand\\fR: where it runs; \\fBtarget\\fR is wherever its system is restored to. Else on this host." },
    { "steps.timeout", SCHEMA_DURATION, AT_STEP(timeout_s), 1, YEAR, "1h", false, "none", "none or a duration such as 10min",
      "Of \\fBcommand\\fR: when it takes longer it is ended, and has failed." },
    { "steps.rehearse", SCHEMA_BOOL, AT_STEP(rehearse), 0, 0, "false", false, NULL, "true or false",
      "Of \\fBcommand\\fR and \\fBnotify\\fR: also in a rehearsal, which leaves live systems alone. Such a command runs on this host; it finds the restored tree in BKD_TREE." },
    { "steps.checks", SCHEMA_CHECKS, AT_STEP(checks), 0, 0, NULL, false, NULL, "a list of maps with 'type'",
      "Of \\fBcheck\\fR: what must work, as \\fBverify.checks\\fR of \\fBbkd\\-policy\\fR(5); without it the checks of the system's policy." },
    { "steps.instruction", SCHEMA_PROSE, AT_STEP(instruction), 0, 4000, "", false, NULL, "text, also of several lines,", "Of \\fBmanual\\fR and \\fBdecision\\fR, required: what to do or decide." },
    { "steps.choices", SCHEMA_WORDS, AT_STEP(choices), 0, 0, NULL, false, NULL, "a list of words",
      "Of \\fBdecision\\fR, required: what can be decided. The word \\fBabort\\fR, where it is one and is chosen, ends the plan." },
    { "steps.message", SCHEMA_TEXT, AT_STEP(message), 0, 1000, "", false, NULL, "one line of text", "Of \\fBnotify\\fR, required: what is told." },
    { "steps.severity", SCHEMA_CHOICE, AT_STEP(severity), 0, 0, "info", false, "info warning critical", "info, warning or critical",
      "Of \\fBnotify\\fR: which routes of \\fBbkd.yaml\\fR(5) tell it." },
};
#define KEY_COUNT (sizeof keys / sizeof *keys)
_Static_assert(KEY_COUNT <= POLICY_KEYS_MAX, "schema_read_map cannot note them all");

static const struct schema_table table = { keys, KEY_COUNT };

const struct schema_table *recovery_schema(void) { return &table; }

const struct schema_key *recovery_schema_find(const char *parent, const char *name) { return schema_table_find(&table, parent, name); }

enum recovery_owner recovery_schema_owner_below(const char *parent)
{
    static const char *const parents[] = {
        [RECOVERY_OF_PLAN] = "", [RECOVERY_OF_ROLE] = "roles", [RECOVERY_OF_HOST] = "hosts", [RECOVERY_OF_SYSTEM] = "systems", [RECOVERY_OF_TARGET] = "systems.targets",
        [RECOVERY_OF_STEP] = "steps",
    };
    size_t i = sizeof parents / sizeof *parents - 1;
    while (i > 0 && strcmp(parents[i], parent) != 0)
        i--;
    return (enum recovery_owner)i;
}

enum recovery_owner recovery_schema_owner(const struct schema_key *key)
{
    const char *dot = strrchr(key->name, '.');
    _cleanup_free_ char *parent = dot == NULL ? xstrdup("") : xstrndup(key->name, (size_t)(dot - key->name));
    return recovery_schema_owner_below(parent);
}

static const struct {
    const char *name, *needs, *may;
} types[] = {
    [RECOVERY_RESTORE] = { "restore", "system", "from snapshot" },
    [RECOVERY_COMMAND] = { "command", "command", "system host timeout rehearse" },
    [RECOVERY_CHECK] = { "check", "system", "checks" },
    [RECOVERY_MANUAL] = { "manual", "instruction", "system" },
    [RECOVERY_DECISION] = { "decision", "instruction choices", "system" },
    [RECOVERY_NOTIFY] = { "notify", "message", "system severity rehearse" },
};

const char *recovery_type_name(uint64_t type) { return types[type].name; }
const char *recovery_schema_needs(uint64_t type) { return types[type].needs; }

bool recovery_schema_fits(const char *leaf, uint64_t type)
{
    return schema_has_word("id type title after owner deadline", leaf) || schema_has_word(types[type].needs, leaf) || schema_has_word(types[type].may, leaf);
}
