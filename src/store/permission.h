/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Permission lists, shared: every list exists once, however many nodes carry
 * it.  Most nodes inherit their parent's, so a node pays one pointer, and a
 * domain's death visits the few distinct lists instead of the whole tree.
 *
 * Entry 0 is the owner and everybody else's right; the others give one domain
 * its right.  A stale entry names a domain that did not exist when the list
 * was set: it is kept for reading back and never grants anything.
 */
#ifndef STORE_PERMISSION_H
#define STORE_PERMISSION_H

#include <uthash.h>

#include "base/buffer.h"
#include "base/list.h"
#include "store/wire.h"

#define RIGHT_NONE  0u
#define RIGHT_READ  1u
#define RIGHT_WRITE 2u
#define RIGHT_OWNER 4u /* asked for, never stored */

struct perm_entry {
    uint16_t domid;
    uint8_t rights;
    uint8_t stale;
};

struct perms {
    uint32_t refs;
    uint16_t nr; /* at least 1 */
    bool shared; /* still found by perms_get() */
    UT_hash_handle hh;
    struct list all; /* on perms_table.all */
    struct perm_entry entries[];
};

struct perms_table {
    struct perms *by_entries;
    struct list all;
};

/* More entries than a request can carry. */
#define PERMS_MAX 1024u

void perms_table_init(struct perms_table *table);

/* A counted reference to the list with these entries, or NULL: no memory. */
struct perms *perms_get(struct perms_table *table,
                        const struct perm_entry *entries, unsigned int nr);
struct perms *perms_hold(struct perms *perms);
void perms_drop(struct perms_table *table, struct perms *perms);

/* The same list with another owner, counted; NULL: no memory. */
struct perms *perms_with_owner(struct perms_table *table, struct perms *perms,
                               uint16_t owner);

static inline uint16_t perms_owner(const struct perms *perms)
{
    return perms->entries[0].domid;
}

/* Whoever asks: its own domid and, after SET_TARGET, a second one. */
struct subject {
    uint16_t domid;
    uint16_t target; /* DOMID_NONE_WIRE if none */
    bool privileged;
};

/* Everything that 'who' may do with a node that carries 'perms'. */
unsigned int perms_rights(const struct perms *perms, const struct subject *who);

/* Take the domain's entries (but not its ownership) out of every list. */
void perms_forget_domain(struct perms_table *table, uint16_t domid);

/*
 * One entry as text, "<letter><domid>".  parse refuses anything else; 'text'
 * is NUL-terminated.
 */
bool perm_entry_parse(const char *text, struct perm_entry *ret);
char perm_letter(unsigned int rights);

/* All entries as the wire has them, each with its NUL. */
void perms_format(const struct perms *perms, struct buffer *out);

#endif
