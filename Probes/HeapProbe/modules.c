/* Loaded modules as the dynamic linker sees them: symbols and relocations, read where they are mapped. */
#define _GNU_SOURCE
#include <string.h>

#include "redirect.h"

/* glibc writes addresses into the dynamic section, except where it is read-only (the vdso). */
static uintptr_t address(const hp_module *module, ElfW(Addr) value)
{
    return value < module->base ? module->base + value : value;
}

static void read_dynamic(hp_module *module, const ElfW(Dyn) *entry)
{
    size_t slot_size = 0, relocation_size = 0;
    for (; entry->d_tag != DT_NULL; entry++) {
        uintptr_t at = address(module, entry->d_un.d_ptr);
        switch (entry->d_tag) {
        case DT_SYMTAB: module->symbols = (const void *)at; break;
        case DT_STRTAB: module->names = (const void *)at; break;
        case DT_GNU_HASH: module->gnu_hash = (const void *)at; break;
        case DT_HASH: module->hash = (const void *)at; break;
        case DT_JMPREL: module->slots = (const void *)at; break;
        case DT_RELA: module->relocations = (const void *)at; break;
        case DT_PLTRELSZ: slot_size = entry->d_un.d_val; break;
        case DT_RELASZ: relocation_size = entry->d_un.d_val; break;
        case DT_RPATH: module->has_rpath = true; break;
        case DT_RUNPATH: module->has_runpath = true; break;
        }
    }
    module->slot_count = module->slots ? slot_size / sizeof *module->slots : 0;
    module->relocation_count = module->relocations ? relocation_size / sizeof *module->relocations : 0;
}

bool hp_read_module(const struct dl_phdr_info *info, hp_module *module)
{
    const ElfW(Dyn) *dynamic = NULL;
    *module = (hp_module){.base = info->dlpi_addr, .start = UINTPTR_MAX};
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + ph->p_vaddr, end = start + ph->p_memsz;
        if (ph->p_type == PT_DYNAMIC)
            dynamic = (const void *)start;
        if (ph->p_type == PT_GNU_RELRO) {
            module->relro_start = start & ~(uintptr_t)4095;
            module->relro_end = end & ~(uintptr_t)4095;
        }
        if (ph->p_type != PT_LOAD)
            continue;
        module->start = start < module->start ? start : module->start;
        module->end = end > module->end ? end : module->end;
        if (ph->p_flags & PF_X) {
            module->code_start = module->code_start ? module->code_start : start;
            module->code_end = end;
        }
    }
    if (dynamic)
        read_dynamic(module, dynamic);
    return module->symbols && module->names;
}

typedef struct wanted {
    const char *file;
    hp_module *module;
} wanted;

static int match(struct dl_phdr_info *info, size_t size, void *context)
{
    wanted *wanted = context;
    const char *slash = strrchr(info->dlpi_name, '/');
    (void)size;
    return strcmp(slash ? slash + 1 : info->dlpi_name, wanted->file) == 0 && hp_read_module(info, wanted->module);
}

bool hp_find_module(const char *file, hp_module *module)
{
    wanted wanted = {file, module};
    return dl_iterate_phdr(match, &wanted) != 0;
}

bool hp_is_probe(const hp_module *module)
{
    return (uintptr_t)&hp_read_module - module->start < module->end - module->start;
}

/* ---- Symbols ----------------------------------------------------------------------------------------------------- */

static bool defines(const hp_module *module, const ElfW(Sym) *symbol, const char *name)
{
    return symbol->st_shndx != SHN_UNDEF && symbol->st_value != 0 && strcmp(module->names + symbol->st_name, name) == 0;
}

/* The header of DT_GNU_HASH: buckets, first symbol, Bloom words, Bloom shift; then the Bloom filter, buckets, chains. */
static const ElfW(Sym) *find_gnu(const hp_module *module, const char *name)
{
    const uint32_t *table = module->gnu_hash;
    uint32_t hash = 5381, buckets = table[0], first = table[1], words = table[2];
    for (const char *c = name; *c; c++)
        hash = hash * 33 + (uint8_t)*c;
    const ElfW(Addr) *bloom = (const ElfW(Addr) *)(table + 4);
    ElfW(Addr) word = words ? bloom[hash / 64 % words] : 0;
    if (buckets == 0 || !(word >> (hash % 64) & word >> ((hash >> table[3]) % 64) & 1))
        return NULL;
    const uint32_t *bucket = (const uint32_t *)(bloom + words), *chain = bucket + buckets;
    uint32_t index = bucket[hash % buckets];
    for (; index >= first; index++) {
        uint32_t other = chain[index - first];
        if ((other | 1) == (hash | 1) && defines(module, &module->symbols[index], name))
            return &module->symbols[index];
        if (other & 1)
            break;
    }
    return NULL;
}

const ElfW(Sym) *hp_symbol(const hp_module *module, const char *name)
{
    if (module->gnu_hash)
        return find_gnu(module, name);
    for (uint32_t i = 0; module->hash && i < module->hash[1]; i++)
        if (defines(module, &module->symbols[i], name))
            return &module->symbols[i];
    return NULL;
}

void *hp_address(const hp_module *module, const char *name)
{
    const ElfW(Sym) *symbol = hp_symbol(module, name);
    if (!symbol)
        return NULL;
    void *address = (void *)(module->base + symbol->st_value);
    return ELF64_ST_TYPE(symbol->st_info) == STT_GNU_IFUNC ? ((void *(*)(void))address)() : address;
}

typedef struct search {
    const char *name;
    void *found;
} search;

static int search_module(struct dl_phdr_info *info, size_t size, void *context)
{
    search *search = context;
    hp_module module;
    (void)size;
    if (!hp_read_module(info, &module) || hp_is_probe(&module))
        return 0;
    search->found = hp_address(&module, search->name);
    return search->found != NULL;
}

void *hp_definition(const char *name)
{
    search search = {name, NULL};
    dl_iterate_phdr(search_module, &search);
    return search.found;
}

/* ---- Which came first -------------------------------------------------------------------------------------------- */

static int find_first(struct dl_phdr_info *info, size_t size, void *context)
{
    bool *is_preloaded = context;
    hp_module module;
    (void)size;
    if (!hp_read_module(info, &module))
        return 0;
    *is_preloaded = hp_is_probe(&module);
    return *is_preloaded || hp_symbol(&module, "__libc_start_main");
}

bool hp_is_preloaded(void)
{
    bool is_preloaded = false;
    dl_iterate_phdr(find_first, &is_preloaded);
    return is_preloaded;
}
