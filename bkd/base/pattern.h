// Exclusion patterns with the meaning they have in gitignore(5), as a pure matcher.
//
//   *.tmp      a name at any depth            /cache/   a directory right below the source
//   a/b        anchored (a slash inside)      **        any number of directories, as a whole component
//   name/      directories only               !keep     takes back what an earlier pattern excluded
// "*", "?" and "[…]" never match a slash and work on bytes; a backslash takes the next byte literally. The last pattern
// that matches decides. As in git, nothing below an excluded directory can be taken back, which comes by itself when the
// caller does not descend into excluded directories. Matching takes time proportional to pattern × path, never more.
//
// Refused, because git accepts but never matches them, or reads them otherwise than they look: empty patterns, a leading "#",
// "**" as part of a name, unescaped trailing spaces, "//", "." and ".." components, an open "[", a slash inside "[…]",
// backward ranges, a backslash at the end or before a slash, more than PATTERN_MAX bytes.
#ifndef BKD_BASE_PATTERN_H
#define BKD_BASE_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "bkd/base/error.h"

#define PATTERN_MAX 4096

struct pattern_set;

// ERROR_FORMAT with the reason when the pattern is not acceptable.
MUST_USE int pattern_check(const char *pattern, struct error *err);

// Compiles `count` patterns (copied). ERROR_FORMAT naming the first bad one. Free with pattern_set_free.
MUST_USE int pattern_set_new(const char *const *patterns, size_t count, struct pattern_set **ret_set, struct error *err);
void pattern_set_free(struct pattern_set **set);
#define _cleanup_pattern_set_ __attribute__((cleanup(pattern_set_free)))

// Is `path` (relative to the source, no leading slash) excluded? Looks at this path only, not at its parents. ret_rule (may
// be NULL) gets the index of the pattern that decided, or SIZE_MAX when none matched. A NULL set excludes nothing.
bool pattern_set_match(const struct pattern_set *set, const char *path, bool is_dir, size_t *ret_rule);
// Does rule `index` match this very path, whatever the others say? For telling patterns that never match.
bool pattern_set_match_one(const struct pattern_set *set, size_t index, const char *path, bool is_dir);
// The text of rule `index`, as given; for reports.
const char *pattern_set_text(const struct pattern_set *set, size_t index);

#endif
