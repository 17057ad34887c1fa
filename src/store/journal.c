/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "store/connection.h"
#include "store/holder.h"
#include "store/update.h"

/* Address space, not memory: pages come as they are written. */
#define AREA_SIZE ((uint64_t)1 << 30)
/* Records may grow to this, or to four snapshots, before the next one. */
#define LOG_MIN  ((uint64_t)8 << 20)
#define PIPE_MAX 32768u

enum kind {
    RECORD_SNAPSHOT,
    RECORD_NOW,
    RECORD_OPENED,
    RECORD_CLOSED,
    RECORD_REQUEST,
    RECORD_INPUT,
    RECORD_SENT,
    RECORD_CONSUMED,
    RECORD_TICK,
    RECORD_DOMAINS,
    RECORD_RECONNECT,
    RECORD_BROKEN,
    RECORD_ANSWER, /* of the host, within a request */
};

struct record {
    uint32_t length; /* of what follows, padded to 8 octets in the area */
    uint32_t kind;
    uint32_t id; /* of the connection */
    uint32_t extra;
};

/* Each step of a send or a discard is said before it is taken. */
enum step { STEP_NONE, STEP_FILLING, STEP_SENDING, STEP_DRAINING };

struct control {
    uint32_t active; /* which area counts */
    uint32_t started;
    uint64_t length[2];
    uint64_t snapshot_end[2];
    uint64_t running; /* where the record of the running request is */
    /* 'mark': end of the records before; beyond it the step is recorded. */
    struct {
        uint32_t step, id;
        uint64_t length, sent, mark;
    } out;
    struct {
        uint32_t busy, id;
        uint64_t length, mark;
        int64_t offset; /* SO_PEEK_OFF before */
    } in;
};

struct journal {
    struct control *control; /* shared */
    uint8_t *area[2];
    int memory_fd;
    int pipe_fd[2];
    struct daemon *daemon;
    struct store_host real;
    struct store_recorder recorder;
    bool replaying;
    uint64_t at; /* while replaying */
    int64_t recorded_now;
    bool full; /* an append did not fit: journalling has ended */
    struct ring_page *pages[DOMID_RESERVED_FIRST]; /* stand-ins in a replay */
};

bool journal_create(struct journal **ret, struct error *err)
{
    struct journal *j = calloc(1, sizeof(*j));
    uint8_t *memory;

    if (!j)
        return error_set(err, ERR_NO_MEMORY, "journal");
    j->memory_fd = memfd_create("xenstored-journal", MFD_CLOEXEC);
    if (j->memory_fd < 0 ||
        ftruncate(j->memory_fd, (off_t)(PAGE_SIZE + 2 * AREA_SIZE)) < 0 ||
        pipe2(j->pipe_fd, O_CLOEXEC | O_NONBLOCK) < 0) {
        free(j);
        return error_set_errno(err, ERR_IO, errno, "journal");
    }
    memory = mmap(NULL, PAGE_SIZE + 2 * AREA_SIZE, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_NORESERVE, j->memory_fd, 0);
    if (memory == MAP_FAILED) {
        free(j);
        return error_set_errno(err, ERR_IO, errno, "journal");
    }
    j->control = (struct control *)(void *)memory;
    j->area[0] = memory + PAGE_SIZE;
    j->area[1] = memory + PAGE_SIZE + AREA_SIZE;
    *ret = j;
    return true;
}

void journal_free(struct journal *j)
{
    if (!j)
        return;
    munmap(j->control, PAGE_SIZE + 2 * AREA_SIZE);
    close(j->memory_fd);
    close(j->pipe_fd[0]);
    close(j->pipe_fd[1]);
    free(j);
}

/* --- appending --- */

