/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostd/embedded_host.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"

#define CALIBRATION_MS 50

bool embedded_host_open(struct embedded_host *host, const char *folder,
                        const struct log *log, struct error *err)
{
    memset(host, 0, sizeof(*host));
    host->log = log;
    host->store.wake_fd = -1;
    host->end_fd = -1;
    pthread_mutex_init(&host->lock, NULL);
    pthread_cond_init(&host->paused, NULL);
    list_init(&host->tenants);
    peers_init(&host->peers);
    if (strlen(folder) >= sizeof(host->folder) - 32)
        return error_set(err, ERR_USAGE, "%s: too long", folder);
    strcpy(host->folder, folder);
    host->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (host->end_fd < 0)
        return error_set_errno(err, ERR_IO, errno, "eventfd");
    host->scale = tsc_scale_measure(CALIBRATION_MS);
    host->dirty_method = dirty_method_probe();
    return store_service_open(&host->store, log, err);
}

void embedded_host_close(struct embedded_host *host)
{
    list_for_each_safe (it, after, &host->tenants) {
        struct tenant *t = list_object(it, struct tenant, link);

        list_remove(&t->link);
        tenant_destroy(t);
    }
    store_service_close(&host->store);
    peers_release(&host->peers);
    close_fd(&host->end_fd);
    pthread_cond_destroy(&host->paused);
    pthread_mutex_destroy(&host->lock);
}

struct tenant *embedded_host_find(struct embedded_host *host,
                                  const char *name_or_domid)
{
    list_for_each (it, &host->tenants) {
        struct tenant *t = list_object(it, struct tenant, link);
        char number[16];

        snprintf(number, sizeof(number), "%u", t->h.m.domid);
        if (!strcmp(number, name_or_domid) || !strcmp(t->name, name_or_domid))
            return t;
    }
    return NULL;
}
