// UTF-8 as RFC 3629 has it: no surrogates, no overlong forms, nothing above U+10FFFF.
#ifndef BKD_BASE_UTF8_H
#define BKD_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

// How many bytes the character at s takes (n > 0 bytes are there), and which one it is (NULL: not asked); 0, with *ret_character left alone, when there is none.
size_t utf8_decode(const uint8_t *s, size_t n, uint32_t *ret_character);

#endif