static void append(struct journal *j, enum kind kind, uint32_t id,
                   uint32_t extra, const struct iovec *parts, int nr)
{
    uint32_t active = j->control->active;
    uint64_t at = j->control->length[active];
    struct record head = {.kind = kind, .id = id, .extra = extra};
    uint8_t *to = j->area[active] + at + sizeof(head);

    for (int i = 0; i < nr; i++)
        head.length += (uint32_t)parts[i].iov_len;
    if (at + sizeof(head) + padded_to_8(head.length) > AREA_SIZE) {
        if (!j->full)
            log_error(&j->daemon->log, "journal: full, no longer kept");
        j->full = true;
        return;
    }
    for (int i = 0; i < nr; i++) {
        if (parts[i].iov_len)
            memcpy(to, parts[i].iov_base, parts[i].iov_len);
        to += parts[i].iov_len;
    }
    memcpy(j->area[active] + at, &head, sizeof(head));
    __atomic_store_n(&j->control->length[active],
                     at + sizeof(head) + padded_to_8(head.length),
                     __ATOMIC_RELEASE);
}

static void append_now(struct journal *j)
{
    struct iovec now = {&j->daemon->now_ns, sizeof(int64_t)};

    if (j->recorded_now == j->daemon->now_ns)
        return;
    j->recorded_now = j->daemon->now_ns;
    append(j, RECORD_NOW, 0, 0, &now, 1);
}

static void record_request(void *context, struct connection *c,
                           const struct wire_header *hdr, const void *payload)
{
    struct journal *j = context;
    struct iovec parts[] = {
        {(void *)hdr,     sizeof(*hdr)},
        {(void *)payload, hdr->len    }
    };

    append_now(j);
    j->control->running = j->control->length[j->control->active];
    append(j, RECORD_REQUEST, connection_id(c), 0, parts, 2);
    (void)sockets_note_processed(c, sizeof(*hdr) + hdr->len);
}

static void record_input(void *context, struct connection *c,
                         const void *octets, size_t length)
{
    struct iovec part = {(void *)octets, length};

    append(context, RECORD_INPUT, connection_id(c), 0, &part, 1);
}

static void record_sent(void *context, struct connection *c, size_t length)
{
    append(context, RECORD_SENT, connection_id(c), (uint32_t)length, NULL, 0);
}

static void record_opened(void *context, struct connection *c)
{
    append(context, RECORD_OPENED, connection_id(c), sockets_serial(c), NULL,
           0);
}

static void record_closed(void *context, struct connection *c)
{
    append(context, RECORD_CLOSED, connection_id(c), sockets_serial(c), NULL,
           0);
    sockets_tell_gone(c);
}

static void record_reconnected(void *context, struct connection *c)
{
    append(context, RECORD_RECONNECT, connection_id(c), 0, NULL, 0);
}

static void record_broken(void *context, struct connection *c, uint32_t error)
{
    append(context, RECORD_BROKEN, connection_id(c), error, NULL, 0);
}

static void record_tick(void *context)
{
    append_now(context);
    append(context, RECORD_TICK, 0, 0, NULL, 0);
}

static void record_domains(void *context)
{
    append_now(context);
    append(context, RECORD_DOMAINS, 0, 0, NULL, 0);
}

/* --- the host's answers, recorded or taken from the record --- */

static const struct record *record_at(const struct journal *j, uint64_t at)
{
    return (const struct record *)(const void *)(j->area[j->control->active] +
                                                 at);
}

static uint64_t record_end(const struct journal *j, uint64_t at)
{
    return at + sizeof(struct record) + padded_to_8(record_at(j, at)->length);
}

/*
 * The next recorded answer of exactly 'length' octets, or NULL: the record
 * ends here, since the predecessor died in this very request.
 */
static const void *next_answer(struct journal *j, size_t length)
{
    while (j->replaying && j->at < j->control->length[j->control->active]) {
        const struct record *rec = record_at(j, j->at);

        /* These follow from the request, and did now as well. */
        if (rec->kind == RECORD_CLOSED || rec->kind == RECORD_BROKEN) {
            j->at = record_end(j, j->at);
            continue;
        }
        if (rec->kind != RECORD_ANSWER || rec->length != length)
            return NULL;
        j->at = record_end(j, j->at);
        return rec + 1;
    }
    return NULL;
}

static void record_answer(struct journal *j, const void *answer, size_t length)
{
    struct iovec part = {(void *)answer, length};

    append(j, RECORD_ANSWER, 0, 0, &part, 1);
    if (j->replaying)
        j->at = j->control->length[j->control->active];
}

