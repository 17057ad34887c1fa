/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store's own files, one after the other, without a process around. */
#include "store/request.h"
#include "store/transaction.h"
#include "unit_store.h"

/* One request; its answer has to be 'wanted', the NUL of it included. */
static void ask(struct store_in_memory *u, struct connection *c, uint32_t type,
                uint32_t tx, const char *payload, size_t length,
                const char *wanted, size_t wanted_length)
{
    cleanup(buffer_release) struct buffer answer = {0};

    unit_request(u, c, type, tx, payload, length, &answer);
    if (answer.length != wanted_length ||
        memcmp(answer.bytes, wanted, wanted_length) != 0)
        fail_msg("request %u of %s: %.*s", type, payload, (int)answer.length,
                 (const char *)answer.bytes);
}

#define ASK(u, c, type, tx, payload, wanted) \
    ask(u, c, type, tx, payload, sizeof(payload), wanted, sizeof(wanted))
/* For values, which end without a NUL. */
#define ASK_VALUE(u, c, tx, payload, wanted) \
    ask(u, c, OP_READ, tx, payload, sizeof(payload), wanted, sizeof(wanted) - 1)
#define WRITE(u, c, tx, payload) \
    ask(u, c, OP_WRITE, tx, payload, sizeof(payload) - 1, "OK", 3)

static uint32_t begin(struct store_in_memory *u, struct connection *c)
{
    cleanup(buffer_release) struct buffer answer = {0};
    uint32_t id;

    assert_int_equal(
        unit_request(u, c, OP_TRANSACTION_START, 0, "", 1, &answer),
        OP_TRANSACTION_START);
    assert_true(number_parse((const char *)answer.bytes, &id));
    return id;
}

static void assert_sound(struct store_in_memory *u)
{
    cleanup(buffer_release) struct buffer report = {0};

    store_check(u->store, &report);
    if (report.length)
        fail_msg("%.*s", (int)report.length, (const char *)report.bytes);
}

/* --- tree.c, node.c --- */

static void children_keep_their_order_through_holes(void **state)
{
    struct store_in_memory u;
    struct connection *c;
    uint32_t at = 0, expected = 0;
    struct node *dir, *child;
    char path[64];

    unit_store_open(&u);
    c = unit_client(&u);
    for (unsigned int i = 0; i < 500; i++) {
        snprintf(path, sizeof(path), "/d/n%u", i);
        unit_write(&u, c, path, "");
    }
    /* Every third goes, and comes back at the end. */
    for (unsigned int round = 0; round < 2; round++)
        for (unsigned int i = 0; i < 500; i += 3) {
            snprintf(path, sizeof(path), "/d/n%u", i);
            if (round)
                unit_write(&u, c, path, "");
            else
                assert_int_equal(
                    unit_request(&u, c, OP_RM, 0, path, strlen(path) + 1, NULL),
                    OP_RM);
        }
    dir = tree_find(u.store, "/d", NULL);
    for (unsigned int round = 0; round < 2; round++)
        for (unsigned int i = 0; i < 500; i++) {
            if ((i % 3 == 0) != (round == 1))
                continue;
            child = node_next_child(dir, &at);
            assert_non_null(child);
            snprintf(path, sizeof(path), "n%u", i);
            assert_string_equal(child->name, path);
            assert_ptr_equal(node_child(dir, path, strlen(path)), child);
            tree_path(u.store, child, path);
            assert_int_equal(strncmp(path, "/d/n", 4), 0);
            expected++;
        }
    assert_int_equal(expected, 500);
    assert_null(node_next_child(dir, &at));
    assert_sound(&u);
    unit_store_close(&u);
}

static void nearest_ancestor_and_missing_nodes(void **state)
{
    struct store_in_memory u;
    struct node *nearest = NULL;
    char path[WIRE_ABS_PATH_MAX + 1] = "/a/b/c";

    unit_store_open(&u);
    unit_write(&u, unit_client(&u), "/a/b", "");
    assert_null(tree_find(u.store, "/a/b/c/d/e", &nearest));
    assert_string_equal(nearest->name, "b");
    assert_int_equal(tree_missing(nearest, "/a/b/c/d/e", u.store), 3);
    /* A name that another begins with is another name. */
    assert_null(tree_find(u.store, "/a/bb", &nearest));
    assert_string_equal(nearest->name, "a");
    assert_true(path_parent(path));
    assert_string_equal(path, "/a/b");
    assert_true(path_parent(path) && path_parent(path));
    assert_string_equal(path, "/");
    assert_false(path_parent(path));
    unit_store_close(&u);
}

/* --- transaction.c --- */

