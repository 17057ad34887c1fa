# SPDX-License-Identifier: GPL-2.0-or-later
"""Legacy images through our converter, and through stock's beside it.

Usage: test_convert_legacy.py XENFERRY HELPER
"""

import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# pylint: disable=wrong-import-position
import tap
from harness import (SCRATCH, path, read, run, stock, stock_verify,
                     write)
from legacy_images import (Image, PAGE, PHYSMAP, STOCK_PARAMS, named,
                           toolstack_blob)
from streams import Stream

XENFERRY, HELPER = sys.argv[1:3]


def stock_convert(source, target, case, form, *more):
    script, environment = stock("convert-legacy-stream")
    run(*script, "-i", source, "-o", target, "-w", str(case["width"]), "-g",
        case.get("guest", "hvm"), "-f", form, *more, env=environment)


def helper(source, target, case, form, *more, expect=0):
    return run(HELPER, "--in", source, "--out", target, "--width",
               str(case["width"]), "--guest", case.get("guest", "hvm"),
               "--format", form, *more, expect=expect)


def same(a, b):
    x, y = read(a), read(b)
    if x == y:
        return
    at = next((i for i, (p, q) in enumerate(zip(x, y)) if p != q),
              min(len(x), len(y)))
    raise AssertionError("%s and %s differ at octet %d of %d and %d" % (
        a, b, at, len(x), len(y)))


def differential(case, form):
    def test():
        source = write("in", Image(**case).bytes())
        helper(source, path("ours"), case, form)
        stock_convert(source, path("stock"), case, form)
        same("ours", "stock")
    return test


def verified(case):
    def test():
        if case.get("toolstack"):
            raise tap.Skip("stock's verifier takes no EMULATOR_XENSTORE_DATA "
                           "on Python 3")
        source = write("in", Image(**case).bytes())
        helper(source, path("ours"), case, "libxl")
        stock_verify(path("ours"), "libxl")
    return test


def our_verdict(case):
    """At most warnings: the stock converter's two HVM_PARAMS, its emulator."""
    def test():
        write("in", Image(**case).bytes())
        run(XENFERRY, "convert", "-q", path("in"), path("out"))
        done = subprocess.run([XENFERRY, "verify", path("out")], check=False,
                              stdout=subprocess.PIPE, timeout=60)
        # vCPUs with a hole in their numbers and HVM without CPUs are told.
        said = done.stdout.decode()
        assert "restorable: yes" in said and "errors: 0" in said, said
    return test


def command(case):
    """The command finds width and guest by itself, and makes the same."""
    def test():
        source = write("in", Image(**case).bytes())
        helper(source, path("helper"), case, "libxl")
        done = run(XENFERRY, "convert", "--json", source, path("ours"))
        said = json.loads(done.stdout)
        assert said["toolstack_width"] == case["width"], said
        assert said["guest"] == case.get("guest", "hvm"), said
        same("ours", "helper")
    return test


def stream_of(octets, **arguments):
    write("in", octets)
    run(XENFERRY, "convert", "--quiet", *arguments.get("options", []),
        path("in"), path("out"))
    return Stream(read("out"))


# What stock does not take ---------------------------------------------------

def fip_width():
    stream = stream_of(Image(params=["viridian", "fip_width"]).bytes())
    assert dict(stream.hvm_params())[36] == 0xFE001, stream.hvm_params()


def tmem():
    plain = stream_of(Image().bytes())
    with_tmem = stream_of(Image(tmem=True).bytes())
    assert plain.octets == with_tmem.octets


def verify_mode():
    image = Image(verify=True)
    stream = stream_of(image.bytes())
    assert "VERIFY" in stream.names()
    assert stream.pages() == image.pages


def only_fillers():
    plain = stream_of(Image().bytes())
    assert stream_of(Image(empty_batch=True).bytes()).octets == plain.octets


def signatures():
    wanted = stream_of(Image().bytes()).octets
    for signature in ("old", "remus"):
        octets = Image(signature=signature).bytes()
        assert stream_of(octets).octets == wanted, signature


def no_vcpu_chunk():
    stream = stream_of(Image(guest="pv", vcpu_chunk=False).bytes())
    assert stream.vcpus() == [0], stream.vcpus()


def vcpus_beyond_the_highest():
    image = Image(guest="pv", vcpus=(0, 1))
    octets = bytearray(image.bytes())
    at = octets.index(image.vcpu_info())
    octets[at + 8] |= 0x30  # vCPUs 4 and 5, although the highest is 1
    assert stream_of(bytes(octets)).vcpus() == [0, 1]


def the_later_one_counts():
    image = Image(guest="pv", vcpus=(0, 1))
    octets = image.bytes()
    early = Image(guest="pv", vcpus=(0, 5)).vcpu_info()
    at = octets.index(image.vcpu_info())
    assert stream_of(octets[:at] + early + octets[at:]).vcpus() == [0, 1]
    image = Image(params=["viridian", "console"])
    octets = image.bytes()
    at = octets.index(bytes([0x100 - 11]) + b"\xff\xff\xff\0\0\0\0")
    twice = octets[at:at + 8] + bytes([77]) + bytes(7)
    params = stream_of(octets[:at] + twice + octets[at:]).hvm_params()
    assert [value for index, value in params if index == 9] == [0xFE000]


