# SPDX-License-Identifier: GPL-2.0-or-later
"""Small guests with page tables and registers, as images."""

import struct

from streams import PAGE, libxc_headers, libxl_header, page_data, record

PRESENT, LARGE = 3, 0x80
TSC = struct.pack("<IIQII", 0, 2400000, 5, 0, 0)
KERNEL = 0xFFFFFFFF80000000

# Offsets in an HVM CPU record and in PV contexts.
HVM_REGISTERS = {"rax": 512, "rbx": 520, "rsp": 568, "r15": 632, "rip": 640,
                 "rflags": 648, "cr0": 656, "cr3": 672, "cr4": 680,
                 "fs_base": 832, "efer": 992}
PV64_REGISTERS = {"flags": 512, "r15": 520, "rbx": 552, "rax": 600,
                  "rip": 648, "rflags": 664, "rsp": 672, "cr1": 4992,
                  "cr3": 5008, "fs_base": 5144}
PV32_REGISTERS = {"flags": 512, "ebx": 516, "eax": 540, "eip": 548,
                  "esp": 560, "cr3": 2728}


def page(number):
    return struct.pack("<QQ", number, ~number & (1 << 64) - 1) * (PAGE // 16)


class Tables:
    """Page tables in a guest's own frames, made as addresses are mapped."""

    def __init__(self, levels=4, first=0x100, entry_size=8):
        self.levels = levels
        self.entry_size = entry_size
        self.bits = 9 if entry_size == 8 else 10
        self.next = first
        self.tables = {}
        self.top = self.new()

    def new(self):
        pfn = self.next
        self.next += 1
        self.tables[pfn] = bytearray(PAGE)
        return pfn

    def map(self, address, pfn, level=1):
        at = self.top
        for here in range(self.levels, 0, -1):
            shift = 12 + (here - 1) * self.bits
            index = (address >> shift) % (PAGE // self.entry_size)
            if here == 3 and self.levels == 3:
                index %= 4
            code = "<Q" if self.entry_size == 8 else "<I"
            place = (self.tables[at], index * self.entry_size)
            entry = struct.unpack_from(code, *place)[0]
            if here == level:
                flags = PRESENT | (LARGE if level > 1 else 0)
                struct.pack_into(code, *place, pfn << 12 | flags)
                return
            if not entry:
                below = self.new()
                # The third PAE level has no other flags than present.
                flags = 1 if self.levels == 3 and here == 3 else PRESENT
                entry = below << 12 | flags
                struct.pack_into(code, *place, entry)
            at = entry >> 12

    def frames(self):
        return {pfn: bytes(octets) for pfn, octets in self.tables.items()}


def hvm_part(kind, instance, body):
    return struct.pack("<HHI", kind, instance, len(body)) + body


def hvm_cpu(registers, size=1032):
    out = bytearray(size)
    for name, value in registers.items():
        struct.pack_into("<Q", out, HVM_REGISTERS[name], value)
    struct.pack_into("<I", out, 736, 0x10)
    struct.pack_into("<I", out, 756, 0x18)
    return bytes(out)


def hvm(frames, vcpus, params=((1, 0xFEFFC),)):
    """vcpus: register dictionaries, one per vCPU."""
    context = hvm_part(1, 0, struct.pack("<IIQII", 0x54381286, 1, 0, 0, 0))
    for number, registers in enumerate(vcpus):
        context += hvm_part(2, number, hvm_cpu(registers))
    context += hvm_part(11, 0, bytes(24)) + hvm_part(0, 0, b"")
    out = libxc_headers("hvm") + record("STATIC_DATA_END")
    pfns = sorted(frames)
    for at in range(0, len(pfns), 512):
        out += page_data({pfn: frames[pfn] for pfn in pfns[at:at + 512]})
    out += record("X86_TSC_INFO", TSC) + record("HVM_CONTEXT", context)
    out += record("HVM_PARAMS", struct.pack("<II", len(params), 0) + b"".join(
        struct.pack("<QQ", *param) for param in params))
    return out + record("END")


def long_mode(cr3, **more):
    return dict({"cr0": 0x80000011, "cr4": 0x20, "efer": 0xD01,
                 "cr3": cr3 << 12}, **more)


def pv_context(registers, width):
    size, table, code = (5168, PV64_REGISTERS, "<Q") if width == 8 else \
        (2800, PV32_REGISTERS, "<I")
    out = bytearray(size)
    for name, value in registers.items():
        struct.pack_into(code, out, table[name], value)
    return bytes(out)


def pv(frames, vcpus, width=8):
    last = max(frames)
    nr = last // (PAGE // width) + 1
    out = libxc_headers("pv") + record(
        "X86_PV_INFO", bytes([width, 4 if width == 8 else 3]) + bytes(6))
    out += record("STATIC_DATA_END")
    out += record("X86_PV_P2M_FRAMES", struct.pack("<II", 0, last) +
                  struct.pack("<%dQ" % nr, *range(nr)))
    out += page_data(frames) + record("X86_TSC_INFO", TSC)
    out += record("SHARED_INFO", bytes(PAGE))
    for number, registers in enumerate(vcpus):
        out += record("X86_PV_VCPU_BASIC", struct.pack("<II", number, 0) +
                      pv_context(registers, width))
    return out + record("END")


def in_libxl(inner):
    return libxl_header() + record(1) + inner + record(0)
