/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/store_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "stream/xl/xl_xenstore.h"
#include "stream/xs/xs_dump.h"

void store_state_release(struct store_state *state)
{
    for (size_t i = 0; i < state->nr_nodes; i++) {
        free(state->nodes[i].path);
        free(state->nodes[i].perms);
    }
    free(state->nodes);
    free(state->watches);
    free(state->connections);
    *state = (struct store_state){0};
}

/* Room for one more behind 'nr'; grows by doubling. */
static void *grown(void *array, size_t nr, size_t size)
{
    if (nr & (nr - 1))
        return array;
    /* No more entries than octets in the input, which is bounded. */
    return realloc(array, (nr ? 2 * nr : 1) * size);
}

static bool no_memory(struct error *err)
{
    return error_set(err, ERR_NO_MEMORY, "the store's state");
}

/* Takes over 'path' and 'perms'. */
static bool add_node(struct store_state *state, char *path, char *perms,
                     uint32_t nr_perms, const uint8_t *value,
                     uint32_t value_length, struct error *err)
{
    struct state_node *grew =
        grown(state->nodes, state->nr_nodes, sizeof(*grew));

    if (grew)
        state->nodes = grew;
    if (!grew || !path || !perms) {
        free(path);
        free(perms);
        return no_memory(err);
    }
    grew[state->nr_nodes++] = (struct state_node){.path = path,
                                                  .perms = perms,
                                                  .nr_perms = nr_perms,
                                                  .value = value,
                                                  .value_length = value_length};
    return true;
}

static bool add_watch(struct store_state *state, struct state_watch watch,
                      struct error *err)
{
    struct state_watch *grew =
        grown(state->watches, state->nr_watches, sizeof(*grew));

    if (!grew)
        return no_memory(err);
    state->watches = grew;
    grew[state->nr_watches++] = watch;
    return true;
}

static const struct state_connection *
find_connection(const struct store_state *state, uint32_t id)
{
    for (size_t i = 0; i < state->nr_connections; i++)
        if (state->connections[i].id == id)
            return &state->connections[i];
    return NULL;
}

/* --- the stream --- */

static bool take_connection(struct store_state *state,
                            const struct xsdump_record *rec, struct error *err)
{
    struct state_connection *grew;
    struct xsdump_connection k;

    if (!xsdump_connection_decode(rec, &k, err))
        return false;
    grew = grown(state->connections, state->nr_connections, sizeof(*grew));
    if (!grew)
        return no_memory(err);
    state->connections = grew;
    grew[state->nr_connections++] =
        (struct state_connection){.id = k.id,
                                  .guest = k.kind == XSDUMP_CONNECTION_RING,
                                  .domid = k.domid,
                                  .in_length = k.in_length,
                                  .out_length = k.out_length};
    return true;
}

static bool take_watch(struct store_state *state,
                       const struct xsdump_record *rec, struct error *err)
{
    const struct state_connection *c;
    struct xsdump_watch w;
    struct state_watch watch;

    if (!xsdump_watch_decode(rec, &w, err))
        return false;
    c = find_connection(state, w.connection);
    if (!c)
        return error_set_at(err, ERR_FORMAT, rec->offset,
                            "watch at offset %" PRIu64 ": of connection "
                            "%" PRIu32 ", expected one that came before",
                            rec->offset, w.connection);
    watch = (struct state_watch){.connection = w.connection,
                                 .guest = c->guest,
                                 .domid = c->domid,
                                 .path = w.path,
                                 .token = w.token,
                                 .depth = w.depth};
    return add_watch(state, watch, err);
}

static bool take_node(struct store_state *state,
                      const struct xsdump_record *rec, struct error *err)
{
    struct buffer perms = {0};
    struct xsdump_node n;

    if (!xsdump_node_decode(rec, &n, err))
        return false;
    if (n.connection)
        return true; /* pending in a transaction */
    for (uint32_t i = 0; i < n.nr_perms; i++) {
        struct xsdump_perm perm = xsdump_node_perm(&n, i);

        buffer_format(&perms, "%c%u", perm.letter, perm.domid);
        buffer_u8(&perms, 0);
    }
    if (!buffer_check(&perms, "permissions", err)) {
        buffer_release(&perms);
        return false;
    }
    return add_node(state, strdup(n.path), (char *)perms.bytes, n.nr_perms,
                    n.value, n.value_length, err);
}

static bool parse_stream(struct store_state *state, const void *bytes,
                         size_t length, struct error *err)
{
    struct xsdump_reader reader;
    struct xsdump_record rec;

    if (!xsdump_open(&reader, bytes, length, err))
        return false;
    state->version = reader.header.version;
    do {
        bool good = true;

        if (!xsdump_next(&reader, &rec, err))
            return false;
        switch (rec.type) {
        case XSDUMP_CONNECTION:
            good = take_connection(state, &rec, err);
            break;
        case XSDUMP_WATCH:
        case XSDUMP_WATCH_EXTENDED:
            good = take_watch(state, &rec, err);
            break;
        case XSDUMP_NODE:
            good = take_node(state, &rec, err);
            break;
        case XSDUMP_TRANSACTION:
            state->nr_transactions++;
            break;
        default:
            break;
        }
        if (!good)
            return false;
    } while (rec.type != XSDUMP_END);
    return true;
}

