/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A build without Xen's libraries: sockets only. */
#include "store/daemon.h"

bool hypervisor_open_events(struct daemon *d, struct error *err)
{
    (void)d;
    (void)err;
    return true;
}

bool hypervisor_open(struct daemon *d, struct error *err)
{
    (void)d;
    (void)err;
    return true;
}

void hypervisor_close(struct daemon *d)
{
    (void)d;
}

void hypervisor_map_dom0(struct daemon *d, bool introduce)
{
    (void)d;
    (void)introduce;
}

void hypervisor_look(struct daemon *d)
{
    (void)d;
}

void hypervisor_release_virq(struct daemon *d)
{
    (void)d;
}

void hypervisor_claim_virq(struct daemon *d)
{
    (void)d;
}

int hypervisor_fd(const struct daemon *d)
{
    (void)d;
    return -1;
}

static enum domain_life domain_life(void *context, uint16_t domid)
{
    (void)context;
    (void)domid;
    return DOMAIN_ALIVE;
}

static bool ring_open(void *context, uint16_t domid, uint64_t gfn,
                      uint32_t port, struct ring_link *ret, struct error *err)
{
    (void)context;
    (void)gfn;
    (void)port;
    (void)ret;
    return error_set(err, ERR_UNSUPPORTED,
                     "domain %u: this build has no hypervisor", domid);
}

static void ring_close(void *context, uint16_t domid, struct ring_link *link)
{
    (void)context;
    (void)domid;
    (void)link;
}

static bool ring_rebind(void *context, uint16_t domid, uint32_t port,
                        struct ring_link *link, struct error *err)
{
    return ring_open(context, domid, 0, port, link, err);
}

static bool ring_resume(void *context, uint16_t domid, uint32_t local_port,
                        struct ring_link *ret, struct error *err)
{
    return ring_open(context, domid, 0, local_port, ret, err);
}

static void ring_notify(void *context, const struct ring_link *link)
{
    (void)context;
    (void)link;
}

void hypervisor_hooks(struct store_host *host)
{
    host->domain_life = domain_life;
    host->ring_open = ring_open;
    host->ring_close = ring_close;
    host->ring_rebind = ring_rebind;
    host->ring_notify = ring_notify;
    host->ring_resume = ring_resume;
}
