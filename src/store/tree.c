/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/connection.h"
#include "store/domain.h"

static const char *const special_names[SPECIAL_NR] = {
    [SPECIAL_INTRODUCE] = "@introduceDomain",
    [SPECIAL_RELEASE] = "@releaseDomain",
};

static bool path_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '-' || c == '/' || c == '_' ||
           c == '@';
}

bool path_is_valid(const char *path, bool special_too)
{
    size_t length = strlen(path);

    if (length == 0 || length > WIRE_ABS_PATH_MAX)
        return false;
    if (path[0] == '@' ? !special_too : path[0] != '/')
        return false;
    if (length > 1 && path[length - 1] == '/')
        return false;
    for (size_t i = 0; i < length; i++)
        if (!path_char(path[i]) || (path[i] == '/' && path[i + 1] == '/'))
            return false;
    return true;
}

/* Octets of 'path' beyond a leading "/local/domain/<number>/". */
static size_t path_length_at_home(const char *path)
{
    static const char home[] = "/local/domain/";
    const char *p = path;

    if (!strncmp(path, home, sizeof(home) - 1)) {
        p += sizeof(home) - 1;
        while (*p >= '0' && *p <= '9')
            p++;
        p = *p == '/' ? p + 1 : path;
    }
    return strlen(p);
}

enum outcome path_canonical(const struct connection *c, const char *given,
                            bool special_too, char *ret)
{
    size_t length = strlen(given);
    size_t prefix = 0;

    if (length == 0)
        return STORE_EINVAL;
    if (given[0] != '/' && given[0] != '@')
        prefix = (size_t)snprintf(ret, WIRE_ABS_PATH_MAX + 1,
                                  "/local/domain/%u/", c->subject.domid);
    if (prefix + length > WIRE_ABS_PATH_MAX)
        return STORE_EINVAL;
    memcpy(ret + prefix, given, length + 1);
    if (!path_is_valid(ret, special_too))
        return STORE_EINVAL;
    if (!c->subject.privileged && c->domain &&
        quota_exceeded(&c->domain->quotas, QUOTA_PATH_MAX,
                       path_length_at_home(ret))) {
        store_log_refusal(c->store, c->domain, QUOTA_PATH_MAX,
                          path_length_at_home(ret));
        return STORE_EINVAL;
    }
    return STORE_OK;
}

bool path_parent(char *path)
{
    char *slash = strrchr(path, '/');

    if (!slash || !slash[1])
        return false;
    slash[slash == path] = '\0';
    return true;
}

static bool create_first(struct store *store, const char *path,
                         struct perms *perms)
{
    struct node *nearest;

    return tree_find(store, path, &nearest) ||
           tree_create(store, path, nearest, perms, NULL, 0);
}

bool tree_init(struct store *store)
{
    struct perm_entry entry = {.domid = store->options.master_domid};
    struct perms *perms;
    bool done;

    perms = perms_get(&store->perms, &entry, 1);
    if (!perms)
        return false;
    store->root = node_new(&store->pool, "", 0, perms);
    for (unsigned int i = 0; i < SPECIAL_NR; i++)
        store->special[i] = node_new(&store->pool, special_names[i],
                                     strlen(special_names[i]), perms);
    done = store->root && store->special[SPECIAL_INTRODUCE] &&
           store->special[SPECIAL_RELEASE] &&
           domain_get(store, store->options.master_domid);
    if (done) {
        struct domain *owner = domain_find(store, store->options.master_domid);

        store->generation++;
        node_set_birth(store->root, store->generation);
        for (unsigned int i = 0; i < SPECIAL_NR; i++)
            node_set_birth(store->special[i], store->generation);
        domain_add_node(store, owner, store->root);
        done = create_first(store, "/tool/xenstored", perms);
    }
    perms_drop(&store->perms, perms);
    return done;
}

void tree_release(struct store *store)
{
    if (store->root) {
        uint32_t at = 0;
        struct node *child;

        while ((child = node_next_child(store->root, &at)))
            tree_remove(store, child, false);
        if (!list_is_empty(&store->root->owned))
            domain_remove_node(store, store->root);
        node_free(&store->pool, &store->perms, store->root);
    }
    for (unsigned int i = 0; i < SPECIAL_NR; i++)
        if (store->special[i])
            node_free(&store->pool, &store->perms, store->special[i]);
    store->root = NULL;
}

struct node *tree_find(const struct store *store, const char *path,
                       struct node **ret_nearest)
{
    struct node *node = store->root;
    const char *at = path + 1;

    if (*path == '@') {
        if (ret_nearest)
            *ret_nearest = NULL;
        for (unsigned int i = 0; i < SPECIAL_NR; i++)
            if (!strcmp(path, special_names[i]))
                return store->special[i];
        return NULL;
    }
    while (*at) {
        const char *end = strchrnul(at, '/');
        struct node *child = node_child(node, at, (size_t)(end - at));

        if (!child) {
            if (ret_nearest)
                *ret_nearest = node;
            return NULL;
        }
        node = child;
        at = *end ? end + 1 : end;
    }
    return node;
}

void tree_path(const struct store *store, const struct node *node, char *ret)
{
    size_t length = 0;
    char *at;

    if (!node->parent) {
        strcpy(ret, node == store->root ? "/" : node->name);
        return;
    }
    for (const struct node *n = node; n->parent; n = n->parent)
        length += n->name_len + 1u;
    at = ret + length;
    *at = '\0';
    for (const struct node *n = node; n->parent; n = n->parent) {
        at -= n->name_len;
        memcpy(at, n->name, n->name_len);
        *--at = '/';
    }
}

