/* Which loaded file an address belongs to. */
#define _GNU_SOURCE
#include "recorder_internal.h"

#include <dlfcn.h>
#include <link.h>

/* glibc 2.35's own answer, made for unwinders: it takes no lock. Looked up, since older ones do not have it. */
static int (*find_object)(void *, struct dl_find_object *);

/* Of the program itself. Where it has holes between its segments (-z separate-code and pages of 2 MiB) glibc's answer is
 * the segment with the code alone, and its unwind table is in another. */
static hr_code_object program;

hr_code_object hr_code_range(const struct dl_phdr_info *info)
{
    hr_code_object range = {.start = UINT64_MAX};
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        if (ph->p_type != PT_LOAD)
            continue;
        uint64_t start = info->dlpi_addr + ph->p_vaddr, end = start + ph->p_memsz;
        range.start = start < range.start ? start : range.start;
        range.end = end > range.end ? end : range.end;
    }
    return range;
}

/* The program is the first. */
static int note_program(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size, (void)context;
    program = hr_code_range(info);
    return 1;
}

void hr_code_objects_load(void)
{
    dl_iterate_phdr(note_program, NULL);
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
    hr_code_object object = hr_code_range(info);
    bool covers = false;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        uint64_t start = info->dlpi_addr + ph->p_vaddr, end = start + ph->p_memsz;
        if (ph->p_type == PT_GNU_EH_FRAME)
            object.eh_frame_header = (const uint8_t *)start;
        covers |= ph->p_type == PT_LOAD && search->address >= start && search->address < end;
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
