/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests about the host, and about domains as an administrator sees them. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "hostd/control_server.h"
#include "hostd/cpu_engine.h"
#include "hostd/events.h"
#include "hostd/grants.h"

#define CONSOLE_PART ((uint64_t)64 << 10)
#define REST_MS      10000

/* ---- the host ---------------------------------------------------------- */

static bool host_info(struct request *r, struct error *err)
{
    char version[32];

    cpu_engine_version(version, sizeof(version));
    answer_text(r, "version", XENFERRY_VERSION);
    answer_text(r, "emulator", version);
    answer_text(r, "dirty_method", dirty_method_name(r->host->dirty_method));
    answer_number(r, "tsc_khz", r->host->scale.khz);
    answer_number(r, "pid", (uint64_t)getpid());
    answer_number(r, "domains", r->host->nr_tenants);
    answer_text(r, "folder", r->host->folder);
    return true;
}

static bool host_stop(struct request *r, struct error *err)
{
    uint64_t one = 1;

    if (r->host->nr_tenants && !request_flag(r, "force"))
        return error_set(err, ERR_STATE,
                         "%u domains would be lost; destroy or move them "
                         "first, or use force",
                         r->host->nr_tenants);
    if (write(r->host->end_fd, &one, sizeof(one)) < 0)
        return error_set_errno(err, ERR_IO, errno, "eventfd");
    return true;
}

/* ---- domains ----------------------------------------------------------- */

static struct json_object *describe(struct tenant *t)
{
    struct json_object *o = json_object_new_object();
    struct error tie;

    json_object_object_add(o, "domid", json_object_new_int(t->h.m.domid));
    json_object_object_add(o, "name", json_object_new_string(t->name));
    json_object_object_add(o, "state", json_object_new_string(tenant_state(t)));
    json_object_object_add(o, "memory_mib",
                           json_object_new_int((int32_t)t->memory_mib));
    json_object_object_add(o, "vcpus",
                           json_object_new_int((int32_t)t->h.m.nr_vcpus));
    json_object_object_add(o, "console_tty",
                           json_object_new_string(t->console.tty.path));
    if (!peers_can_leave(&t->h, &tie))
        json_object_object_add(o, "cannot_leave",
                               json_object_new_string(tie.text));
    if (*t->h.m.stop_reason)
        json_object_object_add(o, "stop_reason",
                               json_object_new_string(t->h.m.stop_reason));
    return o;
}

static bool domain_list(struct request *r, struct error *err)
{
    struct json_object *all = json_object_new_array();

    list_for_each (it, &r->host->tenants)
        json_object_array_add(all,
                              describe(list_object(it, struct tenant, link)));
    json_object_object_add(r->answer, "domains", all);
    return true;
}

static const char *port_state_name(enum event_port_state state)
{
    static const char *const names[] = {
        [PORT_FREE] = "free",
        [PORT_UNBOUND] = "unbound",
        [PORT_INTERDOMAIN] = "interdomain",
        [PORT_VIRQ] = "virq",
        [PORT_IPI] = "ipi",
    };

    return names[state];
}

static struct json_object *describe_ports(struct machine *m)
{
    struct json_object *all = json_object_new_array();

    for (uint32_t port = 1; port < events_port_limit(m); port++) {
        const struct event_port *p = events_port(m, port);
        struct json_object *o;

        if (p->state == PORT_FREE)
            continue;
        o = json_object_new_object();
        json_object_object_add(o, "port", json_object_new_int64(port));
        json_object_object_add(
            o, "state", json_object_new_string(port_state_name(p->state)));
        json_object_object_add(o, "vcpu", json_object_new_int64(p->vcpu));
        json_object_object_add(o, "priority", json_object_new_int(p->priority));
        json_object_object_add(
            o, "pending", json_object_new_boolean(events_is_pending(m, port)));
        json_object_object_add(
            o, "masked", json_object_new_boolean(events_is_masked(m, port)));
        if (p->state == PORT_VIRQ)
            json_object_object_add(o, "virq", json_object_new_int(p->virq));
        if (p->state == PORT_UNBOUND || p->state == PORT_INTERDOMAIN)
            json_object_object_add(o, "remote_domid",
                                   json_object_new_int(p->remote_domid));
        if (p->state == PORT_INTERDOMAIN)
            json_object_object_add(o, "remote_port",
                                   json_object_new_int64(p->remote_port));
        json_object_array_add(all, o);
    }
    return all;
}

