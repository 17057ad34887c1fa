/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/move_page.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/progress.h"

/* A plot's inner box, in the units of its viewBox. */
#define LEFT   56.0
#define WIDTH  640.0
#define TOP    16.0
#define HEIGHT 200.0
#define MIB    (1024.0 * 1024.0)

static const char *const part_names[MOVE_PARTS] = {
    "stop", "final copy", "state", "hand-over", "resume"};
static const char *const part_fields[MOVE_PARTS] = {
    "stop_us", "final_us", "state_us", "handover_us", "resume_us"};

void move_story_release(struct move_story *s)
{
    free(s->samples);
    s->samples = NULL;
}

/* ---- events -------------------------------------------------------------- */

static double number(struct json_object *o, const char *name)
{
    struct json_object *value;

    if (!json_object_object_get_ex(o, name, &value) ||
        !json_object_is_type(value, json_type_int))
        return 0;
    return (double)json_object_get_int64(value);
}

static const char *text(struct json_object *o, const char *name)
{
    struct json_object *value;

    if (!json_object_object_get_ex(o, name, &value) ||
        !json_object_is_type(value, json_type_string))
        return "";
    return json_object_get_string(value);
}

static bool add_sample(struct move_story *s, struct json_object *o,
                       struct error *err)
{
    struct move_sample *grown;

    if (s->nr_samples >= MOVE_SAMPLES_MAX)
        return true;
    if (s->nr_samples % 256 == 0) {
        grown =
            realloc(s->samples, (s->nr_samples + 256) * sizeof(*s->samples));
        if (!grown)
            return error_set(err, ERR_NO_MEMORY, "events: no memory");
        s->samples = grown;
    }
    s->samples[s->nr_samples++] = (struct move_sample){
        .seconds = number(o, "time_ms") / 1000,
        .rate = number(o, "rate"),
        .dirty = number(o, "dirty_rate") * PAGE_SIZE,
        .round = (unsigned int)number(o, "round"),
        .precopy = !strcmp(text(o, "phase"), "precopy"),
        .round_pages = (uint64_t)number(o, "round_pages"),
        .dirty_pages = (uint64_t)number(o, "dirty_pages"),
    };
    return true;
}

static void take_report(struct move_story *s, struct json_object *o)
{
    s->has_report = true;
    s->rounds = (uint64_t)number(o, "rounds");
    s->pages = (uint64_t)number(o, "pages");
    s->zero_pages = (uint64_t)number(o, "zero_pages");
    s->bytes = (uint64_t)number(o, "bytes");
    s->elapsed_ms = number(o, "elapsed_us") / 1000;
    s->blackout_ms = number(o, "blackout_us") / 1000;
    for (size_t i = 0; i < MOVE_PARTS; i++)
        s->parts_ms[i] = number(o, part_fields[i]) / 1000;
}

bool move_story_line(struct move_story *s, const char *line, struct error *err)
{
    struct json_object *o = json_tokener_parse(line);
    const char *event = "";
    bool ok = true;

    if (json_object_is_type(o, json_type_object))
        event = text(o, "event");
    if (!strcmp(event, "progress"))
        ok = add_sample(s, o, err);
    else if (!strcmp(event, "report"))
        take_report(s, o);
    else if (!strcmp(event, "step") && *text(o, "guest"))
        snprintf(s->guest, sizeof(s->guest), "%s", text(o, "guest"));
    else if (!strcmp(event, "end"))
        snprintf(s->outcome, sizeof(s->outcome), "%s", text(o, "outcome"));
    json_object_put(o);
    return ok;
}

/* ---- the page ------------------------------------------------------------ */

static void escape(struct buffer *b, const char *name)
{
    for (; *name; name++) {
        if (strchr("<>&\"'", *name))
            buffer_format(b, "&#%d;", (unsigned char)*name);
        else
            buffer_u8(b, (uint8_t)*name);
    }
}

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n<style>\n"
    ":root{color-scheme:light dark;--bg:#fbfaf7;--ink:#22262b;--soft:#6b7280;"
    "--line:#dcd9d0;--card:#fff;--a:#2563a8;--b:#c2571a;--p0:#7c8aa0;"
    "--p1:#2563a8;--p2:#4f9d8f;--p3:#d39b2c;--p4:#c2571a}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#15181c;--ink:#e6e4de;"
    "--soft:#98a0aa;--line:#333a42;--card:#1d2126;--a:#6cb0f5;--b:#f0935a;"
    "--p0:#8d9bb0;--p1:#6cb0f5;--p2:#6fc4b4;--p3:#e3b95a;--p4:#f0935a}}\n"
    "body{font:16px/1.5 system-ui,sans-serif;background:var(--bg);"
    "color:var(--ink);max-width:46rem;margin:2.5rem auto;padding:0 1.25rem}\n"
    "h1{font-size:1.6rem;margin:0 0 .25rem}h2{font-size:1.05rem;"
    "margin:2.25rem 0 .5rem}p{color:var(--soft);margin:0}\n"
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,"
    "minmax(8rem,1fr));gap:.75rem;margin-top:1.25rem}\n"
    ".card{background:var(--card);border:1px solid var(--line);"
    "border-radius:.6rem;padding:.6rem .8rem}.card b{display:block;"
    "font-size:1.25rem;font-variant-numeric:tabular-nums}.card span{"
    "color:var(--soft);font-size:.8rem}\n"
    "svg{width:100%;height:auto;background:var(--card);"
    "border:1px solid var(--line);border-radius:.6rem}\n"
    "svg text{fill:var(--soft);font:11px system-ui,sans-serif}\n"
    ".grid{stroke:var(--line);stroke-width:1}.a{stroke:var(--a);fill:none;"
    "stroke-width:2}.b{stroke:var(--b);fill:none;stroke-width:2}\n"
    ".fill{fill:var(--a);opacity:.12}.key{color:var(--soft);font-size:.85rem}"
    ".key i{display:inline-block;width:.8rem;height:.8rem;border-radius:.2rem;"
    "margin:0 .35rem 0 1rem;vertical-align:-.1rem}\n</style>\n";

