// Runs a fuzz target over its stored corpus, where no fuzzing engine provides main().
//
// fuzz_NAME FILE… runs the files given; without arguments it runs every file of $srcdir/tests/fuzz/corpus/NAME. An input is
// right when the target returns: crashes, leaks and sanitizer reports are what a replay finds.
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The file's bytes in a block of exactly that size, so that a read past the end is seen by the sanitizer. NULL on failure.
static uint8_t *read_whole(const char *path, size_t *ret_size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    struct stat st;
    uint8_t *data = NULL;
    if (fstat(fileno(file), &st) == 0 && S_ISREG(st.st_mode)) {
        size_t size = (size_t)st.st_size;
        data = malloc(size > 0 ? size : 1);
        if (data != NULL && fread(data, 1, size, file) == size) {
            *ret_size = size;
        } else {
            free(data);
            data = NULL;
        }
    }
    (void)fclose(file); // only read from
    return data;
}

static bool run_file(const char *path)
{
    size_t size;
    uint8_t *data = read_whole(path, &size);
    if (data == NULL) {
        fprintf(stderr, "cannot read %s\n", path);
        return false;
    }
    (void)LLVMFuzzerTestOneInput(data, size); // always 0
    free(data);
    return true;
}

// Runs every file of the folder; the number of files, or -1.
static int run_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return -1;
    int count = 0;
    for (struct dirent *entry; count >= 0 && (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        char *path = NULL;
        bool done = asprintf(&path, "%s/%s", folder, entry->d_name) > 0 && run_file(path);
        count = done ? count + 1 : -1;
        free(path);
    }
    (void)closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!run_file(argv[i]))
            return 1;
    if (argc > 1)
        return 0;

    const char *slash = strrchr(argv[0], '/');
    const char *name = slash != NULL ? slash + 1 : argv[0];
    if (strncmp(name, "fuzz_", 5) == 0)
        name += 5;
    const char *srcdir = getenv("srcdir");
    char *folder = NULL;
    if (asprintf(&folder, "%s/tests/fuzz/corpus/%s", srcdir != NULL ? srcdir : ".", name) < 0)
        return 1;
    int count = run_folder(folder);
    if (count <= 0)
        printf("not ok 1 - no corpus in %s\n", folder);
    free(folder);
    if (count <= 0)
        return 1;
    printf("ok 1 - %d stored inputs of %s replayed\n", count, name);
    return 0;
}
