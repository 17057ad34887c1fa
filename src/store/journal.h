/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journal: a snapshot of the store, and everything that came in since, in
 * memory that outlives the serving process.
 *
 *   | control | area 0: snapshot, records ... | area 1 (next) ... |
 *
 * A record costs one copy into shared memory and no system call.  Replaying
 * the records on the snapshot gives the same store, and the same output octet
 * for octet; what clients got already is dropped from it.  When the records
 * have grown to a few times the snapshot, a new snapshot goes into the other
 * area and the areas change places in one store.
 *
 * What a kill can fall into, and how it is told afterwards:
 *
 *  taking octets off a socket   they are looked at first (SO_PEEK_OFF), taken
 *                               when their requests are recorded; the offset
 *                               that the kernel keeps says whether
 *  sending                      octets go through a pipe: what is left in it
 *                               was not sent
 *  a ring                       its indexes are the record
 *
 * The journal is for crashes of the process, not of the machine.
 */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include "store/daemon.h"

struct journal;
struct holder;

/* In the holder, before the first fork. */
must_check bool journal_create(struct journal **ret, struct error *err);
void journal_free(struct journal *j);

/* In the worker: put itself between the store and the host. */
void journal_hooks(struct journal *j, struct daemon *d,
                   struct store_host *host);
/* No worker has got as far as to serve. */
bool journal_is_fresh(const struct journal *j);
/* Take up what the predecessor left, or begin; recording from then on. */
must_check bool journal_start(struct journal *j, struct daemon *d,
                              const struct holder *h, struct error *err);
/* A new snapshot, when something changed that no record tells of. */
must_check bool journal_snapshot(struct journal *j, struct error *err);
/* At the end of a turn: a new snapshot if one is due. */
void journal_turn(struct journal *j, struct daemon *d);

/* --- for clients on sockets --- */

/* Discard 'length' looked-at octets; false: the socket failed. */
must_check bool journal_consume(struct journal *j, uint32_t id, int fd,
                                size_t length);
/* As sendmsg(): octets sent, or -1 and errno. */
ssize_t journal_send(struct journal *j, uint32_t id, int fd,
                     const struct iovec *iov, int nr);

#endif
