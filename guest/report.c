/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "report.h"

#include "check.h"
#include "clock.h"
#include "drv_block.h"
#include "drv_console.h"
#include "drv_grant.h"
#include "evtchn.h"
#include "held.h"
#include "hypercall.h"
#include "layout.h"
#include "peer.h"
#include "ping.h"
#include "shared_info.h"
#include "timer.h"
#include "vcpu.h"
#include "work_disk.h"
#include "work_memory.h"

#define US 1000

static const char *verdict(const char *what)
{
    return check_clean(what) ? "ok" : "FAIL";
}

static uint64_t all_ticks(void)
{
    uint64_t sum = 0;

    for (unsigned int id = 0; id < vcpu_count(); id++)
        sum += vcpu_get(id)->ticks;
    return sum;
}

static uint64_t largest_gap(void)
{
    uint64_t most = 0;

    for (unsigned int id = 0; id < vcpu_count(); id++)
        if (vcpu_get(id)->gap_max > most)
            most = vcpu_get(id)->gap_max;
    return most;
}

static void report_line(struct machine *m)
{
    console_print("check seq=%lu mem_gen=%lu mem=%s disk_seq=%lu disk=%s "
                  "ticks=%lu maxgap_us=%lu ping=%lu clock_us=%lu "
                  "suspends=%lu cancels=%lu blackout_us=%ld fails=%lu "
                  "result=%s\n",
                  m->report_seq, work_memory_generation(), verdict("mem"),
                  work_disk_sequence(), verdict("disk"), all_ticks(),
                  largest_gap() / US, ping_rounds(), clock_now() / US,
                  m->suspends, m->cancels, m->blackout_ns / US,
                  check_failures(), check_failures() ? "FAIL" : "ok");
    m->report_seq++;
}

void report_when_due(struct machine *m)
{
    uint64_t ticks = vcpu_this()->ticks;

    if (ticks - m->report_tick < timer_ticks_of(m->options.report_ms))
        return;
    m->report_tick = ticks;
    held_verify();
    report_line(m);
}

static void report_ports(void)
{
    for (evtchn_port_t port = 0; port < NR_PORTS; port++) {
        unsigned int vcpu;
        uint64_t count;
        const char *name = evtchn_port_name(port, &vcpu, &count);

        if (name)
            console_print("info port=%u name=%s vcpu=%u events=%lu\n", port,
                          name, vcpu, count);
    }
}

static void report_grants(void)
{
    for (grant_ref_t ref = 0; ref < NR_GRANTS; ref++) {
        const struct grant_entry_v1 *entry = grant_entry(ref);

        if (entry->flags)
            console_print("info grant=%u flags=%#x domid=%u frame=%#x\n", ref,
                          entry->flags, entry->domid, entry->frame);
    }
}

static void report_vcpus(void)
{
    for (unsigned int id = 0; id < vcpu_count(); id++) {
        const struct vcpu *v = vcpu_get(id);

        console_print(
            "info vcpu=%u ticks=%lu maxgap_us=%lu vcpu_info=%#lx "
            "runstate=%#lx time=%#lx\n",
            id, v->ticks, v->gap_max / US, (uintptr_t)vcpu_info_of(id),
            (uintptr_t)vcpu_runstate_of(id), (uintptr_t)vcpu_time_of(id));
    }
}

void report_summary(struct machine *m)
{
    long version = version_op(XENVER_version, NULL);
    struct block_report block;

    block_report(&block);
    report_line(m);
    console_print("info xen=%lu.%lu evtchn=%s callback=%s timer=%s grants=v1 "
                  "vcpus=%u\n",
                  (uint64_t)version >> 16, (uint64_t)version & 0xffff,
                  evtchn_abi_name(),
                  m->options.callback == CALLBACK_PER_VCPU ? "vcpu" : "domain",
                  m->options.timer == TIMER_ONESHOT ? "oneshot" : "periodic",
                  m->nr_vcpus);
    console_print("info mem_base=%#x mem_pages=%lu shared_info_gfn=%#x "
                  "grant_gfn=%#x rate=%lu\n",
                  WORK_BASE, work_memory_pages(), SHARED_INFO_GFN,
                  GRANT_TABLE_GFN, m->options.rate);
    console_print("info disk=%s sectors=%lu port=%u ring_grant=%u "
                  "in_flight=%u requests=%lu requeued=%lu flush=%s "
                  "flushes=%lu\n",
                  block.state, block_sectors(), block.port, block.ring_grant,
                  block.in_flight, block.requests, block.requeued,
                  block.flush ? "yes" : "no", work_disk_flushes());
    console_print("info ping_extra=%lu strays=%lu dropped=%lu paused=%u\n",
                  ping_extra(), evtchn_strays(), console_dropped(), m->paused);
    report_vcpus();
    report_ports();
    report_grants();
    peer_report();
    console_print("info end\n");
}
