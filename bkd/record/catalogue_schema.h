// The tables of the catalogue as SQL: one script for each version of the schema, which leads there from the version before.
// doc/catalogue.md describes them; tests/record/test_catalogue compares the two.
#ifndef BKD_RECORD_CATALOGUE_SCHEMA_H
#define BKD_RECORD_CATALOGUE_SCHEMA_H

#define CATALOGUE_APPLICATION_ID 0x626b6463 // "bkdc": PRAGMA application_id

// The script that leads from version - 1 to version (1 … CATALOGUE_VERSION). A published script is never changed: a new version gets a new one.
const char *catalogue_schema_script(int version);

#endif
