# SPDX-License-Identifier: GPL-2.0-or-later
"""extract, diff and core on guests with page tables.

Usage: test_guest.py XENFERRY
"""

import json
import os
import re
import shutil
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# pylint: disable=wrong-import-position
import tap
from guests import KERNEL, Tables, hvm, in_libxl, long_mode, page, pv
from harness import path, read, run, write
from legacy_images import Image
from streams import PAGE, page_data, record

XENFERRY = sys.argv[1]
MEMORY = {pfn: page(pfn) for pfn in list(range(40)) + list(range(512, 520))}


def long_mode_guest(levels=4, **registers):
    tables = Tables(levels)
    tables.map(0x400000, 5)
    tables.map(0x401000, 9)
    tables.map(KERNEL, 7)
    tables.map(KERNEL + 0x1000, 8)
    tables.map(0x40000000, 512, level=2)
    tables.map(0x80000000, 0x99)  # whose page the image does not have
    cpu = long_mode(tables.top, **registers)
    if levels == 5:
        cpu["cr4"] |= 0x1000
    return hvm({**MEMORY, **tables.frames()},
               [cpu, dict(cpu, rip=0x1234, rax=77)])


def extract(octets, *options, expect=0):
    source = write("in", octets)
    done = run(XENFERRY, "extract", *options, source, expect=expect)
    return done.stdout if expect == 0 else done.stderr.decode()


# extract --------------------------------------------------------------------

def frames():
    octets = long_mode_guest()
    assert extract(octets, "--pfn=3") == page(3)
    assert extract(octets, "--pfn=3-5", "--pfn", "0x200") == \
        page(3) + page(4) + page(5) + page(512)
    assert extract(octets, "--physical=0x3ffe", "--length=4") == \
        page(3)[-2:] + page(4)[:2]
    assert "pfn 0x28" in extract(octets, "--pfn=39-41", expect=1)
    assert extract(octets, "--pfn=39-40", "--zero-missing") == \
        page(39) + bytes(PAGE)
    run(XENFERRY, "extract", "--pfn=40", "-o", path("new"), path("in"),
        expect=1)
    assert not os.path.exists(path("new"))


def addresses(octets):
    assert extract(octets, "--address=0x400ffe", "--length=4") == \
        page(5)[-2:] + page(9)[:2]
    assert "not mapped" in extract(octets, "--address=0x402000", expect=1)


def long_mode_addresses(levels):
    def test():
        octets = long_mode_guest(levels)
        addresses(octets)
        assert extract(octets, "--address=%#x" % KERNEL, "--length=8192") == \
            page(7) + page(8)
        assert extract(octets, "--address=0x40003000") == page(515)
        assert "no contents" in extract(octets, "--address=0x80000000",
                                        expect=1)
        # Not canonical.
        assert "not mapped" in extract(
            octets, "--address=%#x" % (1 << 60 | 0x400000), expect=1)
        assert "--vcpu" in extract(octets, "--address=0", "--vcpu=2", expect=1)
    return test


def pae_addresses():
    tables = Tables(3)
    tables.map(0x400000, 5)
    tables.map(0x401000, 9)
    tables.map(0xC0000000, 512, level=2)
    octets = hvm({**MEMORY, **tables.frames()}, [
        {"cr0": 0x80000011, "cr4": 0x20, "cr3": tables.top << 12}])
    addresses(octets)
    assert extract(octets, "--address=0xc0004000") == page(516)


def two_level_addresses():
    tables = Tables(2, entry_size=4)
    tables.map(0x400000, 5)
    tables.map(0x401000, 9)
    tables.map(0x800000, 0, level=2)
    octets = hvm({**MEMORY, **tables.frames()}, [
        {"cr0": 0x80000011, "cr4": 0x10, "cr3": tables.top << 12}])
    addresses(octets)
    assert extract(octets, "--address=0x804000") == page(4)


def no_paging():
    octets = hvm(MEMORY, [{"cr0": 0x11}])
    assert extract(octets, "--address=0x3000") == page(3)


def pv_addresses():
    tables, user = Tables(4), Tables(4, first=0x180)
    for each in (tables, user):
        each.map(0x400000, 5)
        each.map(0x401000, 9)
    tables.map(KERNEL, 7)
    everything = {**MEMORY, **tables.frames(), **user.frames()}
    registers = {"cr3": tables.top << 12, "cr1": user.top << 12 | 1}
    octets = pv(everything, [dict(registers, flags=4),
                             dict(registers, flags=0)])
    addresses(octets)
    assert extract(octets, "--address=%#x" % KERNEL) == page(7)
    # The second vCPU was in user mode.
    assert "not mapped" in extract(octets, "--vcpu=1",
                                   "--address=%#x" % KERNEL, expect=1)


