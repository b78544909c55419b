// A small repository made of the codec and repository modules, entry by entry, also with entries no backup would make.
#ifndef BKD_TESTS_RESTORE_FIXTURE_H
#define BKD_TESTS_RESTORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bkd/base/buf.h"
#include "bkd/base/io.h"
#include "bkd/codec/age.h"
#include "bkd/codec/sshkey.h"
#include "bkd/engine/object_writer.h"
#include "bkd/repo/repository.h"
#include "bkd/repo/snapshot.h"
#include "restore/run.h"

struct fixture {
    char dir[64];   // goes away with fixture_done
    char *repo;     // dir/repo
    char *signers;  // text
    struct buf key; // private key file
    struct age_identity identity;
    bool encrypted;
    struct format_repository info;
    uint8_t chain[16], previous[32];
    uint64_t number;
    struct store *store;
    struct object_writer *writer;
    struct buf manifest;
    struct format_refs refs;
    uint64_t files, entries, bytes;
    uint64_t object_size;         // set before the first entry by fixture_object_size
    const uint8_t *forged_sha256; // what recipes claim to be, or NULL for the truth
    const struct recipe_extent *extents; // of versions, ending with one of no length; NULL = all but `hole` is data
    bool unhashed;                // of versions as a whole there is no hash, as of files that are mostly holes
    const char *note;             // of versions, as manifests name it; NULL = none
    bool exchanged;               // the store's owner put these objects where those that the refs name belong
    struct format_ref extra;      // of an object made by other means, for the next commit's refs; number 0 = none
};

void fixture_init(struct fixture *f, bool encrypted);
void fixture_done(struct fixture *f);
void fixture_object_size(struct fixture *f, uint64_t size);

// Entries come in path order. Lines are "PATH TYPE keys" without LF.
void fixture_line(struct fixture *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
void fixture_dir(struct fixture *f, const char *path, unsigned mode);
// extra: keys after sha256, or NULL ("hardlink" stands before: give `middle`).
void fixture_file(struct fixture *f, const char *path, unsigned mode, const void *data, size_t n);
void fixture_file_with(struct fixture *f, const char *path, const char *middle, const void *data, size_t n);
// A file with a recipe: pieces of 16 MiB, every other range taken in two halves; `hole` bytes of zeros follow as a hole.
void fixture_version(struct fixture *f, const char *path, const void *data, size_t n, uint64_t hole);
struct place fixture_member(struct fixture *f, const char *kind, const void *data, size_t n);

// Bytes that nothing compresses, owned by the caller; others for each seed.
char *fixture_noise(size_t n, unsigned seed);

// Writes manifest, refs and head.
void fixture_commit(struct fixture *f);

// Opens the newest snapshot and restores it into dir/NAME. options may be NULL; its target is set here.
int fixture_restore(struct fixture *f, const char *name, const struct run_options *options, struct report *ret_report, struct error *err);
// The same, which must end with that.
void fixture_expect(struct fixture *f, const char *name, const struct run_options *options, struct report *ret_report, int expected);
// The same, the target written through `io`.
int fixture_restore_io(struct fixture *f, const struct io *io, const char *name, const struct run_options *options, struct report *ret_report,
                       struct error *err);
struct repository *fixture_open(struct fixture *f);

char *fixture_path(const struct fixture *f, const char *name); // dir/NAME; caller frees
void fixture_read(const struct fixture *f, const char *name, struct buf *ret_data);
void fixture_assert_content(const struct fixture *f, const char *name, const void *data, size_t n);
bool fixture_exists(const struct fixture *f, const char *name);
// The stored object files, sorted by number; caller frees. Flips a byte of one at a relative place 0..1.
void fixture_flip(const struct fixture *f, uint32_t object, double where);
char *fixture_object_path(const struct fixture *f, uint32_t object);
void fixture_run(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define FIXTURE_MTIME_S 1600000000

#endif
