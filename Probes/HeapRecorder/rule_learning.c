/*
 * Learns a frame rule from libunwind, once for each return address. Its remote interface is made to step once from
 * registers that mean nothing but themselves: each holds a tag, and each word that it loads from the stack comes back
 * as a tag of its address. What the step leaves in rsp, rbp and r14 then spells the rule.
 *
 * So libunwind interprets the tables, and its own caches are not needed: those of unw_backtrace take 294 KiB of every
 * thread that ever called it (measured, 1.6.2).
 */
#define _GNU_SOURCE
#define UNW_REMOTE_ONLY
#include "recorder_internal.h"

#include <dlfcn.h>
#include <libunwind-x86_64.h>
#include <link.h>
#include <string.h>
#include <ucontext.h>

/* ---- The library ------------------------------------------------------------------------------------------------- */

static struct {
    unw_addr_space_t (*create_addr_space)(unw_accessors_t *, int);
    int (*init_remote)(unw_cursor_t *, unw_addr_space_t, void *);
    int (*step)(unw_cursor_t *);
    int (*get_reg)(unw_cursor_t *, int, unw_word_t *);
    int (*search_unwind_table)(unw_addr_space_t, unw_word_t, unw_dyn_info_t *, unw_proc_info_t *, int, void *);
    int (*set_caching_policy)(unw_addr_space_t, unw_caching_policy_t);
} unw;
static unw_addr_space_t tagged_space;
static uint64_t coroutine_end;

/* ---- Tags -------------------------------------------------------------------------------------------------------- */

#define TAG(n) (((uint64_t)(n) << 60) + (UINT64_C(1) << 40))
#define LOADED (UINT64_C(1) << 63) /* a word that was loaded from the tagged address in the other bits */
enum { OF_SP = 1, OF_BP = 2, OF_R14 = 3, OF_OTHER = 4 };

static bool is_tagged(uint64_t value) { return value >> 60 != 0; }

/* True: `value` is `tag` moved by less than the widest offset. */
static bool is_near(uint64_t value, uint64_t tag, int64_t widest, int64_t *offset)
{
    *offset = (int64_t)(value - tag);
    return *offset >= -widest && *offset < widest;
}

#define KNOWN_PAGES 16u /* a search in a table takes a dozen */

/* ---- What libunwind asks for ------------------------------------------------------------------------------------- */

typedef struct question {
    uint64_t ip;
    hr_code_object object;
    uint64_t known_pages[KNOWN_PAGES]; /* that can be read, each at its number modulo KNOWN_PAGES; 0: none */
    bool has_table; /* there is a table, and `ip` is in it */
} question;

/* A file's segments may leave holes, also in the midst of its tables. Page 0 is what `known_pages` begins with, and never
 * readable. */
static bool can_read(question *asked, uint64_t address)
{
    return address >= HR_PAGE && hr_page_is_readable(address, &asked->known_pages[address / HR_PAGE % KNOWN_PAGES]);
}

static int access_register(unw_addr_space_t space, unw_regnum_t number, unw_word_t *value, int writes, void *context)
{
    (void)space;
    if (writes || number < 0 || number > UNW_X86_64_RIP)
        return -UNW_EBADREG;
    switch (number) {
    case UNW_X86_64_RIP: *value = ((const question *)context)->ip; break;
    case UNW_X86_64_RSP: *value = TAG(OF_SP); break;
    case UNW_X86_64_RBP: *value = TAG(OF_BP); break;
    case UNW_X86_64_R14: *value = TAG(OF_R14); break;
    default: *value = TAG(OF_OTHER) + ((uint64_t)number << 32);
    }
    return 0;
}

static int access_memory(unw_addr_space_t space, unw_word_t address, unw_word_t *value, int writes, void *context)
{
    (void)space;
    question *asked = context;
    if (writes)
        return -UNW_EINVAL;
    if (is_tagged(address)) {
        *value = address | LOADED;
        return 0;
    }
    /* Else the unwind tables or the code of the loaded file. */
    if (address < asked->object.start || address > asked->object.end - sizeof *value)
        return -UNW_EINVAL;
    if (!can_read(asked, address) || !can_read(asked, address + sizeof *value - 1))
        return -UNW_EINVAL;
    memcpy(value, (const void *)address, sizeof *value);
    return 0;
}

/* The binary search table of .eh_frame_hdr (Linux Standard Base 5.0, "Exception Frames"), in the encodings that every
 * linker writes. */
