/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process around the store: options, the event loop, the socket, and the
 * way to the hypervisor.
 */
#ifndef STORE_DAEMON_H
#define STORE_DAEMON_H

#include <sys/epoll.h>

#include "base/list.h"
#include "store/store.h"

struct daemon_options {
    struct store_options store;
    const char *pid_file;
    const char *trace_file;
    const char *run_dir;
    const char *socket_path;
    bool no_fork;
    bool no_domain_init;
    bool output_pid;
    bool verbose;
    bool journal;     /* survive a crash: see holder.h */
    bool live_update; /* take over from a predecessor: see update.h */
    bool check_state;
};

/* Exits on --help and on mistakes. */
void daemon_options_parse(struct daemon_options *ret, int argc, char **argv);

struct daemon;

/* Something that the loop waits for. */
struct watcher {
    int fd;
    void (*ready)(struct daemon *d, struct watcher *w, uint32_t events);
};

struct daemon {
    struct daemon_options options;
    char **argv; /* owned; as it was given */
    int pid_fd;
    struct store *store;
    struct log log;
    struct log_file *log_file;
    int epoll_fd;
    bool stopping;

    struct watcher listener;
    char *socket_path; /* owned; unlinked at the end */
    struct watcher signals;
    int64_t now_ns; /* of this turn */

    struct hypervisor *hypervisor; /* NULL where there is none */

    struct update *update;           /* NULL: no session */
    struct predecessor *predecessor; /* NULL: we began from nothing */

    /* With --journal: */
    struct journal *journal;
    struct holder *holder;
    struct inbox *inbox;
    struct list clients; /* on sockets */
    struct list taken;   /* those whose octets are to be consumed */
    uint32_t *closed;    /* owned; serials, while a journal is replayed */
    uint32_t nr_closed;
};

must_check bool loop_open(struct daemon *d, struct error *err);
must_check bool loop_add(struct daemon *d, struct watcher *w, uint32_t events,
                         struct error *err);
void loop_modify(struct daemon *d, struct watcher *w, uint32_t events);
void loop_remove(struct daemon *d, struct watcher *w);
/* Until d->stopping. */
void loop_run(struct daemon *d);

/* daemon_socket.c: a socket at d->options.socket_path or in the run dir. */
must_check bool sockets_open(struct daemon *d, int *ret_fd, struct error *err);
/* The same for a socket that is there already. */
must_check bool sockets_adopt(struct daemon *d, int fd, struct error *err);
/* Accept clients on it; the descriptor is taken over. */
must_check bool sockets_accept(struct daemon *d, int fd, struct error *err);
/*
 * A client on 'fd', which is taken over.  'serial' is the holder's number for
 * it, 0 without a holder.
 */
struct connection *sockets_client(struct daemon *d, int fd, uint32_t serial,
                                  struct error *err);
int sockets_fd(struct connection *c);
/* Its number in the main process. */
int sockets_main_fd(struct connection *c);
void sockets_set_main_fd(struct connection *c, int fd);
/* Whether clients' descriptors outlive an exec. */
void sockets_pass_on(struct daemon *d, bool pass);

/* What the journal does with clients; rings are none and change nothing. */
uint32_t sockets_serial(struct connection *c);
void sockets_tell_gone(struct connection *c);
/*
 * Octets of requests that ran, but are still in the socket; returns how many
 * of them were not, as they came with a predecessor's state.
 */
size_t sockets_note_processed(struct connection *c, size_t length);
/* All input that is there now is of that kind. */
void sockets_note_taken_input(struct daemon *d);
size_t sockets_taken_input(struct connection *c);
void sockets_note_consumed(struct connection *c, size_t length);
void sockets_consume_all(struct daemon *d);
/* A client whose descriptor comes with sockets_attach_all(). */
struct connection *sockets_client_unattached(struct daemon *d, uint32_t serial,
                                             struct error *err);
void sockets_note_closed(struct daemon *d, uint32_t serial);
struct holder;
must_check bool sockets_attach_all(struct daemon *d, const struct holder *h,
                                   struct error *err);

/*
 * hypervisor_*.c: the domains' side.  In a build without Xen there is never
 * one, and no domain can be introduced; every domid counts as existing.
 */
struct hypervisor;
/* The event channels alone: they outlive the process that serves. */
must_check bool hypervisor_open_events(struct daemon *d, struct error *err);
must_check bool hypervisor_open(struct daemon *d, struct error *err);
void hypervisor_close(struct daemon *d);
/* dom0's own ring, if it has one; 'introduce' it unless it is known. */
void hypervisor_map_dom0(struct daemon *d, bool introduce);
/*
 * VIRQ_DOM_EXC has one listener on the host: let it go for a successor, and
 * have it back.
 */
void hypervisor_release_virq(struct daemon *d);
void hypervisor_claim_virq(struct daemon *d);
/* Look at all domains: some may have died unseen. */
void hypervisor_look(struct daemon *d);
/* The ring and domain hooks of a store_host; context is the daemon. */
void hypervisor_hooks(struct store_host *host);
int hypervisor_fd(const struct daemon *d);

/* CONTROL commands of the process. */
enum outcome daemon_control(void *context, struct connection *from,
                            unsigned int nr_words, char **words,
                            struct buffer *reply);

/* Where messages go: stderr or syslog, and the trace file. */
must_check bool daemon_log_open(struct daemon *d, const char *file,
                                struct error *err);
void daemon_log_reopen(struct daemon *d);
void daemon_log_close(struct daemon *d);

/* "READY=1" and the like, to the service manager if there is one. */
void notify_service_manager(const char *state);

#endif
