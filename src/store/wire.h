/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The xenstore protocol as bytes: operations, error names, limits and the page
 * that a guest shares with the store.
 *
 *     0     1     2     3     4     5     6     7 octet
 *    +-----------------------+-------------------------+
 *    | type                  | req_id                  |
 *    +-----------------------+-------------------------+
 *    | tx_id                 | len                     |
 *    +-----------------------+-------------------------+
 *    | payload[len], len <= 4096                       |
 *    +-------------------------------------------------+
 *
 * Integers have the byte order of the machine.
 *
 * Spec: Xen's docs/misc/xenstore.txt, xenstore-ring.txt.
 */
#ifndef STORE_WIRE_H
#define STORE_WIRE_H

#include "base/macros.h"

enum wire_op {
    OP_CONTROL = 0,
    OP_DIRECTORY = 1,
    OP_READ = 2,
    OP_GET_PERMS = 3,
    OP_WATCH = 4,
    OP_UNWATCH = 5,
    OP_TRANSACTION_START = 6,
    OP_TRANSACTION_END = 7,
    OP_INTRODUCE = 8,
    OP_RELEASE = 9,
    OP_GET_DOMAIN_PATH = 10,
    OP_WRITE = 11,
    OP_MKDIR = 12,
    OP_RM = 13,
    OP_SET_PERMS = 14,
    OP_WATCH_EVENT = 15,
    OP_ERROR = 16,
    OP_IS_DOMAIN_INTRODUCED = 17,
    OP_RESUME = 18,
    OP_SET_TARGET = 19,
    OP_RESET_WATCHES = 21,
    OP_DIRECTORY_PART = 22,
    OP_GET_FEATURE = 23,
    OP_SET_FEATURE = 24,
    OP_GET_QUOTA = 25,
    OP_SET_QUOTA = 26,
    OP_NR, /* one past the numbers that others hand out */

    /* Ours, far from the numbers that upstream will use next. */
    OP_QUIESCE = 0x8001,
    OP_GET_DOMAIN_WATCHES = 0x8002,
    OP_ADD_DOMAIN_WATCHES = 0x8003,
    OP_UNQUIESCE = 0x8004,
    OP_EXTRA_FIRST = OP_QUIESCE,
    OP_EXTRA_LAST = OP_UNQUIESCE,
};

struct wire_header {
    uint32_t type;
    uint32_t req_id;
    uint32_t tx_id;
    uint32_t len;
};

#define WIRE_PAYLOAD_MAX  4096
#define WIRE_MESSAGE_MAX  (sizeof(struct wire_header) + WIRE_PAYLOAD_MAX)
#define WIRE_ABS_PATH_MAX 3072

/* Domids that name no domain begin here; DOMID_SELF and DOMID_ANY do. */
#define DOMID_RESERVED_FIRST 0x7ff0u
#define DOMID_SELF_WIRE      0x7ff0u
#define DOMID_NONE_WIRE      0x7ff4u
#define DOMID_ANY_WIRE       0x7ff5u

/*
 * What became of a request.  Each refusal is one of the sixteen names that
 * clients know; outcome_name() is what goes on the wire.
 */
enum outcome {
    STORE_OK = 0,
    STORE_EINVAL,
    STORE_EACCES,
    STORE_EEXIST,
    STORE_EISDIR,
    STORE_ENOENT,
    STORE_ENOMEM,
    STORE_ENOSPC,
    STORE_EIO,
    STORE_ENOTEMPTY,
    STORE_ENOSYS,
    STORE_EROFS,
    STORE_EBUSY,
    STORE_EAGAIN,
    STORE_EISCONN,
    STORE_E2BIG,
    STORE_EPERM,
    STORE_OUTCOMES,
    /* Not on the wire: the reply comes later. */
    STORE_PARKED = STORE_OUTCOMES,
};

const char *outcome_name(enum outcome outcome);
/* For logs; "op 1234" numbers are the caller's to print: NULL if unknown. */
const char *wire_op_name(uint32_t op);

/* The page shared with a guest; the indexes run freely. */
#define RING_SIZE 1024u

struct ring_page {
    uint8_t req[RING_SIZE];
    uint8_t rsp[RING_SIZE];
    uint32_t req_cons, req_prod;
    uint32_t rsp_cons, rsp_prod;
    uint32_t server_features;
    uint32_t connection;
    uint32_t error;
    uint32_t evtchn_port;
};

_Static_assert(offsetof(struct ring_page, req_cons) == 2048, "ring layout");
_Static_assert(offsetof(struct ring_page, evtchn_port) == 2076, "ring layout");

#define FEATURE_RECONNECT   1u
#define FEATURE_ERROR       2u
#define FEATURE_WATCH_DEPTH 4u
#define FEATURE_DOMID_ANY   8u
#define FEATURES_ALL        15u

#define RING_CONNECTED    0u
#define RING_RECONNECT    1u
#define RING_ERROR_NONE   0u
#define RING_ERROR_COMM   1u
#define RING_ERROR_INDEX  2u
#define RING_ERROR_LENGTH 3u

#endif
