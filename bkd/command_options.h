// The options of each command, for the table of commands (commands.c), which alone includes this. Global options stand there.
#ifndef BKD_COMMAND_OPTIONS_H
#define BKD_COMMAND_OPTIONS_H

#include "bkd/base/cli.h"

static const struct cli_option backup_options[] = {
    { "jobs", 'j', "N", "threads that read and compress (the number of processors)" },
    { "dry-run", 'n', NULL, "only say what would be read" },
    { "no-ship", 0, NULL, "leave the copies in other places as they are" },
    { "profile", 0, NULL, "say where the time went, stage by stage, and what limited it" },
    { "accept-source-change", 0, NULL, "a source that is empty or on another file system now is meant so" },
    { "tag", 0, "TAG", "give the snapshot a name: one word, such as change-1234" },
    { "hold", 0, NULL, "keep the snapshot until `bkd release`, whatever retention says" },
    { "hold-reason", 0, "TEXT", "why it is held (implies --hold)" },
    { 0 },
};

static const struct cli_option hold_options[] = {
    { "reason", 0, "TEXT", "why it is held" },
    { 0 },
};

static const struct cli_option accept_options[] = {
    { "reason", 0, "TEXT", "why it is as it should be" },
    { "key", 'k', "FILE", "the retention key (keys/retention of the configuration directory)" },
    { 0 },
};

static const struct cli_option release_options[] = {
    { "reason", 0, "TEXT", "why it is released" },
    { "key", 'k', "FILE", "the retention key (keys/retention of the configuration directory)" },
    { 0 },
};

static const struct cli_option identity_options[] = {
    { "identity", 'i', "FILE", "age identity, for snapshots whose manifest is not kept locally" },
    { 0 },
};

static const struct cli_option plan_run_options[] = {
    { "scenario", 's', "NAME", "what happened, such as host-loss: where systems are restored to" },
    { "yes", 'y', NULL, "do not ask before doing it for real" },
    { "rehearse", 0, NULL, "restore into scratch space and check there; live systems are left alone" },
    { "tabletop", 0, NULL, "restore nothing: people answer for every step, and times are taken" },
    { "unattended", 0, NULL, "with --rehearse: manual steps and decisions are left out" },
    { "anew", 0, NULL, "begin a new run although one was interrupted" },
    { "identity", 'i', "FILE", "age identity that opens the backups (each policy's verify.identity)" },
    { 0 },
};

static const struct cli_option plan_answer_options[] = {
    { "by", 0, "NAME", "who answers; required" },
    { "note", 0, "TEXT", "what was seen or done" },
    { "choice", 0, "WORD", "of a decision: what was chosen" },
    { "failed", 0, NULL, "it was not done: the step has failed" },
    { 0 },
};

static const struct cli_option plan_close_options[] = {
    { "by", 0, "NAME", "who says so; required" },
    { "note", 0, "TEXT", "why" },
    { 0 },
};

static const struct cli_option plan_print_options[] = {
    { "lang", 0, "en|zh", "the language (en)" },
    { "output", 'o', "FILE", "where to write it (standard output)" },
    { "scenario", 0, "NAME", "with the commands for this disaster: what is restored where (none in particular: in place)" },
    { 0 },
};

static const struct cli_option rollback_options[] = {
    { "identity", 'i', "FILE", "age identity, which this host does not keep: operations.txt, brought here for the time being" },
    { "yes", 'y', NULL, "do not ask" },
    { "dry-run", 'n', NULL, "only show what differs" },
    { "delete", 0, NULL, "remove what has appeared since the snapshot, too" },
    { "no-backup", 0, NULL, "do not make a snapshot of what is there now before" },
    { "in-place-delta", 0, NULL, "of large files write only the blocks that differ, as bkd-restore(1) says" },
    { 0 },
};

static const struct cli_option diff_options[] = {
    { "identity", 'i', "FILE", "age identity, for snapshots whose manifest is not kept locally" },
    { "content", 0, NULL, "compare the content of every live file, whatever its size and times say" },
    { "stat", 0, NULL, "only count" },
    { "exit-code", 0, NULL, "end with 1 when something differs" },
    { 0 },
};

static const struct cli_option ls_source_options[] = {
    { "excluded", 'x', NULL, "list what would be left out, and which rule of the policy does it" },
    { 0 },
};

