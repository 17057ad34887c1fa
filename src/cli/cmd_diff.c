/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xenferry diff: how two images differ. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/guest_file.h"
#include "cli/output.h"
#include "stream/hvm/hvm_context.h"
#include "stream/image/guest_registers.h"
#include "stream/image/image_scan.h"
#include "stream/xc/xc_page_data.h"
#include "stream/xc/xc_records.h"
#include "stream/xc/xc_x86_hvm.h"

/* Exit statuses; the page documents them. */
enum { DIFF_SAME = 0, DIFF_DIFFERENT = 1, DIFF_TROUBLE = 2 };

static const struct command_option options[] = {
    {"json",  'j', NULL, "Print JSON instead of text"          },
    {"quiet", 'q', NULL, "Print nothing; the exit status tells"},
    {NULL,    0,   NULL, NULL                                  },
};

/* What can be said of a frame in two images. */
enum frame_difference {
    FRAME_SAME,
    FRAME_CHANGED, /* contents */
    FRAME_RETYPED, /* of another type */
    FRAME_ONLY_FIRST,
    FRAME_ONLY_SECOND,
    NR_FRAME_DIFFERENCES,
};

static const char *const difference_names[NR_FRAME_DIFFERENCES] = {
    [FRAME_SAME] = "same",
    [FRAME_CHANGED] = "contents",
    [FRAME_RETYPED] = "type",
    [FRAME_ONLY_FIRST] = "only_in_first",
    [FRAME_ONLY_SECOND] = "only_in_second",
};

struct diff {
    struct guest_file files[2];
    const struct guest_image *guests[2];
    struct field_sink *out; /* NULL: quiet */
    bool different;
    uint64_t frames[NR_FRAME_DIFFERENCES];
    enum frame_difference run; /* the frames from 'run_first' on */
    uint64_t run_first;
    uint64_t run_end;
};

static void show_number(struct diff *d, const char *key, uint64_t first,
                        uint64_t second)
{
    if (first == second)
        return;
    d->different = true;
    if (!d->out)
        return;
    fields_begin(d->out, NULL, FIELDS_ROW);
    fields_text(d->out, "what", key);
    fields_hex(d->out, "first", first);
    fields_hex(d->out, "second", second);
    fields_end(d->out);
}

static void begin(struct diff *d, const char *key)
{
    if (d->out)
        fields_begin(d->out, key, FIELDS_LIST);
}

static void end(struct diff *d)
{
    if (d->out)
        fields_end(d->out);
}

static void show_text(struct diff *d, const char *what, const char *difference)
{
    d->different = true;
    if (!d->out)
        return;
    fields_begin(d->out, NULL, FIELDS_ROW);
    fields_text(d->out, "what", what);
    fields_text(d->out, "difference", difference);
    fields_end(d->out);
}

static void diff_headers(struct diff *d)
{
    const struct guest_image *a = d->guests[0];
    const struct guest_image *b = d->guests[1];

    begin(d, "headers");
    show_number(d, "version", a->headers.version, b->headers.version);
    show_number(d, "guest type", a->headers.type, b->headers.type);
    show_number(d, "guest width", a->pv_width, b->pv_width);
    show_number(d, "xen major", a->headers.xen_major, b->headers.xen_major);
    show_number(d, "xen minor", a->headers.xen_minor, b->headers.xen_minor);
    end(d);
}

/* Records ------------------------------------------------------------------ */

