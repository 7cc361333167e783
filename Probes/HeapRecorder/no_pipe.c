/*
 * libunwind opens a pipe at its first step, by which its local interface, not used here, checks addresses. The numbers
 * of a program's descriptors are its own business, so the private copy's call of pipe2 is led here by its jump slot.
 */
#define _GNU_SOURCE
#include "recorder_internal.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>

static int no_pipe(int ends[2], int flags)
{
    (void)flags;
    ends[0] = ends[1] = -1;
    errno = EMFILE;
    return -1;
}

static void *pointer_at(const struct link_map *map, ElfW(Sxword) tag)
{
    for (const ElfW(Dyn) *entry = map->l_ld; entry->d_tag != DT_NULL; entry++)
        if (entry->d_tag == tag)
            return (void *)(uintptr_t)entry->d_un.d_ptr;
    return NULL;
}

void hr_forbid_pipe(void *library)
{
    struct link_map *map;
    if (dlinfo(library, RTLD_DI_LINKMAP, &map) != 0)
        return;
    const ElfW(Rela) *slots = pointer_at(map, DT_JMPREL);
    const ElfW(Sym) *symbols = pointer_at(map, DT_SYMTAB);
    const char *names = pointer_at(map, DT_STRTAB);
    size_t size = (size_t)(uintptr_t)pointer_at(map, DT_PLTRELSZ);
    for (size_t i = 0; slots && symbols && names && i < size / sizeof *slots; i++) {
        void **slot = (void **)(map->l_addr + slots[i].r_offset);
        void *page = (void *)((uintptr_t)slot & ~(uintptr_t)4095);
        if (strcmp(names + symbols[ELF64_R_SYM(slots[i].r_info)].st_name, "pipe2") == 0
            && mprotect(page, 4096, PROT_READ | PROT_WRITE) == 0)
            *slot = (void *)no_pipe;
    }
}