static const struct cli_option snapshots_options[] = {
    { "all", 'a', NULL, "all chains of the repository, not only this policy's" },
    { "pruned", 0, NULL, "those too whose data was removed by rule" },
    { 0 },
};

static const struct cli_option schedule_options[] = {
    { "next", 'n', "N", "how many (10)" },
    { "from", 0, "TIME", "from this time on, instead of now: RFC 3339, such as 2026-03-28T00:00:00Z" },
    { 0 },
};

static const struct cli_option keys_init_options[] = {
    { "identities-to", 0, "DIR", "where operations.txt and recovery.txt go instead, such as a removable medium" },
    { 0 },
};

static const struct cli_option check_options[] = {
    { "read-data", 0, NULL, "decode all content and compare it with what was recorded" },
    { "quick", 0, NULL, "compare sizes, do not hash objects" },
    { "from", 0, "URL", "check this copy, named as below `offsite`" },
    { "far-sha256sum", 0, NULL, "where the account may run commands, hash on the server with its sha256sum" },
    { "read", 0, "HOW", "of a server that does not hash files itself read back full, sample or none (as the policy says)" },
    { "identity", 'i', "FILE", "age identity, for --read-data" },
    { "jobs", 'j', "N", "threads that hash and decode (the number of processors)" },
    { 0 },
};

static const struct cli_option prune_options[] = {
    { "dry-run", 'n', NULL, "only say which snapshots would stay and which would go, and why" },
    { "at", 0, "URL", "at this copy, named as below `offsite`, by its own rule" },
    { "all", 'a', NULL, "in the repository and at each copy" },
    { "key", 'k', "FILE", "the retention key (keys/retention of the configuration directory)" },
    { "clock-is-right", 0, NULL, "go on where the clock and the snapshots do not agree" },
    { "store", 0, "DIR", "on the server that keeps it: prune this copy, without a policy and without an identity" },
    { "signers", 's', "FILE", "with --store: whose signatures count (keys/allowed_signers)" },
    { "keep", 0, "RULES", "with --store: keep by these rules, as daily=14,weekly=8; else what tombstones say is done" },
    { "grace", 0, "TIME", "with --store: data stays for so long after a snapshot was given up, as received here (1d with --keep)" },
    { "simulate", 0, "DAYS", "only work out what a repository comes to in so many days, by POLICY's rules or the usual ones" },
    { "change-rate", 0, "PERCENT", "of the files change each day of the simulation (2%); of an image half as much" },
    { 0 },
};

static const struct cli_option verify_options[] = {
    { "from", 0, "COPY", "restore from this copy: repository, offsite (the first one), or an address (as the policy says)" },
    { "snapshot", 0, "S", "a number, latest (which it is), latest~2, a tag, or random" },
    { "sample", 0, "N|SIZE|full", "restore so many files, or so many bytes of them, drawn at random; or everything (as the policy says)" },
    { "identity", 'i', "FILE", "age identity (as the policy says: operations.txt)" },
    { 0 },
};

static const struct cli_option drill_options[] = {
    { "from", 0, "COPY", "the copy to work from: repository, offsite (the first one), or an address (as the policy says for verifications)" },
    { "identity", 'i', "FILE", "age identity (as the policy says: operations.txt)" },
    { "responsible", 0, "NAME", "who is responsible for the drill (whoever runs it)" },
    { "participants", 0, "NAMES", "who takes part" },
    { "place", 0, "TEXT", "where it takes place (this host)" },
    { 0 },
};

static const struct cli_option drill_key_options[] = {
    { "from", 0, "COPY", "the copy to work from: repository, offsite (the first one), or an address (as the policy says for verifications)" },
    { "identity", 'i', "FILE", "the age identity that lies offline; - = standard input, where it can be typed in" },
    { "passphrase-file", 0, "FILE", "its first line is the passphrase of that file (`age -p`); credential:NAME is one of systemd's (it is asked for at the terminal)" },
    { "passphrase-command", 0, "COMMAND", "what sh(1) runs to get that passphrase: the first line of its output" },
    { "responsible", 0, "NAME", "who is responsible for the drill (whoever runs it)" },
    { "participants", 0, "NAMES", "who takes part" },
    { "place", 0, "TEXT", "where it takes place (this host)" },
    { 0 },
};

