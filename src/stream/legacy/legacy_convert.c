/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/legacy/legacy_convert.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "stream/legacy/legacy_rounds.h"
#include "stream/legacy/legacy_toolstack.h"
#include "stream/page_copy.h"
#include "stream/xc/xc_common.h"
#include "stream/xc/xc_headers.h"
#include "stream/xc/xc_page_data.h"
#include "stream/xc/xc_x86_hvm.h"
#include "stream/xc/xc_x86_pv.h"
#include "stream/xl/xl_records.h"

/* A tail that is not known to be the last one is held; 4096 vCPUs fit. */
#define TAIL_MAX ((size_t)40 << 20)

/* A device model whose length is not said before it. */
#define DEVICE_MODEL_MAX ((size_t)24 << 20)

/* More than there are chunks for. */
#define PARAMS_MAX 16

/* xen_minor in the domain header: the converter's version, as stock counts. */
#define CONVERTER_VERSION 1

/*
 * What a round says about the guest besides its pages.  'records' is written
 * as it grows once it is known that no round follows.
 */
struct round_tail {
    struct hvm_param params[PARAMS_MAX];
    uint32_t nr_params;
    struct buffer records;      /* of the libxc layer, without END */
    struct buffer xenstore;     /* strings of EMULATOR_XENSTORE_DATA */
    struct buffer device_model; /* its octets */
    bool has_device_model;
    bool device_model_written;
    uint8_t signature[LEGACY_QEMU_SIGNATURE_SIZE];
    bool to_end;
};

struct legacy_conversion {
    const struct legacy_convert_options *options;
    struct stream_source *source;
    struct stream_sink *sink;
    struct legacy_convert_result *result;
    struct legacy_reader *reader;
    struct page_copier copier;
    struct legacy_rounds rounds; /* with scratch files */
    struct round_tail now;       /* the round that is being read */
    struct round_tail complete;  /* the last complete one */
    struct buffer scratch;       /* of one record */
    bool ended;                  /* the libxc layer's END is written */
};

static void tail_release(struct round_tail *t)
{
    buffer_release(&t->records);
    buffer_release(&t->xenstore);
    buffer_release(&t->device_model);
}

static void tail_init(struct round_tail *t)
{
    memset(t, 0, sizeof(*t));
    t->records.cap = TAIL_MAX;
    t->device_model.cap = DEVICE_MODEL_MAX;
}

static bool flush(struct legacy_conversion *c, struct buffer *b,
                  const char *what, struct error *err)
{
    bool ok = buffer_check(b, what, err) &&
              sink_write(c->sink, b->bytes, b->length, err);

    buffer_reset(b);
    return ok;
}

/* Whether the round that is being read is the last. */
static bool last_round(const struct legacy_conversion *c)
{
    return c->reader->last_checkpoint || c->reader->options.first_round_only;
}

static bool keep_or_write(struct legacy_conversion *c, struct error *err)
{
    if (last_round(c) && !c->options->scratch)
        return flush(c, &c->now.records, "legacy tail", err);
    return buffer_check(&c->now.records, "legacy tail", err);
}

/* The start ---------------------------------------------------------------- */

static bool convert_start(struct legacy_conversion *c,
                          const struct legacy_item *item, struct error *err)
{
    const struct legacy_start *start = &item->start;
    bool pv = start->guest == LEGACY_GUEST_PV;
    const struct xcstream_headers headers = {
        .version = XCSTREAM_VERSION_3,
        .type = pv ? XCSTREAM_DOMAIN_PV : XCSTREAM_DOMAIN_HVM,
        .page_shift = PAGE_SHIFT,
        .xen_major = XCSTREAM_MAJOR_CONVERTED,
        .xen_minor = CONVERTER_VERSION,
    };
    const struct pv_info info = {
        .width = (uint8_t)start->guest_width,
        .levels = (uint8_t)start->guest_levels,
    };

    c->result->start = *start;
    c->rounds.p2m_size = start->p2m_size;
    if (start->no_ext_info)
        log_warning(c->options->log,
                    "no extended info: taken for a %u-bit guest",
                    start->guest_width * 8);
    if (start->unknown_blocks)
        log_warning(c->options->log,
                    "%" PRIu32 " unknown blocks of extended info left out",
                    start->unknown_blocks);
    if (c->options->libxl) {
        xlstream_header_append(&c->scratch, true);
        record_append(&c->scratch, XLREC_LIBXC_CONTEXT, NULL, 0);
    }
    xcstream_headers_append(&c->scratch, &headers);
    if (pv)
        pv_info_append(&c->scratch, &info);
    empty_record_append(&c->scratch, XCREC_STATIC_DATA_END);
    return flush(c, &c->scratch, "headers", err);
}