static void card(struct buffer *b, const char *value, const char *name)
{
    buffer_format(b, "<div class=\"card\"><b>%s</b><span>%s</span></div>\n",
                  value, name);
}

static void cards(struct buffer *b, const struct move_story *s)
{
    char value[32];

    buffer_text(b, "<div class=\"cards\">\n");
    snprintf(value, sizeof(value), "%.1f ms", s->blackout_ms);
    card(b, value, "blackout");
    snprintf(value, sizeof(value), "%.2f s", s->elapsed_ms / 1000);
    card(b, value, "the whole move");
    snprintf(value, sizeof(value), "%" PRIu64, s->rounds);
    card(b, value, "rounds");
    format_bytes(s->bytes, value, sizeof(value));
    card(b, value, "sent");
    snprintf(value, sizeof(value), "%" PRIu64, s->pages);
    card(b, value, "pages");
    snprintf(value, sizeof(value), "%" PRIu64, s->zero_pages);
    card(b, value, "of them zero");
    buffer_text(b, "</div>\n");
}

/* The next of 1, 2, 5, 10, 20 ... that is not less. */
static double round_up(double value)
{
    double step = 1e-3;

    while (step * 10 < value)
        step *= 10;
    if (value <= step)
        return step;
    if (value <= 2 * step)
        return 2 * step;
    return value <= 5 * step ? 5 * step : 10 * step;
}

static void axes(struct buffer *b, double most, const char *unit, double end)
{
    for (int i = 0; i <= 4; i++) {
        double y = TOP + HEIGHT - HEIGHT * i / 4;
        double x = LEFT + WIDTH * i / 4;

        buffer_format(b,
                      "<line class=\"grid\" x1=\"%.0f\" x2=\"%.0f\" "
                      "y1=\"%.1f\" y2=\"%.1f\"/><text x=\"%.0f\" y=\"%.1f\" "
                      "text-anchor=\"end\">%g</text><text x=\"%.1f\" "
                      "y=\"%.0f\" text-anchor=\"middle\">%.2f s</text>\n",
                      LEFT, LEFT + WIDTH, y, y, LEFT - 6, y + 4, most * i / 4,
                      x, TOP + HEIGHT + 18, end * i / 4);
    }
    buffer_format(b, "<text x=\"8\" y=\"%.0f\">%s</text>\n", TOP - 3, unit);
}

static void curve(struct buffer *b, const struct move_story *s, bool dirty,
                  double most, double end)
{
    buffer_format(b, "<polyline class=\"%s\" points=\"", dirty ? "b" : "a");
    for (size_t i = 0; i < s->nr_samples; i++) {
        const struct move_sample *m = &s->samples[i];
        double value = (dirty ? m->dirty : m->rate) / MIB;

        buffer_format(b, "%.1f,%.1f ", LEFT + WIDTH * m->seconds / end,
                      TOP + HEIGHT - HEIGHT * value / most);
    }
    buffer_text(b, "\"/>\n");
}

/* Every other round is shaded, so that their lengths can be compared. */
static void round_bands(struct buffer *b, const struct move_story *s,
                        double end)
{
    size_t first = 0;

    for (size_t i = 1; i <= s->nr_samples; i++) {
        double from = s->samples[first].seconds;
        unsigned int round = s->samples[first].round;

        if (i < s->nr_samples && s->samples[i].round == round)
            continue;
        if (round % 2 == 1 && i < s->nr_samples)
            buffer_format(b,
                          "<rect class=\"fill\" x=\"%.1f\" y=\"%.0f\" "
                          "width=\"%.1f\" height=\"%.0f\"/>\n",
                          LEFT + WIDTH * from / end, TOP,
                          WIDTH * (s->samples[i].seconds - from) / end, HEIGHT);
        first = i;
    }
}

