/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/image/core_file.h"

#include <elf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "stream/image/guest_walk.h"
#include "stream/image/image_scan.h"

#define NOTE_XENFERRY 1

/* struct elf_prstatus of x86-64 Linux, which debuggers know. */
#define PRSTATUS_SIZE 336
#define PRSTATUS_PID  32
#define PRSTATUS_REGS 112

struct core_load {
    uint64_t address;
    uint64_t physical;
    uint64_t length;
    uint64_t offset; /* from the first page */
};

/* Frames one after the other, and where their pages are in the core. */
struct core_run {
    uint64_t first;
    uint64_t nr;
    uint64_t before; /* pages of earlier runs */
};

struct core {
    const struct guest_image *g;
    struct core_run *runs; /* owned; upwards */
    size_t nr_runs;
    struct core_load *loads; /* owned */
    size_t nr_loads;
    uint64_t nr_pages;
    struct buffer notes;
    struct buffer head;
};

/* Room for one more of 'size' octets: at the powers of two it doubles. */
static bool make_room(void **array, size_t nr, size_t size, const char *what,
                      struct error *err)
{
    void *more;

    if (nr >= CORE_LOADS_MAX)
        return error_set(err, ERR_LIMIT,
                         "%s: more than %" PRIu32 ", expected fewer", what,
                         CORE_LOADS_MAX);
    if ((nr & (nr - 1)) != 0)
        return true;
    more = realloc(*array, (nr ? nr * 2 : 1) * size);
    if (!more)
        return error_set(err, ERR_NO_MEMORY, "%s: no memory", what);
    *array = more;
    return true;
}

static bool add_load(struct core *c, const struct core_load *load,
                     struct error *err)
{
    if (!make_room((void **)&c->loads, c->nr_loads, sizeof(*c->loads),
                   "stretches of memory", err))
        return false;
    c->loads[c->nr_loads++] = *load;
    return true;
}

static bool find_runs(struct core *c, struct error *err)
{
    uint64_t first = 0, nr = 0;

    while (guest_image_run(c->g, first + nr, &first, &nr)) {
        if (!make_room((void **)&c->runs, c->nr_runs, sizeof(*c->runs),
                       "runs of frames", err))
            return false;
        c->runs[c->nr_runs++] = (struct core_run){first, nr, c->nr_pages};
        c->nr_pages += nr;
    }
    return true;
}

static bool loads_by_physical(struct core *c, struct error *err)
{
    for (size_t i = 0; i < c->nr_runs; i++) {
        const struct core_run *run = &c->runs[i];
        const struct core_load load = {
            .address = run->first << PAGE_SHIFT,
            .physical = run->first << PAGE_SHIFT,
            .length = run->nr << PAGE_SHIFT,
            .offset = run->before << PAGE_SHIFT,
        };

        if (!add_load(c, &load, err))
            return false;
    }
    return true;
}