static bool convert_p2m(struct legacy_conversion *c,
                        const struct legacy_item *item, struct error *err)
{
    size_t begun = record_begin(&c->scratch, XCREC_X86_PV_P2M_FRAMES);

    buffer_u32(&c->scratch, 0);
    buffer_u32(&c->scratch, (uint32_t)(c->result->start.p2m_size - 1));
    for (size_t i = 0; i < item->nr; i++)
        buffer_u64(&c->scratch, legacy_word(c->reader, item->bytes, i));
    record_end(&c->scratch, begun);
    return flush(c, &c->scratch, "P2M frame list", err);
}

/* Chunks ------------------------------------------------------------------- */

static bool convert_pages(struct legacy_conversion *c,
                          const struct legacy_item *item, struct error *err)
{
    uint8_t head[PAGE_DATA_HEAD_SIZE(LEGACY_BATCH_MAX)];
    uint32_t nr = item->frames.nr_frames;

    c->result->nr_fillers += item->frames.nr_fillers;
    c->result->nr_pages += item->frames.nr_pages;
    if (c->options->progress)
        c->options->progress(c->options->context, c->result->nr_pages,
                             c->source->offset);
    if (c->options->scratch)
        return legacy_rounds_frames(
            &c->rounds, &c->copier, c->source, item->frames.words, nr,
            item->frames.nr_pages, item->frames.here, err);
    if (!item->frames.here)
        return error_set_at(err, ERR_FORMAT, item->offset,
                            "page batch at offset %" PRIu64
                            ": after ENABLE_COMPRESSION in its round, expected "
                            "before it",
                            item->offset);
    if (nr == 0)
        return true;
    page_data_encode_head(head, item->frames.words, nr);
    c->result->nr_written += item->frames.nr_pages;
    return page_copy(&c->copier, c->source, c->sink, head,
                     PAGE_DATA_HEAD_SIZE(nr), item->frames.nr_pages, err);
}

static bool convert_tsc(struct legacy_conversion *c,
                        const struct legacy_item *item, struct error *err)
{
    const struct tsc_info info = {
        .mode = item->tsc.mode,
        .khz = item->tsc.khz,
        .nsec = item->tsc.nsec,
        .incarnation = item->tsc.incarnation,
    };

    if (c->options->scratch) {
        /* It comes once, in the first round or the last. */
        tsc_info_append(&c->now.records, &info);
        return keep_or_write(c, err);
    }
    tsc_info_append(&c->scratch, &info);
    return flush(c, &c->scratch, "TSC info", err);
}

static bool convert_verify(struct legacy_conversion *c, struct error *err)
{
    c->result->verify = true;
    if (c->options->scratch)
        return true;
    empty_record_append(&c->scratch, XCREC_VERIFY);
    return flush(c, &c->scratch, "VERIFY", err);
}

static bool convert_param(struct legacy_conversion *c,
                          const struct legacy_item *item, struct error *err)
{
    struct round_tail *t = &c->now;
    uint32_t i;

    for (i = 0; i < t->nr_params; i++)
        if (t->params[i].index == item->param.index)
            break;
    /* One entry per index: there are fewer indices than room. */
    if (i == PARAMS_MAX)
        return error_set_at(err, ERR_LIMIT, item->offset,
                            "HVM parameter at offset %" PRIu64
                            ": the 17th, expected at most 16",
                            item->offset);
    t->params[i] = (struct hvm_param){.index = item->param.index,
                                      .value = item->param.value};
    if (i == t->nr_params)
        t->nr_params++;
    return true;
}

static bool convert_toolstack(struct legacy_conversion *c,
                              const struct legacy_item *item, struct error *err)
{
    enum legacy_toolstack_layout layout;

    if (item->length == 0)
        return true;
    if (!c->options->libxl) {
        log_info(c->options->log,
                 "toolstack data left out: a libxc image has no place for it");
        return true;
    }
    if (!legacy_toolstack_convert(item->bytes, (size_t)item->length,
                                  c->reader->start.width, item->offset,
                                  &c->now.xenstore, &layout, err))
        return false;
    if (layout == TOOLSTACK_OTHER_WIDTH)
        log_warning(c->options->log,
                    "toolstack data have the layout of a toolstack of the "
                    "other width");
    return true;
}