static void rates(struct buffer *b, const struct move_story *s)
{
    double end = s->samples[s->nr_samples - 1].seconds, most = 0;

    for (size_t i = 0; i < s->nr_samples; i++) {
        if (s->samples[i].rate / MIB > most)
            most = s->samples[i].rate / MIB;
        if (s->samples[i].dirty / MIB > most)
            most = s->samples[i].dirty / MIB;
    }
    most = round_up(most);
    end = end > 0 ? end : 1;
    buffer_format(b,
                  "<h2>What was sent, and what the guest wrote</h2>\n"
                  "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" "
                  "aria-label=\"rates over time\">\n",
                  LEFT + WIDTH + 24, TOP + HEIGHT + 32);
    round_bands(b, s, end);
    axes(b, most, "MiB/s", end);
    curve(b, s, false, most, end);
    curve(b, s, true, most, end);
    buffer_text(b, "</svg>\n<div class=\"key\">"
                   "<i style=\"background:var(--a)\"></i>sent"
                   "<i style=\"background:var(--b)\"></i>written by the guest"
                   "<i style=\"background:var(--a);opacity:.25\"></i>"
                   "odd rounds</div>\n");
}

/* The last sample of each round has all of it. */
static void rounds(struct buffer *b, const struct move_story *s)
{
    buffer_text(b, "<h2>The rounds</h2>\n<svg viewBox=\"0 0 720 ");
    buffer_format(b, "%" PRIu64 "\" role=\"img\" aria-label=\"rounds\">\n",
                  24 + 26 * (s->rounds < 50 ? s->rounds : 50));
    for (size_t i = 0, row = 0; i < s->nr_samples && row < 50; i++) {
        const struct move_sample *m = &s->samples[i];
        double most = s->pages ? (double)s->pages : 1;
        double width;

        if (!m->precopy ||
            (i + 1 < s->nr_samples && s->samples[i + 1].precopy &&
             s->samples[i + 1].round == m->round))
            continue;
        width = 480 * (double)m->round_pages / most;
        buffer_format(b,
                      "<text x=\"12\" y=\"%zu\">round %u</text>"
                      "<rect x=\"76\" y=\"%zu\" width=\"%.1f\" height=\"16\" "
                      "rx=\"3\" fill=\"var(--a)\"/><text x=\"%.1f\" y=\"%zu\">"
                      "%" PRIu64 " pages, %" PRIu64 " written meanwhile"
                      "</text>\n",
                      28 + row * 26, m->round, 16 + row * 26,
                      width < 2 ? 2 : width, width + 84, 28 + row * 26,
                      m->round_pages, m->dirty_pages);
        row++;
    }
    buffer_text(b, "</svg>\n");
}

static void blackout(struct buffer *b, const struct move_story *s)
{
    double x = 20, total = s->blackout_ms > 0 ? s->blackout_ms : 1;

    buffer_format(b, "<h2>The blackout, magnified</h2>\n"
                     "<svg viewBox=\"0 0 720 96\" role=\"img\" "
                     "aria-label=\"parts of the blackout\">\n");
    for (size_t i = 0; i < MOVE_PARTS; i++) {
        double width = 680 * s->parts_ms[i] / total;

        buffer_format(
            b,
            "<rect x=\"%.1f\" y=\"22\" width=\"%.1f\" height=\"44\" "
            "fill=\"var(--p%zu)\"><title>%s: %.2f ms</title></rect>\n",
            x, width, i, part_names[i], s->parts_ms[i]);
        x += width;
    }
    buffer_format(b,
                  "<text x=\"20\" y=\"86\">0</text><text x=\"700\" y=\"86\" "
                  "text-anchor=\"end\">%.2f ms</text></svg>\n"
                  "<div class=\"key\">",
                  s->blackout_ms);
    for (size_t i = 0; i < MOVE_PARTS; i++)
        buffer_format(b, "<i style=\"background:var(--p%zu)\"></i>%s %.2f ms",
                      i, part_names[i], s->parts_ms[i]);
    buffer_text(b, "</div>\n");
}

void move_page_write(const struct move_story *s, struct buffer *ret)
{
    buffer_text(ret, head);
    buffer_text(ret, "<title>The move of ");
    escape(ret, *s->guest ? s->guest : "a guest");
    buffer_text(ret, "</title></head><body>\n<h1>The move of ");
    escape(ret, *s->guest ? s->guest : "a guest");
    buffer_text(ret, "</h1>\n<p>outcome: ");
    escape(ret, *s->outcome ? s->outcome : "not known");
    buffer_text(ret, "</p>\n");
    if (s->has_report)
        cards(ret, s);
    if (s->nr_samples)
        rates(ret, s);
    if (s->nr_samples && s->has_report)
        rounds(ret, s);
    if (s->has_report)
        blackout(ret, s);
    buffer_text(ret, "</body></html>\n");
}
