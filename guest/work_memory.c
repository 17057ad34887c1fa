/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work_memory.h"

#include "check.h"
#include "libc.h"
#include "pattern.h"

static struct {
    uint32_t *generations; /* one per page */
    uint8_t *pages;
    uint64_t nr_pages;
    struct {
        uint64_t first, nr, next;
        volatile uint64_t visits;
    } shares[MAX_VCPUS];
} memory;

void work_memory_init(uint64_t bytes, uint64_t ram_end, unsigned int nr_vcpus)
{
    uint64_t room = ram_end > WORK_BASE ? ram_end - WORK_BASE : 0;
    uint64_t ledger;

    if (bytes > room)
        bytes = room;
    bytes -= bytes % PAGE_SIZE;
    ledger = (bytes / PAGE_SIZE * sizeof(uint32_t) + PAGE_SIZE - 1) &
             ~(uint64_t)(PAGE_SIZE - 1);
    if (bytes <= ledger)
        return;
    memory.generations = (uint32_t *)WORK_BASE;
    memory.pages = (uint8_t *)WORK_BASE + ledger;
    memory.nr_pages = (bytes - ledger) / PAGE_SIZE;
    memset(memory.generations, 0, ledger);
    for (unsigned int id = 0; id < nr_vcpus; id++) {
        uint64_t first = memory.nr_pages * id / nr_vcpus;

        memory.shares[id].first = first;
        memory.shares[id].nr = memory.nr_pages * (id + 1) / nr_vcpus - first;
    }
}

static void visit(uint64_t i)
{
    uint64_t *page = (uint64_t *)(memory.pages + i * PAGE_SIZE);
    uint32_t generation = memory.generations[i];
    struct pattern_fault fault;

    if (generation && !pattern_check(page, i, generation, &fault))
        check_fail("mem", "address", (uintptr_t)&page[fault.word],
                   fault.expected, fault.found);
    generation++;
    pattern_fill(page, i, generation);
    memory.generations[i] = generation;
}

void work_memory_step(uint64_t pages)
{
    unsigned int id = vcpu_this()->id;

    if (!memory.shares[id].nr)
        return;
    for (; pages; pages--) {
        visit(memory.shares[id].first + memory.shares[id].next);
        memory.shares[id].next =
            (memory.shares[id].next + 1) % memory.shares[id].nr;
        memory.shares[id].visits++;
    }
}

uint64_t work_memory_generation(void)
{
    uint64_t sum = 0;

    for (unsigned int id = 0; id < vcpu_count(); id++)
        sum += memory.shares[id].visits;
    return sum;
}

uint64_t work_memory_pages(void)
{
    return memory.nr_pages;
}
