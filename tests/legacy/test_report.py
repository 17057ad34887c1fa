# SPDX-License-Identifier: GPL-2.0-or-later
"""inspect and verify on legacy images, and on what neighbours wrap.

Usage: test_report.py XENFERRY
"""

import json
import os
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# pylint: disable=wrong-import-position
import tap
from harness import path, run, stock, write
from legacy_images import (Image, PHYSMAP, SIGNATURES, STOCK_PARAMS, named,
                           toolstack_blob)
from streams import (XL_MAGIC, libxc_headers, libxl_header, page_data, record)

XENFERRY = sys.argv[1]
# With a CPU in it, as every real one has.
CPU_CONTEXT = struct.pack("<HHIIIQII", 1, 0, 24, 0x54381286, 1, 0, 0, 0) + \
    struct.pack("<HHI", 2, 0, 1032) + bytes(1032) + struct.pack("<HHI", 0, 0, 0)


def inspect(octets, *options, expect=0):
    write("in", octets)
    return json.loads(run(XENFERRY, "inspect", "--json", *options, path("in"),
                          expect=expect).stdout)


def verify(octets, *options):
    write("in", octets)
    done = subprocess.run([XENFERRY, "verify", "--json", *options, path("in")],
                          stdout=subprocess.PIPE, check=False, timeout=60)
    said = json.loads(done.stdout)
    return done.returncode, [f["id"] for f in said["findings"]]


def rows(said, name):
    return [row for row in said["records"] if row["name"] == name]


def row(said, name):
    found = rows(said, name)
    assert len(found) == 1, (name, found)
    return found[0]


# Legacy images ----------------------------------------------------------------

def every_shape():
    for name, case in named().items():
        octets = Image(**dict(case, context=CPU_CONTEXT)).bytes()
        said = inspect(octets)
        total = said["summary"]
        assert total["octets"] == len(octets), name
        assert total["toolstack_bits"] == case["width"], name
        assert total["guest"] == ("x86 PV" if case.get("guest") == "pv"
                                  else "x86 HVM"), name
        status, found = verify(octets)
        assert status == 0, (name, status, found)
        assert "legacy-image" in found, (name, found)


def pv_to_the_field():
    said = inspect(Image(width=32, guest="pv", guest_width=32, frames=1100,
                         xsave=832, vcpus=(0, 2), max_vcpu=70,
                         unmapped=3).bytes())
    start = row(said, "start")
    assert start["p2m_size"] == 1100 and start["guest_width"] == 4
    assert [b["id"] for b in start["extended_info"]] == ["vcpu", "extv",
                                                         "xcnt"]
    assert start["xsave_octets"] == 832
    assert row(said, "P2M frame list")["extents"], said
    assert row(said, "vCPU map")["online"] == [0, 2]
    assert row(said, "unmapped frames")["frames"] == 3
    vcpus = rows(said, "vCPU")
    assert [v["vcpu"] for v in vcpus] == [0, 2]
    assert "eip" in vcpus[0]["state"] and "sysenter_callback_eip" in \
        vcpus[0]["extended"], vcpus[0]["extended"]
    assert "mxcsr" in vcpus[0]["xsave"] and "components" in vcpus[0]["xsave"]
    assert "max_pfn" in row(said, "shared info")["shared_info"]
    assert row(said, "TSC info")["khz"] == 2400000
    assert said["summary"]["vcpus"] == 2


def hvm_to_the_field():
    case = dict(width=64, params=STOCK_PARAMS + ["fip_width"], vcpus=(0, 1),
                toolstack=toolstack_blob(64, PHYSMAP), context=CPU_CONTEXT)
    said = inspect(Image(**case).bytes())
    named_params = {p["param"] for p in rows(said, "HVM parameter")}
    assert {"IDENT_PT", "X87_FIP_WIDTH", "CONSOLE_PFN"} <= named_params
    assert {"key": "physmap/f0000000/name", "value": "vga.vram"} in \
        row(said, "toolstack")["pairs"]
    assert row(said, "magic pfns")["store_pfn"]
    assert [p["part"] for p in row(said, "HVM context")["parts"]] == [
        "HEADER", "CPU"]
    model = row(said, "device model")
    assert model["signature"] == "DeviceModelRecord0002", model
    assert model["starts_with"] == "QEVM"
    assert said["summary"]["written_by"] == "Xen 4.5"
    for name in SIGNATURES:
        model = row(inspect(Image(signature=name).bytes()), "device model")
        assert model["signature"] == SIGNATURES[name].decode()
        assert model["length"] > 0


