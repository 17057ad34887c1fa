/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests of whoever moves guests: memory, written frames, processor state,
 * parameters.  Lists of frames travel as data, 64 bits each.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "hostd/control_server.h"
#include "hostd/cpu_identity.h"
#include "hostd/grants.h"
#include "hostd/hvm_context.h"

#define FRAMES_MAX 1024u

/* The values of frame types in save images. */
#define FRAME_TYPE_NORMAL      0x0u
#define FRAME_TYPE_UNPOPULATED 0xfu

static bool request_frames(const struct request *r, uint64_t **ret,
                           size_t *ret_nr, struct error *err)
{
    size_t nr = r->data_length / sizeof(uint64_t);
    uint64_t *frames;

    if (r->data_length % sizeof(uint64_t) || nr == 0 || nr > FRAMES_MAX)
        return error_set(err, ERR_USAGE,
                         "frames: %zu octets, expected 1 to %u numbers of 8",
                         r->data_length, FRAMES_MAX);
    frames = malloc(r->data_length);
    if (!frames)
        return error_set(err, ERR_NO_MEMORY, "frames: no memory");
    memcpy(frames, r->data, r->data_length);
    *ret = frames;
    *ret_nr = nr;
    return true;
}

static bool refuse_unless_paused(struct tenant *t, struct error *err)
{
    return hosted_is_paused(&t->h) || t->h.m.shutdown != SHUTDOWN_NONE ||
           error_set(err, ERR_STATE, "domain %s runs, expected it paused",
                     t->name);
}

static void answer_bitmap(struct request *r, const struct bitmap *b)
{
    buffer_bytes(r->answer_data, b->words, bitmap_size(b));
    answer_number(r, "count", bitmap_count(b));
}

/* ---- memory ------------------------------------------------------------ */

static bool domain_info(struct request *r, struct error *err)
{
    struct machine *m;
    struct tenant *t;
    uint32_t online = 0;

    if (!request_domain(r, &t, err))
        return false;
    m = &t->h.m;
    hosted_take(&t->h);
    for (unsigned int i = 0; i < m->nr_vcpus; i++)
        online += m->vcpu[i].up;
    answer_flag(r, "paused", hosted_is_paused(&t->h));
    answer_flag(r, "shutdown", m->shutdown != SHUTDOWN_NONE);
    answer_number(r, "reason", m->shutdown);
    answer_number(r, "nr_pages", m->memory.nr_populated);
    answer_number(r, "max_pages", m->max_pages);
    answer_number(r, "nr_gfns", m->memory.nr_gfns);
    answer_number(r, "online", online);
    answer_number(r, "vcpus", m->nr_vcpus);
    answer_number(r, "domid", m->domid);
    hosted_give(&t->h);
    return true;
}

static bool ram_map(struct request *r, struct error *err)
{
    struct tenant *t;

    if (!request_domain(r, &t, err))
        return false;
    r->answer_fd = fcntl(t->h.m.memory.ram_fd, F_DUPFD_CLOEXEC, 0);
    if (r->answer_fd < 0)
        return error_set_errno(err, ERR_IO, errno, "guest memory");
    answer_number(r, "nr_gfns", t->h.m.memory.nr_gfns);
    return true;
}

static bool frame_types(struct request *r, struct error *err)
{
    cleanup_free uint64_t *frames = NULL;
    const struct guest_memory *m;
    struct tenant *t;
    size_t nr = 0;

    if (!request_domain(r, &t, err) || !request_frames(r, &frames, &nr, err))
        return false;
    m = &t->h.m.memory;
    hosted_take(&t->h);
    for (size_t i = 0; i < nr; i++) {
        buffer_u32(r->answer_data, guest_memory_is_ram(m, frames[i])
                                       ? FRAME_TYPE_NORMAL
                                       : FRAME_TYPE_UNPOPULATED);
    }
    hosted_give(&t->h);
    return true;
}

