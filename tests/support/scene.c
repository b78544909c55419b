#include "tests/support/scene.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/fs.h"
#include "bkd/codec/sshkey.h"
#include "bkd/repo/repository.h"
#include "bkd/repo/snapshot.h"
#include "restore/run.h"

enum { DELTA_MIN_SIZE = 64 << 10, OBJECT_SIZE = 32 << 10 }; // many objects in a small repository

void scene_init(struct scene *s, const char *source, bool encrypted)
{
    _cleanup_sshkey_ struct sshkey key;
    *s = (struct scene){ .encrypted = encrypted, .source = xstrdup(source) };
    sshkey_new(io_real(), &key);
    sshkey_format(io_real(), &key, "test", &s->signing_key);
    buf_add_str(&s->signers, "bkd@test namespaces=\"bkd-repository@v1,bkd-head@v1,bkd-record@v1,bkd-recover@v1\" ");
    sshkey_public_format(key.public_key, "test", &s->signers);
    age_identity_new(io_real(), &s->identity);
}

void scene_done(struct scene *s)
{
    buf_done(&s->signing_key);
    buf_done(&s->signers);
    free(s->source);
}

static char *below(const char *place, const char *name) { return xasprintf("%s/%s", place, name); }

int scene_make_repository(const struct scene *s, const struct io *io, const char *place, struct error *err)
{
    struct format_repository info = { .created_ns = UINT64_C(1700000000) * 1000000000u, .encrypted = s->encrypted, .piece_size = 16u << 20, .object_size = OBJECT_SIZE };
    _cleanup_free_ char *path = below(place, "repository");
    io_random(io, info.id, sizeof info.id);
    struct store *store = NULL;
    int r = store_open(io, path, NULL, true, &store, err);
    if (r == 0)
        r = repository_create(io, store, &info, (const char *)s->signing_key.data, s->signing_key.len, "#!/bin/sh\n", "read me\n", err);
    store_close(store);
    return r;
}

static void no_progress(void *arg, const char *phase, uint64_t bytes, uint64_t total_bytes, uint64_t files, uint64_t total_files)
{
    (void)arg, (void)phase, (void)bytes, (void)total_bytes, (void)files, (void)total_files;
}

static void no_problem(void *arg, const struct scan_problem *problem) { (void)arg, (void)problem; }

int scene_backup(const struct scene *s, const struct io *io, const char *place, struct backup_result *ret_result, struct error *err)
{
    _cleanup_free_ char *repository = below(place, "repository"), *state = below(place, "state");
    struct scan_source source = { .path = s->source };
    struct backup_options options = {
        .state_dir = state, .policy = "test", .host = "host", .repository = repository, .signers = buf_str(&s->signers),
        .signing_key = s->signing_key.data, .signing_key_len = s->signing_key.len, .recipients = &s->identity.recipient,
        .n_recipients = s->encrypted ? 1 : 0, .sources = &source, .n_sources = 1, .compare_inode = true, .compression_level = 1,
        .delta_min_size = DELTA_MIN_SIZE, .delta_max_chain = 14, .delta_max_share_percent = 50, .jobs = 2, .progress = no_progress, .problem = no_problem,
    };
    return backup_run(io, &options, ret_result, err);
}

static int open_repository(const struct scene *s, const struct io *io, const char *place, struct repository **ret_repository, struct error *err)
{
    _cleanup_free_ char *path = below(place, "repository");
    struct store *store = NULL;
    int r = store_open(io, path, NULL, false, &store, err);
    return r < 0 ? r : repository_open(io, store, buf_str(&s->signers), ret_repository, err);
}

int scene_restore(const struct scene *s, const struct io *io, const char *place, uint64_t number, const char *target, struct error *err)
{
    _cleanup_repository_ struct repository *repository = NULL;
    _cleanup_snapshot_ struct snapshot snapshot = { 0 };
    const struct repository_head *head = NULL;
    struct timing timing;
    struct report report;
    char name[24];
    (void)snprintf(name, sizeof name, "%llu", (unsigned long long)number);
    int r = open_repository(s, io, place, &repository, err);
    if (r == 0)
        r = repository_find(repository, NULL, name, &head, err);
    if (r == 0)
        r = snapshot_open(repository, head, s->encrypted ? &s->identity : NULL, s->encrypted ? 1 : 0, &snapshot, err);
    if (r < 0)
        return r;
    timing_init(&timing, io);
    const struct run_options options = { .target = target, .jobs = 2, .quiet = true };
    return run_restore(io, &snapshot, &options, &timing, &report, err);
}

int scene_list(const struct scene *s, const struct io *io, const char *place, struct scene_heads *ret_heads, struct error *err)
{
    _cleanup_repository_ struct repository *repository = NULL;
    struct scene_heads heads = { 0 };
    int r = open_repository(s, io, place, &repository, err);
    if (r < 0)
        return r;
    heads.problems = repository_count_problems(repository);
    for (size_t i = 0; i < repository->n_heads && heads.n < SCENE_HEADS_MAX; i++) {
        if (!repository->heads[i].valid)
            continue;
        heads.number[heads.n] = repository->heads[i].number;
        heads.incomplete[heads.n++] = (repository->heads[i].head.flags & FORMAT_INCOMPLETE) != 0;
    }
    *ret_heads = heads;
    return 0;
}
