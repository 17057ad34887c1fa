/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Boot, and what each vCPU does for ever after.
 */
#include "abi.h"
#include "clock.h"
#include "cmdline.h"
#include "command.h"
#include "control.h"
#include "drv_block.h"
#include "drv_console.h"
#include "drv_store.h"
#include "evtchn.h"
#include "format.h"
#include "held.h"
#include "hypercall.h"
#include "layout.h"
#include "libc.h"
#include "machine.h"
#include "panic.h"
#include "peer.h"
#include "ping.h"
#include "report.h"
#include "timer.h"
#include "trap.h"
#include "vcpu.h"
#include "work_disk.h"
#include "work_memory.h"

#include <xen/arch-x86/hvm/start_info.h>

#define CMDLINE_MAX 512
#define BURST_MAX   64 /* pages in a row before the next look around */

void guest_main(bool long_entry, const struct hvm_start_info *info);
void guest_ap_main(void);

extern char image_end[];

static struct machine machine;

/* The end of the RAM that WORK_BASE is in. */
static uint64_t ram_end(const struct hvm_start_info *info)
{
    const struct hvm_memmap_table_entry *map =
        (const struct hvm_memmap_table_entry *)info->memmap_paddr;

    for (uint32_t i = 0; info->version >= 1 && i < info->memmap_entries; i++)
        if (map[i].type == XEN_HVM_MEMMAP_TYPE_RAM &&
            map[i].addr <= IMAGE_BASE && map[i].addr + map[i].size > WORK_BASE)
            return map[i].addr + map[i].size;
    return 16 << 20;
}

/* Whole units that became due at 'per_second' since the last call. */
static uint64_t credit_of(uint64_t per_second, uint64_t ticks, uint64_t tick_ms,
                          uint64_t *rest)
{
    uint64_t due = per_second * ticks * tick_ms + *rest;

    *rest = due % 1000;
    return due / 1000;
}

/*
 * Do a share of what the memory workload owes; true if there is more.  The
 * debt is bounded by half a second's worth: time stopped is not made up for.
 */
static bool memory_share(struct vcpu *v, uint64_t *debt, uint64_t *rest)
{
    const struct options *o = &machine.options;
    uint64_t ticks = v->ticks - v->ticks_worked, pages;
    uint64_t rate =
        o->rate / machine.nr_vcpus + (v->id < o->rate % machine.nr_vcpus);

    v->ticks_worked += ticks;
    if (ticks)
        held_verify_areas();
    if (machine.paused)
        return false;
    *debt += credit_of(rate, ticks, o->tick_ms, rest);
    if (*debt > rate / 2 + 1)
        *debt = rate / 2 + 1;
    pages = *debt < BURST_MAX ? *debt : BURST_MAX;
    work_memory_step(pages);
    *debt -= pages;
    return *debt;
}

static bool control_share(void)
{
    switch (control_take()) {
    case CONTROL_SUSPEND:
        machine_suspend(&machine);
        return true;
    case CONTROL_POWEROFF:
        machine_shutdown(SHUTDOWN_poweroff);
    case CONTROL_REBOOT:
        machine_shutdown(SHUTDOWN_reboot);
    case CONTROL_NOTHING:
        break;
    }
    return false;
}

/* Everything that only vCPU 0 does; true if there is more to do at once. */
static bool device_share(struct vcpu *v, uint64_t *debt, uint64_t *rest)
{
    const struct options *o = &machine.options;
    static uint64_t ticks_seen;
    uint64_t ticks = v->ticks - ticks_seen;

    ticks_seen += ticks;
    if (store_has_event())
        store_poll();
    if (control_share())
        return true;
    if (console_take_event())
        command_poll(&machine);
    console_flush();
    if (machine.paused) {
        ticks = 0;
    } else {
        ping_step(o);
        peer_step(o);
    }
    if (o->disk) {
        block_poll();
        *debt += credit_of(o->disk_rate, ticks, o->tick_ms, rest);
        if (*debt > o->disk_rate / 2 + 1)
            *debt = o->disk_rate / 2 + 1;
        if (machine.paused)
            *debt = 0;
        *debt -= work_disk_step(o, *debt);
    }
    report_when_due(&machine);
    return false;
}

/* Something came that device_share() has not seen yet. */
static bool device_event(void)
{
    return store_has_event() || block_has_event() || console_has_event() ||
           ping_busy(&machine.options) ||
           (!machine.paused && peer_busy(&machine.options));
}

static __attribute__((noreturn)) void vcpu_loop(void)
{
    struct vcpu *v = vcpu_this();
    uint64_t memory_debt = 0, memory_rest = 0, disk_debt = 0, disk_rest = 0;

    for (;;) {
        uint64_t ticks = v->ticks;
        bool more;

        clock_now();
        if (v->id)
            vcpu_park_here_if_asked(&machine.options);
        more = memory_share(v, &memory_debt, &memory_rest);
        if (!v->id)
            more |= device_share(v, &disk_debt, &disk_rest);
        if (more)
            continue;
        interrupts_off();
        if (v->ticks != ticks || vcpu_park_asked() ||
            (!v->id && device_event()))
            interrupts_on();
        else
            vcpu_idle(&machine.options);
    }
}

void guest_ap_main(void)
{
    trap_load();
    vcpu_register(&machine.options);
    timer_start_this();
    vcpu_this()->running = 1;
    interrupts_on();
    vcpu_loop();
}

void guest_main(bool long_entry, const struct hvm_start_info *info)
{
    static char cmdline[CMDLINE_MAX], refused[CMDLINE_MAX];
    uint64_t end;

    vcpu_init();
    trap_init();
    trap_load();
    hypercall_init(long_entry);
    if (info->magic != XEN_HVM_START_MAGIC_VALUE)
        panic("start info magic", (uintptr_t)info, info->magic);
    if (info->cmdline_paddr)
        format(cmdline, sizeof(cmdline), "%s",
               (const char *)info->cmdline_paddr);
    end = ram_end(info);
    options_init(&machine.options);
    options_parse(&machine.options, cmdline, refused, sizeof(refused));
    machine.nr_vcpus = vcpu_find(machine.options.vcpus);
    work_memory_init(machine.options.mem, end, machine.nr_vcpus);

    machine_connect(&machine);
    console_print("xenferry-guest entry=%s vcpus=%u pages=%lu end=%#lx\n",
                  long_entry ? "long" : "pvh", machine.nr_vcpus,
                  work_memory_pages(), end);
    if (*refused)
        console_print("refused on the command line: %s\n", refused);
    clock_continue_at(1);
    timer_start_this();
    vcpu_start_others();
    interrupts_on();
    machine_connect_store(&machine);
    vcpu_loop();
}