static struct json_object *describe_vcpus(struct machine *m)
{
    static const char *const waits[] = {
        [VCPU_RUNNABLE] = "runnable",
        [VCPU_HALTED] = "halted",
        [VCPU_POLLING] = "polling",
    };
    struct json_object *all = json_object_new_array();

    for (unsigned int i = 0; i < m->nr_vcpus; i++) {
        struct vcpu *v = &m->vcpu[i];
        struct json_object *o = json_object_new_object();

        vcpu_set_runstate(m, v, v->runstate.state);
        json_object_object_add(o, "vcpu", json_object_new_int((int32_t)i));
        json_object_object_add(o, "up", json_object_new_boolean(v->up));
        json_object_object_add(o, "wait",
                               json_object_new_string(waits[v->wait]));
        json_object_object_add(o, "vcpu_info",
                               json_object_new_uint64(v->vcpu_info_gpa));
        json_object_object_add(o, "upcall_vector",
                               json_object_new_int(v->upcall_vector));
        json_object_object_add(
            o, "run_ns",
            json_object_new_uint64(v->runstate.time[RUNSTATE_running]));
        json_object_array_add(all, o);
    }
    return all;
}

static struct json_object *describe_maps(const struct machine *m)
{
    struct json_object *all = json_object_new_array();

    for (uint32_t handle = 0; handle < FOREIGN_PAGES_MAX; handle++) {
        const struct grant_map *map = &m->grants.map[handle];
        struct json_object *o;

        if (!map->used)
            continue;
        o = json_object_new_object();
        json_object_object_add(o, "handle", json_object_new_int64(handle));
        json_object_object_add(
            o, "gfn", json_object_new_uint64(m->memory.foreign_gfn[handle]));
        json_object_object_add(o, "domid", json_object_new_int(map->granter));
        json_object_object_add(o, "grant", json_object_new_int64(map->ref));
        json_object_object_add(o, "writable",
                               json_object_new_boolean(map->writable));
        json_object_array_add(all, o);
    }
    return all;
}

static uint64_t count_grants(const struct machine *m)
{
    const struct grant_entry_v1 *entry;
    uint64_t nr = 0;

    for (uint32_t ref = 0; (entry = grants_entry(m, ref)); ref++)
        nr += entry->flags != 0;
    return nr;
}

static bool domain_show(struct request *r, struct error *err)
{
    struct machine *m;
    struct tenant *t;

    if (!request_domain(r, &t, err))
        return false;
    m = &t->h.m;
    json_object_object_add(r->answer, "domain", describe(t));
    answer_text(r, "console", t->console_path);
    answer_text(r, "disk", t->disk_path);
    answer_flag(r, "disk_read_only", t->disk_read_only);
    hosted_take(&t->h);
    answer_text(r, "event_abi",
                m->events.abi == EVENT_ABI_FIFO ? "fifo" : "2l");
    answer_number(r, "pages", m->memory.nr_populated);
    answer_number(r, "guest_time_ns", guest_time_now(&m->time));
    answer_number(r, "grant_frames", m->grants.nr_frames);
    answer_number(r, "grants", count_grants(m));
    json_object_object_add(r->answer, "ports", describe_ports(m));
    json_object_object_add(r->answer, "grant_maps", describe_maps(m));
    answer_number(r, "grants_mapped", m->grants.nr_lent);
    json_object_object_add(r->answer, "vcpu", describe_vcpus(m));
    hosted_give(&t->h);
    answer_number(r, "disk_requests", t->block.nr_requests);
    return true;
}

static bool name_is_good(const char *name)
{
    size_t length = strlen(name);

    return length > 0 && length < TENANT_NAME_MAX && *name != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789-_.") == length &&
           strspn(name, "0123456789") != length;
}

/* Random, so that a guest hardly ever meets its number taken elsewhere. */
static uint16_t free_domid(struct embedded_host *host)
{
    for (;;) {
        char text[16];
        uint16_t domid;

        if (getrandom(&domid, sizeof(domid), 0) != sizeof(domid))
            return 0;
        domid = (uint16_t)(domid % (TENANT_DOMIDS - 1) + 1);
        snprintf(text, sizeof(text), "%u", domid);
        if (!embedded_host_find(host, text))
            return domid;
    }
}

