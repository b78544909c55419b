// The catalogue: what this host remembers of its runs, slots, alarms, snapshots and copies. One SQLite database, STATE_DIR/catalogue.db (WAL, STRICT tables;
// doc/catalogue.md has the schema). Each table has its module beside this one: runs, slots, pauses, alarms, events, snapshots, copies, verifications,
// policy_versions, deliveries. Each of their functions is atomic; catalogue_begin … catalogue_end around several makes them one.
//
// Several processes at once are normal: each writes in short transactions and waits up to CATALOGUE_BUSY_MS for the others. Open it for a piece of work, not
// for the life of a process: a damaged database can be set aside only while nobody else has it open.
//
// The catalogue is never a reason to fail for the work it records. Who runs a backup uses bkd/history/recording.h, which keeps what could not be written.
#ifndef BKD_RECORD_CATALOGUE_H
#define BKD_RECORD_CATALOGUE_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/error.h"
#include "bkd/base/io.h"
#include "bkd/record/sql.h"

#define CATALOGUE_VERSION 2      // of the schema: PRAGMA user_version
#define CATALOGUE_BUSY_MS 10000u // what a transaction waits for others
#define CATALOGUE_BUSY_AGAIN_MS 500u // the same, while records wait in catalogue.pending since a moment ago
#define CATALOGUE_NAME_MAX 65    // a policy's name, a kind, an action; and NUL
#define CATALOGUE_TEXT_MAX 1024  // a message, a reason; and NUL. Longer ones are cut when they are read into a struct

enum catalogue_mode {
    CATALOGUE_WRITE, // made when missing, brought to CATALOGUE_VERSION when older
    CATALOGUE_READ,  // ERROR_NOT_FOUND when missing; an older schema that this process may not bring up to date is refused like a newer one
};

struct catalogue {
    const struct io *io;
    struct sql *sql;
    char *state_dir; // owned
    int lock_fd;     // of catalogue.lock, shared; -1 = none
    unsigned depth;  // of transactions
    bool is_new;     // was made by this opening
};

// For writing, the directory is made when missing; a database that is damaged is set aside and replaced, with an alarm (catalogue_heal.h); and what waited in
// catalogue.pending is taken in. ERROR_USAGE: its schema is newer than this program, which must not touch it. ERROR_INTEGRITY (reading): it is damaged.
// ERROR_BUSY, ERROR_NO_SPACE, ERROR_FAILED as sql.h says.
MUST_USE int catalogue_open(const struct io *io, const char *state_dir, enum catalogue_mode mode, struct catalogue *ret_catalogue, struct error *err);
// A transaction that is open is rolled back.
void catalogue_close(struct catalogue *c);
#define _cleanup_catalogue_ __attribute__((cleanup(catalogue_close)))

// Damage was found (by a check): the next opening for writing sets the file aside.
void catalogue_mark_damaged(const struct io *io, const char *state_dir);

// Begins a transaction that writes (it waits for the lock now, not at its first change); inside another one, a part of it that can be rolled back alone.
MUST_USE int catalogue_begin(struct catalogue *c, struct error *err);
// Commits when r is 0, else rolls back. Returns r, or the commit's failure.
MUST_USE int catalogue_end(struct catalogue *c, int r, struct error *err);

// A copy of the whole as STATE_DIR/catalogue.backup: a database like it, from which an opening goes on when the catalogue is damaged or gone. Takes the time
// of reading and writing it all, without holding others up. ERROR_INTEGRITY: it cannot be read whole; the old copy stays.
MUST_USE int catalogue_backup(struct catalogue *c, struct error *err);

// Now, by the catalogue's io.
uint64_t catalogue_now_ns(const struct catalogue *c);

// Small numbers that outlive a process ("notify.event": the last event that was dealt with). 0 when never set.
MUST_USE int catalogue_mark(struct catalogue *c, const char *name, int64_t *ret_value, struct error *err);
MUST_USE int catalogue_set_mark(struct catalogue *c, const char *name, int64_t value, struct error *err);

#endif
