/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Making a domain from a configuration and a stream.
 *
 * From the look at the free memory until the domain exists, xl's lock is held,
 * as xl itself does: two creations would each count on the same memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "host/xen/libxl_toolstack.h"

#define XL_LOCK_FILE     "/var/lock/xl"
#define LOCK_TIMEOUT_MS  300000
#define BALLOON_ATTEMPTS 3
#define BALLOON_WAIT_S   10

static bool config_parse(struct light *ts, const char *config,
                         libxl_domain_config *ret, struct error *err)
{
    int rc;

    ts->reason[0] = '\0';
    rc = libxl_domain_config_from_json(ts->ctx, ret, config);
    if (rc)
        return light_error(ts, rc, err, "domain configuration");
    if (!ret->c_info.name || !ret->c_info.name[0])
        return error_set(err, ERR_FORMAT,
                         "domain configuration: no name, expected one");
    /* The name becomes part of paths: of logs, of xenstore values. */
    for (const char *c = ret->c_info.name; *c; c++)
        if (*c == '/' || (unsigned char)*c < ' ' || *c == 0x7f)
            return error_set(err, ERR_FORMAT,
                             "domain configuration: a name with octet %#x",
                             (unsigned char)*c);
    if (strlen(ret->c_info.name) >= TOOLSTACK_NAME_MAX - 32)
        return error_set(err, ERR_LIMIT,
                         "domain configuration: a name of %zu octets, "
                         "expected fewer than %d",
                         strlen(ret->c_info.name), TOOLSTACK_NAME_MAX - 32);
    return true;
}

static bool config_rename(libxl_domain_config *config, const char *name,
                          struct error *err)
{
    char *copy;

    if (!name)
        return true;
    copy = strdup(name);
    if (!copy)
        return error_set(err, ERR_NO_MEMORY, "domain name");
    free(config->c_info.name);
    config->c_info.name = copy;
    return true;
}

static bool name_is_free(struct light *ts, const char *name, struct error *err)
{
    uint32_t domid;

    if (libxl_name_to_domid(ts->ctx, name, &domid) != 0)
        return true;
    return error_set(err, ERR_STATE,
                     "domain %.128s: exists already, as number %u", name,
                     domid);
}

/* dom0_mem on Xen's command line says that nobody is to change it. */
static bool may_balloon(struct light *ts)
{
    const libxl_version_info *info = libxl_get_version_info(ts->ctx);

    return info && info->commandline && !strstr(info->commandline, "dom0_mem=");
}

static bool memory_is_free(struct light *ts, libxl_domain_config *config,
                           struct error *err)
{
    uint64_t need = 0, have = 0;

    ts->reason[0] = '\0';
    for (int attempt = 0;; attempt++) {
        int rc =
            libxl_domain_need_memory(ts->ctx, config, INVALID_DOMID, &need);

        if (!rc)
            rc = libxl_get_free_memory(ts->ctx, &have);
        if (rc)
            return light_error(ts, rc, err, "free memory");
        if (have >= need)
            return true;
        if (attempt == BALLOON_ATTEMPTS || !may_balloon(ts))
            return error_set(err, ERR_NO_MEMORY,
                             "memory: the guest needs %" PRIu64 " KiB, %" PRIu64
                             " KiB are free here",
                             need, have);
        if (libxl_set_memory_target(ts->ctx, 0, (int64_t)have - (int64_t)need,
                                    1, 0) == 0)
            libxl_wait_for_memory_target(ts->ctx, 0, BALLOON_WAIT_S);
    }
}

bool light_config_describe(struct toolstack *base, const char *config,
                           struct toolstack_guest *ret, struct error *err)
{
    struct light *ts = light_of(base);
    cleanup(libxl_domain_config_dispose) libxl_domain_config c;
    struct toolstack_guest g = {.domid = TOOLSTACK_ANY_DOMID};

    libxl_domain_config_init(&c);
    if (!config_parse(ts, config, &c, err))
        return false;
    if (c.c_info.domid != 0)
        g.domid = c.c_info.domid;
    snprintf(g.name, sizeof(g.name), "%s", c.c_info.name);
    snprintf(g.type, sizeof(g.type), "%s",
             libxl_domain_type_to_string(c.c_info.type));
    snprintf(g.uuid, sizeof(g.uuid), LIBXL_UUID_FMT,
             LIBXL_UUID_BYTES(c.c_info.uuid));
    g.memory_kib = c.b_info.max_memkb;
    g.vcpus = (uint32_t)c.b_info.max_vcpus;
    *ret = g;
    return true;
}

