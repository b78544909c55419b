#include "bkd/policy/schema.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bandwidth.h"
#include "bkd/base/bytes.h"
#include "bkd/base/nearest.h"
#include "bkd/policy/schema_times.h"
#include "bkd/policy/units.h"

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define TIB (UINT64_C(1) << 40)
#define AT(member) offsetof(struct policy, member)
#define AT_SOURCE(member) offsetof(struct policy_source, member)
#define AT_STORE(member) offsetof(struct policy_store, member)
#define AT_COMMAND(member) offsetof(struct policy_command, member)
#define AT_CHECK(member) offsetof(struct policy_check, member)
#define HOUR 3600u
#define WEEK (7 * 24 * HOUR)
#define YEAR (365 * 24 * HOUR)

// A place for a repository and what opens the way to it.
#define STORE_KEYS(name) \
    { name ".url", SCHEMA_URL, AT_STORE(url), 0, 0, NULL, true, NULL, "an absolute path of a directory, or an address sftp://USER@HOST:PORT/PATH", \
      "The place itself. A path after the host is absolute; after \\fI/~/\\fR it is relative to the account's home." }, \
    { name ".ssh", SCHEMA_MAP, 0, 0, 0, NULL, false, NULL, "a map with 'identity', 'known_hosts', 'passphrase', 'passphrase_command', 'config', 'transport', 'timeout' or 'connections'", \
      "The keys for an SSH server. Files are relative to CONFIG_DIR/keys." }, \
    { name ".ssh.identity", SCHEMA_TEXT, AT_STORE(ssh_identity), 0, 1000, "ssh_ed25519", false, NULL, "a file, or agent", \
      "The private key (Ed25519 or ECDSA) that opens the account, or the word \\fBagent\\fR for the keys of the SSH agent." }, \
    { name ".ssh.known_hosts", SCHEMA_TEXT, AT_STORE(ssh_known_hosts), 0, 1000, "known_hosts", false, NULL, "a file", \
      "Whose host keys are pinned, written by \\fBbkd trust\\-host\\fR." }, \
    { name ".ssh.passphrase", SCHEMA_TEXT, AT_STORE(ssh_passphrase), 0, 1000, "", false, NULL, "a file, or credential:NAME", \
      "Its first line is the private key's passphrase. \\fBcredential:\\fRNAME is a credential that systemd gives the service (LoadCredential= or " \
      "LoadCredentialEncrypted= of \\fBsystemd.exec\\fR(5))." }, \
    { name ".ssh.passphrase_command", SCHEMA_ARGV, AT_STORE(ssh_passphrase_command), 0, 0, NULL, false, NULL, "a list of a program and its arguments", \
      "Instead of \\fBpassphrase\\fR: the first line it writes is the passphrase." }, \
    { name ".ssh.config", SCHEMA_TEXT, AT_STORE(ssh_config), 0, 1000, "", false, NULL, "true, or a file", \
      "Take HostName, Port, User, IdentityFile, ProxyJump and ProxyCommand for the address's host from \\fIssh_config\\fR(5): \\fBtrue\\fR is " \
      "\\fI~/.ssh/config\\fR. What the address says comes first; IdentityFile counts where the file of \\fBidentity\\fR does not exist. The host key stays " \
      "pinned under the host's name in the address." }, \
    { name ".ssh.transport", SCHEMA_CHOICE, AT_STORE(ssh_transport), 0, 0, "builtin", false, "builtin ssh", "builtin or ssh", \
      "\\fBssh\\fR connects by the system's \\fBssh\\fR(1), which has AES\\-GCM, RSA keys and all of \\fIssh_config\\fR(5), if \\fBconfig\\fR names one. The host key stays pinned " \
      "in \\fBknown_hosts\\fR. A key's passphrase is the agent's business then. See doc/ssh.md for what is faster." }, \
    { name ".ssh.timeout", SCHEMA_DURATION, AT_STORE(ssh_timeout_s), 2, HOUR, "1min", false, NULL, "a duration from 2s to 1h", \
      "A server that says nothing for so long while it owes an answer is given up, and another connection tried." }, \
    { name ".ssh.connections", SCHEMA_NUMBER, AT_STORE(ssh_connections), 1, 8, "4", false, NULL, "a number from 1 to 8", \
      "How many connections may be open to the server at the same time. More than one are made only where much is to be sent or read, and only as many as the " \
      "server lets in; 1 is for servers that count or bill connections." }, \
    { name ".bandwidth", SCHEMA_BANDWIDTH, AT_STORE(bandwidth), 0, 200, "off", false, NULL, "off, a rate as 2MiB/s, or a table as \"08:00 4MiB/s, 19:00 off\"", \
      "What may be sent to a server a second, at the host's local time of day; the last time of a table holds over midnight. Not for directories." }, \
    { name ".verify", SCHEMA_CHOICE, AT_STORE(verify), 0, 0, "sample", false, "full sample none", "full, sample or none", \
      "How much is read back from a server that does not hash files itself (\\fBbkd serve\\fR does), after shipping and by \\fBbkd check\\fR: everything; a sample, " \
      "which is everything up to 64 MiB; or nothing, so that only sizes are compared." }

