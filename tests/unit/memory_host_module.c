/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory host as a module, "memory:", for tests of programs: domain 1 is a
 * small HVM guest that counts as suspended, domain 2 waits to be restored.
 */
#include "memory_host.h"
#include "stream/xc/xc_x86_hvm.h"

#define GUEST_FRAMES 1500
#define STORE_GFN    2000

static bool memory_open(const char *rest_of_uri, const struct log *log,
                        struct host **ret, struct error *err)
{
    struct memory_host *m = memory_host_new();
    struct memory_domain *d = &m->domains[1];

    memory_domain_create(m, 1, GUEST_X86_HVM, 4096);
    for (uint64_t gfn = 0; gfn < GUEST_FRAMES; gfn++)
        memory_hvm_add(m, 1, gfn, gfn % 3 ? (uint8_t)(gfn | 1) : 0);
    memory_hvm_add(m, 1, STORE_GFN, 1);
    d->params[HVM_PARAM_INDEX_STORE_PFN] = STORE_GFN;
    d->info.shutdown = true;
    d->info.shutdown_reason = SHUTDOWN_REASON_SUSPEND;
    buffer_text(&d->context, "state");
    memory_domain_create(m, 2, GUEST_X86_HVM, 4096);
    m->host.log = log;
    *ret = &m->host;
    return true;
}

extern const struct host_module xenferry_host_module;
const struct host_module xenferry_host_module = {
    .version = HOST_MODULE_VERSION,
    .name = "memory",
    .open = memory_open,
};
