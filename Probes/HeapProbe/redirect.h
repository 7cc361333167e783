/* Leads the calls of loaded modules to the probe, by their call slots, and back. */
#ifndef HP_REDIRECT_H
#define HP_REDIRECT_H

#include <link.h>
#include <stdbool.h>
#include <stdint.h>

/* A function that calls are led away from. */
typedef struct hp_entry {
    const char *name;
    void *own;    /* the probe's */
    void **real;  /* where the pointer to the program's own is kept; NULL in it: there is none */
} hp_entry;

/* modules.c: the first loaded module's definition of `name`, as the dynamic linker would find it; the probe's own is left
 * out. NULL if there is none. Unlike dlsym it never gives the address of a call stub in the program. */
void *hp_definition(const char *name);

/* A loaded module's dynamic section. */
typedef struct hp_module {
    uintptr_t base, start, end; /* load bias; mapped range */
    uintptr_t relro_start, relro_end; /* pages that are made read-only after relocation */
    uintptr_t code_start, code_end;
    const ElfW(Sym) *symbols;
    const char *names;
    const uint32_t *gnu_hash, *hash;
    const ElfW(Rela) *slots, *relocations;
    size_t slot_count, relocation_count;
    bool has_runpath, has_rpath;
} hp_module;

bool hp_read_module(const struct dl_phdr_info *info, hp_module *module);
/* The loaded library of that file name; false if there is none. */
bool hp_find_module(const char *file, hp_module *module);
/* Whether the loader has made it read-only where it is to be, which it does last; as soon as it may be called. */
bool hp_is_relocated(const hp_module *module);
const ElfW(Sym) *hp_symbol(const hp_module *module, const char *name);
/* Of the module's own definition; NULL if there is none. */
void *hp_address(const hp_module *module, const char *name);
bool hp_is_probe(const hp_module *module);
/* True where the probe was there before libc, which the loader does to preloaded libraries only. */
bool hp_is_preloaded(void);

/* In all loaded modules: slots that hold an entry's real function, or are still to be bound to it, get the probe's; or the
 * other way round. Returns how many it changed. */
uint64_t hp_redirect(const hp_entry *entries, size_t count);
uint64_t hp_restore(const hp_entry *entries, size_t count);

/* interpose.c and operators.c: what the probe has in place of what, what frees (or may) and what only allocates. */
extern const hp_entry hp_c_frees[], hp_c_allocations[], hp_operator_deletes[], hp_operator_news[];
extern const size_t hp_c_free_count, hp_c_allocation_count, hp_operator_delete_count, hp_operator_new_count;

#endif
