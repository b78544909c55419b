#include "bkd/drills/evidence_pack.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/env.h"
#include "bkd/base/fs.h"
#include "bkd/base/proc.h"
#include "bkd/codec/keyfile.h"
#include "bkd/codec/signers.h"
#include "bkd/codec/sshsig.h"
#include "bkd/dr/package_readme.h"
#include "bkd/dr/scratch.h"
#include "bkd/drills/drill_reports.h"
#include "bkd/history/history.h"
#include "bkd/host/keydir.h"
#include "bkd/record/drills.h"
#include "bkd/record/verifications.h"
#include "bkd/repo/format.h"

enum { FILE_MAX = 64 << 20 };

struct pack {
    const struct context *ctx;
    const struct evidence_pack_options *options;
    struct evidence_pack_result *result;
    struct catalogue *catalogue;
    struct scratch scratch;
    char *dir;               // scratch/tree/NAME; owned
    struct context_names owners; // plans and policies whose runs belong to it, each once; owned
    uint64_t from_ns, until_ns; // of the runs and verifications that belong to them
    struct buf sums;
};

static void pack_done(struct pack *p)
{
    scratch_done(&p->scratch);
    context_names_done(&p->owners);
    free(p->dir);
    buf_done(&p->sums);
}

// ---- files of the package

// Writes it, and its line of SHA256SUMS.
static int add_file(struct pack *p, const char *name, const void *data, size_t n, struct error *err)
{
    uint8_t sha256[CRYPTO_SHA256_SIZE];
    _cleanup_free_ char *path = xasprintf("%s/%s", p->dir, name), *parent = xstrdup(path);
    *strrchr(parent, '/') = '\0';
    int r = fs_make_dirs(p->ctx->io, AT_FDCWD, parent, 0755, err);
    if (r == 0)
        r = fs_create_file(p->ctx->io, AT_FDCWD, path, 0644, data, n, err);
    if (r < 0)
        return r;
    crypto_sha256(data, n, sha256);
    buf_add_hex(&p->sums, sha256, sizeof sha256);
    buf_addf(&p->sums, "  ./%s\n", name);
    p->result->files++;
    return 0;
}

static int copy_file(struct pack *p, const char *from, const char *name, struct error *err)
{
    _cleanup_buf_ struct buf data = { 0 };
    int r = fs_read_file(p->ctx->io, AT_FDCWD, from, FILE_MAX, &data, err);
    return r < 0 ? r : add_file(p, name, data.data, data.len, err);
}

// ---- drills

static void remember_owner(struct pack *p, const char *owner)
{
    for (size_t i = 0; i < p->owners.count; i++)
        if (strcmp(p->owners.items[i], owner) == 0)
            return;
    p->owners.items = xrealloc(p->owners.items, (p->owners.count + 1) * sizeof *p->owners.items);
    p->owners.items[p->owners.count++] = xstrdup(owner);
}

struct drill_files {
    struct pack *pack;
    const char *id, *dir;
};

static int add_drill_file(void *arg, const char *name, unsigned char type, struct error *err)
{
    const struct drill_files *d = arg;
    _cleanup_free_ char *from = xasprintf("%s/%s", d->dir, name), *to = xasprintf("drills/%s/%s", d->id, name);
    (void)type;
    return strcmp(name, "record.json") == 0 ? 0 : copy_file(d->pack, from, to, err);
}

static int add_reports(struct pack *p, const struct drill_row *row, struct error *err)
{
    static const char *const names[] = { [DRILL_REPORT_ENGLISH] = "report-en.html", [DRILL_REPORT_CHINESE] = "report-zh.html" };
    _cleanup_json_ struct json *record = NULL;
    int r = json_parse(row->record, strlen(row->record), &record, err);
    for (int i = 0; r == 0 && i < 2; i++) {
        _cleanup_buf_ struct buf html = { 0 };
        _cleanup_free_ char *name = xasprintf("drills/%s/%s", row->uid, names[i]);
        r = drill_reports_html(p->ctx, p->catalogue, record, (enum drill_report_language)i, &html, err);
        if (r == 0)
            r = add_file(p, name, html.data, html.len, err);
    }
    return r;
}