def memory_map():
    octets = Image(width=64, guest="pv").bytes()
    cells = inspect(octets, "--memory-map")["memory_map"]
    assert cells["frames_per_cell"] * sum(map(len, cells["rows"])) == 600


def inside_xl():
    image = Image(width=64, context=CPU_CONTEXT).bytes()
    config = b'name = "old"\nmemory = 16\n'
    octets = XL_MAGIC + struct.pack("<IIIII", 0x01020304, 0, 0,
                                    4 + len(config), len(config)) + \
        config + image
    said = inspect(octets)
    assert said["records"][0]["config"]["text"] == config.decode(), said
    assert said["summary"]["xl_file"]
    assert verify(octets) == (0, ["legacy-image"])
    status, found = verify(octets[:48 + 4 + len(config)] + libxl_header())
    assert status == 2 and "xlfile-legacy" in found, found


def forced():
    octets = Image(width=64, guest="pv").bytes()
    assert verify(octets, "--width=64", "--guest=pv")[0] == 0
    assert verify(octets, "--width=32", "--guest=pv")[0] == 2
    assert verify(octets, "--guest=hvm")[0] == 2
    for wrong in ("--width=16", "--guest=arm"):
        run(XENFERRY, "verify", wrong, path("in"), expect=64)
        run(XENFERRY, "inspect", wrong, path("in"), expect=64)


def truncations():
    for case in (dict(width=64, frames=3, types=False, params=STOCK_PARAMS,
                      toolstack=toolstack_blob(64, PHYSMAP)),
                 dict(width=32, guest="pv", guest_width=32, frames=3,
                      types=False, xsave=16, unmapped=1)):
        octets = Image(**case).bytes()
        for cut in [*range(16, 130), *range(130, len(octets), 173),
                    *range(len(octets) - 60, len(octets))]:
            status, found = verify(octets[:cut])
            assert status == 2 and found[-1] == "truncated", (cut, found)


def like_the_converter(name, wanted, **case):
    """What verify calls refused, stock's converter refuses, and no more."""
    def test():
        case.setdefault("width", 64)
        if case.get("guest") != "pv":
            case.setdefault("context", CPU_CONTEXT)
        octets = Image(**case).bytes()
        # Without extended info nothing tells a PV image from an HVM one.
        status, found = verify(octets, "--guest=" + case.get("guest", "hvm"))
        assert (wanted in found) and (status == 2), (name, status, found)
        script, environment = stock("convert-legacy-stream")
        done = subprocess.run(
            [*script, "-i", path("in"), "-o", "/dev/null", "-w",
             str(case["width"]), "-g", case.get("guest", "hvm"), "-f",
             "libxl"], env=environment, stderr=subprocess.DEVNULL,
            check=False)
        assert done.returncode != 0, name
    return test


def remus():
    octets = Image(width=64, last_checkpoint=False,
                   context=CPU_CONTEXT).remus(3, compressed=False)[0]
    said = inspect(octets)
    assert said["summary"]["checkpoints"] == 4, said["summary"]
    status, found = verify(octets)
    assert status == 1 and "legacy-checkpointed" in found, found


# What neighbours wrap -------------------------------------------------------

def libxc():
    return libxc_headers("hvm") + record("STATIC_DATA_END") + \
        page_data({1: b"\x5a" * 4096, 2: 0xF}) + \
        record("X86_TSC_INFO", bytes(24)) + \
        record("HVM_PARAMS", struct.pack("<IIQQ", 1, 0, 1, 1)) + \
        record("HVM_CONTEXT", CPU_CONTEXT) + record("END")


