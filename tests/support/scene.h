// A host with keys, a source, a repository and a state directory, for tests that run whole backups and restores through the libraries.
#ifndef BKD_TESTS_SUPPORT_SCENE_H
#define BKD_TESTS_SUPPORT_SCENE_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/codec/age.h"
#include "bkd/engine/backup.h"

struct scene {
    bool encrypted;
    struct buf signing_key, signers;
    struct age_identity identity;
    char *source;
};

void scene_init(struct scene *s, const char *source, bool encrypted);
void scene_done(struct scene *s);

// `place` is a directory: place/repository, place/state.
MUST_USE int scene_make_repository(const struct scene *s, const struct io *io, const char *place, struct error *err);
MUST_USE int scene_backup(const struct scene *s, const struct io *io, const char *place, struct backup_result *ret_result, struct error *err);
// Snapshot `number` into target; the source's tree is then target + source.
MUST_USE int scene_restore(const struct scene *s, const struct io *io, const char *place, uint64_t number, const char *target, struct error *err);

#define SCENE_HEADS_MAX 16
struct scene_heads {
    size_t n, problems;
    uint64_t number[SCENE_HEADS_MAX];
    bool incomplete[SCENE_HEADS_MAX];
};
MUST_USE int scene_list(const struct scene *s, const struct io *io, const char *place, struct scene_heads *ret_heads, struct error *err);

#endif