// Which snapshots stay. AT_KEEP: offset of a member of struct policy_keep.
#define KEEP_KEYS(name, AT_KEEP) \
    { name ".last", SCHEMA_NUMBER, AT_KEEP(last), 0, 100000, "0", false, NULL, "a number from 0 to 100000", "The newest so many." }, \
    { name ".hourly", SCHEMA_NUMBER, AT_KEEP(hourly), 0, 100000, "0", false, NULL, "a number from 0 to 100000", \
      "The newest of each of the last so many hours that have one." }, \
    { name ".daily", SCHEMA_NUMBER, AT_KEEP(daily), 0, 100000, "0", false, NULL, "a number from 0 to 100000", \
      "The newest of each of the last so many days that have one." }, \
    { name ".weekly", SCHEMA_NUMBER, AT_KEEP(weekly), 0, 100000, "0", false, NULL, "a number from 0 to 100000", \
      "Likewise of weeks, which begin on Monday." }, \
    { name ".monthly", SCHEMA_NUMBER, AT_KEEP(monthly), 0, 100000, "0", false, NULL, "a number from 0 to 100000", "Likewise of calendar months." }, \
    { name ".quarterly", SCHEMA_NUMBER, AT_KEEP(quarterly), 0, 100000, "0", false, NULL, "a number from 0 to 100000", "Likewise of quarters of a year." }, \
    { name ".yearly", SCHEMA_NUMBER, AT_KEEP(yearly), 0, 100000, "0", false, NULL, "a number from 0 to 100000", "Likewise of calendar years." }, \
    { name ".within", SCHEMA_DURATION, AT_KEEP(within_s), 1, 100 * 52 * (uint64_t)WEEK, "none", false, "none", "none or a duration from 1s to 5200w", \
      "All that are at most so much older than the newest." }
#define AT_POLICY_KEEP(member) AT(keep.member)
#define AT_STORE_KEEP(member) AT_STORE(keep.member)

