#include "restore/verbs.h"

#include "restore/selection_args.h"
#include "restore/verb.h"

static const struct cli_option global_options[] = {
    { "repository", 'r', "DIR|URL", "the repository: a directory, or sftp://USER@HOST:PORT/PATH" },
    { "identity", 'i', "FILE", "age identity; needed when the repository is encrypted" },
    { "signers", 's', "FILE", "allowed_signers file: whose backups to believe (BKD_SIGNERS; keys/allowed_signers of the configuration)" },
    { "ssh-identity", 0, "FILE", "private key for a repository on an SSH server (without it the SSH agent's keys)" },
    { "ssh-passphrase", 0, "FILE", "its first line is the passphrase of that key; credential:NAME is one of systemd's" },
    { "ssh-config", 0, "FILE", "file of ssh_config(5) that explains the host's name (true: ssh's own): HostName, Port, User, IdentityFile, ProxyJump" },
    { "transport", 0, "HOW", "ssh: through the system's ssh program (AES-GCM, RSA keys, all of ssh_config); builtin" },
    { "known-hosts", 0, "FILE", "file with the server's pinned host key" },
    { "accept-unsigned", 0, NULL, "go without a signers file and believe whatever is stored" },
    { "policy", 'p', "NAME", "the chain of this policy, where there are several" },
    { "host", 0, "NAME", "together with --policy: of this host" },
    { "chain", 0, "HEX", "the chain of this id" },
    { "json", 0, NULL, "one JSON object a line on standard output" },
    { "quiet", 'q', NULL, "only warnings and errors, no progress" },
    { "verbose", 'v', NULL, "say more" },
    { "help", 'h', NULL, "explain bkd-restore or a command" },
    { "version", 0, NULL, "print the version" },
    { 0 },
};

static const struct cli_option ls_options[] = {
    SELECTION_OPTIONS,
    { 0 },
};

static const struct cli_option find_options[] = {
    { "snapshots", 0, "A..B", "only these: '3..7', '5..', '..latest~2', '4'" },
    { "all", 0, NULL, "all snapshots (the default)" },
    { "newer", 0, "TIME", "only entries changed since: 2026-11-30 or 2026-11-30T08:00:00Z" },
    { "older", 0, "TIME", "only entries changed before" },
    { 0 },
};

static const struct cli_option dump_options[] = {
    SELECTION_OPTIONS,
    { "tar", 0, NULL, "a tar stream even of a single file; without PATHs, of the whole snapshot" },
    { "jobs", 'j', "N", "threads that decode and compare (the number of processors)" },
    { 0 },
};

static const struct cli_option restore_options[] = {
    { "target", 't', "DIR", "where to; made when it does not exist" },
    { "in-place", 0, NULL, "where the files were: --target /; nothing that exists is touched without --overwrite" },
    SELECTION_OPTIONS,
    { "overwrite", 0, "MODE", "what becomes of names that exist: never (left and listed), if-changed, if-newer, always" },
    { "delete", 0, NULL, "an exact mirror: what the selected directories hold beside the snapshot is counted, asked about and deleted" },
    { "yes", 'y', NULL, "delete without asking" },
    { "in-place-delta", 0, NULL, "existing files serve what they hold; only their blocks that differ are written" },
    { "resume", 0, NULL, "go on with an interrupted restore: the same command, and this" },
    { "verify", 0, NULL, "at the end, read everything again from the disk and compare it" },
    { "no-sync", 0, NULL, "end when all is written, as tar does, not when it is on the disk: into a new target, for what a power cut may take" },
    { "strip-components", 0, "N", "take N components off the front of each path" },
    { "dry-run", 'n', NULL, "only list what would be created, replaced, updated, left and deleted, and how many bytes that needs" },
    { "strict", 0, NULL, "write nothing when the target's file system cannot hold everything as it was" },
    { "keep-going", 'k', NULL, "restore all the rest when stored data is damaged" },
    { "chown-map", 0, "RULE|FILE", "exchange owners: user:OLD=NEW or group:OLD=NEW by name or number, or a file of such lines; may be repeated" },
    { "untrusted", 0, NULL, "whoever made the snapshot is not trusted: no setuid, setgid, devices, capabilities; each is listed" },
    { "numeric-owner", 0, NULL, "owners by number even where this machine knows their names" },
    { "target-attributes", 0, NULL, "DIR gets the metadata of the directory it stands for, also where it existed (a new disk for /)" },
    { "jobs", 'j', "N", "threads that decode, compare and write (one more than processors, 8 at most)" },
    { 0 },
};

