/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CONTROL: commands for administrators, as xenstore-control sends them.  Text
 * for people comes back; commands that concern the process, not the store,
 * go to the host's hook.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/domain.h"
#include "store/request.h"

struct control {
    struct request *r;
    unsigned int nr; /* words after the command */
    char **words;
    struct buffer *out;
};

static enum outcome do_check(struct control *k)
{
    store_check(k->r->store, k->out);
    return STORE_OK;
}

static enum outcome do_print(struct control *k)
{
    if (k->nr != 1)
        return STORE_EINVAL;
    log_info(k->r->store->host.log, "%s", k->words[0]);
    return STORE_OK;
}

static enum outcome do_log(struct control *k)
{
    struct store *store = k->r->store;
    const char *word = k->nr ? k->words[0] : "";

    if (k->nr > 1)
        return STORE_EINVAL;
    if (!k->nr) {
        buffer_format(k->out, "Logging: %s\n", store->trace ? "on" : "off");
        return STORE_OK;
    }
    if (!strcmp(word, "on") || !strcmp(word, "+io"))
        store->trace = true;
    else if (!strcmp(word, "off") || !strcmp(word, "-io"))
        store->trace = false;
    else if ((*word != '+' && *word != '-') ||
             (strcmp(word + 1, "obj") != 0 && strcmp(word + 1, "wrl") != 0 &&
              strcmp(word + 1, "acc") != 0 && strcmp(word + 1, "tdb") != 0))
        return STORE_EINVAL;
    return STORE_OK;
}

static void quota_lines(struct control *k, const struct quota_set *set)
{
    buffer_format(k->out, "Quota settings:\n");
    for (unsigned int i = 0; i < QUOTA_NR; i++)
        buffer_format(k->out, "%-17s: %8u %s\n", quota_control_name(i),
                      set->hard[i], quota_text(i));
}

static void usage_lines(struct control *k, const struct domain *d)
{
    struct connection *c = d->connection;

    buffer_format(k->out, "Domain %u:\n", d->domid);
    buffer_format(k->out, "nodes           : %8u (max: %8u)\n", d->nr_nodes,
                  d->seen[QUOTA_NODES]);
    buffer_format(k->out, "watches         : %8u (max: %8u)\n",
                  c ? c->nr_watches : 0, d->seen[QUOTA_WATCHES]);
    buffer_format(k->out, "transactions    : %8u (max: %8u)\n",
                  c ? c->nr_transactions : 0, d->seen[QUOTA_TRANSACTIONS]);
    buffer_format(k->out, "outstanding     : %8u (max: %8u)\n", d->outstanding,
                  d->seen[QUOTA_OUTSTANDING]);
    buffer_format(k->out, "memory          : %8" PRIu64 " (max: %8u)\n",
                  d->memory, d->seen[QUOTA_MEMORY]);
}

static void max_lines(struct control *k)
{
    struct store *store = k->r->store;

    buffer_format(k->out, "Max. seen values of any guest:\n");
    for (unsigned int i = 0; i <= QUOTA_TRANSACTION_NODES; i++)
        buffer_format(k->out, "%-17s: %8u\n", quota_control_name(i),
                      store->seen[i]);
}

static enum outcome quota_set(struct control *k, bool soft)
{
    uint32_t value;
    uint32_t *place;

    if (k->nr != 3 || !number_parse(k->words[2], &value))
        return STORE_EINVAL;
    if (soft)
        place = strcmp(k->words[1], "memory") != 0
                    ? NULL
                    : &k->r->store->quotas.soft_memory;
    else
        place = quota_by_name(&k->r->store->quotas, k->words[1]);
    if (!place)
        return STORE_EINVAL;

    uint32_t before = *place;
    size_t offset = (size_t)((char *)place - (char *)&k->r->store->quotas);

    *place = value;
    /* As stock: domains that never had a value of their own follow. */
    for (uint32_t i = 0; i < DOMID_RESERVED_FIRST; i++) {
        struct domain *d = k->r->store->domains[i];
        uint32_t *own;

        if (!d)
            continue;
        own = (uint32_t *)((char *)&d->quotas + offset);
        if (*own == before)
            *own = value;
    }
    return STORE_OK;
}

static enum outcome do_quota(struct control *k)
{
    struct store *store = k->r->store;
    uint32_t domid;
    struct domain *d;

    if (k->nr == 0) {
        quota_lines(k, &store->quotas);
        return STORE_OK;
    }
    if (!strcmp(k->words[0], "set"))
        return quota_set(k, false);
    if (!strcmp(k->words[0], "max")) {
        bool reset = k->nr == 2 && !strcmp(k->words[1], "-r");

        if (k->nr > 2 || (k->nr == 2 && !reset))
            return STORE_EINVAL;
        max_lines(k);
        if (reset)
            memset(store->seen, 0, sizeof(store->seen));
        return STORE_OK;
    }
    if (k->nr != 1 || !number_parse(k->words[0], &domid))
        return STORE_EINVAL;
    d = domain_find(store, domid);
    if (!d)
        return STORE_ENOENT;
    usage_lines(k, d);
    return STORE_OK;
}

