/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The toolstack of stock Xen, through libxenlight. */
#include "host/xen/libxl_toolstack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* The configurations that xl writes are a few KiB. */
#define CONFIG_JSON_MAX ((size_t)4 << 20)

static void light_close(struct toolstack *base)
{
    struct light *ts = light_of(base);

    libxl_ctx_free(ts->ctx);
    free(ts);
}

static const char *type_name(libxl_domain_type type)
{
    switch (type) {
    case LIBXL_DOMAIN_TYPE_PV:
        return "pv";
    case LIBXL_DOMAIN_TYPE_PVH:
        return "pvh";
    case LIBXL_DOMAIN_TYPE_HVM:
        return "hvm";
    default:
        return "?";
    }
}

bool light_look(struct toolstack *base, uint32_t domid,
                struct toolstack_guest *ret, struct error *err)
{
    struct light *ts = light_of(base);
    cleanup(libxl_dominfo_dispose) libxl_dominfo info;
    struct toolstack_guest g = {.domid = domid};
    cleanup_free char *name = NULL;
    int rc;

    libxl_dominfo_init(&info);
    ts->reason[0] = '\0';
    rc = libxl_domain_info(ts->ctx, &info, domid);
    if (rc == ERROR_DOMAIN_NOTFOUND)
        return error_set(err, ERR_STATE, "domain %u: there is none", domid);
    if (rc)
        return light_error(ts, rc, err, "domain %u", domid);

    name = libxl_domid_to_name(ts->ctx, domid);
    snprintf(g.name, sizeof(g.name), "%s", name ? name : "");
    snprintf(g.type, sizeof(g.type), "%s", type_name(info.domain_type));
    snprintf(g.uuid, sizeof(g.uuid), LIBXL_UUID_FMT,
             LIBXL_UUID_BYTES(info.uuid));
    g.memory_kib = info.current_memkb;
    g.vcpus = info.vcpu_online;
    g.paused = info.paused;
    g.suspended = info.shutdown && !info.dying &&
                  info.shutdown_reason == LIBXL_SHUTDOWN_REASON_SUSPEND;
    g.dead = info.dying || (info.shutdown && !g.suspended);
    *ret = g;
    return true;
}

static bool light_find(struct toolstack *base, const char *name_or_domid,
                       struct toolstack_guest *ret, struct error *err)
{
    struct light *ts = light_of(base);
    uint32_t domid;
    int rc;

    ts->reason[0] = '\0';
    rc = libxl_domain_qualifier_to_domid(ts->ctx, name_or_domid, &domid);
    if (rc)
        return error_set(err, ERR_STATE,
                         "domain %.128s: there is none of this name or number",
                         name_or_domid);
    if (domid == 0)
        return error_set(err, ERR_USAGE,
                         "domain %.128s: the control domain cannot be moved",
                         name_or_domid);
    return light_look(base, domid, ret, err);
}

static bool light_config_get(struct toolstack *base, uint32_t domid,
                             bool keep_domid, struct buffer *ret,
                             struct error *err)
{
    struct light *ts = light_of(base);
    cleanup(libxl_domain_config_dispose) libxl_domain_config config;
    struct light_operation op;
    libxl_asyncop_how how = light_operation_how(&op);
    cleanup_free char *json = NULL;
    int rc;

    libxl_domain_config_init(&config);
    if (!light_operation_prepare(ts, NULL, err))
        return false;
    rc = light_operation_wait(
        ts, &op,
        libxl_retrieve_domain_configuration(ts->ctx, domid, &config, &how));
    light_operation_end(ts);
    if (rc)
        return light_error(ts, rc, err, "configuration of domain %u", domid);
    config.c_info.domid = keep_domid ? (libxl_domid)domid : 0;

