/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests: who may send which, what each does, and its one reply.
 *
 * Order on the wire, as clients know it: the events that a request causes
 * come before its reply, the first event of a new watch after it.
 */
#ifndef STORE_REQUEST_H
#define STORE_REQUEST_H

#include "store/connection.h"

struct transaction;

struct request {
    struct store *store;
    struct connection *c;
    const struct wire_header *hdr;
    char *payload; /* hdr->len octets; may be changed */
    size_t len;
    struct transaction *tx; /* NULL outside transactions */
};

/* Longest list of strings that a request can have. */
#define WORDS_MAX 1024u

/* Run one request; its reply is queued (or parked) afterwards. */
void request_run(struct connection *c, const struct wire_header *hdr,
                 uint8_t *payload);
/* Whether requests of this type can spoil somebody's transaction. */
bool request_is_change(uint32_t type);

void request_reply(const struct request *r, const void *payload, size_t length);
void request_reply_text(const struct request *r, const char *text);

/*
 * The payload as strings: how many, or 0 if it does not end in NUL.  No more
 * than 'max' are put into 'words', all are counted.
 */
unsigned int request_words(const struct request *r, char **words,
                           unsigned int max);
/* Decimal digits only. */
must_check bool number_parse(const char *text, uint32_t *ret);

/* End the shield of a transaction that others kept spoiling. */
void store_unshield(struct store *store);

/* migration.c: the operations of our own. */
enum outcome request_quiesce(struct request *r);
enum outcome request_unquiesce(struct request *r);
enum outcome request_get_domain_watches(struct request *r);
enum outcome request_add_domain_watches(struct request *r);
/* Let QUIESCE requests go that are done or waited too long. */
void migration_tick(struct store *store);

/* control.c */
enum outcome request_control(struct request *r);

#endif
