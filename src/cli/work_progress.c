/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/work_progress.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/progress.h"

#define REDRAW_NS INT64_C(200000000)

void work_progress_begin(struct work_progress *p, const char *what, int fd,
                         bool quiet)
{
    struct stat st;

    *p = (struct work_progress){.what = what};
    p->on = !quiet && isatty(STDERR_FILENO);
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        p->total = (uint64_t)st.st_size;
    p->started_ns = clock_now_ns();
}

void work_progress_update(struct work_progress *p, uint64_t done)
{
    char sum[32], all[32], rate[32];
    int64_t now;
    double seconds;

    if (!p->on)
        return;
    now = clock_now_ns();
    if (now - p->drawn_ns < REDRAW_NS)
        return;
    p->drawn_ns = now;
    p->shown = true;
    seconds = (double)(now - p->started_ns) / 1e9;
    format_bytes(done, sum, sizeof(sum));
    format_bytes(p->total, all, sizeof(all));
    format_bytes(seconds > 0 ? (uint64_t)((double)done / seconds) : 0, rate,
                 sizeof(rate));
    fprintf(stderr, "\r%s: %s%s%s, %s/s\033[K", p->what, sum,
            p->total ? " of " : "", p->total ? all : "", rate);
    if (p->total > done && done > 0 && seconds > 1)
        fprintf(stderr, ", %.0f s left",
                seconds * (double)(p->total - done) / (double)done);
    fflush(stderr);
}

void work_progress_end(struct work_progress *p)
{
    if (p->shown)
        fprintf(stderr, "\r\033[K");
    p->shown = false;
}
