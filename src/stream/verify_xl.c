/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rules of the xl file header and of the libxl stream. */
#include <inttypes.h>
#include <string.h>

#include "stream/verify_private.h"
#include "stream/xl/json_text.h"

static void verify_json(struct verify *v, const struct xlfile_config *config)
{
    size_t length = strnlen(config->text, config->length);
    uint64_t offset = v->offset;
    size_t bad;

    if (length == config->length)
        verify_found(v, RULE_XLFILE_NUL, "%" PRIu32 " octets without it",
                     config->length);
    if (json_text_check(config->text, length, &bad))
        return;
    /* Behind the header and the configuration's own length. */
    v->offset += XLFILE_HEADER_SIZE + sizeof(uint32_t) + bad;
    verify_found(v, RULE_XLFILE_JSON, "octet %zu of the configuration's %zu",
                 bad, length);
    v->offset = offset;
}

void verify_xl_file(struct verify *v, const struct stream_item *item)
{
    const struct xlfile_header *h = &item->xl_file;
    const struct xlfile_config *config = &item->config;

    if (h->mandatory_flags & ~XLFILE_MANDATORY_KNOWN)
        verify_found(v, RULE_XLFILE_FLAGS, "%#" PRIx32, h->mandatory_flags);
    if (h->order == ORDER_BIG)
        verify_found(v, RULE_XLFILE_ORDER, "big-endian");
    if (h->optional_flags)
        verify_found(v, RULE_XLFILE_OPTIONAL, "%#" PRIx32, h->optional_flags);
    if (!config->present) {
        verify_found(v, RULE_XLFILE_NO_CONFIG, "no optional data");
        return;
    }
    if (h->mandatory_flags & XLFILE_MANDATORY_JSON)
        verify_json(v, config);
    if (config->ignored)
        verify_found(v, RULE_XLFILE_IGNORED, "%" PRIu32 " octets",
                     config->ignored);
}

void verify_libxl_header(struct verify *v, const struct stream_item *item)
{
    const struct xlstream_header *h = &item->libxl;

    if (h->ident != XLSTREAM_IDENT)
        verify_found(v, RULE_XL_IDENT, "%#" PRIx64, h->ident);
    if (h->version != XLSTREAM_VERSION)
        verify_found(v, RULE_XL_VERSION, "%" PRIu32, h->version);
    if (h->order == ORDER_BIG)
        verify_found(v, RULE_XL_BIG, "options %#" PRIx32, h->options);
    if (h->options & ~XLSTREAM_OPTION_KNOWN)
        verify_found(v, RULE_XL_RESERVED, "options %#" PRIx32, h->options);
}

/* EMULATOR_XENSTORE_DATA and EMULATOR_CONTEXT: the two words both begin with. */
static bool verify_emulator(struct verify *v, const struct record *rec,
                            struct emulator_data *ret)
{
    struct error problem = {0};

    if (!emulator_data_decode(rec, ret, &problem)) {
        verify_found(v, RULE_XL_EMULATOR_SHORT, "%" PRIu32 " octets",
                     rec->length);
        return false;
    }
    if (v->have_headers && v->headers.type == XCSTREAM_DOMAIN_PV)
        verify_found(v, RULE_XL_EMULATOR_GUEST, "x86 PV");
    if (ret->emulator != XLSTREAM_EMULATOR_QEMU_TRADITIONAL &&
        ret->emulator != XLSTREAM_EMULATOR_QEMU)
        verify_found(v, RULE_XL_EMULATOR_ID, "%" PRIu32, ret->emulator);
    if (ret->emulator == XLSTREAM_EMULATOR_QEMU_TRADITIONAL &&
        v->options->release >= 21)
        verify_found(v, RULE_FOR_EMULATOR, "%" PRIu32, ret->emulator);
    if (ret->index != 0)
        verify_found(v, RULE_XL_EMULATOR_INDEX, "%" PRIu32, ret->index);
    return true;
}

static void verify_emulator_xenstore(struct verify *v, const struct record *rec)
{
    struct emulator_data data;
    struct cursor c;
    const char *key;
    const char *value;

    if (v->emulator_context)
        verify_found(v, RULE_XL_EMULATOR_ORDER, "it comes after");
    if (!verify_emulator(v, rec, &data))
        return;
    c = cursor_over(data.bytes, data.length, rec->order);
    while (xenstore_pair_next(&c, &key, &value))
        if (key[0] == '\0' || key[0] == '/')
            verify_found(v, RULE_XL_XENSTORE_KEY, "'%.64s'", key);
    if (c.bad)
        verify_found(v, RULE_XL_XENSTORE_NUL,
                     "%" PRIu32 " octets that end within a pair", data.length);
}

