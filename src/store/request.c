/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/request.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/domain.h"
#include "store/transaction.h"
#include "store/tree.h"

/*
 * A privileged client whose transactions failed this often in a row gets one
 * attempt, of at most SHIELD_NS, during which guests' changes wait.
 */
#define SHIELD_AFTER 3u
#define SHIELD_NS    (200 * NS_PER_MS)

/* --- parts of requests and replies --- */

void request_reply(const struct request *r, const void *payload, size_t length)
{
    connection_reply(r->c, r->hdr, r->hdr->type, payload, length);
}

void request_reply_text(const struct request *r, const char *text)
{
    request_reply(r, text, strlen(text) + 1);
}

static enum outcome ok(const struct request *r)
{
    request_reply(r, "OK", 3);
    return STORE_OK;
}

static enum outcome reply_buffer(const struct request *r,
                                 const struct buffer *b)
{
    if (b->bad)
        return STORE_ENOMEM;
    if (b->length > WIRE_PAYLOAD_MAX)
        return STORE_E2BIG;
    request_reply(r, b->bytes, b->length);
    return STORE_OK;
}

unsigned int request_words(const struct request *r, char **words,
                           unsigned int max)
{
    unsigned int nr = 0;

    if (!r->len || r->payload[r->len - 1])
        return 0;
    for (size_t at = 0; at < r->len; at += strlen(r->payload + at) + 1) {
        if (nr < max)
            words[nr] = r->payload + at;
        nr++;
    }
    return nr;
}

/* The only string of the payload, or NULL. */
static char *one_word(const struct request *r)
{
    char *word;

    return request_words(r, &word, 1) == 1 ? word : NULL;
}

bool number_parse(const char *text, uint32_t *ret)
{
    uint64_t value = 0;

    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (uint64_t)(*text - '0');
        if (value > UINT32_MAX)
            return false;
    }
    *ret = (uint32_t)value;
    return true;
}

static bool domid_parse(const char *text, uint32_t *ret)
{
    return number_parse(text, ret) && *ret < DOMID_RESERVED_FIRST;
}

/* The domain that quotas of the request are counted for, or NULL. */
static struct domain *guest(const struct request *r)
{
    return r->c->subject.privileged ? NULL : r->c->domain;
}

/* Log the refusal, and have the transaction fail as a whole. */
static enum outcome refuse(const struct request *r, enum quota quota,
                           uint64_t value)
{
    store_log_refusal(r->store, guest(r), quota, value);
    return STORE_ENOSPC;
}

static enum outcome poison(const struct request *r, enum outcome outcome)
{
    if (r->tx && (outcome == STORE_ENOSPC || outcome == STORE_ENOMEM))
        r->tx->poisoned = true;
    return outcome;
}

/* --- finding the node that a request is about --- */

struct found {
    char path[WIRE_ABS_PATH_MAX + 1];
    bool exists;
    struct perms *perms; /* borrowed */
    struct node *node;   /* outside a transaction */
    struct entry *entry; /* inside */
    /* If absent: the nearest ancestor. */
    struct node *nearest;
    struct entry *nearest_entry;
    struct perms *nearest_perms;
};

static enum outcome find_nearest(const struct request *r, struct found *f)
{
    if (!r->tx) {
        f->nearest_perms = f->nearest ? f->nearest->perms : NULL;
        return STORE_OK;
    }
    if (f->path[0] == '@')
        return STORE_OK;

    enum outcome outcome =
        transaction_nearest(r->tx, f->path, &f->nearest_entry);

    if (outcome == STORE_OK)
        f->nearest_perms = f->nearest_entry->perms;
    return outcome;
}

/*
 * STORE_OK: it exists and the client has the rights.  STORE_ENOENT: absent,
 * and the client may know.  STORE_EACCES otherwise.
 */
