/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/handover/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"

#define JOURNAL_ROOM 4096u /* more than a move has to say */
#define FOLDER       "moves"
#define NEW_LOCK_MS  2000

const char *handover_role_name(enum handover_role role)
{
    return role == ROLE_SOURCE ? "source" : "target";
}

bool move_id_is_good(const char *id)
{
    return strlen(id) == MOVE_ID_MAX - 1 &&
           strspn(id, "0123456789abcdef") == MOVE_ID_MAX - 1;
}

bool move_id_make(char ret[MOVE_ID_MAX], struct error *err)
{
    uint8_t bytes[(MOVE_ID_MAX - 1) / 2];

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return error_set_errno(err, ERR_IO, errno, "random numbers");
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

/* ---- lines -------------------------------------------------------------- */

static uint32_t crc32_of(const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    uint32_t crc = 0xffffffff;

    for (size_t i = 0; i < length; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

static bool append_line(struct journal *j, struct json_object *json, bool sync,
                        struct error *err)
{
    cleanup(buffer_release) struct buffer line = {0};
    const char *text;
    ssize_t done;
    size_t length;

    json_object_object_add(json, "time", json_object_new_int64(time(NULL)));
    text = json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN);
    buffer_format(&line, "%08" PRIx32 " %s\n", crc32_of(text, strlen(text)),
                  text);
    length = line.length;
    /*
     * Room that is there already: forced to the disk without waiting for the
     * file system's own journal, which others fill.
     */
    if (j->length == 0)
        buffer_zeroes(&line, JOURNAL_ROOM - size_min(length, JOURNAL_ROOM));
    if (!buffer_check(&line, "journal", err))
        return false;
    /* One call: a line is there, or cut and then not there. */
    done = pwrite(j->fd, line.bytes, line.length, (off_t)j->length);
    if (done != (ssize_t)line.length)
        return error_set_errno(err, ERR_IO, done < 0 ? errno : ENOSPC, "%s",
                               j->path);
    j->length += length;
    if (sync && fdatasync(j->fd) != 0)
        return error_set_errno(err, ERR_IO, errno, "%s", j->path);
    return true;
}

static const char *text_of(struct json_object *json, const char *name)
{
    struct json_object *value;

    if (!json_object_object_get_ex(json, name, &value) ||
        !json_object_is_type(value, json_type_string))
        return "";
    return json_object_get_string(value);
}

static bool take_facts(struct journal *j, struct json_object *json)
{
    struct json_object *domid, *paused;

    snprintf(j->facts.move, sizeof(j->facts.move), "%s", text_of(json, "move"));
    snprintf(j->facts.guest, sizeof(j->facts.guest), "%s",
             text_of(json, "guest"));
    snprintf(j->facts.peer, sizeof(j->facts.peer), "%s", text_of(json, "peer"));
    if (json_object_object_get_ex(json, "domid", &domid))
        j->facts.domid = (uint32_t)json_object_get_int64(domid);
    j->facts.paused = json_object_object_get_ex(json, "paused", &paused) &&
                      json_object_get_boolean(paused);
    return move_id_is_good(j->facts.move) && j->facts.guest[0];
}

/* A line without its newline; false: it does not count. */
static bool take_line(struct journal *j, char *line, bool first)
{
    struct json_object *json;
    uint32_t crc;
    bool good;

    if (sscanf(line, "%8" SCNx32 " ", &crc) != 1 || strlen(line) < 10 ||
        crc32_of(line + 9, strlen(line + 9)) != crc)
        return false;
    json = json_tokener_parse(line + 9);
    good = json && json_object_is_type(json, json_type_object);
    if (good && first)
        good = take_facts(j, json);
    if (good && *text_of(json, "state"))
        j->state = handover_state_of(text_of(json, "state"));
    json_object_put(json);
    return good;
}

/* Cuts off a last line that was not finished, so that others can follow. */
static bool read_lines(struct journal *j, struct error *err)
{
    cleanup_free char *text = malloc(JOURNAL_MAX_LEN + 1);
    ssize_t got = text ? pread(j->fd, text, JOURNAL_MAX_LEN, 0) : -1;
    char *at = text, *end;

    if (!text)
        return error_set(err, ERR_NO_MEMORY, "journal: no memory");
    if (got < 0)
        return error_set_errno(err, ERR_IO, errno, "%s", j->path);
    text[got] = '\0';
    while ((end = strchr(at, '\n'))) {
        *end = '\0';
        if (!take_line(j, at, at == text))
            break;
        at = end + 1;
    }
    j->length = (size_t)(at - text);
    if (end && end[1])
        return error_set(err, ERR_FORMAT,
                         "%s: a line at offset %td does not match its checksum",
                         j->path, at - text);
    if (at != text + got && ftruncate(j->fd, at - text) != 0)
        return error_set_errno(err, ERR_IO, errno, "%s", j->path);
    return j->state != HANDOVER_NONE ||
           error_set(err, ERR_TRUNCATED, "%s: no state in it", j->path);
}

/* ---- files -------------------------------------------------------------- */

static bool name_it(struct journal *j, const char *folder, const char *move,
                    struct error *err)
{
    int length = snprintf(j->path, sizeof(j->path), "%s/" FOLDER "/%s.%s",
                          folder, move, handover_role_name(j->role));

    return (length > 0 && (size_t)length < sizeof(j->path)) ||
           error_set(err, ERR_USAGE, "%s: too long", folder);
}

static bool lock_it(struct journal *j, bool *ret_busy, struct error *err)
{
    *ret_busy = false;
    if (flock(j->fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    *ret_busy = errno == EWOULDBLOCK;
    if (*ret_busy)
        return error_set(err, ERR_STATE,
                         "move %s: another process is at it; wait until it has "
                         "ended",
                         j->facts.move);
    return error_set_errno(err, ERR_IO, errno, "%s", j->path);
}

/* Who looks through all journals may have met it empty, and lets go of it. */
static bool lock_new(struct journal *j, struct error *err)
{
    int64_t deadline = deadline_after_ms(NEW_LOCK_MS);
    struct timespec nap = {.tv_nsec = NS_PER_MS};
    bool busy;

    while (!lock_it(j, &busy, err)) {
        if (!busy || clock_now_ns() > deadline)
            return false;
        nanosleep(&nap, NULL);
    }
    return true;
}

static bool sync_folder(const char *folder, struct error *err)
{
    char path[512];
    cleanup_fd int fd = -1;

    snprintf(path, sizeof(path), "%s/" FOLDER, folder);
    if (!file_open(path, O_RDONLY | O_DIRECTORY, 0, &fd, err))
        return false;
    return fsync(fd) == 0 || error_set_errno(err, ERR_IO, errno, "%s", path);
}

bool journal_create(struct journal *ret, const char *folder,
                    enum handover_role role, const struct move_facts *facts,
                    enum handover_state state, struct error *err)
{
    cleanup(journal_release) struct journal j = {
        .fd = -1, .role = role, .facts = *facts, .state = state};
    struct json_object *json;
    char moves[512];
    bool ok;

    snprintf(moves, sizeof(moves), "%s/" FOLDER, folder);
    if (mkdir(moves, 0700) != 0 && errno != EEXIST)
        return error_set_errno(err, ERR_IO, errno, "%s", moves);
    if (!name_it(&j, folder, facts->move, err) ||
        !file_open(j.path, O_RDWR | O_CREAT | O_EXCL, 0600, &j.fd, err))
        return false;
    if (!lock_new(&j, err)) {
        unlink(j.path);
        return false;
    }
    json = json_object_new_object();
    json_object_object_add(json, "move", json_object_new_string(facts->move));
    json_object_object_add(json, "role",
                           json_object_new_string(handover_role_name(role)));
    json_object_object_add(json, "guest", json_object_new_string(facts->guest));
    json_object_object_add(json, "domid", json_object_new_int64(facts->domid));
    json_object_object_add(json, "peer", json_object_new_string(facts->peer));
    if (facts->paused)
        json_object_object_add(json, "paused", json_object_new_boolean(true));
    json_object_object_add(json, "state",
                           json_object_new_string(handover_state_name(state)));
    ok = append_line(&j, json, true, err);
    json_object_put(json);
    if (!ok || !sync_folder(folder, err)) {
        unlink(j.path);
        return false;
    }
    *ret = j;
    j.fd = -1;
    return true;
}

bool journal_open(struct journal *ret, const char *folder,
                  enum handover_role role, const char *move, bool *ret_found,
                  struct error *err)
{
    cleanup(journal_release) struct journal j = {.fd = -1, .role = role};
    bool busy;

    if (!move_id_is_good(move))
        return error_set(err, ERR_USAGE,
                         "move \"%.64s\": expected 32 hexadecimal digits",
                         move);
    memcpy(j.facts.move, move, MOVE_ID_MAX);
    if (!name_it(&j, folder, move, err))
        return false;
    j.fd = open(j.path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (j.fd < 0 && errno == ENOENT) {
        *ret_found = false;
        return true;
    }
    if (j.fd < 0)
        return error_set_errno(err, ERR_IO, errno, "%s", j.path);
    if (!lock_it(&j, &busy, err) || !read_lines(&j, err))
        return false;
    *ret = j;
    j.fd = -1;
    *ret_found = true;
    return true;
}

bool journal_write(struct journal *j, enum handover_state state, bool sync,
                   struct error *err)
{
    struct json_object *json = json_object_new_object();
    bool ok;

    json_object_object_add(json, "state",
                           json_object_new_string(handover_state_name(state)));
    ok = append_line(j, json, sync, err);
    json_object_put(json);
    if (ok)
        j->state = state;
    return ok;
}

void journal_release(struct journal *j)
{
    close_fd(&j->fd);
}

void journal_remove(struct journal *j)
{
    if (j->fd >= 0)
        unlink(j->path);
    journal_release(j);
}

/* "<move>.source" or "<move>.target" */
static bool name_parse(const char *name, char move[MOVE_ID_MAX],
                       enum handover_role *ret)
{
    if (strlen(name) != MOVE_ID_MAX - 1 + strlen(".source"))
        return false;
    memcpy(move, name, MOVE_ID_MAX - 1);
    move[MOVE_ID_MAX - 1] = '\0';
    *ret =
        strcmp(name + MOVE_ID_MAX - 1, ".source") ? ROLE_TARGET : ROLE_SOURCE;
    return move_id_is_good(move) &&
           !strcmp(name + MOVE_ID_MAX, handover_role_name(*ret));
}

bool journal_each(const char *folder,
                  bool (*each)(void *context, struct journal *j), void *context,
                  unsigned int *ret_busy, struct error *err)
{
    char path[512];
    struct dirent *entry;
    bool ok = true, more = true;
    DIR *dir;

    *ret_busy = 0;
    snprintf(path, sizeof(path), "%s/" FOLDER, folder);
    dir = opendir(path);
    if (!dir)
        return errno == ENOENT ||
               error_set_errno(err, ERR_IO, errno, "%s", path);
    while (ok && more && (entry = readdir(dir))) {
        cleanup(journal_release) struct journal j = JOURNAL_NONE;
        char move[MOVE_ID_MAX];
        enum handover_role role;
        struct error error;
        bool found = false;

        if (!name_parse(entry->d_name, move, &role))
            continue;
        if (journal_open(&j, folder, role, move, &found, &error)) {
            more = !found || each(context, &j);
        } else if (error.code == ERR_STATE) {
            ++*ret_busy;
        } else if (error.code != ERR_TRUNCATED) {
            /* Without a state nothing was ever done. */
            ok = false;
            if (err)
                *err = error;
        }
    }
    closedir(dir);
    return ok;
}
