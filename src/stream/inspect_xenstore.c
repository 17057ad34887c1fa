/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/inspect_xenstore.h"

#include <string.h>

#include "base/cleanup.h"
#include "stream/record.h"
#include "stream/xs/xs_dump.h"

#define TEXT_MAX 4096 /* octets of a string or value that are shown */

struct store_counts {
    uint64_t nodes, in_transactions, watches, connections, transactions, other;
    uint64_t octets; /* that were explained */
};

static void text_field(struct field_sink *out, const char *key,
                       const void *text, size_t length)
{
    fields_octets(out, key, text, size_min(length, TEXT_MAX));
}

static void string_field(struct field_sink *out, const char *key,
                         const char *text)
{
    text_field(out, key, text, strlen(text));
}

/* The state stream ----------------------------------------------------------- */

static const char *record_name(uint32_t type)
{
    static const char *const names[] = {
        [XSDUMP_END] = "END",
        [XSDUMP_GLOBAL] = "GLOBAL_DATA",
        [XSDUMP_CONNECTION] = "CONNECTION_DATA",
        [XSDUMP_WATCH] = "WATCH_DATA",
        [XSDUMP_TRANSACTION] = "TRANSACTION_DATA",
        [XSDUMP_NODE] = "NODE_DATA",
        [XSDUMP_QUOTA] = "GLOBAL_QUOTA_DATA",
        [XSDUMP_DOMAIN] = "DOMAIN_DATA",
        [XSDUMP_WATCH_EXTENDED] = "WATCH_DATA_EXTENDED",
    };

    return type < ARRAY_SIZE(names) ? names[type] : "unknown";
}

static bool explain_global(const struct xsdump_record *rec,
                           struct field_sink *out, struct error *err)
{
    struct xsdump_global g;

    if (!xsdump_global_decode(rec, &g, err))
        return false;
    fields_format(out, "listen_fd", "%d", g.listen_fd);
    fields_format(out, "evtchn_fd", "%d", g.evtchn_fd);
    return true;
}

static bool explain_connection(const struct xsdump_record *rec,
                               struct field_sink *out, struct error *err)
{
    struct xsdump_connection c;

    if (!xsdump_connection_decode(rec, &c, err))
        return false;
    fields_number(out, "connection", c.id);
    if (c.kind == XSDUMP_CONNECTION_RING) {
        fields_text(out, "kind", "ring");
        fields_number(out, "domid", c.domid);
        if (c.target != XSDUMP_NO_DOMID)
            fields_number(out, "target", c.target);
        fields_number(out, "port", c.port);
    } else {
        fields_text(out, "kind", "socket");
        fields_format(out, "fd", "%d", c.fd);
    }
    if (c.has_unique_id)
        fields_hex(out, "unique_id", c.unique_id);
    fields_number(out, "octets_in", c.in_length);
    fields_number(out, "octets_out", c.out_length);
    fields_number(out, "reply_remainder", c.reply_remainder);
    return true;
}

static bool explain_watch(const struct xsdump_record *rec,
                          struct field_sink *out, struct error *err)
{
    struct xsdump_watch w;

    if (!xsdump_watch_decode(rec, &w, err))
        return false;
    fields_number(out, "connection", w.connection);
    string_field(out, "path", w.path);
    string_field(out, "token", w.token);
    if (w.depth >= 0)
        fields_number(out, "depth", (uint64_t)w.depth);
    return true;
}

static bool explain_transaction(const struct xsdump_record *rec,
                                struct field_sink *out, struct error *err)
{
    struct xsdump_transaction t;

    if (!xsdump_transaction_decode(rec, &t, err))
        return false;
    fields_number(out, "connection", t.connection);
    fields_number(out, "transaction", t.id);
    return true;
}

static bool explain_node(const struct xsdump_record *rec,
                         struct field_sink *out, struct error *err)
{
    struct xsdump_node n;