def pv32_addresses():
    # A top table so high that cr3 is rotated.
    tables = Tables(3, first=0x100010)
    tables.map(0x400000, 5)
    tables.map(0x401000, 9)
    high = tables.top
    cr3 = (high << 12 | high >> 20) & 0xFFFFFFFF
    addresses(pv({**MEMORY, **tables.frames()}, [{"cr3": cr3}], width=4))


def where():
    done = json.loads(extract(long_mode_guest(), "--where", "--json",
                              "--address=0x400010", "--length=8192"))
    rows = done["pages"]
    assert [row.get("pfn") for row in rows] == ["0x5", "0x9", None], rows
    offset = rows[0]["offset"]
    assert read("in")[offset:offset + 8] == page(5)[16:24]


def loop():
    tables = Tables(4)
    tables.map(0x400000, 5)
    for at in range(0, PAGE, 8):
        struct.pack_into("<Q", tables.tables[tables.top], at,
                         tables.top << 12 | 3)
    octets = hvm({**MEMORY, **tables.frames()}, [long_mode(tables.top)])
    write("in", octets)
    run(XENFERRY, "extract", "--address=0", path("in"))
    done = run(XENFERRY, "core", "--virtual", path("in"), path("core"),
               expect=1)
    assert b"fewer" in done.stderr, done.stderr
    assert not os.path.exists(path("core"))


def through_scratch():
    image = Image(guest="pv", frames=64)
    octets = image.bytes()
    assert extract(octets, "--pfn=20") == image.pages[20]
    image = Image(frames=64)
    octets, pages = image.remus(3)
    pfn = sorted(pages)[1]
    assert extract(octets, "--pfn=%d" % pfn) == pages[pfn]
    done = run(XENFERRY, "extract", "--pfn=3", "-", input=long_mode_guest())
    assert done.stdout == page(3)


# core -----------------------------------------------------------------------

def core_segments(octets):
    assert octets[:6] == b"\x7fELF\2\1"
    at, section_at = struct.unpack_from("<QQ", octets, 32)
    count = struct.unpack_from("<H", octets, 56)[0]
    if count == 0xFFFF:
        count = struct.unpack_from("<I", octets, section_at + 44)[0]
    return [struct.unpack_from("<IIQQQQQQ", octets, at + 56 * number)
            for number in range(count)]


def core_of(octets, *options):
    write("in", octets)
    run(XENFERRY, "core", "-q", *options, path("in"), path("core"))
    return read("core")


