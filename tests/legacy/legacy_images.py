# SPDX-License-Identifier: GPL-2.0-or-later
"""A generator of legacy images, as Xen up to 4.5 wrote them.

Every choice of the format is an argument of Image; the pages are pseudo-random
but for runs of zeroes, and the same arguments give the same octets.  As a
program: legacy_images.py NAME FILE writes one of the named images, without
arguments it lists them.
"""

import random
import struct
import sys

PAGE = 4096
SIGNATURES = {
    "old": b"QemuDeviceModelRecord",
    "0002": b"DeviceModelRecord0002",
    "remus": b"RemusDeviceModelState",
}
CONTEXT_SIZE = {64: 0x1430, 32: 0xAF0}
# A PV guest's frames that its registers, and start info, name.
START_INFO, GDT = 10, 11
# Frames of rings, of guests of either kind.
STORE, CONSOLE, IOREQ, BUFIOREQ = 12, 14, 20, 21
TOP_TABLE = {64: 4, 32: 3}
# Offsets in start info (store, console) and in a context.
START_INFO_RINGS = {64: (56, 72), 32: (44, 52)}
CONTEXT = {64: {"edx": 616, "gdt_frames": 4832, "gdt_ents": 4960,
                "cr1": 4992, "cr3": 5008},
           32: {"edx": 524, "gdt_frames": 2640, "gdt_ents": 2704,
                "cr3": 2728}}
PARAM_CHUNKS = {"ident_pt": -3, "vm86_tss": -4, "console": -8, "ioports": -10,
                "viridian": -11, "genid": -14, "paging": -15, "monitor": -16,
                "sharing": -17, "ioreq_server": -19, "nr_ioreq": -20,
                "fip_width": -21}
# A header and an end.
HVM_CONTEXT = struct.pack("<HHIIIQII", 1, 0, 24, 0x54381286, 1, 0, 0, 0) + \
    struct.pack("<HHI", 0, 0, 0)
STOCK_PARAMS = [name for name in PARAM_CHUNKS if name != "fip_width"]


def toolstack_blob(width, entries):
    """libxl's blob: {phys: (start, size, name)}; 64-bit leaks four octets."""
    blob = struct.pack("<II", 1, len(entries))
    for phys, (start, size, name) in entries.items():
        text = name.encode() + b"\0" if name is not None else b""
        blob += struct.pack("<QQQI", phys, start, size, len(text)) + text
        if width == 64:
            blob += b"\xa5\x5a\xa5\x5a"
    return blob


def compress(old, new):
    """A page as a compressed round has it."""
    if old == new:
        return b"\0"
    out = b""
    words = [new[i:i + 4] != old[i:i + 4] for i in range(0, PAGE, 4)]
    at = 0
    while at < len(words):
        run = 1
        while at + run < len(words) and run < 127 and \
                words[at + run] == words[at]:
            run += 1
        if words[at]:
            out += bytes([run]) + new[4 * at:4 * (at + run)]
        else:
            out += bytes([0x80 | run])
        at += run
    return out if len(out) <= PAGE else b"\x80" + new


