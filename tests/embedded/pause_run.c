/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest whose disk does not answer is asked to stand still: requests about
 * other guests are served meanwhile, and those about it come after that, one
 * after the other.
 *
 *   pause_run FOLDER
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "host/embedded/hostd_client.h"
#include "host/host.h"
#include "hostd/control_server.h"

struct slow_disk {
    struct backend backend;
    bool busy; /* with the baton held */
};

struct client {
    struct embedded_host *host;
    const char *op;
    pthread_t thread;
    bool ok;
    bool done; /* under the host's lock */
};

static bool is_busy(struct backend *b)
{
    return container_of(b, struct slow_disk, backend)->busy;
}

static void resume(struct backend *b)
{
}

static void expect(const char *what, bool so)
{
    static int number;

    printf("%sok %d - %s\n", so ? "" : "not ", ++number, what);
    if (!so)
        exit(1);
}

/* With the lock held. */
static bool ask(struct embedded_host *host, const char *op, const char *domain)
{
    struct buffer data = {0};
    struct request r = {.host = host,
                        .json = hostd_request_named(op, domain),
                        .answer = json_object_new_object(),
                        .answer_data = &data,
                        .answer_fd = -1};
    struct error err;
    bool ok;

    json_object_object_add(r.json, "name", json_object_new_string(domain));
    json_object_object_add(r.json, "reason",
                           json_object_new_int(SHUTDOWN_REASON_SUSPEND));
    json_object_object_add(r.json, "memory_mib", json_object_new_int(16));
    ok = control_handle(&r, &err);
    if (!ok)
        printf("# %s %s: %s\n", op, domain, err.text);
    json_object_put(r.json);
    json_object_put(r.answer);
    buffer_release(&data);
    return ok;
}

static void *client_main(void *context)
{
    struct client *c = context;

    pthread_mutex_lock(&c->host->lock);
    c->ok = ask(c->host, c->op, "slow");
    c->done = true;
    pthread_mutex_unlock(&c->host->lock);
    return NULL;
}

static void begin(struct client *c, struct embedded_host *host, const char *op)
{
    *c = (struct client){.host = host, .op = op};
    expect(op, !pthread_create(&c->thread, NULL, client_main, c));
}

static void nap(void)
{
    struct timespec ms = {.tv_nsec = NS_PER_MS};

    nanosleep(&ms, NULL);
}

static void wait_paused(struct hosted *h)
{
    bool paused = false;

    while (!paused) {
        nap();
        hosted_take(h);
        paused = hosted_is_paused(h) && h->pause_count > 1;
        hosted_give(h);
    }
}

static void run(struct embedded_host *host)
{
    struct slow_disk disk = {
        .backend = {.is_busy = is_busy, .resume = resume},
          .busy = true
    };
    struct client suspend, destroy;
    struct tenant *t;

    pthread_mutex_lock(&host->lock);
    expect("two guests", ask(host, "domain-create", "slow") &&
                             ask(host, "domain-create", "other"));
    t = embedded_host_find(host, "slow");
    hosted_take(&t->h);
    hosted_add_backend(&t->h, &disk.backend);
    hosted_give(&t->h);
    pthread_mutex_unlock(&host->lock);

    begin(&suspend, host, "domain-shutdown");
    /* Once by its creation, and now. */
    wait_paused(&t->h);
    begin(&destroy, host, "domain-destroy");

    pthread_mutex_lock(&host->lock);
    expect("another guest is served", ask(host, "domain-show", "other") &&
                                          ask(host, "domain-destroy", "other"));
    expect("while this one's disk is at work", !suspend.done);
    expect("it is there until then",
           !destroy.done && embedded_host_find(host, "slow") == t);
    pthread_mutex_unlock(&host->lock);

    hosted_take(&t->h);
    disk.busy = false;
    hosted_backend_rests(&t->h);
    hosted_give(&t->h);
    pthread_join(suspend.thread, NULL);
    pthread_join(destroy.thread, NULL);
    expect("both are done, and it is gone",
           suspend.ok && destroy.ok && !embedded_host_find(host, "slow"));
}

int main(int argc, char **argv)
{
    struct embedded_host host;
    struct error err;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc != 2 || !embedded_host_open(&host, argv[1], NULL, &err)) {
        printf("Bail out! %s\n", argc == 2 ? err.text : "expected a folder");
        return 1;
    }
    run(&host);
    embedded_host_close(&host);
    puts("1..7");
    return 0;
}
