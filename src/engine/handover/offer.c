/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/handover/offer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/io.h"

#define VCPUS_MAX     8u
#define MEMORY_MAX    (64u << 10) /* MiB */
#define DOMIDS        0x7ff0u
#define CLOCK_SKEW_MS 2000u

uint64_t wall_clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A block device has no size in its stat. */
static bool disk_size(const char *path, int flags, uint64_t *ret,
                      struct error *err)
{
    cleanup_fd int fd = -1;
    off_t end;

    if (!file_open(path, flags, 0, &fd, err))
        return false;
    end = lseek(fd, 0, SEEK_END);
    if (end < 0)
        return error_set_errno(err, ERR_IO, errno, "%s", path);
    *ret = (uint64_t)end;
    return true;
}

bool offer_make(struct move_offer *ret, const char *move,
                const struct keeper_host *host,
                const struct keeper_guest *guest, struct error *err)
{
    struct move_offer o = {
        .protocol = OFFER_PROTOCOL,
        .tsc_khz = host->tsc_khz,
        .wall_ms = wall_clock_ms(),
        .guest = *guest,
    };

    snprintf(o.move, sizeof(o.move), "%s", move);
    snprintf(o.version, sizeof(o.version), "%s", host->version);
    snprintf(o.host, sizeof(o.host), "%s", host->identity);
    snprintf(o.features, sizeof(o.features), "%s", OFFER_FEATURES);
    if (guest->disk[0] &&
        !disk_size(guest->disk, O_RDONLY, &o.disk_octets, err))
        return error_wrap(err, "disk");
    *ret = o;
    return true;
}

struct json_object *offer_to_message(const struct move_offer *o)
{
    struct json_object *m = message_make("move");

    message_add_number(m, "protocol", o->protocol);
    message_add(m, "move", o->move);
    message_add(m, "version", o->version);
    message_add(m, "host", o->host);
    message_add(m, "features", o->features);
    message_add_number(m, "tsc_khz", o->tsc_khz);
    message_add_number(m, "wall_ms", o->wall_ms);
    message_add(m, "guest", o->guest.name);
    message_add_number(m, "domid", o->guest.domid);
    message_add_number(m, "vcpus", o->guest.vcpus);
    message_add_number(m, "memory_mib", o->guest.memory_mib);
    message_add(m, "disk", o->guest.disk);
    message_add_number(m, "disk_octets", o->disk_octets);
    json_object_object_add(m, "disk_read_only",
                           json_object_new_boolean(o->guest.disk_read_only));
    json_object_object_add(m, "paused", json_object_new_boolean(o->paused));
    return m;
}

static bool take_text(struct json_object *m, const char *name, char *ret,
                      size_t size, struct error *err)
{
    const char *text = message_text(m, name);

    if (strlen(text) >= size)
        return error_set(err, ERR_PEER,
                         "offer: \"%s\" of %zu octets, expected at most %zu",
                         name, strlen(text), size - 1);
    memcpy(ret, text, strlen(text) + 1);
    return true;
}

static bool take_number(struct json_object *m, const char *name, uint64_t least,
                        uint64_t most, uint64_t *ret, struct error *err)
{
    uint64_t value = message_number(m, name);

    if (value < least || value > most)
        return error_set(err, ERR_PEER,
                         "offer: \"%s\" is %" PRIu64 ", expected %" PRIu64
                         " to %" PRIu64,
                         name, value, least, most);
    *ret = value;
    return true;
}

static bool name_is_good(const char *name)
{
    size_t length = strlen(name);

    return length > 0 && *name != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789-_.") == length &&
           strspn(name, "0123456789") != length;
}

bool offer_from_message(struct json_object *m, struct move_offer *ret,
                        struct error *err)
{
    struct move_offer o = {.protocol = message_number(m, "protocol")};
    struct keeper_guest *g = &o.guest;
    uint64_t domid, vcpus;

    if (!take_text(m, "version", o.version, sizeof(o.version), err))
        return false;
    if (o.protocol != OFFER_PROTOCOL)
        return error_set(err, ERR_UNSUPPORTED,
                         "version: the source (xenferry %s) speaks protocol "
                         "%" PRIu64 ", this host %u; install the same version "
                         "of xenferry on both",
                         o.version, o.protocol, OFFER_PROTOCOL);
    if (!take_text(m, "move", o.move, sizeof(o.move), err) ||
        !take_text(m, "host", o.host, sizeof(o.host), err) ||
        !take_text(m, "features", o.features, sizeof(o.features), err) ||
        !take_text(m, "guest", g->name, sizeof(g->name), err) ||
        !take_text(m, "disk", g->disk, sizeof(g->disk), err) ||
        !take_number(m, "domid", 1, DOMIDS - 1, &domid, err) ||
        !take_number(m, "vcpus", 1, VCPUS_MAX, &vcpus, err) ||
        !take_number(m, "memory_mib", 1, MEMORY_MAX, &g->memory_mib, err) ||
        !take_number(m, "tsc_khz", 0, UINT32_MAX, &o.tsc_khz, err) ||
        !take_number(m, "wall_ms", 0, INT64_MAX, &o.wall_ms, err) ||
        !take_number(m, "disk_octets", 0, INT64_MAX, &o.disk_octets, err))
        return false;
    if (!move_id_is_good(o.move) || !name_is_good(g->name))
        return error_set(err, ERR_PEER,
                         "offer: move \"%.40s\" of guest \"%.40s\" is not "
                         "well-formed",
                         o.move, g->name);
    g->domid = (uint32_t)domid;
    g->vcpus = (uint32_t)vcpus;
    g->disk_read_only = message_flag(m, "disk_read_only");
    o.paused = message_flag(m, "paused");
    *ret = o;
    return true;
}

