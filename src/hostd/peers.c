/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostd/peers.h"

#include "hostd/events.h"
#include "hostd/grant_maps.h"
#include "hostd/machine_state.h"

void peers_init(struct peers *p)
{
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->parted, NULL);
    list_init(&p->members);
}

void peers_release(struct peers *p)
{
    pthread_cond_destroy(&p->parted);
    pthread_mutex_destroy(&p->mutex);
}

void peers_join(struct peers *p, struct hosted *h)
{
    pthread_mutex_lock(&p->mutex);
    h->peers = p;
    list_append(&p->members, &h->peer_link);
    pthread_mutex_unlock(&p->mutex);
}

/* 'h' is no member: with each that is, while nothing runs in that. */
static void leave_each(struct peers *p, struct hosted *h)
{
    pthread_mutex_lock(&p->mutex);
    list_for_each (it, &p->members) {
        struct hosted *other = list_object(it, struct hosted, peer_link);

        other->visitors++;
        pthread_mutex_unlock(&p->mutex);
        hosted_take(other);
        events_forget_guest(&other->m, h->m.domid);
        grant_maps_forget_guest(&other->m, h->m.domid);
        grant_maps_end(&h->m, &other->m);
        peers_part(other);
        pthread_mutex_lock(&p->mutex);
    }
    pthread_mutex_unlock(&p->mutex);
}

bool peers_can_leave(struct hosted *h, struct error *err)
{
    bool ok;

    hosted_take(h);
    ok = machine_state_can_leave(&h->m, err);
    hosted_give(h);
    return ok;
}

void peers_leave(struct hosted *h)
{
    struct peers *p = h->peers;
    struct error err;

    if (!p)
        return;
    hosted_stand_still(h);
    pthread_mutex_lock(&p->mutex);
    list_remove(&h->peer_link);
    while (h->visitors)
        pthread_cond_wait(&p->parted, &p->mutex);
    pthread_mutex_unlock(&p->mutex);
    /* What others have with it, it has with them: both sides know. */
    if (!peers_can_leave(h, &err))
        leave_each(p, h);
}

static struct hosted *visit(struct peers *p, uint16_t domid)
{
    struct hosted *found = NULL;

    pthread_mutex_lock(&p->mutex);
    list_for_each (it, &p->members) {
        struct hosted *other = list_object(it, struct hosted, peer_link);

        if (other->m.domid == domid)
            found = other;
    }
    if (found)
        found->visitors++;
    pthread_mutex_unlock(&p->mutex);
    return found;
}

struct hosted *peers_meet(struct hosted *h, uint16_t domid)
{
    struct hosted *other = h->peers ? visit(h->peers, domid) : NULL;

    if (!other)
        return NULL;
    hosted_give(h);
    hosted_take(h < other ? h : other);
    hosted_take(h < other ? other : h);
    return other;
}

void peers_part(struct hosted *other)
{
    struct peers *p = other->peers;

    hosted_give(other);
    pthread_mutex_lock(&p->mutex);
    other->visitors--;
    pthread_cond_broadcast(&p->parted);
    pthread_mutex_unlock(&p->mutex);
}
