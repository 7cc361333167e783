// libelf and libdw of elfutils: ELF files, DWARF, build IDs, debug links.
#ifndef HEAPTIDE_CELF_H
#define HEAPTIDE_CELF_H

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>
#include <elfutils/libdwfl.h>
#include <gelf.h>
#include <libelf.h>

#endif
