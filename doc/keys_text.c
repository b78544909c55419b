// Prints the key list of bkd-policy(5), made from the table of keys, as man(7) source.
#include <stdio.h>

#include "bkd/policy/schema.h"

int main(void)
{
    _cleanup_buf_ struct buf text = { 0 };
    schema_man(schema_of_policies(), &text);
    return fputs(buf_str(&text), stdout) == EOF || fflush(stdout) != 0;
}
