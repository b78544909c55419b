// The journal of a run of a recovery plan: RUN/journal.jsonl, one JSON object a line, appended and synced as things happen. A torn last line is ignored.
// The lock beside it tells a run that goes on from one that was interrupted.
#ifndef BKD_DR_PLAN_JOURNAL_H
#define BKD_DR_PLAN_JOURNAL_H

#include <pthread.h>

#include "bkd/base/io.h"
#include "bkd/base/json.h"

struct plan_journal {
    const struct io *io;
    char *path; // of the file; owned
    int fd, lock_fd;
    pthread_mutex_t mutex; // steps that run at once write to it
};

// `directory` is made when it is not there. ERROR_BUSY: another process carries that run out.
MUST_USE int plan_journal_open(const struct io *io, const char *directory, struct plan_journal *ret_journal, struct error *err);
void plan_journal_close(struct plan_journal *j);
// Appends the line and frees it, whatever happens. sync: it is on the disk when this returns.
MUST_USE int plan_journal_write(struct plan_journal *j, struct json **line, bool sync, struct error *err);

// Calls visit for each line. ERROR_NOT_FOUND: there is no journal.
typedef void plan_journal_visit_fn(void *arg, const struct json *line);
MUST_USE int plan_journal_read(const struct io *io, const char *directory, plan_journal_visit_fn *visit, void *arg, struct error *err);
// Does a process carry the run out now?
bool plan_journal_is_alive(const struct io *io, const char *directory);

#endif