static enum outcome find(const struct request *r, const char *given,
                         bool special_too, unsigned int rights, struct found *f)
{
    const struct subject *who = &r->c->subject;
    enum outcome outcome;

    f->nearest_perms = NULL;
    if (!given)
        return STORE_EINVAL;
    outcome = path_canonical(r->c, given, special_too, f->path);
    if (outcome != STORE_OK)
        return outcome;
    if (r->tx) {
        outcome = transaction_touch(r->tx, f->path, &f->entry);
        if (outcome != STORE_OK)
            return poison(r, outcome);
        f->exists = f->entry->exists;
        f->perms = f->entry->perms;
    } else {
        f->node = tree_find(r->store, f->path, &f->nearest);
        f->exists = f->node;
        f->perms = f->exists ? f->node->perms : NULL;
    }
    if (f->exists)
        return rights & ~perms_rights(f->perms, who) ? STORE_EACCES : STORE_OK;
    if (who->privileged)
        return STORE_ENOENT;
    outcome = find_nearest(r, f);
    if (outcome != STORE_OK)
        return poison(r, outcome);
    if (f->nearest_perms && perms_rights(f->nearest_perms, who) & rights)
        return STORE_ENOENT;
    return STORE_EACCES;
}

/* Read the found node's value. */
static enum outcome value_of(const struct request *r, const struct found *f,
                             const uint8_t **ret, uint16_t *ret_len)
{
    enum outcome outcome;

    if (!r->tx) {
        *ret = node_value(f->node);
        *ret_len = f->node->value_len;
        return STORE_OK;
    }
    outcome = transaction_value(r->tx, f->entry);
    if (outcome == STORE_OK) {
        *ret = f->entry->value;
        *ret_len = f->entry->value_len;
    }
    return outcome;
}

static void list_children(const struct node *node, struct buffer *out)
{
    uint32_t at = 0;
    const struct node *child;

    while ((child = node_next_child(node, &at)))
        buffer_bytes(out, child->name, child->name_len + 1u);
}

static void fire_change(const struct request *r, const struct node *node,
                        const char *path, const struct perms *old)
{
    struct change_perms perms = {
        .node = node->perms,
        .parent = node->parent ? node->parent->perms : NULL,
        .old = old,
    };

    watch_fire(r->store, path, false, &perms);
}

/* --- reading --- */

static enum outcome do_directory(struct request *r)
{
    struct found f;
    enum outcome outcome = find(r, one_word(r), false, RIGHT_READ, &f);
    struct buffer *out = &r->store->scratch;

    if (outcome != STORE_OK)
        return outcome;
    buffer_reset(out);
    if (r->tx) {
        outcome = transaction_list(r->tx, f.entry, out);
        if (outcome != STORE_OK)
            return outcome;
    } else if (f.node->children &&
               f.node->children->list_len > WIRE_PAYLOAD_MAX) {
        return STORE_E2BIG;
    } else {
        list_children(f.node, out);
    }
    return reply_buffer(r, out);
}

static enum outcome do_directory_part(struct request *r)
{
    struct found f;
    char *words[2];
    uint32_t offset;
    uint64_t generation;
    struct buffer names = {0};
    struct buffer *out = &r->store->scratch;
    enum outcome outcome;
    size_t end;

    if (request_words(r, words, 2) != 2 || !number_parse(words[1], &offset))
        return STORE_EINVAL;
    outcome = find(r, words[0], false, RIGHT_READ, &f);
    if (outcome != STORE_OK)
        return outcome;
    if (r->tx) {
        outcome = transaction_list(r->tx, f.entry, &names);
        if (outcome != STORE_OK) {
            buffer_release(&names);
            return outcome;
        }
        generation = f.entry->stamp[STAMP_CHILDREN];
        list_for_each (it, &f.entry->changed)
            generation++;
    } else {
        list_children(f.node, &names);
        generation = node_stamp(f.node, STAMP_CHILDREN);
    }
    buffer_reset(out);
    buffer_format(out, "%" PRIu64, generation);
    buffer_u8(out, 0);
    end = size_min(offset, names.length);
    while (end < names.length) {
        size_t length = strlen((char *)names.bytes + end) + 1;

        /* One octet is kept for the mark at the end of the last part. */
        if (out->length + length + 1 > WIRE_PAYLOAD_MAX)
            break;
        buffer_bytes(out, names.bytes + end, length);
        end += length;
    }
    if (end == names.length)
        buffer_u8(out, 0);
    if (names.bad)
        outcome = STORE_ENOMEM;
    buffer_release(&names);
    return outcome == STORE_OK ? reply_buffer(r, out) : outcome;
}