static const struct schema_key keys[] = {
    { "description", SCHEMA_TEXT, AT(description), 0, 1000, "", false, NULL, "one line of text",
      "What is backed up here, for people." },
    { "sources", SCHEMA_SOURCES, AT(sources), 0, 0, NULL, false, NULL, "a list of paths, or of maps with 'path' or 'stream'",
      "What to back up. An item is a path, or a map with the keys below. No source may lie in another one. Required, unless there is \\fBverify\\fR: a policy "
      "without sources only verifies what another host stores; see VERIFICATION." },
    { "sources.path", SCHEMA_PATH, AT_SOURCE(path), 0, 0, NULL, false, NULL, "an absolute path",
      "A directory or file. The tree is stored under its full path." },
    { "sources.exclude", SCHEMA_PATTERNS, AT_SOURCE(exclude), 0, 0, NULL, false, NULL, "a list of patterns in quotes",
      "What to leave out, with the patterns of \\fBgitignore\\fR(5); see PATTERNS. They come after those of the top level, and can take back with "
      "\\fB!\\fR what these leave out." },
    { "sources.exclude_if_present", SCHEMA_NAMES, AT_SOURCE(exclude_if_present), 0, 0, NULL, false, NULL, "a list of file names in quotes",
      "As at the top level, for this source, instead of what is said there; \\fB[]\\fR is none." },
    { "sources.exclude_larger_than", SCHEMA_SIZE, AT_SOURCE(exclude_larger_than_bytes), 1, 1024 * TIB, NULL, false, "none", "none or a size from 1B to 1024TiB",
      "As at the top level, for this source, instead of what is said there." },
    { "sources.exclude_nodump", SCHEMA_BOOL, AT_SOURCE(exclude_nodump), 0, 0, NULL, false, NULL, "true or false",
      "As at the top level, for this source, instead of what is said there." },
    { "sources.snapshot", SCHEMA_MAP_OR_NONE, AT_SOURCE(snapshot.wanted), 0, 0, NULL, false, NULL, "none, or a map with 'type'",
      "Take a snapshot of the file system this source is on, back up what it holds (under the source's own path), and remove it, whatever happens; "
      "see SNAPSHOTS OF A SOURCE." },
    { "sources.snapshot.type", SCHEMA_CHOICE, AT_SOURCE(snapshot.type), 0, 0, NULL, true, "lvm btrfs zfs command", "lvm, btrfs, zfs or command",
      "What makes the snapshot. \\fBcommand\\fR runs what \\fBcreate\\fR and \\fBrelease\\fR say, for any other way." },
    { "sources.snapshot.size", SCHEMA_SIZE, AT_SOURCE(snapshot.size_bytes), 4 * MIB, 1024 * TIB, "auto", false, "auto", "auto or a size from 4MiB to 1024TiB",
      "Of \\fBlvm\\fR: room for what changes on the volume while the backup runs; \\fBauto\\fR is a tenth of it. Thin volumes need none." },
    { "sources.snapshot.place", SCHEMA_PATH, AT_SOURCE(snapshot.place), 0, 0, NULL, false, NULL, "an absolute path",
      "Of \\fBbtrfs\\fR: the directory, on the same file system, to make the snapshot in; else \\fI.bkd\\-snapshots\\fR at the top of the subvolume, which is "
      "made when it is missing." },
    { "sources.snapshot.create", SCHEMA_ARGV, AT_SOURCE(snapshot.create), 0, 0, NULL, false, NULL, "a list of a program and its arguments",
      "Of \\fBcommand\\fR: makes the snapshot. Without \\fBpath\\fR the last line it writes is the path of what to read in the place of the source." },
    { "sources.snapshot.release", SCHEMA_ARGV, AT_SOURCE(snapshot.release), 0, 0, NULL, false, NULL, "a list of a program and its arguments",
      "Of \\fBcommand\\fR: removes it. Is run also when \\fBcreate\\fR failed, and by the next run when this one was killed." },
    { "sources.snapshot.path", SCHEMA_PATH, AT_SOURCE(snapshot.path), 0, 0, NULL, false, NULL, "an absolute path",
      "Of \\fBcommand\\fR: what to read in the place of the source." },
    { "sources.snapshot.timeout", SCHEMA_DURATION, AT_SOURCE(snapshot.timeout_s), 1, WEEK, "10min", false, NULL, "a duration from 1s to 1w",
      "How long making it, and removing it, may take." },
    { "sources.stream", SCHEMA_MAP, 0, 0, 0, NULL, false, NULL, "a map with 'name' and 'command'",
      "A command instead of a path: what it writes to its standard output becomes a file; see STREAMS. No other key stands beside it." },
    { "sources.stream.name", SCHEMA_TEXT, AT_SOURCE(stream.name), 0, 255, NULL, true, NULL, "the name of a file",
      "What the file is called, below \\fIstream/\\fR. Each name is given once." },
    { "sources.stream.command", SCHEMA_ARGV, AT_SOURCE(stream.command), 0, 0, NULL, true, NULL, "a list of a program and its arguments",
      "The program (an absolute path, or a name) and its arguments, each an item. No shell reads them, unless the program is one." },
    { "sources.stream.env", SCHEMA_ENV, AT_SOURCE(stream.env), 0, 0, NULL, false, NULL, "a list of \"NAME=value\"",
      "Variables of its environment, beside the few it always gets." },
    { "sources.stream.user", SCHEMA_TEXT, AT_SOURCE(stream.user), 0, 32, "", false, NULL, "the name of a user",
      "Run it with the rights of this user, as root may; else it has those of bkd." },
    { "sources.stream.timeout", SCHEMA_DURATION, AT_SOURCE(stream.timeout_s), 1, WEEK, "1d", false, NULL, "a duration from 1s to 1w",
      "When it takes longer, it is killed with all it started, and has failed." },
    { "repository", SCHEMA_STORE, AT(repository), 0, 0, NULL, true, NULL, "an absolute path of a directory, an address sftp://USER@HOST:PORT/PATH, or a map with 'url'",
      "Where to store it: a directory or a place on an SSH server, made by \\fBbkd init\\fR. A directory may not lie in a source (unless that part is excluded), "
      "nor a source in it. A server's host key is pinned with \\fBbkd trust\\-host\\fR." },
    STORE_KEYS("repository"),
    { "offsite", SCHEMA_STORES, AT(offsite), 0, 0, NULL, false, NULL, "a list of directories, addresses sftp://USER@HOST:PORT/PATH, and maps with 'url'",
      "Copies in other places, brought up to date after each backup and by \\fBbkd ship\\fR; see COPIES. An item is written as \\fBrepository\\fR is." },
    STORE_KEYS("offsite"),
    { "offsite.removable", SCHEMA_BOOL, AT_STORE(removable), 0, 0, "false", false, NULL, "true or false",
      "The directory is on a disk that is there only sometimes; several disks may take turns. Each is made known once, with \\fBbkd ship \\-\\-init\\fR." },
    { "offsite.max_age", SCHEMA_DURATION, AT_STORE(max_age_s), 60, 52 * WEEK, "auto", false, "auto", "auto or a duration from 1min to 52w",
      "\\fBauto\\fR is what \\fBobjectives.rpo\\fR promises; a week where it promises nothing, and for removable disks. When the newest snapshot that "
      "reached this copy is older, \\fBbkd status\\fR says so as an alarm (exit 5), which is told by the notifiers; each run that could not bring it up to date warns of it." },
    { "schedule", SCHEMA_SCHEDULE, AT(schedule), 0, 0, NULL, false, NULL, "a calendar expression in quotes, or a list of them",
      "When to back up: a cron expression such as \\fB\"30 1 * * *\"\\fR, a word such as \\fB\"@daily\"\\fR, or systemd's form, such as "
      "\\fB\"Mon..Fri 01:30\"\\fR; see SCHEDULES. Of a list, each item's times count. Without it the policy runs only when it is asked to." },
    { "timezone", SCHEMA_ZONE, AT(timezone), 0, ZONE_NAME_MAX, "host", false, NULL, "a time zone such as Europe/Berlin, or host",
      "Whose local time the schedule and the window mean; \\fBhost\\fR is that of \\fI/etc/localtime\\fR." },
    { "jitter", SCHEMA_DURATION, AT(jitter_s), 0, 24 * HOUR, "none", false, "none", "none or a duration up to 1d",
      "Start each run up to so much later, by a time that is always the same for this policy on this host, so that many hosts do not begin in the same second." },
    { "window", SCHEMA_MAP, 0, 0, 0, NULL, false, NULL, "a map with 'length', 'until' or 'at_end'",
      "Until when a run may begin, and what happens when it is still going on then. It opens with the slot. A slot whose window has ended is missed, and not caught up." },
    { "window.length", SCHEMA_DURATION, AT(window.length_s), 60, WEEK, "none", false, "none", "none or a duration from 1min to 1w",
      "The window ends so much after the slot." },
    { "window.until", SCHEMA_TIME_OF_DAY, AT(window.until_minute), 0, 0, "none", false, NULL, "none or a time of day as 06:00",
      "The window ends when it is this time of day, after the slot, in the policy's time zone." },
    { "window.at_end", SCHEMA_CHOICE, AT(window.at_end), 0, 0, "finish", false, "finish warn stop", "finish, warn or stop",
      "What becomes of a run that is still going on when its window ends: it goes on to its end; it does, and a warning is raised; or it is stopped, "
      "and the next run goes on from what was stored." },
    { "retry", SCHEMA_MAP, 0, 0, 0, NULL, false, NULL, "a map with 'times', 'delay' or 'max_delay'",
      "Trying again when a run failed for a reason that may pass. Mistakes in the policy, missing keys and damage are for a person: no run is repeated for them." },
    { "retry.times", SCHEMA_NUMBER, AT(retry.times), 0, 100, "3", false, NULL, "a number from 0 to 100",
      "How often the run for one slot is tried again." },
    { "retry.delay", SCHEMA_DURATION, AT(retry.delay_s), 1, WEEK, "5min", false, NULL, "a duration from 1s to 1w",
      "How long to wait before that; twice as long each further time." },
    { "retry.max_delay", SCHEMA_DURATION, AT(retry.max_delay_s), 1, WEEK, "1h", false, NULL, "a duration from 1s to 1w",
      "The longest wait." },
    { "catch_up", SCHEMA_CHOICE, AT(catch_up), 0, 0, "once", false, "once none", "once or none",
      "What becomes of slots that were missed, the host being off for example: one run as soon as possible makes up for all since the last success; or none." },
    { "after", SCHEMA_POLICIES, AT(after), 0, 0, NULL, false, NULL, "the name of a policy, or a list of them",
      "Do not begin while one of these policies runs, is due or is about to be tried again." },
    { "after_failure", SCHEMA_CHOICE, AT(after_failure), 0, 0, "run", false, "run skip", "run or skip",
      "What to do when the last run of a policy named by \\fBafter\\fR failed: run all the same, or leave this slot out." },
    { "objectives", SCHEMA_MAP, 0, 0, 0, NULL, false, NULL, "a map with 'rpo', 'rto' or 'tier'",
      "What is promised about this policy." },
    { "objectives.rpo", SCHEMA_DURATION, AT(objectives.rpo_s), 60, YEAR, "none", false, "none", "none or a duration from 1min to 365d",
      "Recovery point objective: how old the newest good snapshot may be, at each place it is kept." },
    { "objectives.rto", SCHEMA_DURATION, AT(objectives.rto_s), 1, YEAR, "none", false, "none", "none or a duration from 1s to 365d",
      "Recovery time objective: how long a restore may take." },
    { "objectives.tier", SCHEMA_NUMBER, AT(objectives.tier), 1, POLICY_TIERS, "3", false, NULL, "a number from 1 to 9",
      "How important the policy is, 1 being the most: when several are due, these come first." },
    { "offsite.keep", SCHEMA_MAP, 0, 0, 0, NULL, false, NULL, "a map with 'daily', 'weekly', 'all' or others of its keys",
      "Which snapshots this copy keeps, when not the same as the policy's \\fBkeep\\fR says; see RETENTION." },
    KEEP_KEYS("offsite.keep", AT_STORE_KEEP),
    { "offsite.keep.all", SCHEMA_BOOL, AT_STORE(keep.all), 0, 0, "false", false, NULL, "true or false",
      "Every snapshot that reached it, whatever the policy's \\fBkeep\\fR says." },
    { "keep", SCHEMA_MAP, 0, 0, 0, NULL, false, NULL, "a map with 'last', 'daily', 'weekly', 'within' or others of its keys",
      "Which snapshots \\fBbkd prune\\fR keeps; see RETENTION. Without any of these keys it keeps all." },
    KEEP_KEYS("keep", AT_POLICY_KEEP),
    { "grace", SCHEMA_DURATION, AT(grace_s), 0, 52 * WEEK, "1d", false, NULL, "a duration from 0s to 52w",
      "How long the data of a snapshot that was given up stays, so that it can be taken back." },
    { "renewal", SCHEMA_MAP_OR_NONE, AT(renewal), 0, 0, "on", false, "off", "on, off, or a map with 'budget', 'budget_size' or 'min_live'",
      "Unchanged files whose data lies in objects that are mostly dead are stored anew by the backup, so that the old objects can be removed; see RETENTION. "
      "Only where \\fBkeep\\fR says what may go." },
    { "renewal.min_live", SCHEMA_PERCENT, AT(renewal_min_live_percent), 1, 90, "30%", false, NULL, "a share from 1% to 90%",
      "Objects of which the newest snapshot uses less are emptied. Too much makes a repository larger, since data is there twice until old snapshots go; "
      "\\fBbkd prune \\-\\-simulate\\fR shows what comes of it." },
    { "renewal.budget", SCHEMA_PERCENT, AT(renewal_budget_percent), 1, 100, "2%", false, NULL, "a share from 1% to 100%",
      "How much is stored anew in one run, against the size of all files." },
    { "renewal.budget_size", SCHEMA_SIZE, AT(renewal_budget_bytes), 1, 1024 * TIB, "auto", false, "auto", "auto or a size from 1B to 1024TiB",
      "The same as a size, instead of the share." },
    { "encryption", SCHEMA_MAP_OR_NONE, AT(encrypted), 0, 0, NULL, false, NULL, "none, or a map with 'recipients'",
      "To whom the backup is encrypted. \\fBnone\\fR stores it readable for everybody who can read the repository." },
    { "encryption.recipients", SCHEMA_RECIPIENTS, AT(recipients), 0, 0, "recipients.txt", false, NULL, "a file, or a list of files and age recipients",
      "A file of age recipients, one a line, or a list of such files and of recipients (\\fBage1\\fR...). Files are relative to CONFIG_DIR/keys." },
    { "encryption.allow_single_recipient", SCHEMA_BOOL, AT(allow_single_recipient), 0, 0, "false", false, NULL, "true or false",
      "Accept a single recipient. When its one identity is lost, so is every backup; therefore two are wanted: operations and offline recovery." },
    { "compression", SCHEMA_NUMBER, AT(compression_level), 1, 19, "2", false, NULL, "a number from 1 to 19",
      "The zstd level. 2 keeps pace with disks and stores about what 3 does in small frames; 1 is fastest, 6 saves another tenth for three times the work (a slow line), 19 is for archives that "
      "are written once. What is compressed already is recognised and passed over at any level. Without this key, the first GiB that is stored by each snapshot after the first one gets level 3: "
      "a night is small, and kept for long." },
    { "delta", SCHEMA_MAP, 0, 0, 0, NULL, false, NULL, "a map with 'min_size', 'block_size', 'max_chain' or 'max_share'",
      "How changed files are stored as differences from their previous version." },
    { "delta.min_size", SCHEMA_SIZE, AT(delta_min_size_bytes), 1, TIB, "auto", false, "auto", "auto or a size from 1B to 1TiB",
      "Smaller files are stored whole when they change. \\fBauto\\fR is 256KiB." },
    { "delta.block_size", SCHEMA_BLOCK_SIZE, AT(delta_block_size_bytes), 4 * KIB, 16 * MIB, "auto", false, "auto", "auto or a power of two from 4KiB to 16MiB",
      "The block of the search for moved data. Smaller finds more and needs more memory; \\fBauto\\fR is the smallest whose table fits in memory." },
    { "delta.max_chain", SCHEMA_NUMBER, AT(delta_max_chain), 1, 64, "20", false, NULL, "a number from 1 to 64",
      "How many versions recovery by hand may have to go through. Every half as many nights a changed file is stored against an earlier version, so that those between "
      "can go; when that does not help any more, it is stored whole again. Restores with bkd take the same time whatever the chain." },
    { "delta.max_share", SCHEMA_PERCENT, AT(delta_max_share_percent), 1, 100, "100%", false, NULL, "a share from 1% to 100%",
      "When the deltas that recovery by hand would have to apply to a file add up to a larger share of its size, it is stored whole again." },
    { "compare", SCHEMA_CHOICE, AT(compare), 0, 0, "inode", false, "inode mtime", "inode or mtime",
      "How an unchanged file is known: \\fBinode\\fR compares type, size, mtime, ctime and inode number; \\fBmtime\\fR only type, size and mtime, "
      "for file systems whose inode numbers are not stable." },
    { "one_filesystem", SCHEMA_BOOL, AT(one_filesystem), 0, 0, "true", false, NULL, "true or false",
      "Do not descend into other file systems mounted below a source; they are sources of their own. Mount points are recorded; see WHERE A RUN GOES." },
    { "exclude", SCHEMA_PATTERNS, AT(exclude), 0, 0, NULL, false, NULL, "a list of patterns in quotes",
      "What to leave out of each source, with the patterns of \\fBgitignore\\fR(5), relative to the source; see PATTERNS." },
    { "exclude_if_present", SCHEMA_NAMES, AT(exclude_if_present), 0, 0, NULL, false, NULL, "a list of file names in quotes",
      "Names of files that mark a directory below a source: of such a directory nothing is stored but itself and the marking file. "
      "\\fB\"CACHEDIR.TAG\"\\fR counts only with the signature that the Cache Directory Tagging Specification wants." },
    { "exclude_larger_than", SCHEMA_SIZE, AT(exclude_larger_than_bytes), 1, 1024 * TIB, "none", false, "none", "none or a size from 1B to 1024TiB",
      "Leave out files whose size (as \\fBls \\-l\\fR shows it, holes included) is larger." },
    { "exclude_nodump", SCHEMA_BOOL, AT(exclude_nodump), 0, 0, "false", false, NULL, "true or false",
      "Leave out files and directories with the inode flag \\fBd\\fR of \\fBchattr\\fR(1)." },
    { "guard", SCHEMA_MAP_OR_NONE, AT(guard), 0, 0, "on", false, "off", "on, off, or a map with 'gone', 'changed', 'incompressible' or 'min_files'",
      "The guard against mass changes: a run that finds far more files gone, changed or turned incompressible than this policy is used to marks its snapshot suspect "
      "and ends with 4, and retention stops until \\fBbkd accept\\fR; see MASS CHANGES." },
    { "guard.gone", SCHEMA_PERCENT, AT(guard_gone_percent), 1, 100, "auto", false, "auto", "auto or a share from 1% to 100%",
      "More files gone than this share of those there were are suspect. \\fBauto\\fR goes by the policy's last 90 runs, and is 50% at first." },
    { "guard.changed", SCHEMA_PERCENT, AT(guard_changed_percent), 1, 100, "auto", false, "auto", "auto or a share from 1% to 100%",
      "The same for files with other content; \\fBauto\\fR is 80% at first." },
    { "guard.incompressible", SCHEMA_PERCENT, AT(guard_incompressible_percent), 1, 100, "auto", false, "auto", "auto or a share from 1% to 100%",
      "The same for files that would compress before and are noise now, by number or by size; \\fBauto\\fR is 20% at first, by size 50%." },
    { "guard.min_files", SCHEMA_NUMBER, AT(guard_min_files), 1, 1000000000, "20", false, NULL, "a number from 1 to 1000000000",
      "Of fewer files nothing is said." },
    { "hooks", SCHEMA_MAP, 0, 0, 0, NULL, false, NULL, "a map with 'before', 'after' or 'on_failure'",
      "Commands around a run; see HOOKS." },
    { "hooks.before", SCHEMA_COMMANDS, AT(hooks_before), 0, 0, NULL, false, NULL, "a command, or a list of commands",
      "What to run before the backup. When one fails, the rest is not run and nothing is backed up." },
    { "hooks.after", SCHEMA_COMMANDS, AT(hooks_after), 0, 0, NULL, false, NULL, "a command, or a list of commands",
      "What to run at the end, also when the backup, or a command before it, failed." },
    { "hooks.on_failure", SCHEMA_COMMANDS, AT(hooks_on_failure), 0, 0, NULL, false, NULL, "a command, or a list of commands",
      "What to run when the run failed, before \\fBhooks.after\\fR." },
    { "hooks.HOOK.command", SCHEMA_ARGV, AT_COMMAND(argv), 0, 0, NULL, true, NULL, "a list of a program and its arguments",
      "The program (an absolute path, or a name) and its arguments, each an item. No shell reads them, unless the program is one." },
    { "hooks.HOOK.name", SCHEMA_TEXT, AT_COMMAND(name), 0, 100, "", false, NULL, "one line of text",
      "What messages call it, instead of the program's name." },
    { "hooks.HOOK.timeout", SCHEMA_DURATION, AT_COMMAND(timeout_s), 1, WEEK, "1h", false, NULL, "a duration from 1s to 1w",
      "When it takes longer, it is killed with all it started, and has failed." },
    { "verify", SCHEMA_MAP, 0, 0, 0, NULL, false, NULL, "a map with 'schedule', 'from', 'mode', 'identity' or 'checks'",
      "How \\fBbkd verify\\fR proves that what is stored can be restored; see VERIFICATION." },
    { "verify.schedule", SCHEMA_SCHEDULE, AT(verify.schedule), 0, 0, NULL, false, NULL, "a calendar expression in quotes, or a list of them",
      "When to verify the newest snapshot by itself, as \\fBschedule\\fR is written. \\fBtimezone\\fR, \\fBwindow\\fR, \\fBjitter\\fR, \\fBretry\\fR and \\fBcatch_up\\fR hold for it, too. "
      "It waits while a backup of the policy runs, and a backup waits for it." },
    { "verify.from", SCHEMA_TEXT, AT(verify.from), 0, 4096, "auto", false, NULL, "auto, repository, offsite, or the address of a copy",
      "Which copy to restore from. \\fBoffsite\\fR is the first one below \\fBoffsite\\fR; \\fBauto\\fR is that where there is one, else the repository." },
    { "verify.mode", SCHEMA_CHOICE, AT(verify.mode), 0, 0, "full", false, "full sample", "full or sample",
      "\\fBfull\\fR restores everything and runs the checks. \\fBsample\\fR restores files drawn at random, the newest, the largest and the canaries; "
      "checks are not run." },
    { "verify.sample", SCHEMA_NUMBER, AT(verify.sample_files), 1, 2000, "100", false, NULL, "a number from 1 to 2000", "How many files a sample draws at random." },
    { "verify.canaries", SCHEMA_PATHS, AT(verify.canaries), 0, 0, NULL, false, NULL, "a list of absolute paths", "Files that every sample has." },
    { "verify.identity", SCHEMA_TEXT, AT(verify.identity), 0, 1000, "operations.txt", false, NULL, "a file",
      "The age identity that opens the backups, relative to CONFIG_DIR/keys. A host that is backed up should not have it: then nothing is proven here, but by "
      "another host that has it." },
    { "verify.scratch", SCHEMA_TEXT, AT(verify.scratch), 0, 4096, "/var/tmp", false, NULL, "an absolute path",
      "Where to restore to, in a directory that is made for it and removed again." },
    { "verify.timeout", SCHEMA_DURATION, AT(verify.timeout_s), 1, 52 * (uint64_t)WEEK, "1d", false, NULL, "a duration from 1s to 52w",
      "When the restore takes longer, it is ended, and nothing is proven." },
    { "verify.checks", SCHEMA_CHECKS, AT(verify.checks), 0, 0, NULL, false, NULL, "a list of maps with 'type'",
      "What must work in the restored tree, one after the other; see VERIFICATION." },
    { "verify.checks.type", SCHEMA_CHOICE, AT_CHECK(type), 0, 0, NULL, true, "command file sqlite postgres http mtree",
      "command, file, sqlite, postgres, http or mtree", "What is done." },
    { "verify.checks.name", SCHEMA_TEXT, AT_CHECK(name), 0, 100, "", false, NULL, "one line of text", "What reports call it, instead of its type." },
    { "verify.checks.timeout", SCHEMA_DURATION, AT_CHECK(timeout_s), 1, WEEK, "10min", false, NULL, "a duration from 1s to 1w", "When it takes longer, it has failed." },
    { "verify.checks.user", SCHEMA_TEXT, AT_CHECK(user), 0, 32, "", false, NULL, "the name of a user", "Who runs its programs, where bkd may change user." },
    { "verify.checks.run", SCHEMA_ARGV, AT_CHECK(run), 0, 0, NULL, false, NULL, "a list of a program and its arguments",
      "Of \\fBcommand\\fR: it must end with 0. Of \\fBhttp\\fR: what answers at \\fBurl\\fR while it runs. The restored tree is its working directory." },
    { "verify.checks.file", SCHEMA_TEXT, AT_CHECK(file), 0, 4096, "", false, NULL, "a path in the restored tree",
      "Of \\fBfile\\fR and \\fBsqlite\\fR: which file, as \\fIsrv/erp/db\\fR. Of \\fBmtree\\fR: the specification, an absolute path on this host." },
    { "verify.checks.sha256", SCHEMA_TEXT, AT_CHECK(sha256), 0, 64, "", false, NULL, "64 hexadecimal digits", "Of \\fBfile\\fR: what its content must have." },
    { "verify.checks.min_size", SCHEMA_SIZE, AT_CHECK(min_size_bytes), 1, 1024 * TIB, "none", false, "none", "none or a size from 1B to 1024TiB",
      "Of \\fBfile\\fR: the least it must have." },
    { "verify.checks.max_size", SCHEMA_SIZE, AT_CHECK(max_size_bytes), 1, 1024 * TIB, "none", false, "none", "none or a size from 1B to 1024TiB",
      "Of \\fBfile\\fR: the most it may have." },
    { "verify.checks.pattern", SCHEMA_TEXT, AT_CHECK(pattern), 0, 1000, "", false, NULL, "an extended regular expression",
      "Of \\fBfile\\fR: matches one of its lines (\\fIregex\\fR(7)). Of \\fBhttp\\fR: is found in the answer." },
    { "verify.checks.query", SCHEMA_TEXT, AT_CHECK(query), 0, 4096, "", false, NULL, "one line of SQL", "Of \\fBsqlite\\fR and \\fBpostgres\\fR: what to ask." },
    { "verify.checks.expect", SCHEMA_TEXT, AT_CHECK(expect), 0, 4096, "", false, NULL, "one line of text",
      "What the query must give: columns with | between; blanks around it do not count." },
    { "verify.checks.directory", SCHEMA_TEXT, AT_CHECK(directory), 0, 4096, "", false, NULL, "a path in the restored tree",
      "Of \\fBpostgres\\fR: the data directory, which a private server starts on." },
    { "verify.checks.dump", SCHEMA_TEXT, AT_CHECK(dump), 0, 4096, "", false, NULL, "a path in the restored tree",
      "Of \\fBpostgres\\fR: a dump, such as \\fIstream/erp.dump\\fR, which a new private server takes." },
    { "verify.checks.database", SCHEMA_TEXT, AT_CHECK(database), 0, 100, "", false, NULL, "the name of a database", "Of \\fBpostgres\\fR: where to ask. Empty is postgres." },
    { "verify.checks.url", SCHEMA_TEXT, AT_CHECK(url), 0, 4096, "", false, NULL, "an address http://… or https://…", "Of \\fBhttp\\fR: what to ask until it answers." },
    { "verify.checks.status", SCHEMA_NUMBER, AT_CHECK(status), 100, 599, "200", false, NULL, "a number from 100 to 599", "Of \\fBhttp\\fR: the status that is right." },
};
#define KEY_COUNT (sizeof keys / sizeof *keys)
_Static_assert(KEY_COUNT <= POLICY_KEYS_MAX, "key_lines is too short");

