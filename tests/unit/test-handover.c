/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The hand-over's parts that need no host: states, journals, messages, offers. */
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/handover/journal.h"
#include "engine/handover/message.h"
#include "engine/handover/offer.h"

/* ---- states -------------------------------------------------------------- */

static void names_and_states_are_one_to_one(void **state)
{
    for (int i = HANDOVER_NONE; i <= TARGET_DROPPED; i++) {
        const char *name = handover_state_name((enum handover_state)i);

        assert_non_null(name);
        assert_int_equal(handover_state_of(name), i);
    }
    assert_int_equal(handover_state_of("no such state"), HANDOVER_NONE);
}

static void the_source_decides_alone_before_the_release(void **state)
{
    static const enum handover_state early[] = {SOURCE_PRECOPY, SOURCE_STOPPED,
                                                SOURCE_SENT};

    for (size_t i = 0; i < ARRAY_SIZE(early); i++) {
        assert_int_equal(
            handover_resolve_step(early[i], true, false, HANDOVER_NONE, false),
            RESOLVE_KEEP);
        /* Its host has ended: the copy elsewhere is the only one. */
        assert_int_equal(
            handover_resolve_step(early[i], false, false, HANDOVER_NONE, false),
            RESOLVE_ASK);
        assert_int_equal(
            handover_resolve_step(early[i], false, true, TARGET_READY, true),
            RESOLVE_RELEASE);
        assert_int_equal(handover_resolve_step(early[i], false, true,
                                               TARGET_RECEIVING, true),
                         RESOLVE_LOST);
    }
}

static void the_target_decides_after_the_release(void **state)
{
    static const struct {
        bool here;
        enum handover_state target;
        bool there;
        enum resolve_step step;
    } cases[] = {
        {true,  TARGET_READY,     true,  RESOLVE_RELEASE},
        {true,  TARGET_READY,     false, RESOLVE_KEEP   },
        {false, TARGET_READY,     false, RESOLVE_LOST   },
        {true,  TARGET_RUNNING,   true,  RESOLVE_RELEASE},
        {true,  TARGET_RUNNING,   false, RESOLVE_DISCARD},
        {true,  TARGET_DROPPED,   false, RESOLVE_KEEP   },
        {true,  HANDOVER_NONE,    false, RESOLVE_ASK    },
        {true,  TARGET_RECEIVING, true,  RESOLVE_ASK    },
    };

    assert_int_equal(handover_resolve_step(SOURCE_RELEASED, true, false,
                                           HANDOVER_NONE, false),
                     RESOLVE_ASK);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(handover_resolve_step(SOURCE_RELEASED, cases[i].here,
                                               true, cases[i].target,
                                               cases[i].there),
                         cases[i].step);
}

/* ---- journals ------------------------------------------------------------ */

struct folder {
    char path[64];
};

static int make_folder(void **state)
{
    struct folder *f = calloc(1, sizeof(*f));

    strcpy(f->path, "/tmp/xenferry-journal-XXXXXX");
    *state = f;
    return mkdtemp(f->path) ? 0 : -1;
}

static int remove_folder(void **state)
{
    struct folder *f = *state;
    char command[128];

    snprintf(command, sizeof(command), "rm -r %s", f->path);
    if (system(command))
        return -1;
    free(f);
    return 0;
}

static const struct move_facts facts = {
    .move = "0123456789abcdef0123456789abcdef",
    .guest = "g\"1",
    .domid = 77,
    .peer = "cmd:ssh beta xenferry receive",
};

static void a_journal_is_what_was_written(void **state)
{
    struct folder *f = *state;
    struct journal j = JOURNAL_NONE;
    struct error err;
    bool found;

    assert_true(
        journal_create(&j, f->path, ROLE_SOURCE, &facts, SOURCE_PRECOPY, &err));
    assert_true(journal_write(&j, SOURCE_STOPPED, false, &err));
    assert_true(journal_write(&j, SOURCE_RELEASED, true, &err));
    journal_release(&j);
    assert_true(
        journal_open(&j, f->path, ROLE_SOURCE, facts.move, &found, &err));
    assert_true(found);
    assert_int_equal(j.state, SOURCE_RELEASED);
    assert_string_equal(j.facts.guest, facts.guest);
    assert_int_equal(j.facts.domid, 77);
    assert_string_equal(j.facts.peer, facts.peer);
    journal_remove(&j);
    assert_true(
        journal_open(&j, f->path, ROLE_SOURCE, facts.move, &found, &err));
    assert_false(found);
}