static void a_change_conflicts_with_what_was_touched_alone(void **state)
{
    /* What another client does, and whether it spoils who did what. */
    static const struct {
        const char *change;
        uint32_t type;
        bool reader, lister, prober; /* of /t/a, /t, /t/none */
    } cases[] = {
        {"/t/a\0x",      OP_WRITE,     true,  false, false},
        {"/t/b\0x",      OP_WRITE,     false, false, false},
        {"/t/new\0x",    OP_WRITE,     false, true,  false},
        {"/t/none\0x",   OP_WRITE,     false, true,  true },
        {"/t/a\0n0\0r3", OP_SET_PERMS, true,  false, false},
        {"/t\0x",        OP_WRITE,     false, false, false},
        {"/t/b/x\0x",    OP_WRITE,     false, false, false},
    };
    static const size_t lengths[] = {6, 6, 8, 9, 11, 4, 8};

    for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++)
        for (unsigned int who = 0; who < 3; who++) {
            bool spoilt = who == 0   ? cases[i].reader
                          : who == 1 ? cases[i].lister
                                     : cases[i].prober;
            struct store_in_memory u;
            struct connection *c, *other;
            uint32_t tx;

            unit_store_open(&u);
            c = unit_client(&u);
            other = unit_client(&u);
            unit_write(&u, c, "/t/a", "1");
            unit_write(&u, c, "/t/b", "1");
            tx = begin(&u, c);
            if (who == 0)
                ASK_VALUE(&u, c, tx, "/t/a", "1");
            else if (who == 1)
                ask(&u, c, OP_DIRECTORY, tx, "/t", 3, "a\0b", 4);
            else
                ASK(&u, c, OP_READ, tx, "/t/none", "ENOENT");
            WRITE(&u, c, tx, "/out\0y");
            ask(&u, other, cases[i].type, 0, cases[i].change, lengths[i], "OK",
                3);
            if (spoilt)
                ASK(&u, c, OP_TRANSACTION_END, tx, "T", "EAGAIN");
            else
                ASK(&u, c, OP_TRANSACTION_END, tx, "T", "OK");
            assert_int_equal(!tree_find(u.store, "/out", NULL), spoilt);
            assert_sound(&u);
            unit_store_close(&u);
        }
}

static void a_removal_takes_what_is_there_in_its_view(void **state)
{
    struct store_in_memory u;
    struct connection *c;
    uint32_t tx;

    unit_store_open(&u);
    c = unit_client(&u);
    unit_write(&u, c, "/t/old/x", "1");
    unit_write(&u, c, "/t/gone", "1");
    unit_write(&u, c, "/t/again", "1");
    tx = begin(&u, c);
    ASK(&u, c, OP_RM, tx, "/t/gone", "OK");
    ASK(&u, c, OP_RM, tx, "/t/again", "OK");
    WRITE(&u, c, tx, "/t/again\0002");
    WRITE(&u, c, tx, "/t/new/deep\0003");
    ask(&u, c, OP_DIRECTORY, tx, "/t", 3, "old\0again\0new", 14);
    ASK(&u, c, OP_RM, tx, "/t", "OK");
    ASK(&u, c, OP_READ, tx, "/t/old/x", "ENOENT");
    ASK(&u, c, OP_READ, tx, "/t/new/deep", "ENOENT");
    WRITE(&u, c, tx, "/t/after\0004");
    ask(&u, c, OP_DIRECTORY, tx, "/t", 3, "after", 6);
    ASK(&u, c, OP_TRANSACTION_END, tx, "T", "OK");
    ask(&u, c, OP_DIRECTORY, 0, "/t", 3, "after", 6);
    ASK_VALUE(&u, c, 0, "/t/after", "4");
    assert_sound(&u);
    unit_store_close(&u);
}

/* --- watch.c --- */

