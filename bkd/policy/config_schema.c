#include "bkd/policy/config_schema.h"

#include <string.h>

#include "bkd/policy/zone.h"

#define AT(member) offsetof(struct config, member)
#define AT_CHANNEL(member) offsetof(struct config_channel, member)
#define AT_ROUTE(member) offsetof(struct config_route, member)
#define MINUTE 60u
#define HOUR 3600u
#define WEEK (7 * 24 * HOUR)

static const struct schema_key keys[] = {
    { "max_parallel", SCHEMA_NUMBER, AT(max_parallel), 1, 64, "2", false, NULL, "a number from 1 to 64",
      "How many runs there may be at once, of all policies together. The others wait their turn." },
    { "timezone", SCHEMA_ZONE, AT(timezone), 0, ZONE_NAME_MAX, "host", false, NULL, "a time zone such as Europe/Berlin, or host",
      "In which the times of day of this file are meant." },
    { "arrival", SCHEMA_DURATION, AT(arrival_s), 1, WEEK, "none", false, "none", "none or a duration such as 30min",
      "How long it takes, after a disaster, until somebody is there who begins the recovery. \\fBbkd estimate\\fR counts it." },
    { "arrival_elsewhere", SCHEMA_DURATION, AT(arrival_elsewhere_s), 1, 4 * WEEK, "none", false, "none", "none or a duration such as 4h",
      "The same when the place itself is gone, and people and machines meet elsewhere (\\fB\\-\\-scenario site\\-loss\\fR); else as \\fBarrival\\fR." },
    { "notify", SCHEMA_MAP, 0, 0, 0, NULL, false, NULL, "a map with 'channels', 'routes', 'min_interval' or 'digest'",
      "Who is told, of what, and how. Without it only the log tells." },
    { "notify.channels", SCHEMA_MAPS, AT(notify.channels), 0, CONFIG_CHANNELS_MAX, NULL, false, NULL, "a list of maps with 'name' and 'type'",
      "The ways to tell somebody. \\fBbkd notify test\\fR tries them." },
    { "notify.channels.name", SCHEMA_TEXT, AT_CHANNEL(name), 0, POLICY_NAME_MAX, NULL, true, NULL, "a word",
      "What routes call it: letters, digits, '\\-', '_' and '.'." },
    { "notify.channels.type", SCHEMA_CHOICE, AT_CHANNEL(type), 0, 0, NULL, true, "email webhook command syslog", "email, webhook, command or syslog",
      "How it tells. \\fBsyslog\\fR is the system's journal where there is one, with fields (BKD_POLICY=, BKD_SEVERITY= ...)." },
    { "notify.channels.timeout", SCHEMA_DURATION, AT_CHANNEL(timeout_s), 1, 10 * MINUTE, "30s", false, NULL, "a duration from 1s to 10min",
      "A try that takes longer has failed, and is repeated later." },
    { "notify.channels.server", SCHEMA_TEXT, AT_CHANNEL(server), 0, 300, "", false, NULL, "HOST:PORT, smtp://HOST:PORT or smtps://HOST:PORT",
      "Of \\fBemail\\fR, required: the mail server. Without a port it is 587 (465 for smtps)." },
    { "notify.channels.tls", SCHEMA_CHOICE, AT_CHANNEL(tls), 0, 0, "required", false, "required none", "required or none",
      "Of \\fBemail\\fR and \\fBwebhook\\fR: with \\fBrequired\\fR a server that offers no TLS, or whose certificate is not good, is told nothing. \\fBnone\\fR is for "
      "a server on this host." },
    { "notify.channels.ca", SCHEMA_TEXT, AT_CHANNEL(ca), 0, 1000, "", false, NULL, "a file",
      "Of \\fBemail\\fR and \\fBwebhook\\fR: certificates (PEM) of the authorities to believe, instead of the system's." },
    { "notify.channels.user", SCHEMA_TEXT, AT_CHANNEL(user), 0, 300, "", false, NULL, "a name",
      "Of \\fBemail\\fR: the account to log in with. Of \\fBcommand\\fR: run it with the rights of this user, as root may." },
    { "notify.channels.password", SCHEMA_TEXT, AT_CHANNEL(password), 0, 1000, "", false, NULL, "a file, or credential:NAME",
      "Of \\fBemail\\fR: its first line is the account's password. Others must not be able to read the file." },
    { "notify.channels.from", SCHEMA_TEXT, AT_CHANNEL(from), 0, 320, "", false, NULL, "a mail address",
      "Of \\fBemail\\fR: who sends; else \\fIbkd@HOST\\fR." },
    { "notify.channels.to", SCHEMA_WORDS, AT_CHANNEL(to), 0, 0, NULL, false, NULL, "a mail address, or a list of them",
      "Of \\fBemail\\fR, required: who gets it." },
    { "notify.channels.url", SCHEMA_TEXT, AT_CHANNEL(url), 0, 2000, "", false, NULL, "an address https://...",
      "Of \\fBwebhook\\fR: where to post to." },
    { "notify.channels.url_file", SCHEMA_TEXT, AT_CHANNEL(url_file), 0, 1000, "", false, NULL, "a file, or credential:NAME",
      "Of \\fBwebhook\\fR, instead of \\fBurl\\fR: its first line is the address, where that is a secret." },
    { "notify.channels.format", SCHEMA_CHOICE, AT_CHANNEL(format), 0, 0, "json", false, "json healthchecks", "json or healthchecks",
      "Of \\fBwebhook\\fR: \\fBjson\\fR posts one JSON object a message; \\fBhealthchecks\\fR pings URL/start, URL and URL/fail, as Healthchecks.io and "
      "others take it, with the message as the body." },
    { "notify.channels.headers", SCHEMA_TEXT, AT_CHANNEL(headers), 0, 1000, "", false, NULL, "a file, or credential:NAME",
      "Of \\fBwebhook\\fR: lines \"Name: value\" to send along, such as a token. Others must not be able to read the file." },
    { "notify.channels.command", SCHEMA_ARGV, AT_CHANNEL(command), 0, 0, NULL, false, NULL, "a list of a program and its arguments",
      "Of \\fBcommand\\fR, required: what to run. It finds the message in BKD_* variables and, as JSON, on its standard input." },
    { "notify.channels.facility", SCHEMA_CHOICE, AT_CHANNEL(facility), 0, 0, "daemon", false, "daemon user local0 local1 local2 local3 local4 local5 local6 local7",
      "daemon, user or local0 to local7", "Of \\fBsyslog\\fR: the facility." },
    { "notify.routes", SCHEMA_MAPS, AT(notify.routes), 0, CONFIG_ROUTES_MAX, NULL, false, NULL, "a list of maps with 'to'",
      "What is told to whom. Each route that fits tells; a channel gets a message once. A route that told of an alarm tells that it is over, too. Drills of recovery plans are announced "
      "(\\fBbkd\\-plan\\fR(5)) by routes of every severity." },
    { "notify.routes.to", SCHEMA_WORDS, AT_ROUTE(to), 0, 0, NULL, true, NULL, "the name of a channel, or a list of them",
      "To which channels." },
    { "notify.routes.severity", SCHEMA_CHOICE, AT_ROUTE(severity), 0, 0, "warning", false, "info warning critical", "info, warning or critical",
      "The least severity that is told. \\fBinfo\\fR includes each run that went well." },
    { "notify.routes.policies", SCHEMA_WORDS, AT_ROUTE(policies), 0, 0, NULL, false, NULL, "a pattern, or a list of them",
      "Only about policies whose name fits, such as \\fB\"erp*\"\\fR. Without this and \\fBplans\\fR about all, and about what belongs to none." },
    { "notify.routes.plans", SCHEMA_WORDS, AT_ROUTE(plans), 0, 0, NULL, false, NULL, "a pattern, or a list of them",
      "About recovery plans whose name fits: their drills, reviews and runs, and what their steps of type \\fBnotify\\fR tell. With \\fBpolicies\\fR about both." },
    { "notify.routes.repeat", SCHEMA_DURATION, AT_ROUTE(repeat_s), 5 * MINUTE, 52 * WEEK, "never", false, "never", "never, or a duration from 5min to 52w",
      "Tell again of an alarm that still stands and that nobody acknowledged (\\fBbkd alarm ack\\fR)." },
    { "notify.routes.escalate", SCHEMA_MAP, 0, 0, 0, NULL, false, NULL, "a map with 'after' and 'to'",
      "Whom else to tell of an alarm that still stands, and that nobody acknowledged, after some time." },
    { "notify.routes.escalate.after", SCHEMA_DURATION, AT_ROUTE(escalate.after_s), MINUTE, 52 * WEEK, NULL, true, NULL, "a duration from 1min to 52w",
      "How long after it began." },
    { "notify.routes.escalate.to", SCHEMA_WORDS, AT_ROUTE(escalate.to), 0, 0, NULL, true, NULL, "the name of a channel, or a list of them",
      "To which channels." },
    { "notify.routes.quiet", SCHEMA_TEXT, AT_ROUTE(quiet), 0, 20, "", false, NULL, "times of day as \"22:00-07:00\"",
      "In this time what is not critical waits for its end; what is over by then is not told." },
    { "notify.min_interval", SCHEMA_DURATION, AT(notify.min_interval_s), MINUTE, WEEK, "15min", false, NULL, "a duration from 1min to 1w",
      "An alarm that comes and goes is told to a channel no more often than this." },
    { "notify.digest", SCHEMA_MAP, 0, 0, 0, NULL, false, NULL, "a map with 'to' or 'at'",
      "A message every day: how protected each policy is, as \\fBbkd status\\fR says, what ran, what failed, what stands. It comes on quiet days, too: when it does not come, nothing watches." },
    { "notify.digest.to", SCHEMA_WORDS, AT(notify.digest.to), 0, 0, NULL, true, NULL, "the name of a channel, or a list of them",
      "To which channels." },
    { "notify.digest.at", SCHEMA_TEXT, AT(notify.digest.at), 0, 5, "07:00", false, NULL, "a time of day as \"07:00\"",
      "When." },
    { "history", SCHEMA_MAP, 0, 0, 0, NULL, false, NULL, "a map with 'runs' or 'details'", "How long the catalogue keeps what was." },
    { "history.runs", SCHEMA_DURATION, AT(history_runs_s), 30 * 24 * HOUR, 5200 * WEEK, "1095d", false, NULL, "a duration from 30d to 36400d",
      "Runs that ended longer ago go, but for the last one of each policy and kind. Verifications, drills and snapshots stay." },
    { "history.details", SCHEMA_DURATION, AT(history_details_s), 30 * 24 * HOUR, 5200 * WEEK, "400d", false, NULL, "a duration from 30d to 36400d",
      "How long their phases and figures, slots and events stay." },
    { "metrics", SCHEMA_MAP, 0, 0, 0, NULL, false, NULL, "a map with 'textfile' or 'listen'",
      "Figures for Prometheus; see \\fBbkd metrics\\fR." },
    { "metrics.textfile", SCHEMA_PATH, AT(metrics.textfile), 0, 0, NULL, false, NULL, "an absolute path",
      "A file to write them to after each run, for the textfile collector of node_exporter; its name ends in \\fI.prom\\fR." },
    { "metrics.listen", SCHEMA_TEXT, AT(metrics.listen), 0, 100, "", false, NULL, "ADDRESS:PORT, such as 127.0.0.1:9469",
      "Where the daemon serves them by HTTP at /metrics. Anybody who can connect can read them." },
};
#define KEY_COUNT (sizeof keys / sizeof *keys)
_Static_assert(KEY_COUNT <= POLICY_KEYS_MAX, "key_lines is too short");

