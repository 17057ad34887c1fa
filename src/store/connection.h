/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A client: its input, its queue of replies and events, its watches and
 * transactions.
 *
 * Output is a list of messages.  Replies to a socket share chunks; every
 * event is a message of its own, so that it can be dropped while none of its
 * octets went out: because the same event is queued already, or because the
 * guest has not read it for too long.
 *
 * What a guest's requests leave queued, at itself or at others, is counted by
 * a 'struct cause' until it is delivered or dropped; too many, and the guest's
 * ring is not read.
 */
#ifndef STORE_CONNECTION_H
#define STORE_CONNECTION_H

#include "store/core.h"

struct transaction;

/* One guest request that is not yet fully delivered; counted. */
struct cause {
    uint32_t refs;
    uint16_t domid;
    uint64_t birth; /* of the domain: the domid may have been reused */
};

enum message_kind { MESSAGE_REPLY, MESSAGE_EVENT, MESSAGE_SPECIAL };

struct message {
    struct list link;       /* on connection.output */
    struct list event_link; /* on connection.events, else self-linked */
    enum message_kind kind;
    bool hashed;         /* in connection.events_by_text */
    bool partial;        /* begins inside a message: never dropped */
    uint16_t charged_to; /* whose memory: a domid, or DOMID_NONE_WIRE */
    uint64_t charged_birth;
    struct cause *cause; /* counted, or NULL */
    int64_t queued_ns;
    UT_hash_handle hh;
    uint32_t length;
    uint32_t capacity;
    uint8_t bytes[];
};

struct connection {
    struct store *store;
    uint32_t id;
    const struct transport *transport;
    void *context;
    struct domain *domain; /* a ring's; NULL for a socket */
    struct subject subject;
    UT_hash_handle hh;
    struct list all;
    struct list ready;
    struct list flush;

    uint8_t *in; /* owned; unread octets are in_at ... in_len */
    size_t in_at, in_len, in_capacity;

    struct list output;
    size_t output_len;  /* all queued octets not yet sent */
    size_t output_sent; /* of the first message */
    uint32_t nr_output;
    struct list events;
    struct message *events_by_text;
    uint32_t nr_events_unhashed;

    struct list watches;
    uint32_t nr_watches;
    uint64_t watches_changed; /* generation of the list */

    struct transaction *transactions; /* by id */
    uint32_t nr_transactions;
    uint32_t next_transaction_id;
    uint32_t conflicts; /* transactions that failed in a row */

    bool closing; /* freed at the end of the turn */
    bool broken;  /* a ring that broke the protocol: no longer served */
    bool held;    /* not read: quota, shield or quiesced */
    bool blocked; /* the last send could not send all */
    struct wire_header parked; /* request to be answered later */
    bool is_parked;
    struct list waiting;  /* on store.waiting */
    uint16_t waiting_for; /* a domain; DOMID_NONE_WIRE: the host's answer */
    int64_t waiting_until_ns;
};

/* Requests that a connection may run in one turn. */
#define TURN_REQUESTS 32
/* A socket that leaves more than this unread is closed. */
#define OUTPUT_MAX ((size_t)64 << 20)

/* As store_connect(), for a guest's ring. */
struct connection *connection_new(struct store *store,
                                  const struct transport *transport,
                                  void *context, struct domain *domain);
void connection_free(struct connection *c);

/* Drop watches, transactions, queues and half messages. */
void connection_reset(struct connection *c);
void connection_drop_output(struct connection *c);

/* Queue a reply (or error) to 'hdr'. */
void connection_reply(struct connection *c, const struct wire_header *hdr,
                      uint32_t type, const void *payload, size_t length);
/* Queue an event unless the same one waits already. */
void connection_event(struct connection *c, const char *path, const char *token,
                      bool special);

/*
 * Queue octets from a carry or a dump: 'partial' of them are the rest of a
 * half-sent message, whole messages follow.
 */
void connection_requeue(struct connection *c, const uint8_t *octets,
                        size_t length, size_t partial);
/* Give it the number that it had in a dump; false: taken. */
must_check bool connection_renumber(struct connection *c, uint32_t id);

/* Run up to TURN_REQUESTS requests; true: more may be waiting. */
bool connection_run(struct connection *c);
void connection_flush(struct connection *c);
/* Have it sent at the end of the turn. */
void connection_want_flush(struct connection *c);

/* Drop events of guests that were queued before 'before_ns'. */
void connection_expire(struct connection *c, int64_t before_ns);

/* The ring has broken the protocol: error is for the page. */
void connection_break(struct connection *c, uint32_t error);

#endif
