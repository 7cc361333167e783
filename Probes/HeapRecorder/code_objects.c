/* Which loaded file an address belongs to. */
#define _GNU_SOURCE
#include "recorder_internal.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/auxv.h>

/* glibc 2.35's own answer, made for unwinders: it takes no lock. Looked up, since older ones do not have it. */
static int (*find_object)(void *, struct dl_find_object *);

/* From the first to the last segment of the program itself. Of one with holes between them (-z separate-code and pages of
 * 2 MiB) glibc's answer is the segment with the code alone, and its unwind table is in another. */
static hr_code_object program;

static void find_program(void)
{
    const ElfW(Phdr) *table = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    uint64_t count = table ? getauxval(AT_PHNUM) : 0, bias = 0;
    bool is_placed = false;
    hr_code_object whole = {.start = UINT64_MAX};
    for (const ElfW(Phdr) *ph = table; ph < table + count; ph++) {
        uint64_t start = ph->p_vaddr, end = start + ph->p_memsz;
        if (ph->p_type == PT_PHDR) {
            bias = (uint64_t)(uintptr_t)table - start;
            is_placed = true;
        }
        if (ph->p_type != PT_LOAD)
            continue;
        whole.start = start < whole.start ? start : whole.start;
        whole.end = end > whole.end ? end : whole.end;
    }
    if (is_placed)
        program = (hr_code_object){.start = whole.start + bias, .end = whole.end + bias};
}

void hr_code_objects_load(void)
{
    find_program();
    find_object = (int (*)(void *, struct dl_find_object *))dlsym(RTLD_DEFAULT, "_dl_find_object");
}

typedef struct search {
    uint64_t address;
    hr_code_object *object;
} search;

static int look_into(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    search *search = context;
    hr_code_object object = {.start = UINT64_MAX};
    bool covers = false;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        uint64_t start = info->dlpi_addr + ph->p_vaddr, end = start + ph->p_memsz;
        if (ph->p_type == PT_GNU_EH_FRAME)
            object.eh_frame_header = (const uint8_t *)start;
        if (ph->p_type != PT_LOAD)
            continue;
        covers |= search->address >= start && search->address < end;
        object.start = start < object.start ? start : object.start;
        object.end = end > object.end ? end : object.end;
    }
    if (covers)
        *search->object = object;
    return covers;
}

bool hr_code_object_at(uint64_t address, hr_code_object *object)
{
    struct dl_find_object found;
    if (find_object) {
        if (find_object((void *)address, &found) != 0)
            return false;
        *object = (hr_code_object){
            .start = (uint64_t)found.dlfo_map_start,
            .end = (uint64_t)found.dlfo_map_end,
            .eh_frame_header = found.dlfo_eh_frame,
        };
        if (object->start >= program.start && object->end <= program.end) {
            object->start = program.start;
            object->end = program.end;
        }
        return true;
    }
    search search = {address, object};
    if (!hr_loader_try_enter())
        return false;
    bool is_found = dl_iterate_phdr(look_into, &search) != 0;
    hr_loader_leave();
    return is_found;
}
