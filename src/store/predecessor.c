/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The new side of a live update: take over what another xenstored left. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "store/domain.h"
#include "store/holder.h"
#include "store/journal.h"
#include "store/request.h"
#include "store/state.h"
#include "store/update.h"
#include "stream/xs/xs_dump.h"

/* A journal's area holds no larger one either. */
#define STATE_MAX ((size_t)512 << 20)

static bool read_all(int fd, struct buffer *out, struct error *err)
{
    cleanup(io_release) struct io io = {.own_fd = -1};
    size_t got = 1;

    out->cap = STATE_MAX;
    if (!io_attach(&io, fd, false, -1, -1, err))
        return false;
    while (got) {
        uint8_t *to = buffer_extend(out, 65536);

        if (!to)
            return buffer_check(out, "state", err);
        out->length -= 65536;
        if (!io_read_some(&io, to, 65536, &got, err))
            return false;
        out->length += got;
    }
    return true;
}

/* --- what came --- */

static bool adopt(int fd, const char *what, bool socket, struct error *err)
{
    struct stat st;
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fstat(fd, &st) < 0)
        return error_set_errno(err, ERR_STATE, errno, "%s: fd %d", what, fd);
    if (socket && !S_ISSOCK(st.st_mode))
        return error_set(err, ERR_STATE, "%s: fd %d is no socket", what, fd);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    return true;
}

static bool look_at(struct predecessor *p, const struct xsdump_record *rec,
                    struct error *err)
{
    struct xsdump_connection k;
    struct xsdump_global g;

    switch (rec->type) {
    case XSDUMP_GLOBAL:
        if (!xsdump_global_decode(rec, &g, err))
            return false;
        p->listen_fd = g.listen_fd;
        p->evtchn_fd = g.evtchn_fd;
        return true;
    case XSDUMP_CONNECTION:
        return xsdump_connection_decode(rec, &k, err) &&
               (k.kind != XSDUMP_CONNECTION_SOCKET ||
                adopt(k.fd, "a client", true, err));
    case STATE_STORE:
        p->complete = true;
        return true;
    default:
        return true;
    }
}

static int ready_descriptor(void)
{
    const char *text = getenv("XENFERRY_READY_FD");
    uint32_t fd;
    struct stat st;

    if (!text || !number_parse(text, &fd) || fd > INT32_MAX ||
        fstat((int)fd, &st) < 0 || !S_ISFIFO(st.st_mode))
        return -1;
    fcntl((int)fd, F_SETFD, FD_CLOEXEC);
    unsetenv("XENFERRY_READY_FD");
    return (int)fd;
}

bool predecessor_open(struct daemon *d, struct error *err)
{
    struct predecessor *p = calloc(1, sizeof(*p));
    struct xsdump_reader reader;
    struct xsdump_record rec;
    cleanup_free char *path = NULL;
    cleanup_fd int fd = -1;

    if (!p)
        return error_set(err, ERR_NO_MEMORY, "live update");
    p->listen_fd = p->evtchn_fd = -1;
    p->ready_fd = ready_descriptor();
    d->predecessor = p;
    if (asprintf(&path, "%s/state_dump", d->options.run_dir) < 0) {
        path = NULL;
        return error_set(err, ERR_NO_MEMORY, "live update");
    }
    if (!file_open(path, O_RDONLY | O_NOFOLLOW, 0, &fd, err) ||
        !read_all(fd, &p->stream, err) ||
        !xsdump_open(&reader, p->stream.bytes, p->stream.length, err))
        return false;
    do {
        if (!xsdump_next(&reader, &rec, err) || !look_at(p, &rec, err))
            return error_wrap(err, "%s", path);
    } while (rec.type != XSDUMP_END);
    if (p->listen_fd < 0)
        return error_set(err, ERR_STATE, "%s: no socket to listen on", path);
    return adopt(p->listen_fd, "the listening socket", true, err) &&
           (p->evtchn_fd < 0 ||
            adopt(p->evtchn_fd, "the event channels", false, err));
}

