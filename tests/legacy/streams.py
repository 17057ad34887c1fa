# SPDX-License-Identifier: GPL-2.0-or-later
"""Current images, read and written by an independent few lines of Python."""

import struct

PAGE = 4096
NAMES = {0: "END", 1: "PAGE_DATA", 2: "X86_PV_INFO", 3: "X86_PV_P2M_FRAMES",
         4: "X86_PV_VCPU_BASIC", 5: "X86_PV_VCPU_EXTENDED",
         6: "X86_PV_VCPU_XSAVE", 7: "SHARED_INFO", 8: "X86_TSC_INFO",
         9: "HVM_CONTEXT", 10: "HVM_PARAMS", 12: "X86_PV_VCPU_MSRS",
         13: "VERIFY", 14: "CHECKPOINT", 16: "STATIC_DATA_END",
         17: "X86_CPUID_POLICY", 18: "X86_MSR_POLICY"}
TYPES = {name: number for number, name in NAMES.items()}
LIBXL = b"LibxlFmt"
XL_MAGIC = b"Xen saved domain, xl format\n \0 \r"


def record(kind, body=b""):
    if isinstance(kind, str):
        kind = TYPES[kind]
    return struct.pack("<II", kind, len(body)) + body + \
        bytes(-len(body) % 8)


def page_data(frames):
    """frames: {pfn: page}, or {pfn: type number} for those without one."""
    words, pages = [], b""
    for pfn, value in frames.items():
        if isinstance(value, int):
            words.append(value << 60 | pfn)
            continue
        kind, page = value if isinstance(value, tuple) else (0, value)
        words.append(kind << 60 | pfn)
        pages += page
    return record("PAGE_DATA", struct.pack("<II", len(words), 0) +
                  struct.pack("<%dQ" % len(words), *words) + pages)


def libxc_headers(guest, version=3):
    return struct.pack(">QIIHHI", (1 << 64) - 1, 0x58454E46, version, 0, 0,
                       0) + struct.pack("<IHHII", 1 if guest == "pv" else 2,
                                        12, 0, 4, 17)


def libxl_header(options=0):
    return LIBXL + struct.pack(">II", 2, options)


def emulator(kind, body, number=2):
    return record(kind, struct.pack("<II", number, 0) + body)


class Stream:
    """Layers peeled, libxc records in order."""

    def __init__(self, octets):
        self.octets = octets
        self.at = 0
        self.xl_config = None
        self.libxl_records = []
        self.records = []
        self.libxl = False
        if octets.startswith(XL_MAGIC):
            length = struct.unpack_from("<I", octets, 44)[0]
            self.xl_flags = struct.unpack_from("<I", octets, 36)[0]
            self.xl_config = octets[48:48 + length]
            self.at = 48 + length
        if octets[self.at:self.at + 8] == LIBXL:
            self.libxl = True
            self.at += 16
            assert self.next_record() == (1, b"")
        self.read_libxc()
        while self.libxl:
            kind, body = self.next_record()
            self.libxl_records.append((kind, body))
            if kind == 0:
                break
        assert self.at == len(octets), (self.at, len(octets))

    def next_record(self):
        kind, length = struct.unpack_from("<II", self.octets, self.at)
        body = self.octets[self.at + 8:self.at + 8 + length]
        assert len(body) == length
        padding = self.octets[self.at + 8 + length:
                              self.at + 8 + length + -length % 8]
        assert padding == bytes(-length % 8)
        self.at += 8 + length + -length % 8
        return kind, body

    def read_libxc(self):
        marker, ident, self.version = struct.unpack_from(
            ">QII", self.octets, self.at)
        assert (marker, ident) == ((1 << 64) - 1, 0x58454E46)
        self.guest = struct.unpack_from("<I", self.octets, self.at + 24)[0]
        self.at += 40
        while True:
            kind, body = self.next_record()
            self.records.append((NAMES[kind], body))
            if kind == 0:
                break

    def names(self):
        return [name for name, _ in self.records]

    def bodies(self, wanted):
        return [body for name, body in self.records if name == wanted]

    def frames(self):
        """pfn -> (type, page or None); the last one counts."""
        out = {}
        for body in self.bodies("PAGE_DATA"):
            count = struct.unpack_from("<I", body)[0]
            assert count > 0
            words = struct.unpack_from("<%dQ" % count, body, 8)
            at = 8 + 8 * count
            for word in words:
                kind, pfn = word >> 60, word & ((1 << 52) - 1)
                page = None
                if kind < 0xD:
                    page = body[at:at + PAGE]
                    at += PAGE
                out[pfn] = (kind, page)
            assert at == len(body)
        return out

    def pages(self):
        return {pfn: page for pfn, (_, page) in self.frames().items()
                if page is not None}

    def hvm_params(self):
        out = []
        for body in self.bodies("HVM_PARAMS"):
            for number in range(struct.unpack_from("<I", body)[0]):
                out.append(struct.unpack_from("<QQ", body, 8 + 16 * number))
        return out

    def vcpus(self):
        return [struct.unpack_from("<I", body)[0]
                for body in self.bodies("X86_PV_VCPU_BASIC")]

    def emulator_pairs(self):
        out = {}
        for kind, body in self.libxl_records:
            if kind == 2:
                strings = body[8:].split(b"\0")[:-1]
                out.update(zip(strings[0::2], strings[1::2]))
        return out