def libvirt():
    xml = b"<domain type='xen'/>\0"
    octets = b"libvirt-xml\n \0 \r" + struct.pack("<II", 2, len(xml)) + \
        bytes(40) + xml + libxl_header() + record(1) + libxc() + record(0)
    said = inspect(octets)
    assert row(said, "managed save header")["xml"] == "<domain type='xen'/>"
    assert said["summary"]["octets"] == len(octets)
    assert verify(octets) == (0, ["image-wrapped"])
    assert verify(octets + b"x") == (1, ["image-wrapped", "trailing-data"])
    assert verify(octets[:-9])[0] == 2


def xenserver():
    def header(kind, length):
        return struct.pack("<QQ", kind, length)
    front = b"XenSavedDomv2-\n" + header(0xF, 8) + b"((time))"
    back = header(0xF10, 3) + b"gpu" + header(0xF01, 9) + b"QEVM qemu" + \
        header(0xFFFF, 0)
    octets = front + header(0xF0, 0) + libxc() + back
    said = inspect(octets)
    assert row(said, "Xenops")["text"] == "((time))"
    assert row(said, "Qemu_xen")["starts_with"] == "QEVM"
    assert said["records"][-1]["name"] == "End_of_image"
    assert verify(octets) == (0, ["image-wrapped"])
    assert verify(octets + b"x")[1] == ["image-wrapped", "trailing-data"]
    assert verify(octets[:-1])[1] == ["image-wrapped", "truncated"]
    wrong = octets.replace(header(0xF10, 3), header(0xABC, 3))
    assert verify(wrong) == (1, ["image-wrapped", "suspend-image-record"])
    legacy = front + header(0xF2, 0) + Image(
        width=64, context=CPU_CONTEXT, device_model=False).bytes() + back
    assert row(inspect(legacy), "HVM context")
    assert verify(legacy)[1] == ["image-wrapped", "legacy-image"]
    for cut in range(0, len(octets), 501):
        assert verify(octets[:cut])[0] == 2


# The draft of version 2 -------------------------------------------------------

def draft_values():
    blob = record(11, b"libxl's own data")
    octets = libxc().replace(record("STATIC_DATA_END"),
                             record("STATIC_DATA_END") + blob)
    toolstack = row(inspect(octets), "TOOLSTACK")
    assert "draft" in toolstack["remark"], toolstack
    assert verify(octets)[0] == 2
    for kind, name in ((3, "x86 PVH (draft)"), (4, "ARM (draft)")):
        octets = bytearray(libxc())
        octets[24:28] = struct.pack("<I", kind)
        header = row(inspect(bytes(octets), expect=1), "domain header")
        assert header["type"] == "%d (%s)" % (kind, name), header
        status, found = verify(bytes(octets))
        assert status == 2 and "xc-header-type" in found, found


TESTS = [
    ("every shape of legacy image", every_shape),
    ("PV to the field", pv_to_the_field),
    ("HVM to the field", hvm_to_the_field),
    ("a map of memory", memory_map),
    ("in an xl file", inside_xl),
    ("width and guest forced", forced),
    ("truncations", truncations),
    ("checkpoints", remus),
    ("libvirt's managed save", libvirt),
    ("XenServer's suspend image", xenserver),
    ("values of the draft", draft_values),
]
for what, rule, arguments in (
        ("tmem", "legacy-tmem", dict(tmem=True)),
        ("FIP width", "legacy-x87-fip-width", dict(params=["fip_width"])),
        ("no extended info", "legacy-no-extended-info",
         dict(guest="pv", ext_info=False)),
        ("another block", "legacy-extended-info-block",
         dict(guest="pv", unknown_block=True)),
        ("old signature", "legacy-device-model-signature",
         dict(signature="old")),
        ("Remus's signature", "legacy-device-model-signature",
         dict(signature="remus")),
        ("other layout of toolstack data", "legacy-toolstack-layout",
         dict(toolstack=toolstack_blob(32, PHYSMAP))),
        ("broken toolstack data", "legacy-toolstack",
         dict(toolstack=b"\2" + toolstack_blob(64, PHYSMAP)[1:])),
):
    TESTS.append(("refused as by stock: " + what,
                  like_the_converter(what, rule, **arguments)))

tap.run(TESTS)