/* The first run that ends after 'pfn'. */
static size_t find_run(const struct core *c, uint64_t pfn)
{
    size_t low = 0, high = c->nr_runs;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (c->runs[middle].first + c->runs[middle].nr <= pfn)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Of a mapped stretch, what the image has pages for. */
static bool add_mapped(void *context, const struct walk_extent *extent,
                       struct error *err)
{
    struct core *c = context;
    uint64_t pfn = extent->physical >> PAGE_SHIFT;
    uint64_t end = pfn + (extent->length >> PAGE_SHIFT);

    for (size_t i = find_run(c, pfn); i < c->nr_runs; i++) {
        const struct core_run *run = &c->runs[i];
        uint64_t from = run->first > pfn ? run->first : pfn;
        uint64_t to = run->first + run->nr < end ? run->first + run->nr : end;
        struct core_load load = {
            .address = extent->address + ((from - pfn) << PAGE_SHIFT),
            .physical = from << PAGE_SHIFT,
            .offset = (run->before + from - run->first) << PAGE_SHIFT,
        };

        if (run->first >= end)
            break;
        load.length = (to - from) << PAGE_SHIFT;
        if (!add_load(c, &load, err))
            return false;
    }
    return true;
}

/* Notes -------------------------------------------------------------------- */

static void begin_note(struct core *c, const char *name, uint32_t length,
                       uint32_t type)
{
    buffer_u32(&c->notes, (uint32_t)strlen(name) + 1);
    buffer_u32(&c->notes, length);
    buffer_u32(&c->notes, type);
    buffer_text(&c->notes, name);
    buffer_u8(&c->notes, 0);
    buffer_align(&c->notes, 4);
}

static void append_prstatus(struct core *c, const struct guest_registers *r)
{
    const uint64_t regs[] = {
        r->r15,     r->r14,     r->r13, r->r12, r->rbp,    r->rbx, r->r11,
        r->r10,     r->r9,      r->r8,  r->rax, r->rcx,    r->rdx, r->rsi,
        r->rdi,     UINT64_MAX, r->rip, r->cs,  r->rflags, r->rsp, r->ss,
        r->fs_base, r->gs_base, r->ds,  r->es,  r->fs,     r->gs,
    };

    begin_note(c, "CORE", PRSTATUS_SIZE, NT_PRSTATUS);
    buffer_zeroes(&c->notes, PRSTATUS_PID);
    buffer_u32(&c->notes, r->vcpu + 1); /* debuggers take 0 for none */
    buffer_zeroes(&c->notes, PRSTATUS_REGS - PRSTATUS_PID - 4);
    for (size_t i = 0; i < ARRAY_SIZE(regs); i++)
        buffer_u64(&c->notes, regs[i]);
    buffer_zeroes(&c->notes, PRSTATUS_SIZE - PRSTATUS_REGS - sizeof(regs));
    begin_note(c, "XENFERRY", 5 * 8, NOTE_XENFERRY);
    buffer_u64(&c->notes, r->cr0);
    buffer_u64(&c->notes, r->cr2);
    buffer_u64(&c->notes, r->cr3);
    buffer_u64(&c->notes, r->cr4);
    buffer_u64(&c->notes, r->efer);
}

/* Headers ------------------------------------------------------------------ */

static uint64_t round_up(uint64_t value)
{
    return (value + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
}

static void append_elf_header(struct core *c, uint64_t nr_headers)
{
    static const uint8_t ident[EI_NIDENT] = {ELFMAG0,   ELFMAG1,    ELFMAG2,
                                             ELFMAG3,   ELFCLASS64, ELFDATA2LSB,
                                             EV_CURRENT};
    bool many = nr_headers >= PN_XNUM;
    struct buffer *b = &c->head;

    buffer_bytes(b, ident, sizeof(ident));
    buffer_u16(b, ET_CORE);
    buffer_u16(b, EM_X86_64);
    buffer_u32(b, EV_CURRENT);
    buffer_u64(b, 0);
    buffer_u64(b, sizeof(Elf64_Ehdr));
    buffer_u64(b,
               many ? sizeof(Elf64_Ehdr) + nr_headers * sizeof(Elf64_Phdr) : 0);
    buffer_u32(b, 0);
    buffer_u16(b, sizeof(Elf64_Ehdr));
    buffer_u16(b, sizeof(Elf64_Phdr));
    buffer_u16(b, many ? PN_XNUM : (uint16_t)nr_headers);
    buffer_u16(b, many ? sizeof(Elf64_Shdr) : 0);
    buffer_u16(b, many);
    buffer_u16(b, 0);
}

static void append_program_header(struct core *c, uint32_t type, uint32_t flags,
                                  uint64_t offset, uint64_t address,
                                  uint64_t physical, uint64_t length,
                                  uint64_t alignment)
{
    struct buffer *b = &c->head;

    buffer_u32(b, type);
    buffer_u32(b, flags);
    buffer_u64(b, offset);
    buffer_u64(b, address);
    buffer_u64(b, physical);
    buffer_u64(b, length);
    buffer_u64(b, type == PT_NOTE ? 0 : length);
    buffer_u64(b, alignment);
}

static void append_head(struct core *c)
{
    uint64_t nr = 1 + c->nr_loads;
    uint64_t size = sizeof(Elf64_Ehdr) + nr * sizeof(Elf64_Phdr) +
                    (nr >= PN_XNUM ? sizeof(Elf64_Shdr) : 0);
    uint64_t pages = round_up(size + c->notes.length);

    append_elf_header(c, nr);
    append_program_header(c, PT_NOTE, 0, size, 0, 0, c->notes.length, 4);
    for (size_t i = 0; i < c->nr_loads; i++) {
        const struct core_load *l = &c->loads[i];

        append_program_header(c, PT_LOAD, PF_R | PF_W | PF_X, pages + l->offset,
                              l->address, l->physical, l->length, PAGE_SIZE);
    }
    if (nr >= PN_XNUM) {
        /* Section 0: sh_info is the number of program headers. */
        buffer_zeroes(&c->head, 44);
        buffer_u32(&c->head, (uint32_t)nr);
        buffer_zeroes(&c->head, sizeof(Elf64_Shdr) - 48);
    }
    buffer_bytes(&c->head, c->notes.bytes, c->notes.length);
    buffer_zeroes(&c->head, (size_t)(pages - c->head.length));
}

/* Pages -------------------------------------------------------------------- */

static bool write_run(struct core *c, const struct core_run *run,
                      struct page_copier *copier, struct buffer *gathered,
                      struct stream_sink *sink,
                      const struct core_options *options, struct error *err)
{
    for (uint64_t done = 0; done < run->nr;) {
        size_t piece = run->nr - done < PAGE_COPY_PAGES
                           ? (size_t)(run->nr - done)
                           : PAGE_COPY_PAGES;
        struct memory_source memory = {0};
        struct stream_source source;
        uint8_t *at;

        buffer_reset(gathered);
        at = buffer_extend(gathered, piece * PAGE_SIZE);
        if (!at)
            return buffer_check(gathered, "pages", err);
        for (size_t i = 0; i < piece; i++) {
            struct page_place place =
                page_index_get(&c->g->pages, run->first + done + i);

            if (!image_read_page(c->g->fd, c->g->base, &place,
                                 at + i * PAGE_SIZE, err))
                return false;
        }
        memory.bytes = gathered->bytes;
        memory.length = gathered->length;
        source = source_from_memory(&memory);
        if (!page_copy(copier, &source, sink, NULL, 0, piece, err))
            return false;
        done += piece;
        if (options->progress)
            options->progress(options->context, run->before + done,
                              sink->offset);
    }
    return true;
}

static bool write_pages(struct core *c, struct stream_sink *sink,
                        const struct core_options *options, struct error *err)
{
    struct page_copier copier;
    struct buffer gathered = {0};
    bool ok = true;

    if (!page_copier_init(&copier, options->find_zeroes, err))
        return false;
    for (size_t i = 0; ok && i < c->nr_runs; i++)
        ok = write_run(c, &c->runs[i], &copier, &gathered, sink, options, err);
    buffer_release(&gathered);
    page_copier_release(&copier);
    return ok;
}

static bool find_loads(struct core *c, const struct core_options *options,
                       struct error *err)
{
    struct guest_registers r;

    if (!options->by_virtual)
        return loads_by_physical(c, err);
    if (!guest_registers_get(c->g, options->vcpu, &r))
        return error_set(err, ERR_USAGE,
                         "vCPU %" PRIu32 ": not in the image, expected one "
                         "that is",
                         options->vcpu);
    return guest_walk_all(c->g, &r, add_mapped, c, err);
}

static bool write_core(struct core *c, struct stream_sink *sink,
                       const struct core_options *options,
                       struct core_result *result, struct error *err)
{
    struct guest_registers r;

    if (!find_runs(c, err) || !find_loads(c, options, err))
        return false;
    for (uint32_t i = 0;
         i < GUEST_VCPUS_MAX && guest_registers_get(c->g, i, &r); i++) {
        append_prstatus(c, &r);
        result->nr_vcpus++;
    }
    append_head(c);
    result->nr_loads = c->nr_loads;
    result->nr_pages = c->nr_pages;
    return buffer_check(&c->notes, "core notes", err) &&
           buffer_check(&c->head, "core headers", err) &&
           sink_write(sink, c->head.bytes, c->head.length, err) &&
           write_pages(c, sink, options, err);
}

bool core_write(const struct guest_image *g, struct stream_sink *sink,
                const struct core_options *options, struct core_result *result,
                struct error *err)
{
    struct core c = {.g = g};
    bool ok;

    *result = (struct core_result){0};
    ok = write_core(&c, sink, options, result, err);
    free(c.runs);
    free(c.loads);
    buffer_release(&c.notes);
    buffer_release(&c.head);
    return ok;
}
