/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/image/guest_state.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "stream/hvm/hvm_context.h"
#include "stream/layout.h"
#include "stream/xc/pv_layout.h"
#include "stream/xc/xc_x86_hvm.h"
#include "stream/xc/xc_x86_pv.h"

#define CR0_PG   (UINT64_C(1) << 31)
#define CR4_PAE  (UINT64_C(1) << 5)
#define CR4_LA57 (UINT64_C(1) << 12)
#define EFER_LMA (UINT64_C(1) << 10)

/* Where a register lies; size 0 where a context does not have it. */
struct register_place {
    uint16_t offset;
    uint8_t size;
};

/* clang-format off */
static const struct register_place places_hvm[NR_GUEST_REGISTERS] = {
    [REG_RAX] = {512, 8}, [REG_RBX] = {520, 8}, [REG_RCX] = {528, 8},
    [REG_RDX] = {536, 8}, [REG_RBP] = {544, 8}, [REG_RSI] = {552, 8},
    [REG_RDI] = {560, 8}, [REG_RSP] = {568, 8}, [REG_R8] = {576, 8},
    [REG_R9] = {584, 8}, [REG_R10] = {592, 8}, [REG_R11] = {600, 8},
    [REG_R12] = {608, 8}, [REG_R13] = {616, 8}, [REG_R14] = {624, 8},
    [REG_R15] = {632, 8}, [REG_RIP] = {640, 8}, [REG_RFLAGS] = {648, 8},
    [REG_CR0] = {656, 8}, [REG_CR3] = {672, 8}, [REG_CR4] = {680, 8},
    [REG_CS] = {736, 4}, [REG_DS] = {740, 4}, [REG_ES] = {744, 4},
    [REG_FS] = {748, 4}, [REG_GS] = {752, 4}, [REG_SS] = {756, 4},
    [REG_FS_BASE] = {832, 8}, [REG_GS_BASE] = {840, 8},
    [REG_EFER] = {992, 8},
};

static const struct register_place places_pv64[NR_GUEST_REGISTERS] = {
    [REG_R15] = {520, 8}, [REG_R14] = {528, 8}, [REG_R13] = {536, 8},
    [REG_R12] = {544, 8}, [REG_RBP] = {552, 8}, [REG_RBX] = {560, 8},
    [REG_R11] = {568, 8}, [REG_R10] = {576, 8}, [REG_R9] = {584, 8},
    [REG_R8] = {592, 8}, [REG_RAX] = {600, 8}, [REG_RCX] = {608, 8},
    [REG_RDX] = {616, 8}, [REG_RSI] = {624, 8}, [REG_RDI] = {632, 8},
    [REG_RIP] = {648, 8}, [REG_CS] = {656, 2}, [REG_RFLAGS] = {664, 8},
    [REG_RSP] = {672, 8}, [REG_SS] = {680, 2}, [REG_ES] = {688, 2},
    [REG_DS] = {696, 2}, [REG_FS] = {704, 2}, [REG_GS] = {712, 2},
    [REG_CR3] = {5008, 8}, [REG_FS_BASE] = {5144, 8},
    [REG_GS_BASE] = {5152, 8},
};

static const struct register_place places_pv32[NR_GUEST_REGISTERS] = {
    [REG_RBX] = {516, 4}, [REG_RCX] = {520, 4}, [REG_RDX] = {524, 4},
    [REG_RSI] = {528, 4}, [REG_RDI] = {532, 4}, [REG_RBP] = {536, 4},
    [REG_RAX] = {540, 4}, [REG_RIP] = {548, 4}, [REG_CS] = {552, 2},
    [REG_RFLAGS] = {556, 4}, [REG_RSP] = {560, 4}, [REG_SS] = {564, 2},
    [REG_ES] = {568, 2}, [REG_DS] = {572, 2}, [REG_FS] = {576, 2},
    [REG_GS] = {580, 2}, [REG_CR3] = {2728, 4},
};
/* clang-format on */