    if (!xsdump_node_decode(rec, &n, err))
        return false;
    string_field(out, "path", n.path);
    text_field(out, "value", n.value, n.value_length);
    if (n.connection) {
        fields_number(out, "connection", n.connection);
        fields_number(out, "transaction", n.transaction);
        fields_text(out, "access",
                    n.access == XSDUMP_ACCESS_DELETED   ? "deleted"
                    : n.access == XSDUMP_ACCESS_WRITTEN ? "written"
                                                        : "read");
    }
    fields_begin(out, "permissions", FIELDS_LIST);
    for (unsigned int i = 0; i < n.nr_perms; i++) {
        struct xsdump_perm p = xsdump_node_perm(&n, i);

        fields_format(out, NULL, "%c%u%s", p.letter, p.domid,
                      p.stale ? " (stale)" : "");
    }
    fields_end(out);
    return true;
}

static bool explain_quotas(const struct xsdump_record *rec,
                           struct field_sink *out, struct error *err)
{
    struct xsdump_quotas q;
    const char *name;

    if (!xsdump_quotas_decode(rec, &q, err))
        return false;
    if (rec->type == XSDUMP_DOMAIN) {
        fields_number(out, "domid", q.domid);
        fields_hex(out, "features", q.features);
    }
    name = q.names;
    fields_begin(out, "quotas", FIELDS_LIST);
    for (unsigned int i = 0; i < q.nr; i++) {
        fields_begin(out, NULL, FIELDS_ROW);
        string_field(out, "quota", name);
        fields_number(out, "value", xsdump_quota_value(&q, i));
        fields_end(out);
        name += strlen(name) + 1;
    }
    fields_end(out);
    return true;
}

static bool explain_record(const struct xsdump_record *rec,
                           struct store_counts *counts, struct field_sink *out,
                           struct error *err)
{
    switch (rec->type) {
    case XSDUMP_GLOBAL:
        return explain_global(rec, out, err);
    case XSDUMP_CONNECTION:
        counts->connections++;
        return explain_connection(rec, out, err);
    case XSDUMP_WATCH:
    case XSDUMP_WATCH_EXTENDED:
        counts->watches++;
        return explain_watch(rec, out, err);
    case XSDUMP_TRANSACTION:
        counts->transactions++;
        return explain_transaction(rec, out, err);
    case XSDUMP_NODE:
        if (rec->length >= 4 &&
            (rec->body[0] | rec->body[1] | rec->body[2] | rec->body[3]))
            counts->in_transactions++;
        else
            counts->nodes++;
        return explain_node(rec, out, err);
    case XSDUMP_QUOTA:
    case XSDUMP_DOMAIN:
        return explain_quotas(rec, out, err);
    case XSDUMP_END:
        return true;
    default:
        counts->other++;
        return true;
    }
}

/* Head and body; '*ret_end' where it is END. */
static bool next_record(struct stream_source *source,
                        const struct xsdump_header *header, struct buffer *body,
                        struct xsdump_record *ret, struct error *err)
{
    uint8_t bytes[RECORD_HEAD_SIZE];
    uint8_t padding[8];
    struct record_head head;
    size_t left, got = 1;

    *ret = (struct xsdump_record){.order = header->order,
                                  .version = header->version,
                                  .offset = source->offset};
    if (!source_read(source, bytes, sizeof(bytes), "record head", err))
        return false;
    head = record_head_decode(bytes, header->order, ret->offset);
    if (head.length > XSDUMP_BODY_MAX)
        return error_set_at(err, ERR_LIMIT, head.offset,
                            "record %" PRIu32 ": %" PRIu32
                            " octets, at most %u are accepted",
                            head.type, head.length, XSDUMP_BODY_MAX);
    buffer_reset(body);
    if (!source_read_buffer(source, body, head.length, "record", err))
        return false;
    ret->type = head.type;
    ret->length = head.length;
    ret->body = body->bytes;
    /* Some writers leave the padding of the last record out. */
    left = (size_t)(padded_to_8(head.length) - head.length);
    while (left > 0 && got > 0) {
        if (!source_read_some(source, padding, left, &got, err))
            return false;
        left -= got;
    }
    return true;
}