static const struct cli_option drill_history_options[] = {
    { "quarters", 0, "N", "at most so many, up to this one (8)" },
    { 0 },
};

static const struct cli_option drill_list_options[] = {
    { "kind", 0, "KIND", "only negative, by-hand, key, rehearsal or tabletop" },
    { 0 },
};

static const struct cli_option drill_run_options[] = {
    { "scenario", 's', "NAME", "what happened, such as host-loss" },
    { "tabletop", 0, NULL, "restore nothing: people answer for every step, and times are taken" },
    { "unattended", 0, NULL, "manual steps and decisions are left out, and listed as not exercised" },
    { "resume", 0, NULL, "go on with one that was interrupted; its time counts from then" },
    { "identity", 'i', "FILE", "age identity that opens the backups (each policy's verify.identity)" },
    { "responsible", 0, "NAME", "who is responsible for the drill (whoever runs it)" },
    { "participants", 0, "NAMES", "who takes part" },
    { "place", 0, "TEXT", "where it takes place (this host)" },
    { 0 },
};

static const struct cli_option drill_report_options[] = {
    { "lang", 0, "LANGUAGE", "en (the default) or zh" },
    { "output", 'o', "FILE", "where to, instead of standard output; must not exist" },
    { 0 },
};

static const struct cli_option improve_add_options[] = {
    { "owner", 0, "NAME", "who does it" },
    { "due", 0, "DATE", "until when: 2026-12-31" },
    { 0 },
};

static const struct cli_option improve_list_options[] = {
    { "all", 'a', NULL, "those that are closed, too" },
    { 0 },
};

static const struct cli_option improve_close_options[] = {
    { "note", 0, "TEXT", "what was done" },
    { 0 },
};

static const struct cli_option evidence_options[] = {
    { "drill", 0, "ID", "of this drill; as much of its id as tells it apart will do" },
    { "period", 0, "PERIOD", "of all drills that began in a year, quarter or month (UTC): 2026, 2026Q4, 2026-11" },
    { "output", 'o', "FILE", "the package, FILE.tar.zst; must not exist" },
    { 0 },
};

static const struct cli_option estimate_options[] = {
    { "scenario", 0, "NAME", "disk-loss, host-loss, site-loss or ransomware (all four)" },
    { "link", 0, "RATE", "of the line at the place of recovery, such as 100Mbit/s or 12MiB/s (as measured)" },
    { "parallel", 0, "N", "so many restores share the line (1); of a plan: so many run at once at most (as the plan allows)" },
    { "arrival", 0, "DURATION", "until somebody is there and begins, such as 2h (as bkd.yaml and the plan's roles say)" },
    { "plan", 0, NULL, "the name is that of a plan, also where a policy has the same" },
    { 0 },
};

static const struct cli_option rpo_options[] = {
    { "days", 0, "N", "how far to look back (30)" },
    { 0 },
};

static const struct cli_option rto_options[] = {
    { "from", 0, "COPY", "restores from this copy: repository, or an address (that of the newest verification)" },
    { 0 },
};

static const struct cli_option keys_sheet_options[] = {
    { "identity", 'i', "FILE", "the identity to print, when keys/recovery.txt is no longer there" },
    { 0 },
};

static const struct cli_option status_options[] = {
    { "check", 0, NULL, "for monitoring: print only what is wrong; the exit status says how bad it is" },
    { "refresh", 0, NULL, "ask repositories on servers, too, instead of what is remembered of them" },
    { "watch", 'w', NULL, "show it again whenever something has changed, until Ctrl-C; with --json only the lines that differ" },
    { 0 },
};

static const struct cli_option trust_host_options[] = {
    { "fingerprint", 0, "SHA256:…", "the key it must show, of whatever type; nothing is asked then" },
    { "yes", 0, NULL, "pin the key it shows, whatever it is, unless another one is pinned" },
    { "ssh-config", 0, "FILE", "file of ssh_config(5) that says how the host is reached (true: ssh's own)" },
    { "known-hosts", 0, "FILE", "where to pin it, instead of the file the policy names (keys/known_hosts)" },
    { 0 },
};