static const struct schema_table table = { keys, KEY_COUNT };

const struct schema_table *schema_of_policies(void) { return &table; }

const struct schema_key *schema_keys(size_t *ret_count)
{
    *ret_count = KEY_COUNT;
    return keys;
}

size_t schema_index(const struct schema_key *key)
{
    return (size_t)(key - keys);
}

enum schema_owner schema_owner(const struct schema_key *key)
{
    if (strncmp(key->name, "sources.", 8) == 0)
        return SCHEMA_OF_SOURCE;
    if (strncmp(key->name, "repository.", 11) == 0 || strncmp(key->name, "offsite.", 8) == 0)
        return SCHEMA_OF_STORE;
    if (strncmp(key->name, "verify.checks.", 14) == 0)
        return SCHEMA_OF_CHECK;
    return strncmp(key->name, "hooks.HOOK.", 11) == 0 ? SCHEMA_OF_COMMAND : SCHEMA_OF_POLICY;
}

bool schema_has_word(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = words; *at != '\0'; at += strcspn(at, " "), at += strspn(at, " "))
        if (strcspn(at, " ") == n && strncmp(at, word, n) == 0)
            return true;
    return false;
}

const char *schema_leaf(const struct schema_key *key)
{
    const char *dot = strrchr(key->name, '.');
    return dot ? dot + 1 : key->name;
}

