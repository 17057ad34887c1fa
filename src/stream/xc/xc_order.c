/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/xc/xc_order.h"

#include <assert.h>
#include <inttypes.h>

enum rule_kind {
    KIND_KNOWN,    /* the type is one that a specification names */
    KIND_OPTIONAL, /* ... or at least an optional one */
    KIND_CURRENT,  /* the type is not retired */
    KIND_FORWARD,  /* the type belongs on the forward channel */
    KIND_GUEST,    /* the type belongs to the image's guest */
    KIND_VERSION,  /* the type belongs to the image's version */
    KIND_NEEDS,    /* one of 'other' came before */
    KIND_STATIC,   /* the static data have ended, by record or implied */
    KIND_DYNAMIC,  /* the static data have not ended */
    KIND_BEFORE,   /* none of 'other' came before, in this round */
    KIND_ONCE,     /* not a second time in the image */
    KIND_ONCE_PER_ROUND,
    KIND_CHECKPOINTED, /* the image is a checkpointed one */
    KIND_NONCOOP,      /* the image is of a move that the guest must not see */
    KIND_NONCOOP_NEXT, /* all parts before this one came, and it did not */
    KIND_NONCOOP_ALL,  /* all parts came, or none */
};

#define BIT(name) (UINT32_C(1) << XCREC_##name)

/* Types of ours have the highest bits of a set. */
#define NONCOOP_NR      (XCREC_NONCOOP_END - XCREC_NONCOOP_FIRST)
#define NONCOOP_SHIFT   (32 - NONCOOP_NR)
#define NONCOOP_RECORDS (UINT32_MAX << NONCOOP_SHIFT)
_Static_assert(XCREC_X86_MSR_POLICY < NONCOOP_SHIFT, "no bit is used twice");

#define VCPU_RECORDS                                      \
    (BIT(X86_PV_VCPU_BASIC) | BIT(X86_PV_VCPU_EXTENDED) | \
     BIT(X86_PV_VCPU_XSAVE) | BIT(X86_PV_VCPU_MSRS))
#define STATE_RECORDS                                                         \
    (VCPU_RECORDS | BIT(SHARED_INFO) | BIT(X86_TSC_INFO) | BIT(HVM_CONTEXT) | \
     BIT(HVM_PARAMS))
/* Converted legacy images have the TSC where those did: before the pages. */
#define PAGES_BEFORE (STATE_RECORDS & ~BIT(X86_TSC_INFO))
#define LAST_RECORDS (BIT(END) | BIT(CHECKPOINT))