static void one_process_at_a_time_has_a_journal(void **state)
{
    struct folder *f = *state;
    struct journal j = JOURNAL_NONE, second = JOURNAL_NONE;
    struct error err;
    bool found;

    assert_true(journal_create(&j, f->path, ROLE_TARGET, &facts,
                               TARGET_RECEIVING, &err));
    assert_false(
        journal_open(&second, f->path, ROLE_TARGET, facts.move, &found, &err));
    assert_int_equal(err.code, ERR_STATE);
    journal_release(&j);
}

static void cut_file(const char *path, off_t length)
{
    assert_int_equal(truncate(path, length), 0);
}

/* Of its lines: behind them there may be room. */
static off_t length_of(const char *path)
{
    char text[8192] = "";
    int fd = open(path, O_RDONLY);
    ssize_t got = read(fd, text, sizeof(text) - 1);

    assert_true(got >= 0);
    close(fd);
    return (off_t)strlen(text);
}

/* However much of its last line is missing, the state before it holds. */
static void a_line_that_is_cut_was_never_written(void **state)
{
    struct folder *f = *state;
    struct journal j = JOURNAL_NONE;
    struct error err;
    off_t before, after;
    bool found;

    assert_true(
        journal_create(&j, f->path, ROLE_SOURCE, &facts, SOURCE_SENT, &err));
    before = length_of(j.path);
    assert_true(journal_write(&j, SOURCE_RELEASED, true, &err));
    after = length_of(j.path);
    for (off_t length = after - 1; length >= before; length--) {
        cut_file(j.path, length);
        journal_release(&j);
        assert_true(
            journal_open(&j, f->path, ROLE_SOURCE, facts.move, &found, &err));
        assert_int_equal(j.state, SOURCE_SENT);
        assert_int_equal(length_of(j.path), before);
        assert_true(journal_write(&j, SOURCE_RELEASED, true, &err));
    }
    journal_release(&j);
    assert_true(
        journal_open(&j, f->path, ROLE_SOURCE, facts.move, &found, &err));
    assert_int_equal(j.state, SOURCE_RELEASED);
    /* Nothing was done before the first line was whole. */
    for (off_t length = before - 1; length >= 0; length -= 7) {
        cut_file(j.path, length);
        journal_release(&j);
        assert_false(
            journal_open(&j, f->path, ROLE_SOURCE, facts.move, &found, &err));
        assert_int_equal(err.code, ERR_TRUNCATED);
        j.fd = -1;
    }
}

static void damage_in_the_middle_is_told(void **state)
{
    struct folder *f = *state;
    struct journal j = JOURNAL_NONE;
    struct error err;
    bool found;
    int fd;

    assert_true(
        journal_create(&j, f->path, ROLE_SOURCE, &facts, SOURCE_SENT, &err));
    assert_true(journal_write(&j, SOURCE_RELEASED, true, &err));
    fd = open(j.path, O_WRONLY);
    assert_int_equal(pwrite(fd, "X", 1, 20), 1);
    close(fd);
    journal_release(&j);
    assert_false(
        journal_open(&j, f->path, ROLE_SOURCE, facts.move, &found, &err));
    assert_int_equal(err.code, ERR_FORMAT);
}

static void only_move_ids_are_names(void **state)
{
    struct folder *f = *state;
    struct journal j = JOURNAL_NONE;
    struct error err;
    bool found;

    assert_false(journal_open(&j, f->path, ROLE_SOURCE, "../../etc/passwd",
                              &found, &err));
    assert_int_equal(err.code, ERR_USAGE);
}

/* ---- messages ------------------------------------------------------------ */

struct pair {
    int fds[2];
    struct io in, out;
};

static int make_pair(void **state)
{
    struct pair *p = calloc(1, sizeof(*p));
    struct error err;

    *state = p;
    return socketpair(AF_UNIX, SOCK_STREAM, 0, p->fds) == 0 &&
                   io_attach(&p->in, p->fds[0], false, 1000, -1, &err) &&
                   io_attach(&p->out, p->fds[1], true, 1000, -1, &err)
               ? 0
               : -1;
}