bool schema_is_below(const struct schema_key *key, const char *parent)
{
    size_t n = strlen(parent);
    if (n == 0)
        return !strchr(key->name, '.');
    return strncmp(key->name, parent, n) == 0 && key->name[n] == '.' && !strchr(key->name + n + 1, '.');
}

const struct schema_key *schema_table_find(const struct schema_table *t, const char *parent, const char *name)
{
    for (size_t i = 0; i < t->count; i++)
        if (schema_is_below(&t->keys[i], parent) && strcmp(schema_leaf(&t->keys[i]), name) == 0)
            return &t->keys[i];
    return NULL;
}

const struct schema_key *schema_find(const char *parent, const char *name)
{
    return schema_table_find(&table, parent, name);
}

const struct schema_key *schema_table_nearest(const struct schema_table *t, const char *parent, const char *typed)
{
    const struct schema_key *best = NULL;
    struct nearest nearest = nearest_to(typed);
    for (int everywhere = 0; everywhere < 2 && !best; everywhere++) {
        for (size_t i = 0; i < t->count; i++) {
            if (!everywhere && !schema_is_below(&t->keys[i], parent))
                continue;
            const char *before = nearest.best;
            nearest_offer(&nearest, schema_leaf(&t->keys[i]));
            if (nearest.best != before)
                best = &t->keys[i];
        }
    }
    return best;
}

