/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A save and a restore on the memory host, for the tests of the engine: the
 * guest is domain 1, what is restored is domain 2, the image is a memfd.
 */
#ifndef TESTS_ENGINE_FIXTURE_H
#define TESTS_ENGINE_FIXTURE_H

#include "engine/engine.h"
#include "memory_host.h"

#define SOURCE 1
#define TARGET 2

struct engine_fixture {
    struct memory_host *m;
    int image_fd;
    struct save_request save;
    struct restore_request restore;
    struct save_report saved;
    struct restore_report restored;
    uint64_t source_end; /* machine frames below are domain 1's */
    enum guest_type target_type;
    unsigned int nr_suspends;
    bool refuse_suspend;
    bool device_model_log_dirty;
    uint32_t missing; /* what static_data_done() was told */
    unsigned int nr_events;
};

/* 'f' gets a machine without domains, and requests to change at will. */
void fixture_open(struct engine_fixture *f);
void fixture_close(struct engine_fixture *f);

/* An HVM guest in domain 1: memory with data, zeroes and holes. */
void fixture_hvm_guest(struct engine_fixture *f);
#define HVM_FRAMES  1600 /* from gfn 0, but for a hole */
#define HVM_HOLE    700  /* to HVM_HOLE + 40 */
#define HVM_STORE   5000
#define HVM_CONSOLE 5001

/* A PV guest in domain 1: page tables, P2M in the form asked for. */
void fixture_pv_guest(struct engine_fixture *f, bool list_form);
#define PV_FRAMES 1200

/* Save domain 1 into the image, from its start. */
bool fixture_save(struct engine_fixture *f, struct error *err);

/* Restore the image, from its start, into a new domain 2. */
bool fixture_restore(struct engine_fixture *f, struct error *err);

/* Fails unless nothing is mapped and no mode is on. */
void fixture_assert_clean(struct engine_fixture *f);

/* Fails unless domain 2 is what domain 1 is. */
void fixture_assert_same_hvm(struct engine_fixture *f);
void fixture_assert_same_pv(struct engine_fixture *f);

/* The whole image; the caller frees it. */
uint8_t *fixture_image(struct engine_fixture *f, size_t *ret_length);
void fixture_set_image(struct engine_fixture *f, const uint8_t *bytes,
                       size_t length);

#endif
