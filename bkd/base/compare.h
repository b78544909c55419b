// Orders for qsort(3).
#ifndef BKD_BASE_COMPARE_H
#define BKD_BASE_COMPARE_H

// Of doubles, the smallest first; of pointers to strings, byte by byte.
int compare_doubles(const void *a, const void *b);
int compare_strings(const void *a, const void *b);

#endif