static bool inspect_state(struct stream_source *source,
                          struct field_sink *records,
                          struct store_counts *counts,
                          struct xsdump_header *header, struct error *err)
{
    cleanup(buffer_release) struct buffer body = {.cap = XSDUMP_BODY_MAX + 8};
    uint8_t bytes[XSDUMP_HEADER_SIZE];
    struct xsdump_reader reader;
    struct xsdump_record rec = {.type = XSDUMP_GLOBAL};

    if (!source_read(source, bytes, sizeof(bytes), "xenstore stream", err) ||
        !xsdump_open(&reader, bytes, sizeof(bytes), err))
        return false;
    *header = reader.header;
    while (rec.type != XSDUMP_END) {
        struct error problem = {0};

        if (!next_record(source, header, &body, &rec, err))
            return false;
        fields_begin(records, NULL, FIELDS_ROW);
        fields_hex(records, "offset", rec.offset);
        fields_text(records, "layer", "xenstore");
        fields_text(records, "name", record_name(rec.type));
        fields_hex(records, "type", rec.type);
        fields_number(records, "length", rec.length);
        if (!explain_record(&rec, counts, records, &problem))
            fields_text(records, "problem", problem.text);
        fields_end(records);
        counts->octets = source->offset;
    }
    return true;
}

/* oxenstored's text ---------------------------------------------------------- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Two digits an octet, in place; false where it is something else. */
static bool unhex(char *text, size_t *ret_length)
{
    size_t n = 0;

    for (const char *at = text; *at; at += 2) {
        int high = hex_digit(at[0]);
        int low = high < 0 ? -1 : hex_digit(at[1]);

        if (low < 0)
            return false;
        text[n++] = (char)(high << 4 | low);
    }
    *ret_length = n;
    return true;
}

static void hex_field(struct field_sink *out, const char *key, char *text)
{
    size_t length;

    if (unhex(text, &length))
        text_field(out, key, text, length);
    else
        fields_text(out, "problem", "expected two hex digits for each octet");
}

/* What the fields of a line are; names with a '*' are in hex. */
static const struct {
    const char *word;
    const char *name;
    const char *fields[4];
} lines[] = {
    {"global",     "GLOBAL", {"rw_fd"}                          },
    {"evtchn-dev", "EVTCHN", {"fd", "domexc_port"}              },
    {"socket",     "SOCKET", {"fd"}                             },
    {"dom",        "DOMAIN", {"domid", "mfn", "port", "local"}  },
    {"watch",      "WATCH",  {"domid", "*path", "*token"}       },
    {"store",      "STORE",  {"*path", "*permissions", "*value"}},
};

static void count_line(const char *word, struct store_counts *counts)
{
    if (strcmp(word, "store") == 0)
        counts->nodes++;
    else if (strcmp(word, "watch") == 0)
        counts->watches++;
    else if (strcmp(word, "dom") == 0 || strcmp(word, "socket") == 0)
        counts->connections++;
    else
        counts->other++;
}

static void explain_line(char *line, uint64_t offset,
                         struct store_counts *counts, struct field_sink *out)
{
    char *word = strsep(&line, ",");
    size_t kind = 0;

    while (kind < ARRAY_SIZE(lines) && strcmp(word, lines[kind].word) != 0)
        kind++;
    count_line(word, counts);
    fields_begin(out, NULL, FIELDS_ROW);
    fields_hex(out, "offset", offset);
    fields_text(out, "layer", "oxenstored");
    fields_text(out, "name",
                kind < ARRAY_SIZE(lines) ? lines[kind].name : "unknown");
    if (kind == ARRAY_SIZE(lines))
        string_field(out, "line", word);
    for (size_t i = 0;
         line && kind < ARRAY_SIZE(lines) &&
         i < ARRAY_SIZE(lines[kind].fields) && lines[kind].fields[i];
         i++) {
        const char *name = lines[kind].fields[i];
        char *field = strsep(&line, ",");

        if (name[0] == '*')
            hex_field(out, name + 1, field);
        else
            string_field(out, name, field);
    }
    if (line)
        string_field(out, "rest", line);
    fields_end(out);
}

