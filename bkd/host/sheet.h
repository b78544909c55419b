// The recovery sheet: one printed page from which everything can be restored when every machine is gone.
// Pure: facts in, text out.
#ifndef BKD_HOST_SHEET_H
#define BKD_HOST_SHEET_H

#include <stdbool.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"

#define SHEET_LINES 66   // of a printed page
#define SHEET_COLUMNS 92 // what a page in a typewriter font of 9 points holds

// Texts that go on the sheet, all borrowed. NULL where a fact is not known.
struct sheet {
    const char *host;
    const char *printed;  // when: "2026-11-23T08:00:00Z"
    const char *identity; // "AGE-SECRET-KEY-1…", or NULL where nothing is encrypted
    const char *recipient;
    const char *signers; // lines of allowed_signers
    // The rest is there only with a repository.
    const char *policy;
    const char *repository;    // its address
    const char *repository_id; // 32 hex digits
    const char *chain;         // 32 hex digits, or NULL before the first snapshot
    const char *head_number, *head_time, *head_sha256;
    const char *recover_sha256; // of recover.sh
};

// Appends the page. terminal: the QR code in black on white, whatever the terminal's colours; else plain characters for printing.
// ERROR_FAILED when the QR code cannot be made. The caller wipes the text: it holds the identity.
MUST_USE int sheet_format(const struct sheet *sheet, bool terminal, struct buf *ret_text, struct error *err);

// Appends a QR code of upper-case text in half blocks: two rows of modules a line, with a quiet zone of four.
MUST_USE int sheet_qr(const char *text, bool terminal, struct buf *ret_text, struct error *err);

#endif
