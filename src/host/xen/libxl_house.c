/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * After the guest runs: somebody has to act on its power-off or reboot, as xl
 * does for the guests that it starts.
 *
 *   shut down because of   what is done
 *   suspend                nothing: a save has it; look again in a second
 *   poweroff, reboot,
 *   crash, watchdog        what on_... in its configuration says
 *
 * A restarted guest is a new domain of the same configuration, and is watched
 * in turn.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "host/xen/libxl_toolstack.h"

#define DUMP_FOLDER "/var/lib/xen/dump"

static libxl_action_on_shutdown action_of(const libxl_domain_config *config,
                                          libxl_shutdown_reason reason)
{
    switch (reason) {
    case LIBXL_SHUTDOWN_REASON_REBOOT:
        return config->on_reboot;
    case LIBXL_SHUTDOWN_REASON_CRASH:
        return config->on_crash;
    case LIBXL_SHUTDOWN_REASON_WATCHDOG:
        return config->on_watchdog;
    case LIBXL_SHUTDOWN_REASON_SOFT_RESET:
        return config->on_soft_reset;
    case LIBXL_SHUTDOWN_REASON_POWEROFF:
        return config->on_poweroff;
    default:
        return LIBXL_ACTION_ON_SHUTDOWN_DESTROY;
    }
}

/* A core dump that cannot be taken does not keep the guest from restarting. */
static void dump_core(struct light *ts, uint32_t domid, const char *name)
{
    char path[TOOLSTACK_NAME_MAX + 96];

    snprintf(path, sizeof(path), "%s/%s-%lld", DUMP_FOLDER, name,
             (long long)time(NULL));
    if (libxl_domain_core_dump(ts->ctx, domid, path, NULL))
        log_warning(ts->base.log, "domain %u: no core dump in %s", domid, path);
}

/* Create the guest anew; *domid is the new domain. */
static bool start_again(struct light *ts, libxl_domain_config *config,
                        uint32_t *domid, struct error *err)
{
    struct light_operation op;
    libxl_asyncop_how how = light_operation_how(&op);
    int rc;

    if (!light_operation_prepare(ts, NULL, err))
        return false;
    *domid = INVALID_DOMID;
    rc = light_operation_wait(
        ts, &op, libxl_domain_create_new(ts->ctx, config, domid, &how, NULL));
    light_operation_end(ts);
    if (rc) {
        struct error ignored;

        light_error(ts, rc, err, "starting domain %.128s again",
                    config->c_info.name);
        if (libxl_domid_valid_guest(*domid) &&
            !light_destroy_now(ts, *domid, &ignored))
            log_warning(ts->base.log, "%s", ignored.text);
        return false;
    }
    return light_unpause_now(ts, *domid, err);
}

/* Keep the dead domain under another name and identity. */
static bool put_aside(struct light *ts, libxl_domain_config *config,
                      uint32_t domid, struct error *err)
{
    libxl_uuid fresh;
    char suffix[40];
    int rc;

    libxl_uuid_generate(&fresh);
    snprintf(suffix, sizeof(suffix), "-%lld", (long long)time(NULL));
    ts->reason[0] = '\0';
    rc = libxl_domain_preserve(ts->ctx, domid, &config->c_info, suffix, fresh);
    return rc == 0 || light_error(ts, rc, err, "keeping domain %u", domid);
}

enum house_step { HOUSE_WATCH, HOUSE_DONE, HOUSE_FAILED };

