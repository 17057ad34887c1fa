/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Xen: event channels, grants, the list of domains, and dom0's own ring.
 *
 * All of it is reached through Xen's libraries, so that a preload library can
 * stand in for them.  Where /dev/xen is missing the daemon serves sockets
 * alone and says so.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <xenctrl.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#include <xen/grant_table.h>

#include "base/cleanup.h"
#include "store/daemon.h"
#include "store/update.h"

#define DOM0_PAGE  "/proc/xen/xsd_kva"
#define DOM0_PORT  "/proc/xen/xsd_port"
#define MAX_GRANTS 32752u
/* Event channel ports that a domain can have (FIFO). */
#define PORTS_MAX (1u << 17)
#define NO_DOMID  0xffffu

struct hypervisor {
    struct watcher events;
    xenevtchn_handle *evtchn;
    xengnttab_handle *gnttab;
    xc_interface *xc;
    xenevtchn_port_or_error_t virq_port;
    uint16_t *domid_of_port; /* owned; PORTS_MAX */
    struct ring_page *dom0_page;
    /* The list of domains, while all of them are looked at. */
    bool listed;
    uint8_t life[DOMID_RESERVED_FIRST];
};

static enum domain_life life_of(const xc_domaininfo_t *info)
{
    if (info->flags & XEN_DOMINF_dying)
        return DOMAIN_DYING;
    if (info->flags & XEN_DOMINF_shutdown)
        return DOMAIN_SHUTDOWN;
    return DOMAIN_ALIVE;
}

static enum domain_life domain_life(void *context, uint16_t domid)
{
    struct daemon *d = context;
    xc_domaininfo_t info;

    if (!d->hypervisor)
        return DOMAIN_ALIVE;
    if (d->hypervisor->listed)
        return d->hypervisor->life[domid];
    if (xc_domain_getinfolist(d->hypervisor->xc, domid, 1, &info) != 1 ||
        info.domain != domid)
        return DOMAIN_ABSENT;
    return life_of(&info);
}

static void look_at_domains(struct daemon *d)
{
    struct hypervisor *h = d->hypervisor;
    static xc_domaininfo_t infos[256];
    uint32_t first = 0;
    int nr;

    memset(h->life, DOMAIN_ABSENT, sizeof(h->life));
    do {
        nr = xc_domain_getinfolist(h->xc, first, ARRAY_SIZE(infos), infos);
        if (nr < 0) {
            log_error(&d->log, "list of domains: %s", strerror(errno));
            return;
        }
        for (int i = 0; i < nr; i++)
            if (infos[i].domain < DOMID_RESERVED_FIRST)
                h->life[infos[i].domain] = (uint8_t)life_of(&infos[i]);
        if (nr)
            first = infos[nr - 1].domain + 1u;
    } while (nr == ARRAY_SIZE(infos));
    h->listed = true;
    store_domains_changed(d->store);
    h->listed = false;
}

static void events_ready(struct daemon *d, struct watcher *w, uint32_t events)
{
    struct hypervisor *h = d->hypervisor;
    /* As many as wait now; the loop comes back for more. */
    unsigned int budget = 1024;

    (void)w;
    (void)events;
    while (budget--) {
        xenevtchn_port_or_error_t port = xenevtchn_pending(h->evtchn);

        if (port < 0)
            return;
        xenevtchn_unmask(h->evtchn, (evtchn_port_t)port);
        if (port == h->virq_port)
            look_at_domains(d);
        else if ((uint32_t)port < PORTS_MAX &&
                 h->domid_of_port[port] != NO_DOMID)
            store_ring_kicked(d->store, h->domid_of_port[port]);
    }
}

static bool bind_port(struct hypervisor *h, uint16_t domid, uint32_t port,
                      struct ring_link *link, struct error *err)
{
    xenevtchn_port_or_error_t local =
        xenevtchn_bind_interdomain(h->evtchn, domid, port);

    if (local < 0)
        return error_set_errno(err, ERR_HOST, errno,
                               "domain %u: event channel %u", domid, port);
    if ((uint32_t)local >= PORTS_MAX)
        return error_set(err, ERR_HOST, "domain %u: local port %d, at most %u",
                         domid, local, PORTS_MAX - 1);
    link->port = (uint32_t)local;
    h->domid_of_port[local] = domid;
    return true;
}

