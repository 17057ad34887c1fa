/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostd/interrupt.h"

#include <inttypes.h>
#include <string.h>

#include "hostd/page_walk.h"

#define GATE_INTERRUPT 0xe
#define GATE_TRAP      0xf

#define STI_CODE 0xfb

/* Exceptions that push an error code: 8, 10 to 14, 17, 21. */
#define WITH_ERROR_CODE UINT32_C(0x00227d00)

#define VECTOR_PAGE_FAULT 14

struct gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_mid;
    uint32_t offset_high, reserved;
};

#define TSS_IST1 0x24 /* octets from the start of a 64-bit TSS */

static void *at(const struct guest_memory *m, uint64_t cr3, uint64_t address,
                size_t length, enum access access)
{
    uint64_t gpa;

    if (!page_walk(m, cr3, address, access, &gpa))
        return NULL;
    return guest_memory_at(m, gpa, length);
}

/*
 * STI holds interrupts back for one more instruction.  Any octet of that
 * value before RIP is taken for one: the interrupt comes a little later.
 */
bool interrupt_allowed(struct cpu_engine *e, const struct guest_memory *m)
{
    const uint8_t *behind;

    if (!(cpu_engine_rflags(e) & RFLAGS_IF))
        return false;
    behind = at(m, cpu_engine_cr3(e), cpu_engine_rip(e) - 1, 1, ACCESS_READ);
    return !behind || *behind != STI_CODE;
}

/* An octet string on the guest's stack, which may cross a page. */
static bool push(const struct guest_memory *m, uint64_t cr3, uint64_t address,
                 const uint64_t *words, size_t nr)
{
    uint64_t *there;

    for (size_t i = 0; i < nr; i++)
        if (!at(m, cr3, address + i * 8, 8, ACCESS_WRITE))
            return false;
    for (size_t i = 0; i < nr; i++) {
        there = at(m, cr3, address + i * 8, 8, ACCESS_WRITE);
        memcpy(there, &words[i], 8);
    }
    return true;
}

/* As much of a page fault's error code as the page tables tell. */
static uint64_t error_code(const struct guest_memory *m, uint8_t vector,
                           const struct cpu_state *c)
{
    uint64_t gpa;

    if (vector != VECTOR_PAGE_FAULT)
        return 0;
    return page_walk(m, c->cr3, c->cr2, ACCESS_READ, &gpa) ? 3 : 0;
}

bool interrupt_deliver(struct cpu_engine *e, const struct guest_memory *m,
                       uint8_t vector, struct error *err)
{
    bool with_error = vector < 32 && (WITH_ERROR_CODE >> vector & 1);
    const struct gate *gate;
    struct cpu_state c;
    uint64_t frame[6], rsp, rflags;
    size_t nr = 0;

    cpu_engine_save(e, &c);
    gate = at(m, c.cr3, c.idtr.base + vector * sizeof(*gate), sizeof(*gate),
              ACCESS_READ);
    if (!gate || vector * sizeof(*gate) + sizeof(*gate) - 1 > c.idtr.limit)
        return error_set(err, ERR_GUEST,
                         "vector %#x at RIP %#" PRIx64
                         ": no such entry in the IDT at %#" PRIx64,
                         vector, c.rip, c.idtr.base);
    if (!(gate->type & 0x80) || ((gate->type & 0x1f) != GATE_INTERRUPT &&
                                 (gate->type & 0x1f) != GATE_TRAP))
        return error_set(err, ERR_GUEST,
                         "vector %#x at RIP %#" PRIx64
                         ": gate type %#x, expected 0x8e or 0x8f",
                         vector, c.rip, gate->type);
    rsp = c.gpr[GPR_RSP];
    if (gate->ist & 7) {
        const uint64_t *stack =
            at(m, c.cr3, c.tr.base + TSS_IST1 + ((gate->ist & 7) - 1) * 8, 8,
               ACCESS_READ);

        if (!stack)
            return error_set(err, ERR_GUEST, "vector %#x: no TSS at %#" PRIx64,
                             vector, c.tr.base);
        memcpy(&rsp, stack, sizeof(rsp));
    }
    rsp &= ~UINT64_C(15);
    if (with_error)
        frame[nr++] = error_code(m, vector, &c);
    frame[nr++] = c.rip;
    frame[nr++] = c.selector[SEG_CS];
    frame[nr++] = c.rflags;
    frame[nr++] = c.gpr[GPR_RSP];
    frame[nr++] = c.selector[SEG_SS];
    rsp -= nr * 8;
    if (!push(m, c.cr3, rsp, frame, nr))
        return error_set(err, ERR_GUEST,
                         "vector %#x at RIP %#" PRIx64
                         ": no stack at RSP %#" PRIx64,
                         vector, c.rip, rsp);
    rflags = c.rflags & ~(RFLAGS_TF | RFLAGS_NT | RFLAGS_RF);
    if ((gate->type & 0x1f) == GATE_INTERRUPT)
        rflags &= ~RFLAGS_IF;
    cpu_engine_jump(e,
                    gate->offset_low | (uint64_t)gate->offset_mid << 16 |
                        (uint64_t)gate->offset_high << 32,
                    rsp, rflags, gate->selector & (uint16_t)~3);
    return true;
}
