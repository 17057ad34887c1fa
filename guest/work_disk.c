/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work_disk.h"

#include "check.h"
#include "drv_block.h"
#include "libc.h"
#include "pattern.h"
#include "timer.h"

#define BLOCKS_MAX     65536
#define FLUSH_SLOT     (BLOCK_SLOTS - 1)
#define WRITES_A_FLUSH 64
#define STALL_MS       60000

/*
 * FREE --has been written before--> OLD_READ --verified--> WRITE
 * FREE --first round--> WRITE --done--> NEW_READ --verified--> FREE
 */
enum stage { FREE, OLD_READ, WRITE, NEW_READ };

static struct {
    uint32_t generations[BLOCKS_MAX];
    struct {
        enum stage stage;
        uint64_t block;
    } slots[FLUSH_SLOT];
    uint64_t next;      /* the block that is taken next */
    uint64_t sequence;  /* blocks written and verified */
    uint64_t unflushed; /* writes since the last flush was sent */
    bool flushing;
    uint64_t flushes;
    uint64_t moved_at; /* ticks at which something was last done */
} disk;

static void submit(unsigned int slot, enum block_op op)
{
    block_submit(slot, op, disk.slots[slot].block * SECTORS_PER_BLOCK);
}

static void start_write(unsigned int slot)
{
    uint64_t block = disk.slots[slot].block;

    disk.slots[slot].stage = WRITE;
    disk.generations[block]++;
    pattern_fill(block_page(slot), block, disk.generations[block]);
    submit(slot, BLOCK_WRITE);
}

/* A page that is read into must not hold what is expected already. */
static void start_read(unsigned int slot, enum stage stage)
{
    disk.slots[slot].stage = stage;
    memset(block_page(slot), 0xa5, PAGE_SIZE);
    submit(slot, BLOCK_READ);
}

static void verify(unsigned int slot)
{
    uint64_t block = disk.slots[slot].block;
    struct pattern_fault fault;

    if (!pattern_check(block_page(slot), block, disk.generations[block],
                       &fault))
        check_fail("disk",
                   disk.slots[slot].stage == OLD_READ ? "old_byte" : "new_byte",
                   block * PAGE_SIZE + fault.word * sizeof(uint64_t),
                   fault.expected, fault.found);
}

static void advance(unsigned int slot)
{
    if (slot == FLUSH_SLOT) {
        disk.flushing = false;
        disk.flushes++;
        return;
    }
    switch (disk.slots[slot].stage) {
    case FREE:
        break;
    case OLD_READ:
        verify(slot);
        start_write(slot);
        break;
    case WRITE:
        disk.unflushed++;
        start_read(slot, NEW_READ);
        break;
    case NEW_READ:
        verify(slot);
        disk.sequence++;
        disk.slots[slot].stage = FREE;
        break;
    }
}

static void start(unsigned int slot, uint64_t nr_blocks)
{
    uint64_t block = disk.next % nr_blocks;

    disk.next = (block + 1) % nr_blocks;
    disk.slots[slot].block = block;
    if (disk.generations[block])
        start_read(slot, OLD_READ);
    else
        start_write(slot);
}

/* Blocks in use at once must differ: two writes of one have no order. */
static bool in_use(uint64_t block)
{
    for (unsigned int slot = 0; slot < FLUSH_SLOT; slot++)
        if (disk.slots[slot].stage != FREE && disk.slots[slot].block == block)
            return true;
    return false;
}

static bool anything_in_flight(void)
{
    for (unsigned int slot = 0; slot < FLUSH_SLOT; slot++)
        if (disk.slots[slot].stage != FREE)
            return true;
    return disk.flushing;
}

static void look_for_stall(void)
{
    uint64_t ticks = vcpu_this()->ticks;

    if (!anything_in_flight() || !block_connected()) {
        disk.moved_at = ticks;
    } else if (ticks - disk.moved_at > timer_ticks_of(STALL_MS)) {
        check_fail("disk", "stalled_ms", disk.sequence, 0, STALL_MS);
        disk.moved_at = ticks;
    }
}

uint64_t work_disk_step(const struct options *o, uint64_t credit)
{
    uint64_t nr_blocks = block_sectors() / SECTORS_PER_BLOCK, started = 0;
    unsigned int slot;
    bool ok;

    while (block_complete(&slot, &ok)) {
        disk.moved_at = vcpu_this()->ticks;
        advance(slot);
    }
    look_for_stall();
    if (!block_connected() || !nr_blocks)
        return 0;
    if (nr_blocks > o->disk_blocks)
        nr_blocks = o->disk_blocks;
    if (disk.unflushed >= WRITES_A_FLUSH && !disk.flushing) {
        disk.unflushed = 0;
        disk.flushing = block_submit(FLUSH_SLOT, BLOCK_FLUSH, 0);
    }
    for (slot = 0; slot < FLUSH_SLOT && slot < o->disk_depth; slot++) {
        if (started == credit)
            break;
        if (disk.slots[slot].stage != FREE || in_use(disk.next % nr_blocks))
            continue;
        start(slot, nr_blocks);
        started++;
    }
    return started;
}

uint64_t work_disk_sequence(void)
{
    return disk.sequence;
}

uint64_t work_disk_flushes(void)
{
    return disk.flushes;
}