class Image:
    def __init__(self, width=64, guest="hvm", guest_width=64, frames=600,
                 seed=1, params=(), tsc="early", vcpus=(0,), max_vcpu=None,
                 vcpu_chunk=True, extended=True, xsave=0, unmapped=0,
                 verify=False, fillers=0, types=True, toolstack=None,
                 signature="0002", model=b"QEVM" + b"state" * 41,
                 last_checkpoint=True, ext_info=True, unknown_block=False,
                 tmem=False, batch=1024, context=HVM_CONTEXT,
                 empty_batch=False, device_model=True):
        self.__dict__.update({k: v for k, v in locals().items()
                              if k != "self"})
        self.random = random.Random(seed)
        self.pages = {}

    def ul(self, *values):
        code = "Q" if self.width == 64 else "I"
        mask = (1 << self.width) - 1
        return struct.pack("<%d%s" % (len(values), code),
                           *(v & mask for v in values))

    def page(self, pfn):
        if pfn % 50 > 35:
            return bytes(PAGE)
        if self.is_table(pfn):
            return b"".join(struct.pack("<Q", self.table_entry())
                            for _ in range(PAGE // 8))
        page = bytearray(
            self.random.getrandbits(PAGE * 8).to_bytes(PAGE, "little"))
        if self.guest == "pv" and pfn == START_INFO:
            for at, ring in zip(START_INFO_RINGS[self.guest_width],
                                (STORE, CONSOLE)):
                self.put_word(page, at, ring)
        return bytes(page)

    def table_entry(self):
        """Of a frame that the guest has, or any octets that name none."""
        entry = self.random.getrandbits(64)
        if entry & 1:
            return (entry >> 32) % self.frames << 12 | 1
        return entry

    def put_word(self, octets, at, value):
        struct.pack_into("<Q" if self.guest_width == 64 else "<I", octets, at,
                         value)

    def is_table(self, pfn):
        return self.guest == "pv" and self.frame_type(pfn) in (
            1, 2, 3, 4, 9, 0xA, 0xB, 0xC)

    def p2m_frames(self):
        per_frame = PAGE // (self.guest_width // 8)
        nr = (self.frames - 1) // per_frame + 1
        return range(self.frames - nr, self.frames)

    def frame_type(self, pfn):
        top = TOP_TABLE[self.guest_width]
        if self.guest == "pv" and pfn == top:
            return top
        if not self.types or self.guest == "pv" and pfn in self.p2m_frames():
            return 0
        if pfn % 97 == 13:
            return 0xF
        if pfn % 101 == 17:
            return 0xE
        if pfn % 103 == 19:
            return 0xD
        if self.guest == "pv":
            return {1: 1, 2: 2, 3: 3, 4: 4, 5: 0x9, 6: 0xA, 7: 0xB,
                    8: 0xC}.get(pfn % 40, 0)
        return 0

    def head(self):
        out = self.ul(self.frames)
        if self.guest == "hvm":
            return out
        if self.ext_info:
            blocks = []
            context = self.random.getrandbits(
                CONTEXT_SIZE[self.guest_width] * 8).to_bytes(
                    CONTEXT_SIZE[self.guest_width], "little")
            blocks.append((b"vcpu", context))
            if self.extended:
                blocks.append((b"extv", b""))
            if self.xsave:
                blocks.append((b"xcnt", struct.pack("<I", self.xsave + 16)))
            if self.unknown_block:
                blocks.append((b"nice", b"unknown"))
            data = b"".join(name + struct.pack("<I", len(body)) + body
                            for name, body in blocks)
            out += self.ul(-1) + struct.pack("<I", len(data)) + data
        return out + self.ul(*self.p2m_frames())

    def batch_chunk(self, pfns):
        words, pages = [], b""
        for pfn in pfns:
            kind = self.frame_type(pfn)
            words.append(kind << 28 | pfn)
            if kind < 0xD:
                self.pages[pfn] = self.page(pfn)
                pages += self.pages[pfn]
        if self.fillers:
            words[1:1] = [0xF0000000] * min(self.fillers, 1024 - len(words))
        return struct.pack("<i", len(words)) + self.ul(*words) + pages

    def all_pages(self):
        return b"".join(
            self.batch_chunk(range(at, min(at + self.batch, self.frames)))
            for at in range(0, self.frames, self.batch))

    def tsc_chunk(self):
        return struct.pack("<iIQII", -7, 2, 0x1122334455667788, 2400000, 3)

    def vcpu_info(self):
        high = max(self.vcpus) if self.max_vcpu is None else self.max_vcpu
        words = [0] * (high // 64 + 1)
        for vcpu in self.vcpus:
            words[vcpu // 64] |= 1 << vcpu % 64
        return struct.pack("<ii%dQ" % len(words), -2, high, *words)

    def tmem_chunks(self):
        # One pool that lasts (two pages, then its end), one that does not.
        out = struct.pack("<iIIIIIII", -5, 1, 16, 0xFFFFFFFF, 0, 0, 0,
                          0xFFFFFFFF)
        out += struct.pack("<IIIQQ", 0, 1, 3, 7, 8)
        for index in range(2):
            out += struct.pack("<QQQI", 1, 2, 3, index) + b"t" * PAGE
        out += b"\xff" * 24
        out += struct.pack("<IIIQQ", 1, 0, 0, 7, 9)
        out += struct.pack("<I", 0xFFFFFFFF)
        out += struct.pack("<iIQQQI", -6, 0, 1, 2, 3, 4)
        return out + struct.pack("<I", 0xFFFFFFFF)

    def chunks(self):
        out = b""
        if self.tmem:
            out += self.tmem_chunks()
        if self.tsc == "early":
            out += self.tsc_chunk()
        out += self.all_pages()
        if self.empty_batch:
            out += struct.pack("<i", 2) + self.ul(0xF0000000, 0xF0000000)
        if self.verify:
            self.random = random.Random(self.seed)
            out += struct.pack("<i", -1) + self.all_pages()
        if self.tsc == "late":
            out += self.tsc_chunk()
        return out + self.closing_chunks()

    def closing_chunks(self):
        out = self.vcpu_info() if self.vcpu_chunk else b""
        for number, name in enumerate(self.params):
            value = CONSOLE if name == "console" else 0xFE000 + number
            out += struct.pack("<iIQ", PARAM_CHUNKS[name], 0, value)
        if self.toolstack is not None:
            out += struct.pack("<iI", -18, len(self.toolstack)) + \
                self.toolstack
        if self.last_checkpoint:
            out += struct.pack("<i", -9)
        return out + struct.pack("<i", 0)

    def tail(self):
        if self.guest == "hvm":
            out = struct.pack("<QQQI", IOREQ, BUFIOREQ, STORE,
                              len(self.context)) + self.context
            return out + (self.model_record() if self.device_model else b"")
        out = struct.pack("<I", self.unmapped)
        out += self.ul(*range(self.unmapped))
        for vcpu in sorted(self.vcpus):
            out += self.context_of(vcpu)
            if self.extended:
                out += bytes([0x40 | vcpu & 0x3F]) * 128
            if self.xsave:
                out += struct.pack("<QQ", 7, self.xsave)
                out += bytes([0x80 | vcpu & 0x7F]) * self.xsave
        return out + bytes(range(256)) * 16

    def context_of(self, vcpu):
        octets = bytearray([vcpu & 0xFF]) * CONTEXT_SIZE[self.guest_width]
        top = TOP_TABLE[self.guest_width] << 12
        values = {"edx": START_INFO, "gdt_frames": GDT, "gdt_ents": 16,
                  "cr1": top | 1, "cr3": top}
        for name, at in CONTEXT[self.guest_width].items():
            self.put_word(octets, at, values[name])
        return bytes(octets)

    def model_record(self):
        out = SIGNATURES[self.signature]
        if self.signature != "old":
            out += struct.pack("<I", len(self.model))
        return out + self.model

    def bytes(self):
        self.random = random.Random(self.seed)
        return self.head() + self.chunks() + self.tail()

    def remus(self, rounds, compressed=True, cut_off=0):
        """The image, checkpointed: each round changes some pages.  Returns
        the octets and the pages as of the last complete round."""
        self.last_checkpoint = False
        self.random = random.Random(self.seed)
        out = self.head() + self.tsc_chunk() + self.all_pages()
        if compressed:
            out += struct.pack("<i", -13)
        out += self.closing_chunks() + self.tail()
        complete = dict(self.pages)
        for number in range(rounds):
            start = len(out)
            changed = sorted(self.pages)[number % 3::7]
            pages, body = {}, b""
            for count, pfn in enumerate(changed):
                old = self.pages[pfn]
                new = bytearray(old)
                if self.is_table(pfn) or pfn == START_INFO:
                    pass
                elif count % 3 == 1:
                    at = 4 * (count % 900)
                    new[at:at + 40] = bytes([number + 1] * 40)
                elif count % 3 == 2:
                    new = bytearray(self.page(1000 + number))
                pages[pfn] = bytes(new)
                body += compress(old, pages[pfn]) if compressed \
                    else pages[pfn]
            words = [self.frame_type(pfn) << 28 | pfn for pfn in changed]
            out += struct.pack("<i", len(words)) + self.ul(*words)
            if compressed:
                # In two pieces, cut inside a page.
                for piece in (body[:len(body) // 2], body[len(body) // 2:]):
                    out += struct.pack("<i", -12) + self.ul(len(piece)) + piece
            else:
                out += body
            out += self.closing_chunks() + self.tail()
            self.pages.update(pages)
            if number + 1 == rounds and cut_off:
                out = out[:start + cut_off]
            else:
                complete = dict(self.pages)
        return out, complete


PHYSMAP = {0xF0000000: (0xF1000000, 0x800000, "vga.vram"),
           0xFEB00000: (0xFEC00000, 0x10000, "xen-platform")}


def named():
    """Images that stock's converter takes: name -> (arguments, image)."""
    cases = {}

    def add(name, **arguments):
        cases[name] = arguments

    for width in (32, 64):
        w = "w%d" % width
        add(w + "-hvm", width=width, params=STOCK_PARAMS, vcpus=(0, 1),
            toolstack=toolstack_blob(width, PHYSMAP))
        add(w + "-hvm-bare", width=width, types=False, frames=64)
        add(w + "-hvm-fillers", width=width, fillers=5, batch=200)
        add(w + "-hvm-late-tsc", width=width, tsc="late",
            params=["console", "viridian"])
        add(w + "-hvm-no-tsc", width=width, tsc=None,
            toolstack=toolstack_blob(width, {}))
        add(w + "-hvm-empty-toolstack", width=width, toolstack=b"")
        add(w + "-hvm-odd-model", width=width, model=b"QEVM12345")
        for guest_width in (32, 64):
            g = "%s-pv%d" % (w, guest_width)
            common = dict(width=width, guest="pv", guest_width=guest_width)
            add(g, **common)
            add(g + "-smp", vcpus=(0, 1, 3, 64), max_vcpu=70, xsave=832,
                tsc="late", unmapped=3, frames=1100, **common)
            add(g + "-old", extended=False, vcpus=(0, 2), fillers=3,
                batch=100, **common)
            add(g + "-xsave", xsave=16, extended=False, **common)
            add(g + "-exact", frames=1024, types=False, **common)
    return cases


def main():
    cases = named()
    if len(sys.argv) == 1:
        print("\n".join(cases))
        return 0
    with open(sys.argv[2], "wb") as out:
        out.write(Image(**cases[sys.argv[1]]).bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
