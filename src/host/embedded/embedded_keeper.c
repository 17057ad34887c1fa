/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/embedded/embedded_keeper.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "host/embedded/hostd_client.h"
#include "host/host.h"

struct embedded_keeper {
    struct keeper keeper;
    struct hostd_client client;
    char folder[KEEPER_PATH_MAX];
};

static struct embedded_keeper *of(struct keeper *k)
{
    return container_of(k, struct embedded_keeper, keeper);
}

static bool tell(struct keeper *k, struct json_object *request,
                 struct error *err)
{
    return hostd_call(&of(k)->client, request, NULL, 0, NULL, NULL, err);
}

static void op_close(struct keeper *k)
{
    hostd_client_close(&of(k)->client);
    free(of(k));
}

/* ---- describing -------------------------------------------------------- */

/* What the kernel could give, by its own estimate. */
static uint64_t memory_available(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    unsigned long long kib = 0;
    char line[128];

    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            break;
    if (file)
        fclose(file);
    return (uint64_t)kib << 10;
}

/* This boot of this machine, and the folder there. */
static void identify(const char *folder, char *ret, size_t size)
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    char boot[40] = "";

    if (file && !fgets(boot, sizeof(boot), file))
        boot[0] = '\0';
    if (file)
        fclose(file);
    boot[strcspn(boot, "\n")] = '\0';
    snprintf(ret, size, "%s:%.80s", boot, folder);
}

static bool op_describe(struct keeper *k, struct keeper_host *ret,
                        struct error *err)
{
    struct keeper_host host = {.memory_free = memory_available()};
    struct json_object *info;

    if (!hostd_call(&of(k)->client, hostd_request("host-info"), NULL, 0, NULL,
                    &info, err))
        return false;
    identify(of(k)->folder, host.identity, sizeof(host.identity));
    snprintf(host.version, sizeof(host.version), "%s",
             hostd_text(info, "version"));
    host.tsc_khz = hostd_number(info, "tsc_khz");
    json_object_put(info);
    *ret = host;
    return true;
}

static enum keeper_state state_of(const char *name)
{
    if (!strcmp(name, "running"))
        return KEPT_RUNNING;
    if (!strcmp(name, "paused"))
        return KEPT_PAUSED;
    if (!strcmp(name, "suspended"))
        return KEPT_SUSPENDED;
    return KEPT_ENDED;
}

static bool op_find(struct keeper *k, const char *name, bool *ret_found,
                    struct keeper_guest *ret, struct error *err)
{
    struct json_object *request = hostd_request_named("domain-show", name);
    struct keeper_guest guest = {0};
    struct json_object *answer, *d;
    struct error refused;

    if (!hostd_call(&of(k)->client, request, NULL, 0, NULL, &answer,
                    &refused)) {
        if (refused.code != ERR_STATE) {
            if (err)
                *err = refused;
            return false;
        }
        *ret_found = false;
        return true;
    }
    if (json_object_object_get_ex(answer, "domain", &d)) {
        snprintf(guest.name, sizeof(guest.name), "%s", hostd_text(d, "name"));
        guest.domid = (uint32_t)hostd_number(d, "domid");
        guest.vcpus = (uint32_t)hostd_number(d, "vcpus");
        guest.memory_mib = hostd_number(d, "memory_mib");
        guest.state = state_of(hostd_text(d, "state"));
        snprintf(guest.cannot_leave, sizeof(guest.cannot_leave), "%s",
                 hostd_text(d, "cannot_leave"));
    }
    snprintf(guest.disk, sizeof(guest.disk), "%s", hostd_text(answer, "disk"));
    guest.disk_read_only = hostd_flag(answer, "disk_read_only");
    json_object_put(answer);
    *ret = guest;
    *ret_found = true;
    return true;
}

/* ---- acting ------------------------------------------------------------ */

static bool op_suspend(struct keeper *k, uint32_t domid, struct error *err)
{
    struct json_object *request = hostd_request_about("domain-shutdown", domid);

    if (request)
        json_object_object_add(request, "reason",
                               json_object_new_int(SHUTDOWN_REASON_SUSPEND));
    return tell(k, request, err);
}

static bool op_resume(struct keeper *k, uint32_t domid, struct error *err)
{
    return tell(k, hostd_request_about("domain-resume", domid), err);
}

static bool op_create(struct keeper *k, const struct keeper_guest *guest,
                      struct error *err)
{
    struct json_object *request = hostd_request("domain-create");

    if (!request)
        return error_set(err, ERR_NO_MEMORY, "request: no memory");
    json_object_object_add(request, "name",
                           json_object_new_string(guest->name));
    json_object_object_add(request, "domid",
                           json_object_new_int64(guest->domid));
    json_object_object_add(request, "vcpus",
                           json_object_new_int64(guest->vcpus));
    json_object_object_add(request, "memory_mib",
                           json_object_new_uint64(guest->memory_mib));
    if (guest->disk[0])
        json_object_object_add(request, "disk",
                               json_object_new_string(guest->disk));
    json_object_object_add(request, "disk_read_only",
                           json_object_new_boolean(guest->disk_read_only));
    json_object_object_add(request, "paused", json_object_new_boolean(true));
    return tell(k, request, err);
}

/* A host that is gone before it was asked has certainly not started it. */
static enum keeper_outcome op_start(struct keeper *k, uint32_t domid,
                                    struct error *err)
{
    struct keeper_host host;
    struct error result;

    if (!op_describe(k, &host, err))
        return KEEPER_REFUSED;
    if (tell(k, hostd_request_about("domain-unpause", domid), &result))
        return KEEPER_DONE;
    if (err)
        *err = result;
    return result.code == ERR_STATE || result.code == ERR_USAGE
               ? KEEPER_REFUSED
               : KEEPER_UNKNOWN;
}

static bool op_destroy(struct keeper *k, uint32_t domid, struct error *err)
{
    return tell(k, hostd_request_about("domain-destroy", domid), err);
}

static const struct keeper_ops ops = {
    .close = op_close,
    .describe = op_describe,
    .find = op_find,
    .suspend = op_suspend,
    .resume = op_resume,
    .create = op_create,
    .start = op_start,
    .destroy = op_destroy,
};

bool embedded_keeper_open(const char *folder, struct keeper **ret,
                          struct error *err)
{
    struct embedded_keeper *e = calloc(1, sizeof(*e));
    char whole[PATH_MAX];

    if (!e)
        return error_set(err, ERR_NO_MEMORY, "host: no memory");
    e->keeper.ops = &ops;
    if (!realpath(folder, whole))
        snprintf(whole, sizeof(whole), "%s", folder);
    snprintf(e->folder, sizeof(e->folder), "%.255s", whole);
    if (!hostd_client_open(&e->client, folder, err)) {
        free(e);
        return false;
    }
    *ret = &e->keeper;
    return true;
}
