/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xenferry store: what a store holds, as a file and back.
 *
 *   export   the daemon writes a state stream beside its socket (save-state);
 *            it is read, turned into what was asked for, and removed
 *   import   a file's nodes in one transaction, then its watches
 *   show     either's contents
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/command.h"
#include "cli/new_file.h"
#include "cli/output.h"
#include "cli/store_client.h"
#include "cli/store_state.h"

enum {
    OPTION_DOMAIN = OPTION_LONG_ONLY,
    OPTION_WAS,
    OPTION_RECORDS,
    OPTION_STREAM,
    OPTION_SOCKET,
};

#define DOMID_MAX         0x7fefu
#define NO_DOMAIN         UINT64_MAX
#define TRANSACTION_TRIES 10

static const struct command_option options[] = {
    {"domain",  OPTION_DOMAIN,  "DOMID", "This domain's part alone"              },
    {"was",     OPTION_WAS,     "DOMID",
     "import: the domain's number in FILE (default: as --domain)"                },
    {"stream",  OPTION_STREAM,  "1|2",   "export: a state stream of this version"},
    {"records", OPTION_RECORDS, NULL,
     "export: records DOMAIN_XENSTORE_DATA; with --domain"                       },
    {"socket",  OPTION_SOCKET,  "PATH",  "The store's socket"                    },
    {"json",    'j',            NULL,    "show: print JSON instead of text"      },
    {NULL,      0,              NULL,    NULL                                    },
};

struct store_options {
    uint64_t domain, was;
    uint64_t version;
    bool records, json;
    const char *socket;
};

/* ---- files ------------------------------------------------------------- */

static bool read_whole(const char *path, struct buffer *ret, struct error *err)
{
    cleanup(io_release) struct io io = {.own_fd = -1};
    cleanup_fd int fd = -1;
    bool standard = !strcmp(path, "-");
    size_t got;

    ret->cap = STORE_STATE_MAX;
    if (!standard && !file_open(path, O_RDONLY, 0, &fd, err))
        return false;
    if (!io_attach(&io, standard ? STDIN_FILENO : fd, false, -1, -1, err))
        return false;
    do {
        uint8_t *room = buffer_extend(ret, 65536);

        if (!room)
            return buffer_check(ret, path, err);
        if (!io_read_some(&io, room, 65536, &got, err))
            return error_wrap(err, "%s", path);
        ret->length -= 65536 - got;
    } while (got);
    return true;
}

static bool write_whole(const char *path, const struct buffer *data,
                        struct error *err)
{
    struct new_file file;
    bool good;

    if (!new_file_open(&file, path, -1, err))
        return false;
    good = io_write_all(&file.io, data->bytes, data->length, err) &&
           new_file_commit(&file, err);
    new_file_close(&file);
    return good;
}

/* ---- from the daemon --------------------------------------------------- */

/* Only there can the daemon write, wherever it runs. */
static void dump_path(const struct store_client *client, char *ret, size_t size)
{
    const char *slash = strrchr(client->path, '/');

    snprintf(ret, size, "%.*s/export-%d-%" PRIu64,
             slash ? (int)(slash - client->path) : 1,
             slash ? client->path : ".", (int)getpid(),
             (uint64_t)clock_now_ns());
}

static bool fetch(const struct store_options *o, uint64_t version,
                  struct buffer *ret, struct error *err)
{
    cleanup(store_client_close) struct store_client client = {.fd = -1};
    cleanup(buffer_release) struct buffer request = {0};
    char path[sizeof(client.path) + 64];
    bool good;

    if (!store_client_open(&client, o->socket, err))
        return false;
    dump_path(&client, path, sizeof(path));
    buffer_bytes(&request, "save-state", 11);
    buffer_bytes(&request, path, strlen(path) + 1);
    buffer_format(&request, "%" PRIu64, version);
    buffer_u8(&request, 0);
    if (o->domain != NO_DOMAIN) {
        buffer_format(&request, "%" PRIu64, o->domain);
        buffer_u8(&request, 0);
    }
    if (!buffer_check(&request, "request", err))
        return false;
    if (!store_client_call(&client, STORE_OP_CONTROL, request.bytes,
                           request.length, err)) {
        if (!strcmp(client.refusal, "EINVAL"))
            return error_set(err, ERR_UNSUPPORTED,
                             "the store at %s cannot save its state, expected "
                             "xenferry-xenstored",
                             client.path);
        if (!strcmp(client.refusal, "ENOENT"))
            return error_set(err, ERR_STATE,
                             "domain %" PRIu64 ": not in the store", o->domain);
        return false;
    }
    good = read_whole(path, ret, err);
    unlink(path);
    return good;
}

