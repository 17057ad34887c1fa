/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A line on stderr for work on a file that takes long. */
#ifndef CLI_WORK_PROGRESS_H
#define CLI_WORK_PROGRESS_H

#include "base/macros.h"

struct work_progress {
    const char *what; /* "convert" */
    bool on;
    bool shown;
    uint64_t total; /* octets; 0: not known */
    int64_t started_ns;
    int64_t drawn_ns;
};

/* Shown on a terminal unless 'quiet', elsewhere never. */
void work_progress_begin(struct work_progress *p, const char *what, int fd,
                         bool quiet);
void work_progress_update(struct work_progress *p, uint64_t done);
/* Take the line away. */
void work_progress_end(struct work_progress *p);

#endif