    json = libxl_domain_config_to_json(ts->ctx, &config);
    if (!json)
        return error_set(err, ERR_NO_MEMORY,
                         "configuration of domain %u as JSON", domid);
    if (strlen(json) >= CONFIG_JSON_MAX)
        return error_set(err, ERR_LIMIT,
                         "configuration of domain %u: %zu octets, expected "
                         "fewer than %zu",
                         domid, strlen(json), CONFIG_JSON_MAX);
    buffer_bytes(ret, json, strlen(json) + 1);
    return buffer_check(ret, "domain configuration", err);
}

static bool light_rename(struct toolstack *base, uint32_t domid,
                         const char *from, const char *to, struct error *err)
{
    struct light *ts = light_of(base);
    int rc;

    ts->reason[0] = '\0';
    rc = libxl_domain_rename(ts->ctx, domid, from, to);
    if (rc)
        return light_error(ts, rc, err,
                           "renaming domain %u from %.64s to "
                           "%.64s",
                           domid, from, to);
    return true;
}

/* pause, unpause and destroy differ in one function. */
typedef int short_operation(libxl_ctx *ctx, uint32_t domid,
                            const libxl_asyncop_how *how);

static bool run_short(struct light *ts, uint32_t domid, short_operation *run,
                      const char *what, struct error *err)
{
    struct light_operation op;
    libxl_asyncop_how how = light_operation_how(&op);
    int rc;

    if (!light_operation_prepare(ts, NULL, err))
        return false;
    rc = light_operation_wait(ts, &op, run(ts->ctx, domid, &how));
    light_operation_end(ts);
    if (rc)
        return light_error(ts, rc, err, "%s domain %u", what, domid);
    return true;
}

static bool light_pause(struct toolstack *base, uint32_t domid,
                        struct error *err)
{
    return run_short(light_of(base), domid, libxl_domain_pause, "pausing", err);
}

bool light_unpause_now(struct light *ts, uint32_t domid, struct error *err)
{
    return run_short(ts, domid, libxl_domain_unpause, "unpausing", err);
}

static bool light_unpause(struct toolstack *base, uint32_t domid,
                          struct error *err)
{
    return light_unpause_now(light_of(base), domid, err);
}

bool light_destroy_now(struct light *ts, uint32_t domid, struct error *err)
{
    return run_short(ts, domid, libxl_domain_destroy, "destroying", err);
}

static bool light_destroy(struct toolstack *base, uint32_t domid,
                          struct error *err)
{
    return light_destroy_now(light_of(base), domid, err);
}

static const struct toolstack_ops light_ops = {
    .name = "libxl",
    .close = light_close,
    .find = light_find,
    .look = light_look,
    .config_get = light_config_get,
    .config_describe = light_config_describe,
    .config_check = light_config_check,
    .save = light_save,
    .resume = light_resume,
    .restore = light_restore,
    .rename = light_rename,
    .pause = light_pause,
    .unpause = light_unpause,
    .destroy = light_destroy,
    .keep_house = light_keep_house,
};

static bool light_open(const struct log *log, struct toolstack **ret,
                       struct error *err)
{
    struct light *ts = calloc(1, sizeof(*ts));
    int rc;

    if (!ts)
        return error_set(err, ERR_NO_MEMORY, "toolstack");
    ts->base = (struct toolstack){.ops = &light_ops, .log = log};
    ts->event_fds[0] = ts->event_fds[1] = -1;
    ts->stream.fd = -1;
    light_logger_init(ts);
    rc = libxl_ctx_alloc(&ts->ctx, LIBXL_VERSION, 0, &ts->logger.vtable);
    if (rc) {
        light_error(ts, rc, err,
                    "libxl (is this a Xen control domain, run by "
                    "root?)");
        free(ts);
        return false;
    }
    light_children_init(ts);
    *ret = &ts->base;
    return true;
}

extern const struct toolstack_module xenferry_toolstack_module;
__attribute__((visibility("default")))
const struct toolstack_module xenferry_toolstack_module = {
    .version = TOOLSTACK_MODULE_VERSION,
    .name = "libxl",
    .open = light_open,
};