static void a_change_reaches_whom_it_concerns(void **state)
{
    struct store_in_memory u;
    struct connection *c, *writer;

    unit_store_open(&u);
    c = unit_client(&u);
    writer = unit_client(&u);
    assert_non_null(watch_add(u.store, c, "/", "/", "root", WATCH_DEPTH_ANY));
    assert_non_null(watch_add(u.store, c, "/a/b", "/a/b", "ab", 0));
    assert_non_null(watch_add(u.store, c, "/a/b", "/a/b", "deep", 1));
    assert_non_null(
        watch_add(u.store, c, "/a/bb", "/a/bb", "other", WATCH_DEPTH_ANY));
    assert_non_null(
        watch_add(u.store, c, "/a/b/c/d", "/a/b/c/d", "leaf", WATCH_DEPTH_ANY));
    assert_int_equal(u.store->watches.nr_watches, 5);

    unit_write(&u, writer, "/a/b/c/d", "1");
    assert_int_equal(unit_drain(c, OP_WATCH_EVENT, NULL), 2);
    unit_write(&u, writer, "/a/b", "1");
    assert_int_equal(unit_drain(c, OP_WATCH_EVENT, NULL), 3);
    unit_write(&u, writer, "/a/b/x", "1");
    assert_int_equal(unit_drain(c, OP_WATCH_EVENT, NULL), 2);
    /* The leaf by its exact path, the others for what was removed. */
    ASK(&u, writer, OP_RM, 0, "/a/b", "OK");
    assert_int_equal(unit_drain(c, OP_WATCH_EVENT, NULL), 4);

    watch_remove(u.store, watch_find(c, "/a/b", "deep"));
    assert_null(watch_find(c, "/a/b", "deep"));
    assert_non_null(watch_find(c, "/a/b", "ab"));
    watch_remove_all(u.store, c);
    assert_int_equal(u.store->watches.nr_watches, 0);
    /* Nothing of the trie stays. */
    assert_int_equal(u.store->watches.nr, 0);
    unit_store_close(&u);
}

/* --- what one guest can do, a million times --- */

/* Under a sanitizer, and there beside other tests, each takes far longer. */
#if defined(__SANITIZE_ADDRESS__)
#define MANY    20000u
#define REBOOTS 300u
#else
#define MANY    1000000u
#define REBOOTS 10000u
#endif

static struct connection *guest(struct store_in_memory *u, uint16_t domid)
{
    char payload[64];
    struct connection *c = unit_client(u);
    int n = snprintf(payload, sizeof(payload), "/local/domain/%u", domid);

    assert_int_equal(store_introduce(u->store, domid, 1, 5), STORE_OK);
    /* Its ring is full: answers stay where the test sees them. */
    u->pages[domid].rsp_cons = u->pages[domid].rsp_prod - RING_SIZE;
    unit_write(u, c, payload, "");
    n += 1 + snprintf(payload + n + 1, sizeof(payload) - (size_t)n - 1, "n%u",
                      domid);
    assert_int_equal(
        unit_request(u, c, OP_SET_PERMS, 0, payload, (size_t)n + 1, NULL),
        OP_SET_PERMS);
    connection_close(c);
    while (store_turn(u->store))
        ;
    return u->store->domains[domid]->connection;
}

static void a_million_attempts(uint32_t type, unsigned int granted)
{
    struct store_in_memory u;
    struct store_figures figures;
    struct connection *g;
    unsigned int good = 0;
    uint64_t after_quota = 0;

    unit_store_open(&u);
    g = guest(&u, 5);
    for (uint32_t i = 0; i < MANY; i++) {
        char payload[32] = "";
        int n = 0;

        if (type != OP_TRANSACTION_START)
            n = snprintf(payload, sizeof(payload), "n%u%ct", i, 0);
        good +=
            unit_request(&u, g, type, 0, payload, (size_t)n + 1, NULL) == type;
        if (i == 2000) {
            store_figures(u.store, &figures);
            after_quota = figures.memory;
        }
    }
    assert_int_equal(good, granted);
    store_figures(u.store, &figures);
    assert_int_equal(figures.memory, after_quota);
    assert_true(after_quota < u.store->quotas.hard[QUOTA_MEMORY]);
    assert_sound(&u);
    unit_store_close(&u);
}

static void a_million_watches(void **state)
{
    a_million_attempts(OP_WATCH, 128);
}

static void a_million_transactions(void **state)
{
    a_million_attempts(OP_TRANSACTION_START, 10);
}

static void a_million_nodes(void **state)
{
    a_million_attempts(OP_WRITE, 999);
}

/* XSA-330: watches and RESET_WATCHES, a million of them in all. */
static void a_million_watches_and_resets(void **state)
{
    struct store_in_memory u;
    struct store_figures first, last;
    struct connection *g;

    unit_store_open(&u);
    g = guest(&u, 5);
    for (unsigned int round = 0; round < MANY / 100; round++) {
        for (unsigned int i = 0; i < 100; i++) {
            char payload[32];
            int n =
                snprintf(payload, sizeof(payload), "w%u/x%u%ct", round, i, 0);

            assert_int_equal(
                unit_request(&u, g, OP_WATCH, 0, payload, (size_t)n + 1, NULL),
                OP_WATCH);
        }
        ASK(&u, g, OP_RESET_WATCHES, 0, "", "OK");
        store_figures(u.store, round ? &last : &first);
    }
    assert_int_equal(last.memory, first.memory);
    assert_int_equal(u.store->watches.nr, 0);
    unit_store_close(&u);
}

