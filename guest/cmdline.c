/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmdline.h"

#include "libc.h"

#define WORD_MAX 64

void options_init(struct options *ret)
{
    *ret = (struct options){
        .mem = 4 << 20,
        .rate = 1000,
        .disk = false,
        .disk_rate = 200,
        .disk_blocks = 1024,
        .disk_depth = 8,
        .vcpus = 8,
        .tick_ms = 10,
        .report_ms = 1000,
        .ping_ticks = 1,
        .ping = PING_ON,
        .event_abi = EVENT_ABI_FIFO,
        .callback = CALLBACK_PER_VCPU,
        .timer = TIMER_ONESHOT,
        .idle = IDLE_HALT,
    };
}

bool number_parse(const char *text, uint64_t *ret)
{
    uint64_t value = 0;
    unsigned int shift = 0;

    if (*text < '0' || *text > '9')
        return false;
    for (; *text >= '0' && *text <= '9'; text++) {
        uint64_t digit = (uint64_t)(*text - '0');

        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (*text == 'K')
        shift = 10;
    else if (*text == 'M')
        shift = 20;
    else if (*text == 'G')
        shift = 30;
    if (shift) {
        text++;
        if (value > UINT64_MAX >> shift)
            return false;
    }
    if (*text)
        return false;
    *ret = value << shift;
    return true;
}

/* The part after "name=", or NULL if 'word' sets something else. */
static const char *value_of(const char *word, const char *name)
{
    while (*name && *word == *name) {
        word++;
        name++;
    }
    return !*name && *word == '=' ? word + 1 : NULL;
}

static bool number_apply(const char *value, uint64_t least, uint64_t most,
                         uint64_t *ret)
{
    uint64_t n;

    if (!number_parse(value, &n) || n < least || n > most)
        return false;
    *ret = n;
    return true;
}

/* 'names' lists the values of the enum in order, and ends with NULL. */
static bool choice_apply(const char *value, const char *const *names,
                         unsigned int *ret)
{
    for (unsigned int i = 0; names[i]; i++) {
        if (!strcmp(value, names[i])) {
            *ret = i;
            return true;
        }
    }
    return false;
}

bool options_apply(struct options *o, const char *word)
{
    static const char *const off_on[] = {"off", "on", NULL};
    static const char *const abis[] = {"fifo", "2l", NULL};
    static const char *const callbacks[] = {"vcpu", "domain", NULL};
    static const char *const timers[] = {"oneshot", "periodic", NULL};
    static const char *const idles[] = {"halt", "poll", NULL};
    static const char *const pings[] = {"off", "on", "storm", NULL};
    const struct {
        const char *name;
        uint64_t *to;
        uint64_t least, most;
    } numbers[] = {
        {"mem",         &o->mem,         0,  UINT64_C(3) << 30},
        {"rate",        &o->rate,        0,  100000000        },
        {"disk_rate",   &o->disk_rate,   0,  1000000          },
        {"disk_blocks", &o->disk_blocks, 1,  65536            },
        {"disk_depth",  &o->disk_depth,  1,  31               },
        {"vcpus",       &o->vcpus,       1,  8                },
        {"tick_ms",     &o->tick_ms,     1,  1000             },
        {"report_ms",   &o->report_ms,   10, 3600000          },
        {"ping_ticks",  &o->ping_ticks,  1,  100000           },
    };
    const char *value;
    unsigned int n;

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        value = value_of(word, numbers[i].name);
        if (value)
            return number_apply(value, numbers[i].least, numbers[i].most,
                                numbers[i].to);
    }
    if ((value = value_of(word, "disk")) && choice_apply(value, off_on, &n)) {
        o->disk = n;
        return true;
    }
    if ((value = value_of(word, "evtchn")) && choice_apply(value, abis, &n)) {
        o->event_abi = (enum event_abi_choice)n;
        return true;
    }
    if ((value = value_of(word, "callback")) &&
        choice_apply(value, callbacks, &n)) {
        o->callback = (enum callback_choice)n;
        return true;
    }
    if ((value = value_of(word, "timer")) && choice_apply(value, timers, &n)) {
        o->timer = (enum timer_choice)n;
        return true;
    }
    if ((value = value_of(word, "idle")) && choice_apply(value, idles, &n)) {
        o->idle = (enum idle_choice)n;
        return true;
    }
    if ((value = value_of(word, "ping")) && choice_apply(value, pings, &n)) {
        o->ping = (enum ping_choice)n;
        return true;
    }
    return false;
}

void options_parse(struct options *o, const char *line, char *refused,
                   size_t size)
{
    size_t used = 0;

    for (;;) {
        char word[WORD_MAX];
        size_t len = 0;

        while (*line == ' ' || *line == '\t' || *line == '\n')
            line++;
        if (!*line)
            break;
        for (; *line && *line != ' ' && *line != '\t' && *line != '\n'; line++)
            if (len < sizeof(word) - 1)
                word[len++] = *line;
        word[len] = '\0';
        if (options_apply(o, word))
            continue;
        for (size_t i = 0; i <= len && used + 1 < size; i++)
            refused[used++] = i == len ? ' ' : word[i];
    }
    refused[used] = '\0';
}