// A plan's drill stands for the policies that it restored.
static void remember_policies(struct pack *p, const struct drill_row *row)
{
    _cleanup_json_ struct json *record = NULL;
    struct error ignored; // its report says so
    remember_owner(p, row->plan);
    const struct json *policies = json_parse(row->record, strlen(row->record), &record, &ignored) < 0 ? NULL : json_get(record, "policies");
    for (size_t i = 0; policies != NULL && i < json_length(policies); i++)
        if (json_str_at(policies, i) != NULL)
            remember_owner(p, json_str_at(policies, i));
}

// A period is about everything here, also what had no drill.
static int remember_all(struct pack *p, struct error *err)
{
    static const char *const folders[] = { "policies", "plans" };
    int r = 0;
    for (size_t f = 0; r == 0 && f < sizeof folders / sizeof *folders; f++) {
        _cleanup_context_names_ struct context_names names = { 0 };
        r = context_names_below(p->ctx, folders[f], &names, err);
        for (size_t i = 0; r == 0 && i < names.count; i++)
            remember_owner(p, names.items[i]);
    }
    return r;
}

// The record comes from the catalogue: a drill of another host, or before its directory was lost, has only that.
static int add_drill(void *arg, const struct drill_row *row, struct error *err)
{
    struct pack *p = arg;
    const struct evidence_pack_options *o = p->options;
    bool is_meant = o->drill != NULL ? strncmp(row->uid, o->drill, strlen(o->drill)) == 0 : row->started_ns >= o->period->from_ns && row->started_ns < o->period->until_ns;
    if (!is_meant)
        return 0;
    if (o->drill != NULL && p->result->drills > 0)
        return error_set(err, ERROR_USAGE, "several drills begin with '%s': `bkd drill list` shows their ids", o->drill);
    _cleanup_free_ char *dir = xasprintf("%s/drills/%s", p->ctx->state_dir, row->uid), *record = xasprintf("drills/%s/record.json", row->uid),
                        *text = xasprintf("%s\n", row->record);
    struct drill_files files = { .pack = p, .id = row->uid, .dir = dir };
    remember_policies(p, row);
    if (o->drill != NULL) {
        p->from_ns = row->started_ns;
        p->until_ns = row->ended_ns > 0 ? row->ended_ns : UINT64_MAX;
    }
    p->result->drills++;
    int r = add_file(p, record, text, strlen(text), err);
    if (r == 0)
        r = add_reports(p, row, err);
    if (r == 0)
        r = fs_list_dir(p->ctx->io, AT_FDCWD, dir, add_drill_file, &files, err);
    return r == ERROR_NOT_FOUND ? 0 : r;
}

// What drills asked for, all of it: later lines say what became of earlier ones.
static int add_improvements(struct pack *p, struct error *err)
{
    _cleanup_free_ char *journal = xasprintf("%s/drills/improvements.jsonl", p->ctx->state_dir);
    int r = copy_file(p, journal, "improvements.jsonl", err);
    return r == ERROR_NOT_FOUND ? 0 : r;
}

static int add_drills(struct pack *p, struct error *err)
{
    int r = drills_list(p->catalogue, NULL, NULL, add_drill, p, err);
    if (r == 0 && p->options->drill == NULL)
        return remember_all(p, err);
    if (r == 0 && p->result->drills == 0)
        r = error_set(err, ERROR_NOT_FOUND, "there is no drill '%s': `bkd drill list` shows what there is", p->options->drill);
    return r;
}

// ---- what ran meanwhile

struct history_lines {
    struct pack *pack;
    struct buf text;
};

static void add_line(struct history_lines *l, struct json **line)
{
    json_format(*line, &l->text);
    buf_add_char(&l->text, '\n');
    json_free(line);
}

static int add_run(void *arg, const struct run_record *run, struct error *err)
{
    struct history_lines *l = arg;
    struct json *line = json_line_new("run");
    (void)err;
    history_add_json(line, l->pack->ctx, run);
    add_line(l, &line);
    l->pack->result->runs++;
    return 0;
}