static enum outcome do_read(struct request *r)
{
    struct found f;
    enum outcome outcome = find(r, one_word(r), false, RIGHT_READ, &f);
    const uint8_t *value;
    uint16_t length;

    if (outcome == STORE_OK)
        outcome = value_of(r, &f, &value, &length);
    if (outcome == STORE_OK)
        request_reply(r, value, length);
    return outcome;
}

static enum outcome do_get_perms(struct request *r)
{
    struct found f;
    enum outcome outcome = find(r, one_word(r), true, RIGHT_READ, &f);
    struct buffer *out = &r->store->scratch;

    if (outcome != STORE_OK)
        return outcome;
    buffer_reset(out);
    perms_format(f.perms, out);
    return reply_buffer(r, out);
}

/* --- changing --- */

static enum outcome check_node_size(const struct request *r, size_t value_len,
                                    const struct perms *perms)
{
    struct domain *d = guest(r);
    size_t size = value_len + 4u * perms->nr;

    if (d && quota_exceeded(&d->quotas, QUOTA_NODE_SIZE, size))
        return refuse(r, QUOTA_NODE_SIZE, size);
    return STORE_OK;
}

/* How many nodes a creation would make. */
static uint32_t missing(const struct request *r, const struct found *f)
{
    if (!r->tx)
        return tree_missing(f->nearest, f->path, r->store);

    uint32_t nr = 1;
    size_t from = f->nearest_entry->path_len;

    for (const char *at = f->path + (from > 1 ? from + 1 : 1); *at; at++)
        nr += *at == '/';
    return nr;
}

/* Create the node that find() did not find. */
static enum outcome create(struct request *r, struct found *f,
                           const void *value, uint16_t value_len)
{
    struct domain *d = guest(r);
    struct perms_table *table = &r->store->perms;
    struct perms *perms;
    enum outcome outcome = STORE_OK;

    if (!f->nearest_perms)
        outcome = find_nearest(r, f);
    if (outcome != STORE_OK)
        return outcome;
    if (d) {
        uint64_t nodes = d->nr_nodes + missing(r, f);

        if (r->tx)
            nodes += (uint64_t)r->tx->own_nodes;
        if (quota_exceeded(&d->quotas, QUOTA_NODES, nodes))
            return refuse(r, QUOTA_NODES, nodes);
    }
    perms = d ? perms_with_owner(table, f->nearest_perms, d->domid)
              : perms_hold(f->nearest_perms);
    if (!perms)
        return STORE_ENOMEM;
    outcome = check_node_size(r, value_len, perms);
    if (outcome == STORE_OK) {
        if (r->tx) {
            outcome = transaction_create(r->tx, f->entry, f->nearest_entry,
                                         perms, value, value_len);
        } else {
            f->node = tree_create(r->store, f->path, f->nearest, perms, value,
                                  value_len);
            if (f->node)
                fire_change(r, f->node, f->path, NULL);
            else
                outcome = STORE_ENOMEM;
        }
    }
    perms_drop(table, perms);
    return outcome;
}

static enum outcome do_write(struct request *r)
{
    struct found f;
    char *path;
    size_t path_len;
    const void *value;
    uint16_t value_len;
    enum outcome outcome;

