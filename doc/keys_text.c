// Prints a key list of bkd-policy(5) or, as `keys_text config`, of bkd.yaml(5), or, as `keys_text plan`, of bkd-plan(5), made from the table of keys, as man(7) source.
#include <stdio.h>
#include <string.h>

#include "bkd/policy/config_schema.h"
#include "bkd/policy/recovery_schema.h"
#include "bkd/policy/schema.h"

int main(int argc, char **argv)
{
    _cleanup_buf_ struct buf text = { 0 };
    const char *which = argc == 2 ? argv[1] : "";
    schema_man(strcmp(which, "config") == 0 ? config_schema() : strcmp(which, "plan") == 0 ? recovery_schema() : schema_of_policies(), &text);
    return fputs(buf_str(&text), stdout) == EOF || fflush(stdout) != 0;
}