static enum house_step on_shutdown(struct light *ts,
                                   libxl_domain_config *config,
                                   libxl_shutdown_reason reason,
                                   uint32_t *domid, struct error *err)
{
    libxl_action_on_shutdown action = action_of(config, reason);

    log_info(ts->base.log, "domain %u: shut down (%s), action %s", *domid,
             libxl_shutdown_reason_to_string(reason),
             libxl_action_on_shutdown_to_string(action));
    if (action == LIBXL_ACTION_ON_SHUTDOWN_COREDUMP_DESTROY ||
        action == LIBXL_ACTION_ON_SHUTDOWN_COREDUMP_RESTART)
        dump_core(ts, *domid, config->c_info.name);

    switch (action) {
    case LIBXL_ACTION_ON_SHUTDOWN_PRESERVE:
        return HOUSE_DONE;
    case LIBXL_ACTION_ON_SHUTDOWN_RESTART:
    case LIBXL_ACTION_ON_SHUTDOWN_COREDUMP_RESTART:
        if (!light_destroy_now(ts, *domid, err))
            return HOUSE_FAILED;
        return start_again(ts, config, domid, err) ? HOUSE_WATCH : HOUSE_FAILED;
    case LIBXL_ACTION_ON_SHUTDOWN_RESTART_RENAME:
        if (!put_aside(ts, config, *domid, err))
            return HOUSE_FAILED;
        return start_again(ts, config, domid, err) ? HOUSE_WATCH : HOUSE_FAILED;
    default:
        return light_destroy_now(ts, *domid, err) ? HOUSE_DONE : HOUSE_FAILED;
    }
}

/* Until a suspended guest was resumed or is gone. */
static bool wait_while_suspended(struct light *ts, uint32_t domid)
{
    struct toolstack_guest guest;
    struct error ignored;

    for (;;) {
        if (!light_look(&ts->base, domid, &guest, &ignored))
            return false;
        if (!guest.suspended)
            return true;
        poll(NULL, 0, 1000);
    }
}

static bool fetch_config(struct light *ts, uint32_t domid,
                         libxl_domain_config *ret, struct error *err)
{
    int rc = libxl_retrieve_domain_configuration(ts->ctx, domid, ret, NULL);

    if (rc)
        return light_error(ts, rc, err, "configuration of domain %u", domid);
    ret->c_info.domid = 0; /* a restarted guest takes any number */
    return true;
}

bool light_keep_house(struct toolstack *base, uint32_t domid, struct error *err)
{
    struct light *ts = light_of(base);

    for (;;) {
        cleanup(libxl_domain_config_dispose) libxl_domain_config config;
        libxl_evgen_domain_death *watch = NULL;
        libxl_shutdown_reason reason;
        libxl_event *event;
        bool destroyed;

        libxl_domain_config_init(&config);
        if (libxl_evenable_domain_death(ts->ctx, domid, 0, &watch))
            return light_error(ts, ERROR_FAIL, err, "watching domain %u",
                               domid);
        if (libxl_event_wait(ts->ctx, &event, LIBXL_EVENTMASK_ALL, NULL, NULL))
            return light_error(ts, ERROR_FAIL, err, "watching domain %u",
                               domid);
        destroyed = event->type == LIBXL_EVENT_TYPE_DOMAIN_DEATH;
        reason = destroyed ? LIBXL_SHUTDOWN_REASON_UNKNOWN
                           : event->u.domain_shutdown.shutdown_reason;
        libxl_event_free(ts->ctx, event);
        libxl_evdisable_domain_death(ts->ctx, watch);
        while (libxl_event_check(ts->ctx, &event, LIBXL_EVENTMASK_ALL, NULL,
                                 NULL) == 0)
            libxl_event_free(ts->ctx, event);

        if (destroyed)
            return true;
        if (reason == LIBXL_SHUTDOWN_REASON_SUSPEND) {
            if (!wait_while_suspended(ts, domid))
                return true;
            continue;
        }
        /* Its devices may have changed since it was created: ask only now. */
        if (!fetch_config(ts, domid, &config, err))
            return false;
        switch (on_shutdown(ts, &config, reason, &domid, err)) {
        case HOUSE_WATCH:
            break;
        case HOUSE_DONE:
            return true;
        case HOUSE_FAILED:
            return false;
        }
    }
}