static bool convert_chunks_end(struct legacy_conversion *c, struct error *err)
{
    struct round_tail *t = &c->now;

    if (t->nr_params)
        hvm_params_append(&t->records, t->params, t->nr_params);
    return keep_or_write(c, err);
}

/* Tails -------------------------------------------------------------------- */

static void append_vcpu(struct legacy_conversion *c, uint32_t type,
                        uint32_t vcpu, const uint8_t *bytes, uint32_t length)
{
    const struct vcpu_blob blob = {
        .type = type, .vcpu = vcpu, .bytes = bytes, .length = length};

    vcpu_blob_append(&c->now.records, &blob);
}

static bool convert_vcpu(struct legacy_conversion *c,
                         const struct legacy_item *item, struct error *err)
{
    const struct legacy_vcpu *v = &item->vcpu;

    c->result->nr_vcpus++;
    append_vcpu(c, XCREC_X86_PV_VCPU_BASIC, v->id, v->basic, v->basic_length);
    if (v->extended)
        append_vcpu(c, XCREC_X86_PV_VCPU_EXTENDED, v->id, v->extended,
                    XCSTREAM_VCPU_EXTENDED_MAX);
    if (v->xsave)
        append_vcpu(c, XCREC_X86_PV_VCPU_XSAVE, v->id, v->xsave,
                    c->result->start.xsave_length);
    return keep_or_write(c, err);
}

static bool convert_magic_pfns(struct legacy_conversion *c,
                               const struct legacy_item *item,
                               struct error *err)
{
    const struct hvm_param params[] = {
        {HVM_PARAM_INDEX_IOREQ_PFN,    item->magic.ioreq   },
        {HVM_PARAM_INDEX_BUFIOREQ_PFN, item->magic.bufioreq},
        {HVM_PARAM_INDEX_STORE_PFN,    item->magic.store   },
    };

    hvm_params_append(&c->now.records, params, ARRAY_SIZE(params));
    return keep_or_write(c, err);
}

/* The end of the libxc layer, and what the libxl layer has before the model. */
static bool write_libxc_end(struct legacy_conversion *c, struct round_tail *t,
                            struct error *err)
{
    if (c->ended)
        return true;
    c->ended = true;
    if (!flush(c, &t->records, "legacy tail", err))
        return false;
    empty_record_append(&c->scratch, XCREC_END);
    if (c->options->libxl && t->xenstore.length > 0) {
        const struct emulator_data data = {
            .emulator = XLSTREAM_EMULATOR_UNKNOWN,
            .bytes = t->xenstore.bytes,
            .length = (uint32_t)t->xenstore.length,
        };

        emulator_data_append(&c->scratch, XLREC_EMULATOR_XENSTORE_DATA, &data);
    }
    return flush(c, &c->scratch, "END", err);
}

/* What stands before the device model's octets. */
static bool write_model_head(struct legacy_conversion *c, struct round_tail *t,
                             uint64_t length, struct error *err)
{
    uint8_t head[RECORD_HEAD_SIZE];

    if (!c->options->libxl) {
        /* As in the legacy image. */
        buffer_bytes(&c->scratch, t->signature, sizeof(t->signature));
        if (!t->to_end)
            buffer_u32(&c->scratch, (uint32_t)length);
        return flush(c, &c->scratch, "device model", err);
    }
    if (length > RECORD_LENGTH_MAX - 8)
        return error_set_at(err, ERR_LIMIT, c->source->offset,
                            "device model: %" PRIu64 " octets, at most %" PRIu32
                            " fit a record",
                            length, RECORD_LENGTH_MAX - 8);
    record_head_encode(head, ORDER_LITTLE, XLREC_EMULATOR_CONTEXT,
                       (uint32_t)length + 8);
    buffer_bytes(&c->scratch, head, sizeof(head));
    buffer_u32(&c->scratch, XLSTREAM_EMULATOR_UNKNOWN);
    buffer_u32(&c->scratch, 0);
    return flush(c, &c->scratch, "EMULATOR_CONTEXT", err);
}