static enum outcome do_quota_soft(struct control *k)
{
    if (k->nr == 0) {
        buffer_format(k->out, "Quota settings:\n");
        buffer_format(k->out, "%-17s: %8u %s\n", "memory",
                      k->r->store->quotas.soft_memory,
                      "Total Xenstore memory per domain (warning level)");
        return STORE_OK;
    }
    if (strcmp(k->words[0], "set") != 0)
        return STORE_EINVAL;
    return quota_set(k, true);
}

/* What only the process around the store can do. */
static enum outcome ask_host(struct control *k, unsigned int nr, char **words)
{
    const struct store_host *host = &k->r->store->host;

    return host->control
               ? host->control(host->context, k->r->c, nr, words, k->out)
               : STORE_EINVAL;
}

static enum outcome do_memreport(struct control *k)
{
    struct store_figures f;

    if (k->nr)
        return ask_host(k, k->nr + 1, k->words - 1);
    store_figures(k->r->store, &f);
    buffer_format(k->out,
                  "nodes        %10" PRIu64 "\nwatches      %10" PRIu64
                  "\nconnections  %10" PRIu64 "\ntransactions %10" PRIu64
                  "\nconflicts    %10" PRIu64 "\nrequests     %10" PRIu64
                  "\nevents       %10" PRIu64 "\nturns        %10" PRIu64
                  "\nmemory       %10" PRIu64 "\n",
                  f.nodes, f.watches, f.connections, f.transactions,
                  f.conflicts, f.requests, f.events, f.turns, f.memory);
    return STORE_OK;
}

/* Run an operation of our own with the rest of the words as its payload. */
static enum outcome as_request(struct control *k,
                               enum outcome (*run)(struct request *r))
{
    struct request r = *k->r;
    size_t skip = strlen(r.payload) + 1;

    r.payload += skip;
    r.len -= skip;
    return run(&r);
}

static enum outcome do_quiesce(struct control *k)
{
    return as_request(k, request_quiesce);
}

static enum outcome do_unquiesce(struct control *k)
{
    return as_request(k, request_unquiesce);
}

static enum outcome do_get_domain_watches(struct control *k)
{
    return as_request(k, request_get_domain_watches);
}

static enum outcome do_add_domain_watches(struct control *k)
{
    return as_request(k, request_add_domain_watches);
}

static enum outcome do_help(struct control *k);

static const struct {
    const char *name;
    enum outcome (*run)(struct control *k);
    const char *usage;
    bool answers; /* by itself, as a request of our own does */
} commands[] = {
    {"check",              do_check,              "",                                    false},
    {"log",                do_log,                "[on|off|+<switch>|-<switch>]",        false},
    {"memreport",          do_memreport,          "[<file>]",                            false},
    {"print",              do_print,              "<string>",                            false},
    {"quota",              do_quota,              "[set <name> <val>|<domid>|max [-r]]", false},
    {"quota-soft",         do_quota_soft,         "[set <name> <val>]",                  false},
    {"quiesce",            do_quiesce,            "<domid>",                             true },
    {"unquiesce",          do_unquiesce,          "<domid>",                             true },
    {"get-domain-watches", do_get_domain_watches, "<domid> <index> [*depth]",
     true                                                                                     },
    {"add-domain-watches", do_add_domain_watches,
     "<domid> [*depth] <path> <token> [<depth>] ...",                                    true },
    {"help",               do_help,               "",                                    false},
};

static enum outcome do_help(struct control *k)
{
    char *words[] = {(char *)"help"};

    for (unsigned int i = 0; i < ARRAY_SIZE(commands); i++)
        buffer_format(k->out, "%s\t%s\n", commands[i].name, commands[i].usage);
    (void)ask_host(k, 1, words); /* adds its own; none is fine too */
    return STORE_OK;
}

enum outcome request_control(struct request *r)
{
    char *words[WORDS_MAX];
    unsigned int nr = request_words(r, words, ARRAY_SIZE(words));
    struct buffer *out = &r->store->scratch;
    struct control k = {r, nr - 1, words + 1, out};
    enum outcome outcome = STORE_EINVAL;
    unsigned int i = 0;

    if (nr < 1)
        return STORE_EINVAL;
    buffer_reset(out);
    while (i < ARRAY_SIZE(commands) && strcmp(commands[i].name, words[0]) != 0)
        i++;
    if (i < ARRAY_SIZE(commands)) {
        if (nr > ARRAY_SIZE(words) && !commands[i].answers)
            return STORE_EINVAL;
        outcome = commands[i].run(&k);
        if (commands[i].answers)
            return outcome;
    } else if (nr <= ARRAY_SIZE(words)) {
        outcome = ask_host(&k, nr, words);
    }
    if (outcome == STORE_PARKED)
        r->c->waiting_for = DOMID_NONE_WIRE;
    if (outcome != STORE_OK)
        return outcome;
    if (!out->length)
        buffer_text(out, "OK");
    buffer_u8(out, 0);
    if (out->bad)
        return STORE_ENOMEM;
    if (out->length > WIRE_PAYLOAD_MAX)
        return STORE_E2BIG;
    request_reply(r, out->bytes, out->length);
    return STORE_OK;
}