static const struct cli_option history_options[] = {
    { "limit", 0, "N", "at most so many, the newest (50); 0 = all" },
    { "since", 0, "TIME", "started since a date (2026-11-01), a time (2026-11-01T08:00:00Z), or so long ago (7d)" },
    { "kind", 0, "KIND", "only backup, ship, check, prune, verify or rollback" },
    { "failed", 0, NULL, "only those that did not end with 0" },
    { "running", 0, NULL, "only those that have not ended" },
    { 0 },
};

static const struct cli_option catalogue_export_options[] = {
    { "file", 0, "FILE", "write it there as plain text instead (- is standard output); without POLICY that of all policies" },
    { 0 },
};

static const struct cli_option catalogue_rebuild_options[] = {
    { "identity", 'i', "FILE", "age identity that opens the exports: operations.txt, brought here for the time being" },
    { 0 },
};

static const struct cli_option ship_options[] = {
    { "to", 0, "URL", "only to this copy" },
    { "bandwidth", 0, "RATE", "send at most so much a second, such as 2MiB/s, or off; instead of what the policy says" },
    { "init", 0, NULL, "an empty place, or a new removable disk, becomes a copy" },
    { "dry-run", 'n', NULL, "only say what each copy lacks" },
    { 0 },
};

static const struct cli_option copy_options[] = {
    { "signers", 's', "FILE", "whose signatures count (keys/allowed_signers)" },
    { "from-identity", 0, "FILE", "SSH private key for FROM (keys/ssh_ed25519)" },
    { "from-passphrase", 0, "FILE", "its first line is that key's passphrase" },
    { "to-identity", 0, "FILE", "SSH private key for TO (keys/ssh_ed25519)" },
    { "to-passphrase", 0, "FILE", "its first line is that key's passphrase" },
    { "known-hosts", 0, "FILE", "pinned host keys of both (keys/known_hosts)" },
    { "ssh-config", 0, "FILE", "file of ssh_config(5) that says how hosts are reached (true: ssh's own)" },
    { "bandwidth", 0, "RATE", "bytes a second that may be sent, as 4MiB/s, or a table as in a policy" },
    { 0 },
};

static const struct cli_option check_remote_options[] = {
    { "expect-append-only", 0, NULL, "end with 4 when what is there could be changed or removed" },
    { "ssh-identity", 0, "FILE", "private key for a URL (keys/ssh_ed25519)" },
    { "ssh-passphrase", 0, "FILE", "its first line is the key's passphrase" },
    { "known-hosts", 0, "FILE", "pinned host keys for a URL (keys/known_hosts)" },
    { 0 },
};

static const struct cli_option serve_options[] = {
    { "append-only", 0, NULL, "what there is can be read and added to, never changed or removed (must be given)" },
    { "root", 0, "DIR", "the directory that clients see (must be given)" },
    { 0 },
};

static const struct cli_option run_options[] = {
    { "wait", 'w', NULL, "wait for the end, and end as it does" },
    { "action", 0, "ACTION", "backup (the default), check, prune, ship or verify" },
    { "due", 0, NULL, "run whatever is due of all policies, wait for the ends, and end with the code that weighs most" },
    { "order", 0, NULL, "take one order of `bkd daemon` from standard input, as bkd-run@.service does" },
    { 0 },
};

static const struct cli_option pause_options[] = {
    { "until", 0, "TIME", "2026-12-01, \"2026-12-01 06:00\" (this host's time), or 2026-12-01T06:00:00Z" },
    { "for", 0, "DURATION", "such as 2h or 3d" },
    { "reason", 0, "TEXT", "why, for whoever asks later" },
    { 0 },
};

static const struct cli_option daemon_options[] = {
    { "stop-runs", 0, NULL, "when it ends, ask the runs that it started to end, too; else they go on and the next daemon watches them" },
    { "starter", 0, "SOCKET", "start each run as a unit by this socket of bkd-run.socket (BKD_STARTER); else runs are children" },
    { 0 },
};

static const struct cli_option metrics_options[] = {
    { "textfile", 0, "PATH", "write them to this file, replacing it as a whole, for node_exporter's textfile collector" },
    { "listen", 0, "ADDRESS:PORT", "serve them by HTTP at /metrics until it is ended" },
    { 0 },
};

#endif
