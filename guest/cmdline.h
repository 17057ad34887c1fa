/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the command line and the console may set, and its words taken apart.
 */
#ifndef GUEST_CMDLINE_H
#define GUEST_CMDLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum event_abi_choice { EVENT_ABI_FIFO, EVENT_ABI_2L };
enum callback_choice { CALLBACK_PER_VCPU, CALLBACK_DOMAIN };
enum timer_choice { TIMER_ONESHOT, TIMER_PERIODIC };
enum idle_choice { IDLE_HALT, IDLE_POLL };
enum ping_choice { PING_OFF, PING_ON, PING_STORM };

struct options {
    uint64_t mem;         /* bytes of the memory workload's pages */
    uint64_t rate;        /* pages per second, of all vCPUs together */
    bool disk;            /* drive the first block device */
    uint64_t disk_rate;   /* blocks per second */
    uint64_t disk_blocks; /* 4 KiB blocks that are written in turn */
    uint64_t disk_depth;  /* blocks in work at once */
    uint64_t vcpus;       /* bring up at most so many */
    uint64_t tick_ms;     /* timer period */
    uint64_t report_ms;   /* time between reports */
    uint64_t ping_ticks;  /* ticks between two rounds of the ball */
    enum ping_choice ping;
    enum event_abi_choice event_abi;
    enum callback_choice callback;
    enum timer_choice timer;
    enum idle_choice idle;
};

void options_init(struct options *ret);

/*
 * Apply "name=value".  False if the name is not known or the value is not
 * one that it takes; '*o' is unchanged then.
 */
bool options_apply(struct options *o, const char *word);

/*
 * Apply every word of 'line'.  Words that are refused are copied to 'refused'
 * (at most 'size' bytes with the NUL), with blanks between them.
 */
void options_parse(struct options *o, const char *line, char *refused,
                   size_t size);

/* Decimal digits with an optional K, M or G, and nothing else. */
bool number_parse(const char *text, uint64_t *ret);

#endif