    path = memchr(r->payload, 0, r->len) ? r->payload : NULL;
    if (!path)
        return STORE_EINVAL;
    path_len = strlen(path) + 1;
    value = r->payload + path_len;
    value_len = (uint16_t)(r->len - path_len);
    outcome = find(r, path, false, RIGHT_WRITE, &f);
    if (outcome == STORE_ENOENT) {
        outcome = create(r, &f, value, value_len);
    } else if (outcome == STORE_OK) {
        outcome = check_node_size(r, value_len, f.perms);
        if (outcome != STORE_OK)
            return poison(r, outcome);
        if (r->tx)
            outcome = transaction_write(r->tx, f.entry, value, value_len);
        else if (tree_set_value(r->store, f.node, value, value_len))
            fire_change(r, f.node, f.path, NULL);
        else
            outcome = STORE_ENOMEM;
    } else {
        return outcome;
    }
    return outcome == STORE_OK ? ok(r) : poison(r, outcome);
}

static enum outcome do_mkdir(struct request *r)
{
    struct found f;
    enum outcome outcome = find(r, one_word(r), false, RIGHT_WRITE, &f);

    if (outcome == STORE_ENOENT)
        outcome = poison(r, create(r, &f, NULL, 0));
    return outcome == STORE_OK ? ok(r) : outcome;
}

/* RM of what is not there is fine, if its parent is. */
static enum outcome remove_absent(struct request *r, struct found *f)
{
    bool parent;

    if (!path_parent(f->path))
        return STORE_ENOENT;
    if (r->tx) {
        struct entry *e;
        enum outcome outcome = transaction_touch(r->tx, f->path, &e);

        if (outcome != STORE_OK)
            return poison(r, outcome);
        parent = e->exists;
    } else {
        parent = tree_find(r->store, f->path, NULL);
    }
    return parent ? ok(r) : STORE_ENOENT;
}

static enum outcome do_rm(struct request *r)
{
    struct found f;
    enum outcome outcome = find(r, one_word(r), false, RIGHT_WRITE, &f);

    if (outcome == STORE_ENOENT)
        return remove_absent(r, &f);
    if (outcome != STORE_OK)
        return outcome;
    if (!strcmp(f.path, "/"))
        return STORE_EINVAL;
    if (r->tx) {
        outcome = transaction_remove(r->tx, f.entry);
        if (outcome != STORE_OK)
            return poison(r, outcome);
    } else {
        struct node *parent = f.node->parent;

        tree_remove(r->store, f.node, true);
        node_trim(parent);
    }
    return ok(r);
}

/* Whether the permission entry can have an effect; else it is kept inert. */
static bool entry_is_live(const struct request *r, const struct perm_entry *e)
{
    if (e->domid == DOMID_ANY_WIRE)
        return !r->c->domain || (r->c->domain->features & FEATURE_DOMID_ANY);
    return domid_exists(r->store, e->domid);
}

static enum outcome do_set_perms(struct request *r)
{
    struct found f;
    char *words[WORDS_MAX + 1];
    struct perm_entry entries[PERMS_MAX];
    unsigned int nr = request_words(r, words, ARRAY_SIZE(words));
    struct domain *d = guest(r);
    struct perms *perms, *old;
    enum outcome outcome;

    if (nr < 2 || nr - 1 > PERMS_MAX)
        return STORE_EINVAL;
    nr--;
    for (unsigned int i = 0; i < nr; i++) {
        if (!perm_entry_parse(words[i + 1], &entries[i]))
            return STORE_EINVAL;
        if (i == 0 && entries[i].domid == DOMID_ANY_WIRE)
            return STORE_EINVAL;
    }
    outcome = find(r, words[0], true, RIGHT_WRITE | RIGHT_OWNER, &f);
    if (outcome != STORE_OK)
        return outcome;
    if (d && quota_exceeded(&d->quotas, QUOTA_NODE_PERMISSIONS, nr))
        return poison(r, refuse(r, QUOTA_NODE_PERMISSIONS, nr));
    if (d && entries[0].domid != perms_owner(f.perms))
        return STORE_EPERM;
    if (!domid_exists(r->store, entries[0].domid))
        return STORE_ENOENT;
    for (unsigned int i = 1; i < nr; i++)
        entries[i].stale = !entry_is_live(r, &entries[i]);
    perms = perms_get(&r->store->perms, entries, nr);
    if (!perms)
        return poison(r, STORE_ENOMEM);
    if (r->tx) {
        outcome = transaction_set_perms(r->tx, f.entry, perms);
        return outcome == STORE_OK ? ok(r) : poison(r, outcome);
    }
    old = perms_hold(f.perms);
    if (!tree_set_perms(r->store, f.node, perms))
        outcome = STORE_ENOMEM;
    else if (f.path[0] != '@')
        fire_change(r, f.node, f.path, old);
    perms_drop(&r->store->perms, old);
    return outcome == STORE_OK ? ok(r) : outcome;
}

