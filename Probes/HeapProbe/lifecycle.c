/* When the probe begins and ends, and what the environment tells it. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "attach.h"
#include "heap_recorder.h"
#include "next.h"
#include "redirect.h"

#define DEFAULT_INTERVAL (UINT64_C(8) << 10)
#define DEFAULT_LEDGER (UINT64_C(4) << 20)
#define EXACT_LEDGER (UINT64_C(128) << 20) /* a record for each of 750,000 live blocks */
#define INTERVAL_SETTING "HEAPTIDE_SAMPLE_INTERVAL"
#define LEDGER_SETTING "HEAPTIDE_LEDGER_SIZE"

/* `512KiB`, `64k` and `1.5M` are binary as in cgroups, `64kB` and `1MB` decimal, plain numbers bytes; 0 where it is none
 * of them. The command line reads sizes alike. */
static uint64_t parse_size(const char *text)
{
    char *end;
    if (!text || !((*text >= '0' && *text <= '9') || *text == '.'))
        return 0;
    double value = strtod(text, &end);
    const char *units = "kmgt", *unit = strchr(units, *end | 0x20);
    if (*end && unit) {
        bool decimal = end[1] == 'B' || end[1] == 'b';
        for (const char *u = units; u <= unit; u++)
            value *= decimal ? 1000 : 1024;
        end++;
        end += *end == 'i';
    }
    end += *end == 'B' || *end == 'b';
    return *end == 0 && value >= 1 && value < 0x1p60 ? (uint64_t)value : 0;
}

static void absolute_directory(char *path, size_t size)
{
    const char *given = getenv("HEAPTIDE_DIR");
    char here[2000];
    if (!given || !given[0])
        snprintf(path, size, "/tmp/heaptide-%u", (unsigned)geteuid());
    else if (given[0] == '/' || !getcwd(here, sizeof here))
        snprintf(path, size, "%.3990s", given);
    else
        snprintf(path, size, "%.1990s/%.2000s", here, given);
}

static uint64_t size_setting(const char *name) { return parse_size(getenv(name)); }

static void complain_of(const char *name)
{
    const char *given = getenv(name);
    if (given && given[0] && !parse_size(given))
        hr_say(name, given, "that is no size such as 64KiB, the default is used");
}

void hp_configure(const char *directory, uint64_t interval, uint64_t ledger_size)
{
    hr_config config = {
        .directory = directory,
        .interval = interval ? interval : DEFAULT_INTERVAL,
        .ledger_size = ledger_size ? ledger_size : interval == 1 ? EXACT_LEDGER : DEFAULT_LEDGER,
        .is_attached = hp_life != HP_PRELOADED,
    };
    hr_configure(&config);
}

__attribute__((constructor)) static void begin(void)
{
    hr_bind_self();
    hp_life = hp_is_preloaded() ? HP_PRELOADED : HP_IDLE;
    if (hp_life == HP_IDLE)
        return; /* dlopened: hp_control begins */
    hp_resolve();
    if (getauxval(AT_SECURE))
        return;
    char directory[4000];
    absolute_directory(directory, sizeof directory);
    hp_resolve_operators();
    hr_load_unwinder();
    hp_forget_errors();
    hp_configure(directory, size_setting(INTERVAL_SETTING), size_setting(LEDGER_SETTING));
    pthread_atfork(NULL, NULL, hr_after_fork);
    complain_of(INTERVAL_SETTING);
    complain_of(LEDGER_SETTING);
}

__attribute__((destructor)) static void end(void) { hr_mark_exited(); }
