/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostd/hypercall_serve.h"

#include <inttypes.h>
#include <string.h>

#include "hostd/page_walk.h"

#define CALL_SIZE 32
#define NR_CALLS  (PAGE_SIZE / CALL_SIZE)

#define CONSOLE_TEXT_MAX 1024

bool hypercall_read(struct hypercall *c, uint64_t address, void *to,
                    size_t length)
{
    return guest_read(c->m, c->v, address, to, length);
}

bool hypercall_write(struct hypercall *c, uint64_t address, const void *from,
                     size_t length)
{
    return guest_write(c->m, c->v, address, from, length);
}

int64_t hypercall_unknown(struct hypercall *c)
{
    machine_stop(c->m,
                 "vCPU %u at RIP %#" PRIx64 ": hypercall %" PRIu64 "(%#" PRIx64
                 ", %#" PRIx64 ", %#" PRIx64
                 ") is not one that this host knows",
                 c->v->id, c->rip, c->nr, c->arg[0], c->arg[1], c->arg[2]);
    return -XEN_ENOSYS;
}

bool hypercall_means_self(const struct hypercall *c, domid_t domid)
{
    return domid == DOMID_SELF || domid == c->m->domid;
}

bool hypercall_guest(struct hypercall *c, domid_t domid, struct machine **ret)
{
    /* The host is none of its guests. */
    if (domid == 0 || hypercall_means_self(c, domid)) {
        *ret = domid ? c->m : NULL;
        return true;
    }
    if (c->other.sought && c->other.domid == domid) {
        *ret = c->other.m;
        return true;
    }
    c->put_off = true;
    c->needs = domid;
    return false;
}

static int64_t console_io(struct hypercall *c)
{
    char text[CONSOLE_TEXT_MAX];
    uint64_t length = c->arg[1];

    if (c->arg[0] != CONSOLEIO_write)
        return hypercall_unknown(c);
    for (uint64_t done = 0; done < length;) {
        size_t part = size_min(length - done, sizeof(text));

        if (!hypercall_read(c, c->arg[2] + done, text, part))
            return -XEN_EFAULT;
        c->m->ops->debug_text(c->m, text, part);
        done += part;
        if (done >= 16 * sizeof(text))
            break;
    }
    return 0;
}

static int64_t vm_assist(struct hypercall *c)
{
    if (c->arg[1] >= 32)
        return -XEN_EINVAL;
    if (c->arg[0] == VMASST_CMD_enable)
        c->m->vm_assist |= UINT32_C(1) << c->arg[1];
    else if (c->arg[0] == VMASST_CMD_disable)
        c->m->vm_assist &= ~(UINT32_C(1) << c->arg[1]);
    else
        return -XEN_EINVAL;
    return 0;
}

int64_t hypercall_serve(struct hypercall *c)
{
    switch (c->nr) {
    case __HYPERVISOR_xen_version:
        return hypercall_xen_version(c);
    case __HYPERVISOR_memory_op:
        return hypercall_memory_op(c);
    case __HYPERVISOR_event_channel_op:
        return hypercall_event_channel_op(c);
    case __HYPERVISOR_grant_table_op:
        return hypercall_grant_table_op(c);
    case __HYPERVISOR_hvm_op:
        return hypercall_hvm_op(c);
    case __HYPERVISOR_vcpu_op:
        return hypercall_vcpu_op(c);
    case __HYPERVISOR_sched_op:
        return hypercall_sched_op(c);
    case __HYPERVISOR_console_io:
        return console_io(c);
    case __HYPERVISOR_vm_assist:
        return vm_assist(c);
    default:
        return hypercall_unknown(c);
    }
}

/* mov $nr,%eax; out %eax,$HYPERCALL_PORT; ret */
static void fill_entry(uint8_t *at, uint32_t nr)
{
    static const uint8_t code[] = {0xb8,           0,   0, 0, 0, 0xe7,
                                   HYPERCALL_PORT, 0xc3};

    memset(at, 0xcc, CALL_SIZE);
    memcpy(at, code, sizeof(code));
    memcpy(at + 1, &nr, sizeof(nr));
}

void hypercall_page_fill(uint8_t *page)
{
    for (uint32_t nr = 0; nr < NR_CALLS; nr++)
        fill_entry(page + nr * CALL_SIZE, nr);
}

bool hypercall_is_from_page(struct hypercall *c)
{
    uint8_t entry[CALL_SIZE], found[CALL_SIZE];

    fill_entry(entry, (uint32_t)c->nr);
    return hypercall_read(c, c->rip, found, sizeof(found)) &&
           !memcmp(found, entry, CALL_SIZE);
}
