# SPDX-License-Identifier: GPL-2.0-or-later
"""Current images converted to other forms.

Usage: test_convert.py XENFERRY
"""

import json
import os
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# pylint: disable=wrong-import-position
import tap
from harness import path, read, run, stock_verify, write
from streams import (PAGE, Stream, emulator, libxc_headers, libxl_header,
                     page_data, record)

XENFERRY = sys.argv[1]
CONFIG = b'{"c_info": {"name": "guest"}}'
HVM_PARAMS = struct.pack("<IIQQ", 1, 0, 1, 0xFEFFC)
TSC = struct.pack("<IIQII", 0, 2400000, 5, 0, 0)
POLICIES = record("X86_CPUID_POLICY", bytes(range(24))) + \
    record("X86_MSR_POLICY", struct.pack("<IIQ", 0xCE, 0, 7))


def page(number, version=0):
    return struct.pack("<QQ", number, version) * (PAGE // 16)


ROUND_1 = {pfn: page(pfn) for pfn in range(40)}
ROUND_1.update({40: 0xF, 41: 0xD, 42: 0xE})
ROUND_1.update({pfn: bytes(PAGE) for pfn in range(43, 90)})
ROUND_2 = {3: page(3, 2), 7: 0xF, 41: page(41, 2), 50: page(50, 2)}


def contents(*rounds):
    out = {}
    for frames in rounds:
        for pfn, value in frames.items():
            out[pfn] = (value, None) if isinstance(value, int) else (0, value)
    return out


def hvm_state(mark=0):
    return record("X86_TSC_INFO", TSC) + \
        record("HVM_CONTEXT", b"context %d" % mark) + \
        record("HVM_PARAMS", HVM_PARAMS)


def libxc(version=3, end=True, rounds=(ROUND_1, ROUND_2)):
    out = libxc_headers("hvm", version)
    if version == 3:
        out += POLICIES + record("STATIC_DATA_END")
    for frames in rounds:
        out += page_data(frames)
    return out + (hvm_state() + record("END") if end else b"")


def libxl(inner=None, model=b"QEVM state"):
    return libxl_header() + record(1) + (inner or libxc()) + \
        emulator(2, b"physmap/1/name\0vram\0") + emulator(3, model) + \
        record(0)


def xl(config=CONFIG, inner=None):
    data = struct.pack("<I", len(config) + 1) + config + b"\0"
    return b"Xen saved domain, xl format\n \0 \r" + struct.pack(
        "<IIII", 0x01020304, 3, 0, len(data)) + data + (inner or libxl())


def pv(width=8, version=3):
    frames = {pfn: (pfn % 5, page(pfn)) for pfn in range(20)}
    context = bytes(range(200)) * 30
    out = libxc_headers("pv", version)
    out += record("X86_PV_INFO", bytes([width, 4 if width == 8 else 3]) +
                  bytes(6))
    if version == 3:
        out += POLICIES + record("STATIC_DATA_END")
    out += record("X86_PV_P2M_FRAMES", struct.pack("<IIQ", 0, 19, 19))
    out += page_data(frames) + record("X86_TSC_INFO", TSC)
    out += record("SHARED_INFO", bytes(PAGE))
    out += record("X86_PV_VCPU_BASIC", struct.pack("<II", 0, 0) +
                  context[:5168 if width == 8 else 2800])
    return out + record("END")


def checkpointed(number, colo=False):
    """Remus: libxl around libxc, 'number' complete checkpoints."""
    out = libxl_header() + record(1) + libxc(end=False, rounds=(ROUND_1,))
    for mark in range(number):
        if mark:
            out += page_data({mark: page(mark, 100), 20: page(20, mark)})
        out += hvm_state(mark) + record("CHECKPOINT")
        out += emulator(3, b"QEVM of checkpoint %d" % mark) + record(4)
        if colo:
            out += record(5, struct.pack("<I", 0))
    return out


def convert(octets, *options, expect=0):
    write("in", octets)
    done = run(XENFERRY, "convert", *options, path("in"), path("out"),
               expect=expect)
    return read("out") if expect == 0 else done.stderr.decode()


def refused(part, octets, *options):
    said = convert(octets, *options, expect=1)
    assert part in said, said


# Layers ---------------------------------------------------------------------

def identity():
    for octets in (libxc(), libxl(), xl(), pv(), pv(4), libxc(2), pv(4, 2)):
        assert convert(octets) == octets


def unwrap():
    assert convert(xl(), "--to=libxl") == libxl()
    assert convert(xl(), "--to=libxc") == libxc()
    assert convert(libxl(), "--to=libxc") == libxc()


def wrap():
    bare = libxl_header() + record(1) + pv() + record(0)
    assert convert(pv(), "--to=libxl") == bare
    stock_verify(path("out"), "libxl")
    config = write("config", CONFIG)
    assert convert(pv(), "--to=xl", "--config=" + config) == xl(inner=bare)
    stock_verify(path("out"), "xl")
    assert convert(libxl(), "--to=xl", "--config=" + config) == xl()
    assert convert(xl(b"{}"), "--config=" + config) == xl()
    none = Stream(convert(pv(), "--to=xl"))
    assert none.xl_config == b"" and none.xl_flags == 2


def versions():
    assert convert(libxc(3), "--version=2") == libxc(2)
    stock_verify(path("out"), "libxc")
    assert convert(pv(8, 3), "--version=2") == pv(8, 2)
    up = convert(libxc(2), "--version=3")
    assert up == libxc(3).replace(POLICIES, b"")
    up = Stream(convert(pv(4, 2), "--version=3"))
    assert up.names()[:3] == ["X86_PV_INFO", "STATIC_DATA_END",
                              "X86_PV_P2M_FRAMES"]
    stock_verify(path("out"), "libxc")
    run(XENFERRY, "convert", "--version=4", path("in"), path("out"),
        expect=64)


# Compact and checkpoints ----------------------------------------------------

def compact():
    for octets in (libxc(), libxl(), xl()):
        stream = Stream(convert(octets, "--compact"))
        assert stream.frames() == contents(ROUND_1, ROUND_2)
        words = [struct.unpack_from("<I", body)[0]
                 for body in stream.bodies("PAGE_DATA")]
        assert sum(words) == len(contents(ROUND_1, ROUND_2)), words
    once = convert(libxc(), "--compact")
    assert convert(once, "--compact") == once
    write("in", libxl())
    done = subprocess.run(
        "cat %s | %s convert -q --compact - - | cat" % (path("in"), XENFERRY),
        shell=True, check=True, stdout=subprocess.PIPE, timeout=60)
    assert done.stdout == convert(libxl(), "--compact")


def compact_drops_verify():
    octets = libxc(end=False, rounds=(ROUND_1,)) + record("VERIFY") + \
        page_data({1: page(1)}) + hvm_state() + record("END")
    stream = Stream(convert(octets, "--compact"))
    assert "VERIFY" not in stream.names()
    assert stream.frames() == contents(ROUND_1)


def checkpoint(colo, number):
    def test():
        octets = checkpointed(4, colo)
        for options in ([], ["--compact"]):
            stream = Stream(convert(octets, "--checkpoint=%d" % number,
                                    *options))
            wanted = contents(ROUND_1, *({
                mark: page(mark, 100), 20: page(20, mark)}
                for mark in range(1, number)))
            assert stream.frames() == wanted
            assert stream.bodies("HVM_CONTEXT") == [
                b"context %d" % (number - 1)]
            assert stream.libxl_records[0][1][8:] == \
                b"QEVM of checkpoint %d" % (number - 1)
            stock_verify(path("out"), "libxl")
    return test


def last_checkpoint():
    whole = checkpointed(3)
    wanted = convert(whole, "--checkpoint=3")
    assert convert(whole, "--checkpoint=last") == wanted
    fourth = checkpointed(4)
    for cut in (1, 8, 100, 5000, len(fourth) - len(whole) - 1):
        assert convert(fourth[:len(whole) + cut],
                       "--checkpoint=last") == wanted, cut
    assert convert(libxl(), "--checkpoint=last") == libxl()


def checkpoints_refused():
    refused("checkpointed", checkpointed(2))
    refused("ends", checkpointed(2), "--checkpoint=3")
    refused("no checkpoint is complete", checkpointed(1)[:-30],
            "--checkpoint=last")
    refused("after 0 checkpoints", libxl(), "--checkpoint=1")


# Neighbours -----------------------------------------------------------------

def libvirt():
    xml = b"<domain type='xen'/>\0"
    head = b"libvirt-xml\n \0 \r" + struct.pack("<II", 2, len(xml)) + \
        bytes(40) + xml
    assert convert(head + libxl()) == libxl()
    refused("version 3", head.replace(b"\2\0\0\0", b"\3\0\0\0", 1) + libxl())


def xenopsd():
    def header(kind, length):
        return struct.pack("<QQ", kind, length)
    model = b"QEVM from XenServer"
    suspended = b"XenSavedDomv2-\n" + header(0xF, 8) + b"((time))" + \
        header(0xF0, 0) + libxc() + header(0xF10, 3) + b"gpu" + \
        header(0xF01, len(model)) + model + header(0xFFFF, 0)
    wanted = libxl_header() + record(1) + libxc() + emulator(3, model) + \
        record(0)
    assert convert(suspended, "--to=libxl") == wanted
    assert convert(suspended) == libxc()
    old = b"XenSavedDomv2-\n" + header(0xF0, 0) + pv() + header(0xFFFF, 0)
    assert convert(old) == pv()
    for cut in range(0, len(suspended), 501):
        convert(suspended[:cut], "--to=libxl", expect=1)


# Bad input ------------------------------------------------------------------

def truncations():
    octets = xl(inner=libxl(libxc(rounds=({1: page(1), 2: 0xF},))))
    seen = 0
    for cut in list(range(0, 130)) + list(range(130, len(octets), 211)):
        said = convert(octets[:cut], "--to=libxl", expect=1)
        assert "xenferry: convert: " in said and "Sanitizer" not in said, said
        seen += 1
    assert seen > 130


def bad_images():
    refused("at least 8", b"")
    refused("at least 8", b"x")
    refused("unknown data", b"\xa5" * 100)
    refused("expected an image of a guest", b"\x7fELF" + bytes(100))
    refused("no libxc image", libxl_header() + record(0))
    refused("a second", libxl_header() + (record(1) + libxc()) * 2 + record(0))
    big = bytearray(libxc())
    big[16:18] = b"\0\1"
    refused("big-endian", bytes(big))
    count = bytearray(libxc(rounds=({0: page(0)},)))
    at = bytes(count).index(record("STATIC_DATA_END")) + 16
    count[at:at + 4] = b"\xff\xff\xff\xff"
    refused("frames in a body", bytes(count))
    far = libxc(rounds=({1 << 40: page(0)},))
    refused("below 2^32", far, "--compact")
    assert convert(far) == far
    sparse = {n << 21: 0xF for n in range(1500)}
    refused("this far apart", libxc(rounds=(sparse,)), "--compact")


def reports():
    write("in", libxl())
    said = json.loads(run(XENFERRY, "convert", "--json", "--to=libxc",
                          path("in"), path("out")).stdout)
    assert said["to"] == "libxc" and said["version"] == 3, said
    assert said["records_dropped"] == 2, said
    assert said["octets_written"] == len(libxc()), said
    done = run(XENFERRY, "convert", "--json", path("in"), "-")
    assert done.stdout == libxl() and json.loads(done.stderr)
    full = run(XENFERRY, "convert", path("in"), "/dev/full", expect=1)
    assert b"No space left" in full.stderr, full.stderr
    run(XENFERRY, "convert", path("in"), expect=64)


tap.run([
    ("an image stays as it is", identity),
    ("fewer layers", unwrap),
    ("more layers", wrap),
    ("versions", versions),
    ("compact", compact),
    ("compact drops VERIFY", compact_drops_verify),
    ("first checkpoint", checkpoint(False, 1)),
    ("third checkpoint", checkpoint(False, 3)),
    ("third checkpoint, COLO", checkpoint(True, 3)),
    ("last checkpoint", last_checkpoint),
    ("checkpoints refused", checkpoints_refused),
    ("libvirt's managed save", libvirt),
    ("XenServer's suspend image", xenopsd),
    ("truncations", truncations),
    ("bad images", bad_images),
    ("reports", reports),
])
