/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/hvm/xsave_area.h"

#include "stream/layout.h"

#define REGISTERS_X87 32
#define REGISTERS_XMM 160
#define HEADER        512
#define EXTENDED      576

static const struct layout_field control[] = {
    {"fcw",        0,          2, 1},
    {"fsw",        2,          2, 1},
    {"ftw",        4,          1, 1},
    {"fop",        6,          2, 1},
    {"fip",        8,          8, 1},
    {"fdp",        16,         8, 1},
    {"mxcsr",      24,         4, 1},
    {"mxcsr_mask", 28,         4, 1},
    {"xstate_bv",  HEADER,     8, 1},
    {"xcomp_bv",   HEADER + 8, 8, 1},
};

/* Bits of XCR0 and of XSTATE_BV. */
static const char *const components[] = {
    "x87",      "SSE", "AVX",  "BNDREGS",  "BNDCSR",    "opmask", "ZMM_Hi256",
    "Hi16_ZMM", "PT",  "PKRU", "PASID",    "CET_U",     "CET_S",  "HDC",
    "UINTR",    "LBR", "HWP",  "XTILECFG", "XTILEDATA",
};

static bool all_zero(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i])
            return false;
    return true;
}

/* Registers that are not zero. */
static void explain_registers(const char *list, const char *name, size_t nr,
                              const uint8_t *at, struct field_sink *out)
{
    fields_begin(out, list, FIELDS_LIST);
    for (size_t i = 0; i < nr; i++, at += 16) {
        if (all_zero(at, 16))
            continue;
        fields_begin(out, NULL, FIELDS_ROW);
        fields_format(out, "register", "%s%zu", name, i);
        fields_dump(out, "octets", at, 16, 16);
        fields_end(out);
    }
    fields_end(out);
}

void xsave_area_explain(const uint8_t *area, size_t length,
                        enum byte_order order, struct field_sink *out)
{
    uint64_t in_use;

    fields_number(out, "area_octets", length);
    layout_explain(control, ARRAY_SIZE(control), area, length, order, out);
    if (length < EXTENDED)
        return;
    in_use = layout_integer(area, HEADER, 8, order);
    fields_begin(out, "components", FIELDS_LIST);
    for (size_t i = 0; i < ARRAY_SIZE(components); i++)
        if (in_use >> i & 1)
            fields_text(out, NULL, components[i]);
    fields_end(out);
    explain_registers("x87_registers", "st", 8, area + REGISTERS_X87, out);
    explain_registers("xmm_registers", "xmm", 16, area + REGISTERS_XMM, out);
    if (length > EXTENDED)
        fields_dump(out, "extended", area + EXTENDED, length - EXTENDED, 256);
}