/* Nothing follows the dump, so that it may be read ahead. */
struct line_reader {
    struct stream_source *source;
    uint64_t offset; /* of the next octet */
    size_t at, got;  /* in 'ahead' */
    uint8_t ahead[4096];
};

/* False at the end, and where 'err' is set. */
static bool next_octet(struct line_reader *r, uint8_t *ret, struct error *err)
{
    if (r->at == r->got) {
        r->at = r->got = 0;
        if (!source_read_some(r->source, r->ahead, sizeof(r->ahead), &r->got,
                              err) ||
            r->got == 0)
            return false;
    }
    *ret = r->ahead[r->at++];
    r->offset++;
    return true;
}

/* The next line without its end, NUL-terminated; false at the end. */
static bool next_line(struct line_reader *r, struct buffer *line,
                      bool *ret_some, struct error *err)
{
    struct error problem = {0};
    uint64_t offset = r->offset;
    uint8_t octet = 0;

    buffer_reset(line);
    while (next_octet(r, &octet, &problem) && octet != '\n') {
        if (line->length == OXENSTORED_LINE_MAX)
            return error_set_at(err, ERR_LIMIT, offset,
                                "oxenstored dump: a line of more than %zu "
                                "octets, expected fewer",
                                OXENSTORED_LINE_MAX);
        if (octet == '\0')
            return error_set_at(err, ERR_FORMAT, r->offset - 1,
                                "oxenstored dump: a NUL, expected text");
        buffer_u8(line, octet);
    }
    if (problem.code != ERR_NONE) {
        *err = problem;
        return false;
    }
    *ret_some = r->offset > offset;
    buffer_u8(line, 0);
    return buffer_check(line, "oxenstored dump", err);
}

static bool inspect_dump(struct stream_source *source,
                         struct field_sink *records,
                         struct store_counts *counts, struct error *err)
{
    cleanup(buffer_release) struct buffer line = {0};
    struct line_reader reader = {.source = source};
    bool some;

    if (!next_line(&reader, &line, &some, err))
        return false;
    if (!some || strcmp((char *)line.bytes, "$xenstored-dump-format") != 0)
        return error_set_at(err, ERR_FORMAT, 0,
                            "oxenstored dump: another first line, expected "
                            "$xenstored-dump-format");
    for (;;) {
        uint64_t offset = reader.offset;

        if (!next_line(&reader, &line, &some, err))
            return false;
        if (!some)
            return true;
        counts->octets = reader.offset;
        if (line.bytes[0] != '\0')
            explain_line((char *)line.bytes, offset, counts, records);
    }
}

/* Both ----------------------------------------------------------------------- */

bool inspect_xenstore(struct stream_source *source, enum stream_kind kind,
                      struct field_sink *records, struct field_sink *out,
                      struct error *err)
{
    struct store_counts counts = {0};
    struct xsdump_header header = {0};
    bool ok;

    fields_begin(records, "records", FIELDS_LIST);
    ok = kind == STREAM_OXENSTORED
             ? inspect_dump(source, records, &counts, err)
             : inspect_state(source, records, &counts, &header, err);
    fields_end(records);
    fields_begin(out, "summary", FIELDS_OBJECT);
    fields_text(out, "format", stream_kind_name(kind));
    if (header.version) {
        fields_number(out, "version", header.version);
        fields_text(out, "byte_order",
                    header.order == ORDER_BIG ? "big-endian" : "little-endian");
    }
    fields_number(out, "nodes", counts.nodes);
    if (kind == STREAM_XENSTORE) {
        fields_number(out, "nodes_in_transactions", counts.in_transactions);
        fields_number(out, "transactions", counts.transactions);
    }
    fields_number(out, "watches", counts.watches);
    fields_number(out, "connections", counts.connections);
    fields_number(out, "unknown", counts.other);
    fields_number(out, "octets", counts.octets);
    fields_end(out);
    return ok;
}
