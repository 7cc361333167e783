// System calls and macros that Swift does not import: variadic functions, and macros with arguments.

#ifndef CLINUX_H
#define CLINUX_H

#include <stdbool.h>

/// Makes orphaned descendants children of this process, so that it can reap them as PID 1 would (prctl(2),
/// PR_SET_CHILD_SUBREAPER). 0, or an errno.
int clinux_become_subreaper(void);

// What waitpid(2) reported.
bool clinux_has_exited(int status);
/// 0…255; means something only where `clinux_has_exited`.
int clinux_exit_code(int status);
/// The signal; means something only where not `clinux_has_exited`.
int clinux_kill_signal(int status);

#endif
