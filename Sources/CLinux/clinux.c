#define _GNU_SOURCE
#include "clinux.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/wait.h>

int clinux_become_subreaper(void) {
    return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 ? 0 : errno;
}

bool clinux_has_exited(int status) { return WIFEXITED(status); }

int clinux_exit_code(int status) { return WEXITSTATUS(status); }

int clinux_kill_signal(int status) { return WTERMSIG(status); }
