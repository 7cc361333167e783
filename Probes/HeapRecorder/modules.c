/* Which files are mapped with code, so that an address can be named after the process is gone. */
#define _GNU_SOURCE
#include "recorder_internal.h"

#include <limits.h>
#include <link.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEPT_FREE 64u /* of the table, for files that were never here: others take up their last stay */
#define LOADING_NOTICED_NS UINT64_C(50000000)

typedef struct scan {
    uint64_t loads, unloads; /* the loader's own counters */
    bool complete;
    bool first;
} scan;

static uint64_t known_loads, known_unloads, known_serial;
static uint64_t refreshing; /* serial of the ledger that a thread is at; a forked child has another */
static uint8_t seen[HR_MODULES];

static uint64_t modules_used(void)
{
    uint64_t used = HR_LOAD(hr_ledger_now.header->modules_used);
    return used < HR_MODULES ? used : HR_MODULES;
}

static void read_build_id(const struct dl_phdr_info *info, hl_module *module)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        if (ph->p_type != PT_NOTE || ph->p_memsz > (1u << 16))
            continue;
        const uint8_t *at = (const uint8_t *)(info->dlpi_addr + ph->p_vaddr), *end = at + ph->p_memsz;
        while ((size_t)(end - at) >= sizeof(ElfW(Nhdr))) {
            const ElfW(Nhdr) *note = (const ElfW(Nhdr) *)at;
            size_t name = (note->n_namesz + 3u) & ~(size_t)3, text = (note->n_descsz + 3u) & ~(size_t)3;
            if (name + text > (size_t)(end - at) - sizeof *note)
                break;
            if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && memcmp(at + sizeof *note, "GNU", 4) == 0
                && note->n_descsz <= sizeof module->build_id) {
                module->build_id_length = note->n_descsz;
                memcpy(module->build_id, at + sizeof *note + name, note->n_descsz);
                return;
            }
            at += sizeof *note + name + text;
        }
    }
}

static bool write_name(const char *name, hl_module *module)
{
    hl_header *header = hr_ledger_now.header;
    size_t length = strlen(name) + 1;
    uint64_t used = HR_LOAD(header->names_used);
    if (used > HR_NAMES || length > HR_NAMES - used)
        return false;
    module->name_offset = used;
    memcpy(hr_ledger_now.names + used, name, length);
    HR_STORE(header->names_used, used + length);
    return true;
}

static bool overlaps(const hl_module *one, const hl_module *other)
{
    return one->start < other->end && other->start < one->end;
}

/* The same file at the same place: its code has not changed, also after a dlclose. Without a build ID only one that was
 * never away can be told. */
static bool is_same(const hl_module *one, const hl_module *other)
{
    return one->start == other->start && one->end == other->end && one->build_id_length == other->build_id_length
        && (one->build_id_length > 0 ? memcmp(one->build_id, other->build_id, sizeof one->build_id) == 0
                                     : one->unloaded_at == UINT64_MAX);
}

/* Its latest stay, or NULL. */
static hl_module *find_same(const hl_module *module)
{
    for (uint64_t i = modules_used(); i-- > 0;)
        if (is_same(&hr_ledger_now.modules[i], module))
            return &hr_ledger_now.modules[i];
    return NULL;
}

/* Another one stood where this one is, while it was away. */
static bool was_replaced(const hl_module *module)
{
    for (uint64_t i = 0; i < modules_used() && module->unloaded_at != UINT64_MAX; i++) {
        const hl_module *other = &hr_ledger_now.modules[i];
        if (other != module && overlaps(other, module) && other->unloaded_at > module->unloaded_at)
            return true;
    }
    return false;
}

/* Other code where an unloaded module was: the stacks through it are other stacks from now on. */
static void close_overlapped(const hl_module *module)
{
    for (uint64_t i = 0; i < modules_used(); i++) {
        if (overlaps(&hr_ledger_now.modules[i], module) && !seen[i]) {
            hr_sites_close(module->start, module->end);
            return;
        }
    }
}

/* The loader keeps a library's name as it was asked for: "./plugin.so" would mean nothing to who reads the ledger. */
static const char *in_working_folder(const char *name, char path[static PATH_MAX])
{
    while (strncmp(name, "./", 2) == 0)
        name += 2;
    long length = syscall(SYS_getcwd, path, PATH_MAX); /* libc's may allocate */
    size_t rest = strlen(name) + 1;
    if (length < 2 || path[0] != '/' || (size_t)length + rest > PATH_MAX)
        return name;
    path[length - 1] = '/';
    memcpy(path + length, name, rest);
    return path;
}