const char *guest_register_name(enum guest_register reg)
{
    static const char *const names[NR_GUEST_REGISTERS] = {
        "r15", "r14", "r13",    "r12", "rbp", "rbx",     "r11",     "r10",
        "r9",  "r8",  "rax",    "rcx", "rdx", "rsi",     "rdi",     "orig_rax",
        "rip", "cs",  "rflags", "rsp", "ss",  "fs_base", "gs_base", "ds",
        "es",  "fs",  "gs",     "cr0", "cr3", "cr4",     "efer",
    };

    return names[reg];
}

void guest_state_release(struct guest_state *state)
{
    for (uint32_t i = 0; i < state->nr_vcpus; i++)
        free(state->vcpus[i].bytes);
    free(state->vcpus);
    buffer_release(&state->hvm_context);
    *state = (struct guest_state){0};
}

static bool take_vcpu(struct guest_state *state, const struct record *rec,
                      struct error *err)
{
    struct vcpu_blob blob;
    struct guest_vcpu *vcpu = NULL;
    uint8_t *bytes;

    if (!vcpu_blob_decode(rec, state->width, &blob, err))
        return false;
    for (uint32_t i = 0; i < state->nr_vcpus && !vcpu; i++)
        if (state->vcpus[i].id == blob.vcpu)
            vcpu = &state->vcpus[i];
    if (!vcpu) {
        /* Ids are below XCSTREAM_PV_VCPUS_MAX, and each is here once. */
        struct guest_vcpu *grown = realloc(
            state->vcpus, (state->nr_vcpus + 1) * sizeof(*state->vcpus));

        if (!grown)
            return error_set(err, ERR_NO_MEMORY, "vCPU %" PRIu32, blob.vcpu);
        state->vcpus = grown;
        vcpu = &state->vcpus[state->nr_vcpus++];
        *vcpu = (struct guest_vcpu){.id = blob.vcpu};
    }
    bytes = malloc(blob.length ? blob.length : 1);
    if (!bytes)
        return error_set(err, ERR_NO_MEMORY, "vCPU %" PRIu32, blob.vcpu);
    memcpy(bytes, blob.bytes, blob.length);
    free(vcpu->bytes);
    vcpu->bytes = bytes;
    vcpu->length = blob.length;
    return true;
}

static bool take_record(struct guest_state *state, const struct record *rec,
                        struct error *err)
{
    struct pv_info info;
    const uint8_t *bytes;
    uint32_t length;

    switch (rec->type) {
    case XCREC_X86_PV_INFO:
        if (!pv_info_decode(rec, &info, err))
            return false;
        state->width = pv_info_known(&info) ? info.width : 0;
        return true;
    case XCREC_X86_PV_VCPU_BASIC:
        return take_vcpu(state, rec, err);
    default:
        if (!hvm_context_record_decode(rec, &bytes, &length, err))
            return false;
        buffer_reset(&state->hvm_context);
        buffer_bytes(&state->hvm_context, bytes, length);
        return buffer_check(&state->hvm_context, "HVM_CONTEXT", err);
    }
}

static bool wanted(uint32_t type)
{
    return type == XCREC_X86_PV_INFO || type == XCREC_X86_PV_VCPU_BASIC ||
           type == XCREC_HVM_CONTEXT;
}

static bool read_items(struct stream_reader *r, uint32_t checkpoint,
                       struct buffer *body, struct guest_state *state,
                       struct error *err)
{
    struct stream_item item;
    uint32_t checkpoints = 0;

    for (;;) {
        if (!stream_reader_next(r, &item, err))
            return false;
        if (item.kind == ITEM_END)
            return true;
        if (item.kind == ITEM_LIBXC_HEADERS) {
            state->headers = item.libxc;
            state->is_pv = item.libxc.type == XCSTREAM_DOMAIN_PV;
        }
        if (item.kind != ITEM_LIBXC_RECORD)
            continue;
        if (item.head.type < ARRAY_SIZE(state->records_by_type))
            state->records_by_type[item.head.type]++;
        if (item.head.type == XCREC_CHECKPOINT && ++checkpoints == checkpoint)
            return true;
        if (wanted(item.head.type)) {
            struct record rec;

            if (item.head.length > GUEST_STATE_BODY_MAX)
                return error_set_at(err, ERR_LIMIT, item.offset,
                                    "%s: %" PRIu32 " octets, at most %" PRIu32
                                    " allowed",
                                    stream_item_name(&item), item.head.length,
                                    GUEST_STATE_BODY_MAX);
            if (!record_read_body(r->source, &item.head,
                                  stream_item_name(&item), body, &rec, err) ||
                !take_record(state, &rec, err))
                return false;
        }
    }
}