def unknown_ext_block():
    image = Image(guest="pv", unknown_block=True)
    assert stream_of(image.bytes()).pages() == {**image.pages}


def no_ext_info():
    for width in (32, 64):
        image = Image(width=width, guest="pv", guest_width=width,
                      ext_info=False, extended=False)
        stream = stream_of(image.bytes(), options=["--guest=pv"])
        assert stream.pages() == image.pages


def toolstack_of_other_width():
    for width, other in ((64, 32), (32, 64)):
        wanted = stream_of(Image(
            width=width, toolstack=toolstack_blob(width, PHYSMAP)).bytes())
        got = stream_of(Image(
            width=width, toolstack=toolstack_blob(other, PHYSMAP)).bytes())
        assert got.octets == wanted.octets


def toolstack_without_name():
    blob = toolstack_blob(64, {0x1000: (0x2000, 0x3000, None)})
    stream = stream_of(Image(toolstack=blob).bytes())
    assert stream.emulator_pairs() == {
        b"physmap/1000/start_addr": b"2000",
        b"physmap/1000/size": b"3000"}, stream.emulator_pairs()


def remus(compressed, cut_off, **arguments):
    def test():
        image = Image(frames=300, **arguments)
        octets, pages = image.remus(4, compressed, cut_off)
        stream = stream_of(octets)
        assert stream.pages() == pages
        assert stream.names()[-1] == "END"
        stock_verify(path("out"), "libxl")
    return test


def no_last_checkpoint():
    wanted = stream_of(Image().bytes()).octets
    assert stream_of(Image(last_checkpoint=False).bytes()).octets == wanted


# Forms and files ------------------------------------------------------------

XL_HEADER = (b"Xen saved domain, xl format\n \0 \r" +
             b"\x04\x03\x02\x01" + b"\x00" * 8)


def xl_file(config):
    data = len(config).to_bytes(4, "little") + config
    return XL_HEADER + len(data).to_bytes(4, "little") + data


def xl_header():
    case = dict(width=64)
    head = xl_file(b"name = 'old'\n")
    source = write("in", head + Image(**case).bytes())
    helper(source, path("helper"), case, "libxl", "-x")
    run(XENFERRY, "convert", "-q", source, path("ours"))
    same("ours", "helper")
    flags = bytearray(head)
    flags[36] |= 2
    helper(write("in", Image(**case).bytes()), path("bare"), case, "libxl")
    assert read("ours") == bytes(flags) + read("bare")


def descriptors_read_no_further():
    case = dict(width=64)
    octets = Image(**case).bytes()
    into, out_of = os.pipe()
    source = write("in", octets + b"what the sender says next")
    with open(source, "rb") as file:
        child = subprocess.Popen(
            [HELPER, "--in", str(file.fileno()), "--out", str(out_of),
             "--width", "64", "--guest", "hvm", "--format", "libxl"],
            pass_fds=(file.fileno(), out_of))
        os.close(out_of)
        with os.fdopen(into, "rb") as pipe:
            got = pipe.read()
        assert child.wait(timeout=60) == 0
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == len(octets)
    helper(write("in", octets), path("file"), case, "libxl")
    assert got == read("file")


def pipes():
    octets = Image(width=32, guest="pv", guest_width=32).bytes()
    write("in", octets)
    run(XENFERRY, "convert", "-q", path("in"), path("file"))
    done = run(XENFERRY, "convert", "-q", "-", "-", input=octets)
    assert done.stdout == read("file")


def skip_qemu():
    case = dict(width=64)
    source = write("in", Image(device_model=False, **case).bytes())
    helper(source, path("ours"), case, "libxc", "--skip-qemu")
    stock_convert(source, path("stock"), case, "libxc", "--skip-qemu")
    same("ours", "stock")


def helper_usage():
    run(HELPER, expect=1)
    run(HELPER, "--nonsense", expect=2)
    run(HELPER, "-w", "48", expect=2)
    assert b"--width" in run(HELPER, "--help").stdout