/* clang-format off */
static const struct order_rule rules[] = {
    /* Each record by itself. */
    {"xc-record-unknown", SEVERITY_ERROR, true, KIND_KNOWN, GUEST_ANY, 0, 0,
     "a mandatory type that no specification names"},
    {"xc-record-optional", SEVERITY_NOTE, false, KIND_OPTIONAL, GUEST_ANY, 0, 0,
     "an optional type that no specification names; a restorer skips it"},
    {"xc-record-retired", SEVERITY_ERROR, true, KIND_CURRENT, GUEST_ANY, 0, 0,
     "a type that was specified once and that no release writes or takes"},
    {"xc-record-back-channel", SEVERITY_ERROR, true, KIND_FORWARD, GUEST_ANY,
     0, 0, "a type that belongs on the channel back to the source"},
    {"xc-record-guest-type", SEVERITY_ERROR, true, KIND_GUEST, GUEST_ANY, 0, 0,
     "a type that images of this kind of guest do not have"},
    {"xc-record-version", SEVERITY_ERROR, false, KIND_VERSION, GUEST_ANY, 0, 0,
     "a type that images of this version do not have"},

    /* Static data. */
    {"xc-order-pv-info-first", SEVERITY_WARNING, false, KIND_NEEDS, GUEST_PV,
     BIT(X86_CPUID_POLICY) | BIT(X86_MSR_POLICY) | BIT(STATIC_DATA_END),
     BIT(X86_PV_INFO), "X86_PV_INFO comes first"},
    {"xc-order-pv-info-once", SEVERITY_ERROR, true, KIND_ONCE, GUEST_PV,
     BIT(X86_PV_INFO), 0, "X86_PV_INFO comes once"},
    {"xc-order-policy-late", SEVERITY_ERROR, false, KIND_DYNAMIC, GUEST_ANY,
     BIT(X86_CPUID_POLICY) | BIT(X86_MSR_POLICY), 0,
     "policies come before STATIC_DATA_END; later ones are never applied"},
    {"xc-order-policy-once", SEVERITY_WARNING, false, KIND_ONCE, GUEST_ANY,
     BIT(X86_CPUID_POLICY) | BIT(X86_MSR_POLICY), 0,
     "each policy comes once; a second replaces the first"},
    {"xc-order-static-data-end-once", SEVERITY_ERROR, true, KIND_ONCE,
     GUEST_ANY, BIT(STATIC_DATA_END), 0, "STATIC_DATA_END comes once"},
    {"xc-order-static-data-end-late", SEVERITY_ERROR, true, KIND_BEFORE,
     GUEST_ANY, BIT(STATIC_DATA_END),
     BIT(X86_PV_P2M_FRAMES) | BIT(PAGE_DATA),
     "STATIC_DATA_END comes before P2M frames and pages"},
    {"xc-order-static-data-end", SEVERITY_ERROR, true, KIND_STATIC, GUEST_ANY,
     BIT(X86_PV_P2M_FRAMES) | BIT(PAGE_DATA), 0,
     "STATIC_DATA_END comes before P2M frames and pages"},
    {"xc-order-state-static", SEVERITY_ERROR, false, KIND_STATIC, GUEST_ANY,
     STATE_RECORDS | LAST_RECORDS | BIT(VERIFY), 0,
     "STATIC_DATA_END comes before the guest's state"},

    /* What a record builds on. */
    {"xc-order-needs-pv-info", SEVERITY_ERROR, true, KIND_NEEDS, GUEST_PV,
     BIT(X86_PV_P2M_FRAMES) | BIT(PAGE_DATA) | BIT(SHARED_INFO) | VCPU_RECORDS,
     BIT(X86_PV_INFO), "X86_PV_INFO comes before what depends on the width"},
    {"xc-order-needs-p2m", SEVERITY_ERROR, true, KIND_NEEDS, GUEST_PV,
     BIT(PAGE_DATA), BIT(X86_PV_P2M_FRAMES),
     "X86_PV_P2M_FRAMES comes before the first page"},
    {"xc-order-vcpu-needs-pages", SEVERITY_ERROR, false, KIND_NEEDS, GUEST_PV,
     VCPU_RECORDS, BIT(PAGE_DATA), "vCPU state comes after the pages"},
    {"xc-order-pages-after-state", SEVERITY_ERROR, false, KIND_BEFORE,
     GUEST_ANY, BIT(PAGE_DATA), PAGES_BEFORE,
     "all pages of a round come before the guest's state"},
    {"xc-order-p2m-after-pages", SEVERITY_ERROR, false, KIND_BEFORE, GUEST_PV,
     BIT(X86_PV_P2M_FRAMES), BIT(PAGE_DATA),
     "X86_PV_P2M_FRAMES comes before the first page"},

    /* How often. */
    {"xc-order-tsc-once", SEVERITY_WARNING, false, KIND_ONCE_PER_ROUND,
     GUEST_ANY, BIT(X86_TSC_INFO), 0, "X86_TSC_INFO comes once in a round"},
    {"xc-order-shared-info-once", SEVERITY_WARNING, false, KIND_ONCE_PER_ROUND,
     GUEST_PV, BIT(SHARED_INFO), 0, "SHARED_INFO comes once in a round"},
    {"xc-order-hvm-context-once", SEVERITY_WARNING, false, KIND_ONCE_PER_ROUND,
     GUEST_HVM, BIT(HVM_CONTEXT), 0, "HVM_CONTEXT comes once in a round"},
    {"xc-order-hvm-params-once", SEVERITY_WARNING, false, KIND_ONCE_PER_ROUND,
     GUEST_HVM, BIT(HVM_PARAMS), 0, "HVM_PARAMS comes once in a round"},

    /* Ours. */
    {"xc-noncoop-unexpected", SEVERITY_ERROR, true, KIND_NONCOOP, GUEST_HVM,
     NONCOOP_RECORDS, 0,
     "only an image of a move that the guest must not notice has its state"},
    {"xc-noncoop-order", SEVERITY_ERROR, true, KIND_NONCOOP_NEXT, GUEST_HVM,
     NONCOOP_RECORDS, 0,
     "the parts of a guest's state come once each, in their order"},
    {"xc-noncoop-needs-context", SEVERITY_ERROR, true, KIND_NEEDS, GUEST_HVM,
     NONCOOP_RECORDS, BIT(HVM_CONTEXT),
     "a guest's state comes after its contexts"},
    {"xc-noncoop-needs-pages", SEVERITY_ERROR, true, KIND_NEEDS, GUEST_HVM,
     NONCOOP_RECORDS, BIT(PAGE_DATA),
     "a guest's state comes after its memory"},
    {"xc-noncoop-last", SEVERITY_ERROR, true, KIND_BEFORE, GUEST_HVM,
     BIT(PAGE_DATA) | BIT(VERIFY) | BIT(HVM_CONTEXT) | BIT(HVM_PARAMS) |
     BIT(X86_TSC_INFO) | BIT(CHECKPOINT), NONCOOP_RECORDS,
     "nothing but END comes after a guest's state"},
    {"xc-noncoop-whole", SEVERITY_ERROR, true, KIND_NONCOOP_ALL, GUEST_HVM,
     LAST_RECORDS, 0, "a guest's state has all its parts, or the image none"},

    /* VERIFY. */
    {"xc-order-verify-once", SEVERITY_WARNING, false, KIND_ONCE, GUEST_ANY,
     BIT(VERIFY), 0, "VERIFY comes once"},
    {"xc-order-verify-needs-pages", SEVERITY_WARNING, false, KIND_NEEDS,
     GUEST_ANY, BIT(VERIFY), BIT(PAGE_DATA),
     "VERIFY compares with pages that came before"},
    {"xc-order-verify-checkpointed", SEVERITY_ERROR, false, KIND_BEFORE,
     GUEST_ANY, BIT(CHECKPOINT), BIT(VERIFY),
     "a checkpointed image has no VERIFY"},

    /* The end of a round. */
    {"xc-checkpoint-unexpected", SEVERITY_ERROR, true, KIND_CHECKPOINTED,
     GUEST_ANY, BIT(CHECKPOINT), 0,
     "CHECKPOINT comes only in a checkpointed image"},
    {"xc-end-no-pages", SEVERITY_WARNING, false, KIND_NEEDS, GUEST_ANY,
     LAST_RECORDS, BIT(PAGE_DATA), "an image has pages"},
    {"xc-end-no-tsc", SEVERITY_WARNING, false, KIND_NEEDS, GUEST_ANY,
     LAST_RECORDS, BIT(X86_TSC_INFO), "an image has X86_TSC_INFO"},
    {"xc-end-no-pv-info", SEVERITY_ERROR, true, KIND_NEEDS, GUEST_PV,
     LAST_RECORDS, BIT(X86_PV_INFO), "a PV image has X86_PV_INFO"},
    {"xc-end-no-p2m", SEVERITY_ERROR, true, KIND_NEEDS, GUEST_PV,
     LAST_RECORDS, BIT(X86_PV_P2M_FRAMES), "a PV image has X86_PV_P2M_FRAMES"},
    {"xc-end-no-shared-info", SEVERITY_ERROR, false, KIND_NEEDS, GUEST_PV,
     LAST_RECORDS, BIT(SHARED_INFO), "a PV image has SHARED_INFO"},
    {"xc-end-no-vcpu", SEVERITY_ERROR, true, KIND_NEEDS, GUEST_PV,
     LAST_RECORDS, BIT(X86_PV_VCPU_BASIC),
     "a PV image has the basic state of at least one vCPU"},
    {"xc-end-no-hvm-context", SEVERITY_ERROR, true, KIND_NEEDS, GUEST_HVM,
     LAST_RECORDS, BIT(HVM_CONTEXT), "an HVM image has HVM_CONTEXT"},
    {"xc-end-no-hvm-params", SEVERITY_WARNING, false, KIND_NEEDS, GUEST_HVM,
     LAST_RECORDS, BIT(HVM_PARAMS), "an HVM image has HVM_PARAMS"},
};
/* clang-format on */