static const struct cli_option check_options[] = {
    { "quick", 0, NULL, "sizes and signatures only, do not read the stored bytes" },
    { "read-data", 0, NULL, "decrypt and decode all content and compare it too; needs the identity" },
    { "jobs", 'j', "N", "threads (the number of processors)" },
    { 0 },
};

static const struct cli_command commands[] = {
    { "list", "", 0, 0, "list snapshots", "With their tags and holds. Needs no identity. Numbers that are void and chains that do not fit together are shown as such.",
      NULL, verb_list },
    { "ls", "SNAPSHOT [PATH]...", 1, CLI_ARGS_MANY, "list what a snapshot holds",
      "With PATHs, only these and what lies below them; patterns choose further. SNAPSHOT is a number, latest, latest~2 (two before the "
      "latest), or a tag. Control bytes and backslashes in names are printed as \\ooo; --escaped takes PATHs written so. A PATH that begins with '-' "
      "follows '--'.",
      ls_options, verb_ls },
    { "restore", "SNAPSHOT [PATH]...", 1, CLI_ARGS_MANY, "restore a snapshot, or parts of it, into a directory",
      "Restores below --target DIR, each PATH under its whole path (--strip-components shortens), with the directories on the way; patterns "
      "choose further. A PATH that is not there, or a choice of nothing, ends it with 1 before anything is made. Without --overwrite nothing "
      "that exists is touched: such names are listed and the exit code is 3. A file gets its name only when all of its content was compared "
      "with what was signed; after an interrupt the same command with --resume goes on. Streams (output of commands) become files stream/NAME, which is "
      "their PATH too; into --target / they come only when named. Ends with a timed report.",
      restore_options, verb_restore },
    { "dump", "SNAPSHOT [PATH]...", 1, CLI_ARGS_MANY, "write a file, or a tar stream, to standard output",
      "One regular file, or stream, is written as it is: `dump latest stream/erp.dump | pg_restore ...`. A directory, several PATHs, patterns or --tar give a tar stream (pax: hard links, devices, sparse "
      "files, ACLs, extended attributes, nanoseconds) for `tar x`, names without the leading slash. Every piece is compared before it is "
      "written; damage ends it with 4 and a torn tar.",
      dump_options, verb_dump },
    { "find", "PATTERN...", 1, CLI_ARGS_MANY, "find versions of files over all snapshots",
      "Lists each version of the paths that match, by path and the newest first: the snapshots that have it (3-7: each from 3 to 7 that was "
      "searched), type, size, time, SHA-256. PATTERN as in gitignore(5): '*.ods' at any depth, '/srv/erp/*.sql' there; it means paths "
      "themselves, not what lies below them. Equal versions in consecutive snapshots are one line. Nothing found: exit 1.",
      find_options, verb_find },
    { "check", "[SNAPSHOT]", 0, 1, "prove that the repository is whole",
      "Verifies signatures and chains, and reads every stored file and compares it with its name. Needs no identity, except with "
      "--read-data. With "
      "SNAPSHOT, --read-data is for that one only.",
      check_options, verb_check },
    { "mtree", "SNAPSHOT", 1, 1, "print a manifest in mtree(5) format", "mtree -f (NetBSD) or bsdtar check a restored tree against it.",
      NULL, verb_mtree },
    { 0 },
};

static const struct cli_program program = {
    .name = "bkd-restore",
    .summary = "restores and checks backups made by bkd; needs a repository, an identity and a signers file, and nothing else",
    .version = PACKAGE_VERSION,
    .commands = commands,
    .options = global_options,
};

const struct cli_program *verbs_program(void) { return &program; }