static int remove_pair(void **state)
{
    struct pair *p = *state;

    io_release(&p->in);
    io_release(&p->out);
    close(p->fds[0]);
    if (p->fds[1] >= 0)
        close(p->fds[1]);
    free(p);
    return 0;
}

static void a_message_arrives_as_it_was_sent(void **state)
{
    struct pair *p = *state;
    struct json_object *m = message_make("ready");
    struct error err;
    bool refused;

    message_add_number(m, "pages", UINT64_MAX);
    assert_true(message_send(&p->out, m, &err));
    assert_true(message_expect(&p->in, "ready", &m, &refused, &err));
    assert_int_equal(message_number(m, "pages"), UINT64_MAX);
    assert_string_equal(message_text(m, "pages"), "");
    json_object_put(m);
}

static void a_refusal_is_the_error_of_the_other_side(void **state)
{
    struct pair *p = *state;
    struct error reason, err;
    struct json_object *m;
    bool refused;

    error_set(&reason, ERR_LIMIT, "memory: too little");
    assert_true(message_send_error(&p->out, "refuse", &reason, &err));
    assert_false(message_expect(&p->in, "accept", &m, &refused, &err));
    assert_true(refused);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_string_equal(err.text, "memory: too little");
}

static void hostile_messages_are_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
    } bad[] = {
        {"GET / HTTP/1.0\r\n",        16},
        {"XFm1\xff\xff\xff\xff",      8 },
        {"XFm1\0\0\0\0",              8 },
        {"XFm1\0\0\0\2[]",            10},
        {"XFm1\0\0\0\2{}",            10},
        {"XFm1\0\0\0\4{\"a\"",        12},
        {"XFm1\0\0\0\12{\"type\":1}", 18},
    };
    struct json_object *m;
    struct error err;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct pair p;
        void *fresh;

        assert_int_equal(make_pair(&fresh), 0);
        p = *(struct pair *)fresh;
        assert_int_equal(write(p.fds[1], bad[i].bytes, bad[i].length),
                         (ssize_t)bad[i].length);
        assert_false(message_receive(&p.in, &m, &err));
        assert_int_equal(err.code, ERR_PEER);
        assert_int_equal(remove_pair(&fresh), 0);
    }
}

/* ---- offers -------------------------------------------------------------- */

static const struct keeper_host alpha = {
    .identity = "boot:/run/alpha",
    .version = "0.1.0",
    .tsc_khz = 2500000,
    .memory_free = UINT64_C(1) << 30,
};

struct fake_keeper {
    struct keeper keeper;
    struct keeper_host host;
    struct keeper_guest guest; /* name "": there is none */
};

static bool fake_describe(struct keeper *k, struct keeper_host *ret,
                          struct error *err)
{
    *ret = ((struct fake_keeper *)k)->host;
    return true;
}

static bool fake_find(struct keeper *k, const char *name, bool *ret_found,
                      struct keeper_guest *ret, struct error *err)
{
    struct keeper_guest *g = &((struct fake_keeper *)k)->guest;
    char domid[16];

    snprintf(domid, sizeof(domid), "%u", g->domid);
    *ret_found = g->name[0] && (!strcmp(name, g->name) || !strcmp(name, domid));
    *ret = *g;
    return true;
}

static const struct keeper_ops fake_ops = {.describe = fake_describe,
                                           .find = fake_find};

static const struct keeper_guest busy = {
    .name = "busy",
    .domid = 7,
    .vcpus = 2,
    .memory_mib = 64,
};

static struct fake_keeper beta(void)
{
    struct fake_keeper k = {.keeper.ops = &fake_ops, .host = alpha};

    strcpy(k.host.identity, "boot:/run/beta");
    return k;
}

static void an_offer_survives_the_way(void **state)
{
    struct move_offer there, o;
    struct json_object *m;
    struct error err;

    assert_true(offer_make(&o, facts.move, &alpha, &busy, &err));
    m = offer_to_message(&o);
    assert_true(offer_from_message(m, &there, &err));
    json_object_put(m);
    assert_string_equal(there.guest.name, "busy");
    assert_int_equal(there.guest.domid, 7);
    assert_int_equal(there.guest.memory_mib, 64);
    assert_int_equal(there.tsc_khz, alpha.tsc_khz);
    assert_string_equal(there.host, alpha.identity);
}

