// Figures in Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats/): families, each with its help, type and samples. Pure.
//
// Usual order: exposition_init with the table of families; exposition_add … in any order; exposition_text; exposition_done.
#ifndef BKD_NOTIFY_EXPOSITION_H
#define BKD_NOTIFY_EXPOSITION_H

#include <stddef.h>
#include <stdint.h>

#include "bkd/base/buf.h"

struct exposition_family {
    const char *name; // "bkd_alarms"
    const char *type; // "gauge", "counter"
    const char *help; // one line
};

struct exposition {
    const struct exposition_family *families; // borrowed
    size_t count;
    struct buf *samples; // of each family
};
void exposition_init(struct exposition *e, const struct exposition_family *families, size_t count);
void exposition_done(struct exposition *e);
#define _cleanup_exposition_ __attribute__((cleanup(exposition_done)))

// Adds a sample to family `index`. `labels`: name, value, name, value …, NULL. Values may hold any bytes; what is no UTF-8 becomes U+FFFD.
void exposition_add(struct exposition *e, size_t index, uint64_t value, const char *const *labels);
// The same for a value in thousandths ("12.345").
void exposition_add_milli(struct exposition *e, size_t index, uint64_t milli, const char *const *labels);
#define EXPOSITION_LABELS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define EXPOSITION_NO_LABELS ((const char *const[]){ NULL })

// Every family that has samples.
void exposition_text(const struct exposition *e, struct buf *ret_text);

#endif