static bool populated(struct request *r, struct error *err)
{
    struct tenant *t;

    if (!request_domain(r, &t, err))
        return false;
    hosted_take(&t->h);
    answer_bitmap(r, &t->h.m.memory.populated);
    hosted_give(&t->h);
    return true;
}

/* Extents of 1 << order frames; as many as there is room for. */
static bool populate(struct request *r, struct error *err)
{
    cleanup_free uint64_t *frames = NULL;
    struct tenant *t;
    uint64_t order;
    size_t nr = 0, done;
    bool ok = true;

    if (!request_domain(r, &t, err) ||
        !request_number_or(r, "order", 9, 0, &order, err) ||
        !request_frames(r, &frames, &nr, err))
        return false;
    hosted_take(&t->h);
    ok = refuse_unless_paused(t, err);
    for (done = 0; ok && done < nr; done++) {
        uint64_t size = UINT64_C(1) << order;

        if (t->h.m.memory.nr_populated + size > t->h.m.max_pages)
            break;
        ok =
            frames[done] % size == 0
                ? guest_memory_populate(&t->h.m.memory, frames[done], size, err)
                : error_set(err, ERR_USAGE,
                            "populate: frame %#" PRIx64
                            " is not a multiple of %" PRIu64,
                            frames[done], size);
    }
    hosted_give(&t->h);
    answer_number(r, "done", done);
    return ok;
}

/* ---- written frames ---------------------------------------------------- */

static bool dirty_enable(struct request *r, struct error *err)
{
    enum dirty_method method = r->host->dirty_method;
    const char *wanted = request_text_or(r, "method", NULL);
    struct tenant *t;
    bool ok;

    if (wanted && !strcmp(wanted, dirty_method_name(DIRTY_ENGINE_HOOKS)))
        method = DIRTY_ENGINE_HOOKS;
    if (!request_domain(r, &t, err))
        return false;
    hosted_take(&t->h);
    ok = dirty_start(&t->dirty, &t->h.m, method, err);
    t->h.log_stores = ok && method == DIRTY_ENGINE_HOOKS;
    hosted_renew_engines(&t->h);
    hosted_give(&t->h);
    answer_text(r, "method", dirty_method_name(method));
    return ok;
}

static bool dirty_disable(struct request *r, struct error *err)
{
    struct tenant *t;

    if (!request_domain(r, &t, err))
        return false;
    hosted_take(&t->h);
    dirty_stop(&t->dirty);
    if (t->h.log_stores) {
        t->h.log_stores = false;
        hosted_renew_engines(&t->h);
    }
    hosted_give(&t->h);
    return true;
}

static bool dirty_answer(struct request *r, bool clean, struct error *err)
{
    struct tenant *t;
    bool ok;

    if (!request_domain(r, &t, err))
        return false;
    hosted_take(&t->h);
    ok = t->dirty.m
             ? dirty_collect(&t->dirty, err)
             : error_set(err, ERR_STATE,
                         "domain %s: written frames are not noted", t->name);
    if (ok)
        answer_bitmap(r, &t->dirty.written);
    if (ok && clean)
        bitmap_empty(&t->dirty.written);
    hosted_give(&t->h);
    return ok;
}

static bool dirty_clean(struct request *r, struct error *err)
{
    return dirty_answer(r, true, err);
}

static bool dirty_peek(struct request *r, struct error *err)
{
    return dirty_answer(r, false, err);
}

/* ---- state ------------------------------------------------------------- */

/*
 * All that there is beside memory, in one answer: after the context the
 * parameters, 8 octets each, and the parts, each behind its length in 4.
 */
