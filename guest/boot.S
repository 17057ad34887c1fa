/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two ways in, the way in for further vCPUs, and the interrupt stubs.
 *
 *   pvh_entry   real Xen: 32-bit protected mode, paging off, flat segments,
 *               EBX = physical address of struct hvm_start_info
 *   long_entry  (the ELF entry point) a host that starts guests in long mode:
 *               paging on with this image mapped at its physical address,
 *               interrupts off, RBX as EBX above, hypercall page filled
 *   ap_entry    VCPUOP_initialise: long mode on our page tables, RSP at the
 *               top of the vCPU's stack, which says whose it is
 *
 * All meet in long mode on the page tables below: 4 GiB mapped one to one
 * with 2 MiB pages, accessed and dirty bits set beforehand, so that the
 * processor never writes to them.
 */
#define __ASSEMBLY__
#include <xen/elfnote.h>

#include "layout.h"

#define CR0_PE 0x1
#define CR0_LONG 0x80010033 /* PG, WP, NE, ET, MP, PE */
#define CR4_PAE 0x20
#define MSR_EFER 0xc0000080
#define EFER_LME 0x100

    .macro note type, desc:vararg
    .pushsection .note.xen, "a", @note
    .balign 4
    .long 2f - 1f
    .long 4f - 3f
    .long \type
1:  .asciz "Xen"
2:  .balign 4
3:  \desc
4:  .balign 4
    .popsection
    .endm

    note XEN_ELFNOTE_GUEST_OS, .asciz "xenferry-guest"
    note XEN_ELFNOTE_XEN_VERSION, .asciz "xen-3.0"
    note XEN_ELFNOTE_PHYS32_ENTRY, .long pvh_entry
    note XEN_ELFNOTE_HYPERCALL_PAGE, .quad hypercall_page

    .section .text.boot, "ax"
    .code32
    .globl pvh_entry
pvh_entry:
    cld
    movl %ebx, %esi
    lgdt gdt_pointer32
    movl $CR4_PAE, %eax
    movl %eax, %cr4
    movl $page_map, %eax
    movl %eax, %cr3
    movl $MSR_EFER, %ecx
    rdmsr
    orl $EFER_LME, %eax
    wrmsr
    movl $CR0_LONG, %eax
    movl %eax, %cr0
    ljmp $0x08, $1f

    .code64
1:  xorl %edi, %edi /* entry: PVH */
    jmp start64

    .globl long_entry
long_entry:
    cld
    movq %rbx, %rsi
    movl $1, %edi /* entry: long mode */
    movl $page_map, %eax
    movq %rax, %cr3
    movl $CR0_LONG, %eax
    movq %rax, %cr0

start64:
    leaq stacks + STACK_SIZE(%rip), %rsp
    movl %edi, %r12d
    movl %esi, %r13d
    call load_segments
    movl %r12d, %edi
    movl %r13d, %esi
    xorl %ebp, %ebp
    call guest_main
1:  hlt
    jmp 1b

    .globl ap_entry
ap_entry:
    cld
    call load_segments
    xorl %ebp, %ebp
    call guest_ap_main
1:  hlt
    jmp 1b

/* Our descriptors in place of those that the host started us with. */
load_segments:
    lgdt gdt_pointer64(%rip)
    popq %rax
    pushq $0x08
    pushq %rax
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    lretq

/*
 * Interrupts and exceptions: one 16-byte stub per vector, which pushes an
 * error code where the processor does not, then the vector.
 */
    .text
    .balign 16
    .globl vector_stubs
vector_stubs:
    .set vector, 0
    .rept NR_VECTORS
    .balign 16
    .if vector != 8 && (vector < 10 || vector > 14) && vector != 17
    pushq $0
    .endif
    pushq $vector
    jmp interrupt_common
    .set vector, vector + 1
    .endr

interrupt_common:
    cld
    pushq %rax
    pushq %rbx
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %rbp
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, %rdi
    movq %rsp, %rbp
    andq $-16, %rsp
    call interrupt
    movq %rbp, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rbp
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rbx
    popq %rax
    addq $16, %rsp
    iretq

    .section .data.boot, "aw"
    .balign 16
gdt:
    .quad 0
    .quad 0x00af9b000000ffff /* 08: 64-bit code */
    .quad 0x00cf93000000ffff /* 10: data */
gdt_end:

gdt_pointer32:
    .word gdt_end - gdt - 1
    .long gdt
    .balign 16
gdt_pointer64:
    .word gdt_end - gdt - 1
    .quad gdt

    .balign 4096
    .globl page_map
page_map:
    .quad page_directory_pointers + 0x23
    .fill 511, 8, 0
page_directory_pointers:
    .quad page_directories + 0x0000 + 0x23
    .quad page_directories + 0x1000 + 0x23
    .quad page_directories + 0x2000 + 0x23
    .quad page_directories + 0x3000 + 0x23
    .fill 508, 8, 0
page_directories:
    .set frame, 0
    .rept 4 * 512
    .quad frame + 0xe3
    .set frame, frame + 0x200000
    .endr

    .section .hypercall_page, "ax"
    .balign 4096
    .globl hypercall_page
hypercall_page:
    .fill 4096, 1, 0xcc

    .bss
    .balign STACK_SIZE
    .globl stacks
stacks:
    .skip STACK_SIZE * MAX_VCPUS

    .section .note.GNU-stack, "", @progbits
