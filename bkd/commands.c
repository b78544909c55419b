#include "bkd/commands.h"

#include "bkd/cmd.h"
#include "bkd/command_options.h"

static const struct cli_option global_options[] = {
    { "config-dir", 0, "DIR", "policies and keys (BKD_CONFIG_DIR; /etc/bkd or ~/.config/bkd)" },
    { "state-dir", 0, "DIR", "caches and locks (BKD_STATE_DIR; /var/lib/bkd or ~/.local/state/bkd)" },
    { "json", 0, NULL, "one JSON object a line on standard output" },
    { "quiet", 'q', NULL, "only warnings and errors, no progress" },
    { "verbose", 'v', NULL, "say more" },
    { "help", 'h', NULL, "explain bkd or a command" },
    { "version", 0, NULL, "print the version" },
    { 0 },
};

// One command, one line (or two). A command is in the table when it works.
static const struct cli_command commands[] = {
    { "keys init", "", 0, 0, "make this host's keys",
      "Makes the signing key, the retention key, and two age identities (operations, offline recovery) in the configuration directory's keys/, and "
      "says what to take off this host. Keys that are there are never overwritten.",
      keys_init_options, cmd_keys_init },
    { "keys sheet", "[POLICY]", 0, 1, "print a recovery sheet",
      "Prints one page: the recovery identity as text and QR code, whose signatures count, and with POLICY the repository's address, its latest snapshot's "
      "hash and that of recover.sh; and the steps of a restore with and without bkd. Print it on paper: it opens every backup.",
      keys_sheet_options, cmd_keys_sheet },
    { "init", "POLICY", 1, 1, "make the policy's repository",
      "Makes the directory, its signed description, and the scripts for recovery by hand. An existing repository is left alone.", NULL, cmd_init },
    { "backup", "POLICY", 1, 1, "make a snapshot now",
      "Stores what changed since the last snapshot. Ends with 0 when the snapshot is complete, with 3 when it is committed but some entries could not "
      "be read or changed while they were read. When the command of a stream fails, the run fails with 1, and there is no new snapshot. Before a change: bkd backup POLICY --tag change-1234 --hold, and should it go wrong, bkd rollback. A hold "
      "is written right after the snapshot is committed; when that fails, the run says so and ends with its error, and the snapshot stands without it. Hooks and "
      "snapshots of sources: see bkd-policy(5). SIGINT, SIGTERM and SIGHUP end the run: hooks after it are run, no snapshot is made, and the next run goes on from what was stored.",
      backup_options, cmd_backup },
    { "run", "[POLICY]", 0, 1, "run a policy now, by the daemon; or whatever is due",
      "Asks `bkd daemon` to run POLICY's backup now; where none is running, runs it here, in the foreground. Ends with 6 when the policy is at work already. With --due no "
      "daemon is needed: what the schedules of all policies say is due is run, in the order of tiers and `after`, at most max_parallel at a time, each time of a schedule "
      "once, whoever else (a daemon, another --due) looks after it; a timer or a crontab calls it every few minutes. Nothing due is 0.",
      run_options, cmd_run },
    { "cancel", "RUN|POLICY", 1, 1, "end a run",
      "Asks a run (its number in `bkd history`, or its policy) to end as Ctrl-C would: hooks after it are run, no snapshot is made, and the next run goes on from what was stored. "
      "Said again, it ends at once. Who it was is recorded, and the run is not tried again before its next time. Works with and without a daemon.",
      NULL, cmd_cancel },
    { "pause", "POLICY", 1, 1, "let a policy's schedule rest",
      "No run is started by schedule until `bkd resume`, or until the time that is given; times that come meanwhile are recorded as skipped. A run that is going on is not touched, and "
      "`bkd backup` and `bkd run` work as always. Works with and without a daemon.",
      pause_options, cmd_pause },
    { "resume", "POLICY", 1, 1, "let a policy's schedule hold again", NULL, NULL, cmd_resume },
    { "daemon", "", 0, 0, "run the policies by their schedules",
      "Runs in the foreground until SIGTERM or SIGINT, and ends within 10 seconds; runs that are going on go on by themselves, and the next daemon watches them. Policies and bkd.yaml are read "
      "anew when they change, and on SIGHUP; a policy's file with mistakes leaves its version before in force, and raises an alarm. One daemon works on a state directory (6 for a second one). "
      "Under systemd: bkd.service. Without a daemon: `bkd run --due`, or `bkd backup POLICY` from a crontab, with the same records and locks.",
      daemon_options, cmd_daemon },
    { "watch", "", 0, 0, "look for what is wrong, and tell whoever is to be told",
      "What the daemon does once a minute and after each run, and `bkd run --due` at its end: records runs whose process is gone, raises and clears alarms, sends messages that are due.",
      NULL, cmd_watch },
    { "ship", "POLICY", 1, 1, "bring the copies in other places up to date",
      "Brings each place below `offsite` what it lacks of this policy's snapshots: objects first, what names them last, so that a line that breaks costs at most one "
      "object, and a copy that was away for a week catches up. `bkd backup` does it at its end. Ends with 8 when a copy cannot be reached, with 4 when one is not what it "
      "should be, with 5 when a removable disk is away and its copy is older than its max_age.",
      ship_options, cmd_ship },
    { "snapshots", "POLICY", 1, 1, "list snapshots", NULL, snapshots_options, cmd_snapshots },
    { "tag", "POLICY SNAPSHOT TAG", 3, 3, "give a snapshot a name",
      "Writes a signed record: from now on the snapshot can be named by TAG wherever SNAPSHOT stands. A tag is one word that is no number. A tag that "
      "several snapshots have asks for a number.", NULL, cmd_tag },
    { "hold", "POLICY SNAPSHOT", 2, 2, "keep a snapshot until it is released",
      "Writes a record, signed with this host's key: retention does not remove the snapshot until `bkd release`. Holding it again for another reason is a second "
      "hold; a release ends all that stand.", hold_options, cmd_hold },
    { "release", "POLICY SNAPSHOT", 2, 2, "end the holds on a snapshot",
      "Writes a record, signed with the retention key, which does not stay on a host that is backed up: so nobody who breaks in there can give up what is held. "
      "From then on retention may remove the snapshot in its turn; nothing is removed at once.", release_options, cmd_release },
    { "accept", "POLICY SNAPSHOT", 2, 2, "say that a suspect snapshot is as it should be",
      "A run that found far more files gone, changed or turned incompressible than this policy is used to marks its snapshot suspect: it may be what ransomware left. Nothing of "
      "the policy is removed by retention until somebody looked (bkd diff POLICY latest~1 latest --stat) and accepted it. This writes a record, signed with the retention key, which "
      "does not stay on a host that is backed up.",
      accept_options, cmd_accept },
    { "ls", "POLICY SNAPSHOT [PATH]", 2, 3, "list what a snapshot holds", "SNAPSHOT is a number, latest, latest~2, or a tag.", identity_options, cmd_ls },
    { "ls-source", "POLICY [PATH]", 1, 2, "list what a backup would take, or leave out",
      "Looks at the sources as a backup would and lists type, size and path of what it would take; nothing is stored. With --excluded it lists instead what "
      "would be left out, and the rule and line of the policy that does it. With PATH only what lies there: ends with 1, and says why, when nothing of it would "
      "be taken. Ends with 3 when there are places that cannot be read.",
      ls_source_options, cmd_ls_source },
    { "diff", "POLICY A [B] [PATH]...", 2, CLI_ARGS_MANY, "compare a snapshot with another, or with the files as they are now",
      "A and B are snapshots: a number, latest, latest~2, or a tag. Without B, or with `live`, A is compared with what a backup would find now. One line for each "
      "entry that differs, and in what: + only in B, - only in A, M other content or type, m other metadata. With PATHs, which begin with '/', only these and "
      "what lies below. Live files are hashed where size, times or inode say that they may have changed since the newest snapshot; --content hashes all. Files "
      "with more than 256 MiB of holes have no hash of the whole: without --content their size and modification time decide. Of hard "
      "links it is compared whether there are other names. Streams have no live side.",
      diff_options, cmd_diff },
    { "rollback", "POLICY SNAPSHOT [PATH]...", 2, CLI_ARGS_MANY, "put the files back to a snapshot",
      "Shows what differs between SNAPSHOT (often a tag: change-1234) and the files as they are now, asks, makes a snapshot of what is there now (tag "
      "before-rollback-TIME), and runs bkd-restore in place for what differs; then compares again and ends with 3 when something still does. Only what lies in "
      "the policy's sources is touched; with PATHs, only these. What has appeared since stays unless --delete is given; what the policy leaves out is never "
      "removed. What cannot be saved first, because the policy leaves it out now or it cannot be read, stays as it is unless --no-backup is given. Stop what writes there "
      "first.",
      rollback_options, cmd_rollback },
    { "check", "POLICY", 1, 1, "prove that the repository is whole",
      "Checks signatures, the chain of heads, and presence, size and SHA-256 of every stored file; needs no identity. A server that hashes files itself "
      "(bkd serve) is asked to, so that nothing is downloaded; from another one a sample is read, and what was not is told. With --read-data all content is decoded "
      "and compared, too. Ends with 4 when something is damaged, and names it; that is an alarm of bkd status until a check that looks as deep finds all whole.",
      check_options, cmd_check },
    { "prune", "[POLICY]", 0, 1, "give snapshots up by rule, and remove their data",
      "Keeps what the policy's `keep` says; see RETENTION in bkd-policy(5). Without a rule all stay. What goes is given up first, with a record signed with the retention "
      "key, and its data is removed by the first prune after the time of `grace` (a day): until then bkd hold keeps it. Only data that no other snapshot "
      "needs is removed; what runs that were killed left goes after a week. The newest, the newest complete, the last verified and every held snapshot stay, and "
      "while one is suspect all do. Backups may run meanwhile; a prune that is cut off is finished by the next. At a copy that can only grow it records what is given up, "
      "and ends with 3 when something is due: its server removes it, with bkd prune --store. Run there as the copy's own account, by cron for example, it does what tombstones signed by "
      "the retention key say; or with --keep and a retention key of its own (ssh-keygen -t ed25519; its public half goes into every allowed_signers, with "
      "namespaces=\"bkd-retention@v1\") it keeps by rules that the host which is backed up cannot change. It takes snapshots by the time they were received. "
      "With --simulate nothing is touched: a tree of files that change evenly, one where a fifth of them takes four fifths of the changes, one where a tenth takes nine tenths, and an image "
      "with scattered changes are backed up and pruned in a model by POLICY's rules (without one: daily 14, weekly 8, monthly 6). Shown is what the repository holds against the "
      "distinct data of the snapshots it keeps, and what is written each day.",
      prune_options, cmd_prune },
    { "status", "[POLICY]", 0, 1, "say what is protected, since when, and what to do",
      "Of all policies the worst first, each with what is wrong and the next step; of one POLICY everything. A policy is protected when there is a good snapshot (its head is as it was "
      "signed, and it is not suspect), complete, and no older than promised. Ends with 4 when heads or records are not as they were signed, or a snapshot is suspect; else with 5 when "
      "there is no good snapshot, one is older than promised, or a copy is older than its max_age; else with 0.", status_options, cmd_status },
    { "schedule", "[POLICY]", 0, 1, "show when policies will run",
      "Lists the next slots of POLICY's schedule and its verify.schedule, or of all policies', in the order of time: UTC, the local time of the policy's zone, and when the run begins, where `jitter` "
      "moves that. Says so where a change of the clocks has to do with it. Asks no daemon: this is what the policy files say. Slots at the time of --from are in it. "
      "Ends with 2 when a policy has mistakes; those of the others are shown all the same.",
      schedule_options, cmd_schedule },
    { "verify", "POLICY", 1, 1, "prove that a snapshot can be restored, and measure how long it takes",
      "Runs bkd-restore into scratch space from one of the policy's copies, offsite where there is one, compares every restored byte and attribute with what was signed, "
      "runs the checks that the policy lists below `verify`, and measures each phase. What the scratch space cannot hold is listed as not exercised. Without an identity on "
      "this host signatures, hashes and sizes are checked, and the snapshot is not proven (3). Ends with 4 when it does not restore, a check fails, or the place lacks the newest snapshot that "
      "this host made or brought there, with 5 when it restores, but slower than objectives.rto. With --json the last line is the summary, also of a failure.",
      verify_options, cmd_verify },
    { "drill by-hand", "POLICY", 1, 1, "rebuild a snapshot without bkd, and measure how long it takes",
      "Makes a place where bkd is not installed (a root with sh, age, zstd, tar, rdiff, ssh-keygen and coreutils alone; for an ordinary user a PATH with only these), and there runs the "
      "repository's own recover.sh on a copy of what the newest snapshot needs. Compares the result with the manifest: content with sha256sum, types, modes, owners, times and links with lstat(2). "
      "The time is recorded by itself, and is no part of `bkd rto`. Ends with 4 when the result is not what was signed.",
      drill_options, cmd_drill_by_hand },
    { "drill history", "[PLAN|POLICY]", 0, 1, "show drills by quarters: planned, held, passed, and how long the recovery took",
      "For each plan, and each kind of drill of a policy, a line a quarter: the dates that `drill` of the plan names, the drills that were held and that passed, and the longest recovery of those "
      "that passed (of a rehearsal its restores and checks, of a by-hand drill recover.sh) against what was promised. The trend compares the last quarter that measured one with the first.",
      drill_history_options, cmd_drill_history },
    { "drill key", "POLICY", 1, 1, "prove that the offline key opens the backups",
      "Takes the identity that lies offline (-i recovery.txt; `age -p` files as well, and `-i -` to pipe or type it in), makes sure that the newest snapshot is encrypted for it, and decrypts the smallest object of it, whole. The date is recorded: "
      "`bkd status` warns when the last time is more than 180 days ago, and says when there was none. Ends with 9 when the key opens nothing, and for the key that verifications use anyway.",
      drill_key_options, cmd_drill_key },
    { "drill list", "[PLAN|POLICY]", 0, 1, "list drills, and how they went", "With --json each line is the whole record of a drill, and its state: ended, running or killed.", drill_list_options, cmd_drill_list },
    { "drill negative", "POLICY", 1, 1, "prove that damage and deceit are noticed",
      "Copies what the newest snapshot needs into scratch space (verify.scratch), and there flips a bit of an object, removes it, cuts it off at 60 %, puts an old state back, and withholds the "
      "key. Of a copy on a server it also cuts the line when 60 % have come, and pins another host key than the server's. `bkd check` and bkd-restore have to notice each, with the right exit code. "
      "The repository itself is only read. The result goes on record; ends with 4 when something was not noticed, which is an alarm of `bkd status` until a drill finds all noticed.",
      drill_options, cmd_drill_negative },
    { "drill report", "ID", 1, 1, "write the report of a drill",
      "A page of HTML that stands by itself, for the screen and for paper: what was rehearsed, when, where and by whom, each step with its time, what was not exercised, problems, improvements, the "
      "trend, and fields to sign. As much of ID as tells it apart will do. With --json the record.", drill_report_options, cmd_drill_report },
    { "drill run", "PLAN", 1, 1, "rehearse a recovery plan, and keep the record",
      "Carries out the plan as `bkd plan run --rehearse` does, in isolation, or with --tabletop as a walk-through; live systems are left alone. Each step's planned and measured time goes on "
      "record, and what was not exercised. Ends as `bkd plan run` does.", drill_run_options, cmd_drill_run },
    { "improve add", "DRILL TEXT", 2, 2, "write down what a drill asked for", "It has an owner and a due date, and stays open until it is closed.", improve_add_options, cmd_improve_add },
    { "improve list", "", 0, 0, "list what drills asked for and is not done", "Those past their date are marked as overdue.", improve_list_options, cmd_improve_list },
    { "improve close", "NUMBER", 1, 1, "say that an improvement is done", NULL, improve_close_options, cmd_improve_close },
    { "evidence pack", "", 0, 0, "pack what proves that drills were held, for somebody without bkd",
      "Makes a package of the drill, or of all drills of the period: their records, logs and signed heads, and the runs and verifications of that time (of the drill's policies; of a period, of all); "
      "with the hash of every file, signed by this host. It is verified without bkd and without a network, with tar, zstd, sha256sum and ssh-keygen: README.txt in it says how, in English and Chinese.",
      evidence_options, cmd_evidence_pack },
    { "rto", "[POLICY]", 0, 1, "say how long restores take, as far as it was measured",
      "Of the verifications of whole snapshots that are like the newest (same copy, same host, size within a factor of two): median, 90th percentile and worst, and what so many "
      "runs support about restores to come: 29 of them bound nine in ten with 95 % confidence; of fewer it is said what they do support. "
      "From six on a trend that outliers do not bend, and when it will be above objectives.rto; and what the files that samples drew in the last 30 days say together. "
      "Without a policy: of all.",
      rto_options, cmd_rto },
    { "estimate", "POLICY|PLAN", 1, 1, "say how long a recovery would take, before there is a disaster",
      "A small model is fitted to the restores that `bkd verify` measured on this host: a fixed part, so much for each file and each byte, the line, the checks. It gives an interval, "
      "what takes most of the time and what would help. Each measured restore is also foretold from those before it, so that the model's own error is known: the interval is "
      "as wide as the worst of these errors. After host-loss and site-loss the first copy below `offsite` is restored from; after ransomware twice, once aside to find a clean snapshot. "
      "Of a recovery plan: its steps in their order, restores by the models of their policies (those that run at once share the line), the other steps by what they took in earlier runs and "
      "rehearsals, else by their deadlines; who has to come first (`arrival` in bkd.yaml and of roles). It names the steps that make it as long as it is, and how much what would help saves; each earlier "
      "run is foretold from what was known before it.",
      estimate_options, cmd_estimate },
    { "rpo", "[POLICY]", 0, 1, "say how much would be lost, as far as it is proven",
      "The age of the newest snapshot; of the newest that is in another place; and of the newest that was proven, by a full verification, to restore from there. And the worst over the "
      "last days: with --json one line for each day. Without a policy: of all.",
      rpo_options, cmd_rpo },
    { "history", "[POLICY]", 0, 1, "list what was run, when, and what came of it",
      "Every run that works on a policy or a recovery plan records itself, whoever started it: a person, cron, the daemon. A run that is gone without an end was killed.",
      history_options, cmd_history },
    { "runs list", "[POLICY]", 0, 1, "the same as history", NULL, history_options, cmd_history },
    { "runs show", "RUN", 1, 1, "show all that is known of one run",
      "Its times, result and message, how long its parts took, what they came to, where the snapshot it made is; and of a backup where the time went: how long each stage "
      "computed, was off the processor (it waited for a disk, a line, or a processor that others had), and waited for the stage before (no input) or behind it (no room), "
      "summed over its threads.",
      NULL, cmd_runs_show },
    { "catalogue check", "", 0, 0, "prove that the record of this host's runs is whole",
      "Checks every page and reference of the database (catalogue.db in the state directory; /usr/share/doc/bkd/catalogue.md says what is in it). Ends with 4 when it is damaged.", NULL,
      cmd_catalogue_check },
    { "catalogue export", "[POLICY]", 0, 1, "store what only the catalogue knows beside the repository",
      "Runs, slots, alarms and verifications of the policy, encrypted for the repository's recipients and signed. Backups do it about once a day, and bring it to the copies; "
      "old ones go where files can be removed.", catalogue_export_options, cmd_catalogue_export },
    { "catalogue rebuild", "[POLICY]", 0, 1, "make the catalogue whole again",
      "Sets a damaged database aside, takes its last nightly copy, and reads snapshots and copies anew from the heads of every repository and copy. With an identity also what was "
      "exported beside them: runs, alarms, verifications. Nothing that is there is lost, however often it is done. Ends with 3 when not all could be read.",
      catalogue_rebuild_options, cmd_catalogue_rebuild },
    { "trust-host", "POLICY|URL", 1, 1, "pin the host key of an SSH server",
      "Asks the servers of the policy's repository and copies one after the other, or that of the address, for the host key, shows the key's fingerprint, and pins it "
      "when you say that it is the right one; one that was pinned before gives way to a --fingerprint or an answer, and that is told. bkd talks to pinned servers only, and never pins a key by itself.",
      trust_host_options, cmd_trust_host },
    { "copy", "FROM TO", 2, 2, "copy a whole repository",
      "Makes or brings up to date at TO a copy of the repository FROM, all chains of it; each is a directory or an sftp:// address. Every object is compared with its "
      "SHA-256 on the way, and what names it comes after it: cut off anywhere, TO is a good repository of fewer snapshots, and the next time goes on from there. "
      "No identity is needed. What is at TO is never changed; another repository there, or a snapshot that FROM does not have, is refused (4).",
      copy_options, cmd_copy },
    { "check-remote", "POLICY|URL", 1, 1, "find out whether a break-in here could destroy the copies",
      "Makes a small file in tmp/ at each place of the policy that is on a server (or at URL) and tries to overwrite it, append to it, truncate it, set its times and mode, "
      "rename it and over it, and delete it, and to run a command; each answer is verified by reading the file again. Says whether the place is append-only, how much "
      "space is free, how far its clock is from this one, the round trip, and what the server offers. A plain account of sshd's is not append-only; see `bkd serve`.",
      check_remote_options, cmd_check_remote },
    { "serve", "", 0, 0, "be the far side of copies that nobody can take back",
      "Speaks SFTP on standard input and output, as the forced command of an account that others ship to: in its authorized_keys, "
      "restrict,command=\"bkd serve --append-only --root /srv/bkd/erp\" ssh-ed25519 …. A client can list, read, and add files, each whole and under a name that is free; it cannot overwrite, truncate, rename, "
      "remove or link what is there, set times, see what lies outside DIR, or run commands: so whoever breaks in where the backups come from cannot take them "
      "away. What is refused is logged (syslog, facility auth). Paths are those of DIR, with / or the full path of DIR at their front. An unfinished file has .part in its "
      "name; it goes when the session ends. What sessions that were killed left may be removed on the server after some days.",
      serve_options, cmd_serve },
    { "policy check", "[FILE|POLICY]...", 0, CLI_ARGS_MANY, "check policy files",
      "Shows every mistake of every file with its place and exits with 2 when there is one. POLICY is a name, as other commands take it. Without any, all policies of the "
      "configuration directory are checked, also that each policy named by `after` is there, and that none wait for each other.",
      NULL, cmd_policy_check },
    { "policy show", "POLICY", 1, 1, "show a policy's effective values",
      "Prints all keys with the values that hold, and where each comes from: a line of the file, or the default. What is printed is a policy "
      "file itself. POLICY is a name in the configuration directory's policies/, or a path with a slash.",
      NULL, cmd_policy_show },
    { "plan check", "PLAN", 1, 1, "check a recovery plan's file",
      "Shows every mistake with its place, and exits with 2 when there is one: unknown keys and references, steps that wait for each other. PLAN is a name in the configuration "
      "directory's plans/, or a path with a slash; bkd-plan(5) says what a plan is.",
      NULL, cmd_plan_check },
    { "plan lint", "PLAN", 1, 1, "find what is weak in a recovery plan",
      "Beside what `bkd plan check` finds: policies that are not there, steps for which nobody answers, roles without a deputy or a way to reach the holder, checks that "
      "check nothing, copies and checks that another host cannot use, and objectives that cannot be kept: the longest way through the steps, by measured times where there are any, takes longer. Exits with 2 when there is something.",
      NULL, cmd_plan_lint },
    { "plan show", "PLAN", 1, 1, "show the steps of a recovery plan on a time line",
      "When each step can begin and end at the earliest, by what was measured (the median of the policy's verifications; the plan's last run or rehearsal), else by its deadline; and which steps "
      "make the whole as long as it is.",
      NULL, cmd_plan_show },
    { "plan run", "PLAN", 1, 1, "carry out a recovery plan",
      "Carries out the steps in their order, at once where nothing says otherwise, each timed against its deadline. Everything is journaled as it happens; the same command goes on with a run "
      "that was interrupted or in which a step failed. Manual steps and decisions are answered on the terminal, or elsewhere with `bkd plan answer`. Ends with 1 when a step failed, "
      "with 5 when everything is back, but later than promised.",
      plan_run_options, cmd_plan_run },
    { "plan answer", "RUN|PLAN STEP", 2, 2, "answer a question of a plan that is carried out",
      "Confirms a manual step, or decides, for a run that waits for it: by the run's id, or the plan's name for the run that goes on. What is said goes on record.", plan_answer_options,
      cmd_plan_answer },
    { "plan close", "RUN|PLAN", 1, 1, "say that a run of a plan is over",
      "For a run that failed, was interrupted or killed, and that nobody will go on with: it counts as aborted, and `bkd status` no longer warns of it. Who says so goes on record. Ends with 6 "
      "while a process carries the run out.",
      plan_close_options, cmd_plan_close },
    { "plan list", "", 0, 0, "list the recovery plans, and whether they were rehearsed",
      "A plan counts as rehearsed when a whole rehearsal of exactly this text passed: any change sets it back. Says also when a plan is to be looked through again.", NULL, cmd_plan_list },
    { "plan print", "PLAN", 1, 1, "print a recovery plan as a handbook for the emergency",
      "HTML for paper (A4), complete in one file: contents, whom to call, every step with its command as a QR code and boxes to sign. The commands do each step by hand: restores with bkd-restore, "
      "also on stand-bys where it has to be brought first.", plan_print_options, cmd_plan_print },
    { "config check", "", 0, 0, "check the host's configuration file",
      "Shows every mistake of CONFIG_DIR/bkd.yaml (see bkd.yaml(5)) with its place and exits with 2 when there is one. `bkd notify test` tries whether messages arrive.", NULL,
      cmd_config_check },
    { "config show", "", 0, 0, "show the host's configuration as it holds",
      "Prints the values that hold, and where each comes from: a line of the file, or the default. What is printed is such a file itself.", NULL, cmd_config_show },
    { "metrics", "", 0, 0, "print figures for Prometheus",
      "Prints, in Prometheus' text format, for each policy and copy the last success, age, size, duration and stored bytes, the objectives and whether they are met, the alarms that "
      "stand, runs by result, and what waits for the notifiers. The daemon serves the same where `metrics: {listen: …}` of bkd.yaml(5) says so, and after each run it is "
      "written to `metrics: {textfile: …}`.", metrics_options, cmd_metrics },
    { "notify test", "[CHANNEL]", 0, 1, "send a test message for real",
      "Sends a test message over CHANNEL, or over every channel of the host's configuration (see bkd.yaml(5)), and says for each whether it was taken, and if not, why.", NULL,
      cmd_notify_test },
    { "notify status", "", 0, 0, "show whom messages reach, and what waits",
      "Shows for each channel when something was delivered last, and what waits because it could not be. Ends with 3 when a channel fails.", NULL, cmd_notify_status },
    { "notify send", "", 0, 0, "send what is due",
      "Makes messages of what happened and sends what waits, as each run and the daemon do. Where no daemon runs, call it from a crontab every few minutes, so that reminders, "
      "digests, and what could not be delivered before do not wait for the next backup.", NULL, cmd_notify_send },
    { "alarm list", "[POLICY]", 0, 1, "list what is wrong now", "Lists the alarms that stand, the heaviest first, with their numbers and what to do.", NULL, cmd_alarm_list },
    { "alarm ack", "NUMBER...", 1, CLI_ARGS_MANY, "say that you know of an alarm",
      "It is not repeated and not escalated any more, unless it gets worse. It stands until what it is about is well again; then that is told.", NULL, cmd_alarm_ack },
    { "completion", "SHELL", 1, 1, "print a completion script", "SHELL is bash. Use it with: source <(bkd completion bash)", NULL, cmd_completion },
    { "help", "[COMMAND]...", 0, 2, "explain bkd or a command", NULL, NULL, cmd_help },
    { 0 },
};

static const struct cli_program program = {
    .name = "bkd",
    .summary = "backups that are proved to restore",
    .version = PACKAGE_VERSION,
    .commands = commands,
    .options = global_options,
};

const struct cli_program *commands_program(void)
{
    return &program;
}
