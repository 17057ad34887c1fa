/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Xenstore: one request at a time over the ring, on vCPU 0.
 *
 * While a reply is waited for the vCPU sleeps; events for watches that come
 * in between are counted to whoever set the watch.  Waiting is bounded in
 * ticks of our own timer, so that time in which we were stopped is not held
 * against the store.
 */
#ifndef GUEST_DRV_STORE_H
#define GUEST_DRV_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_VALUE_MAX 1024

/* Tokens of our watches; the name is what xenstored sees. */
enum store_watch { STORE_WATCH_CONTROL, STORE_WATCH_BACKEND, NR_STORE_WATCHES };

/* Find the ring and open its port (again, after a move to a new domain). */
void store_init(void);

/*
 * All of these return false when the store refused, with the name of its
 * error in store_error(); a store that is silent for 30 s of ticks is a
 * failed check, and false as well.  'tx' is 0 outside transactions.
 */
bool store_read(uint32_t tx, const char *path, char *value, size_t size);
bool store_write(uint32_t tx, const char *path, const char *value);
bool store_first_child(const char *path, char *name, size_t size);
bool store_watch(const char *path, enum store_watch watch);
bool store_unwatch(const char *path, enum store_watch watch);
bool store_transaction_start(uint32_t *ret);
bool store_transaction_end(uint32_t tx, bool commit);
bool store_read_number(const char *path, uint64_t *ret);
const char *store_error(void);

/* Take messages that came; on vCPU 0's idle path. */
void store_poll(void);

/* There is something to take. */
bool store_has_event(void);

/* 'watch' fired since this was last asked. */
bool store_watch_take(enum store_watch watch);

#endif