def core_physical():
    octets = core_of(in_libxl(long_mode_guest()))
    got = {}
    for kind, _, offset, address, physical, size, memory, _ in \
            core_segments(octets):
        if kind == 1:
            assert address == physical and size == memory
            for number in range(size // PAGE):
                got[(physical >> 12) + number] = octets[
                    offset + number * PAGE:offset + (number + 1) * PAGE]
    assert {pfn: got[pfn] for pfn in MEMORY} == MEMORY
    assert len(got) > len(MEMORY)


def core_virtual():
    octets = core_of(long_mode_guest(), "--virtual")
    at = {}
    for kind, _, offset, address, physical, size, _, _ in \
            core_segments(octets):
        if kind == 1:
            at[address] = (physical, size, octets[offset:offset + size])
    assert at[0x400000] == (0x5000, PAGE, page(5))
    assert at[0x401000] == (0x9000, PAGE, page(9))
    assert at[KERNEL] == (0x7000, 2 * PAGE, page(7) + page(8))
    assert at[0x40000000][:2] == (512 << 12, 8 * PAGE)
    assert 0x80000000 not in at


def core_of_many_segments():
    tables = Tables(4, first=0x1000)
    wanted = 0xFFFF + 1000
    for number in range(wanted):
        tables.map(number << 12, 3 + number % 2 * 2)
    octets = core_of(hvm({**MEMORY, **tables.frames()},
                         [long_mode(tables.top)]), "--virtual")
    assert len(core_segments(octets)) == wanted + 1


def gdb(core, *commands):
    if not shutil.which("gdb"):
        raise tap.Skip("no gdb here")
    arguments = [word for command in commands for word in ("-ex", command)]
    return run("gdb", "-batch", "-nx", *arguments, "-c", core).stdout.decode()


def gdb_reads_it():
    core_of(long_mode_guest(rip=KERNEL + 0x10, rsp=0x400100, rax=0x1122),
            "--virtual")
    said = gdb(path("core"), "info threads", "thread 1", "p/x $rip",
               "p/x $rax", "x/gx %#x" % (KERNEL + 0x1000), "thread 2",
               "p/x $rip", "p/d $rax")
    for wanted in ("LWP 1", "LWP 2", "0xffffffff80000010", "0x1122",
                   r"0xffffffff80001000:\s*0x0*8\b", "0x1234", "= 77"):
        assert re.search(wanted, said), (wanted, said)
    core_of(pv({**MEMORY}, [{"rip": 0xABC, "r15": 15, "fs_base": 0x700000}]))
    said = gdb(path("core"), "p/x $rip", "p/d $r15", "p/x $fs_base",
               "x/gx 0x3000")
    for wanted in ("0xabc", "= 15", "0x700000", r"0x3000:\s*0x0*3\b"):
        assert re.search(wanted, said), (wanted, said)


def readelf_takes_it():
    if not shutil.which("readelf"):
        raise tap.Skip("no readelf here")
    core_of(long_mode_guest(), "--virtual")
    done = run("readelf", "-aW", path("core"))
    assert b"NT_PRSTATUS" in done.stdout and b"XENFERRY" in done.stdout
    assert b"arning" not in done.stderr + done.stdout, done.stderr


# diff -----------------------------------------------------------------------

def diff(first, second, expect):
    done = run(XENFERRY, "diff", "--json", write("a", first),
               write("b", second), expect=expect)
    run(XENFERRY, "diff", "-q", path("a"), path("b"), expect=expect)
    return json.loads(done.stdout)


def diff_same():
    octets = long_mode_guest()
    assert not diff(octets, octets, 0)["summary"]["different"]
    # A page that an earlier round had otherwise.
    at = octets.index(record("STATIC_DATA_END")) + 8
    again = octets[:at] + page_data({3: page(99), 4: page(4)}) + octets[at:]
    assert diff(octets, again, 0)["memory"] == []


def diff_memory():
    memory = dict(MEMORY)
    memory[3] = page(77)
    memory[4] = 0xF
    del memory[5], memory[6]
    memory[600] = page(1)
    said = diff(hvm(MEMORY, [{}]), hvm(memory, [{}]), 1)
    rows = [(row["first"], row["last"], row["difference"])
            for row in said["memory"]]
    assert rows == [("0x3", "0x3", "contents"), ("0x4", "0x4", "type"),
                    ("0x5", "0x6", "only_in_first"),
                    ("0x258", "0x258", "only_in_second")], rows
    assert said["records"] == [] and said["registers"] == []
    assert said["summary"]["frames"]["same"] == len(MEMORY) - 4


def diff_registers():
    said = diff(hvm(MEMORY, [{"rax": 1, "rip": 5}]),
                hvm(MEMORY, [{"rax": 2, "rip": 5}], params=((1, 0xFEFF0),)), 1)
    assert said["registers"] == [
        {"what": "vCPU 0 rax", "first": "0x1", "second": "0x2"}], said
    told = {row["what"] for row in said["records"]}
    assert told == {"HVM_CONTEXT 0", "HVM_CONTEXT CPU 0", "HVM_PARAMS 0",
                    "STORE_PFN"}, told


def diff_records():
    a, b = pv(MEMORY, [{}, {}]), pv(MEMORY, [{}])
    said = diff(a, b, 1)
    assert said["records"] == [{"what": "X86_PV_VCPU_BASIC 1",
                                "difference": "only_in_first"}], said
    said = diff(hvm(MEMORY, [{}]), in_libxl(hvm(MEMORY, [{}])), 1)
    assert {row["what"] for row in said["records"]} == {
        "libxl LIBXC_CONTEXT 0", "libxl END 0"}, said
    write("cut", a[:-30])
    run(XENFERRY, "diff", path("a"), path("cut"), expect=2)
    run(XENFERRY, "diff", path("a"), expect=64)


def diff_legacy():
    image = Image(guest="pv", frames=64)
    octets = image.bytes()
    write("in", octets)
    run(XENFERRY, "convert", "-q", path("in"), path("out"))
    assert not diff(octets, read("out"), 0)["summary"]["different"]


tap.run([
    ("frames", frames),
    ("addresses by four levels", long_mode_addresses(4)),
    ("addresses by five levels", long_mode_addresses(5)),
    ("addresses by PAE", pae_addresses),
    ("addresses by two levels", two_level_addresses),
    ("addresses without paging", no_paging),
    ("addresses of a PV guest", pv_addresses),
    ("addresses of a 32-bit PV guest", pv32_addresses),
    ("where", where),
    ("tables in a loop", loop),
    ("legacy images and pipes", through_scratch),
    ("core by physical address", core_physical),
    ("core by virtual address", core_virtual),
    ("core of many segments", core_of_many_segments),
    ("gdb reads a core", gdb_reads_it),
    ("readelf takes a core", readelf_takes_it),
    ("diff of the same", diff_same),
    ("diff of memory", diff_memory),
    ("diff of registers", diff_registers),
    ("diff of records", diff_records),
    ("diff of a legacy image and its conversion", diff_legacy),
])