static struct journal *journal_of(void *context)
{
    return ((struct daemon *)context)->journal;
}

static enum domain_life domain_life(void *context, uint16_t domid)
{
    struct journal *j = journal_of(context);
    const uint32_t *known = next_answer(j, sizeof(*known));
    uint32_t life;

    if (known)
        return (enum domain_life) * known;
    life = j->real.domain_life(context, domid);
    record_answer(j, &life, sizeof(life));
    return (enum domain_life)life;
}

struct ring_answer {
    uint32_t good, port;
    uint32_t indexes[4];
    uint32_t connection, pad;
};

static bool ring_answer(struct journal *j, uint16_t domid,
                        const struct ring_answer *answer, struct ring_link *ret,
                        struct error *err)
{
    struct ring_page *page;

    if (!answer->good)
        return error_set(err, ERR_HOST, "domain %u: as before", domid);
    page = j->pages[domid];
    if (!page)
        page = calloc(1, PAGE_SIZE);
    if (!page)
        return error_set(err, ERR_NO_MEMORY, "domain %u: page", domid);
    j->pages[domid] = page;
    page->req_cons = answer->indexes[0];
    page->req_prod = answer->indexes[1];
    page->rsp_cons = answer->indexes[2];
    page->rsp_prod = answer->indexes[3];
    page->connection = answer->connection;
    ret->page = page;
    ret->port = answer->port;
    return true;
}

static bool ring_open(void *context, uint16_t domid, uint64_t gfn,
                      uint32_t port, struct ring_link *ret, struct error *err)
{
    struct journal *j = journal_of(context);
    const struct ring_answer *known = next_answer(j, sizeof(*known));
    struct ring_answer answer = {0};

    if (known)
        return ring_answer(j, domid, known, ret, err);
    answer.good = j->real.ring_open(context, domid, gfn, port, ret, err);
    if (answer.good) {
        answer.port = ret->port;
        answer.indexes[0] = ret->page->req_cons;
        answer.indexes[1] = ret->page->req_prod;
        answer.indexes[2] = ret->page->rsp_cons;
        answer.indexes[3] = ret->page->rsp_prod;
        answer.connection = ret->page->connection;
    }
    record_answer(j, &answer, sizeof(answer));
    return answer.good;
}

static bool ring_rebind(void *context, uint16_t domid, uint32_t port,
                        struct ring_link *link, struct error *err)
{
    struct journal *j = journal_of(context);
    const struct ring_answer *known = next_answer(j, sizeof(*known));
    struct ring_answer answer = {0};

    if (known) {
        if (!known->good)
            return error_set(err, ERR_HOST, "domain %u: as before", domid);
        link->port = known->port;
        return true;
    }
    answer.good = j->real.ring_rebind(context, domid, port, link, err);
    answer.port = link->port;
    record_answer(j, &answer, sizeof(answer));
    return answer.good;
}

static void ring_close(void *context, uint16_t domid, struct ring_link *link)
{
    struct journal *j = journal_of(context);

    if (j->pages[domid] && link->page == j->pages[domid]) {
        free(j->pages[domid]);
        j->pages[domid] = NULL;
        link->page = NULL;
    }
    if (j->replaying && !link->page)
        return;
    j->real.ring_close(context, domid, link);
}

static void ring_notify(void *context, const struct ring_link *link)
{
    struct journal *j = journal_of(context);

    if (!j->replaying)
        j->real.ring_notify(context, link);
}

static bool ring_resume(void *context, uint16_t domid, uint32_t local_port,
                        struct ring_link *ret, struct error *err)
{
    struct journal *j = journal_of(context);

    free(j->pages[domid]);
    j->pages[domid] = NULL;
    return j->real.ring_resume(context, domid, local_port, ret, err);
}

static enum outcome control_hook(void *context, struct connection *from,
                                 unsigned int nr_words, char **words,
                                 struct buffer *reply)
{
    struct journal *j = journal_of(context);
    struct iovec parts[2];
    size_t before = reply->length;
    uint32_t outcome;