void xcstream_order_init(struct xcstream_order *o,
                         const struct xcstream_headers *h, bool checkpointed)
{
    *o = (struct xcstream_order){
        .version = h->version,
        .guest = h->type == XCSTREAM_DOMAIN_PV ? GUEST_PV : GUEST_HVM,
        .checkpointed = checkpointed,
        .noncoop = true,
    };
}

/* The bit of a type in a set; 0 for types that no rule speaks of. */
static uint32_t type_bit(uint32_t type)
{
    if (xcstream_record_noncoop(type))
        return UINT32_C(1) << (type - XCREC_NONCOOP_FIRST + NONCOOP_SHIFT);
    return type < NONCOOP_SHIFT ? UINT32_C(1) << type : 0;
}

static bool implies_static_data_end(const struct xcstream_order *o,
                                    uint32_t type)
{
    return o->version < XCSTREAM_VERSION_3 &&
           (type_bit(type) & (BIT(X86_PV_P2M_FRAMES) | BIT(PAGE_DATA)));
}

static bool rule_holds(const struct order_rule *rule,
                       const struct xcstream_order *o, uint32_t type)
{
    const struct xcstream_record_info *info = xcstream_record_find(type);

    if (!(rule->guests & o->guest))
        return true;
    if (rule->records && !(rule->records & type_bit(type)))
        return true;

    switch ((enum rule_kind)rule->kind) {
    case KIND_KNOWN:
        return info || xcstream_record_optional(type);
    case KIND_OPTIONAL:
        return info || !xcstream_record_optional(type);
    case KIND_CURRENT:
        return !info || info->use != RECORD_RETIRED;
    case KIND_FORWARD:
        return !info || info->use != RECORD_BACK;
    case KIND_GUEST:
        return !info || (info->guests & o->guest);
    case KIND_VERSION:
        return !info || info->min_version <= o->version;
    case KIND_NEEDS:
        return o->seen & rule->other;
    case KIND_STATIC:
        return o->static_data_done || o->version < XCSTREAM_VERSION_3;
    case KIND_DYNAMIC:
        return !o->static_data_done;
    case KIND_BEFORE:
        return !(o->seen_round & rule->other);
    case KIND_ONCE:
        return !(o->seen & type_bit(type));
    case KIND_ONCE_PER_ROUND:
        return !(o->seen_round & type_bit(type));
    case KIND_CHECKPOINTED:
        return o->checkpointed;
    case KIND_NONCOOP:
        return o->noncoop;
    case KIND_NONCOOP_NEXT:
        return (o->seen & NONCOOP_RECORDS) ==
               ((type_bit(type) - 1) & NONCOOP_RECORDS);
    case KIND_NONCOOP_ALL:
        return !(o->seen & NONCOOP_RECORDS) ||
               (o->seen & NONCOOP_RECORDS) == NONCOOP_RECORDS;
    }
    assert(!"a rule of no kind");
    return false;
}

