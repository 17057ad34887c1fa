/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Intrusive circular lists: a 'struct list' is both the head and, embedded in
 * an object, its link.  list_remove() of an unlinked (self-linked) entry is
 * harmless.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/macros.h"

struct list {
    struct list *next;
    struct list *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_is_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_insert_before(struct list *at, struct list *entry)
{
    entry->next = at;
    entry->prev = at->prev;
    at->prev->next = entry;
    at->prev = entry;
}

static inline void list_append(struct list *head, struct list *entry)
{
    list_insert_before(head, entry);
}

static inline void list_remove(struct list *entry)
{
    entry->prev->next = entry->next;
    entry->next->prev = entry->prev;
    list_init(entry);
}

/* The entry's object; 'l' is a link, never the head. */
#define list_object(l, type, member) container_of(l, type, member)

#define list_for_each(it, head) \
    for (struct list *it = (head)->next; it != (head); it = it->next)

/* As list_for_each(), and 'it' may be removed on the way. */
#define list_for_each_safe(it, after, head)                               \
    for (struct list *it = (head)->next, *after = it->next; it != (head); \
         it = after, after = it->next)

#endif
