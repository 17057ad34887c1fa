/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/progress.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define REDRAW_NS    (200 * NS_PER_MS)
#define BAR_MIN      10
#define BAR_MAX      30
#define DIRTY_MIN    40 /* a short bar, octets, their rate */
#define COLUMNS_MIN  20
#define COLUMNS_ELSE 80

/* ---- numbers for people ---------------------------------------------- */

void format_bytes(uint64_t bytes, char *ret, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1024 && unit + 1 < ARRAY_SIZE(units)) {
        value /= 1024;
        unit++;
    }
    snprintf(ret, size, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

void format_ms(int64_t ms, char *ret, size_t size)
{
    if (ms < 10000)
        snprintf(ret, size, "%" PRId64 " ms", ms);
    else if (ms < 60000)
        snprintf(ret, size, "%.1f s", (double)ms / 1000);
    else
        snprintf(ret, size, "%" PRId64 ":%02" PRId64, ms / 60000,
                 ms / 1000 % 60);
}

/* ---- the helper's lines ----------------------------------------------- */

static void put_json(json_object **object)
{
    if (*object)
        json_object_put(*object);
    *object = NULL;
}

static int64_t number(json_object *object, const char *name, int64_t absent)
{
    json_object *field;

    if (!json_object_object_get_ex(object, name, &field) ||
        !json_object_is_type(field, json_type_int))
        return absent;
    return json_object_get_int64(field);
}

static uint64_t count(json_object *object, const char *name)
{
    int64_t value = number(object, name, 0);

    return value < 0 ? 0 : (uint64_t)value;
}

bool progress_sample_parse(const char *line, struct progress_sample *ret)
{
    cleanup(put_json) json_object *object = json_tokener_parse(line);
    struct progress_sample s = {0};
    json_object *phase;

    if (!json_object_is_type(object, json_type_object) ||
        !json_object_object_get_ex(object, "phase", &phase) ||
        !json_object_is_type(phase, json_type_string))
        return false;
    /* It ends up on a terminal: letters only. */
    for (const char *c = json_object_get_string(phase); *c; c++) {
        size_t length = strlen(s.phase);

        if (*c >= 'a' && *c <= 'z' && length + 1 < sizeof(s.phase))
            s.phase[length] = *c;
    }
    s.round = count(object, "round");
    s.bytes = count(object, "bytes");
    s.pages = count(object, "pages");
    s.zero_pages = count(object, "zero_pages");
    s.round_pages = count(object, "round_pages");
    s.round_total = count(object, "round_total");
    s.rate = count(object, "rate");
    s.dirty_pages = count(object, "dirty_pages");
    s.dirty_rate = count(object, "dirty_rate");
    s.downtime_ms = number(object, "downtime_ms", -1);
    s.elapsed_ms = number(object, "elapsed_ms", 0);
    *ret = s;
    return true;
}

/* ---- rendering --------------------------------------------------------- */

static void render_name(const struct progress_sample *s, char *ret, size_t size)
{
    if (s->round)
        snprintf(ret, size, "%s %" PRIu64, s->phase, s->round);
    else
        snprintf(ret, size, "%s", s->phase);
}

static void render_left(const struct progress_sample *s, char *ret, size_t size)
{
    uint64_t pages_left, rate_pages = s->rate / PAGE_SIZE;
    char text[24];

    ret[0] = '\0';
    if (s->round_total <= s->round_pages || rate_pages == 0)
        return;
    pages_left = s->round_total - s->round_pages;
    format_ms((int64_t)(pages_left / rate_pages * 1000 +
                        pages_left % rate_pages * 1000 / rate_pages),
              text, sizeof(text));
    snprintf(ret, size, "  %s left", text);
}

/* What the guest writes, and how long it would stand if it were stopped now. */
static void render_dirty(const struct progress_sample *s, char *ret,
                         size_t size)
{
    char rate[24], downtime[24];

    ret[0] = '\0';
    if (!s->dirty_rate || s->downtime_ms < 0)
        return;
    format_bytes(s->dirty_rate * PAGE_SIZE, rate, sizeof(rate));
    format_ms(s->downtime_ms, downtime, sizeof(downtime));
    snprintf(ret, size, "  writes %s/s, stop %s", rate, downtime);
}

void progress_render_bar(const struct progress_sample *s, const char *guest,
                         unsigned int columns, char *ret, size_t size)
{
    char name[48], head[128], bytes[24], rate[24], left[40], tail[192];
    char dirty[80];
    char bar[BAR_MAX + 1];
    size_t used, width, filled;
    unsigned int percent = 0;

    render_name(s, name, sizeof(name));
    snprintf(head, sizeof(head), "%.40s: %s ", guest, name);
    format_bytes(s->bytes, bytes, sizeof(bytes));
    format_bytes(s->rate, rate, sizeof(rate));
    render_left(s, left, sizeof(left));
    render_dirty(s, dirty, sizeof(dirty));
    /* On a narrow terminal the bar says more. */
    if (strlen(head) + strlen(dirty) + strlen(left) + DIRTY_MIN > columns)
        dirty[0] = '\0';
    snprintf(tail, sizeof(tail), "  %s  %s/s%s%s", bytes, rate, dirty, left);
    if (size > columns + 1)
        size = columns + 1;

    used = strlen(head) + strlen(tail) + strlen("[] 100%");
    width = used + BAR_MIN > columns ? 0 : size_min(columns - used, BAR_MAX);
    if (!s->round_total || !width) {
        snprintf(ret, size, "%s%s", head, tail + 1);
        return;
    }
    if (s->round_pages >= s->round_total)
        percent = 100;
    else
        percent = (unsigned int)((double)s->round_pages * 100 /
                                 (double)s->round_total);
    filled = width * percent / 100;
    memset(bar, '#', filled);
    memset(bar + filled, '.', width - filled);
    bar[width] = '\0';
    snprintf(ret, size, "%s[%s] %3u%%%s", head, bar, percent, tail);
}

void progress_render_round(const struct progress_sample *s, char *ret,
                           size_t size)
{
    char name[48], bytes[24], rate[24], dirty[48] = "";

    render_name(s, name, sizeof(name));
    format_bytes(s->bytes, bytes, sizeof(bytes));
    format_bytes(s->rate, rate, sizeof(rate));
    if (s->dirty_pages)
        snprintf(dirty, sizeof(dirty), ", guest wrote %" PRIu64 " pages",
                 s->dirty_pages);
    snprintf(ret, size, "%s: %" PRIu64 " pages, %s so far, %s/s%s", name,
             s->round_pages, bytes, rate, dirty);
}

/* ---- the three forms --------------------------------------------------- */

static int64_t elapsed_ms(const struct progress *p)
{
    return (clock_now_ns() - p->started_ns) / NS_PER_MS;
}

static void bar_erase(struct progress *p)
{
    if (p->bar_shown)
        fprintf(stderr, "\r\033[K");
    p->bar_shown = false;
}

static void say(struct progress *p, const char *text)
{
    bar_erase(p);
    if (p->form == PROGRESS_LINES)
        fprintf(stderr, "%7.2f s  %s\n", (double)elapsed_ms(p) / 1000, text);
}

static void json_emit(struct progress *p, json_object *object)
{
    if (!p->json)
        return;
    json_object_object_add(object, "time_ms",
                           json_object_new_int64(elapsed_ms(p)));
    fprintf(p->json, "%s\n",
            json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
    fflush(p->json);
}

static void json_add_guest(json_object *object,
                           const struct toolstack_guest *guest)
{
    if (!guest)
        return;
    json_object_object_add(object, "guest",
                           json_object_new_string(guest->name));
    if (guest->domid != TOOLSTACK_ANY_DOMID)
        json_object_object_add(object, "domid",
                               json_object_new_int64(guest->domid));
}

static const char *step_text(enum move_step step)
{
    switch (step) {
    case MOVE_STEP_CONNECT:
        return "waiting for the other side";
    case MOVE_STEP_CHECK:
        return "checking whether the guest can be here";
    case MOVE_STEP_SAVE:
        return "saving";
    case MOVE_STEP_RESTORE:
        return "restoring";
    case MOVE_STEP_SYNC:
        return "writing it to the disk";
    case MOVE_STEP_READY:
        return "image transferred, waiting for readiness";
    case MOVE_STEP_HANDOVER:
        return "handing over";
    case MOVE_STEP_START:
        return "starting the guest";
    case MOVE_STEP_TAKEBACK:
        return "resuming the guest here";
    case MOVE_STEP_DISCARD:
        return "removing the old domain";
    case MOVE_STEP_END:
        break;
    }
    return "done";
}

static void on_step(void *context, enum move_step step,
                    const struct toolstack_guest *guest)
{
    cleanup(put_json) json_object *object = json_object_new_object();
    struct progress *p = context;

    if (guest)
        snprintf(p->guest, sizeof(p->guest), "%s", guest->name);
    p->step = step;
    p->sampled = false;
    if (step == MOVE_STEP_HANDOVER)
        p->handed_over = true;
    /* The report that it runs over there has come. */
    if (step == MOVE_STEP_DISCARD && p->handed_over && p->stopped_ns)
        p->stopped_ms = (clock_now_ns() - p->stopped_ns) / NS_PER_MS;
    p->drawn_ns = 0;
    json_object_object_add(object, "event", json_object_new_string("step"));
    json_object_object_add(object, "step",
                           json_object_new_string(move_step_name(step)));
    json_add_guest(object, guest);
    json_emit(p, object);
    if (step != MOVE_STEP_END)
        say(p, step_text(step));
}

static void draw_bar(struct progress *p)
{
    char text[512];

    if (clock_now_ns() - p->drawn_ns < REDRAW_NS)
        return;
    p->drawn_ns = clock_now_ns();
    progress_render_bar(&p->sample, p->guest, p->columns, text, sizeof(text));
    fprintf(stderr, "\r%s\033[K", text);
    fflush(stderr);
    p->bar_shown = true;
}

static bool same_round(const struct progress_sample *a,
                       const struct progress_sample *b)
{
    return !strcmp(a->phase, b->phase) && a->round == b->round;
}

/*
 * A round or phase is told about when the next one begins: then all of it has
 * been sent.  Its own last sample is a little older than its end.
 */
static void draw_line(struct progress *p, const struct progress_sample *next)
{
    struct progress_sample s = p->sample;
    int64_t ms = next->elapsed_ms - p->round_began.elapsed_ms;
    char text[256];

    if (s.round_pages == 0)
        return;
    if (s.round_total)
        s.round_pages = s.round_total;
    s.bytes = next->bytes;
    if (ms > 0 && s.bytes >= p->round_began.bytes)
        s.rate = (s.bytes - p->round_began.bytes) * 1000 / (uint64_t)ms;
    s.dirty_pages = strcmp(s.phase, "precopy") ? 0 : next->dirty_pages;
    progress_render_round(&s, text, sizeof(text));
    say(p, text);
}

static void on_helper_event(void *context, const char *line)
{
    cleanup(put_json) json_object *object = NULL;
    struct progress_sample next;
    struct progress *p = context;

    if (p->json) {
        object = json_tokener_parse(line);
        if (json_object_is_type(object, json_type_object))
            json_emit(p, object);
    }
    if (!progress_sample_parse(line, &next))
        return;
    if (p->sampled && !same_round(&p->sample, &next)) {
        if (p->form == PROGRESS_LINES)
            draw_line(p, &next);
        p->round_began = next;
    }
    if (!p->sampled)
        p->round_began = next;
    p->sample = next;
    p->sampled = true;
    if (!p->stopped_ns && !strcmp(next.phase, "suspend"))
        p->stopped_ns = clock_now_ns();
    if (p->form == PROGRESS_BAR)
        draw_bar(p);
}

void progress_begin(struct progress *p, bool json, bool quiet)
{
    struct winsize window;

    *p = (struct progress){.started_ns = clock_now_ns(),
                           .columns = COLUMNS_ELSE};
    if (json)
        p->json = stdout;
    if (!quiet && isatty(STDERR_FILENO)) {
        p->form = PROGRESS_BAR;
        if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 &&
            window.ws_col >= COLUMNS_MIN)
            p->columns = window.ws_col - 1u;
    } else if (!quiet) {
        p->form = PROGRESS_LINES;
    }
    p->sample.downtime_ms = -1;
}

struct move_watcher progress_watcher(struct progress *p)
{
    return (struct move_watcher){
        .step = on_step, .helper_event = on_helper_event, .context = p};
}

void progress_notice(struct progress *p, const char *text,
                     struct json_object *event)
{
    bar_erase(p);
    fputs(text, stderr);
    json_emit(p, event);
    json_object_put(event);
}

static void say_end(struct progress *p)
{
    char bytes[24], took[24], downtime[48] = "", text[256];

    format_bytes(p->sample.bytes, bytes, sizeof(bytes));
    if (p->stopped_ms) {
        format_ms(p->stopped_ms, took, sizeof(took));
        snprintf(downtime, sizeof(downtime), ", guest stopped for %s", took);
    }
    format_ms(elapsed_ms(p), took, sizeof(took));
    if (p->sample.bytes)
        snprintf(text, sizeof(text), "done: %s in %s%s", bytes, took, downtime);
    else
        snprintf(text, sizeof(text), "done in %s", took);
    bar_erase(p);
    if (p->form == PROGRESS_BAR)
        fprintf(stderr, "%s: %s\n", p->guest, text);
    else
        say(p, text);
}

void progress_finish(struct progress *p, enum move_outcome outcome,
                     const struct toolstack_guest *guest,
                     const struct error *error)
{
    cleanup(put_json) json_object *object = json_object_new_object();

    bar_erase(p);
    json_object_object_add(object, "event", json_object_new_string("end"));
    json_object_object_add(object, "outcome",
                           json_object_new_string(move_outcome_name(outcome)));
    json_add_guest(object, guest);
    if (p->sample.bytes)
        json_object_object_add(object, "bytes",
                               json_object_new_int64((int64_t)p->sample.bytes));
    if (p->stopped_ms)
        json_object_object_add(object, "stopped_ms",
                               json_object_new_int64(p->stopped_ms));
    if (error) {
        json_object_object_add(object, "error",
                               json_object_new_string(error->text));
        json_object_object_add(
            object, "code",
            json_object_new_string(error_code_name(error->code)));
    }
    json_emit(p, object);
    if (outcome == MOVE_DONE && !error)
        say_end(p);
}