static bool number_is_free(struct light *ts, uint32_t domid, struct error *err)
{
    struct toolstack_guest other;
    struct error none;

    if (domid == 0 || !light_look(&ts->base, domid, &other, &none))
        return true;
    return error_set(err, ERR_STATE, "domain number %u: taken here by %.128s",
                     domid, other.name);
}

bool light_config_check(struct toolstack *base, const char *config,
                        const char *name, struct error *err)
{
    struct light *ts = light_of(base);
    cleanup(libxl_domain_config_dispose) libxl_domain_config c;

    libxl_domain_config_init(&c);
    return config_parse(ts, config, &c, err) &&
           name_is_free(ts, name ? name : c.c_info.name, err) &&
           number_is_free(ts, c.c_info.domid, err) &&
           memory_is_free(ts, &c, err);
}

/* xl's lock: a record lock on the whole file, gone when the file is closed. */
static bool lock_take(const struct toolstack_work *work, int *ret_fd,
                      struct error *err)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int64_t deadline = deadline_after_ms(LOCK_TIMEOUT_MS);
    cleanup_fd int fd =
        open(XL_LOCK_FILE, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return error_set_errno(err, ERR_IO, errno, "%s", XL_LOCK_FILE);
    while (fcntl(fd, F_SETLK, &lock) != 0) {
        if (errno != EAGAIN && errno != EACCES && errno != EINTR)
            return error_set_errno(err, ERR_IO, errno, "%s", XL_LOCK_FILE);
        if (light_work_cancelled(work))
            return error_set(err, ERR_CANCELLED, "cancelled");
        if (deadline_left_ms(deadline) == 0)
            return error_set(err, ERR_TIMEOUT,
                             "%s: held for %d s by another creation of a "
                             "domain",
                             XL_LOCK_FILE, LOCK_TIMEOUT_MS / 1000);
        poll(NULL, 0, 50);
    }
    *ret_fd = take_fd(&fd);
    return true;
}

bool light_restore(struct toolstack *base, const char *config, const char *name,
                   const uint8_t *preamble, int fd,
                   const struct toolstack_work *work, uint32_t *ret_domid,
                   struct error *err)
{
    struct light *ts = light_of(base);
    cleanup(libxl_domain_config_dispose) libxl_domain_config c;
    cleanup(libxl_domain_restore_params_dispose)
        libxl_domain_restore_params params;
    struct light_operation op;
    libxl_asyncop_how how = light_operation_how(&op);
    uint32_t domid = INVALID_DOMID;
    cleanup_fd int lock = -1;
    int rc;

    libxl_domain_config_init(&c);
    libxl_domain_restore_params_init(&params);
    params.checkpointed_stream = LIBXL_CHECKPOINTED_STREAM_NONE;
    params.stream_version = 2;
    if (!config_parse(ts, config, &c, err) || !config_rename(&c, name, err) ||
        !lock_take(work, &lock, err) || !name_is_free(ts, c.c_info.name, err) ||
        !memory_is_free(ts, &c, err))
        return false;

    if (!light_operation_prepare(ts, work, err) ||
        !light_stream_begin(ts, fd, preamble, err)) {
        light_operation_end(ts);
        return false;
    }
    rc = light_operation_wait(ts, &op,
                              libxl_domain_create_restore(ts->ctx, &c, &domid,
                                                          ts->stream.fd, -1,
                                                          &params, &how, NULL));
    if (rc && light_work_cancelled(work))
        rc = ERROR_ABORTED;
    if (rc)
        light_error(ts, rc, err, "restoring domain %.128s", c.c_info.name);
    light_operation_end(ts);
    if (rc) {
        struct error ignored;

        /* libxl cleans up most failures itself, not all. */
        if (libxl_domid_valid_guest(domid) &&
            !light_destroy_now(ts, domid, &ignored))
            log_debug(base->log, "%s", ignored.text);
        return false;
    }
    *ret_domid = domid;
    return true;
}