static const struct schema_table table = { keys, KEY_COUNT };

const struct schema_table *config_schema(void) { return &table; }

const struct schema_key *config_schema_find(const char *parent, const char *name)
{
    return schema_table_find(&table, parent, name);
}

size_t config_schema_index(const struct schema_key *key) { return (size_t)(key - keys); }

enum config_owner config_schema_owner(const struct schema_key *key)
{
    if (strncmp(key->name, "notify.channels.", 16) == 0)
        return CONFIG_OF_CHANNEL;
    return strncmp(key->name, "notify.routes.", 14) == 0 ? CONFIG_OF_ROUTE : CONFIG_OF_HOST;
}

bool config_schema_fits(const struct schema_key *key, enum config_channel_type type)
{
    static const char *const of_types[] = {
        [CONFIG_EMAIL] = " name type timeout server tls ca user password from to ",
        [CONFIG_WEBHOOK] = " name type timeout tls ca url url_file format headers ",
        [CONFIG_COMMAND] = " name type timeout command user ",
        [CONFIG_SYSLOG] = " name type timeout facility ",
    };
    const char *leaf = schema_leaf(key), *found = of_types[type];
    size_t n = strlen(leaf);
    while ((found = strstr(found, leaf)) != NULL && !(found[-1] == ' ' && found[n] == ' '))
        found += n;
    return found != NULL;
}