bool predecessor_clients(struct daemon *d, struct holder *h, struct error *err)
{
    struct predecessor *p = d->predecessor;
    struct xsdump_reader reader;
    struct xsdump_record rec;
    struct xsdump_connection k;

    h->listen_fd = p->listen_fd;
    if (!xsdump_open(&reader, p->stream.bytes, p->stream.length, err))
        return false;
    do {
        if (!xsdump_next(&reader, &rec, err))
            return false;
        if (rec.type != XSDUMP_CONNECTION)
            continue;
        if (!xsdump_connection_decode(&rec, &k, err))
            return false;
        if (k.kind == XSDUMP_CONNECTION_SOCKET && !holder_add(h, k.fd))
            return error_set(err, ERR_NO_MEMORY, "live update: clients");
    } while (rec.type != XSDUMP_END);
    return true;
}

static struct connection *load_socket(void *context, struct store *store,
                                      uint32_t id, int fd, struct error *err)
{
    struct daemon *d = context;

    (void)store;
    (void)id;
    if (!d->holder)
        return sockets_client(d, fd, 0, err);
    return sockets_client_unattached(d, holder_serial(d->holder, fd), err);
}

bool predecessor_load(struct daemon *d, struct error *err)
{
    struct predecessor *p = d->predecessor;
    struct store_load_hooks hooks = {.socket = load_socket, .context = d};

    /* Where rings stand is in our own records, or else in their pages. */
    if (p->complete)
        store_replay_begin(d->store);
    if (!store_load(d->store, p->stream.bytes, p->stream.length, &hooks, err) ||
        (p->complete && !store_replay_end(d->store, err)))
        return error_wrap(err, "live update");
    hypervisor_look(d);
    p->loaded = true;
    return true;
}

void predecessor_served(struct daemon *d)
{
    cleanup_free char *path = NULL;

    if (asprintf(&path, "%s/state_dump", d->options.run_dir) < 0)
        path = NULL;
    else
        unlink(path);
    if (d->predecessor->ready_fd >= 0)
        (void)!write(d->predecessor->ready_fd, "R", 1);
    predecessor_release(d);
    if (d->holder)
        holder_tell_serving(d->holder);
    log_info(&d->log, "live update: took over from the predecessor");
}

void predecessor_release(struct daemon *d)
{
    if (!d->predecessor)
        return;
    close_fd(&d->predecessor->ready_fd);
    buffer_release(&d->predecessor->stream);
    free(d->predecessor);
    d->predecessor = NULL;
}

/* --- the rehearsal --- */

bool update_summary(const void *bytes, size_t length, struct buffer *out,
                    struct error *err)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    uint32_t counts[XSDUMP_WATCH_EXTENDED + 1] = {0};
    uint32_t transactions = 0;
    struct xsdump_reader reader;
    struct xsdump_record rec;

    if (!xsdump_open(&reader, bytes, length, err))
        return false;
    do {
        if (!xsdump_next(&reader, &rec, err))
            return false;
        transactions += rec.type == STATE_TRANSACTION;
        /* Those whose form is fixed by the document. */
        if (rec.type != XSDUMP_CONNECTION && rec.type != XSDUMP_WATCH &&
            rec.type != XSDUMP_WATCH_EXTENDED && rec.type != XSDUMP_NODE)
            continue;
        counts[rec.type]++;
        for (uint32_t i = 0; i < rec.length; i++)
            sum = (sum ^ rec.body[i]) * UINT64_C(0x100000001b3);
    } while (rec.type != XSDUMP_END);
    buffer_format(out,
                  "state 1: %" PRIu32 " connections, %" PRIu32
                  " watches, %" PRIu32 " nodes, %" PRIu32
                  " transactions, sum %016" PRIx64 "\n",
                  counts[XSDUMP_CONNECTION],
                  counts[XSDUMP_WATCH] + counts[XSDUMP_WATCH_EXTENDED],
                  counts[XSDUMP_NODE], transactions, sum);
    return buffer_check(out, "summary", err);
}

