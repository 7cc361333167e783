/*
 * Calls of libc must reach libc. A program may define functions of the same names, `open` or `syscall`, of which the loader
 * makes everybody's: the probe's calls would be theirs, from within malloc. So the slots by which the probe and its private
 * libunwind call are led to libc's own definitions, and those by which libunwind calls itself to its own. Where nobody else
 * defines such names nothing is written.
 *
 * libunwind also opens a pipe at its first step, by which its local interface, not used here, checks addresses. The
 * numbers of a program's descriptors are its own business: that call is led nowhere. So is, while a rule is learnt, the
 * one by which it blocks signals, four times a step, to hold a lock: they are blocked then (workspace.c). A program that
 * loads the same library later shares it, and blocks as ever.
 */
#define _GNU_SOURCE
#include "recorder_internal.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static int no_pipe(int ends[2], int flags)
{
    (void)flags;
    ends[0] = ends[1] = -1;
    errno = EMFILE;
    return -1;
}

static int mask_unless_learning(int how, const sigset_t *set, sigset_t *old)
{
    return hr_self.learning ? 0 : sigprocmask(how, set, old);
}

/* What libunwind calls instead; NULL for all but two functions. */
static void *harmless(const char *name)
{
    if (strcmp(name, "pipe2") == 0)
        return (void *)no_pipe;
    return strcmp(name, "sigprocmask") == 0 ? (void *)mask_unless_learning : NULL;
}

/* As a system call of our own: libc's may not be within reach yet. */
static void protect(uintptr_t page, int access)
{
    long result = SYS_mprotect;
    __asm__ volatile("syscall" : "+a"(result) : "D"(page), "S"(HR_PAGE), "d"((long)access) : "rcx", "r11", "memory");
}

typedef struct library {
    const struct link_map *map;
    const ElfW(Sym) *symbols;
    const char *names;
    bool is_own;
} library;

static uint64_t entry_of(const struct link_map *map, ElfW(Sxword) tag)
{
    for (const ElfW(Dyn) *entry = map->l_ld; entry->d_tag != DT_NULL; entry++)
        if (entry->d_tag == tag)
            return entry->d_un.d_ptr;
    return 0;
}

static void set(const library *library, void **slot, void *function)
{
    uintptr_t page = (uintptr_t)slot & ~(HR_PAGE - 1);
    protect(page, PROT_READ | PROT_WRITE);
    *slot = function;
    if (library->is_own)
        protect(page, PROT_READ); /* as the loader left it; the other's are written when they are first used */
}

/* The allocator family is what the probe stands before: it is not libc's alone. */
static bool is_allocator(const char *name)
{
    static const char *const family[] = {"malloc", "calloc", "realloc", "free", "memalign", "posix_memalign"};
    for (size_t i = 0; i < sizeof family / sizeof *family; i++)
        if (strcmp(name, family[i]) == 0)
            return true;
    return false;
}

static void bind(const library *library, void *libc, uint64_t table, uint64_t size)
{
    const ElfW(Rela) *relocations = (const ElfW(Rela) *)(uintptr_t)table;
    for (uint64_t i = 0; table && i < size / sizeof *relocations; i++) {
        uint64_t type = ELF64_R_TYPE(relocations[i].r_info);
        const ElfW(Sym) *symbol = &library->symbols[ELF64_R_SYM(relocations[i].r_info)];
        if ((type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT) || ELF64_ST_TYPE(symbol->st_info) == STT_OBJECT)
            continue;
        const char *name = library->names + symbol->st_name;
        void **slot = (void **)(library->map->l_addr + relocations[i].r_offset);
        if (symbol->st_shndx != SHN_UNDEF) {
            /* Its own function, for which the loader may have taken another library's of the same name. */
            void *own = (void *)(library->map->l_addr + symbol->st_value);
            if (!library->is_own && ELF64_ST_TYPE(symbol->st_info) == STT_FUNC && *slot != own)
                set(library, slot, own);
            continue;
        }
        void *function = library->is_own ? NULL : harmless(name);
        if (!function && !is_allocator(name))
            function = dlsym(libc, name);
        if (function && *slot != function)
            set(library, slot, function);
    }
}

static void bind_library(const struct link_map *map, bool is_own)
{
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    library library = {
        .map = map,
        .symbols = (const ElfW(Sym) *)(uintptr_t)entry_of(map, DT_SYMTAB),
        .names = (const char *)(uintptr_t)entry_of(map, DT_STRTAB),
        .is_own = is_own,
    };
    if (!libc || !library.symbols || !library.names)
        return;
    bind(&library, libc, entry_of(map, DT_JMPREL), entry_of(map, DT_PLTRELSZ));
    bind(&library, libc, entry_of(map, DT_RELA), entry_of(map, DT_RELASZ));
}

void hr_bind_self(void)
{
    Dl_info info;
    struct link_map *map;
    if (dladdr1((const void *)hr_bind_self, &info, (void **)&map, RTLD_DL_LINKMAP) && map)
        bind_library(map, true);
}

void hr_bind_private(void *library)
{
    struct link_map *map;
    if (dlinfo(library, RTLD_DI_LINKMAP, &map) == 0)
        bind_library(map, false);
}
