/*
 * libunwind checks addresses by writing them into a pipe of its own, and reopens that pipe by its old numbers when
 * somebody closed it (src/x86_64/Ginit.c of 1.6). In a program that closes all descriptors, as daemons do, the numbers
 * are soon the program's own files: libunwind would close those and write into them. So the private copy's calls of
 * pipe2, read, write, syscall and close are led here, by its jump slots: the pipe exists in name only.
 */
#define _GNU_SOURCE
#include "recorder_internal.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { READ_END = 0x7ffffff0, WRITE_END };

bool hr_is_readable(const void *address)
{
    uint8_t byte;
    struct iovec here = {&byte, 1}, there = {(void *)(uintptr_t)address, 1};
    if (process_vm_readv(getpid(), &here, 1, &there, 1, 0) == 1)
        return true;
    if (errno != ENOSYS && errno != EPERM)
        return false;
    /* Where a sandbox forbids it: whether the page is mapped is the next best answer. */
    void *page = (void *)((uintptr_t)address & ~(uintptr_t)4095);
    return mincore(page, 1, &byte) == 0;
}

static int pipe_in_name(int ends[2], int flags)
{
    (void)flags;
    ends[0] = READ_END;
    ends[1] = WRITE_END;
    return 0;
}

static int close_other(int fd) { return fd == READ_END || fd == WRITE_END ? 0 : close(fd); }

static ssize_t read_other(int fd, void *buffer, size_t size)
{
    if (fd != READ_END)
        return read(fd, buffer, size);
    errno = EAGAIN; /* an empty pipe, and one that is still open */
    return -1;
}

static ssize_t write_other(int fd, const void *buffer, size_t size)
{
    if (fd != WRITE_END)
        return write(fd, buffer, size);
    bool ok = hr_is_readable(buffer);
    errno = ok ? 0 : EFAULT;
    return ok ? (ssize_t)size : -1;
}

/* By this it writes, to be unseen by AddressSanitizer. A variadic function takes its arguments as any other here. */
static long syscall_other(long number, long a, long b, long c, long d, long e, long f)
{
    if (number == SYS_write && a == WRITE_END)
        return write_other(WRITE_END, (const void *)b, (size_t)c);
    return syscall(number, a, b, c, d, e, f);
}

static void *replacement(const char *name)
{
    static const struct {
        const char *name;
        void *function;
    } table[] = {
        {"pipe2", (void *)pipe_in_name},
        {"close", (void *)close_other},
        {"read", (void *)read_other},
        {"write", (void *)write_other},
        {"syscall", (void *)syscall_other},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].name, name) == 0)
            return table[i].function;
    return NULL;
}

static void *pointer_at(const struct link_map *map, ElfW(Sxword) tag)
{
    for (const ElfW(Dyn) *entry = map->l_ld; entry->d_tag != DT_NULL; entry++)
        if (entry->d_tag == tag)
            return (void *)(uintptr_t)entry->d_un.d_ptr;
    return NULL;
}

uint32_t hr_lead_calls(void *library)
{
    struct link_map *map;
    if (dlinfo(library, RTLD_DI_LINKMAP, &map) != 0)
        return 0;
    const ElfW(Rela) *slots = pointer_at(map, DT_JMPREL);
    const ElfW(Sym) *symbols = pointer_at(map, DT_SYMTAB);
    const char *names = pointer_at(map, DT_STRTAB);
    size_t size = (size_t)(uintptr_t)pointer_at(map, DT_PLTRELSZ);
    uint32_t led = 0;
    for (size_t i = 0; slots && symbols && names && i < size / sizeof *slots; i++) {
        void *function = replacement(names + symbols[ELF64_R_SYM(slots[i].r_info)].st_name);
        void **slot = (void **)(map->l_addr + slots[i].r_offset);
        void *page = (void *)((uintptr_t)slot & ~(uintptr_t)4095);
        if (!function || mprotect(page, 4096, PROT_READ | PROT_WRITE) != 0)
            continue;
        *slot = function;
        led++;
    }
    return led;
}