/* Every refusal names what is wrong, and a cure. */
static void refused(struct move_offer *o, struct fake_keeper *k, uint64_t now,
                    const char *what, const char *cure)
{
    struct error err = {0};

    assert_false(offer_check(o, &k->keeper, now, &err));
    assert_non_null(strstr(err.text, what));
    assert_non_null(strstr(err.text, cure));
}

static void what_cannot_be_is_refused_with_its_cure(void **state)
{
    struct fake_keeper k = beta();
    struct move_offer good, o;
    struct json_object *m;
    struct error err;

    assert_true(offer_make(&good, facts.move, &alpha, &busy, &err));
    assert_true(offer_check(&good, &k.keeper, good.wall_ms, &err));

    o = good;
    strcpy(o.host, k.host.identity);
    refused(&o, &k, o.wall_ms, "same host", "name another host");

    k.guest = busy;
    strcpy(k.guest.name, "other");
    refused(&good, &k, good.wall_ms, "domid: 7 is taken", "move or destroy");
    k.guest.domid = 8;
    strcpy(k.guest.name, "busy");
    refused(&good, &k, good.wall_ms, "name:", "move or destroy");

    k = beta();
    k.host.memory_free = 1 << 20;
    refused(&good, &k, good.wall_ms, "memory:", "free some");

    k = beta();
    k.host.tsc_khz = 2000000;
    refused(&good, &k, good.wall_ms, "time stamp counter", "same speed");
    k = beta();
    refused(&good, &k, good.wall_ms + 60000, "60000 ms apart", "NTP");
    refused(&good, &k, good.wall_ms - 60000, "60000 ms apart", "NTP");

    o = good;
    o.protocol = OFFER_PROTOCOL + 1;
    m = offer_to_message(&o);
    assert_false(offer_from_message(m, &o, &err));
    json_object_put(m);
    assert_non_null(strstr(err.text, "version:"));
    assert_non_null(strstr(err.text, "install the same version"));

    o = good;
    strcpy(o.features, OFFER_FEATURES " telepathy-1");
    refused(&o, &k, o.wall_ms, "telepathy-1", "install");

    o = good;
    strcpy(o.guest.disk, "/nonexistent/disk.img");
    refused(&o, &k, o.wall_ms, "disk:", "under the same path");
    strcpy(o.guest.disk, "/dev/null");
    o.disk_octets = 4096;
    refused(&o, &k, o.wall_ms, "disk:", "same disk");
}

static void hostile_offers_are_refused(void **state)
{
    static const struct {
        const char *name;
        const char *text; /* NULL: the number */
        uint64_t number;
    } lies[] = {
        {"protocol",   NULL,                               1         },
        {"domid",      NULL,                               0         },
        {"domid",      NULL,                               0x7ff0    },
        {"domid",      NULL,                               65536 + 7 },
        {"vcpus",      NULL,                               9         },
        {"vcpus",      "two",                              0         },
        {"memory_mib", NULL,                               UINT64_MAX},
        {"move",       "../../../../etc/shadow0123456789", 0         },
        {"guest",      "",                                 0         },
        {"guest",      "../x",                             0         },
        {"guest",      "12",                               0         },
        {"guest",      "--help",                           0         },
    };
    struct move_offer good, there;
    struct error err;

    assert_true(offer_make(&good, facts.move, &alpha, &busy, &err));
    for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
        struct json_object *m = offer_to_message(&good);

        if (lies[i].text)
            message_add(m, lies[i].name, lies[i].text);
        else
            message_add_number(m, lies[i].name, lies[i].number);
        assert_false(offer_from_message(m, &there, &err));
        json_object_put(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_states_are_one_to_one),
        cmocka_unit_test(the_source_decides_alone_before_the_release),
        cmocka_unit_test(the_target_decides_after_the_release),
        cmocka_unit_test_setup_teardown(a_journal_is_what_was_written,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(one_process_at_a_time_has_a_journal,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_line_that_is_cut_was_never_written,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(damage_in_the_middle_is_told,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(only_move_ids_are_names, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_message_arrives_as_it_was_sent,
                                        make_pair, remove_pair),
        cmocka_unit_test_setup_teardown(
            a_refusal_is_the_error_of_the_other_side, make_pair, remove_pair),
        cmocka_unit_test(hostile_messages_are_refused),
        cmocka_unit_test(an_offer_survives_the_way),
        cmocka_unit_test(what_cannot_be_is_refused_with_its_cure),
        cmocka_unit_test(hostile_offers_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
