/*
 * Stacks through libunwind, loaded privately: it exports _Unwind_RaiseException and backtrace, which must not replace
 * libgcc's and libc's in the program (bytehound issue 17, memray issue 863). unw_backtrace's warm path costs about
 * 10 ns a frame (measured, libunwind 1.6.2).
 */
#define _GNU_SOURCE
#include "recorder_internal.h"

#include <dlfcn.h>
#include <link.h>

static int (*unw_backtrace_)(void **, int);
static uint32_t in_loader;       /* threads that may hold locks of the loader or of libunwind */
static bool is_barred;           /* this process was forked while there were such threads */
static uint64_t own_start, own_end;

static int find_self(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size, (void)unused;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        uint64_t start = info->dlpi_addr + ph->p_vaddr;
        uint64_t here = (uint64_t)(uintptr_t)&hr_unwind;
        if (ph->p_type == PT_LOAD && here >= start && here < start + ph->p_memsz) {
            own_start = start;
            own_end = start + ph->p_memsz;
            return 1;
        }
    }
    return 0;
}

void hr_load_unwinder(void)
{
    if (unw_backtrace_)
        return;
    dl_iterate_phdr(find_self, NULL);
    hr_self.inside++;
    void *library = dlopen("libunwind.so.8", RTLD_LOCAL | RTLD_NOW);
    if (library)
        unw_backtrace_ = (int (*)(void **, int))dlsym(library, "unw_backtrace");
    hr_self.inside--;
}

bool hr_has_unwinder(void) { return unw_backtrace_ != NULL && !is_barred; }

bool hr_loader_enter(void)
{
    if (is_barred)
        return false;
    HR_ADD(in_loader, 1);
    return true;
}

void hr_loader_leave(void) { HR_ADD(in_loader, -1); }

void hr_loader_forked(void)
{
    is_barred = is_barred || HR_LOAD(in_loader) != 0;
    HR_STORE(in_loader, 0);
}

uint32_t hr_unwind(uint64_t *frames, uint32_t capacity, uint64_t caller, uint32_t *flags)
{
    void *raw[HL_MAX_DEPTH + 16];
    int depth = 0, skip = 0;
    bool unwinds = unw_backtrace_ && hr_loader_enter();
    if (unwinds) {
        depth = unw_backtrace_(raw, HL_MAX_DEPTH + 16);
        hr_loader_leave();
    }
    while (skip < depth && (uint64_t)(uintptr_t)raw[skip] >= own_start && (uint64_t)(uintptr_t)raw[skip] < own_end)
        skip++;
    uint32_t n = 0;
    for (int i = skip; i < depth && n < capacity; i++)
        frames[n++] = (uint64_t)(uintptr_t)raw[i];
    if (depth == HL_MAX_DEPTH + 16 || depth - skip > (int)capacity)
        *flags |= HL_SITE_CUT;
    if (!unwinds)
        *flags |= HL_SITE_NO_UNWINDER;
    if (n == 0) {
        HR_ADD(hr_ledger_now.header->stacks_failed, 1);
        frames[n++] = caller;
    }
    return n;
}
