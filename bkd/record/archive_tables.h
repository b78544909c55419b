// Which tables an archive of the catalogue holds, and how their rows are known and refer to each other. Used by archive.c and archive_read.c.
#ifndef BKD_RECORD_ARCHIVE_TABLES_H
#define BKD_RECORD_ARCHIVE_TABLES_H

#include <stdbool.h>
#include <stddef.h>

struct archive_table {
    const char *name;
    const char *select;   // after FROM: rows of policy ?1 (NULL = all) since ?2
    bool has_id;          // a column id, which others may refer to; it is given anew where it is taken
    const char *known_by; // columns that name a row, separated by spaces; NULL = the primary key does
    const char *refs[3][2]; // column, table it refers to; ends with NULL
};

// In the order in which rows can refer to earlier ones.
extern const struct archive_table archive_tables[];
extern const size_t archive_tables_n;

#endif