    if (j->replaying && j->at < j->control->length[j->control->active]) {
        const struct record *rec = record_at(j, j->at);

        if (rec->kind == RECORD_ANSWER && rec->length >= sizeof(outcome)) {
            memcpy(&outcome, rec + 1, sizeof(outcome));
            buffer_bytes(reply, (const uint8_t *)(rec + 1) + sizeof(outcome),
                         rec->length - sizeof(outcome));
            j->at = record_end(j, j->at);
            return (enum outcome)outcome;
        }
    }
    outcome = j->real.control(context, from, nr_words, words, reply);
    parts[0] = (struct iovec){&outcome, sizeof(outcome)};
    parts[1] = (struct iovec){reply->bytes + before, reply->length - before};
    append(j, RECORD_ANSWER, 0, 0, parts, 2);
    if (j->replaying)
        j->at = j->control->length[j->control->active];
    return (enum outcome)outcome;
}

void journal_hooks(struct journal *j, struct daemon *d, struct store_host *host)
{
    j->daemon = d;
    j->real = *host;
    host->domain_life = domain_life;
    host->ring_open = ring_open;
    host->ring_rebind = ring_rebind;
    host->ring_close = ring_close;
    host->ring_notify = ring_notify;
    host->ring_resume = ring_resume;
    host->control = control_hook;
    j->recorder = (struct store_recorder){
        .request = record_request,
        .input = record_input,
        .sent = record_sent,
        .opened = record_opened,
        .closed = record_closed,
        .reconnected = record_reconnected,
        .broken = record_broken,
        .tick = record_tick,
        .domains_changed = record_domains,
        .context = j,
    };
}

/* --- snapshots --- */

static int snapshot_serial(struct connection *c)
{
    return (int)sockets_serial(c);
}

/* Into the area that does not count; then it counts. */
bool journal_snapshot(struct journal *j, struct error *err)
{
    struct store_dump_options options = {.version = 2,
                                         .listen_fd = -1,
                                         .evtchn_fd = -1,
                                         .socket_fd = snapshot_serial,
                                         .socket_input = sockets_taken_input,
                                         .complete = true};
    cleanup(buffer_release) struct buffer out = {.cap = AREA_SIZE / 2};
    uint32_t other = !j->control->active;
    uint32_t old = j->control->active;
    struct record head = {.kind = RECORD_SNAPSHOT};
    uint64_t end;

    if (!store_dump(j->daemon->store, &options, &out, err))
        return false;
    head.length = (uint32_t)out.length;
    end = sizeof(head) + padded_to_8(head.length);
    memcpy(j->area[other], &head, sizeof(head));
    memcpy(j->area[other] + sizeof(head), out.bytes, out.length);
    j->control->length[other] = end;
    j->control->snapshot_end[other] = end;
    j->control->running = 0;
    __atomic_store_n(&j->control->active, other, __ATOMIC_RELEASE);
    j->recorded_now = 0;
    /* Give the other area's pages back. */
    madvise(j->area[old], AREA_SIZE, MADV_REMOVE);
    return true;
}

void journal_turn(struct journal *j, struct daemon *d)
{
    uint32_t active = j->control->active;
    uint64_t start = j->control->snapshot_end[active];
    uint64_t limit = 4 * start > LOG_MIN ? 4 * start : LOG_MIN;
    struct error err = {0};

    sockets_consume_all(d);
    active = j->control->active;
    if (j->control->length[active] - start < limit)
        return;
    if (!journal_snapshot(j, &err))
        log_error(&d->log, "journal: %s", err.text);
}

/* --- taking up again --- */

static struct connection *load_socket(void *context, struct store *store,
                                      uint32_t id, int fd, struct error *err)
{
    struct journal *j = context;

    (void)store;
    (void)id;
    return sockets_client_unattached(j->daemon, (uint32_t)fd, err);
}

/* Whether the request at 'at' killed the predecessor by its content. */
static bool is_poisonous(const struct journal *j, const struct holder *h,
                         uint64_t at)
{
    return h->worker_signal != SIGKILL && h->worker_signal != SIGTERM &&
           j->control->running == at;
}

static bool replay_one(struct journal *j, const struct holder *h,
                       struct error *err)
{
    struct store *store = j->daemon->store;
    uint64_t here = j->at;
    const struct record *rec = record_at(j, here);
    struct connection *c = store_connection(store, rec->id);
    cleanup_free uint8_t *copy = NULL;
    struct wire_header hdr;