/* By layer, type and place: the n-th of a type meets the n-th. */
static int compare_records(const void *a, const void *b)
{
    const struct guest_record *x = *(const struct guest_record *const *)a;
    const struct guest_record *y = *(const struct guest_record *const *)b;

    if (x->libxl != y->libxl)
        return x->libxl ? 1 : -1;
    if (x->type != y->type)
        return x->type < y->type ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static const struct guest_record **sorted_records(const struct guest_image *g)
{
    /* At most GUEST_RECORDS_NR_MAX. */
    const struct guest_record **list = calloc(g->nr_records + 1, sizeof(*list));

    if (!list)
        return NULL;
    for (size_t i = 0; i < g->nr_records; i++)
        list[i] = &g->records[i];
    qsort(list, g->nr_records, sizeof(*list), compare_records);
    return list;
}

static void record_label(const struct guest_record *r, size_t number,
                         char *label, size_t size)
{
    snprintf(label, size, "%s%s %zu", r->libxl ? "libxl " : "",
             r->libxl ? xlstream_record_name(r->type)
                      : xcstream_record_name(r->type),
             number);
}

static bool same_bodies(const struct diff *d, const struct guest_record *a,
                        const struct guest_record *b)
{
    if (a->length != b->length)
        return false;
    if (!a->kept || a->length == 0)
        return true;
    return memcmp(d->guests[0]->bodies.bytes + a->at,
                  d->guests[1]->bodies.bytes + b->at, a->length) == 0;
}

/* Each part of the HVM context with its like. */
static void diff_hvm_context(struct diff *d, const struct guest_record *a,
                             const struct guest_record *b)
{
    const uint8_t *bytes[2] = {d->guests[0]->bodies.bytes + a->at,
                               d->guests[1]->bodies.bytes + b->at};
    struct cursor x = cursor_over(bytes[0], a->length, ORDER_LITTLE);
    struct cursor y = cursor_over(bytes[1], b->length, ORDER_LITTLE);
    struct hvm_record p, q;

    while (hvm_record_next(&x, a->length, &p) == HVM_RECORD_FOUND &&
           hvm_record_next(&y, b->length, &q) == HVM_RECORD_FOUND) {
        const char *name = hvm_record_name(p.type);
        char label[64];

        snprintf(label, sizeof(label), "HVM_CONTEXT %s %" PRIu16,
                 name ? name : "unknown", p.instance);
        if (p.type != q.type || p.instance != q.instance) {
            show_text(d, label, "another part in its place");
            return;
        }
        if (p.length != q.length || memcmp(p.data, q.data, p.length) != 0)
            show_text(d, label, p.length != q.length ? "length" : "contents");
    }
}

static void diff_hvm_params(struct diff *d, const struct guest_record *a,
                            const struct guest_record *b)
{
    struct record first = guest_record_view(d->guests[0], a);
    struct record second = guest_record_view(d->guests[1], b);
    struct hvm_params x, y;

    if (!hvm_params_decode(&first, &x, NULL) ||
        !hvm_params_decode(&second, &y, NULL))
        return;
    for (uint32_t i = 0; i < x.nr_params && i < y.nr_params; i++) {
        struct hvm_param p = hvm_params_get(&x, i);
        struct hvm_param q = hvm_params_get(&y, i);
        const char *name = hvm_param_name(p.index);

        if (p.index == q.index)
            show_number(d, name ? name : "HVM parameter", p.value, q.value);
    }
}

static void diff_pair(struct diff *d, const struct guest_record *a,
                      const struct guest_record *b, size_t number)
{
    char label[96];

    if (same_bodies(d, a, b))
        return;
    record_label(a, number, label, sizeof(label));
    show_text(d, label, a->length != b->length ? "length" : "contents");
    if (a->libxl || !a->kept || !b->kept)
        return;
    if (a->type == XCREC_HVM_CONTEXT)
        diff_hvm_context(d, a, b);
    else if (a->type == XCREC_HVM_PARAMS)
        diff_hvm_params(d, a, b);
}

static bool same_kind(const struct guest_record *a,
                      const struct guest_record *b)
{
    return a->libxl == b->libxl && a->type == b->type;
}

static void diff_lists(struct diff *d, const struct guest_record **a,
                       const struct guest_record **b)
{
    size_t i = 0, j = 0;
    size_t number = 0;
    const struct guest_record *last = NULL;

    while (a[i] || b[j]) {
        /* Which of the two kinds comes first. */
        int order = !a[i]                   ? 1
                    : !b[j]                 ? -1
                    : same_kind(a[i], b[j]) ? 0
                                            : compare_records(&a[i], &b[j]);
        const struct guest_record *r = order > 0 ? b[j] : a[i];
        char label[96];

        number = last && same_kind(last, r) ? number + 1 : 0;
        last = r;
        if (order == 0) {
            diff_pair(d, a[i++], b[j++], number);
            continue;
        }
        record_label(r, number, label, sizeof(label));
        show_text(
            d, label,
            difference_names[order < 0 ? FRAME_ONLY_FIRST : FRAME_ONLY_SECOND]);
        if (order < 0)
            i++;
        else
            j++;
    }
}

static bool diff_records(struct diff *d, struct error *err)
{
    const struct guest_record **a = sorted_records(d->guests[0]);
    const struct guest_record **b = sorted_records(d->guests[1]);
    bool ok = a && b;

    begin(d, "records");
    if (ok)
        diff_lists(d, a, b);
    end(d);
    free(a);
    free(b);
    return ok || error_set(err, ERR_NO_MEMORY, "records: no memory");
}

/* Registers ---------------------------------------------------------------- */

static void diff_registers(struct diff *d)
{
    struct guest_registers a, b;

    begin(d, "registers");
    for (size_t i = 0;
         i < GUEST_VCPUS_MAX && guest_registers_get(d->guests[0], i, &a) &&
         guest_registers_get(d->guests[1], i, &b);
         i++) {
        char name[48];

#define X(reg)                                                         \
    snprintf(name, sizeof(name), "vCPU %" PRIu32 " %s", a.vcpu, #reg); \
    show_number(d, name, a.reg, b.reg);
        GUEST_REGISTERS(X)
#undef X
    }
    end(d);
}

/* Memory ------------------------------------------------------------------- */

static void show_run(struct diff *d)
{
    if (d->run == FRAME_SAME || d->run_end == d->run_first)
        return;
    d->different = true;
    if (!d->out)
        return;
    fields_begin(d->out, NULL, FIELDS_ROW);
    fields_hex(d->out, "first", d->run_first);
    fields_hex(d->out, "last", d->run_end - 1);
    fields_text(d->out, "difference", difference_names[d->run]);
    fields_end(d->out);
}

static void take_frame(struct diff *d, uint64_t pfn, enum frame_difference what)
{
    d->frames[what]++;
    if (d->run == what && d->run_end == pfn) {
        d->run_end++;
        return;
    }
    show_run(d);
    d->run = what;
    d->run_first = pfn;
    d->run_end = pfn + 1;
}

static bool diff_frame(struct diff *d, uint64_t pfn, struct error *err)
{
    struct page_place a = page_index_get(&d->guests[0]->pages, pfn);
    struct page_place b = page_index_get(&d->guests[1]->pages, pfn);
    uint8_t pages[2][PAGE_SIZE];

    if (!a.known || !b.known) {
        take_frame(d, pfn, a.known ? FRAME_ONLY_FIRST : FRAME_ONLY_SECOND);
        return true;
    }
    if (a.type != b.type) {
        take_frame(d, pfn, FRAME_RETYPED);
        return true;
    }
    if (!frame_type_has_page(a.type)) {
        take_frame(d, pfn, FRAME_SAME);
        return true;
    }
    if (!image_read_page(d->guests[0]->fd, d->guests[0]->base, &a, pages[0],
                         err) ||
        !image_read_page(d->guests[1]->fd, d->guests[1]->base, &b, pages[1],
                         err))
        return false;
    take_frame(d, pfn,
               memcmp(pages[0], pages[1], PAGE_SIZE) == 0 ? FRAME_SAME
                                                          : FRAME_CHANGED);
    return true;
}

static bool diff_memory(struct diff *d, struct error *err)
{
    uint64_t pfn = 0;
    bool ok = true;

    begin(d, "memory");
    while (ok) {
        uint64_t a = page_index_next(&d->guests[0]->pages, pfn);
        uint64_t b = page_index_next(&d->guests[1]->pages, pfn);

        pfn = a < b ? a : b;
        if (pfn == UINT64_MAX)
            break;
        ok = diff_frame(d, pfn, err);
        pfn++;
    }
    show_run(d);
    end(d);
    return ok;
}

static bool diff_all(struct diff *d, const char *const paths[2],
                     struct error *err)
{
    const struct guest_file_options guest = {
        .scratch = default_scratch_folder(),
        .checkpoint = CHECKPOINT_LAST,
        .timeout_ms = -1,
    };

    for (int i = 0; i < 2; i++) {
        if (!guest_file_open(&d->files[i], paths[i], &guest, err))
            return false;
        d->guests[i] = &d->files[i].guest;
    }
    diff_headers(d);
    diff_registers(d);
    if (!diff_records(d, err) || !diff_memory(d, err))
        return false;
    if (!d->out)
        return true;
    fields_begin(d->out, "summary", FIELDS_OBJECT);
    fields_flag(d->out, "different", d->different);
    fields_begin(d->out, "frames", FIELDS_OBJECT);
    for (int i = 0; i < NR_FRAME_DIFFERENCES; i++)
        fields_number(d->out, difference_names[i], d->frames[i]);
    fields_end(d->out);
    fields_end(d->out);
    return true;
}

static int diff_paths(struct diff *d, struct command_line *line, bool json,
                      bool quiet)
{
    struct error err = {0};
    struct output output;
    struct field_sink sink;
    const char *paths[2];
    bool ok;

    for (int i = 0; i < 2; i++) {
        paths[i] = command_line_operand(line);
        d->files[i].converted_fd = d->files[i].file.spool_fd = -1;
    }
    if (!quiet) {
        sink = output_begin(&output, stdout, json);
        d->out = &sink;
    }
    ok = diff_all(d, paths, &err);
    if (!quiet)
        output_finish(&output);
    for (int i = 0; i < 2; i++)
        guest_file_close(&d->files[i]);
    if (ok)
        return d->different ? DIFF_DIFFERENT : DIFF_SAME;
    command_failed(line->command, &err);
    return DIFF_TROUBLE;
}

static int diff_run(struct command_line *line)
{
    const char *argument;
    bool json = false;
    bool quiet = false;
    struct diff *d;
    int key, status;

    while ((key = command_line_next(line, &argument)) != LINE_END) {
        switch (key) {
        case 'j':
            json = true;
            break;
        case 'q':
            quiet = true;
            break;
        default:
            return CLI_USAGE;
        }
    }
    if (command_line_operands(line) != 2)
        return command_line_wrong(line, "expected two images");
    d = calloc(1, sizeof(*d));
    if (!d) {
        perror("xenferry: diff");
        return DIFF_TROUBLE;
    }
    status = diff_paths(d, line, json, quiet);
    free(d);
    return status;
}

const struct command command_diff = {
    .name = "diff",
    .summary = "Tell how the guests in two images differ",
    .arguments = "[OPTION]... FILE FILE",
    .details =
        "Compares headers, records, registers and the last version of each "
        "frame.\nThe exit status is 0 if they are the same, 1 if they "
        "differ, 2 if one\ncould not be read.",
    .options = options,
    .run = diff_run,
};