static void unbind_port(struct hypervisor *h, const struct ring_link *link)
{
    h->domid_of_port[link->port] = NO_DOMID;
    xenevtchn_unbind(h->evtchn, link->port);
}

static struct ring_page *map_page(struct hypervisor *h, uint16_t domid)
{
    if (domid == 0 && h->dom0_page)
        return h->dom0_page;
    return xengnttab_map_grant_ref(h->gnttab, domid, GNTTAB_RESERVED_XENSTORE,
                                   PROT_READ | PROT_WRITE);
}

static bool ring_open(void *context, uint16_t domid, uint64_t gfn,
                      uint32_t port, struct ring_link *ret, struct error *err)
{
    struct daemon *d = context;
    struct hypervisor *h = d->hypervisor;
    struct ring_link link = {0};
    uint32_t own_port;

    (void)gfn; /* the reserved grant reference names the same page */
    if (!h)
        return error_set(err, ERR_HOST, "domain %u: there is no hypervisor",
                         domid);
    link.page = map_page(h, domid);
    if (!link.page)
        return error_set_errno(err, ERR_HOST, errno,
                               "domain %u: the store's page", domid);
    /* A domain built by Xen itself says its port in the page. */
    own_port = __atomic_load_n(&link.page->evtchn_port, __ATOMIC_RELAXED);
    if (!bind_port(h, domid, own_port ? own_port : port, &link, err)) {
        if (link.page != h->dom0_page)
            xengnttab_unmap(h->gnttab, link.page, 1);
        return false;
    }
    *ret = link;
    return true;
}

static void ring_close(void *context, uint16_t domid, struct ring_link *link)
{
    struct daemon *d = context;
    struct hypervisor *h = d->hypervisor;

    (void)domid;
    if (!h || !link->page)
        return;
    unbind_port(h, link);
    if (link->page != h->dom0_page)
        xengnttab_unmap(h->gnttab, link->page, 1);
    link->page = NULL;
}

static bool ring_rebind(void *context, uint16_t domid, uint32_t port,
                        struct ring_link *link, struct error *err)
{
    struct daemon *d = context;
    struct ring_link fresh = *link;

    unbind_port(d->hypervisor, link);
    if (!bind_port(d->hypervisor, domid, port, &fresh, err))
        return false;
    link->port = fresh.port;
    return true;
}

static bool ring_resume(void *context, uint16_t domid, uint32_t local_port,
                        struct ring_link *ret, struct error *err)
{
    struct daemon *d = context;
    struct hypervisor *h = d->hypervisor;
    struct ring_link link = {.port = local_port};

    if (!h)
        return error_set(err, ERR_HOST, "domain %u: there is no hypervisor",
                         domid);
    if (local_port >= PORTS_MAX)
        return error_set(err, ERR_HOST, "domain %u: local port %u, at most %u",
                         domid, local_port, PORTS_MAX - 1);
    link.page = map_page(h, domid);
    if (!link.page)
        return error_set_errno(err, ERR_HOST, errno,
                               "domain %u: the store's page", domid);
    h->domid_of_port[local_port] = domid;
    xenevtchn_unmask(h->evtchn, local_port);
    *ret = link;
    return true;
}

