/*
 * A function of the program itself that its dynamic symbols do not name: Swift services are often linked with a static
 * runtime. Only in programs with Swift's metadata sections; about 20 µs in others, once.
 */
#define _GNU_SOURCE
#include "recorder_internal.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct image {
    const uint8_t *bytes;
    uint64_t size;
    const ElfW(Shdr) *sections;
    uint64_t count;
} image;

/* What the section holds, or NULL where it does not lie within the file. */
static const void *contents(const image *image, const ElfW(Shdr) *section)
{
    bool fits = section->sh_type != SHT_NOBITS && section->sh_offset <= image->size
        && section->sh_size <= image->size - section->sh_offset && section->sh_offset % 8 == 0;
    return fits ? image->bytes + section->sh_offset : NULL;
}

static const char *string_at(const image *image, uint64_t table, uint64_t at)
{
    if (table >= image->count || at >= image->sections[table].sh_size)
        return "";
    const ElfW(Shdr) *section = &image->sections[table];
    const char *text = section->sh_offset <= image->size && section->sh_size <= image->size - section->sh_offset
        ? (const char *)image->bytes + section->sh_offset : NULL;
    return text && memchr(text + at, 0, section->sh_size - at) ? text + at : "";
}

static bool read_sections(image *image)
{
    const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)image->bytes;
    if (image->size < sizeof *header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0
        || header->e_shentsize != sizeof(ElfW(Shdr)) || header->e_shoff % 8 != 0 || header->e_shoff > image->size
        || header->e_shnum > (image->size - header->e_shoff) / sizeof(ElfW(Shdr)))
        return false;
    image->sections = (const ElfW(Shdr) *)(image->bytes + header->e_shoff);
    image->count = header->e_shnum;
    for (uint64_t i = 0; i < image->count; i++)
        if (strncmp(string_at(image, header->e_shstrndx, image->sections[i].sh_name), "swift5_", 7) == 0)
            return true;
    return false;
}

static uint64_t find_function(const image *image, const char *name)
{
    for (uint64_t i = 0; i < image->count; i++) {
        const ElfW(Shdr) *section = &image->sections[i];
        const ElfW(Sym) *symbols = section->sh_type == SHT_SYMTAB ? contents(image, section) : NULL;
        for (uint64_t s = 0; symbols && s < section->sh_size / sizeof *symbols; s++)
            if (ELF64_ST_TYPE(symbols[s].st_info) == STT_FUNC
                && strcmp(string_at(image, section->sh_link, symbols[s].st_name), name) == 0)
                return symbols[s].st_value;
    }
    return 0;
}

static int first_bias(struct dl_phdr_info *info, size_t size, void *bias)
{
    (void)size;
    *(uint64_t *)bias = info->dlpi_addr;
    return 1; /* the program comes first */
}

uint64_t hr_program_function(const char *name)
{
    struct stat status;
    uint64_t value = 0, bias = 0;
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    image image = {.size = fstat(file, &status) == 0 && status.st_size > 0 ? (uint64_t)status.st_size : 0};
    void *bytes = image.size ? mmap(NULL, image.size, PROT_READ, MAP_PRIVATE, file, 0) : MAP_FAILED;
    close(file);
    if (bytes == MAP_FAILED)
        return 0;
    image.bytes = bytes;
    if (read_sections(&image))
        value = find_function(&image, name);
    munmap(bytes, image.size);
    dl_iterate_phdr(first_bias, &bias);
    return value ? bias + value : 0;
}