static void verify_emulator_context(struct verify *v, const struct record *rec)
{
    struct emulator_data data;
    uint32_t bit;

    v->emulator_context = true;
    if (!verify_emulator(v, rec, &data))
        return;
    bit = UINT32_C(1) << (data.emulator < 32 ? data.emulator : 31);
    if (v->emulators & bit)
        verify_found(v, RULE_XL_EMULATOR_TWICE, "emulator %" PRIu32,
                     data.emulator);
    v->emulators |= bit;
    if (data.emulator == XLSTREAM_EMULATOR_QEMU &&
        (data.length < 4 || memcmp(data.bytes, "QEVM", 4) != 0))
        verify_found(v, RULE_XL_EMULATOR_MAGIC, "%" PRIu32 " octets without it",
                     data.length);
}

static void verify_checkpoint_state(struct verify *v, const struct record *rec)
{
    struct error problem = {0};
    uint32_t id;

    if (verify_before(v, 7))
        verify_found(v, RULE_FOR_RECORD, "CHECKPOINT_STATE, since Xen 4.7");
    if (!checkpoint_state_decode(rec, &id, &problem))
        verify_found(v, RULE_XL_STATE_LENGTH, "%" PRIu32 " octets",
                     rec->length);
    else if (id != XLSTREAM_CHECKPOINT_NEW)
        verify_found(v, RULE_XL_STATE_ID, "%" PRIu32 " (%s)", id,
                     checkpoint_state_name(id));
}

static void verify_domain_xenstore(struct verify *v, const struct record *rec)
{
    struct domain_xenstore_data data;
    struct error problem = {0};

    verify_found(v, RULE_XL_NONCOOP, "%" PRIu32 " octets", rec->length);
    if (!domain_xenstore_data_decode(rec, &data, &problem))
        verify_found(v, RULE_XL_NONCOOP_BODY, "%s", problem.text);
}

/* Where in the stream the record stands. */
static void verify_libxl_place(struct verify *v, uint32_t type)
{
    if (!v->seen_libxc_context && type != XLREC_LIBXC_CONTEXT)
        verify_found(
            v, type == XLREC_END ? RULE_XL_END_EARLY : RULE_XL_CONTEXT_FIRST,
            "%s", xlstream_record_name(type));
    switch (type) {
    case XLREC_LIBXC_CONTEXT:
        if (v->seen_libxc_context)
            verify_found(v, RULE_XL_CONTEXT_ONCE, "another");
        v->seen_libxc_context = true;
        break;
    case XLREC_CHECKPOINT_END:
        if (!v->reader.libxc_open)
            verify_found(v, RULE_XL_CHECKPOINT, "CHECKPOINT_END");
        else
            v->nr_complete++;
        v->emulator_context = false;
        v->emulators = 0;
        break;
    case XLREC_CHECKPOINT_STATE:
        if (!v->reader.libxc_open)
            verify_found(v, RULE_XL_CHECKPOINT, "CHECKPOINT_STATE");
        break;
    case XLREC_END:
        if (v->seen_libxc_context && v->reader.libxc_open)
            verify_found(v, RULE_XL_END_EARLY, "END inside a checkpoint");
        break;
    default:
        break;
    }
}

bool verify_libxl_record(struct verify *v, const struct stream_item *item,
                         struct error *err)
{
    uint32_t type = item->head.type;
    struct record rec;
    bool have;

    verify_libxl_place(v, type);
    if (!xlstream_record_known(type)) {
        verify_found(v, RULE_XL_UNKNOWN, "type %#" PRIx32, type);
        return verify_pass_over(v, &item->head, err);
    }
    if (!verify_read_body(v, &item->head, &rec, &have, err))
        return false;
    if (!have)
        return true;
    switch (type) {
    case XLREC_EMULATOR_XENSTORE_DATA:
        verify_emulator_xenstore(v, &rec);
        break;
    case XLREC_EMULATOR_CONTEXT:
        verify_emulator_context(v, &rec);
        break;
    case XLREC_CHECKPOINT_STATE:
        verify_checkpoint_state(v, &rec);
        break;
    case XLREC_DOMAIN_XENSTORE_DATA:
        verify_domain_xenstore(v, &rec);
        break;
    default:
        if (rec.length > 0)
            verify_found(v, RULE_XL_NOT_EMPTY, "%" PRIu32 " octets",
                         rec.length);
        break;
    }
    return true;
}