static int find_procedure(unw_addr_space_t space, unw_word_t ip, unw_proc_info_t *info, int wants_table, void *context)
{
    question *asked = context;
    const uint8_t *header = asked->object.eh_frame_header;
    enum { PCREL_SDATA4 = 0x1b, UDATA4 = 0x03, DATAREL_SDATA4 = 0x3b };
    if (!header || !can_read(asked, (uint64_t)(uintptr_t)header) || header[0] != 1 || header[1] != PCREL_SDATA4
        || header[2] != UDATA4 || header[3] != DATAREL_SDATA4)
        return -UNW_ENOINFO;
    uint32_t count;
    memcpy(&count, header + 8, sizeof count);
    unw_dyn_info_t table = {
        .start_ip = asked->object.start,
        .end_ip = asked->object.end,
        .format = UNW_INFO_FORMAT_REMOTE_TABLE,
        .u.rti = {
            .segbase = (unw_word_t)(uintptr_t)header,
            .table_len = count * 8u / sizeof(unw_word_t),
            .table_data = (unw_word_t)(uintptr_t)(header + 12),
        },
    };
    int status = unw.search_unwind_table(space, ip, &table, info, wants_table, context);
    asked->has_table |= status >= 0;
    return status;
}

static void put_unwind_info(unw_addr_space_t space, unw_proc_info_t *info, void *context)
{
    (void)space, (void)info, (void)context;
}

static int no_list(unw_addr_space_t space, unw_word_t *list, void *context)
{
    (void)space, (void)list, (void)context;
    return -UNW_ENOINFO;
}

static int no_float(unw_addr_space_t space, unw_regnum_t number, unw_fpreg_t *value, int writes, void *context)
{
    (void)space, (void)number, (void)value, (void)writes, (void)context;
    return -UNW_EBADREG;
}

static int no_resume(unw_addr_space_t space, unw_cursor_t *cursor, void *context)
{
    (void)space, (void)cursor, (void)context;
    return -UNW_EINVAL;
}

static int no_name(unw_addr_space_t space, unw_word_t ip, char *name, size_t size, unw_word_t *offset, void *context)
{
    (void)space, (void)ip, (void)name, (void)size, (void)offset, (void)context;
    return -UNW_ENOINFO;
}

static void no_coroutine(void) {}

/* Where makecontext lets its function return to, which libc has no unwind table for. */
static uint64_t find_coroutine_end(void)
{
    static ucontext_t context;
    static uint8_t stack[1024] __attribute__((aligned(16)));
    if (getcontext(&context) != 0)
        return 0;
    context.uc_stack = (stack_t){.ss_sp = stack, .ss_size = sizeof stack};
    makecontext(&context, no_coroutine, 0);
    return *(const uint64_t *)context.uc_mcontext.gregs[REG_RSP];
}

bool hr_rule_learning_load(void)
{
    static unw_accessors_t accessors = {
        .find_proc_info = find_procedure,
        .put_unwind_info = put_unwind_info,
        .get_dyn_info_list_addr = no_list,
        .access_mem = access_memory,
        .access_reg = access_register,
        .access_fpreg = no_float,
        .resume = no_resume,
        .get_proc_name = no_name,
    };
    /* By its place where that is a usual one: a search would begin in the probe's own folder, where somebody else may have
     * put another library of this name. Privately: libunwind.so.8, which it needs, exports _Unwind_RaiseException and
     * backtrace, which must not replace libgcc's and libc's in the program (bytehound issue 17, memray issue 863). */
    static const char *const places[] = {
        "/usr/lib/x86_64-linux-gnu/libunwind-x86_64.so.8", "/lib/x86_64-linux-gnu/libunwind-x86_64.so.8",
        "/usr/lib64/libunwind-x86_64.so.8", "/usr/lib/libunwind-x86_64.so.8", "libunwind-x86_64.so.8",
    };
    void *library = NULL;
    for (size_t i = 0; i < sizeof places / sizeof *places && !library; i++) {
        /* One that is there already is the program's, with locks that its threads hold. */
        void *known = dlopen(places[i], RTLD_LAZY | RTLD_NOLOAD);
        if (known) {
            dlclose(known);
            return false;
        }
        library = dlopen(places[i], RTLD_LOCAL | RTLD_NOW);
    }
    if (!library)
        return false;
    hr_bind_private(library);
    const struct {
        void *slot;
        const char *name;
    } needed[] = {
        {&unw.create_addr_space, "_Ux86_64_create_addr_space"},
        {&unw.init_remote, "_Ux86_64_init_remote"},
        {&unw.step, "_Ux86_64_step"},
        {&unw.get_reg, "_Ux86_64_get_reg"},
        {&unw.search_unwind_table, "_Ux86_64_dwarf_search_unwind_table"},
        {&unw.set_caching_policy, "_Ux86_64_set_caching_policy"},
    };
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        void *function = dlsym(library, needed[i].name);
        if (!function)
            return false;
        memcpy(needed[i].slot, &function, sizeof function);
    }
    coroutine_end = find_coroutine_end();
    tagged_space = unw.create_addr_space(&accessors, 0);
    if (tagged_space)
        unw.set_caching_policy(tagged_space, UNW_CACHE_NONE);
    return tagged_space != NULL;
}