/* XSA-419: reboots, each with nodes outside the home. */
static void ten_thousand_reboots(void **state)
{
    struct store_in_memory u;
    struct connection *c;
    uint64_t nodes = 0;

    unit_store_open(&u);
    c = unit_client(&u);
    unit_write(&u, c, "/public", "");
    ask(&u, c, OP_SET_PERMS, 0, "/public\0b0", 11, "OK", 3);
    for (unsigned int round = 0; round < REBOOTS; round++) {
        struct connection *g = guest(&u, 5);

        for (unsigned int i = 0; i < 20; i++) {
            char path[32];

            snprintf(path, sizeof(path), "/public/d%u/n", i);
            unit_write(&u, g, path, "");
        }
        u.life[5] = DOMAIN_ABSENT;
        store_domains_changed(u.store);
        u.life[5] = DOMAIN_ALIVE;
        while (store_turn(u.store))
            ;
        if (!round)
            nodes = u.store->nr_nodes;
        assert_int_equal(u.store->nr_nodes, nodes);
    }
    assert_sound(&u);
    unit_store_close(&u);
}

/*
 * However much one client has waiting, another's request
 * is run within two turns.
 */
static void a_flood_costs_others_no_turn(void **state)
{
    static const char write[] = "/flood\0v";
    struct wire_header flood = {.type = OP_WRITE, .len = sizeof(write) - 1};
    struct wire_header one = {.type = OP_READ, .len = 2};
    struct store_in_memory u;
    struct connection *busy, *c;
    unsigned int turns = 0;

    unit_store_open(&u);
    busy = unit_client(&u);
    c = unit_client(&u);
    for (unsigned int i = 0; i < 5000; i++) {
        size_t size = sizeof(flood) + flood.len;
        uint8_t *in = connection_input(busy, size);

        memcpy(in, &flood, sizeof(flood));
        memcpy(in + sizeof(flood), write, flood.len);
        connection_received(busy, size);
    }
    connection_wake(busy);
    assert_true(store_turn(u.store));
    for (unsigned int i = 0; i < 20; i++) {
        uint8_t *in = connection_input(c, sizeof(one) + 2);

        memcpy(in, &one, sizeof(one));
        memcpy(in + sizeof(one), "/", 2);
        connection_received(c, sizeof(one) + 2);
        connection_wake(c);
        for (turns = 0; !c->output_len; turns++)
            assert_true(store_turn(u.store));
        assert_true(turns <= 2);
        connection_drop_output(c);
    }
    /* The flood is not over: all this was beside it. */
    assert_true(busy->in_len - busy->in_at > 1000);
    unit_store_close(&u);
}

/* XSA-416: what a request needed is free again though nobody reads. */
static void unread_answers_hold_no_scratch_memory(void **state)
{
    struct store_in_memory u;
    struct connection *g;
    uint64_t before, last = 0;
    struct domain *d;

    unit_store_open(&u);
    g = guest(&u, 5);
    d = u.store->domains[5];
    before = d->memory;
    for (unsigned int i = 0; i < 15; i++) {
        struct wire_header hdr = {.type = OP_READ, .len = 3000};
        uint8_t *in = connection_input(g, sizeof(hdr) + hdr.len);

        memcpy(in, &hdr, sizeof(hdr));
        memset(in + sizeof(hdr), 'x', hdr.len);
        connection_received(g, sizeof(hdr) + hdr.len);
        connection_wake(g);
        while (store_turn(u.store))
            ;
        /* Each leaves a short error, not its 3000 octets. */
        assert_true(d->memory - before <= (i + 1) * 256u);
        assert_true(d->memory > last);
        last = d->memory;
    }
    assert_int_equal(g->in_capacity, 0);
    unit_store_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(children_keep_their_order_through_holes),
        cmocka_unit_test(nearest_ancestor_and_missing_nodes),
        cmocka_unit_test(a_change_conflicts_with_what_was_touched_alone),
        cmocka_unit_test(a_removal_takes_what_is_there_in_its_view),
        cmocka_unit_test(a_change_reaches_whom_it_concerns),
        cmocka_unit_test(a_million_watches),
        cmocka_unit_test(a_million_transactions),
        cmocka_unit_test(a_million_nodes),
        cmocka_unit_test(a_million_watches_and_resets),
        cmocka_unit_test(ten_thousand_reboots),
        cmocka_unit_test(a_flood_costs_others_no_turn),
        cmocka_unit_test(unread_answers_hold_no_scratch_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
