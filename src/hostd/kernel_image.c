/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostd/kernel_image.h"

#include <elf.h>
#include <inttypes.h>
#include <string.h>

#include <xen/arch-x86/hvm/start_info.h>
#include <xen/elfnote.h>

#include "hostd/hypercall_serve.h"

#define START_INFO  0x9000u
#define CMDLINE     (START_INFO + 0x400)
#define MEMORY_MAP  (START_INFO + 0x200)
#define PAGE_TABLES 0x10000u
#define LOW_GFNS    UINT64_C(0xff000) /* the ring pages end here */
#define HIGH_GFN    UINT64_C(0x100000)

#define ENTRY_TABLE 0x23u /* present, writable, accessed */
#define ENTRY_2M    0xe3u /* and dirty, large */

#define PHDRS_MAX 64u
#define NOTES_MAX ((size_t)64 << 10)

uint64_t kernel_image_gfns(uint64_t nr_pages)
{
    return nr_pages > LOW_RAM_GFNS ? HIGH_GFN + (nr_pages - LOW_RAM_GFNS)
                                   : LOW_GFNS;
}

bool kernel_image_populate(struct machine *m, uint64_t nr_pages,
                           struct error *err)
{
    uint64_t low = nr_pages < LOW_RAM_GFNS ? nr_pages : LOW_RAM_GFNS;

    m->max_pages = nr_pages + 2;
    return guest_memory_populate(&m->memory, 0, low, err) &&
           (nr_pages == low ||
            guest_memory_populate(&m->memory, HIGH_GFN, nr_pages - low, err)) &&
           guest_memory_populate(&m->memory, STORE_GFN, 1, err) &&
           guest_memory_populate(&m->memory, CONSOLE_GFN, 1, err);
}

/* Octets of RAM that lie together, or NULL. */
static uint8_t *ram_at(struct machine *m, uint64_t gpa, uint64_t length)
{
    uint64_t first = gpa >> PAGE_SHIFT;
    uint64_t end;

    if (length == 0 || length > GUEST_KERNEL_MAX || gpa + length < gpa)
        return NULL;
    end = (gpa + length + PAGE_SIZE - 1) >> PAGE_SHIFT;
    if (end > m->memory.nr_gfns ||
        bitmap_next_clear(&m->memory.populated, first) < end)
        return NULL;
    return m->memory.ram + gpa;
}

static void build_page_tables(struct machine *m)
{
    uint64_t *table = (uint64_t *)(m->memory.ram + PAGE_TABLES);

    memset(table, 0, 6 * PAGE_SIZE);
    table[0] = (PAGE_TABLES + PAGE_SIZE) | ENTRY_TABLE;
    for (uint64_t i = 0; i < 4; i++)
        table[512 + i] = (PAGE_TABLES + (2 + i) * PAGE_SIZE) | ENTRY_TABLE;
    for (uint64_t i = 0; i < 4 * 512; i++)
        table[1024 + i] = i << 21 | ENTRY_2M;
}

static void add_range(struct hvm_memmap_table_entry *map, uint32_t *nr,
                      uint64_t first_gfn, uint64_t nr_gfns, uint32_t type)
{
    map[(*nr)++] =
        (struct hvm_memmap_table_entry){.addr = first_gfn * PAGE_SIZE,
                                        .size = nr_gfns * PAGE_SIZE,
                                        .type = type};
}

static void build_start_info(struct machine *m, const char *cmdline)
{
    struct hvm_start_info *info = (void *)(m->memory.ram + START_INFO);
    struct hvm_memmap_table_entry *map = (void *)(m->memory.ram + MEMORY_MAP);
    uint64_t pages = m->max_pages - 2;
    uint64_t low = pages < LOW_RAM_GFNS ? pages : LOW_RAM_GFNS;
    uint32_t nr = 0;

    add_range(map, &nr, 0, low, XEN_HVM_MEMMAP_TYPE_RAM);
    add_range(map, &nr, STORE_GFN, LOW_GFNS - STORE_GFN,
              XEN_HVM_MEMMAP_TYPE_RESERVED);
    if (pages > low)
        add_range(map, &nr, HIGH_GFN, pages - low, XEN_HVM_MEMMAP_TYPE_RAM);
    strcpy((char *)m->memory.ram + CMDLINE, cmdline);
    *info = (struct hvm_start_info){.magic = XEN_HVM_START_MAGIC_VALUE,
                                    .version = 1,
                                    .cmdline_paddr = CMDLINE,
                                    .memmap_paddr = MEMORY_MAP,
                                    .memmap_entries = nr};
}