/* --- watches --- */

static enum outcome do_watch(struct request *r)
{
    char path[WIRE_ABS_PATH_MAX + 1];
    char *words[3];
    unsigned int nr = request_words(r, words, 3);
    struct domain *d = guest(r);
    uint32_t depth = 0;
    struct watch *w;
    enum outcome outcome;

    if (nr < 2 || nr > 3)
        return STORE_EINVAL;
    if (nr == 3 &&
        (!number_parse(words[2], &depth) || depth > INT16_MAX ||
         (r->c->domain && !(r->c->domain->features & FEATURE_WATCH_DEPTH))))
        return STORE_EINVAL;
    outcome = path_canonical(r->c, words[0], true, path);
    if (outcome != STORE_OK)
        return outcome;
    if (nr == 3 && path[0] == '@' && depth != 1)
        return STORE_EINVAL;
    if (watch_find(r->c, path, words[1]))
        return STORE_EEXIST;
    if (d && quota_exceeded(&d->quotas, QUOTA_WATCHES, r->c->nr_watches + 1))
        return refuse(r, QUOTA_WATCHES, r->c->nr_watches + 1);
    w = watch_add(r->store, r->c, path, words[0], words[1],
                  nr == 3 ? (int)depth : WATCH_DEPTH_ANY);
    if (!w)
        return STORE_ENOMEM;
    ok(r);
    watch_fire_initial(r->store, w);
    return STORE_OK;
}

static enum outcome do_unwatch(struct request *r)
{
    char path[WIRE_ABS_PATH_MAX + 1];
    char *words[2];
    struct watch *w;
    enum outcome outcome;

    if (request_words(r, words, 2) != 2)
        return STORE_EINVAL;
    outcome = path_canonical(r->c, words[0], true, path);
    if (outcome != STORE_OK)
        return outcome;
    w = watch_find(r->c, path, words[1]);
    if (!w)
        return STORE_ENOENT;
    watch_remove(r->store, w);
    return ok(r);
}

static enum outcome do_reset_watches(struct request *r)
{
    watch_remove_all(r->store, r->c);
    transaction_drop_all(r->c);
    return ok(r);
}

/* --- transactions --- */

void store_unshield(struct store *store)
{
    store->shielded = NULL;
    list_for_each (it, &store->clients) {
        struct connection *c = list_object(it, struct connection, all);

        if (c->held)
            connection_wake(c);
    }
}

static enum outcome do_transaction_start(struct request *r)
{
    char text[16];
    uint32_t id;
    enum outcome outcome;

    if (r->tx)
        return STORE_EBUSY;
    outcome = transaction_start(r->c, &id);
    if (outcome != STORE_OK)
        return outcome;
    if (r->c->subject.privileged && r->c->conflicts >= SHIELD_AFTER &&
        !r->store->shielded) {
        if (r->c->conflicts == SHIELD_AFTER)
            log_info(r->store->host.log,
                     "connection %u: %u transactions in conflict, guests wait",
                     r->c->id, r->c->conflicts);
        r->store->shielded = r->c;
        r->store->shield_until_ns = store_now(r->store) + SHIELD_NS;
    }
    snprintf(text, sizeof(text), "%" PRIu32, id);
    request_reply_text(r, text);
    return STORE_OK;
}