/* A world in which everything is as it was, and nothing happens. */

static enum domain_life life_before(void *context, uint16_t domid)
{
    (void)context;
    (void)domid;
    return DOMAIN_ALIVE;
}

static bool no_ring(void *context, uint16_t domid, uint64_t gfn, uint32_t port,
                    struct ring_link *ret, struct error *err)
{
    (void)context;
    (void)gfn;
    (void)port;
    (void)ret;
    return error_set(err, ERR_STATE, "domain %u: a rehearsal", domid);
}

static bool no_resume(void *context, uint16_t domid, uint32_t local_port,
                      struct ring_link *ret, struct error *err)
{
    return no_ring(context, domid, 0, local_port, ret, err);
}

static bool no_rebind(void *context, uint16_t domid, uint32_t port,
                      struct ring_link *link, struct error *err)
{
    return no_ring(context, domid, 0, port, link, err);
}

static void no_close(void *context, uint16_t domid, struct ring_link *link)
{
    (void)context;
    (void)domid;
    link->page = NULL;
}

static void no_notify(void *context, const struct ring_link *link)
{
    (void)context;
    (void)link;
}

static int64_t no_time(void *context)
{
    (void)context;
    return 0;
}

static enum transport_result no_octets(struct connection *c, size_t wanted)
{
    (void)c;
    (void)wanted;
    return TRANSPORT_WAIT;
}

static enum transport_result no_send(struct connection *c)
{
    (void)c;
    return TRANSPORT_WAIT;
}

/* The context is the number of the descriptor. */
static void forget_client(struct connection *c)
{
    free(connection_context(c));
}

static const struct transport silent = {
    .receive = no_octets, .send = no_send, .close = forget_client};

static struct connection *silent_socket(void *context, struct store *store,
                                        uint32_t id, int fd, struct error *err)
{
    int *number = malloc(sizeof(*number));
    struct connection *c;

    (void)context;
    (void)id;
    if (number)
        *number = fd;
    c = number ? store_connect(store, &silent, number) : NULL;
    if (!c) {
        free(number);
        error_set(err, ERR_NO_MEMORY, "client");
    }
    return c;
}

static int silent_fd(struct connection *c)
{
    const int *number = connection_context(c);

    return number ? *number : -1;
}

static bool rehearse(struct store *store, struct buffer *ret, struct error *err)
{
    struct store_load_hooks hooks = {.socket = silent_socket};
    struct store_dump_options options = {.version = 2,
                                         .listen_fd = -1,
                                         .evtchn_fd = -1,
                                         .socket_fd = silent_fd,
                                         .complete = true};
    cleanup(buffer_release) struct buffer state = {.cap = STATE_MAX};
    cleanup(buffer_release) struct buffer again = {.cap = STATE_MAX};

    store_replay_begin(store);
    return read_all(0, &state, err) &&
           store_load(store, state.bytes, state.length, &hooks, err) &&
           store_dump(store, &options, &again, err) &&
           update_summary(again.bytes, again.length, ret, err);
}

int update_check_state(struct daemon *d)
{
    struct store_host host = {
        .domain_life = life_before,
        .ring_open = no_ring,
        .ring_close = no_close,
        .ring_rebind = no_rebind,
        .ring_notify = no_notify,
        .ring_resume = no_resume,
        .now_ns = no_time,
    };
    cleanup(buffer_release) struct buffer summary = {0};
    struct store *store = NULL;
    struct error err = {0};
    bool good = store_open(&d->options.store, &host, &store, &err) &&
                rehearse(store, &summary, &err);

    /* Read by the daemon that asks. */
    if (good)
        printf("%.*s", (int)summary.length, (const char *)summary.bytes);
    else
        printf("xenferry-xenstored: %s\n", err.text);
    fflush(stdout);
    store_close(store);
    return good ? 0 : 1;
}