/* ---- Reading the answer ------------------------------------------------------------------------------------------ */

#define WIDEST_CFA (INT64_C(1) << 26)
#define WIDEST_SAVE (INT64_C(1) << 15)

static hr_rule guess(void) { return (hr_rule){.kind = HR_RULE_GUESS}; }

/* Where the caller's value of a register is, relative to the CFA; 0 where it still is in the register. False where it
 * is neither. */
static bool saved_at(uint64_t value, uint64_t tag, uint64_t cfa, int16_t *at)
{
    int64_t offset;
    *at = 0;
    if (value == tag)
        return true;
    if (!(value & LOADED) || !is_near(value & ~LOADED, cfa, WIDEST_SAVE, &offset))
        return false;
    *at = (int16_t)offset;
    return true;
}

static bool read_rule(unw_cursor_t *cursor, hr_rule *rule)
{
    unw_word_t ip, cfa, bp, r14;
    int64_t offset;
    if (unw.get_reg(cursor, UNW_X86_64_RSP, &cfa) < 0 || unw.get_reg(cursor, UNW_X86_64_RIP, &ip) < 0
        || unw.get_reg(cursor, UNW_X86_64_RBP, &bp) < 0)
        return false;
    if (is_near(cfa, TAG(OF_SP), WIDEST_CFA, &offset))
        rule->kind = HR_RULE_SP;
    else if (is_near(cfa, TAG(OF_BP), WIDEST_CFA, &offset))
        rule->kind = HR_RULE_BP;
    else if ((cfa & LOADED) && is_near(cfa & ~LOADED, TAG(OF_BP), WIDEST_CFA, &offset))
        rule->kind = HR_RULE_BP_LOAD;
    else
        return false;
    rule->cfa = (int32_t)offset;
    if (ip != ((cfa - 8) | LOADED))
        return false;
    /* Where the CFA itself was loaded, rbp points at its caller's, and nothing else can be told by tags. */
    if (rule->kind == HR_RULE_BP_LOAD)
        return bp == (TAG(OF_BP) | LOADED);
    if (!saved_at(bp, TAG(OF_BP), cfa, &rule->bp))
        return false;
    if (unw.get_reg(cursor, UNW_X86_64_R14, &r14) < 0 || !saved_at(r14, TAG(OF_R14), cfa, &rule->r14))
        rule->r14 = 0;
    return true;
}

/* mov $15, %rax; syscall: what a signal handler returns to (signal(7), glibc's __restore_rt). */
static bool is_signal_return(question *asked, uint64_t ip)
{
    static const uint8_t code[9] = {0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05};
    return can_read(asked, ip) && can_read(asked, ip + sizeof code - 1)
        && memcmp((const void *)ip, code, sizeof code) == 0;
}

static hr_rule answer(question *asked)
{
    unw_cursor_t cursor;
    hr_rule rule = {.kind = HR_RULE_UNKNOWN};
    if (unw.init_remote(&cursor, tagged_space, asked) < 0)
        return guess();
    /* Without a table libunwind tries its own guess, which tags do not suit. */
    int status = unw.step(&cursor);
    if (status == 0 && asked->has_table)
        return (hr_rule){.kind = HR_RULE_END};
    return status > 0 && read_rule(&cursor, &rule) ? rule : guess();
}

hr_rule hr_rule_learn(uint64_t ip, bool exact)
{
    /* A call may be the last instruction of a function: what is looked up is the call. */
    question asked = {.ip = exact ? ip : ip - 1};
    /* Nothing is read of code that was made while the program runs: another thread may take it away. */
    if (!hr_code_object_at(asked.ip, &asked.object))
        return guess();
    if (is_signal_return(&asked, ip))
        return (hr_rule){.kind = HR_RULE_SIGNAL};
    if (ip == coroutine_end)
        return (hr_rule){.kind = HR_RULE_END};
    return answer(&asked);
}
