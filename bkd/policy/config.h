// The configuration of the host, CONFIG_DIR/bkd.yaml: what belongs to no single policy. Who is told of what, metrics, how many runs at once.
// Read as policies are: one table of keys (config_schema.c), every mistake with line and column. Without the file the defaults hold.
#ifndef BKD_POLICY_CONFIG_H
#define BKD_POLICY_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/io.h"
#include "bkd/policy/policy.h"

#define CONFIG_FILE "bkd.yaml"
#define CONFIG_CHANNELS_MAX 32u
#define CONFIG_ROUTES_MAX 64u
#define CONFIG_WORDS_MAX 64u // items of one list of words
#define CONFIG_LISTEN_PORT 9469

enum config_channel_type { CONFIG_EMAIL, CONFIG_WEBHOOK, CONFIG_COMMAND, CONFIG_SYSLOG };
enum config_tls { CONFIG_TLS_REQUIRED, CONFIG_TLS_NONE };
enum config_format { CONFIG_FORMAT_JSON, CONFIG_FORMAT_HEALTHCHECKS };
// The same order as the severities of alarms (bkd/record/alarms.h).
enum config_severity { CONFIG_INFO, CONFIG_WARNING, CONFIG_CRITICAL };

// A way to tell somebody. Files with secrets are relative to CONFIG_DIR/keys, or "credential:NAME".
struct config_channel {
    char *name;
    uint64_t type; // enum config_channel_type
    uint64_t timeout_s;
    // Of email:
    char *server;  // "HOST", "HOST:PORT", "smtp://HOST:PORT" or "smtps://HOST:PORT"
    uint64_t tls;  // enum config_tls; also of webhook
    char *ca;      // PEM file of the authorities that count; "" = those of the system; also of webhook
    char *user;    // to log in as, "" = without; of command: whose rights it has, "" = those of bkd
    char *password; // file, "" = none
    char *from;
    struct policy_list to;
    // Of webhook:
    char *url, *url_file; // one of them; the other is ""
    uint64_t format;      // enum config_format
    char *headers;        // file with "Name: value" lines, "" = none
    // Of command:
    struct policy_list command;
    // Of syslog:
    uint64_t facility; // index in the choices of the key
};

struct config_escalation {
    uint64_t after_s; // 0 = no escalation
    struct policy_list to;
};

// What is told to whom: everything of at least this severity about these policies and recovery plans.
struct config_route {
    uint64_t severity;           // enum config_severity
    struct policy_list policies; // patterns of fnmatch(3); with none of these nor of plans = all, and what belongs to neither
    struct policy_list plans;    // the same of recovery plans
    struct policy_list to;       // names of channels
    uint64_t repeat_s;           // 0 = an alarm is told once
    struct config_escalation escalate;
    char *quiet; // "22:00-07:00": what is not critical waits; "" = never
};

struct config_digest {
    char *at; // "07:00"
    struct policy_list to; // none = no digest
};

struct config_notify {
    struct config_channel *channels;
    size_t channel_count;
    struct config_route *routes;
    size_t route_count;
    uint64_t min_interval_s; // between two messages about one alarm to one channel
    struct config_digest digest;
};

struct config_metrics {
    char *textfile; // NULL = none
    char *listen;   // "127.0.0.1:9469"; "" = not served
};

// All strings belong to it.
struct config {
    char *file; // as it was opened, or would be
    bool exists;
    uint64_t max_parallel; // runs at once, of all policies together
    char *timezone;        // of times of day here: "host", or a name such as Europe/Berlin
    uint64_t arrival_s, arrival_elsewhere_s; // until somebody is there and begins a recovery: here; where one meets when the place is gone
    struct config_notify notify;
    struct config_metrics metrics;
    uint64_t history_runs_s, history_details_s; // how long the catalogue keeps runs, and their figures
    unsigned key_lines[POLICY_KEYS_MAX]; // where each key of the table was set; 0 = its default
};

// Reads and checks CONFIG_DIR/bkd.yaml; a missing one gives the defaults. Fails as policy_load does, and with ERROR_USAGE when
// others could have written a file that names channels. Call policy_errors_done in every case, config_done after success.
MUST_USE int config_load(const struct io *io, const char *config_dir, struct config *ret_config, struct policy_errors *ret_errors, struct error *err);
// The same for bytes in memory; `path` gives the messages. Who could have written them is not asked.
MUST_USE int config_parse(const char *path, const void *text, size_t n, struct config *ret_config, struct policy_errors *ret_errors, struct error *err);
void config_done(struct config *config);
#define _cleanup_config_ __attribute__((cleanup(config_done)))

// NULL when there is no channel of that name.
const struct config_channel *config_find_channel(const struct config *config, const char *name);

// "07:30" as minutes since midnight; false when it is no time of day.
bool config_parse_time(const char *text, size_t n, unsigned *ret_minute);
// "22:00-07:00" as two such times; false when it is not, or they are equal.
bool config_parse_hours(const char *text, unsigned *ret_from, unsigned *ret_to);

#endif