static bool read_config(struct request *r, struct tenant_config *config,
                        struct error *err)
{
    uint64_t domid, vcpus, memory;
    const char *name;
    char text[16];

    if (!request_text(r, "name", &name, err) ||
        !request_number_or(r, "domid", TENANT_DOMIDS - 1, 0, &domid, err) ||
        !request_number_or(r, "vcpus", MACHINE_VCPUS_MAX, 1, &vcpus, err) ||
        !request_number_or(r, "memory_mib", TENANT_MEMORY_MAX, 64, &memory,
                           err))
        return false;
    if (!name_is_good(name))
        return error_set(err, ERR_USAGE,
                         "name \"%.80s\": expected letters, digits, \"-_.\", "
                         "at most %u, not a number",
                         name, TENANT_NAME_MAX - 1);
    snprintf(text, sizeof(text), "%" PRIu64, domid);
    if (embedded_host_find(r->host, name) ||
        (domid && embedded_host_find(r->host, text)))
        return error_set(err, ERR_STATE, "domain \"%s\" (%s) exists already",
                         name, domid ? text : "any number");
    strcpy(config->name, name);
    config->domid = domid ? (uint16_t)domid : free_domid(r->host);
    config->vcpus = (unsigned int)vcpus;
    config->memory_mib = (uint32_t)memory;
    config->kernel = request_text_or(r, "kernel", NULL);
    config->cmdline = request_text_or(r, "cmdline", "");
    config->disk = request_text_or(r, "disk", NULL);
    config->disk_read_only = request_flag(r, "disk_read_only");
    return true;
}

static bool domain_create(struct request *r, struct error *err)
{
    struct tenant_config config = {0};
    char console[HOST_PATH_MAX + TENANT_NAME_MAX + 16];
    struct tenant *t;

    if (r->host->nr_tenants >= HOST_TENANTS_MAX)
        return error_set(err, ERR_LIMIT, "%u domains, no more are possible",
                         HOST_TENANTS_MAX);
    if (!read_config(r, &config, err))
        return false;
    snprintf(console, sizeof(console), "%s/%s.console", r->host->folder,
             config.name);
    config.console = console;
    if (!tenant_create(&config, &r->host->scale, &r->host->store,
                       &r->host->peers, r->host->log, &t, err))
        return false;
    list_append(&r->host->tenants, &t->link);
    r->host->nr_tenants++;
    if (config.kernel && !request_flag(r, "paused"))
        tenant_unpause(t);
    answer_number(r, "domid", t->h.m.domid);
    answer_text(r, "console", t->console_path);
    return true;
}

/* The domain, when nobody waits for it to stand still: REST_MS at most. */
static bool request_settled(const struct request *r, struct tenant **ret,
                            struct error *err)
{
    struct tenant *t;

    for (;;) {
        if (!request_domain(r, &t, err))
            return false;
        if (!t->pausing)
            break;
        pthread_cond_wait(&r->host->paused, &r->host->lock);
    }
    *ret = t;
    return true;
}

/* A slow disk is no other guest's concern: without the host's lock. */
static bool pause_settled(const struct request *r, struct tenant *t,
                          struct error *err)
{
    bool ok;

    t->pausing = true;
    pthread_mutex_unlock(&r->host->lock);
    ok = hosted_pause(&t->h, deadline_after_ms(REST_MS), err);
    pthread_mutex_lock(&r->host->lock);
    t->pausing = false;
    pthread_cond_broadcast(&r->host->paused);
    return ok;
}

static bool domain_pause(struct request *r, struct error *err)
{
    struct tenant *t;

    return request_settled(r, &t, err) && pause_settled(r, t, err);
}

static bool domain_unpause(struct request *r, struct error *err)
{
    struct tenant *t;
    bool paused;

    if (!request_settled(r, &t, err))
        return false;
    hosted_take(&t->h);
    paused = hosted_is_paused(&t->h);
    hosted_give(&t->h);
    if (!paused)
        return error_set(err, ERR_STATE, "domain %s is not paused", t->name);
    tenant_unpause(t);
    return true;
}

/* Early, while the guest runs: its state is asked for again when it stands. */
static bool may_leave(struct tenant *t, struct error *err)
{
    return peers_can_leave(&t->h, err) ||
           error_wrap(err, "domain %s cannot leave", t->name);
}