    j->at = record_end(j, here);
    switch (rec->kind) {
    case RECORD_NOW:
        memcpy(&j->daemon->now_ns, rec + 1, sizeof(int64_t));
        return true;
    case RECORD_TICK:
        store_tick(store);
        return true;
    case RECORD_DOMAINS:
        store_domains_changed(store);
        return true;
    case RECORD_OPENED:
        c = sockets_client_unattached(j->daemon, rec->extra, err);
        return c && connection_renumber(c, rec->id);
    case RECORD_CLOSED:
        sockets_note_closed(j->daemon, rec->extra);
        break;
    case RECORD_ANSWER:
        return true; /* to a question that is not asked again */
    default:
        break;
    }
    if (!c)
        return true;
    switch (rec->kind) {
    case RECORD_REQUEST:
        copy = malloc(rec->length);
        if (!copy)
            return error_set(err, ERR_NO_MEMORY, "journal");
        memcpy(copy, rec + 1, rec->length);
        memcpy(&hdr, copy, sizeof(hdr));
        if (is_poisonous(j, h, here))
            log_error(&j->daemon->log,
                      "a request of type %u is left out: it killed the "
                      "serving process",
                      hdr.type);
        connection_drop_input(c, sockets_note_processed(c, rec->length));
        connection_replay_request(c, &hdr, copy + sizeof(hdr),
                                  is_poisonous(j, h, here));
        break;
    case RECORD_INPUT:
        connection_replay_input(c, rec + 1, rec->length);
        break;
    case RECORD_SENT:
        connection_replay_sent(c, rec->extra);
        break;
    case RECORD_CONSUMED:
        sockets_note_consumed(c, rec->extra);
        break;
    case RECORD_CLOSED:
        connection_replay_close(c);
        break;
    case RECORD_RECONNECT:
        connection_replay_reconnect(c);
        break;
    case RECORD_BROKEN:
        connection_replay_break(c, rec->extra);
        break;
    default:
        return error_set_at(err, ERR_FORMAT, here, "journal: record of kind %u",
                            rec->kind);
    }
    return true;
}

/* A send that was interrupted: how much of it went out. */
static void finish_send(struct journal *j)
{
    struct control *k = j->control;
    struct connection *c = store_connection(j->daemon->store, k->out.id);
    uint8_t trash[4096];
    uint64_t sent = 0;
    int left = 0;

    if (k->out.step == STEP_NONE)
        return;
    if (k->length[k->active] != k->out.mark)
        sent = 0; /* recorded, and replayed */
    else if (k->out.step == STEP_DRAINING)
        sent = k->out.sent;
    else if (k->out.step == STEP_SENDING &&
             ioctl(j->pipe_fd[0], FIONREAD, &left) == 0 &&
             (uint64_t)left <= k->out.length)
        sent = k->out.length - (uint64_t)left;
    while (read(j->pipe_fd[0], trash, sizeof(trash)) > 0)
        ;
    if (sent) {
        append(j, RECORD_SENT, k->out.id, (uint32_t)sent, NULL, 0);
        if (c)
            connection_replay_sent(c, sent);
    }
    k->out.step = STEP_NONE;
}

/* The same for octets that were being taken off a socket. */
static void finish_consume(struct journal *j, const struct holder *h)
{
    struct control *k = j->control;
    struct connection *c = store_connection(j->daemon->store, k->in.id);
    int fd = c ? holder_fd(h, sockets_serial(c)) : -1;
    int offset = -1;
    socklen_t size = sizeof(offset);

    if (k->in.busy && k->length[k->active] == k->in.mark && fd >= 0 &&
        getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, &size) == 0 &&
        offset != k->in.offset) {
        append(j, RECORD_CONSUMED, k->in.id, (uint32_t)k->in.length, NULL, 0);
        sockets_note_consumed(c, k->in.length);
    }
    k->in.busy = 0;
}