static enum outcome do_transaction_end(struct request *r)
{
    char *word = one_word(r);
    enum outcome outcome = STORE_OK;

    if (!word || (strcmp(word, "T") != 0 && strcmp(word, "F") != 0))
        return STORE_EINVAL;
    if (!r->tx)
        return STORE_ENOENT;
    if (*word == 'T')
        outcome = transaction_commit(r->tx);
    else
        transaction_drop(r->tx);
    if (r->store->shielded == r->c)
        store_unshield(r->store);
    return outcome == STORE_OK ? ok(r) : outcome;
}

/* --- domains --- */

static enum outcome do_introduce(struct request *r)
{
    char *words[3];
    uint32_t domid, gfn, port;
    enum outcome outcome;

    if (request_words(r, words, 3) != 3 || !domid_parse(words[0], &domid) ||
        !number_parse(words[1], &gfn) || !number_parse(words[2], &port) ||
        !port)
        return STORE_EINVAL;
    if (domid_is_privileged(r->store, domid))
        return STORE_EINVAL;
    outcome = store_introduce(r->store, (uint16_t)domid, gfn, port);
    return outcome == STORE_OK ? ok(r) : outcome;
}

static enum outcome do_release(struct request *r)
{
    char *word = one_word(r);
    uint32_t domid;
    enum outcome outcome;

    if (!word || !domid_parse(word, &domid))
        return STORE_EINVAL;
    outcome = store_release(r->store, (uint16_t)domid);
    return outcome == STORE_OK ? ok(r) : outcome;
}

static enum outcome do_get_domain_path(struct request *r)
{
    char text[64];
    char *word = one_word(r);
    uint32_t domid;

    if (!word || !number_parse(word, &domid) || domid > UINT16_MAX)
        return STORE_EINVAL;
    snprintf(text, sizeof(text), "/local/domain/%u", domid);
    request_reply_text(r, text);
    return STORE_OK;
}

static enum outcome do_is_domain_introduced(struct request *r)
{
    char *word = one_word(r);
    uint32_t domid;
    struct domain *d;

    if (!word || !number_parse(word, &domid) || domid > UINT16_MAX)
        return STORE_EINVAL;
    d = domain_find(r->store, domid);
    request_reply_text(r, domid == DOMID_SELF_WIRE ||
                                  domid_is_privileged(r->store, domid) ||
                                  (d && d->introduced)
                              ? "T"
                              : "F");
    return STORE_OK;
}

static enum outcome do_resume(struct request *r)
{
    char *word = one_word(r);
    uint32_t domid;
    enum outcome outcome;

    if (!word || !domid_parse(word, &domid))
        return STORE_EINVAL;
    outcome = domain_resume(r->store, domid);
    return outcome == STORE_OK ? ok(r) : outcome;
}

static enum outcome do_set_target(struct request *r)
{
    char *words[2];
    uint32_t domid, target;
    enum outcome outcome;

    if (request_words(r, words, 2) != 2 || !domid_parse(words[0], &domid) ||
        !domid_parse(words[1], &target))
        return STORE_EINVAL;
    outcome = domain_set_target(r->store, domid, target);
    return outcome == STORE_OK ? ok(r) : outcome;
}

static enum outcome do_get_feature(struct request *r)
{
    char text[16];
    uint32_t features = FEATURES_ALL;
    struct domain *d = r->c->domain;
    uint32_t domid;

    if (r->len > 1) {
        char *word = one_word(r);

        if (!r->c->subject.privileged)
            return STORE_EACCES;
        if (!word || !domid_parse(word, &domid))
            return STORE_EINVAL;
        d = domain_find(r->store, domid);
        if (!d && !domid_exists(r->store, domid))
            return STORE_ENOENT;
    }
    if (d)
        features = d->features;
    snprintf(text, sizeof(text), "%u", features);
    request_reply_text(r, text);
    return STORE_OK;
}