/*
 * From outside, whatever the guest does just then: it stands still, with the
 * reason given, until it is resumed or destroyed.
 */
static bool domain_shutdown(struct request *r, struct error *err)
{
    struct tenant *t;
    uint64_t reason;
    bool ended;

    if (!request_number(r, "reason", SHUTDOWN_MAX, &reason, err) ||
        !request_settled(r, &t, err) ||
        (reason == SHUTDOWN_suspend && !may_leave(t, err)) ||
        !pause_settled(r, t, err))
        return false;
    hosted_take(&t->h);
    ended = t->h.m.shutdown != SHUTDOWN_NONE;
    if (!ended)
        t->h.m.shutdown = (uint32_t)reason;
    hosted_give(&t->h);
    if (!ended) {
        store_service_freeze(t->store, &t->store_guest);
        return true;
    }
    hosted_unpause(&t->h);
    return error_set(err, ERR_STATE, "domain %s has shut down already",
                     t->name);
}

static bool domain_resume(struct request *r, struct error *err)
{
    struct tenant *t;
    bool suspended;

    if (!request_settled(r, &t, err))
        return false;
    hosted_take(&t->h);
    suspended = t->h.m.shutdown == SHUTDOWN_suspend && hosted_is_paused(&t->h);
    if (suspended)
        t->h.m.shutdown = SHUTDOWN_NONE;
    hosted_give(&t->h);
    if (!suspended)
        return error_set(err, ERR_STATE,
                         "domain %s was not suspended from outside", t->name);
    store_service_thaw(t->store, &t->store_guest);
    tenant_unpause(t);
    return true;
}

static bool domain_destroy(struct request *r, struct error *err)
{
    struct tenant *t;

    if (!request_settled(r, &t, err))
        return false;
    /* Its end waits for its disk as well; what is slower holds others up. */
    if (!pause_settled(r, t, err))
        log_info(r->host->log, "%s", err->text);
    list_remove(&t->link);
    r->host->nr_tenants--;
    tenant_destroy(t);
    return true;
}

static bool find_console(struct request *r, struct tenant **ret,
                         struct error *err)
{
    if (!request_domain(r, ret, err))
        return false;
    return (*ret)->console.h ||
           error_set(err, ERR_STATE, "domain %s has no console", (*ret)->name);
}

static bool domain_console(struct request *r, struct error *err)
{
    cleanup_fd int fd = -1;
    struct tenant *t;
    uint64_t offset;
    uint8_t *room;
    ssize_t n;

    if (!find_console(r, &t, err) ||
        !request_number_or(r, "offset", INT64_MAX, t->console.begin, &offset,
                           err) ||
        !file_open(t->console_path, O_RDONLY, 0, &fd, err))
        return false;
    room = buffer_extend(r->answer_data, CONSOLE_PART);
    if (!room)
        return error_set(err, ERR_NO_MEMORY, "console: no memory");
    n = pread(fd, room, CONSOLE_PART, (off_t)offset);
    if (n < 0)
        return error_set_errno(err, ERR_IO, errno, "%s", t->console_path);
    r->answer_data->length = (size_t)n;
    answer_number(r, "offset", offset + (uint64_t)n);
    return true;
}

static bool domain_type(struct request *r, struct error *err)
{
    struct tenant *t;
    uint32_t shutdown;

    if (!find_console(r, &t, err))
        return false;
    hosted_take(&t->h);
    shutdown = t->h.m.shutdown;
    hosted_give(&t->h);
    if (shutdown != SHUTDOWN_NONE && shutdown != SHUTDOWN_suspend)
        return error_set(err, ERR_STATE,
                         "domain %s has ended and reads no more", t->name);
    answer_number(r, "taken",
                  console_backend_type(&t->console, (const char *)r->data,
                                       r->data_length));
    return true;
}

const struct request_handler control_domain_handlers[] = {
    {"host-info",       host_info      },
    {"host-stop",       host_stop      },
    {"domain-create",   domain_create  },
    {"domain-list",     domain_list    },
    {"domain-show",     domain_show    },
    {"domain-pause",    domain_pause   },
    {"domain-unpause",  domain_unpause },
    {"domain-shutdown", domain_shutdown},
    {"domain-resume",   domain_resume  },
    {"domain-destroy",  domain_destroy },
    {"domain-console",  domain_console },
    {"domain-type",     domain_type    },
    {NULL,              NULL           },
};
