/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/permission.h"

#include <stdlib.h>
#include <string.h>

void perms_table_init(struct perms_table *table)
{
    table->by_entries = NULL;
    list_init(&table->all);
}

struct perms *perms_hold(struct perms *perms)
{
    perms->refs++;
    return perms;
}

static void perms_unshare(struct perms_table *table, struct perms *perms)
{
    if (perms->shared)
        HASH_DEL(table->by_entries, perms);
    perms->shared = false;
}

void perms_drop(struct perms_table *table, struct perms *perms)
{
    if (!perms || --perms->refs)
        return;
    perms_unshare(table, perms);
    list_remove(&perms->all);
    free(perms);
}

struct perms *perms_get(struct perms_table *table,
                        const struct perm_entry *entries, unsigned int nr)
{
    struct perms *perms;
    size_t size = nr * sizeof(*entries);

    HASH_FIND(hh, table->by_entries, entries, size, perms);
    if (perms)
        return perms_hold(perms);
    /* 'nr' is at most PERMS_MAX: the decoders see to it. */
    perms = malloc(sizeof(*perms) + size);
    if (!perms)
        return NULL;
    perms->refs = 1;
    perms->nr = (uint16_t)nr;
    perms->shared = true;
    memcpy(perms->entries, entries, size);
    HASH_ADD_KEYPTR(hh, table->by_entries, perms->entries, size, perms);
    list_append(&table->all, &perms->all);
    return perms;
}

struct perms *perms_with_owner(struct perms_table *table, struct perms *perms,
                               uint16_t owner)
{
    struct perm_entry entries[PERMS_MAX];

    if (perms_owner(perms) == owner)
        return perms_hold(perms);
    memcpy(entries, perms->entries, perms->nr * sizeof(*entries));
    entries[0].domid = owner;
    entries[0].stale = 0;
    return perms_get(table, entries, perms->nr);
}

static bool subject_is(const struct subject *who, uint16_t domid)
{
    return domid == who->domid ||
           (domid == who->target && who->target != DOMID_NONE_WIRE);
}

unsigned int perms_rights(const struct perms *perms, const struct subject *who)
{
    if (who->privileged || subject_is(who, perms->entries[0].domid))
        return RIGHT_READ | RIGHT_WRITE | RIGHT_OWNER;
    for (unsigned int i = 1; i < perms->nr; i++) {
        const struct perm_entry *e = &perms->entries[i];

        if (!e->stale &&
            (subject_is(who, e->domid) || e->domid == DOMID_ANY_WIRE))
            return e->rights;
    }
    return perms->entries[0].rights;
}

void perms_forget_domain(struct perms_table *table, uint16_t domid)
{
    list_for_each (it, &table->all) {
        struct perms *perms = list_object(it, struct perms, all);
        uint16_t kept = 1;

        for (uint16_t i = 1; i < perms->nr; i++)
            kept += perms->entries[i].domid != domid;
        if (kept == perms->nr)
            continue;
        /* Its key changes: two equal lists from here on do no harm. */
        perms_unshare(table, perms);
        kept = 1;
        for (uint16_t i = 1; i < perms->nr; i++)
            if (perms->entries[i].domid != domid)
                perms->entries[kept++] = perms->entries[i];
        perms->nr = kept;
    }
}

bool perm_entry_parse(const char *text, struct perm_entry *ret)
{
    struct perm_entry entry = {0};
    uint32_t domid = 0;

    switch (*text++) {
    case 'n':
        break;
    case 'r':
        entry.rights = RIGHT_READ;
        break;
    case 'w':
        entry.rights = RIGHT_WRITE;
        break;
    case 'b':
        entry.rights = RIGHT_READ | RIGHT_WRITE;
        break;
    default:
        return false;
    }
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        domid = domid * 10 + (uint32_t)(*text - '0');
        if (domid > UINT16_MAX)
            return false;
    }
    if (domid >= DOMID_RESERVED_FIRST && domid != DOMID_ANY_WIRE)
        return false;
    entry.domid = (uint16_t)domid;
    *ret = entry;
    return true;
}

char perm_letter(unsigned int rights)
{
    return "nrwb"[rights & (RIGHT_READ | RIGHT_WRITE)];
}

void perms_format(const struct perms *perms, struct buffer *out)
{
    for (unsigned int i = 0; i < perms->nr; i++) {
        buffer_format(out, "%c%u", perm_letter(perms->entries[i].rights),
                      perms->entries[i].domid);
        buffer_u8(out, 0);
    }
}
