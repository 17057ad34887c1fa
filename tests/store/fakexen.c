/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A preload library that stands in for the hypervisor: enough of
 * libxenevtchn, libxengnttab and libxenctrl for a xenstored, ours or a stock
 * one, to serve pretend guests.
 *
 * Everything lives in the directory $FAKEXEN_DIR:
 *   domN.ring      the page that domain N shares; N exists while it does
 *   domN.evt       datagram socket that the guest listens on
 *   domN.shutdown  the domain has shut down
 *   domN.dying     the domain is dying
 *   store.evt      datagram socket of the daemon: a guest kicks it with its
 *                  local port, 100 + N, as a u32; port 1 is VIRQ_DOM_EXC
 *   xsd_port       dom0's own port as text; its page is dom0.ring
 */
/* Both open() and open64() are wrapped: the names must stay apart. */
#undef _FILE_OFFSET_BITS

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <xenctrl.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#define FIRST_PORT 100u
#define LAST_DOMID 32751u

static int events_fd = -1;

static void path_of(char *ret, size_t size, int domid, const char *what)
{
    const char *dir = getenv("FAKEXEN_DIR");

    if (domid < 0)
        snprintf(ret, size, "%s/%s", dir ? dir : ".", what);
    else
        snprintf(ret, size, "%s/dom%d.%s", dir ? dir : ".", domid, what);
}

static int has(unsigned int domid, const char *what)
{
    char path[256];

    path_of(path, sizeof(path), (int)domid, what);
    return access(path, F_OK) == 0;
}

static int exists(unsigned int domid)
{
    return domid == 0 || has(domid, "ring");
}

/* Raising the limits of descriptors may not be ours to do. */
int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
    (void)resource;
    (void)limit;
    return 0;
}

/* --- event channels --- */

static xenevtchn_handle *handle_of(int fd)
{
    return (xenevtchn_handle *)(uintptr_t)(unsigned int)(fd + 1);
}

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger,
                                 unsigned int flags)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    (void)logger;
    (void)flags;
    events_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    path_of(address.sun_path, sizeof(address.sun_path), -1, "store.evt");
    unlink(address.sun_path);
    if (bind(events_fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return NULL;
    return handle_of(events_fd);
}

xenevtchn_handle *xenevtchn_fdopen(struct xentoollog_logger *logger, int fd,
                                   unsigned int flags)
{
    (void)logger;
    (void)flags;
    events_fd = fd;
    return handle_of(fd);
}

int xenevtchn_close(xenevtchn_handle *handle)
{
    (void)handle;
    return close(events_fd);
}

int xenevtchn_fd(xenevtchn_handle *handle)
{
    return (int)(uintptr_t)handle - 1;
}

int xenevtchn_notify(xenevtchn_handle *handle, evtchn_port_t port)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    (void)handle;
    if (port < FIRST_PORT)
        return 0;
    path_of(address.sun_path, sizeof(address.sun_path),
            (int)(port - FIRST_PORT), "evt");
    (void)!sendto(events_fd, "e", 1, MSG_DONTWAIT, (struct sockaddr *)&address,
                  sizeof(address));
    return 0;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *handle,
                                                     uint32_t domid,
                                                     evtchn_port_t port)
{
    (void)handle;
    (void)port;
    if (!exists(domid)) {
        errno = ESRCH;
        return -1;
    }
    return (xenevtchn_port_or_error_t)(FIRST_PORT + domid);
}

xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *handle,
                                              unsigned int virq)
{
    (void)handle;
    (void)virq;
    return 1;
}

int xenevtchn_unbind(xenevtchn_handle *handle, evtchn_port_t port)
{
    (void)handle;
    (void)port;
    return 0;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *handle)
{
    uint32_t port;

    (void)handle;
    if (recv(events_fd, &port, sizeof(port), 0) != sizeof(port))
        return -1;
    return (xenevtchn_port_or_error_t)port;
}

int xenevtchn_unmask(xenevtchn_handle *handle, evtchn_port_t port)
{
    (void)handle;
    (void)port;
    return 0;
}

/* --- pages --- */

static void *map_page(unsigned int domid)
{
    char path[256];
    void *page;
    int fd;

    path_of(path, sizeof(path), (int)domid, "ring");
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return page == MAP_FAILED ? NULL : page;
}

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger,
                                 unsigned int flags)
{
    (void)logger;
    (void)flags;
    return (xengnttab_handle *)(uintptr_t)1;
}