static enum outcome do_set_feature(struct request *r)
{
    char *words[2];
    uint32_t domid, features;
    struct domain *d;

    if (request_words(r, words, 2) != 2 || !domid_parse(words[0], &domid) ||
        !number_parse(words[1], &features) || features & ~FEATURES_ALL)
        return STORE_EINVAL;
    if (!domid_exists(r->store, domid))
        return STORE_ENOENT;
    d = domain_get(r->store, domid);
    if (!d)
        return STORE_ENOMEM;
    if (d->introduced)
        return STORE_EBUSY;
    d->features = features;
    d->features_set = true;
    return ok(r);
}

static enum outcome quota_list(const struct request *r)
{
    struct buffer *out = &r->store->scratch;

    buffer_reset(out);
    for (unsigned int i = 0; i < QUOTA_NR; i++)
        buffer_format(out, "%s ", quota_name(i));
    buffer_format(out, "soft-memory");
    buffer_u8(out, 0);
    return reply_buffer(r, out);
}

/* The set that a request about quotas names, or the global one. */
static enum outcome quota_target(const struct request *r, const char *domid,
                                 struct quota_set **ret)
{
    uint32_t id;
    struct domain *d;

    *ret = &r->store->quotas;
    if (!domid)
        return STORE_OK;
    if (!domid_parse(domid, &id))
        return STORE_EINVAL;
    d = domain_find(r->store, id);
    if (!d && domid_exists(r->store, id))
        d = domain_get(r->store, id);
    if (!d)
        return STORE_ENOENT;
    *ret = &d->quotas;
    return STORE_OK;
}

static enum outcome do_get_quota(struct request *r)
{
    char text[16];
    char *words[2];
    unsigned int nr = request_words(r, words, 2);
    struct quota_set *set;
    uint32_t *value;
    enum outcome outcome;

    if (r->len <= 1)
        return quota_list(r);
    if (nr < 1 || nr > 2)
        return STORE_EINVAL;
    outcome = quota_target(r, nr == 2 ? words[0] : NULL, &set);
    if (outcome != STORE_OK)
        return outcome;
    value = quota_by_name(set, words[nr - 1]);
    if (!value)
        return STORE_EINVAL;
    snprintf(text, sizeof(text), "%u", *value);
    request_reply_text(r, text);
    return STORE_OK;
}

static enum outcome do_set_quota(struct request *r)
{
    char *words[3];
    unsigned int nr = request_words(r, words, 3);
    struct quota_set *set;
    uint32_t *place, value;
    enum outcome outcome;

    if (nr < 2 || nr > 3 || !number_parse(words[nr - 1], &value))
        return STORE_EINVAL;
    outcome = quota_target(r, nr == 3 ? words[0] : NULL, &set);
    if (outcome != STORE_OK)
        return outcome;
    place = quota_by_name(set, words[nr - 2]);
    if (!place)
        return STORE_EINVAL;
    *place = value;
    return ok(r);
}

/* --- dispatch --- */

#define PRIVILEGED 1u /* refused to guests */
#define NO_TX      2u /* tx_id is ignored */
#define CHANGES    4u /* can spoil a transaction */