/* ---- checks -------------------------------------------------------------- */

/* Every word of 'wanted' is one of ours. */
static bool check_features(const struct move_offer *o, struct error *err)
{
    char wanted[sizeof(o->features)];
    char *rest = wanted, *word;

    memcpy(wanted, o->features, sizeof(wanted));
    while ((word = strsep(&rest, " "))) {
        const char *ours = *word ? strstr(OFFER_FEATURES, word) : NULL;

        if (*word && !ours)
            return error_set(err, ERR_UNSUPPORTED,
                             "features: the move needs \"%.60s\", which this "
                             "host does not have; install version %s of "
                             "xenferry here",
                             word, o->version);
    }
    return true;
}

static bool check_host(const struct move_offer *o,
                       const struct keeper_host *host, struct error *err)
{
    if (!strcmp(o->host, host->identity))
        return error_set(err, ERR_STATE,
                         "host: source and target are the same host; a guest "
                         "keeps its domid, so name another host");
    return true;
}

static bool check_names(const struct move_offer *o, struct keeper *keeper,
                        struct error *err)
{
    const struct keeper_guest *g = &o->guest;
    struct keeper_guest other;
    char domid[16];
    bool found;

    snprintf(domid, sizeof(domid), "%" PRIu32, g->domid);
    if (!keeper->ops->find(keeper, domid, &found, &other, err))
        return false;
    if (found)
        return error_set(err, ERR_STATE,
                         "domid: %" PRIu32 " is taken here by guest \"%s\", "
                         "and \"%s\" has to keep it; move or destroy \"%s\" "
                         "first, or choose another host",
                         g->domid, other.name, g->name, other.name);
    if (!keeper->ops->find(keeper, g->name, &found, &other, err))
        return false;
    if (found)
        return error_set(err, ERR_STATE,
                         "name: a guest \"%s\" (domid %" PRIu32
                         ") is here already; move or destroy it first",
                         g->name, other.domid);
    return true;
}

static bool check_memory(const struct move_offer *o,
                         const struct keeper_host *host, struct error *err)
{
    uint64_t wanted = o->guest.memory_mib << 20;

    if (wanted > host->memory_free)
        return error_set(err, ERR_LIMIT,
                         "memory: the guest has %" PRIu64
                         " MiB, this host %" PRIu64
                         " MiB to give; free some, or choose another host",
                         o->guest.memory_mib, host->memory_free >> 20);
    return true;
}

/* A guest reads the time stamp counter itself, whatever its clock page says. */
static bool check_clock(const struct move_offer *o,
                        const struct keeper_host *host, uint64_t now_ms,
                        struct error *err)
{
    uint64_t skew =
        now_ms > o->wall_ms ? now_ms - o->wall_ms : o->wall_ms - now_ms;
    uint64_t apart = host->tsc_khz > o->tsc_khz ? host->tsc_khz - o->tsc_khz
                                                : o->tsc_khz - host->tsc_khz;

    if (apart > o->tsc_khz / 50)
        return error_set(err, ERR_UNSUPPORTED,
                         "clock: the time stamp counter runs at %" PRIu64
                         " kHz there and at %" PRIu64
                         " kHz here; choose a host of the same speed",
                         o->tsc_khz, host->tsc_khz);
    if (skew > CLOCK_SKEW_MS)
        return error_set(err, ERR_STATE,
                         "clock: the hosts' clocks are %" PRIu64
                         " ms apart, expected at most %u; set them (NTP)",
                         skew, CLOCK_SKEW_MS);
    return true;
}

static bool check_disk(const struct move_offer *o, struct error *err)
{
    const struct keeper_guest *g = &o->guest;
    struct error reason;
    uint64_t octets;

    if (!g->disk[0])
        return true;
    if (!disk_size(g->disk, g->disk_read_only ? O_RDONLY : O_RDWR, &octets,
                   &reason))
        return error_set(err, ERR_STATE,
                         "disk: %.300s; make the guest's disk available here "
                         "under the same path",
                         reason.text);
    if (octets != o->disk_octets)
        return error_set(err, ERR_STATE,
                         "disk: %.200s has %" PRIu64 " octets here and %" PRIu64
                         " there; it has to be the same disk",
                         g->disk, octets, o->disk_octets);
    return true;
}

bool offer_check(const struct move_offer *o, struct keeper *keeper,
                 uint64_t now_ms, struct error *err)
{
    struct keeper_host host;

    return keeper->ops->describe(keeper, &host, err) &&
           check_features(o, err) && check_host(o, &host, err) &&
           check_names(o, keeper, err) && check_memory(o, &host, err) &&
           check_clock(o, &host, now_ms, err) && check_disk(o, err);
}