static const char *name_of(const struct dl_phdr_info *info)
{
    static char path[PATH_MAX]; /* one thread at a time */
    const char *name = info->dlpi_name;
    if (name && name[0] != '/' && strchr(name, '/'))
        return in_working_folder(name, path);
    if (name && name[0])
        return name;
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1); /* the program itself */
    path[length > 0 ? length : 0] = 0;
    return path;
}

static int add_module(struct dl_phdr_info *info, size_t size, void *context)
{
    scan *scan = context;
    hl_header *header = hr_ledger_now.header;
    (void)size;
    if (scan->first) {
        scan->first = false;
        scan->loads = info->dlpi_adds;
        scan->unloads = info->dlpi_subs;
        if (known_serial == hr_ledger_now.serial && known_loads == scan->loads && known_unloads == scan->unloads)
            return 1;
        scan->complete = true;
        if (scan->unloads > header->unloads) {
            HR_STORE(header->unloads, scan->unloads);
            hr_rules_forget();
        }
    }
    hr_code_object range = hr_code_range(info);
    hl_module module = {.state = HL_READY, .start = range.start, .end = range.end, .bias = info->dlpi_addr,
                        .unloaded_at = UINT64_MAX};
    module.loaded_at = header->unloads;
    if (module.start >= module.end)
        return 0;
    read_build_id(info, &module);
    hl_module *same = find_same(&module);
    bool replaced = same && was_replaced(same);
    if (same && (!replaced || modules_used() >= HR_MODULES - KEPT_FREE)) {
        if (replaced)
            hr_sites_close(module.start, module.end);
        seen[same - hr_ledger_now.modules] = 1;
        same->unloaded_at = UINT64_MAX;
        return 0;
    }
    uint64_t index = modules_used();
    module.name_offset = same ? same->name_offset : 0;
    if (index >= HR_MODULES || (!same && !write_name(name_of(info), &module))) {
        HR_ADD(header->modules_dropped, 1);
        return 0;
    }
    close_overlapped(&module);
    hl_module *slot = &hr_ledger_now.modules[index];
    module.state = HL_WRITING;
    *slot = module;
    seen[index] = 1;
    __atomic_store_n(&slot->state, HL_READY, __ATOMIC_RELEASE);
    HR_STORE(header->modules_used, index + 1);
    return 0;
}

static void refresh(void *context)
{
    (void)context;
    hl_header *header = hr_ledger_now.header;
    uint64_t serial = hr_ledger_now.serial;
    if (__atomic_exchange_n(&refreshing, serial, __ATOMIC_ACQUIRE) == serial)
        return; /* another thread is at it */
    if (!hr_loader_try_enter()) {
        __atomic_store_n(&refreshing, 0, __ATOMIC_RELEASE);
        return;
    }
    scan scan = {.first = true};
    memset(seen, 0, sizeof seen);
    dl_iterate_phdr(add_module, &scan);
    hr_loader_leave();
    if (scan.complete) {
        for (uint64_t i = 0; i < modules_used(); i++)
            if (!seen[i] && hr_ledger_now.modules[i].unloaded_at == UINT64_MAX)
                hr_ledger_now.modules[i].unloaded_at = header->unloads;
        known_loads = scan.loads;
        known_unloads = scan.unloads;
        known_serial = hr_ledger_now.serial;
    }
    __atomic_store_n(&refreshing, 0, __ATOMIC_RELEASE);
}

void hr_modules_refresh(void) { hr_with_large_stack(refresh, NULL); }

/* A library that took an unloaded one's place may call from the same addresses: those stacks are known, and wrong. */
void hr_modules_follow(uint64_t now)
{
    static uint64_t last;
    uint64_t loads = hr_loads_seen();
    if (HR_LIKELY(loads)) {
        if (HR_UNLIKELY(loads != HR_LOAD(known_loads)))
            hr_modules_refresh();
        return;
    }
    uint64_t before = HR_LOAD(last);
    if (now - before > LOADING_NOTICED_NS
        && __atomic_compare_exchange_n(&last, &before, now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        hr_modules_refresh(); /* asking takes the loader's lock: now and then */
}

void hr_modules_inherit(const hr_ledger *parent, hr_ledger *child)
{
    /* In this order: the parent goes on, and writes a name before the module that has it. */
    uint64_t modules = __atomic_load_n(&parent->header->modules_used, __ATOMIC_ACQUIRE);
    uint64_t names = HR_LOAD(parent->header->names_used);
    if (names > HR_NAMES || modules > HR_MODULES)
        return;
    memcpy(child->names, parent->names, names);
    memcpy(child->modules, parent->modules, modules * sizeof *child->modules);
    child->header->names_used = names;
    child->header->modules_used = modules;
    child->header->unloads = parent->header->unloads;
}