static const struct {
    enum outcome (*run)(struct request *r);
    unsigned int flags;
} operations[OP_NR] = {
    [OP_CONTROL] = {request_control,         PRIVILEGED},
    [OP_DIRECTORY] = {do_directory,            0         },
    [OP_READ] = {do_read,                 0         },
    [OP_GET_PERMS] = {do_get_perms,            0         },
    [OP_WATCH] = {do_watch,                NO_TX     },
    [OP_UNWATCH] = {do_unwatch,              NO_TX     },
    [OP_TRANSACTION_START] = {do_transaction_start,    0         },
    [OP_TRANSACTION_END] = {do_transaction_end,      CHANGES   },
    [OP_INTRODUCE] = {do_introduce,            PRIVILEGED},
    [OP_RELEASE] = {do_release,              PRIVILEGED},
    [OP_GET_DOMAIN_PATH] = {do_get_domain_path,      0         },
    [OP_WRITE] = {do_write,                CHANGES   },
    [OP_MKDIR] = {do_mkdir,                CHANGES   },
    [OP_RM] = {do_rm,                   CHANGES   },
    [OP_SET_PERMS] = {do_set_perms,            CHANGES   },
    [OP_IS_DOMAIN_INTRODUCED] = {do_is_domain_introduced, PRIVILEGED},
    [OP_RESUME] = {do_resume,               PRIVILEGED},
    [OP_SET_TARGET] = {do_set_target,           PRIVILEGED},
    [OP_RESET_WATCHES] = {do_reset_watches,        NO_TX     },
    [OP_DIRECTORY_PART] = {do_directory_part,       0         },
    [OP_GET_FEATURE] = {do_get_feature,          NO_TX     },
    [OP_SET_FEATURE] = {do_set_feature,          PRIVILEGED},
    [OP_GET_QUOTA] = {do_get_quota,            PRIVILEGED},
    [OP_SET_QUOTA] = {do_set_quota,            PRIVILEGED},
};

static enum outcome (*const extra_operations[])(struct request *r) = {
    [OP_QUIESCE - OP_EXTRA_FIRST] = request_quiesce,
    [OP_GET_DOMAIN_WATCHES - OP_EXTRA_FIRST] = request_get_domain_watches,
    [OP_ADD_DOMAIN_WATCHES - OP_EXTRA_FIRST] = request_add_domain_watches,
    [OP_UNQUIESCE - OP_EXTRA_FIRST] = request_unquiesce,
};

bool request_is_change(uint32_t type)
{
    return type < OP_NR && operations[type].flags & CHANGES;
}

static enum outcome dispatch(struct request *r)
{
    enum outcome (*run)(struct request *) = NULL;
    unsigned int flags = PRIVILEGED | NO_TX;
    uint32_t type = r->hdr->type;

    if (type < OP_NR) {
        run = operations[type].run;
        flags = operations[type].flags;
    } else if (type >= OP_EXTRA_FIRST && type <= OP_EXTRA_LAST) {
        run = extra_operations[type - OP_EXTRA_FIRST];
    }
    if (!run)
        return STORE_ENOSYS;
    if (flags & PRIVILEGED && !r->c->subject.privileged)
        return STORE_EACCES;
    if (r->hdr->tx_id && !(flags & NO_TX)) {
        r->tx = transaction_find(r->c, r->hdr->tx_id);
        if (!r->tx)
            return STORE_ENOENT;
    }
    return run(r);
}

static void trace(const struct request *r, const char *what)
{
    const char *name = wire_op_name(r->hdr->type);
    char text[256];
    size_t length = size_min(r->len, sizeof(text) - 1);

    for (size_t i = 0; i < length; i++)
        text[i] =
            r->payload[i] >= ' ' && r->payload[i] < 127 ? r->payload[i] : ' ';
    text[length] = '\0';
    log_info(r->store->host.log, "%s c%u d%u tx%u %s(%s)", what, r->c->id,
             r->c->subject.domid, r->hdr->tx_id, name ? name : "?", text);
}

void request_run(struct connection *c, const struct wire_header *hdr,
                 uint8_t *payload)
{
    struct request r = {.store = c->store,
                        .c = c,
                        .hdr = hdr,
                        .payload = (char *)payload,
                        .len = hdr->len};
    enum outcome outcome;

    if (c->store->trace)
        trace(&r, "IN");
    outcome = dispatch(&r);
    if (outcome == STORE_PARKED) {
        c->parked = *hdr;
        c->is_parked = true;
    } else if (outcome != STORE_OK) {
        const char *name = outcome_name(outcome);

        if (c->store->trace)
            trace(&r, name);
        connection_reply(c, hdr, OP_ERROR, name, strlen(name) + 1);
    }
}