int xengnttab_close(xengnttab_handle *handle)
{
    (void)handle;
    return 0;
}

int xengnttab_set_max_grants(xengnttab_handle *handle, uint32_t nr)
{
    (void)handle;
    (void)nr;
    return 0;
}

void *xengnttab_map_grant_ref(xengnttab_handle *handle, uint32_t domid,
                              uint32_t ref, int prot)
{
    (void)handle;
    (void)ref;
    (void)prot;
    return map_page(domid);
}

int xengnttab_unmap(xengnttab_handle *handle, void *start, uint32_t nr)
{
    (void)handle;
    return munmap(start, (size_t)nr * 4096);
}

/* --- domains --- */

/* oxenstored asks for it when a domain is gone. */
const xc_error *xc_get_last_error(xc_interface *xch)
{
    static const xc_error error = {.code = XC_INTERNAL_ERROR};

    (void)xch;
    return &error;
}

xc_interface *xc_interface_open(xentoollog_logger *logger,
                                xentoollog_logger *other, unsigned int flags)
{
    (void)logger;
    (void)other;
    (void)flags;
    return (xc_interface *)(uintptr_t)1;
}

int xc_interface_close(xc_interface *handle)
{
    (void)handle;
    return 0;
}

/* Of older interfaces, no longer declared: stock daemons still call it. */
void *xc_map_foreign_range(xc_interface *handle, uint32_t domid, int size,
                           int prot, unsigned long mfn);

void *xc_map_foreign_range(xc_interface *handle, uint32_t domid, int size,
                           int prot, unsigned long mfn)
{
    (void)handle;
    (void)size;
    (void)prot;
    (void)mfn;
    return map_page(domid);
}

/* The first domain from 'domid' on, or -1. */
static int next_domain(unsigned int domid)
{
    while (domid <= LAST_DOMID && !exists(domid))
        domid++;
    return domid <= LAST_DOMID ? (int)domid : -1;
}

int xc_domain_getinfolist(xc_interface *handle, uint32_t first,
                          unsigned int max, xc_domaininfo_t *info)
{
    unsigned int nr = 0;

    (void)handle;
    for (unsigned int at = first; nr < max; at++) {
        int domid = max == 1 ? (exists(at) ? (int)at : -1) : next_domain(at);

        if (domid < 0)
            break;
        at = (unsigned int)domid;
        memset(&info[nr], 0, sizeof(info[nr]));
        info[nr].domain = (domid_t)domid;
        if (has(at, "shutdown"))
            info[nr].flags |= XEN_DOMINF_shutdown;
        if (has(at, "dying"))
            info[nr].flags |= XEN_DOMINF_dying;
        nr++;
    }
    return (int)nr;
}

int xc_domain_getinfo(xc_interface *handle, uint32_t first, unsigned int max,
                      xc_dominfo_t *info)
{
    unsigned int nr = 0;

    (void)handle;
    for (unsigned int at = first; nr < max; at++) {
        int domid = max == 1 && exists(at) ? (int)at : next_domain(at);

        if (domid < 0)
            break;
        at = (unsigned int)domid;
        memset(&info[nr], 0, sizeof(info[nr]));
        info[nr].domid = at;
        info[nr].shutdown = (unsigned int)has(at, "shutdown") & 1;
        info[nr].dying = (unsigned int)has(at, "dying") & 1;
        nr++;
    }
    return (int)nr;
}

/* --- dom0's own page and port --- */

static const char *redirected(const char *path, char *ret, size_t size)
{
    if (!strcmp(path, "/proc/xen/xsd_port"))
        path_of(ret, size, -1, "xsd_port");
    else if (!strcmp(path, "/proc/xen/xsd_kva"))
        path_of(ret, size, 0, "ring");
    else
        return path;
    return ret;
}

typedef int open_function(const char *, int, ...);

#define WRAP_OPEN(name)                                                   \
    int name(const char *path, int flags, ...)                            \
    {                                                                     \
        static open_function *real;                                       \
        char other[256];                                                  \
        mode_t mode;                                                      \
        va_list args;                                                     \
                                                                          \
        va_start(args, flags);                                            \
        mode = va_arg(args, mode_t);                                      \
        va_end(args);                                                     \
        if (!real)                                                        \
            real = (open_function *)dlsym(RTLD_NEXT, #name);              \
        return real(redirected(path, other, sizeof(other)), flags, mode); \
    }

WRAP_OPEN(open)
WRAP_OPEN(open64)
