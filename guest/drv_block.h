/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Block front end for the first device/vbd: one ring page, up to 32 requests
 * of one page each in flight.
 *
 *   CLOSED --block_start()--> SEEKING --back end in InitWait: ring and port
 *   published--> OFFERED --back end Connected--> CONNECTED
 *   any --back end Closing or Closed--> CLOSED (told to the back end)
 *   any --block_forget(), in a new domain--> CLOSED
 *
 * Requests outlive the connection: block_forget() leaves those in flight in
 * the table, and the next CONNECTED sends each of them once more.  Each
 * carries a serial number; a reply that does not match one that is in flight
 * is a failed check, so that none is counted twice.
 *
 * Replies are taken only after an event.  A reply that lies in the ring while
 * no event comes is a failed check as well.
 */
#ifndef GUEST_DRV_BLOCK_H
#define GUEST_DRV_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define BLOCK_SLOTS       32
#define SECTORS_PER_BLOCK 8

enum block_op { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH };

/* Look for a device and connect to its back end as far as that is ready. */
void block_start(void);

/* The connection went with the old domain. */
void block_forget(void);

bool block_connected(void);

/* Sectors of 512 bytes; 0 while not connected. */
uint64_t block_sectors(void);

/* The page that belongs to 'slot', for what is written or read. */
uint64_t *block_page(unsigned int slot);

/*
 * Start a request in 'slot', which must be free.  Connected only.  A flush
 * where the back end has none is done at once: returns false, and nothing is
 * in flight.
 */
bool block_submit(unsigned int slot, enum block_op op, uint64_t sector);

/* A request that is done; false when there is none. */
bool block_complete(unsigned int *ret_slot, bool *ret_ok);

/* Work on what events have brought; on vCPU 0. */
void block_poll(void);
bool block_has_event(void);

/* For the report. */
struct block_report {
    const char *state;
    unsigned int port, ring_grant, in_flight;
    uint64_t requests, requeued;
    bool flush;
};
void block_report(struct block_report *ret);

#endif
