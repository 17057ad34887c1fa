/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostd/baton.h"

#include <time.h>

#include "base/clock.h"

struct baton_waiter {
    struct list link;
    pthread_cond_t cond;
    bool granted;
};

static void cond_init_monotonic(pthread_cond_t *cond)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

static void cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex,
                            int64_t deadline_ns)
{
    struct timespec until = {.tv_sec = deadline_ns / NS_PER_S,
                             .tv_nsec = deadline_ns % NS_PER_S};

    if (deadline_ns == DEADLINE_NONE)
        pthread_cond_wait(cond, mutex);
    else
        pthread_cond_timedwait(cond, mutex, &until);
}

void baton_init(struct baton *b, void (*stop)(void *runner))
{
    *b = (struct baton){.stop = stop};
    pthread_mutex_init(&b->mutex, NULL);
    list_init(&b->urgent);
    list_init(&b->vcpus);
}

void baton_release(struct baton *b)
{
    pthread_mutex_destroy(&b->mutex);
}

static void take_locked(struct baton *b, enum baton_class class)
{
    struct baton_waiter self = {.granted = false};
    struct list *queue = class == BATON_URGENT ? &b->urgent : &b->vcpus;

    if (!b->held) {
        b->held = true;
        return;
    }
    cond_init_monotonic(&self.cond);
    list_append(queue, &self.link);
    while (!self.granted) {
        int64_t again = DEADLINE_NONE;

        /* When somebody begins to run, baton_run_begin() wakes us. */
        if (b->runner && class == BATON_VCPU &&
            clock_now_ns() < b->slice_end_ns)
            again = b->slice_end_ns;
        else if (b->runner)
            b->stop(b->runner);
        cond_wait_until(&self.cond, &b->mutex, again);
    }
    pthread_cond_destroy(&self.cond);
}

static void give_locked(struct baton *b)
{
    struct list *queue = list_is_empty(&b->urgent) ? &b->vcpus : &b->urgent;
    struct baton_waiter *next;

    if (list_is_empty(queue)) {
        b->held = false;
        return;
    }
    next = list_object(queue->next, struct baton_waiter, link);
    list_remove(&next->link);
    next->granted = true;
    pthread_cond_signal(&next->cond);
}

void baton_take(struct baton *b, enum baton_class class)
{
    pthread_mutex_lock(&b->mutex);
    take_locked(b, class);
    pthread_mutex_unlock(&b->mutex);
}

void baton_give(struct baton *b)
{
    pthread_mutex_lock(&b->mutex);
    give_locked(b);
    pthread_mutex_unlock(&b->mutex);
}

void baton_run_begin(struct baton *b, void *runner, int64_t slice_ns)
{
    struct list *queue;

    pthread_mutex_lock(&b->mutex);
    b->runner = runner;
    b->slice_end_ns = clock_now_ns() + slice_ns;
    /* Who waits without a deadline because nobody ran looks again. */
    for (queue = b->urgent.next; queue != &b->urgent; queue = queue->next)
        pthread_cond_signal(
            &list_object(queue, struct baton_waiter, link)->cond);
    if (!list_is_empty(&b->vcpus))
        pthread_cond_signal(
            &list_object(b->vcpus.next, struct baton_waiter, link)->cond);
    pthread_mutex_unlock(&b->mutex);
}

void baton_run_end(struct baton *b)
{
    pthread_mutex_lock(&b->mutex);
    b->runner = NULL;
    pthread_mutex_unlock(&b->mutex);
}

void bell_init(struct bell *bell)
{
    cond_init_monotonic(&bell->cond);
    bell->rung = false;
}

void bell_release(struct bell *bell)
{
    pthread_cond_destroy(&bell->cond);
}

void bell_ring(struct baton *b, struct bell *bell)
{
    pthread_mutex_lock(&b->mutex);
    bell->rung = true;
    pthread_cond_signal(&bell->cond);
    pthread_mutex_unlock(&b->mutex);
}

void bell_wait(struct baton *b, struct bell *bell, int64_t deadline_ns,
               enum baton_class class)
{
    pthread_mutex_lock(&b->mutex);
    give_locked(b);
    while (!bell->rung && clock_now_ns() < deadline_ns)
        cond_wait_until(&bell->cond, &b->mutex, deadline_ns);
    bell->rung = false;
    take_locked(b, class);
    pthread_mutex_unlock(&b->mutex);
}
