/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a move shows of itself: a bar on a terminal, lines elsewhere, one JSON
 * object a line for programs.
 *
 * Two kinds of news come in.  Steps are ours: connect, save, hand over.  Within
 * a step the save helper writes JSON lines of its own: phase, round, octets,
 * rate.  The newest of these is the 'sample'; rendering is a pure function of
 * it.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <json-c/json.h>
#include <stdio.h>

#include "base/macros.h"
#include "engine/move/move.h"

/* Absent numbers are 0, but for downtime_ms: -1. */
struct progress_sample {
    char phase[16]; /* "precopy", ...; "" before the first */
    uint64_t round;
    uint64_t bytes;
    uint64_t pages;
    uint64_t zero_pages;
    uint64_t round_pages;
    uint64_t round_total; /* 0: not known */
    uint64_t rate;        /* octets a second */
    uint64_t dirty_pages;
    uint64_t dirty_rate; /* pages a second */
    int64_t downtime_ms; /* predicted while the guest runs, then measured */
    int64_t elapsed_ms;
};

/* Read one line of the helper; false when it is not a sample. */
bool progress_sample_parse(const char *line, struct progress_sample *ret);

/*
 * The bar, at most 'columns' wide, without a newline:
 *   "g1: precopy 2 [####....]  45%  123.0 MiB  31.2 MiB/s  4 s left"
 */
void progress_render_bar(const struct progress_sample *s, const char *guest,
                         unsigned int columns, char *ret, size_t size);

/* What a finished round, or the end, looks like as a line. */
void progress_render_round(const struct progress_sample *s, char *ret,
                           size_t size);

/* "1.2 GiB", "820 ms", "2:05" */
void format_bytes(uint64_t bytes, char *ret, size_t size);
void format_ms(int64_t ms, char *ret, size_t size);

enum progress_form { PROGRESS_NONE, PROGRESS_BAR, PROGRESS_LINES };

struct progress {
    enum progress_form form; /* on stderr */
    FILE *json;              /* NULL: no events */
    unsigned int columns;
    int64_t started_ns;
    int64_t drawn_ns;
    bool bar_shown;
    char guest[TOOLSTACK_NAME_MAX];
    enum move_step step;
    struct progress_sample sample;
    struct progress_sample round_began; /* first sample of this round */
    bool sampled;                       /* this step has had a sample */
    bool handed_over;
    int64_t stopped_ns; /* when the guest was asked to stop; 0: not yet */
    int64_t stopped_ms; /* migrate: until the target's report; 0: not known */
};

/* 'json' on stdout; 'quiet' is nothing on stderr. */
void progress_begin(struct progress *p, bool json, bool quiet);
/* For move_options.watcher; 'p' must outlive it. */
struct move_watcher progress_watcher(struct progress *p);
/* What a person has to know at once, and a program as 'event', used up. */
void progress_notice(struct progress *p, const char *text,
                     struct json_object *event);
/* Take the bar away, say how it ended; 'error' is NULL after success. */
void progress_finish(struct progress *p, enum move_outcome outcome,
                     const struct toolstack_guest *guest,
                     const struct error *error);

#endif
