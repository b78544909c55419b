// The kinds of checks, one file each; check.c chooses. Each returns 0 when it passed, and says in err what was found otherwise; `ret_found` tells what was
// found when it passed.
#ifndef BKD_DR_CHECK_KINDS_H
#define BKD_DR_CHECK_KINDS_H

#include "bkd/base/buf.h"
#include "bkd/base/proc.h"
#include "bkd/dr/check.h"

typedef int check_kind(const struct check_tree *tree, const struct policy_check *check, struct buf *ret_found, struct error *err);

// The program ends with 0 in time.
check_kind check_command;
// The file is there, and of the size, hash and content that is said.
check_kind check_file;
// The database passes integrity_check, and the query gives what is expected.
check_kind check_sqlite;
// A private server starts on the restored directory, or takes the restored dump, and the query gives what is expected.
check_kind check_postgres;
// A program that is started answers at a URL.
check_kind check_http;
// The tree is as a specification of mtree(5) says.
check_kind check_mtree;

// Runs a program for a check: working directory the tree, time limit and interruption as they hold. ERROR_FAILED when it does not end with 0, with the last
// line it said. ret_result may be NULL.
MUST_USE int check_run(const struct check_tree *tree, const struct policy_check *check, const char *const *argv, const char *user, struct proc_result *ret_result,
                       struct error *err);
// Runs a server for a check, and asks it several times a second until it has answered or the check's time is up; then the server is ended. `ask` returns 0 and
// sets *ret_answered when it has its answer, 0 alone when the server is not ready yet, and an error when the answer is wrong.
typedef int check_ask(void *arg, bool *ret_answered, struct error *err);
MUST_USE int check_serve(const struct check_tree *tree, const struct policy_check *check, const char *const *argv, const char *user, check_ask *ask, void *arg,
                         struct error *err);
// Does an answer of a database say what is expected? Blanks around it do not count; `expect` NULL or "" = anything.
MUST_USE int check_expected(const struct policy_check *check, const char *answer, struct error *err);

#endif