static void ring_notify(void *context, const struct ring_link *link)
{
    struct daemon *d = context;

    xenevtchn_notify(d->hypervisor->evtchn, link->port);
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

int hypervisor_fd(const struct daemon *d)
{
    return d->hypervisor ? xenevtchn_fd(d->hypervisor->evtchn) : -1;
}

void hypervisor_close(struct daemon *d)
{
    struct hypervisor *h = d->hypervisor;

    if (!h)
        return;
    if (h->dom0_page)
        munmap(h->dom0_page, PAGE_SIZE);
    if (h->xc)
        xc_interface_close(h->xc);
    if (h->gnttab)
        xengnttab_close(h->gnttab);
    if (h->evtchn)
        xenevtchn_close(h->evtchn);
    free(h->domid_of_port);
    free(h);
    d->hypervisor = NULL;
}

static bool open_all(struct daemon *d, struct hypervisor *h, struct error *err)
{
    h->domid_of_port = malloc(PORTS_MAX * sizeof(*h->domid_of_port));
    if (!h->domid_of_port)
        return error_set(err, ERR_NO_MEMORY, "event channels");
    memset(h->domid_of_port, 0xff, PORTS_MAX * sizeof(*h->domid_of_port));
    h->gnttab = xengnttab_open(NULL, 0);
    if (!h->gnttab)
        return error_set_errno(err, ERR_HOST, errno, "grant table");
    /* Old kernels need to be told; new ones do not know the question. */
    if (xengnttab_set_max_grants(h->gnttab, MAX_GRANTS) < 0)
        log_debug(&d->log, "grant limit: %s", strerror(errno));
    h->xc = xc_interface_open(NULL, NULL, 0);
    if (!h->xc)
        return error_set_errno(err, ERR_HOST, errno, "privileged commands");
    /* A predecessor may have died between taking an event and this. */
    xenevtchn_unmask(h->evtchn, (evtchn_port_t)h->virq_port);
    h->events.fd = xenevtchn_fd(h->evtchn);
    fcntl(h->events.fd, F_SETFL, O_NONBLOCK);
    h->events.ready = events_ready;
    return loop_add(d, &h->events, EPOLLIN, err);
}

void hypervisor_release_virq(struct daemon *d)
{
    if (d->hypervisor)
        xenevtchn_unbind(d->hypervisor->evtchn,
                         (evtchn_port_t)d->hypervisor->virq_port);
}

void hypervisor_claim_virq(struct daemon *d)
{
    struct hypervisor *h = d->hypervisor;
    xenevtchn_port_or_error_t port;

    if (!h)
        return;
    port = xenevtchn_bind_virq(h->evtchn, VIRQ_DOM_EXC);
    if (port < 0)
        log_error(&d->log, "VIRQ_DOM_EXC: %s", strerror(errno));
    else
        h->virq_port = port;
}

bool hypervisor_open_events(struct daemon *d, struct error *err)
{
    struct hypervisor *h = calloc(1, sizeof(*h));
    int fd = d->predecessor ? d->predecessor->evtchn_fd : -1;

    if (!h)
        return error_set(err, ERR_NO_MEMORY, "hypervisor");
    h->evtchn =
        fd < 0 ? xenevtchn_open(NULL, 0) : xenevtchn_fdopen(NULL, fd, 0);
    if (!h->evtchn) {
        log_info(&d->log, "no event channels here: sockets only");
        free(h);
        return true;
    }
    d->hypervisor = h;
    h->virq_port = xenevtchn_bind_virq(h->evtchn, VIRQ_DOM_EXC);
    if (h->virq_port >= 0)
        return true;
    error_set_errno(err, ERR_HOST, errno, "VIRQ_DOM_EXC");
    hypervisor_close(d);
    return false;
}

bool hypervisor_open(struct daemon *d, struct error *err)
{
    if (!d->hypervisor && !hypervisor_open_events(d, err))
        return false;
    if (!d->hypervisor || open_all(d, d->hypervisor, err))
        return true;
    hypervisor_close(d);
    return false;
}

void hypervisor_look(struct daemon *d)
{
    if (d->hypervisor)
        look_at_domains(d);
}

static bool dom0_port(uint32_t *ret)
{
    cleanup_fd int fd = open(DOM0_PORT, O_RDONLY | O_CLOEXEC);
    char text[16] = "";

    if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
        return false;
    *ret = (uint32_t)strtoul(text, NULL, 10);
    return *ret;
}

void hypervisor_map_dom0(struct daemon *d, bool introduce)
{
    struct hypervisor *h = d->hypervisor;
    cleanup_fd int fd = -1;
    uint32_t port;
    void *page;

    if (!h)
        return;
    fd = open(DOM0_PAGE, O_RDWR | O_CLOEXEC);
    if (fd < 0 || !dom0_port(&port)) {
        log_info(&d->log, "dom0 has no ring of its own here");
        return;
    }
    page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) {
        log_error(&d->log, "dom0's page: %s", strerror(errno));
        return;
    }
    h->dom0_page = page;
    if (introduce && store_introduce(d->store, 0, 0, port) != STORE_OK)
        log_error(&d->log, "dom0's ring could not be opened");
}
