/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fake_toolstack.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct fake_toolstack *fake_of(struct toolstack *ts)
{
    return container_of(ts, struct fake_toolstack, base);
}

/* Note the call; false when it is to fail. */
static bool enter(struct fake_toolstack *f, const char *name,
                  const char *arguments, struct error *err)
{
    size_t length = strlen(f->calls);

    snprintf(f->calls + length, sizeof(f->calls) - length, "%s%s%s;", name,
             arguments[0] ? " " : "", arguments);
    if (f->hook_at && !strcmp(f->hook_at, name))
        f->hook(f->hook_context);
    if ((f->fail && !strcmp(f->fail, name)) ||
        (f->fail_also && !strcmp(f->fail_also, name)))
        return error_set(err, ERR_HOST, "%s: refused by the test", name);
    return true;
}

static void fake_close(struct toolstack *ts)
{
}

static bool fake_look(struct toolstack *ts, uint32_t domid,
                      struct toolstack_guest *ret, struct error *err)
{
    struct fake_toolstack *f = fake_of(ts);

    if (!f->exists)
        return error_set(err, ERR_STATE, "domain %u: there is none", domid);
    *ret = f->guest;
    return true;
}

static bool fake_find(struct toolstack *ts, const char *name_or_domid,
                      struct toolstack_guest *ret, struct error *err)
{
    struct fake_toolstack *f = fake_of(ts);

    if (!f->exists || strcmp(f->guest.name, name_or_domid) != 0)
        return error_set(err, ERR_STATE, "domain %s: there is none",
                         name_or_domid);
    *ret = f->guest;
    return true;
}

static bool fake_config_get(struct toolstack *ts, uint32_t domid,
                            bool keep_domid, struct buffer *ret,
                            struct error *err)
{
    buffer_bytes(ret, FAKE_CONFIG, sizeof(FAKE_CONFIG));
    return buffer_check(ret, "config", err);
}

static bool fake_config_describe(struct toolstack *ts, const char *config,
                                 struct toolstack_guest *ret, struct error *err)
{
    struct toolstack_guest guest = {.domid = TOOLSTACK_ANY_DOMID,
                                    .name = "g1",
                                    .type = "pvh",
                                    .uuid = "the-uuid"};

    if (strcmp(config, FAKE_CONFIG) != 0)
        return error_set(err, ERR_FORMAT, "config: %s", config);
    *ret = guest;
    return true;
}

static bool fake_config_check(struct toolstack *ts, const char *config,
                              const char *name, struct error *err)
{
    return enter(fake_of(ts), "check", name ? name : "", err);
}

static bool fake_save(struct toolstack *ts, uint32_t domid, int fd,
                      unsigned int flags, const struct toolstack_work *work,
                      enum toolstack_save_outcome *ret, struct error *err)
{
    struct pollfd cancel = {.fd = work->cancel_fd, .events = POLLIN};
    struct fake_toolstack *f = fake_of(ts);

    *ret = f->save_failure;
    if (!enter(f, "save", flags & TOOLSTACK_SAVE_LIVE ? "live" : "", err)) {
        f->guest.suspended = f->save_failure == SAVE_SUSPENDED;
        f->exists = f->save_failure != SAVE_GUEST_GONE;
        return false;
    }
    *ret = SAVE_UNCHANGED;
    if (work->cancel_fd >= 0 && poll(&cancel, 1, 0) > 0)
        return error_set(err, ERR_CANCELLED, "save: cancelled");
    f->guest.suspended = true;
    *ret = SAVE_SUSPENDED;
    if (write(fd, FAKE_PREAMBLE, TOOLSTACK_PREAMBLE) != TOOLSTACK_PREAMBLE ||
        write(fd, FAKE_IMAGE, strlen(FAKE_IMAGE)) !=
            (ssize_t)strlen(FAKE_IMAGE))
        return error_set(err, ERR_PEER, "save: write");
    if (work->event)
        work->event(work->context, "{\"phase\":\"final\",\"bytes\":8}");
    *ret = SAVE_DONE;
    return enter(f, "saved", "", err);
}