const struct schema_key *schema_nearest(const char *parent, const char *typed)
{
    return schema_table_nearest(&table, parent, typed);
}

// ---- values ------------------------------------------------------------------------------------------------------------

static int refuse(const struct schema_key *key, const char *text, struct error *err)
{
    return error_set(err, ERROR_USAGE, "'%s' must be %s, not '%s'", schema_leaf(key), key->form, text);
}

static int set_bool(const struct schema_key *key, const char *text, bool *at, struct error *err)
{
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return refuse(key, text, err);
    *at = text[0] == 't';
    return 0;
}

static int set_number(const struct schema_key *key, const char *text, uint64_t *at, struct error *err)
{
    uint64_t value;
    if (!parse_u64(text, strlen(text), key->max, &value) || value < key->min)
        return refuse(key, text, err);
    *at = value;
    return 0;
}

static int set_size(const struct schema_key *key, const char *text, uint64_t *at, struct error *err)
{
    uint64_t value = 0;
    if (strcmp(text, key->choices) != 0) {
        int rc = units_parse_size(text, &value, err);
        if (rc < 0)
            return rc;
        bool even = key->type != SCHEMA_BLOCK_SIZE || (value & (value - 1)) == 0;
        if (value < key->min || value > key->max || !even)
            return refuse(key, text, err);
    }
    *at = value;
    return 0;
}

