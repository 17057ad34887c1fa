/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process around the store: options, the event loop, the socket, and the
 * way to the hypervisor.
 */
#ifndef STORE_DAEMON_H
#define STORE_DAEMON_H

#include <sys/epoll.h>

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
    bool journal; /* survive a crash: see holder.h */
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
};

must_check bool loop_open(struct daemon *d, struct error *err);
must_check bool loop_add(struct daemon *d, struct watcher *w, uint32_t events,
                         struct error *err);
void loop_modify(struct daemon *d, struct watcher *w, uint32_t events);
void loop_remove(struct daemon *d, struct watcher *w);
/* Until d->stopping. */
void loop_run(struct daemon *d);

/* socket.c: listen on d->options.socket_path, or take up a descriptor. */
must_check bool sockets_listen(struct daemon *d, struct error *err);
must_check bool sockets_take_listener(struct daemon *d, int fd,
                                      struct error *err);
/* A client on 'fd', which is taken over. */
struct connection *sockets_client(struct daemon *d, int fd, struct error *err);
int sockets_fd(struct connection *c);

/*
 * hypervisor_*.c: the domains' side.  In a build without Xen there is never
 * one, and no domain can be introduced; every domid counts as existing.
 */
struct hypervisor;
must_check bool hypervisor_open(struct daemon *d, struct error *err);
void hypervisor_close(struct daemon *d);
/* dom0's own ring, if it has one. */
void hypervisor_introduce_dom0(struct daemon *d);
/* The four ring and domain hooks of a store_host; context is the daemon. */
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