static bool write_model_padding(struct legacy_conversion *c, uint64_t length,
                                struct error *err)
{
    static const uint8_t zeroes[8];

    return !c->options->libxl ||
           sink_write(c->sink, zeroes,
                      (size_t)(padded_to_8((uint32_t)length) - length), err);
}

/* Nothing says how long it is: up to the end of the stream. */
static bool read_model_to_end(struct legacy_conversion *c, struct buffer *model,
                              struct error *err)
{
    for (;;) {
        uint8_t *at = buffer_extend(model, PAGE_SIZE);
        size_t got;

        if (!at)
            return error_set_at(err, ERR_LIMIT, c->source->offset,
                                "device model: more than %zu octets, expected "
                                "fewer",
                                DEVICE_MODEL_MAX);
        if (!source_read_some(c->source, at, PAGE_SIZE, &got, err))
            return false;
        model->length -= PAGE_SIZE - got;
        if (got == 0)
            return true;
    }
}

static bool convert_device_model(struct legacy_conversion *c,
                                 const struct legacy_item *item,
                                 struct error *err)
{
    struct round_tail *t = &c->now;

    memcpy(t->signature, item->device_model.signature, sizeof(t->signature));
    t->has_device_model = true;
    t->to_end = item->device_model.to_end;
    if (t->to_end)
        return read_model_to_end(c, &t->device_model, err);
    if (last_round(c) && !c->options->scratch) {
        t->device_model_written = true;
        return write_libxc_end(c, t, err) &&
               write_model_head(c, t, item->length, err) &&
               octets_copy(&c->copier, c->source, c->sink, item->length,
                           "device model", err) &&
               write_model_padding(c, item->length, err);
    }
    if (item->length > DEVICE_MODEL_MAX)
        return error_set_at(err, ERR_LIMIT, item->offset,
                            "device model at offset %" PRIu64 ": %" PRIu64
                            " octets, at most %zu where another round may "
                            "follow",
                            item->offset, item->length, DEVICE_MODEL_MAX);
    return source_read_buffer(c->source, &t->device_model, (size_t)item->length,
                              "device model", err);
}

/* Rounds ------------------------------------------------------------------- */

static bool convert_round_end(struct legacy_conversion *c, struct error *err)
{
    /* vCPUs of the round are counted anew in the next. */
    tail_release(&c->complete);
    c->complete = c->now;
    tail_init(&c->now);
    c->result->rounds++;
    return !c->options->scratch || legacy_rounds_commit(&c->rounds, err);
}

/* An item that begins another round, where there is no way to hold it. */
static bool refuse_second_round(struct legacy_conversion *c,
                                const struct legacy_item *item,
                                struct error *err)
{
    c->result->several_rounds = true;
    return error_set_at(err, ERR_UNSUPPORTED, item->offset,
                        "legacy image: another checkpoint at offset %" PRIu64
                        ", expected a plain image (several need scratch files)",
                        item->offset);
}

static bool convert_end(struct legacy_conversion *c, struct error *err)
{
    struct round_tail *t = &c->complete;

    if (c->options->scratch &&
        !legacy_rounds_write(&c->rounds, &c->copier, c->sink,
                             &c->result->nr_written, err))
        return false;
    if (!write_libxc_end(c, t, err))
        return false;
    if (t->has_device_model && !t->device_model_written &&
        (!write_model_head(c, t, t->device_model.length, err) ||
         !sink_write(c->sink, t->device_model.bytes, t->device_model.length,
                     err) ||
         !write_model_padding(c, t->device_model.length, err)))
        return false;
    if (!c->options->libxl)
        return true;
    record_append(&c->scratch, XLREC_END, NULL, 0);
    return flush(c, &c->scratch, "END", err);
}