def no_half_written_file():
    octets = Image(width=64, params=STOCK_PARAMS).bytes()
    before = sorted(os.listdir(SCRATCH))
    for cut in (0, 1, 7, 8, 100, len(octets) // 2, len(octets) - 1):
        write("in", octets[:cut])
        run(XENFERRY, "convert", "-q", path("in"), path("new"), expect=1)
        assert "new" not in os.listdir(SCRATCH)
    # And what was there stays.
    write("new", b"old contents")
    run(XENFERRY, "convert", "-q", path("in"), path("new"), expect=1)
    assert read("new") == b"old contents"
    os.unlink(path("new"))
    assert set(os.listdir(SCRATCH)) <= set(before) | {"in"}


def stopped(number, *command):
    """A converter that waits for the rest of its image dies of a signal."""
    octets = Image(width=64, params=STOCK_PARAMS).bytes()

    def test():
        before = sorted(os.listdir(SCRATCH))
        with subprocess.Popen([*command, path("stopped")]
                              if command[0] == XENFERRY else
                              [*command, "-o", path("stopped")],
                              stdin=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as process:
            # Once the pipe took more than it holds, some of it was read.
            process.stdin.write(octets[:len(octets) // 2])
            process.stdin.flush()
            process.send_signal(number)
            assert process.wait(60) == -number
            process.stdin.close()
        assert sorted(os.listdir(SCRATCH)) == before, os.listdir(SCRATCH)
    return test


def a_descriptor_by_name():
    write("in", Image(width=64).bytes())
    run(XENFERRY, "convert", "-q", path("in"), path("wanted"))
    device = os.lstat("/dev/stdout")
    for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
        with open(path("out"), "wb") as out:
            subprocess.run([XENFERRY, "convert", "-q", path("in"), name],
                           stdout=out, check=True)
        same("out", "wanted")
    assert os.lstat("/dev/stdout").st_ino == device.st_ino


def zeroes_are_holes():
    image = Image(frames=4096, types=False)
    image.page = lambda pfn: bytes(PAGE)
    write("in", image.bytes())
    run(XENFERRY, "convert", "-q", path("in"), path("sparse"))
    size = os.stat(path("sparse"))
    if size.st_blocks * 512 > size.st_size // 4:
        raise AssertionError("%d octets on disk of %d" % (
            size.st_blocks * 512, size.st_size))
    run(XENFERRY, "convert", "-q", path("in"), "/dev/null")


def refusals():
    cases = {
        "the last is no page batch": (b"\x01" * 64, b"unknown data"),
        "width": (Image(width=64).bytes(), None),
    }
    write("in", cases["the last is no page batch"][0])
    done = run(XENFERRY, "convert", path("in"), path("out"), expect=1)
    assert cases["the last is no page batch"][1] in done.stderr, done.stderr
    write("in", cases["width"][0])
    done = run(XENFERRY, "convert", "--width=32", path("in"), path("out"),
               expect=1)
    run(XENFERRY, "convert", "--width=48", path("in"), path("out"), expect=64)


TESTS = []
for _name, _case in named().items():
    for _form in ("libxl", "libxc"):
        TESTS.append(("%s to %s as stock" % (_name, _form),
                      differential(_case, _form)))
    TESTS.append(("%s passes stock's verifier" % _name, verified(_case)))
    TESTS.append(("%s found by itself" % _name, command(_case)))
    TESTS.append(("%s verified" % _name, our_verdict(_case)))
TESTS += [
    ("X87 FIP width", fip_width),
    ("tmem is left out", tmem),
    ("verify mode", verify_mode),
    ("a batch of fillers alone", only_fillers),
    ("all three signatures", signatures),
    ("no vCPU chunk means vCPU 0", no_vcpu_chunk),
    ("vCPUs beyond the highest", vcpus_beyond_the_highest),
    ("the later of two chunks counts", the_later_one_counts),
    ("unknown extended info", unknown_ext_block),
    ("no extended info", no_ext_info),
    ("toolstack data of the other width", toolstack_of_other_width),
    ("toolstack data without a name", toolstack_without_name),
    ("checkpoints", remus(False, 0)),
    ("checkpoints, compressed", remus(True, 0)),
    ("checkpoints, PV, 32-bit", remus(True, 0, width=32, guest="pv",
                                      guest_width=32)),
    ("checkpoints, cut off", remus(True, 1000)),
    ("checkpoints, cut off in a marker", remus(False, 2)),
    ("no LAST_CHECKPOINT", no_last_checkpoint),
    ("xl header", xl_header),
    ("descriptors are read no further", descriptors_read_no_further),
    ("pipes", pipes),
    ("--skip-qemu", skip_qemu),
    ("usage of the helper", helper_usage),
    ("no half-written file", no_half_written_file),
    ("a name of a descriptor", a_descriptor_by_name),
    ("zeroes are holes", zeroes_are_holes),
    ("refusals", refusals),
]

for what, start in (
        ("convert", [XENFERRY, "convert", "-q", "-"]),
        ("convert --to=image", [XENFERRY, "convert", "-q", "--to=image", "-"]),
        ("image create", [XENFERRY, "image", "create", "-q", "-"]),
        ("the helper", [HELPER, "-i", "0", "-w", "64", "-g", "hvm", "-f",
                        "libxl"])):
    for signal_name in ("SIGTERM", "SIGKILL", "SIGINT"):
        TESTS.append(("%s, stopped by %s, leaves no file" % (
            what, signal_name),
                      stopped(getattr(signal, signal_name), *start)))

tap.run(TESTS)