static bool do_export(const struct store_options *o, const char *path,
                      struct error *err)
{
    cleanup(buffer_release) struct buffer stream = {0};
    cleanup(buffer_release) struct buffer records = {0};
    cleanup(store_state_release) struct store_state state = {0};

    if (!fetch(o, o->version, &stream, err))
        return false;
    if (!o->records)
        return write_whole(path, &stream, err);
    return store_state_parse(&state, stream.bytes, stream.length,
                             (uint32_t)o->domain, err) &&
           store_state_records(&state, (uint32_t)o->domain, &records, err) &&
           write_whole(path, &records, err);
}

/* ---- into a daemon ----------------------------------------------------- */

struct import {
    const struct store_options *o;
    const struct store_state *state;
    struct store_client client;
    struct buffer request;
    uint64_t nodes, watches;
};

/* The path where it goes, into 'out' with its NUL; false: not wanted. */
static bool target_path(const struct import *m, const char *path,
                        struct buffer *out)
{
    const char *below;

    if (m->o->domain == NO_DOMAIN) {
        buffer_bytes(out, path, strlen(path) + 1);
        return true;
    }
    below = store_path_in_home(path, (uint32_t)m->o->was);
    if (!below)
        return false;
    buffer_format(out, "/local/domain/%" PRIu64, m->o->domain);
    buffer_bytes(out, below, strlen(below) + 1);
    return true;
}

static bool call(struct import *m, enum store_op op, struct error *err)
{
    return buffer_check(&m->request, "request", err) &&
           store_client_call(&m->client, op, m->request.bytes,
                             m->request.length, err);
}

static bool put_node(struct import *m, const struct state_node *n,
                     struct error *err)
{
    const char *perm = n->perms;

    /* They are there, and stay as they are. */
    if (!strcmp(n->path, "/") || *n->path == '@')
        return true;
    buffer_reset(&m->request);
    if (!target_path(m, n->path, &m->request))
        return true;
    buffer_bytes(&m->request, n->value, n->value_length);
    if (!call(m, STORE_OP_WRITE, err))
        return error_wrap(err, "node %s", n->path);
    buffer_reset(&m->request);
    (void)target_path(m, n->path, &m->request);
    for (uint32_t i = 0; i < n->nr_perms; i++) {
        uint64_t domid = strtoul(perm + 1, NULL, 10);

        if (m->o->domain != NO_DOMAIN && domid == m->o->was)
            domid = m->o->domain;
        buffer_format(&m->request, "%c%" PRIu64, *perm, domid);
        buffer_u8(&m->request, 0);
        perm += strlen(perm) + 1;
    }
    if (!call(m, STORE_OP_SET_PERMS, err)) {
        if (!strcmp(m->client.refusal, "ENOENT"))
            return error_set(err, ERR_STATE,
                             "node %s: its owner %s does not exist", n->path,
                             n->perms);
        return error_wrap(err, "permissions of node %s", n->path);
    }
    m->nodes++;
    return true;
}

/* Once; '*ret_again' if others changed what was looked at. */
static bool try_nodes(struct import *m, bool *ret_again, struct error *err)
{
    *ret_again = false;
    m->nodes = 0;
    m->client.tx = 0;
    if (!store_client_call(&m->client, STORE_OP_TRANSACTION_START, "", 1, err))
        return false;
    m->client.tx = (uint32_t)strtoul((char *)m->client.answer.bytes, NULL, 10);
    for (size_t i = 0; i < m->state->nr_nodes; i++)
        if (!put_node(m, &m->state->nodes[i], err))
            return false; /* the connection's end drops the transaction */
    if (!store_client_call(&m->client, STORE_OP_TRANSACTION_END, "T", 2, err)) {
        *ret_again = !strcmp(m->client.refusal, "EAGAIN");
        return false;
    }
    m->client.tx = 0;
    return true;
}

static bool put_watch(struct import *m, const struct state_watch *w,
                      struct error *err)
{
    uint64_t domid = m->o->domain != NO_DOMAIN ? m->o->domain : w->domid;