static bool convert_item(struct legacy_conversion *c,
                         const struct legacy_item *item, struct error *err)
{
    switch (item->kind) {
    case LEGACY_START:
        return convert_start(c, item, err);
    case LEGACY_P2M:
        return convert_p2m(c, item, err);
    case LEGACY_PAGES:
        return convert_pages(c, item, err);
    case LEGACY_COMPRESSED:
        if (!c->options->scratch)
            return refuse_second_round(c, item, err);
        return legacy_rounds_compressed(&c->rounds, &c->copier, c->source,
                                        item->length, err);
    case LEGACY_VERIFY:
        return convert_verify(c, err);
    case LEGACY_PARAM:
        return convert_param(c, item, err);
    case LEGACY_TSC:
        return convert_tsc(c, item, err);
    case LEGACY_TMEM:
        c->result->nr_tmem += item->length;
        log_info(c->options->log,
                 "%" PRIu64 " octets of tmem at offset %" PRIu64 " left out",
                 item->length, item->offset);
        return true;
    case LEGACY_TOOLSTACK:
        return convert_toolstack(c, item, err);
    case LEGACY_CHUNKS_END:
        c->result->nr_vcpus = 0;
        return convert_chunks_end(c, err);
    case LEGACY_UNMAPPED:
        if (item->nr > 0)
            log_debug(c->options->log, "%" PRIu64 " unmapped frames left out",
                      item->nr);
        return true;
    case LEGACY_VCPU:
        return convert_vcpu(c, item, err);
    case LEGACY_SHARED_INFO:
        shared_info_append(&c->now.records, item->bytes);
        return keep_or_write(c, err);
    case LEGACY_MAGIC_PFNS:
        return convert_magic_pfns(c, item, err);
    case LEGACY_HVM_CONTEXT:
        hvm_context_record_append(&c->now.records, item->bytes,
                                  (uint32_t)item->length);
        return keep_or_write(c, err);
    case LEGACY_DEVICE_MODEL:
        return convert_device_model(c, item, err);
    case LEGACY_ROUND_END:
        return convert_round_end(c, err);
    case LEGACY_CUT_OFF:
        c->result->cut_off = true;
        log_warning(c->options->log,
                    "the image is cut off (%s): as of the last complete "
                    "checkpoint",
                    item->why->text);
        return convert_end(c, err);
    case LEGACY_END:
        return convert_end(c, err);
    case LEGACY_VCPUS:
    case LEGACY_LAST_CHECKPOINT:
    case LEGACY_ENABLE_COMPRESSION:
        return true;
    }
    return error_set(err, ERR_STATE, "legacy item %d", (int)item->kind);
}

static bool convert_items(struct legacy_conversion *c, struct error *err)
{
    struct legacy_item item;
    struct error why = {0};

    do {
        if (!legacy_reader_next(c->reader, &item, err))
            return false;
        if (c->reader->rounds > 0 && !c->options->scratch &&
            item.kind != LEGACY_ROUND_END && item.kind != LEGACY_END &&
            item.kind != LEGACY_CUT_OFF)
            return refuse_second_round(c, &item, err);
        if (!convert_item(c, &item, &why)) {
            if (why.code != ERR_TRUNCATED || c->reader->rounds == 0) {
                if (err)
                    *err = why;
                return false;
            }
            /* Within contents that the reader leaves to us. */
            item = (struct legacy_item){.kind = LEGACY_CUT_OFF, .why = &why};
            if (!convert_item(c, &item, err))
                return false;
        }
    } while (item.kind != LEGACY_END && item.kind != LEGACY_CUT_OFF);
    return true;
}

bool legacy_convert(struct stream_source *source, struct stream_sink *sink,
                    const struct legacy_convert_options *options,
                    struct legacy_convert_result *result, struct error *err)
{
    cleanup_free struct legacy_reader *reader = malloc(sizeof(*reader));
    struct legacy_conversion c = {
        .options = options,
        .source = source,
        .sink = sink,
        .result = result,
        .reader = reader,
    };
    bool ok;

    *result = (struct legacy_convert_result){0};
    if (!reader)
        return error_set(err, ERR_NO_MEMORY, "legacy image: no memory");
    if (!page_copier_init(&c.copier, options->find_zeroes, err))
        return false;
    if (options->scratch) {
        c.rounds.pages_fd = options->scratch[SCRATCH_PAGES];
        c.rounds.words_fd = options->scratch[SCRATCH_WORDS];
        c.rounds.data_fd = options->scratch[SCRATCH_DATA];
    }
    legacy_reader_init(reader, source, &options->image);
    tail_init(&c.now);
    tail_init(&c.complete);
    ok = convert_items(&c, err);
    result->nr_holes = c.copier.nr_holes;
    tail_release(&c.now);
    tail_release(&c.complete);
    buffer_release(&c.scratch);
    legacy_reader_release(reader);
    page_copier_release(&c.copier);
    return ok;
}
