// A host in a directory that goes away: a source tree, keys, a repository, a state directory; backups of it, and restores that are compared
// with the source by find and diff.
#ifndef BKD_TESTS_ENGINE_LAB_H
#define BKD_TESTS_ENGINE_LAB_H

#include "tests/codec/scratch.h"

#include "bkd/codec/age.h"
#include "bkd/engine/backup.h"
#include "bkd/repo/manifest.h"
#include "bkd/repo/recipe.h"
#include "bkd/repo/repository.h"

struct lab {
    char dir[64];
    char *source, *repo, *state; // dir/source …
    char *policy_state;          // state/policies/test
    char *signers;
    struct buf key;
    struct age_identity identity;
    struct scan_source sources[4]; // the first is `source`
    size_t n_sources;
    struct buf problems;           // one line "PATH: REASON" each
    struct backup_options options; // to be changed by a test; filled in by lab_init
    const struct io *io;
    uint64_t object_size;
    unsigned restores;
};

// object_size 0: the usual one.
void lab_init(struct lab *lab, bool encrypted, uint64_t object_size);
void lab_done(struct lab *lab);

// sh -e -c in dir, with $SRC, $REPO and $STATE (of the policy).
void lab_sh(const struct lab *lab, const char *script);
// A file below the source, made of repeatable noise. Files written by lab_* are given times in the past, so that they are not racy.
void lab_noise(const struct lab *lab, const char *name, uint64_t seed, size_t n);
// Overwrites n bytes at offset with noise.
void lab_scribble(const struct lab *lab, const char *name, uint64_t seed, uint64_t offset, size_t n);
void lab_file(const struct lab *lab, const char *name, const char *text);
// Waits until what was changed by now is not racy for a run that begins afterwards.
void lab_settle(void);

int lab_try(struct lab *lab, struct backup_result *ret_result, struct error *err);
struct backup_result lab_backup(struct lab *lab);
// Restores a snapshot ("latest", a number) and returns the directory (caller frees); the sources' trees appear below it by absolute path.
char *lab_restore(struct lab *lab, const char *snapshot);
// Restores and compares content, types, modes, times and links of `source` with the directory `expected` (absolute; NULL: source itself).
void lab_assert_restores(struct lab *lab, const char *snapshot, const char *expected);
// A copy of the source with all metadata, dir/NAME; caller frees.
char *lab_copy(const struct lab *lab, const char *name);
// The newest manifest as text; caller frees.
char *lab_manifest(struct lab *lab);
// The manifest's entry of a file below the source in the newest snapshot; caller: manifest_entry_done.
struct manifest_entry lab_entry(struct lab *lab, const char *name);
// The recipe of such a file; caller: recipe_done.
struct recipe lab_recipe(struct lab *lab, const char *name);
// `bkd check --read-data`: no alarms.
void lab_assert_sound(struct lab *lab);
uint64_t lab_count_files(const struct lab *lab, const char *below); // regular files below dir/BELOW

#endif