static int add_verification(void *arg, const struct verification *v, struct error *err)
{
    struct history_lines *l = arg;
    (void)err;
    if (v->time_ns < l->pack->from_ns || v->time_ns >= l->pack->until_ns)
        return 0;
    struct json *line = json_line_new("verification");
    json_add_str(line, "uid", v->uid);
    json_add_str(line, "policy", v->policy);
    json_add_str(line, "copy", v->copy);
    json_add_u64(line, "snapshot", v->snapshot);
    json_add_time(line, "time", v->time_ns);
    json_add_str(line, "mode", v->mode);
    json_add_bool(line, "proven", v->is_proven);
    json_add_u64(line, "duration_ms", v->duration_ns / 1000000);
    json_add_u64(line, "files", v->files);
    json_add_u64(line, "bytes", v->bytes);
    json_add_str(line, "message", v->message);
    add_line(l, &line);
    l->pack->result->verifications++;
    return 0;
}

static int add_history(struct pack *p, struct error *err)
{
    struct history_lines runs = { .pack = p }, verifications = { .pack = p };
    int r = 0;
    for (size_t i = 0; r == 0 && i < p->owners.count; i++) {
        const struct runs_filter filter = { .policy = p->owners.items[i], .since_ns = p->from_ns, .until_ns = p->until_ns == UINT64_MAX ? 0 : p->until_ns };
        r = runs_list(p->catalogue, &filter, add_run, &runs, err);
        if (r == 0)
            r = verifications_list(p->catalogue, p->owners.items[i], 0, add_verification, &verifications, err);
    }
    if (r == 0)
        r = add_file(p, "runs.jsonl", buf_str(&runs.text), runs.text.len, err);
    if (r == 0)
        r = add_file(p, "verifications.jsonl", buf_str(&verifications.text), verifications.text.len, err);
    buf_done(&runs.text);
    buf_done(&verifications.text);
    return r;
}

// ---- the signature

static int load_key(const struct pack *p, const struct buf *signers_text, struct sshkey *ret_key, struct error *err)
{
    _cleanup_signers_ struct signers signers = { 0 };
    _cleanup_buf_ struct buf key = { 0 };
    const struct signers_entry *entry;
    _cleanup_free_ char *path = context_key_path(p->ctx, KEYDIR_SIGNING);
    int r = keyfile_read(p->ctx->io, AT_FDCWD, path, &key, err);
    if (r == 0)
        r = sshkey_parse(key.data, key.len, ret_key, err);
    if (key.data != NULL)
        explicit_bzero(key.data, key.len);
    if (r == ERROR_NOT_FOUND)
        return error_set(err, ERROR_KEY, "there is no signing key '%s' to sign the package with: make this host's keys with `bkd keys init`", path);
    if (r == 0)
        r = signers_parse(buf_str(signers_text), signers_text->len, &signers, err);
    if (r == 0 && signers_find(&signers, ret_key->public_key, FORMAT_NAMESPACE_RECORD, io_realtime_ns(p->ctx->io) / 1000000000, NULL, &entry, err) < 0)
        r = error_set(err, ERROR_KEY, "allowed_signers does not let '%s' sign records, so nobody would believe the package: add it there", path);
    return r;
}

static int sign(struct pack *p, struct error *err)
{
    _cleanup_buf_ struct buf signers = { 0 }, signature = { 0 };
    _cleanup_sshkey_ struct sshkey key = { 0 };
    _cleanup_free_ char *path = context_key_path(p->ctx, KEYDIR_SIGNERS), *sums = xasprintf("%s/SHA256SUMS", p->dir), *sig = xasprintf("%s.sig", sums);
    int r = fs_read_file(p->ctx->io, AT_FDCWD, path, SIGNERS_FILE_MAX, &signers, err);
    if (r == 0)
        r = load_key(p, &signers, &key, err);
    if (r == 0)
        r = add_file(p, "allowed_signers", signers.data, signers.len, err);
    if (r == 0)
        r = add_file(p, "README.txt", package_readme, strlen(package_readme), err);
    if (r == 0)
        r = fs_create_file(p->ctx->io, AT_FDCWD, sums, 0644, p->sums.data, p->sums.len, err);
    if (r < 0)
        return r;
    sshsig_sign(&key, FORMAT_NAMESPACE_RECORD, p->sums.data, p->sums.len, &signature);
    p->result->files += 2;
    return fs_create_file(p->ctx->io, AT_FDCWD, sig, 0644, signature.data, signature.len, err);
}

// ---- the package

