// Prints a key list of bkd-policy(5) or, as `keys_text config`, of bkd.yaml(5), made from the table of keys, as man(7) source.
#include <stdio.h>
#include <string.h>

#include "bkd/policy/config_schema.h"
#include "bkd/policy/schema.h"

int main(int argc, char **argv)
{
    _cleanup_buf_ struct buf text = { 0 };
    bool config = argc == 2 && strcmp(argv[1], "config") == 0;
    schema_man(config ? config_schema() : schema_of_policies(), &text);
    return fputs(buf_str(&text), stdout) == EOF || fflush(stdout) != 0;
}
