/* What the probe may say to people: why it does not record, and which setting it cannot read. */
#define _GNU_SOURCE
#include "recorder_internal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define LONGEST 1024 /* of a line's parts: a pipe that takes anything takes as much at once */

static struct stat stderr_at_start;
static bool stderr_known;

static uint32_t *has_said; /* hr_say_unrecorded, by this process or a child of it */

void hr_remember_stderr(void)
{
    stderr_known = fstat(2, &stderr_at_start) == 0;
    if (has_said)
        return;
    void *page = mmap(NULL, HR_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    has_said = page == MAP_FAILED ? NULL : page;
}

/* Or not at all: this may be within malloc, and whoever reads may be asleep, or gone, which would be a SIGPIPE. */
static void write_at_once(struct iovec *line, int count)
{
    struct msghdr message = {.msg_iov = line, .msg_iovlen = (size_t)count};
    if (sendmsg(2, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 || errno != ENOTSOCK)
        return;
    struct pollfd poll_for = {.fd = 2, .events = POLLOUT};
    if (poll(&poll_for, 1, 0) != 1 || poll_for.revents != POLLOUT)
        return;
    ssize_t ignored = writev(2, line, count);
    (void)ignored;
}

void hr_say(const char *what, const char *detail, const char *outcome)
{
    struct stat now;
    /* A daemon may have closed it and opened something precious in its place. */
    if (!stderr_known || fstat(2, &now) != 0 || now.st_dev != stderr_at_start.st_dev
        || now.st_ino != stderr_at_start.st_ino)
        return;
    const char *const parts[] = {
        "heaptide-probe: ", what, detail[0] ? ": " : "", detail, "; ", outcome, "\n",
    };
    enum { PARTS = sizeof parts / sizeof parts[0] };
    struct iovec line[PARTS];
    for (int i = 0; i < PARTS; i++)
        line[i] = (struct iovec){(void *)parts[i], strnlen(parts[i], LONGEST)};
    write_at_once(line, PARTS);
}

/* Once, and not for each of a server's workers. */
void hr_say_unrecorded(const char *what, const char *detail)
{
    if (!has_said || !__atomic_exchange_n(has_said, 1, __ATOMIC_RELAXED))
        hr_say(what, detail, "this process is not recorded");
}