static bool append_all(struct request *r, struct tenant *t, struct error *err)
{
    struct buffer *out = r->answer_data;

    answer_number(r, "context", out->length);
    answer_number(r, "params", HVM_PARAMS_MAX);
    for (unsigned int i = 0; i < HVM_PARAMS_MAX; i++)
        buffer_u64(out, t->h.m.hvm_param[i]);
    for (unsigned int part = 0; part < STATE_NR_PARTS; part++) {
        cleanup(buffer_release) struct buffer body = {0};

        if (!control_append_part(t, part, &body, err))
            return false;
        buffer_u32(out, (uint32_t)body.length);
        buffer_bytes(out, body.bytes, body.length);
    }
    return buffer_check(out, "state", err);
}

/* With "all" and of a guest that stands still, everything else as well. */
static bool context_get(struct request *r, struct error *err)
{
    struct tenant *t;
    bool ok, suspended;

    if (!request_domain(r, &t, err))
        return false;
    hosted_take(&t->h);
    ok = refuse_unless_paused(t, err) &&
         hvm_context_save(&t->h, r->answer_data, err);
    suspended = tenant_is_suspended(t);
    hosted_give(&t->h);
    if (ok && suspended && request_flag(r, "all"))
        ok = append_all(r, t, err);
    return ok;
}

static bool context_set(struct request *r, struct error *err)
{
    struct tenant *t;
    bool ok;

    if (!request_domain(r, &t, err))
        return false;
    hosted_take(&t->h);
    ok = refuse_unless_paused(t, err) &&
         hvm_context_load(&t->h, r->data, r->data_length, err);
    hosted_give(&t->h);
    return ok;
}

static bool param_get(struct request *r, struct error *err)
{
    struct tenant *t;
    uint64_t index, value;

    if (!request_domain(r, &t, err) ||
        !request_number(r, "index", UINT32_MAX, &index, err))
        return false;
    hosted_take(&t->h);
    value = index < HVM_PARAMS_MAX ? t->h.m.hvm_param[index] : 0;
    hosted_give(&t->h);
    answer_number(r, "value", value);
    return true;
}

static bool param_set(struct request *r, struct error *err)
{
    struct tenant *t;
    uint64_t index, value;

    if (!request_domain(r, &t, err) ||
        !request_number(r, "index", HVM_PARAMS_MAX - 1, &index, err) ||
        !request_number(r, "value", UINT64_MAX, &value, err))
        return false;
    hosted_take(&t->h);
    t->h.m.hvm_param[index] = value;
    hosted_give(&t->h);
    return true;
}

static bool grant_seed(struct request *r, struct error *err)
{
    struct tenant *t;
    uint64_t console, store;
    bool ok;

    if (!request_domain(r, &t, err) ||
        !request_number(r, "console", UINT32_MAX, &console, err) ||
        !request_number(r, "store", UINT32_MAX, &store, err))
        return false;
    hosted_take(&t->h);
    ok = grants_seed(&t->h.m, GNTTAB_RESERVED_CONSOLE, console, err) &&
         grants_seed(&t->h.m, GNTTAB_RESERVED_XENSTORE, store, err);
    hosted_give(&t->h);
    return ok;
}

static bool cpuid(struct request *r, struct error *err)
{
    uint64_t leaf;
    uint32_t regs[4];

    if (!request_number(r, "leaf", UINT32_MAX, &leaf, err))
        return false;
    cpu_identity((uint32_t)leaf, 0, 0, 0, regs);
    for (unsigned int i = 0; i < 4; i++)
        buffer_u32(r->answer_data, regs[i]);
    return true;
}

const struct request_handler control_state_handlers[] = {
    {"domain-info",   domain_info  },
    {"ram-map",       ram_map      },
    {"frame-types",   frame_types  },
    {"populated",     populated    },
    {"populate",      populate     },
    {"dirty-enable",  dirty_enable },
    {"dirty-disable", dirty_disable},
    {"dirty-clean",   dirty_clean  },
    {"dirty-peek",    dirty_peek   },
    {"context-get",   context_get  },
    {"context-set",   context_set  },
    {"param-get",     param_get    },
    {"param-set",     param_set    },
    {"grant-seed",    grant_seed   },
    {"cpuid",         cpuid        },
    {NULL,            NULL         },
};
