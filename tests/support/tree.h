// Directory trees for tests: a small source as it is on two nights, copies, and comparing what was restored with a copy. Nothing here is bkd's code.
#ifndef BKD_TESTS_SUPPORT_TREE_H
#define BKD_TESTS_SUPPORT_TREE_H

#include <stdbool.h>
#include <stddef.h>

// Makes about 45 files: sizes from 0 to 1.5 MiB, one with holes, hard and symbolic links, a FIFO, odd names, deep and empty directories,
// modes, times with nanoseconds, extended attributes where the file system has them.
void tree_make(const char *dir);
// The next night: a changed, a grown, a cut, a moved, a removed, a new file; a moved directory; another type; only another mode.
void tree_edit(const char *dir);
// Only n files of `size` bytes each.
void tree_make_small(const char *dir, unsigned n, size_t size);
// Files of a repository and the like: regular files and directories only.
void tree_copy(const char *from, const char *to);
void tree_remove(const char *dir);
// True when both trees have the same names, types, modes, owners, times, sizes, content, link targets, attributes and groups of hard links.
// with_gaps: `found` may lack entries of `expected`. The first difference goes to ret_difference.
bool tree_same(const char *expected, const char *found, bool with_gaps, char *ret_difference, size_t size);
// Every regular file of `found`, but for those whose names begin with `aside`, has the content of the file of that name in `expected`.
bool tree_content_fits(const char *expected, const char *found, const char *aside, char *ret_difference, size_t size);
size_t tree_count(const char *dir); // entries below it

#endif