/* Where the part of 'path' below 'nearest' begins, past its slash. */
static const char *path_below(const struct store *store,
                              const struct node *nearest, const char *path)
{
    unsigned int depth = 0;
    const char *at = path + 1;

    for (const struct node *n = nearest; n != store->root; n = n->parent)
        depth++;
    while (depth--)
        at = strchr(at, '/') + 1;
    return at;
}

uint32_t tree_missing(const struct node *nearest, const char *path,
                      const struct store *store)
{
    uint32_t nr = 1;

    for (const char *at = path_below(store, nearest, path); *at; at++)
        nr += *at == '/';
    return nr;
}

void tree_attach(struct store *store, struct node *parent, struct node *node)
{
    struct domain *owner = domain_find(store, perms_owner(node->perms));

    node_set_birth(node, store->generation);
    node_attach(parent, node);
    node_set_stamp(parent, STAMP_CHILDREN, store->generation);
    store->nr_nodes++;
    domain_add_node(store, owner, node);
}

struct node *tree_create(struct store *store, const char *path,
                         struct node *nearest, struct perms *perms,
                         const void *value, uint16_t value_len)
{
    const char *at = path_below(store, nearest, path);
    struct node *top = NULL;
    struct node *last = NULL;

    if (!domain_get(store, perms_owner(perms)) || !node_reserve(nearest, 1))
        return NULL;
    /* Build the branch beside the tree; only then hang it in. */
    while (*at) {
        const char *end = strchrnul(at, '/');
        struct node *node =
            node_new(&store->pool, at, (size_t)(end - at), perms);
        bool good = node && (!last || node_reserve(last, 1));

        if (good && last)
            node_attach(last, node);
        if (good && !*end)
            good = node_set_value(node, value, value_len);
        if (!good) {
            if (node && !node->parent)
                node_free(&store->pool, &store->perms, node);
            for (last = node && node->parent ? node : last; last;) {
                struct node *parent = last->parent;

                node_free(&store->pool, &store->perms, last);
                last = parent;
            }
            return NULL;
        }
        if (!top)
            top = node;
        last = node;
        at = *end ? end + 1 : end;
    }
    store->generation++;
    for (struct node *n = top; n;) {
        uint32_t first = 0;
        struct node *below = node_next_child(n, &first);

        if (n == top) {
            tree_attach(store, nearest, n);
        } else {
            node_set_birth(n, store->generation);
            store->nr_nodes++;
            domain_add_node(store, domain_find(store, perms_owner(perms)), n);
        }
        n = below;
    }
    return last;
}

bool tree_set_value(struct store *store, struct node *node, const void *value,
                    uint16_t value_len)
{
    struct domain *owner = domain_find(store, perms_owner(node->perms));
    size_t before = node_memory(node);

    if (!node_set_value(node, value, value_len))
        return false;
    if (owner && !list_is_empty(&node->owned)) {
        domain_charge(store, owner, node_memory(node));
        domain_discharge(store, owner, before);
    }
    node_set_stamp(node, STAMP_VALUE, ++store->generation);
    return true;
}

bool tree_set_perms(struct store *store, struct node *node, struct perms *perms)
{
    struct domain *owner = domain_get(store, perms_owner(perms));

    if (!owner) {
        perms_drop(&store->perms, perms);
        return false;
    }
    if (!list_is_empty(&node->owned) &&
        perms_owner(perms) != perms_owner(node->perms)) {
        domain_remove_node(store, node);
        domain_add_node(store, owner, node);
    }
    perms_drop(&store->perms, node->perms);
    node->perms = perms;
    node_set_stamp(node, STAMP_PERMS, ++store->generation);
    return true;
}

static void append_name(char *path, const struct node *node)
{
    size_t length = strlen(path);

    if (length > 1)
        path[length++] = '/';
    memcpy(path + length, node->name, node->name_len + 1u);
}

void tree_remove(struct store *store, struct node *top, bool fire)
{
    char path[WIRE_ABS_PATH_MAX + 1];
    struct node *node = top;
    struct node *above = top->parent;

    tree_path(store, top, path);
    store->generation++;
    for (;;) {
        uint32_t first = 0;
        struct node *child = node_next_child(node, &first);
        struct node *parent = node->parent;
        bool last = node == top;

        if (child) {
            append_name(path, child);
            node = child;
            continue;
        }
        if (fire) {
            struct change_perms perms = {.node = node->perms,
                                         .parent = parent->perms};

            watch_fire(store, path, !last, &perms);
        }
        node_detach(node);
        if (!list_is_empty(&node->owned))
            domain_remove_node(store, node);
        node_free(&store->pool, &store->perms, node);
        store->nr_nodes--;
        if (last)
            break;
        path_parent(path);
        node = parent;
    }
    node_set_stamp(above, STAMP_CHILDREN, store->generation);
}

struct node *tree_next(const struct node *top, struct node *node, char *path)
{
    uint32_t at = 0;
    struct node *next = node_next_child(node, &at);

    if (next) {
        append_name(path, next);
        return next;
    }
    while (node != top) {
        at = node->place + 1;
        path_parent(path);
        node = node->parent;
        next = node_next_child(node, &at);
        if (next) {
            append_name(path, next);
            return next;
        }
    }
    return NULL;
}
