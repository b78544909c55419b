#include "bkd/base/slim.h"

#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

// Relocations in read-only segments: what is mapped there is then not what is in the file.
static bool is_relocated(const struct dl_phdr_info *object)
{
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        if (object->dlpi_phdr[i].p_type != PT_DYNAMIC)
            continue;
        for (const ElfW(Dyn) *d = (const ElfW(Dyn) *)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr); d->d_tag != DT_NULL; d++)
            if (d->d_tag == DT_TEXTREL || (d->d_tag == DT_FLAGS && (d->d_un.d_val & DF_TEXTREL) != 0))
                return true;
    }
    return false;
}

// Segments that cannot be written are as the file is. (Those that can be hold the relocated tables as well, which are read-only only later.)
static int give_back(struct dl_phdr_info *object, size_t size, void *arg)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    (void)size;
    (void)arg;
    for (size_t i = 0; i < object->dlpi_phnum && !is_relocated(object); i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        uintptr_t begin = (object->dlpi_addr + segment->p_vaddr) & ~(page - 1), end = object->dlpi_addr + segment->p_vaddr + segment->p_filesz;
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_W) == 0)
            (void)madvise((void *)begin, end - begin, MADV_DONTNEED); // at worst all stays as it was
    }
    return 0;
}

void slim_down(void)
{
    (void)malloc_trim(0);
    (void)dl_iterate_phdr(give_back, NULL);
}
