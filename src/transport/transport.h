/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a migration's bytes go: a descriptor for each direction, and a way to
 * end well.
 *
 *   kind      send_fd, recv_fd           how the other side sees our end
 *   fd        the caller's descriptors   they are closed
 *   tcp       one socket                 half-close, then close
 *   unix      one socket                 half-close, then close
 *   command   a child's stdin, stdout    end of its input, then signals
 *
 * The descriptors are ordinary blocking ones, because another process (a save
 * helper) is given them: nothing here reads ahead, buffers, or puts bytes of
 * its own between theirs.
 */
#ifndef TRANSPORT_TRANSPORT_H
#define TRANSPORT_TRANSPORT_H

#include <sys/types.h>

#include "base/error.h"

#define TRANSPORT_NAME_MAX 256

struct transport;

struct transport_ops {
    const char *kind; /* "tcp", ...; appears in messages */

    /*
     * Tell the other side that nothing more comes from us; its answers can
     * still be read.  Once, at most.
     */
    void (*half_close)(struct transport *t);

    /*
     * After the last message in either direction: wait until the other side is
     * done with the connection, 'timeout_ms' at most.  Its bad end (a command
     * that exits with a status, say) is an error.
     */
    bool (*finish)(struct transport *t, int timeout_ms, struct error *err);

    /* Close and forget, whatever state it is in.  Idempotent. */
    void (*release)(struct transport *t);
};

struct transport {
    const struct transport_ops *ops; /* NULL: not open */
    int send_fd; /* owned; may be the same descriptor as recv_fd */
    int recv_fd;
    pid_t child;                   /* command: the child; else 0 */
    char name[TRANSPORT_NAME_MAX]; /* for messages: "tcp:host:port" */
};

struct transport_limits {
    int connect_timeout_ms; /* for the connection to stand; -1: for ever */
    int dead_after_ms;      /* TCP: unacknowledged for so long is lost */
    int cancel_fd;          /* readable when the work is to stop; -1: none */
};

/*
 * Connect to 'destination':
 *
 *   tcp:HOST:PORT    IPv6 addresses in brackets
 *   unix:PATH
 *   cmd:COMMAND      run by /bin/sh, on its stdin and stdout
 *
 * On success '*ret' is the caller's to release.
 */
must_check bool transport_connect(struct transport *ret,
                                  const char *destination,
                                  const struct transport_limits *limits,
                                  struct error *err);

/* Take over two descriptors, which may be equal. */
void transport_from_fds(struct transport *ret, int recv_fd, int send_fd,
                        const char *name);

/* Half-close now; no-op where that is impossible or was done. */
void transport_half_close(struct transport *t);
must_check bool transport_finish(struct transport *t, int timeout_ms,
                                 struct error *err);
void transport_release(struct transport *t);

/* Something that waits for one connection. */
struct listener {
    int fd; /* owned; -1 when closed */
    char name[TRANSPORT_NAME_MAX];
    char path[108]; /* Unix socket to remove, or "" */
};

/* 'address' is tcp:ADDRESS:PORT (port 0: any) or unix:PATH. */
must_check bool listener_open(struct listener *ret, const char *address,
                              struct error *err);
/*
 * Wait for one connection; 'limits->connect_timeout_ms' bounds the wait.  The
 * listener stays open.
 */
must_check bool listener_accept(struct listener *l, struct transport *ret,
                                const struct transport_limits *limits,
                                struct error *err);
void listener_release(struct listener *l);

/* tcp.c, unix.c, command.c: what transport_connect() dispatches to. */
must_check bool tcp_connect(struct transport *ret, const char *address,
                            const struct transport_limits *limits,
                            struct error *err);
must_check bool tcp_listen(struct listener *ret, const char *address,
                           struct error *err);
/* Options of an accepted or connected TCP socket: prompt, and never stuck. */
void tcp_tune(int fd, const struct transport_limits *limits);
must_check bool unix_connect(struct transport *ret, const char *path,
                             const struct transport_limits *limits,
                             struct error *err);
must_check bool unix_listen(struct listener *ret, const char *path,
                            struct error *err);
must_check bool command_start(struct transport *ret, const char *command,
                              struct error *err);

/* Shared by the socket transports. */
extern const struct transport_ops socket_ops;

/*
 * Connect a non-blocking socket to 'address' and make it blocking; 'what'
 * names the destination in messages.
 */
must_check bool socket_connect(int fd, const void *address, unsigned int length,
                               const char *what,
                               const struct transport_limits *limits,
                               struct error *err);

#endif
