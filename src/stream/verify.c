/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/verify.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "stream/verify_private.h"

static const struct {
    const char *id;
    enum severity severity;
    bool refused;
    const char *explanation;
} rules[] = {
#define VERIFY_RULE(symbol, id, severity, refused, explanation) \
    {id, SEVERITY_##severity, refused, explanation},
#include "stream/verify_rules.def"
#undef VERIFY_RULE
};

const char *severity_name(enum severity severity)
{
    static const char *const names[] = {
        [SEVERITY_NOTE] = "note",
        [SEVERITY_WARNING] = "warning",
        [SEVERITY_ERROR] = "error",
    };

    return names[severity];
}

bool verify_rule(size_t i, struct finding *ret)
{
    const struct order_rule *order;

    if (i < NR_VERIFY_RULES) {
        *ret = (struct finding){.id = rules[i].id,
                                .severity = rules[i].severity,
                                .refused = rules[i].refused,
                                .explanation = rules[i].explanation};
        return true;
    }
    order = xcstream_order_rule(i - NR_VERIFY_RULES);
    if (!order)
        return false;
    *ret = (struct finding){.id = order->id,
                            .severity = order->severity,
                            .refused = order->restore_refuses,
                            .explanation = order->explanation};
    return true;
}

/* 'rule' counts as in verify_rule(). */
static void report(struct verify *v, size_t rule, const char *found)
{
    struct finding finding;
    bool known = verify_rule(rule, &finding);

    assert(known && rule < ARRAY_SIZE(v->repeats));
    v->result.nr_by_severity[finding.severity]++;
    v->result.nr_refused += finding.refused;
    if (v->repeats[rule]++ >= VERIFY_REPEAT_MAX)
        return;
    finding.offset = v->offset;
    finding.where = v->where;
    finding.found = found;
    v->options->report(v->options->context, &finding);
}

void verify_found(struct verify *v, enum verify_rule_id rule,
                  const char *format, ...)
{
    char text[ERROR_TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    report(v, rule, text);
}

/* What the order table has against the record at hand. */
static void verify_order(struct verify *v, const struct record_head *head)
{
    const struct order_rule *rule;
    size_t at = 0;
    char found[64];

    snprintf(found, sizeof(found), "type %#" PRIx32 ", %" PRIu32 " octets",
             head->type, head->length);
    while ((rule = xcstream_order_violation(&v->order, head->type, &at)))
        report(v, NR_VERIFY_RULES + at - 1, found);
    xcstream_order_advance(&v->order, head->type);
}

static void verify_padding(struct verify *v, bool zero)
{
    if (!zero)
        verify_found(v, RULE_PADDING, "octets that are not zero");
}

bool verify_pass_over(struct verify *v, const struct record_head *head,
                      struct error *err)
{
    struct stream_source *source = v->reader.source;
    bool zero;

    if (!source_skip(source, head->length, v->where, err) ||
        !record_read_padding(source, head, &zero, err))
        return false;
    verify_padding(v, zero);
    return true;
}

bool verify_read_body(struct verify *v, const struct record_head *head,
                      struct record *ret, bool *ret_have, struct error *err)
{
    *ret_have = false;
    if (head->length > VERIFY_BODY_MAX) {
        verify_found(v, RULE_NOT_EXAMINED, "%" PRIu32 " octets", head->length);
        return verify_pass_over(v, head, err);
    }
    if (!record_read_body(v->reader.source, head, v->where, &v->body, ret, err))
        return false;
    verify_padding(v, ret->padding_zero);
    *ret_have = true;
    return true;
}

/* The reader cannot go on: say why, as a finding. */
static bool verify_stopped(struct verify *v, const struct error *problem,
                           struct error *err)
{
    v->offset = problem->offset != ERROR_NO_OFFSET ? problem->offset
                                                   : v->reader.source->offset;
    v->where = "image";
    switch (problem->code) {
    case ERR_TRUNCATED:
        if (v->nr_complete > 0)
            verify_found(v, RULE_ENDS_CHECKPOINTED,
                         "%" PRIu64 " complete checkpoints", v->nr_complete);
        else
            verify_found(v, RULE_TRUNCATED, "%s", problem->text);
        return true;
    case ERR_LIMIT:
        verify_found(v, RULE_TOO_LONG, "%s", problem->text);
        return true;
    case ERR_FORMAT:
    case ERR_UNSUPPORTED:
        if (v->legacy) {
            verify_found(v, RULE_LEGACY_FORMAT, "%s", problem->text);
            return true;
        }
        /* Headers have been judged before the reader refused them. */
        if (v->result.nr_refused == 0)
            verify_found(v, RULE_NOT_AN_IMAGE, "%s", problem->text);
        return true;
    default:
        *err = *problem;
        return false;
    }
}

static bool verify_trailing(struct verify *v, struct error *err)
{
    uint8_t octet;
    size_t got;

    v->offset = v->reader.source->offset;
    v->where = "end of image";
    if (!source_read_some(v->reader.source, &octet, 1, &got, err))
        return false;
    if (got > 0)
        verify_found(v, RULE_TRAILING, "more octets");
    return true;
}

/* What a XenServer image has behind its libxc image. */
static bool verify_suspend_records(struct verify *v, struct error *err)
{
    struct stream_source *source = v->reader.source;
    uint64_t type = XENOPSD_LIBXC;

    while (type != XENOPSD_END) {
        uint8_t bytes[4] = {0};
        uint64_t length;
        size_t n;

        v->offset = source->offset;
        v->where = "suspend image record";
        if (!xenopsd_header_read(source, &type, &length, err))
            return false;
        if (!xenopsd_type_name(type))
            verify_found(v, RULE_WRAPPING_RECORD, "type %#" PRIx64, type);
        if (type == XENOPSD_END)
            break;
        n = length < sizeof(bytes) ? (size_t)length : sizeof(bytes);
        if (!source_read(source, bytes, n, v->where, err) ||
            !source_skip(source, length - n, v->where, err))
            return false;
        if (type == XENOPSD_QEMU_XEN && memcmp(bytes, "QEVM", 4) != 0)
            verify_found(v, RULE_WRAPPING_QEMU, "%" PRIu64 " octets without it",
                         length);
    }
    return true;
}

/* The image proper is at its end. */
static bool verify_end(struct verify *v, struct error *err)
{
    if (v->image.wrapping == WRAPPED_XENOPSD && !v->image.head.unframed &&
        !verify_suspend_records(v, err))
        return false;
    return verify_trailing(v, err);
}

static bool verify_items(struct verify *v, struct error *err)
{
    for (;;) {
        struct stream_item item;

        if (!stream_reader_next(&v->reader, &item, err))
            return false;
        v->offset = item.offset;
        v->where = stream_item_name(&item);
        switch (item.kind) {
        case ITEM_XL_FILE_HEADER:
            verify_xl_file(v, &item);
            break;
        case ITEM_LIBXL_HEADER:
            verify_libxl_header(v, &item);
            break;
        case ITEM_LIBXC_HEADERS:
            verify_libxc_headers(v, &item);
            break;
        case ITEM_LIBXL_RECORD:
            v->result.nr_records++;
            if (!verify_libxl_record(v, &item, err))
                return false;
            break;
        case ITEM_LIBXC_RECORD:
            v->result.nr_records++;
            verify_order(v, &item.head);
            if (!verify_libxc_record(v, &item, err))
                return false;
            break;
        case ITEM_END:
            return verify_end(v, err);
        }
    }
}

static void verify_xl_file_of_legacy(struct verify *v)
{
    const struct stream_item item = {
        .kind = ITEM_XL_FILE_HEADER,
        .offset = v->image.xl_header.offset,
        .xl_file = v->image.xl_header,
        .config = v->image.xl_config,
    };

    v->offset = item.offset;
    v->where = "xl file header";
    verify_xl_file(v, &item);
}

static bool verify_image(struct verify *v, struct stream_source *source,
                         struct error *err)
{
    bool ok = image_open(&v->image, source, &v->options->legacy, err);

    stream_reader_init(&v->reader, ok ? &v->image.source : source);
    v->offset = v->image.head.offset;
    v->where = "image";
    if (v->image.wrapping != WRAPPED_NOT)
        verify_found(v, RULE_WRAPPED, "%s",
                     v->image.wrapping == WRAPPED_LIBVIRT
                         ? "libvirt managed save"
                         : "XenServer suspend image");
    if (v->image.has_xl_header)
        verify_xl_file_of_legacy(v);
    if (!ok && v->image.has_xl_header)
        verify_found(v, RULE_XLFILE_LEGACY, "%#" PRIx32,
                     v->image.xl_header.mandatory_flags);
    if (!ok)
        return false;
    if (v->image.form != IMAGE_LEGACY)
        return verify_items(v, err);
    return verify_legacy(v, err) && verify_end(v, err);
}

static void verify_free(struct verify **v)
{
    if (!*v)
        return;
    stream_reader_release(&(*v)->reader);
    image_close(&(*v)->image);
    buffer_release(&(*v)->body);
    page_data_release(&(*v)->batch);
    pfn_set_release(&(*v)->scratch);
    pfn_set_release(&(*v)->memory);
    pfn_set_release(&(*v)->top_tables);
    free((*v)->p2m_pfns);
    free((*v)->vcpu_frames);
    guest_state_release(&(*v)->state);
    free((*v)->vcpus);
    free(*v);
    *v = NULL;
}

bool verify_stream(struct stream_source *source,
                   const struct verify_options *options,
                   struct verify_result *ret, struct error *err)
{
    cleanup(verify_free) struct verify *v = calloc(1, sizeof(*v));
    struct error problem = {0};

    if (!v)
        return error_set(err, ERR_NO_MEMORY, "verify");
    v->options = options;
    v->outside = source;
    v->body.cap = VERIFY_BODY_MAX + 8;
    v->scratch.chunks_max = v->top_tables.chunks_max = SMALL_SET_CHUNKS;
    v->vcpus = calloc(1, sizeof(*v->vcpus));
    if (!v->vcpus)
        return error_set(err, ERR_NO_MEMORY, "verify");
    if (!verify_image(v, source, &problem) && !verify_stopped(v, &problem, err))
        return false;
    v->result.octets = source->offset;
    *ret = v->result;
    return true;
}
