/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <elf.h>

#include <xen/arch-x86/hvm/start_info.h>

#include "test_machine.h"

#include "hostd/page_walk.h"

#define CODE 0x100000u

/* A kernel of one segment with its note, and nothing else. */
struct kernel {
    Elf64_Ehdr header;
    Elf64_Phdr phdr[2];
    struct {
        Elf64_Nhdr note;
        char name[4];
        uint64_t page;
    } __attribute__((packed)) note;
    uint8_t code[64];
};

static struct kernel good(void)
{
    struct kernel k = {
        .header = {.e_machine = EM_X86_64,
                   .e_entry = CODE,
                   .e_phoff = offsetof(struct kernel, phdr),
                   .e_phentsize = sizeof(Elf64_Phdr),
                   .e_phnum = 2},
        .phdr = {{.p_type = PT_LOAD,
                  .p_offset = offsetof(struct kernel, code),
                  .p_paddr = CODE,
                  .p_filesz = 64,
                  .p_memsz = 3 * PAGE_SIZE},
                   {.p_type = PT_NOTE,
                  .p_offset = offsetof(struct kernel, note),
                  .p_filesz = sizeof(k.note)}                },
        .note = {.note = {.n_namesz = 4, .n_descsz = 8, .n_type = 2},
                   .name = "Xen",
                   .page = CODE + PAGE_SIZE                   },
    };

    memcpy(k.header.e_ident, ELFMAG, SELFMAG);
    k.header.e_ident[EI_CLASS] = ELFCLASS64;
    memset(k.code, 0x90, sizeof(k.code));
    return k;
}

static bool load(struct test_machine *t, const struct kernel *k, size_t length,
                 struct cpu_state *ret, struct error *err)
{
    return kernel_image_load(&t->m, (const uint8_t *)k, length, "a b", ret,
                             err);
}

static void a_kernel_is_ready_to_start(void **state)
{
    struct test_machine *t = *state;
    struct kernel k = good();
    const struct hvm_start_info *info;
    struct cpu_state c;
    struct error err;
    uint64_t gpa;

    memset(test_ram(t, CODE + 64), 0xff, 16);
    assert_ok(load(t, &k, sizeof(k), &c, &err), err);
    assert_int_equal(c.rip, CODE);
    assert_ok(cpu_state_check(&c, &err), err);
    assert_int_equal(*(uint8_t *)test_ram(t, CODE), 0x90);
    assert_int_equal(*(uint8_t *)test_ram(t, CODE + 64), 0);
    /* mov $3,%eax in the third entry of the hypercall page */
    assert_int_equal(*(uint8_t *)test_ram(t, CODE + PAGE_SIZE + 96), 0xb8);
    assert_int_equal(*(uint8_t *)test_ram(t, CODE + PAGE_SIZE + 97), 3);
    info = test_ram(t, c.gpr[GPR_RBX]);
    assert_int_equal(info->magic, XEN_HVM_START_MAGIC_VALUE);
    assert_string_equal(test_ram(t, info->cmdline_paddr), "a b");
    assert_true(page_walk(&t->m.memory, c.cr3, UINT64_C(0xfe700123),
                          ACCESS_WRITE, &gpa));
    assert_int_equal(gpa, UINT64_C(0xfe700123));
    assert_false(page_walk(&t->m.memory, c.cr3, UINT64_C(0x100000000),
                           ACCESS_READ, &gpa));
    assert_false(page_walk(&t->m.memory, c.cr3, UINT64_C(0x800000000000),
                           ACCESS_READ, &gpa));
}

static void every_truncation_is_refused(void **state)
{
    struct test_machine *t = *state;
    struct kernel k = good();
    struct cpu_state c;
    struct error err;

    for (size_t length = 0; length < sizeof(k); length++)
        assert_false(load(t, &k, length, &c, &err));
}

static void hostile_headers_are_refused(void **state)
{
    struct test_machine *t = *state;
    struct kernel k = good();
    struct cpu_state c;
    struct error err;

    k.phdr[0].p_paddr = 0xf000;
    assert_refused(load(t, &k, sizeof(k), &c, &err), err, ERR_LIMIT, "RAM");
    k = good();
    k.phdr[0].p_paddr = UINT64_MAX - 100;
    assert_refused(load(t, &k, sizeof(k), &c, &err), err, ERR_LIMIT, "RAM");
    k = good();
    k.phdr[0].p_memsz = UINT64_MAX;
    assert_refused(load(t, &k, sizeof(k), &c, &err), err, ERR_LIMIT, "RAM");
    k = good();
    k.phdr[0].p_offset = UINT64_MAX - 10;
    assert_refused(load(t, &k, sizeof(k), &c, &err), err, ERR_FORMAT, "beyond");
    k = good();
    k.header.e_phnum = 65535;
    assert_refused(load(t, &k, sizeof(k), &c, &err), err, ERR_FORMAT,
                   "program headers");
    k = good();
    k.header.e_phoff = UINT64_MAX;
    assert_refused(load(t, &k, sizeof(k), &c, &err), err, ERR_FORMAT,
                   "program headers");
    k = good();
    k.note.page = CODE + 8;
    assert_refused(load(t, &k, sizeof(k), &c, &err), err, ERR_FORMAT,
                   "hypercall page");
    k = good();
    k.note.note.n_namesz = UINT32_MAX;
    assert_refused(load(t, &k, sizeof(k), &c, &err), err, ERR_FORMAT,
                   "hypercall page");
}

static void runs_cover_ram_and_xens_pages(void **state)
{
    struct test_machine *t = *state;
    struct guest_memory *m = &t->m.memory;
    struct memory_run run;
    struct error err;

    assert_true(guest_memory_next_run(m, 0, &run));
    assert_int_equal(run.gfn, 0);
    assert_int_equal(run.nr, TEST_PAGES);
    assert_true(guest_memory_next_run(m, TEST_PAGES, &run));
    assert_int_equal(run.gfn, STORE_GFN);
    assert_ok(guest_memory_place(m, XEN_PAGE_SHARED_INFO, 100, &err), err);
    assert_true(guest_memory_next_run(m, 0, &run));
    assert_int_equal(run.nr, 100);
    assert_true(guest_memory_next_run(m, 100, &run));
    assert_ptr_equal(run.host, m->xen_pages);
    assert_true(guest_memory_next_run(m, 101, &run));
    assert_int_equal(run.gfn, 101);
    assert_refused(guest_memory_populate(m, 100, 1, &err), err, ERR_STATE,
                   "Xen's pages");
    assert_refused(guest_memory_populate(m, m->nr_gfns, 1, &err), err,
                   ERR_LIMIT, "gfns below");
    assert_refused(guest_memory_populate(m, 1, UINT64_MAX, &err), err,
                   ERR_LIMIT, "gfns below");
    assert_null(guest_memory_at(m, PAGE_SIZE - 4, 8));
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_kernel_is_ready_to_start),
        TEST(every_truncation_is_refused),
        TEST(hostile_headers_are_refused),
        TEST(runs_cover_ram_and_xens_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