const struct order_rule *xcstream_order_rule(size_t i)
{
    return i < ARRAY_SIZE(rules) ? &rules[i] : NULL;
}

const struct order_rule *
xcstream_order_violation(const struct xcstream_order *o, uint32_t type,
                         size_t *at)
{
    while (*at < ARRAY_SIZE(rules)) {
        const struct order_rule *rule = &rules[(*at)++];

        if (!rule_holds(rule, o, type))
            return rule;
    }
    return NULL;
}

bool xcstream_order_advance(struct xcstream_order *o, uint32_t type)
{
    bool ends_static_data =
        !o->static_data_done &&
        (type == XCREC_STATIC_DATA_END || implies_static_data_end(o, type));

    o->static_data_done |= ends_static_data;
    o->seen |= type_bit(type);
    o->seen_round |= type_bit(type);
    if (type == XCREC_CHECKPOINT)
        o->seen_round = 0;
    return ends_static_data;
}

bool xcstream_order_check(const struct xcstream_order *o,
                          const struct record_head *head, struct error *err)
{
    const struct order_rule *rule;
    size_t at = 0;

    while ((rule = xcstream_order_violation(o, head->type, &at)))
        if (rule->restore_refuses)
            return error_set_at(err, ERR_FORMAT, head->offset,
                                "%s (type %#" PRIx32 ") at offset %" PRIu64
                                ": %s",
                                xcstream_record_name(head->type), head->type,
                                head->offset, rule->explanation);
    return true;
}