bool guest_state_read(struct stream_source *source, uint32_t checkpoint,
                      struct guest_state *ret, struct error *err)
{
    cleanup(guest_state_release) struct guest_state state = {0};
    cleanup(buffer_release) struct buffer body = {0};
    struct stream_reader r;
    bool ok;

    stream_reader_init(&r, source);
    ok = read_items(&r, checkpoint, &body, &state, err);
    stream_reader_release(&r);
    if (ok)
        *ret = MOVE(state);
    return ok;
}

/* The i-th CPU of an HVM context; false if there is none. */
static bool hvm_cpu(const struct guest_state *state, uint32_t i,
                    struct hvm_record *ret)
{
    struct cursor c = cursor_over(state->hvm_context.bytes,
                                  state->hvm_context.length, ORDER_LITTLE);

    while (hvm_record_next(&c, state->hvm_context.length, ret) ==
           HVM_RECORD_FOUND)
        if (ret->type == HVM_RECORD_CPU && i-- == 0)
            return true;
    return false;
}

uint32_t guest_state_vcpus(const struct guest_state *state)
{
    struct hvm_record rec;
    uint32_t nr = 0;

    if (state->is_pv)
        return state->nr_vcpus;
    while (hvm_cpu(state, nr, &rec))
        nr++;
    return nr;
}

static void fill(const struct register_place *places, const uint8_t *bytes,
                 uint32_t length, enum byte_order order,
                 struct guest_registers *ret)
{
    *ret = (struct guest_registers){0};
    for (size_t i = 0; i < NR_GUEST_REGISTERS; i++) {
        uint32_t end = (uint32_t)places[i].offset + places[i].size;

        if (places[i].size == 0 || end > length)
            continue;
        ret->value[i] =
            layout_integer(bytes, places[i].offset, places[i].size, order);
        ret->known[i] = true;
    }
    ret->value[REG_ORIG_RAX] = UINT64_MAX; /* in no system call */
    ret->known[REG_ORIG_RAX] = true;
}

static unsigned int hvm_levels(const struct guest_registers *regs)
{
    if (!(regs->value[REG_CR0] & CR0_PG))
        return 0;
    if (regs->value[REG_EFER] & EFER_LMA)
        return regs->value[REG_CR4] & CR4_LA57 ? 5 : 4;
    return regs->value[REG_CR4] & CR4_PAE ? 3 : 2;
}

bool guest_state_registers(const struct guest_state *state, uint32_t i,
                           struct guest_registers *ret)
{
    struct hvm_record rec;
    uint32_t cr3;

    if (!state->is_pv) {
        if (!hvm_cpu(state, i, &rec))
            return false;
        fill(places_hvm, rec.data, rec.length, ORDER_LITTLE, ret);
        ret->levels = hvm_levels(ret);
        return true;
    }
    if (i >= state->nr_vcpus || state->vcpus[i].length == 0)
        return false;
    if (state->vcpus[i].length == XCSTREAM_VCPU_BASIC_32) {
        fill(places_pv32, state->vcpus[i].bytes, state->vcpus[i].length,
             state->headers.order, ret);
        /* The frame is rotated, so that 32 bits hold more than 4 GiB. */
        cr3 = (uint32_t)ret->value[REG_CR3];
        ret->value[REG_CR3] = (uint64_t)(cr3 >> 12 | cr3 << 20) << 12;
        ret->levels = 3;
    } else {
        fill(places_pv64, state->vcpus[i].bytes, state->vcpus[i].length,
             state->headers.order, ret);
        ret->levels = 4;
    }
    return true;
}