    if (!w->guest || (m->o->domain != NO_DOMAIN && w->domid != m->o->was))
        return true;
    buffer_reset(&m->request);
    buffer_format(&m->request, "%" PRIu64, domid);
    buffer_u8(&m->request, 0);
    buffer_bytes(&m->request, "*depth", 7);
    if (*w->path != '/' || !target_path(m, w->path, &m->request))
        buffer_bytes(&m->request, w->path, strlen(w->path) + 1);
    buffer_bytes(&m->request, w->token, strlen(w->token) + 1);
    if (w->depth >= 0)
        buffer_format(&m->request, "%" PRId32, w->depth);
    buffer_u8(&m->request, 0);
    if (!call(m, STORE_OP_ADD_DOMAIN_WATCHES, err)) {
        if (!strcmp(m->client.refusal, "ENOENT"))
            return error_set(err, ERR_STATE,
                             "watches of domain %" PRIu64
                             ": the store does not serve its ring",
                             domid);
        if (!strcmp(m->client.refusal, "ENOSYS"))
            return error_set(err, ERR_UNSUPPORTED,
                             "watches: the store at %s cannot add them, "
                             "expected xenferry-xenstored",
                             m->client.path);
        return error_wrap(err, "watch on %s", w->path);
    }
    m->watches++;
    return true;
}

static bool do_import(const struct store_options *o, const char *path,
                      struct error *err)
{
    cleanup(buffer_release) struct buffer data = {0};
    cleanup(store_state_release) struct store_state state = {0};
    struct import m = {.o = o, .state = &state};
    bool good, again;

    if (!read_whole(path, &data, err) ||
        !store_state_parse(&state, data.bytes, data.length, (uint32_t)o->was,
                           err))
        return error_wrap(err, "%s", path);
    if (!store_client_open(&m.client, o->socket, err))
        return false;
    for (unsigned int i = 0; i < TRANSACTION_TRIES; i++) {
        good = try_nodes(&m, &again, err);
        if (good || !again)
            break;
    }
    for (size_t i = 0; good && i < state.nr_watches; i++)
        good = put_watch(&m, &state.watches[i], err);
    store_client_close(&m.client);
    buffer_release(&m.request);
    if (good)
        fprintf(stderr, "%" PRIu64 " nodes, %" PRIu64 " watches\n", m.nodes,
                m.watches);
    return good;
}

/* ---- to be read -------------------------------------------------------- */

static bool is_shown(const struct store_options *o, const char *path)
{
    return o->domain == NO_DOMAIN ||
           store_path_in_home(path, (uint32_t)o->domain);
}

static void show_nodes(const struct store_options *o,
                       const struct store_state *state, struct field_sink *f)
{
    fields_begin(f, "nodes", FIELDS_LIST);
    for (size_t i = 0; i < state->nr_nodes; i++) {
        const struct state_node *n = &state->nodes[i];
        const char *perm = n->perms;

        if (!is_shown(o, n->path))
            continue;
        fields_begin(f, NULL, FIELDS_ROW);
        fields_text(f, "path", n->path);
        fields_begin(f, "permissions", FIELDS_LIST);
        for (uint32_t j = 0; j < n->nr_perms; j++) {
            fields_text(f, NULL, perm);
            perm += strlen(perm) + 1;
        }
        fields_end(f);
        fields_octets(f, "value", n->value, n->value_length);
        fields_end(f);
    }
    fields_end(f);
}

static void show_watches(const struct store_options *o,
                         const struct store_state *state, struct field_sink *f)
{
    fields_begin(f, "watches", FIELDS_LIST);
    for (size_t i = 0; i < state->nr_watches; i++) {
        const struct state_watch *w = &state->watches[i];

        if (o->domain != NO_DOMAIN && (!w->guest || w->domid != o->domain))
            continue;
        fields_begin(f, NULL, FIELDS_ROW);
        if (w->guest)
            fields_number(f, "domain", w->domid);
        else
            fields_number(f, "connection", w->connection);
        fields_text(f, "path", w->path);
        fields_text(f, "token", w->token);
        if (w->depth >= 0)
            fields_number(f, "depth", (uint64_t)w->depth);
        fields_end(f);
    }
    fields_end(f);
}

