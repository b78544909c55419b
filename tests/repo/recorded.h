// A repository in memory whose snapshots are told about by signed records: three snapshots, the second with the tag "first-tag" in its head, the third suspect.
// For tests of records, holds and tags; failures end the test.
#ifndef TESTS_REPO_RECORDED_H
#define TESTS_REPO_RECORDED_H

#include "tests/repo/made.h"

#include "bkd/codec/sshkey.h"
#include "bkd/repo/records.h"
#include "bkd/repo/repository.h"

struct recorded {
    struct sshkey host, retention, stranger;
    struct buf host_text, signers;
    struct repository *repository;
};

// For cmocka; *state is a struct recorded.
int recorded_setup(void **state);
int recorded_teardown(void **state);

const struct repository_head *recorded_head(const struct recorded *f, size_t number);
// Signed with `key`; time and writer are filled in.
int recorded_append(struct recorded *f, const struct sshkey *key, size_t snapshot, struct record *record, struct error *err);
void recorded_tag(struct recorded *f, size_t snapshot, const char *text);
void recorded_hold(struct recorded *f, size_t snapshot);
// Ends the holds that stand on a snapshot, signed with `key`.
int recorded_release(struct recorded *f, size_t snapshot, const struct sshkey *key, struct error *err);
void recorded_load(struct recorded *f, struct records *ret_records);

// The stored bytes of a record of `key`, to be changed and put back.
void recorded_stored(struct recorded *f, const struct sshkey *key, uint64_t number, struct buf *ret_file);
void recorded_replace(struct recorded *f, const struct sshkey *key, uint64_t number, const struct buf *file);

// Record `at` is void, because of what `text` is part of, and it is the only one.
void recorded_expect_problem(struct recorded *f, size_t at, const char *text);

#endif
