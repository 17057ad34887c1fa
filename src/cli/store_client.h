/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A client of a xenstored, ours or another: one request, its answer.
 *
 * The words of a request go out each with its NUL, then 'raw' as it is.
 */
#ifndef CLI_STORE_CLIENT_H
#define CLI_STORE_CLIENT_H

#include <sys/un.h>

#include "base/buffer.h"
#include "base/io.h"

enum store_op {
    STORE_OP_CONTROL = 0,
    STORE_OP_TRANSACTION_START = 6,
    STORE_OP_TRANSACTION_END = 7,
    STORE_OP_WRITE = 11,
    STORE_OP_SET_PERMS = 14,
    STORE_OP_ADD_DOMAIN_WATCHES = 0x8003,
};

#define STORE_PAYLOAD_MAX 4096u

struct store_client {
    int fd; /* owned */
    struct io io;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    uint32_t tx;          /* 0: none */
    char refusal[32];     /* the last error that the store named */
    struct buffer answer; /* owned; of the last request, and a NUL */
};

/* NULL: $XENSTORED_PATH, or the socket in $XENSTORED_RUNDIR. */
must_check bool store_client_open(struct store_client *ret, const char *path,
                                  struct error *err);
void store_client_close(struct store_client *client);

/* ERR_PEER with the store's own name for the reason if it refuses. */
must_check bool store_client_call(struct store_client *client, enum store_op op,
                                  const void *payload, size_t length,
                                  struct error *err);

#endif
