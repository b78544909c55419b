// What every repository carries for recovery by hand: scripts/recover.sh and scripts/RECOVER.txt, byte for byte, built in at compile time
// (the Makefile makes recover_text.c from them). Callers: repository_create publishes them, the recovery sheet prints the script's SHA-256.
#ifndef BKD_REPO_RECOVER_TEXT_H
#define BKD_REPO_RECOVER_TEXT_H

extern const char recover_script[]; // NUL-terminated
extern const char recover_text[];

#endif
