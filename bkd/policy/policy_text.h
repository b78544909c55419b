// What is wrong with the bytes of a policy file before YAML looks at them.
#ifndef BKD_POLICY_POLICY_TEXT_H
#define BKD_POLICY_POLICY_TEXT_H

#include <stdbool.h>

#include "bkd/policy/policy_errors.h"

// Reports byte order marks, NUL and other control characters, tabs, carriage returns, invalid UTF-8 and lines of more than
// POLICY_LINE_MAX bytes in errors->text. False when it is no text, so that parsing it would only repeat the mistake.
bool policy_text_check(struct policy_errors *errors);

#endif