static bool fake_resume(struct toolstack *ts, uint32_t domid, struct error *err)
{
    struct fake_toolstack *f = fake_of(ts);

    if (!enter(f, "resume", "", err))
        return false;
    f->guest.suspended = false;
    return true;
}

static bool fake_restore(struct toolstack *ts, const char *config,
                         const char *name, const uint8_t *preamble, int fd,
                         const struct toolstack_work *work, uint32_t *ret_domid,
                         struct error *err)
{
    struct fake_toolstack *f = fake_of(ts);
    char image[sizeof(FAKE_IMAGE) - 1];
    size_t have = 0;

    if (!enter(f, "restore", name ? name : "", err))
        return false;
    if (memcmp(preamble, FAKE_PREAMBLE, TOOLSTACK_PREAMBLE) != 0)
        return error_set(err, ERR_FORMAT, "restore: not the preamble");
    while (have < sizeof(image)) {
        ssize_t got = read(fd, image + have, sizeof(image) - have);

        if (got <= 0)
            return error_set(err, ERR_TRUNCATED, "restore: %zu octets", have);
        have += (size_t)got;
    }
    if (memcmp(image, FAKE_IMAGE, sizeof(image)) != 0)
        return error_set(err, ERR_FORMAT, "restore: not the image");
    f->exists = true;
    f->guest = (struct toolstack_guest){.domid = FAKE_DOMID, .paused = true};
    snprintf(f->guest.name, sizeof(f->guest.name), "%s", name ? name : "g1");
    *ret_domid = FAKE_DOMID;
    return true;
}

static bool fake_rename(struct toolstack *ts, uint32_t domid, const char *from,
                        const char *to, struct error *err)
{
    struct fake_toolstack *f = fake_of(ts);
    char arguments[2 * TOOLSTACK_NAME_MAX];

    snprintf(arguments, sizeof(arguments), "%s %s", from, to);
    if (!enter(f, "rename", arguments, err))
        return false;
    if (strcmp(f->guest.name, from) != 0)
        return error_set(err, ERR_STATE, "rename: its name is %s",
                         f->guest.name);
    snprintf(f->guest.name, sizeof(f->guest.name), "%s", to);
    return true;
}

static bool fake_pause(struct toolstack *ts, uint32_t domid, struct error *err)
{
    struct fake_toolstack *f = fake_of(ts);

    if (!enter(f, "pause", "", err))
        return false;
    f->guest.paused = true;
    return true;
}

static bool fake_unpause(struct toolstack *ts, uint32_t domid,
                         struct error *err)
{
    struct fake_toolstack *f = fake_of(ts);

    if (!enter(f, "unpause", "", err))
        return false;
    f->guest.paused = false;
    return true;
}

static bool fake_destroy(struct toolstack *ts, uint32_t domid,
                         struct error *err)
{
    struct fake_toolstack *f = fake_of(ts);

    if (!enter(f, "destroy", "", err))
        return false;
    f->exists = false;
    return true;
}

static bool fake_keep_house(struct toolstack *ts, uint32_t domid,
                            struct error *err)
{
    return enter(fake_of(ts), "keep-house", "", err);
}

static const struct toolstack_ops fake_ops = {
    .name = "fake",
    .close = fake_close,
    .find = fake_find,
    .look = fake_look,
    .config_get = fake_config_get,
    .config_describe = fake_config_describe,
    .config_check = fake_config_check,
    .save = fake_save,
    .resume = fake_resume,
    .restore = fake_restore,
    .rename = fake_rename,
    .pause = fake_pause,
    .unpause = fake_unpause,
    .destroy = fake_destroy,
    .keep_house = fake_keep_house,
};

void fake_toolstack_init(struct fake_toolstack *f, bool with_guest)
{
    *f = (struct fake_toolstack){.base = {.ops = &fake_ops},
                                 .exists = with_guest,
                                 .save_failure = SAVE_UNCHANGED};
    if (with_guest)
        f->guest = (struct toolstack_guest){.domid = FAKE_DOMID,
                                            .name = "g1",
                                            .type = "pvh",
                                            .uuid = "the-uuid"};
}