bool journal_start(struct journal *j, struct daemon *d, const struct holder *h,
                   struct error *err)
{
    struct control *k = j->control;
    struct store_load_hooks hooks = {.socket = load_socket, .context = j};
    int64_t begun = clock_now_ns();
    const struct record *first;

    if (!k->started) {
        if (d->predecessor && !predecessor_load(d, err))
            return false;
        sockets_note_taken_input(d);
        if (!journal_snapshot(j, err))
            return false;
        k->started = 1;
        store_record(d->store, &j->recorder);
        /* A worker that died before this may have left clients. */
        return sockets_attach_all(d, h, err);
    }
    j->replaying = true;
    store_replay_begin(d->store);
    first = record_at(j, 0);
    if (!store_load(d->store, first + 1, first->length, &hooks, err))
        return false;
    sockets_note_taken_input(d);
    j->at = record_end(j, 0);
    while (j->at < k->length[k->active])
        if (!replay_one(j, h, err))
            return false;
    finish_consume(j, h);
    finish_send(j);
    j->replaying = false;
    d->now_ns = clock_now_ns();
    store_record(d->store, &j->recorder);
    if (!sockets_attach_all(d, h, err) || !store_replay_end(d->store, err))
        return false;
    hypervisor_look(d);
    store_answer_parked(d->store, "the daemon was restarted meanwhile");
    log_info(&d->log, "taken up again in %" PRId64 " us",
             (clock_now_ns() - begun) / 1000);
    return journal_snapshot(j, err);
}

bool journal_is_fresh(const struct journal *j)
{
    return !j->control->started;
}

/* --- sockets --- */

bool journal_consume(struct journal *j, uint32_t id, int fd, size_t length)
{
    struct control *k = j->control;
    uint8_t trash[16384];
    int offset = 0;
    socklen_t size = sizeof(offset);

    while (length) {
        size_t part = size_min(length, sizeof(trash));
        ssize_t got;

        if (getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, &size) < 0)
            return false;
        k->in.id = id;
        k->in.length = part;
        k->in.offset = offset;
        k->in.mark = k->length[k->active];
        __atomic_store_n(&k->in.busy, 1, __ATOMIC_RELEASE);
        do
            got = recv(fd, trash, part, MSG_DONTWAIT);
        while (got < 0 && errno == EINTR);
        if (got != (ssize_t)part)
            return false;
        append(j, RECORD_CONSUMED, id, (uint32_t)part, NULL, 0);
        __atomic_store_n(&k->in.busy, 0, __ATOMIC_RELEASE);
        length -= part;
    }
    return true;
}

ssize_t journal_send(struct journal *j, uint32_t id, int fd,
                     const struct iovec *iov, int nr)
{
    struct control *k = j->control;
    struct iovec parts[64];
    size_t length = 0;
    int used = 0;
    ssize_t sent;
    int why;

    while (used < nr && used < 64 && length < PIPE_MAX) {
        parts[used] = iov[used];
        if (parts[used].iov_len > PIPE_MAX - length)
            parts[used].iov_len = PIPE_MAX - length;
        length += parts[used++].iov_len;
    }
    k->out.id = id;
    k->out.length = length;
    k->out.mark = k->length[k->active];
    __atomic_store_n(&k->out.step, STEP_FILLING, __ATOMIC_RELEASE);
    if (writev(j->pipe_fd[1], parts, used) != (ssize_t)length) {
        errno = EIO;
        return -1;
    }
    __atomic_store_n(&k->out.step, STEP_SENDING, __ATOMIC_RELEASE);
    sent = splice(j->pipe_fd[0], NULL, fd, NULL, length, SPLICE_F_NONBLOCK);
    why = errno;
    if (sent != (ssize_t)length) {
        uint8_t trash[PIPE_MAX];

        k->out.sent = sent > 0 ? (uint64_t)sent : 0;
        __atomic_store_n(&k->out.step, STEP_DRAINING, __ATOMIC_RELEASE);
        (void)!read(j->pipe_fd[0], trash, sizeof(trash));
    }
    if (sent > 0)
        append(j, RECORD_SENT, id, (uint32_t)sent, NULL, 0);
    __atomic_store_n(&k->out.step, STEP_NONE, __ATOMIC_RELEASE);
    errno = why;
    return sent;
}