/* --- the records --- */

static bool take_record(struct store_state *state, const struct record *rec,
                        uint32_t domid, struct error *err)
{
    struct domain_xenstore_data data;
    struct xenstore_watch w;
    struct xenstore_node n;
    const char *end;
    char *path, *perms;
    uint32_t id;

    if (!domain_xenstore_data_decode(rec, &data, err))
        return false;
    /* What it was about is not there: it could only fail. */
    if (data.type == XLSTREAM_XENSTORE_TRANSACTIONS)
        return xenstore_transaction_decode(rec, &id, err);
    if (data.type == XLSTREAM_XENSTORE_WATCHES) {
        if (!xenstore_watch_decode(rec, &w, err))
            return false;

        struct state_watch watch = {.guest = true,
                                    .domid = (uint16_t)domid,
                                    .path = w.path,
                                    .token = w.token,
                                    .depth = w.depth};

        return add_watch(state, watch, err);
    }
    if (!xenstore_node_decode(rec, &n, err))
        return false;
    end = n.perms;
    for (uint32_t i = 0; i < n.nr_perms; i++)
        end += strlen(end) + 1;
    perms = malloc((size_t)(end - n.perms));
    if (perms)
        memcpy(perms, n.perms, (size_t)(end - n.perms));
    if (asprintf(&path, "/local/domain/%" PRIu32 "%s%s", domid,
                 *n.path ? "/" : "", n.path) < 0)
        path = NULL;
    return add_node(state, path, perms, n.nr_perms, n.value, n.value_length,
                    err);
}

static bool parse_records(struct store_state *state, const uint8_t *bytes,
                          size_t length, uint32_t domid, struct error *err)
{
    size_t offset = 0;

    while (offset < length) {
        struct record_head head;
        struct record rec;

        if (length - offset < RECORD_HEAD_SIZE)
            return error_set_at(err, ERR_TRUNCATED, offset,
                                "record: %zu octets left, expected %u",
                                length - offset, RECORD_HEAD_SIZE);
        head = record_head_decode(bytes + offset, ORDER_LITTLE, offset);
        if (head.type != XLREC_DOMAIN_XENSTORE_DATA)
            return error_set_at(err, ERR_FORMAT, offset,
                                "record at offset %zu: type %#" PRIx32
                                ", expected a state stream or "
                                "DOMAIN_XENSTORE_DATA",
                                offset, head.type);
        if (record_size(head.length) > length - offset)
            return error_set_at(err, ERR_TRUNCATED, offset,
                                "DOMAIN_XENSTORE_DATA at offset %zu: %zu "
                                "octets left, expected %" PRIu64,
                                offset, length - offset,
                                record_size(head.length));
        rec = record_over(head.type, bytes + offset + RECORD_HEAD_SIZE,
                          head.length, ORDER_LITTLE);
        rec.offset = offset;
        if (!take_record(state, &rec, domid, err))
            return false;
        offset += (size_t)record_size(head.length);
    }
    return true;
}

bool store_state_parse(struct store_state *ret, const void *bytes,
                       size_t length, uint32_t domid, struct error *err)
{
    struct store_state state = {.kind = STORE_STATE_RECORDS};
    bool good;

    if (length >= 8 && !memcmp(bytes, "xenstore", 8)) {
        state.kind = STORE_STATE_STREAM;
        good = parse_stream(&state, bytes, length, err);
    } else {
        good = parse_records(&state, bytes, length, domid, err);
    }
    if (!good) {
        store_state_release(&state);
        return false;
    }
    *ret = state;
    return true;
}

const char *store_path_in_home(const char *path, uint32_t domid)
{
    char home[32];
    int length = snprintf(home, sizeof(home), "/local/domain/%" PRIu32, domid);

    if (strncmp(path, home, (size_t)length) != 0 ||
        (path[length] && path[length] != '/'))
        return NULL;
    return path + length;
}

bool store_state_records(const struct store_state *state, uint32_t domid,
                         struct buffer *out, struct error *err)
{
    for (size_t i = 0; i < state->nr_nodes; i++) {
        const struct state_node *n = &state->nodes[i];
        const char *below = store_path_in_home(n->path, domid);
        struct xenstore_node node = {.value = n->value,
                                     .value_length = n->value_length,
                                     .nr_perms = n->nr_perms,
                                     .perms = n->perms};

        if (!below)
            continue;
        node.path = *below ? below + 1 : below;
        xenstore_node_append(out, &node);
    }
    for (size_t i = 0; i < state->nr_watches; i++) {
        const struct state_watch *w = &state->watches[i];
        struct xenstore_watch watch = {
            .path = w->path, .token = w->token, .depth = w->depth};

        if (w->guest && w->domid == domid)
            xenstore_watch_append(out, &watch);
    }
    return buffer_check(out, "records", err);
}