/* The hypercall page's address from one block of notes; 0: not there. */
static uint64_t find_hypercall_page(const uint8_t *notes, size_t length)
{
    size_t at = 0;

    while (length - at >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr note;
        size_t name, body;

        memcpy(&note, notes + at, sizeof(note));
        at += sizeof(note);
        name = ((size_t)note.n_namesz + 3) & ~(size_t)3;
        body = ((size_t)note.n_descsz + 3) & ~(size_t)3;
        if (name > length - at || body > length - at - name)
            break;
        if (note.n_type == XEN_ELFNOTE_HYPERCALL_PAGE && note.n_namesz == 4 &&
            !memcmp(notes + at, "Xen", 4) && note.n_descsz == 8) {
            uint64_t address;

            memcpy(&address, notes + at + name, sizeof(address));
            return address;
        }
        at += name + body;
    }
    return 0;
}

static bool load_segment(struct machine *m, const uint8_t *elf, size_t length,
                         const Elf64_Phdr *p, struct error *err)
{
    uint8_t *to;

    if (p->p_memsz == 0)
        return true;
    if (p->p_offset > length || p->p_filesz > length - p->p_offset ||
        p->p_filesz > p->p_memsz)
        return error_set(err, ERR_FORMAT,
                         "kernel: segment at offset %#" PRIx64
                         " goes beyond the file",
                         (uint64_t)p->p_offset);
    to = ram_at(m, p->p_paddr, p->p_memsz);
    if (!to || p->p_paddr < PAGE_TABLES + 6 * PAGE_SIZE)
        return error_set(err, ERR_LIMIT,
                         "kernel: segment at %#" PRIx64 "+%#" PRIx64
                         " is not in the guest's RAM",
                         (uint64_t)p->p_paddr, (uint64_t)p->p_memsz);
    memcpy(to, elf + p->p_offset, p->p_filesz);
    memset(to + p->p_filesz, 0, p->p_memsz - p->p_filesz);
    return true;
}

static bool fill_hypercall_page(struct machine *m, uint64_t address,
                                struct error *err)
{
    uint8_t *page = address == 0 || address % PAGE_SIZE
                        ? NULL
                        : ram_at(m, address, PAGE_SIZE);

    if (!page)
        return error_set(err, ERR_FORMAT,
                         "kernel: hypercall page at %#" PRIx64
                         ", expected a page of RAM (ELF note of Xen, type 2)",
                         address);
    hypercall_page_fill(page);
    return true;
}

bool kernel_image_load(struct machine *m, const uint8_t *elf, size_t length,
                       const char *cmdline, struct cpu_state *ret,
                       struct error *err)
{
    uint64_t hypercall_page = 0;
    Elf64_Ehdr header;

    if (strlen(cmdline) >= GUEST_CMDLINE_MAX)
        return error_set(err, ERR_LIMIT, "command line: %zu octets, at most %u",
                         strlen(cmdline), GUEST_CMDLINE_MAX - 1);
    if (length < sizeof(header))
        return error_set(err, ERR_FORMAT, "kernel: %zu octets, too short",
                         length);
    memcpy(&header, elf, sizeof(header));
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) ||
        header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != EM_X86_64)
        return error_set(err, ERR_FORMAT, "kernel: not a 64-bit x86 ELF file");
    if (header.e_phnum > PHDRS_MAX ||
        header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phoff > length ||
        header.e_phnum * sizeof(Elf64_Phdr) > length - header.e_phoff)
        return error_set(err, ERR_FORMAT,
                         "kernel: %u program headers at %#" PRIx64
                         " do not fit the file",
                         header.e_phnum, (uint64_t)header.e_phoff);
    for (unsigned int i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr p;

        memcpy(&p, elf + header.e_phoff + i * sizeof(p), sizeof(p));
        if (p.p_type == PT_LOAD && !load_segment(m, elf, length, &p, err))
            return false;
        if (p.p_type == PT_NOTE && p.p_offset <= length &&
            p.p_filesz <= length - p.p_offset && p.p_filesz <= NOTES_MAX &&
            !hypercall_page)
            hypercall_page = find_hypercall_page(elf + p.p_offset, p.p_filesz);
    }
    if (!fill_hypercall_page(m, hypercall_page, err))
        return false;
    build_page_tables(m);
    build_start_info(m, cmdline);
    *ret = cpu_state_at(header.e_entry, 0, PAGE_TABLES);
    ret->gpr[GPR_RBX] = START_INFO;
    return true;
}
