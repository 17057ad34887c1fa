/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store as a library: everything that a xenstored is, without a process
 * around it.  One thread; nothing here blocks, sleeps or looks at a clock of
 * its own.
 *
 *     transport --bytes--> connection --request--> tree, watches, domains
 *         ^                                              |
 *         +------------- replies and events <------------+
 *
 * Whoever embeds it provides a 'struct store_host' (what the store needs of
 * the hypervisor), opens connections for sockets with store_connect(), lets
 * guests in with store_introduce() (or the INTRODUCE request), says with
 * connection_wake() which connections have input, and then calls store_turn()
 * until it answers false.
 *
 * A turn visits only connections that were woken, and gives each of them the
 * same number of requests: no client starves another, and idle guests cost
 * nothing.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/log.h"
#include "store/wire.h"

struct store;
struct connection;

enum domain_life {
    DOMAIN_ABSENT,
    DOMAIN_ALIVE,
    DOMAIN_SHUTDOWN, /* stopped by itself; may be resumed */
    DOMAIN_DYING,    /* never comes back */
};

/* A guest's page and event channel, as ring_open() gave them. */
struct ring_link {
    struct ring_page *page;
    uint32_t port; /* local */
};

/* What the store asks of the world around it.  Every hook is set. */
struct store_host {
    /* Cheap: asked for every permission entry that a client sets. */
    enum domain_life (*domain_life)(void *context, uint16_t domid);

    /*
     * Map the page that 'domid' shares and bind its event channel 'port'.
     * 'gfn' may be ignored in favour of the reserved grant reference.
     */
    bool (*ring_open)(void *context, uint16_t domid, uint64_t gfn,
                      uint32_t port, struct ring_link *ret, struct error *err);
    void (*ring_close)(void *context, uint16_t domid, struct ring_link *link);
    /* The guest remains, only its port changed. */
    bool (*ring_rebind)(void *context, uint16_t domid, uint32_t port,
                        struct ring_link *link, struct error *err);
    void (*ring_notify)(void *context, const struct ring_link *link);
    /*
     * As ring_open(), for a ring that an earlier process served: 'local_port'
     * is still bound.
     */
    bool (*ring_resume)(void *context, uint16_t domid, uint32_t local_port,
                        struct ring_link *ret, struct error *err);

    /* Monotonic; the same value throughout a turn will do. */
    int64_t (*now_ns)(void *context);

    /*
     * A CONTROL command that the store does not know: words[0] is its name.
     * May be NULL: there are no others.
     * STORE_OK with the text for the client in 'reply' ("OK" if empty),
     * STORE_EINVAL if it is unknown, STORE_PARKED to answer later with
     * connection_answer_parked().
     */
    enum outcome (*control)(void *context, struct connection *from,
                            unsigned int nr_words, char **words,
                            struct buffer *reply);

    const struct log *log; /* may be NULL */
    void *context;
};

enum quota {
    QUOTA_NODES,
    QUOTA_WATCHES,
    QUOTA_OUTSTANDING,
    QUOTA_MEMORY,
    QUOTA_TRANSACTIONS,
    QUOTA_TRANSACTION_NODES,
    QUOTA_NODE_PERMISSIONS,
    QUOTA_PATH_MAX,
    QUOTA_NODE_SIZE,
    QUOTA_NR
};

/* 0 means unlimited. */
struct quota_set {
    uint32_t hard[QUOTA_NR];
    uint32_t soft_memory;
};

/* The name that GET_QUOTA and -Q use. */
const char *quota_name(enum quota quota);
/* Also takes "soft-memory"; the place of its value, or NULL. */
uint32_t *quota_by_name(struct quota_set *set, const char *name);

struct store_options {
    struct quota_set quotas;
    int64_t event_timeout_ns;  /* a guest's unread events; 0: never */
    uint16_t privileged_domid; /* another one than 0 */
    uint16_t master_domid; /* whom sockets speak for; owns the first nodes */
    bool keep_orphans;
};

struct store_options store_options_default(void);

must_check bool store_open(const struct store_options *options,
                           const struct store_host *host, struct store **ret,
                           struct error *err);
void store_close(struct store *store);

/* --- connections --- */

enum transport_result {
    TRANSPORT_DONE,   /* receive: got something; send: all is gone */
    TRANSPORT_WAIT,   /* nothing (more) now; somebody will wake us */
    TRANSPORT_CLOSED, /* the client went away */
    TRANSPORT_BROKEN, /* the client broke the protocol */
};

/* How bytes get in and out.  Every hook is set; none blocks. */
struct transport {
    /*
     * Append to the input with connection_input(), if possible until there
     * are 'wanted' octets.
     */
    enum transport_result (*receive)(struct connection *c, size_t wanted);
    /* Take octets from the output queue with connection_output(). */
    enum transport_result (*send)(struct connection *c);
    /* The connection is being freed: release what is behind it. */
    void (*close)(struct connection *c);
};

/* A client with dom0's rights; NULL: no memory. */
struct connection *store_connect(struct store *store,
                                 const struct transport *transport,
                                 void *context);
void connection_close(struct connection *c);
void *connection_context(const struct connection *c);
uint32_t connection_id(const struct connection *c);
struct connection *store_connection(struct store *store, uint32_t id);

/* The connection has input, room for output, or lost its peer. */
void connection_wake(struct connection *c);

/* Room for 'room' octets of input, and then how many came; NULL: no memory. */
uint8_t *connection_input(struct connection *c, size_t room);
void connection_received(struct connection *c, size_t length);