static int set_percent(const struct schema_key *key, const char *text, uint64_t *at, struct error *err)
{
    uint64_t value = 0;
    if (key->choices == NULL || strcmp(text, key->choices) != 0) {
        int rc = units_parse_percent(text, &value, err);
        if (rc < 0)
            return rc;
        if (value < key->min || value > key->max)
            return refuse(key, text, err);
    }
    *at = value;
    return 0;
}

static int set_duration(const struct schema_key *key, const char *text, uint64_t *at, struct error *err)
{
    uint64_t value;
    if (key->choices && strcmp(text, key->choices) == 0) {
        *at = 0;
        return 0;
    }
    int rc = units_parse_duration(text, &value, err);
    if (rc < 0)
        return rc;
    if (value < key->min || value > key->max)
        return refuse(key, text, err);
    *at = value;
    return 0;
}

static int set_choice(const struct schema_key *key, const char *text, uint64_t *at, struct error *err)
{
    uint64_t index = 0;
    size_t n = strlen(text);
    for (const char *word = key->choices; *word; index++) {
        size_t len = strcspn(word, " ");
        if (len == n && strncmp(word, text, n) == 0) {
            *at = index;
            return 0;
        }
        word += len + strspn(word + len, " ");
    }
    return refuse(key, text, err);
}

