/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verify with a callback, inspect as JSON. */
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "stream/inspect.h"
#include "stream/verify.h"

struct reporter {
    void (*report)(void *context, const struct xenferry_finding *finding);
    void *context;
};

static void report_finding(void *context, const struct finding *finding)
{
    const struct reporter *r = context;
    const struct xenferry_finding out = {
        .id = finding->id,
        .where = finding->where,
        .expected = finding->explanation,
        .found = finding->found,
        .offset = finding->offset,
        .severity = (uint32_t)finding->severity,
        .refused = finding->refused,
    };

    if (r->report)
        r->report(r->context, &out);
}

_Static_assert(XENFERRY_SEVERITY_NOTE == (int)SEVERITY_NOTE &&
                   XENFERRY_SEVERITY_WARNING == (int)SEVERITY_WARNING &&
                   XENFERRY_SEVERITY_ERROR == (int)SEVERITY_ERROR,
               "one numbering");

int xenferry_verify(struct xenferry_source *source, unsigned int release,
                    void (*report)(void *context,
                                   const struct xenferry_finding *finding),
                    void *context, struct xenferry_verdict *ret,
                    struct xenferry_error *err)
{
    struct reporter reporter = {report, context};
    const struct verify_options options = {
        .release = release, .report = report_finding, .context = &reporter};
    struct verify_result result;
    struct error problem = {0};

    if (release != 0 &&
        (release < VERIFY_RELEASE_MIN || release > VERIFY_RELEASE_MAX)) {
        error_set(&problem, ERR_USAGE, "release: 4.%u, expected 4.%d to 4.%d",
                  release, VERIFY_RELEASE_MIN, VERIFY_RELEASE_MAX);
        return api_failed(err, &problem);
    }
    if (!verify_stream(&source->source, &options, &result, &problem))
        return api_failed(err, &problem);
    *ret = (struct xenferry_verdict){
        .notes = result.nr_by_severity[SEVERITY_NOTE],
        .warnings = result.nr_by_severity[SEVERITY_WARNING],
        .errors = result.nr_by_severity[SEVERITY_ERROR],
        .refused = result.nr_refused,
        .records = result.nr_records,
        .pages = result.nr_pages,
        .octets = result.octets,
    };
    return XENFERRY_OK;
}

/* JSON ----------------------------------------------------------------------- */

#define DEPTH_MAX 16

struct json {
    void (*write)(void *context, const char *text, size_t length);
    void *context;
    unsigned int depth;
    struct {
        bool list, used;
    } levels[DEPTH_MAX];
};

static void json_put(struct json *j, const char *text)
{
    j->write(j->context, text, strlen(text));
}

static void json_string(struct json *j, const char *text, size_t length)
{
    size_t from = 0;
    char escape[8];

    json_put(j, "\"");
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c >= ' ' && c < 0x7f && c != '"' && c != '\\')
            continue;
        j->write(j->context, text + from, i - from);
        snprintf(escape, sizeof(escape), "\\u%04x", c);
        json_put(j, escape);
        from = i + 1;
    }
    j->write(j->context, text + from, length - from);
    json_put(j, "\"");
}

static void json_key(struct json *j, const char *key)
{
    if (j->levels[j->depth].used)
        json_put(j, ",");
    j->levels[j->depth].used = true;
    if (key && !j->levels[j->depth].list) {
        json_string(j, key, strlen(key));
        json_put(j, ":");
    }
}

static void json_begin(void *context, const char *key, enum fields_kind kind)
{
    struct json *j = context;

    json_key(j, key);
    json_put(j, kind == FIELDS_LIST ? "[" : "{");
    if (j->depth + 1 < DEPTH_MAX)
        j->depth++;
    j->levels[j->depth].list = kind == FIELDS_LIST;
    j->levels[j->depth].used = false;
}

static void json_end(void *context)
{
    struct json *j = context;

    json_put(j, j->levels[j->depth].list ? "]" : "}");
    if (j->depth > 0)
        j->depth--;
}

static void json_number(void *context, const char *key, uint64_t value)
{
    char text[32];

    json_key(context, key);
    snprintf(text, sizeof(text), "%" PRIu64, value);
    json_put(context, text);
}

static void json_hex(void *context, const char *key, uint64_t value)
{
    char text[32];

    json_key(context, key);
    snprintf(text, sizeof(text), "\"%#" PRIx64 "\"", value);
    json_put(context, text);
}

static void json_flag(void *context, const char *key, bool value)
{
    json_key(context, key);
    json_put(context, value ? "true" : "false");
}

static void json_text(void *context, const char *key, const char *text,
                      size_t length)
{
    json_key(context, key);
    json_string(context, text, length);
}

static const struct field_ops json_ops = {
    .begin = json_begin,
    .end = json_end,
    .number = json_number,
    .hex = json_hex,
    .flag = json_flag,
    .text = json_text,
};

int xenferry_inspect_json(struct xenferry_source *source, uint32_t flags,
                          void (*write)(void *context, const char *text,
                                        size_t length),
                          void *context, struct xenferry_error *err)
{
    const struct inspect_options options = {
        .summary_only = flags & XENFERRY_INSPECT_SUMMARY,
        .page_contents = !(flags & XENFERRY_INSPECT_NO_PAGES)};
    struct json json = {.write = write, .context = context};
    struct field_sink sink = {.ops = &json_ops, .context = &json};
    struct error problem = {0};
    bool ok;

    json_put(&json, "{");
    ok = inspect_stream(&source->source, &options, &sink, &problem);
    json_put(&json, "}\n");
    return ok ? XENFERRY_OK : api_failed(err, &problem);
}