/* Up to 'nr' pieces of what is to be sent; then how much of it went out. */
struct iovec;
int connection_output(struct connection *c, struct iovec *iov, int nr);
void connection_sent(struct connection *c, size_t length);
size_t connection_output_length(const struct connection *c);
size_t connection_input_length(const struct connection *c);

/* Answer a CONTROL request whose hook said STORE_PARKED. */
void connection_answer_parked(struct connection *c, const char *text);
/* Take that answer back: nothing was sent or queued since. */
void connection_park_again(struct connection *c, const char *text);
/* Answer all of them: a predecessor had promised to. */
void store_answer_parked(struct store *store, const char *text);

/*
 * Let every woken connection do its share.  True: there is more to do, call
 * again after looking at the outside.
 */
bool store_turn(struct store *store);

/* When store_tick() is due, on the clock of now_ns(); DEADLINE_NONE: never. */
int64_t store_deadline(const struct store *store);
void store_tick(struct store *store);

/* --- domains --- */

/*
 * What INTRODUCE, RELEASE and a change in the list of domains do.  The first
 * two answer like the requests.
 */
enum outcome store_introduce(struct store *store, uint16_t domid, uint64_t gfn,
                             uint32_t port);
enum outcome store_release(struct store *store, uint16_t domid);
/* Some domain changed: look at all that are known (the DOM_EXC interrupt). */
void store_domains_changed(struct store *store);
bool store_knows_domain(const struct store *store, uint16_t domid);
/* The guest kicked us; harmless for unknown domids. */
void store_ring_kicked(struct store *store, uint16_t domid);

/* --- the state, as the xenstore migration stream --- */

struct store_dump_options {
    uint32_t version; /* 1 or 2 */
    int listen_fd;    /* for GLOBAL_DATA; -1: none */
    int evtchn_fd;
    /* The descriptor behind a socket's connection, or -1; may be NULL. */
    int (*socket_fd)(struct connection *c);
    /* How much of a socket's input belongs in the state; NULL: all. */
    size_t (*socket_input)(struct connection *c);
    /* Also what only another store like this one can use: see state.h. */
    bool complete;
    /*
     * Only what is 'domid's: its ring's connection with its watches and
     * transactions, its home with the nodes above it, its quotas.  Not with
     * 'complete'.
     */
    bool one_domain;
    uint16_t domid;
};

/* Appends to 'out', whose byte order becomes the stream's. */
must_check bool store_dump(struct store *store,
                           const struct store_dump_options *options,
                           struct buffer *out, struct error *err);

struct store_load_hooks {
    /*
     * Give a socket's connection its transport; 'fd' is the stream's.  NULL
     * with '*err' refuses the load; NULL without drops this connection.
     */
    struct connection *(*socket)(void *context, struct store *store,
                                 uint32_t id, int fd, struct error *err);
    void *context;
};

/*
 * Into a store that was just opened; on failure it is in no usable state.
 * Rings are opened through the host's ring_open().
 */
must_check bool store_load(struct store *store, const void *bytes,
                           size_t length, const struct store_load_hooks *hooks,
                           struct error *err);

/* --- a record of everything that changes the store, for a journal --- */

struct store_recorder {
    /* Before the request runs; the octets were taken off the input. */
    void (*request)(void *context, struct connection *c,
                    const struct wire_header *hdr, const void *payload);
    /* Octets that are about to be taken off a ring. */
    void (*input)(void *context, struct connection *c, const void *octets,
                  size_t length);
    /* After octets went out. */
    void (*sent)(void *context, struct connection *c, size_t length);
    /* A socket's connection came; any goes. */
    void (*opened)(void *context, struct connection *c);
    void (*closed)(void *context, struct connection *c);
    /* A guest asked for a reconnect, or broke its ring. */
    void (*reconnected)(void *context, struct connection *c);
    void (*broken)(void *context, struct connection *c, uint32_t error);
    void (*tick)(void *context);
    void (*domains_changed)(void *context);
    void *context;
};

/* NULL stops recording. */
void store_record(struct store *store, const struct store_recorder *recorder);

/*
 * Do again what was recorded: the same effects and output, nothing is sent.
 * 'skip' answers EIO instead of running the request.
 */
void connection_replay_input(struct connection *c, const void *octets,
                             size_t length);
void connection_replay_request(struct connection *c,
                               const struct wire_header *hdr, void *payload,
                               bool skip);
void connection_replay_sent(struct connection *c, size_t length);
void connection_replay_close(struct connection *c);
/* Octets of the input that a replayed request was made of. */
void connection_drop_input(struct connection *c, size_t length);
void connection_replay_reconnect(struct connection *c);
void connection_replay_break(struct connection *c, uint32_t error);
/* Between these nothing is sent, and no ring's page is touched. */
void store_replay_begin(struct store *store);
/* Resume the rings, and see what their pages tell. */
must_check bool store_replay_end(struct store *store, struct error *err);

/* --- figures --- */

struct store_figures {
    uint64_t turns;
    uint64_t requests;
    uint64_t events;
    uint64_t nodes;
    uint64_t watches;
    uint64_t connections;
    uint64_t transactions;
    uint64_t conflicts; /* transactions that ended in EAGAIN */
    uint64_t memory;    /* accounted, all domains */
};

void store_figures(const struct store *store, struct store_figures *ret);

/* Nodes whose owner, account or parent does not add up: text, or empty. */
void store_check(struct store *store, struct buffer *report);

#endif