static void show_connections(const struct store_state *state,
                             struct field_sink *f)
{
    fields_begin(f, "connections", FIELDS_LIST);
    for (size_t i = 0; i < state->nr_connections; i++) {
        const struct state_connection *c = &state->connections[i];

        fields_begin(f, NULL, FIELDS_ROW);
        fields_number(f, "connection", c->id);
        if (c->guest)
            fields_number(f, "domain", c->domid);
        fields_number(f, "input", c->in_length);
        fields_number(f, "output", c->out_length);
        fields_end(f);
    }
    fields_end(f);
}

static bool do_show(const struct store_options *o, const char *path,
                    struct error *err)
{
    cleanup(buffer_release) struct buffer data = {0};
    cleanup(store_state_release) struct store_state state = {0};
    struct output output;
    struct field_sink f;

    if (path ? !read_whole(path, &data, err) : !fetch(o, 2, &data, err))
        return false;
    if (!store_state_parse(&state, data.bytes, data.length,
                           o->domain == NO_DOMAIN ? 0 : (uint32_t)o->domain,
                           err))
        return error_wrap(err, "%s", path ? path : "the store's answer");
    f = output_begin(&output, stdout, o->json);
    if (state.kind == STORE_STATE_STREAM) {
        fields_number(&f, "version", state.version);
        if (o->domain == NO_DOMAIN) {
            show_connections(&state, &f);
            fields_number(&f, "transactions", state.nr_transactions);
        }
    }
    show_nodes(o, &state, &f);
    show_watches(o, &state, &f);
    output_finish(&output);
    return true;
}

/* ---- the command line -------------------------------------------------- */

static int read_options(struct command_line *line, struct store_options *o)
{
    struct error err = {0};
    const char *argument;
    int key;

    while ((key = command_line_next(line, &argument)) != LINE_END) {
        bool ok = true;

        switch (key) {
        case OPTION_DOMAIN:
            ok =
                parse_number(argument, DOMID_MAX, "--domain", &o->domain, &err);
            break;
        case OPTION_WAS:
            ok = parse_number(argument, DOMID_MAX, "--was", &o->was, &err);
            break;
        case OPTION_STREAM:
            ok = parse_number(argument, 2, "--stream", &o->version, &err);
            if (ok && o->version < 1)
                ok = error_set(&err, ERR_USAGE, "--stream: 0, expected 1 or 2");
            break;
        case OPTION_RECORDS:
            o->records = true;
            break;
        case OPTION_SOCKET:
            o->socket = argument;
            break;
        case 'j':
            o->json = true;
            break;
        default:
            return CLI_USAGE;
        }
        if (!ok)
            return command_line_wrong(line, "%s", err.text);
    }
    return CLI_OK;
}

static int run(struct command_line *line)
{
    struct store_options o = {
        .domain = NO_DOMAIN, .was = NO_DOMAIN, .version = 2};
    const char *verb, *path;
    struct error err = {0};
    int status = read_options(line, &o);
    bool good;

    if (status != CLI_OK)
        return status;
    verb = command_line_operand(line);
    path = command_line_operand(line);
    if (!verb || command_line_operands(line))
        return command_line_wrong(line, "expected export, import or show, and "
                                        "a file");
    if (o.records && o.domain == NO_DOMAIN)
        return command_line_wrong(line, "--records needs --domain");
    if (o.was != NO_DOMAIN && o.domain == NO_DOMAIN)
        return command_line_wrong(line, "--was needs --domain");
    if (o.was == NO_DOMAIN)
        o.was = o.domain;
    if (!strcmp(verb, "show"))
        good = do_show(&o, path, &err);
    else if (!path)
        return command_line_wrong(line, "%s needs a file", verb);
    else if (!strcmp(verb, "export"))
        good = do_export(&o, path, &err);
    else if (!strcmp(verb, "import"))
        good = do_import(&o, path, &err);
    else
        return command_line_wrong(line, "'%s', expected export, import or show",
                                  verb);
    return good ? CLI_OK : command_failed(line->command, &err);
}

const struct command command_store = {
    .name = "store",
    .summary = "Take a store's contents out, show them, and put them back",
    .arguments = "[OPTION]... export|import|show [FILE|-]",
    .details = "Of a whole xenstored or of one domain, as a state stream or as "
               "records\nDOMAIN_XENSTORE_DATA.  Without FILE, show asks the "
               "running store.",
    .options = options,
    .run = run,
};
