/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The events of a move as one page to look at: HTML with plots in it. */
#ifndef CLI_MOVE_PAGE_H
#define CLI_MOVE_PAGE_H

#include "base/buffer.h"

#define MOVE_SAMPLES_MAX 20000u
#define MOVE_PARTS       5u

struct move_sample {
    double seconds; /* since the move began */
    double rate;    /* octets a second */
    double dirty;   /* octets a second */
    unsigned int round;
    bool precopy;
    uint64_t round_pages, dirty_pages;
};

struct move_story {
    char guest[64];
    char outcome[16];
    struct move_sample *samples; /* owned */
    size_t nr_samples;
    bool has_report;
    uint64_t rounds, pages, zero_pages, bytes;
    double elapsed_ms, blackout_ms;
    double parts_ms[MOVE_PARTS]; /* stop, final, state, hand-over, resume */
};

void move_story_release(struct move_story *s);

/* One line of events; what is not understood is passed over. */
must_check bool move_story_line(struct move_story *s, const char *line,
                                struct error *err);

/* The page; its numbers are plain text, its names are escaped. */
void move_page_write(const struct move_story *s, struct buffer *ret);

#endif