// What tar makes comes through here: what keeps a block from being written is then told as it is.
static int run_tar(const struct pack *p, int fd, struct error *err)
{
    uint8_t block[64 << 10];
    size_t n = 0;
    char ended[PROC_TEXT_MAX];
    _cleanup_env_ struct env env = { 0 };
    _cleanup_proc_ struct proc *tar = NULL;
    _cleanup_proc_result_ struct proc_result result = { 0 };
    const char *const argv[] = { "tar", "--create", "--file=-", "--zstd", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--format=pax", "--directory",
                                 p->scratch.tree, p->options->name, NULL };
    env_init(&env, NULL);
    int r = proc_start(p->ctx->io, &(struct proc_options){ .argv = argv, .env = env.list, .read_output = true }, &tar, err);
    while (r == 0 && (r = proc_read(tar, block, sizeof block, &n, err)) == 0 && n > 0)
        r = io_write_all(p->ctx->io, fd, block, n, p->options->file, err);
    if (r < 0)
        return r;
    proc_wait(tar, &result);
    if (proc_result_ok(&result))
        return 0;
    proc_result_text(&result, ended);
    return error_set(err, ERROR_FAILED, "tar %s: %s", ended, buf_str(&result.error.tail));
}

// Written aside, and given its name when all of it is on the disk.
static int write_package(const struct pack *p, struct error *err)
{
    const struct io *io = p->ctx->io;
    const char *file = p->options->file;
    struct statx st;
    int fd = -1;
    _cleanup_free_ char *part = xasprintf("%s.part-%d", file, (int)getpid());
    int r = io_open(io, AT_FDCWD, part, O_WRONLY | O_CREAT | O_EXCL, 0644, &fd, err);
    if (r < 0)
        return r;
    r = run_tar(p, fd, err);
    if (r == 0)
        r = io_fsync(io, fd, file, err);
    if (r == 0)
        r = io_stat(io, fd, "", AT_EMPTY_PATH, &st, err);
    if (r == 0)
        r = io_rename_new(io, AT_FDCWD, part, AT_FDCWD, file, err);
    io_close_quietly(io, &fd);
    if (r < 0) {
        (void)unlink(part); // what kept it from being done is what is told
        return r;
    }
    p->result->bytes = st.stx_size;
    return fs_sync_parent(io, AT_FDCWD, file, err);
}

// A full disk, with what to do about it.
static int say_room(int r, const char *remedy, struct error *err)
{
    struct error why = *err;
    return r == ERROR_NO_SPACE ? error_set(err, r, "%.800s; make room there, or %s", why.text, remedy) : r;
}

static int fill(struct pack *p, struct error *err)
{
    const char *place = getenv("TMPDIR");
    struct statx st;
    struct error ignored;
    if (io_stat(p->ctx->io, AT_FDCWD, p->options->file, AT_SYMLINK_NOFOLLOW, &st, &ignored) == 0)
        return error_set(err, ERROR_EXISTS, "'%s' exists: name another file", p->options->file);
    int r = scratch_make(p->ctx->io, place == NULL || place[0] != '/' ? "/tmp" : place, &p->scratch, err);
    if (r < 0)
        return r;
    p->dir = xasprintf("%s/%s", p->scratch.tree, p->options->name);
    r = add_drills(p, err);
    if (r == 0)
        r = add_improvements(p, err);
    if (r == 0)
        r = add_history(p, err);
    if (r == 0 && p->result->drills + p->result->runs + p->result->verifications == 0)
        r = error_set(err, ERROR_NOT_FOUND, "nothing is on record of that period: `bkd drill list` and `bkd history` show when there was something");
    return r < 0 ? r : sign(p, err);
}

int evidence_pack(const struct context *ctx, const struct evidence_pack_options *options, struct evidence_pack_result *ret_result, struct error *err)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    __attribute__((cleanup(pack_done))) struct pack p = { .ctx = ctx, .options = options, .result = ret_result, .catalogue = &catalogue, .scratch = { .lock_fd = -1 } };
    *ret_result = (struct evidence_pack_result){ 0 };
    if (options->period != NULL) {
        p.from_ns = options->period->from_ns;
        p.until_ns = options->period->until_ns;
    }
    int r = history_open(ctx, &catalogue, err);
    if (r == 0)
        r = say_room(fill(&p, err), "set TMPDIR to a directory that has more", err);
    return r < 0 ? r : say_room(write_package(&p, err), "name a file elsewhere with -o", err);
}
