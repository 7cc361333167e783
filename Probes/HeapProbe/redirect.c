/*
 * Call slots: the words behind JUMP_SLOT and GLOB_DAT relocations, through which a module calls another's functions, and
 * the pointers to functions in its data (R_X86_64_64). The loader's own pointers (ld.so's __rtld_malloc and __rtld_free)
 * are left as they are: what it allocates it frees itself.
 */
#define _GNU_SOURCE
#include "redirect.h"

#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct pass {
    const hp_entry *entries;
    size_t count;
    bool back;
    uint64_t changed;
} pass;

/* Every relocation of the process comes by here: two characters leave out nearly all of them. */
static const hp_entry *find_entry(const pass *pass, const char *name)
{
    for (size_t i = 0; i < pass->count; i++) {
        const char *other = pass->entries[i].name;
        if (name[0] == other[0] && name[1] == other[1] && strcmp(name, other) == 0)
            return &pass->entries[i];
    }
    return NULL;
}

/* Not bound yet: the slot of a lazily bound function leads back into its own module, which does not define it. */
static bool is_unbound(const hp_module *module, const ElfW(Rela) *relocation, uintptr_t value)
{
    return ELF64_R_TYPE(relocation->r_info) == R_X86_64_JUMP_SLOT
        && module->symbols[ELF64_R_SYM(relocation->r_info)].st_shndx == SHN_UNDEF
        && value - module->code_start < module->code_end - module->code_start;
}

/* Asked without touching what is there: the kernel ors 0 into it, atomically, and fails where a store would fault. */
static bool is_writable(void *slot)
{
    static uint32_t nobody_waits;
    uint32_t or_zero = FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_EQ, 0);
    return syscall(SYS_futex, &nobody_waits, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, 0, slot, or_zero) >= 0;
}

bool hp_is_relocated(const hp_module *module)
{
    return module->relro_start < module->relro_end && !is_writable((void *)module->relro_start);
}

/*
 * A writable page that should be read-only belongs to a module that another thread is loading: it may become read-only
 * under our store, and must stay writable for that thread's. Such a module is left for the next pass.
 */
static bool write_slot(const hp_module *module, void **slot, void *value)
{
    uintptr_t page = (uintptr_t)slot & ~(uintptr_t)4095;
    bool is_relro = page >= module->relro_start && page < module->relro_end;
    if (is_writable(slot) == is_relro)
        return false;
    if (is_relro && mprotect((void *)page, 4096, PROT_READ | PROT_WRITE) != 0)
        return false;
    __atomic_store_n(slot, value, __ATOMIC_RELEASE);
    if (is_relro)
        mprotect((void *)page, 4096, PROT_READ);
    return true;
}

static void lead(pass *pass, const hp_module *module, const ElfW(Rela) *relocation)
{
    uint32_t type = ELF64_R_TYPE(relocation->r_info);
    if (type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT && (type != R_X86_64_64 || relocation->r_addend != 0))
        return;
    const ElfW(Sym) *symbol = &module->symbols[ELF64_R_SYM(relocation->r_info)];
    const hp_entry *entry = find_entry(pass, module->names + symbol->st_name);
    if (!entry || !*entry->real)
        return;
    void **slot = (void **)(module->base + relocation->r_offset);
    if ((uintptr_t)slot < module->start || (uintptr_t)slot >= module->end || (uintptr_t)slot % sizeof *slot != 0)
        return;
    void *now = __atomic_load_n(slot, __ATOMIC_ACQUIRE), *from = pass->back ? entry->own : *entry->real;
    bool is_ours = now == from || (!pass->back && is_unbound(module, relocation, (uintptr_t)now));
    if (is_ours && write_slot(module, slot, pass->back ? *entry->real : entry->own))
        pass->changed++;
}

/* The loader holds a lock of its own meanwhile: no module comes or goes, and no second pass runs. */
static int lead_module(struct dl_phdr_info *info, size_t size, void *context)
{
    hp_module module;
    (void)size;
    if (!hp_read_module(info, &module) || hp_is_probe(&module))
        return 0;
    for (size_t i = 0; i < module.slot_count; i++)
        lead(context, &module, &module.slots[i]);
    for (size_t i = 0; i < module.relocation_count; i++)
        lead(context, &module, &module.relocations[i]);
    return 0;
}

uint64_t hp_redirect(const hp_entry *entries, size_t count)
{
    pass pass = {entries, count, false, 0};
    dl_iterate_phdr(lead_module, &pass);
    return pass.changed;
}

uint64_t hp_restore(const hp_entry *entries, size_t count)
{
    pass pass = {entries, count, true, 0};
    dl_iterate_phdr(lead_module, &pass);
    return pass.changed;
}