static int set_map_or_none(const struct schema_key *key, const char *text, bool *at, struct error *err)
{
    bool is_none = strcmp(text, key->choices == NULL ? "none" : key->choices) == 0;
    if (!is_none && (key->default_text == NULL || strcmp(text, key->default_text) != 0))
        return refuse(key, text, err);
    *at = !is_none;
    return 0;
}

static int set_text(const struct schema_key *key, const char *text, char **at, struct error *err)
{
    size_t n = strlen(text);
    while (key->type == SCHEMA_PROSE && n > 0 && text[n - 1] == '\n')
        n--;
    if ((key->type != SCHEMA_PROSE && strchr(text, '\n')) || n > key->max)
        return error_set(err, ERROR_USAGE, "'%s' must be %s of at most %" PRIu64 " bytes", schema_leaf(key), key->form, key->max);
    free(*at);
    *at = xstrndup(text, n);
    return 0;
}

static int set_bandwidth(const struct schema_key *key, const char *text, void *at, struct error *err)
{
    struct bandwidth ignored;
    int r = bandwidth_parse(text, &ignored, err);
    return r < 0 ? error_prefix(err, "'%s'", schema_leaf(key)) : set_text(key, text, at, err);
}

int schema_set(const struct schema_key *key, const char *text, void *base, struct error *err)
{
    void *at = (char *)base + key->offset;
    switch (key->type) {
    case SCHEMA_PROSE:
    case SCHEMA_TEXT: return set_text(key, text, at, err);
    case SCHEMA_BANDWIDTH: return set_bandwidth(key, text, at, err);
    case SCHEMA_BOOL: return set_bool(key, text, at, err);
    case SCHEMA_NUMBER: return set_number(key, text, at, err);
    case SCHEMA_SIZE:
    case SCHEMA_BLOCK_SIZE: return set_size(key, text, at, err);
    case SCHEMA_PERCENT: return set_percent(key, text, at, err);
    case SCHEMA_DURATION: return set_duration(key, text, at, err);
    case SCHEMA_CHOICE: return set_choice(key, text, at, err);
    case SCHEMA_ZONE: return schema_times_set_zone(key, text, at, err);
    case SCHEMA_TIME_OF_DAY: return schema_times_set_minute(key, text, at, err);
    case SCHEMA_MAP_OR_NONE: return set_map_or_none(key, text, at, err);
    default: assert(!"a scalar key"); return ERROR_FAILED;
    }
}

static void get_choice(const struct schema_key *key, uint64_t index, struct buf *ret_text)
{
    const char *word = key->choices;
    for (; index > 0; index--)
        word += strcspn(word, " ") + 1;
    buf_add(ret_text, word, strcspn(word, " "));
}

void schema_get(const struct schema_key *key, const void *base, struct buf *ret_text)
{
    const void *at = (const char *)base + key->offset;
    char text[UNITS_TEXT_MAX];
    switch (key->type) {
    case SCHEMA_PROSE:
    case SCHEMA_TEXT:
    case SCHEMA_ZONE:
    case SCHEMA_BANDWIDTH: buf_add_str(ret_text, *(char *const *)at); break;
    case SCHEMA_BOOL: buf_add_str(ret_text, *(const bool *)at ? "true" : "false"); break;
    case SCHEMA_NUMBER: buf_add_u64(ret_text, *(const uint64_t *)at); break;
    case SCHEMA_PERCENT:
        if (key->choices != NULL && *(const uint64_t *)at == 0)
            buf_add_str(ret_text, key->choices);
        else
            buf_addf(ret_text, "%" PRIu64 "%%", *(const uint64_t *)at);
        break;
    case SCHEMA_DURATION:
        units_format_duration(text, *(const uint64_t *)at);
        buf_add_str(ret_text, *(const uint64_t *)at || !key->choices ? text : key->choices);
        break;
    case SCHEMA_TIME_OF_DAY: schema_times_get_minute(*(const uint64_t *)at, ret_text); break;
    case SCHEMA_CHOICE: get_choice(key, *(const uint64_t *)at, ret_text); break;
    case SCHEMA_SIZE:
    case SCHEMA_BLOCK_SIZE:
        units_format_size(text, *(const uint64_t *)at);
        buf_add_str(ret_text, *(const uint64_t *)at ? text : key->choices);
        break;
    default: assert(!"a scalar key");
    }
}

// ---- man page ----------------------------------------------------------------------------------------------------------

static void roff_word(const char *word, struct buf *ret_text)
{
    for (; *word; word++)
        buf_addf(ret_text, *word == '-' ? "\\-" : *word == '\'' ? "\\(aq" : "%c", *word);
}

void schema_man(const struct schema_table *t, struct buf *ret_text)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct schema_key *key = &t->keys[i];
        buf_add_str(ret_text, ".TP\n.B ");
        roff_word(key->name, ret_text);
        buf_add_str(ret_text, "\n");
        buf_addf(ret_text, "%s\n.br\nValue: ", key->help);
        roff_word(key->form, ret_text);
        if (key->required)
            buf_add_str(ret_text, ". Required.\n");
        else if (key->default_text && key->default_text[0])
            buf_addf(ret_text, ". Default: \\fB%s\\fR.\n", key->default_text);
        else
            buf_add_str(ret_text, ".\n");
    }
}
