# SPDX-License-Identifier: GPL-2.0-or-later
"""Every command on images, on every kind of bad input.

Usage: bad_input.py MAKE_IMAGE XENFERRY CONVERT_HELPER FOLDER_OF_OTHER_IMAGES

With CASES=WORDS in the environment: only cases with these words in their names.

A row of a table is an input and what each command makes of it.  For all alike:
no command dies by a signal of its own or under a sanitizer, takes longer or
more memory than it may, leaves anything behind where it fails, or touches what
stood there before; and whoever refuses says where, what was found and what was
expected.
"""
import collections
import concurrent.futures
import fcntl
import glob
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                ".."))
# pylint: disable=wrong-import-position
from tap import expect, try_all, wait_for

# Programs are run from folders of their own.
MAKE_IMAGE, XENFERRY, HELPER, OTHERS = map(os.path.abspath, sys.argv[1:5])
with open(XENFERRY, "rb") as program:
    SANITIZED = b"__asan_init" in program.read()

MIB = 1 << 20
# Under a sanitizer freed memory is kept for a while, and has shadows.
MEMORY_MAX = (256 if SANITIZED else 64) * MIB
TIME_MAX = 300
ENDLESS = (24 if SANITIZED else 160) * MIB
ENVIRONMENT = dict(
    os.environ, MALLOC_PERTURB_="0", TMPDIR="",
    ASAN_OPTIONS="exitcode=99:abort_on_error=0:quarantine_size_mb=4",
    UBSAN_OPTIONS="halt_on_error=1:exitcode=99:print_stacktrace=1")
BEFORE = b"what stood here before"

# What is small needs no disk to be synced.
SCRATCH = tempfile.mkdtemp(prefix="xenferry-bad-input-",
                           dir="/dev/shm" if os.path.isdir("/dev/shm")
                           else None)

# The commands ---------------------------------------------------------------

Command = collections.namedtuple("Command", "name words writes timeout")
COMMANDS = {c.name: c for c in (
    Command("inspect", "inspect --json IN", False, True),
    Command("summary", "inspect -s --no-pages --memory-map IN", False, True),
    Command("verify", "verify --json IN", False, True),
    Command("for", "verify --json --for=4.17 IN", False, True),
    Command("convert", "convert -q IN OUT", True, True),
    Command("compact", "convert -q --compact IN OUT", True, True),
    Command("version", "convert -q --version=2 IN OUT", True, True),
    Command("unwrap", "convert -q --to=libxc IN OUT", True, True),
    Command("keep", "convert -q --to=image IN OUT", True, True),
    Command("create", "image create -q IN OUT", True, True),
    Command("extract", "extract --pfn=1 -o OUT IN", True, False),
    Command("core", "core -q IN OUT", True, False),
    Command("diff", "diff --json GOOD IN", False, False),
    Command("info", "image info IN", False, True),
    Command("check", "image verify -q IN", False, True),
    Command("unpack", "image extract -q IN OUT", True, True),
)}
# Those that look at any image, not at containers alone.
GENERAL = [name for name in COMMANDS if name not in ("info", "check",
                                                     "unpack")]


class Run:
    """One command, from its start to its end, in a folder of its own."""

    def __init__(self, command, source, good, before=False, more=(),
                 stdin=None, stdout=None, on_disk=False):
        self.folder = tempfile.mkdtemp(prefix="xenferry-bad-input-",
                                       dir=None if on_disk else SCRATCH)
        self.target = os.path.join(self.folder, "out")
        self.before = before
        if before:
            with open(self.target, "wb") as file:
                file.write(BEFORE)
        words = {"IN": source, "OUT": self.target, "GOOD": good}
        argv = command if isinstance(command, list) else \
            [XENFERRY] + command.words.split()
        argv = [words.get(word, word) for word in argv]
        at = 3 if "image" in argv else 2
        argv[at:at] = more
        self.said = tempfile.TemporaryFile(dir=SCRATCH)
        self.printed = tempfile.TemporaryFile(dir=SCRATCH)
        self.started = time.monotonic()
        self.process = subprocess.Popen(  # pylint: disable=R1732
            argv, stdin=stdin or subprocess.DEVNULL,
            stdout=stdout or self.printed, stderr=self.said,
            env=dict(ENVIRONMENT, TMPDIR=self.folder), cwd=self.folder)
        self.argv = argv

    def wait(self):
        timer = threading.Timer(TIME_MAX, self.process.kill)
        timer.start()
        _, status, usage = os.wait4(self.process.pid, 0)
        timer.cancel()
        self.seconds = time.monotonic() - self.started
        self.status = os.waitstatus_to_exitcode(status)
        self.process.returncode = self.status
        self.memory = usage.ru_maxrss * 1024
        for name in ("said", "printed"):
            file = getattr(self, name)
            file.seek(0)
            setattr(self, name, file.read(4 * MIB).decode(errors="replace"))
            file.close()
        self.left = {}
        for name in os.listdir(self.folder):
            with open(os.path.join(self.folder, name), "rb") as file:
                self.left[name] = file.read(64)
        shutil.rmtree(self.folder)
        return self

    def has_ended(self):
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG |
                         os.WNOWAIT) is not None

    def wait_for_octets(self):
        self.process.wait(TIME_MAX)
        self.printed.seek(0)
        octets = self.printed.read()
        shutil.rmtree(self.folder)
        return octets

    # What holds of every run.  'ok': the command says that it did its work.
    def wrong(self, ok, writes, signals=()):
        if self.status < 0 and -self.status not in signals:
            return "killed by signal %d after %.1f s" % (-self.status,
                                                         self.seconds)
        if self.status == 99 or "Sanitizer" in self.said or \
                "runtime error:" in self.said:
            return "a sanitizer's report"
        if self.memory > MEMORY_MAX:
            return "%d KiB of memory" % (self.memory // 1024)
        if ok and writes:
            if list(self.left) != ["out"] or self.left["out"] == BEFORE:
                return "done, but there is %s" % list(self.left)
        elif self.left != ({"out": BEFORE} if self.before else {}):
            return "left %s" % self.left
        return None


def statuses(verify=2, inspect=1, stream=1, guest=1, diff=None, **others):
    """Of each command: what it returns.  Without arguments: it is hopeless."""
    # 4.17 minds what verify calls an error that is refused.
    row = {"verify": verify, "for": verify, "inspect": inspect,
           "summary": inspect, "keep": 0, "create": 0, "info": 1, "check": 1,
           "unpack": 1}
    row.update(dict.fromkeys(("convert", "compact", "version", "unwrap"),
                             stream))
    row.update(dict.fromkeys(("extract", "core"), guest))
    row["diff"] = diff if diff is not None else 2 if guest else 1
    for name, status in others.items():
        row[{"for_": "for"}.get(name, name)] = status
    return row


HOPELESS = statuses()


def says_where(run, name):
    """A refusal names offset, found, and expected."""
    if name in ("verify", "for") and run.status != 3:
        findings = json.loads(run.printed)["findings"]
        return findings and all(
            f["offset"] is not None and f["expected"] and f["found"]
            for f in findings)
    return "expected" in run.said and ("offset" in run.said or
                                       "pfn" in run.said)


def judge(name, run, wanted):
    command = COMMANDS[name]
    if run.status != wanted:
        return "status %d, expected %d" % (run.status, wanted)
    ok = run.status == 0 or (name == "diff" and run.status == 1) or \
        name in ("verify", "for")
    problem = run.wrong(ok, command.writes)
    if problem:
        return problem
    if run.status == (1 if name in ("verify", "for") else 0) or \
            (name == "diff" and run.status == 1):
        return None
    return None if run.status == 0 or says_where(run, name) \
        else "does not say where, what was found and what was expected"


def try_rows(rows, good, share=1, commands=GENERAL):
    """
    rows: (name, octets, statuses by command).  Of each row every 'share'-th
    command has its turn, another one each time.
    """
    tasks = []
    for number, (what, octets, wanted) in enumerate(rows):
        source = os.path.join(SCRATCH, "in-%d" % number)
        with open(source, "wb") as file:
            file.write(octets)
        for at, name in enumerate(commands):
            if (number + at) % share == 0:
                tasks.append((what, name, source, wanted[name],
                              (number + at // 2) % 2 == 0))

    def play(task):
        what, name, source, wanted, before = task
        run = Run(COMMANDS[name], source, good, before).wait()
        problem = judge(name, run, wanted)
        return problem and "%s: %s: %s%s" % (
            name, what, problem, "".join(
                "\n  " + line for line in
                (run.said or run.printed).splitlines()[-4:]))

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        problems = [p for p in pool.map(play, tasks) if p]
    for source in glob.glob(os.path.join(SCRATCH, "in-*")):
        os.unlink(source)
    expect("%d of %d:\n%s" % (len(problems), len(tasks),
                              "\n".join(problems[:12])), not problems)


# Images and their parts -----------------------------------------------------

def make(**options):
    return subprocess.run(
        [MAKE_IMAGE] + ["%s=%s" % pair for pair in options.items()],
        stdout=subprocess.PIPE, check=True).stdout


XL_MAGIC = b"Xen saved domain, xl format\n \0 \r"
PAGE_DATA, HVM_CONTEXT, HVM_PARAMS, P2M = 1, 9, 10, 3
END, CHECKPOINT, LIBXL_END = 0, 14, 0

Part = collections.namedtuple("Part", "name at end type libxc")


def parts(octets):
    """Headers and records, as (name, at, end)."""
    out = []
    at = 0

    def header(name, length):
        nonlocal at
        out.append(Part(name, at, at + length, None, False))
        at += length

    if octets.startswith(XL_MAGIC):
        header("xl header", 48)
        header("configuration", struct.unpack_from("<I", octets, 44)[0])
    libxl = octets[at:at + 8] == b"LibxlFmt"
    in_libxc = not libxl
    if libxl:
        header("libxl header", 16)
    else:
        header("image header", 24)
        header("domain header", 16)
    while at < len(octets):
        kind, length = struct.unpack_from("<II", octets, at)
        name = "%s record %d" % ("libxc" if in_libxc else "libxl", kind)
        end = at + 8 + (length + 7 & ~7)
        out.append(Part(name, at, end, kind, in_libxc))
        at = end
        if libxl and in_libxc and kind in (END, CHECKPOINT):
            in_libxc = False
        elif libxl and not in_libxc and kind == 1:
            header("image header", 24)
            header("domain header", 16)
            in_libxc = True
        elif libxl and not in_libxc and kind == 4:
            in_libxc = True
    return out


def find(octets, kind, libxc=True):
    return next(p for p in parts(octets) if p.type == kind and
                p.libxc == libxc)


def patched(octets, at, form, *values):
    out = bytearray(octets)
    struct.pack_into(form, out, at, *values)
    return bytes(out)


def record(kind, body=b"", length=None):
    return struct.pack("<II", kind, len(body) if length is None else length) \
        + body + bytes(-len(body) % 8)


def page_data(*words, pages=None):
    return record(PAGE_DATA, struct.pack("<II", len(words), 0) +
                  struct.pack("<%dQ" % len(words), *words) +
                  bytes(4096 * (len(words) if pages is None else pages)))


def before(octets, kind, more, libxc=True):
    """'more' in front of the first record of a type."""
    at = find(octets, kind, libxc).at
    return octets[:at] + more + octets[at:]


def cuts(octets):
    """Where to cut: each boundary, and within each head and body."""
    wanted = {}
    for part in parts(octets):
        length = part.end - part.at
        for within in (0, 1, 8, 8 + (length - 8) // 2, length - 1):
            if 0 <= within < length and part.at + within > 0:
                wanted[part.at + within] = "%s + %d" % (part.name, within)
    return sorted(wanted.items())


def cut_rows(octets, wanted=lambda at: HOPELESS):
    return [("cut at %d (%s)" % (at, name), octets[:at], wanted(at))
            for at, name in cuts(octets)]


# The rows -------------------------------------------------------------------

HVM = make(layer="xl", frames=8, emulator=1, physmap=1)
LIBXC = make(frames=8)
PV64 = make(guest="pv64", layer="libxl", frames=8)
PV32 = make(guest="pv32", frames=8, version=2)
REMUS = make(layer="libxl", frames=8, checkpoints=2, emulator=1)
COLO = make(guest="pv64", layer="libxl", frames=8, checkpoints=2, colo=1)


def good_file(octets):
    handle, name = tempfile.mkstemp(dir=SCRATCH, prefix="good-")
    with os.fdopen(handle, "wb") as file:
        file.write(octets)
    return name


def whole_images():
    """The other way round: nothing is wrong with what is cut below."""
    fine = statuses(0, 0, 0, 0, diff=0)
    for octets in (HVM, LIBXC, PV64, PV32):
        try_rows([("whole", octets, fine)], good_file(octets))


def truncations(octets):
    return lambda: try_rows(cut_rows(octets), good_file(octets), share=5)


def truncations_of_checkpoints(octets):
    complete = next(p.end for p in parts(octets)
                    if p.type == 4 and not p.libxc)

    def wanted(at):
        # Once a checkpoint is complete the image has a guest.
        return HOPELESS if at < complete else \
            statuses(verify=1, inspect=1, stream=1, guest=0, diff=None)

    return lambda: try_rows(cut_rows(octets, wanted), good_file(octets),
                            share=6)


def no_image():
    long = bytes(70000)
    rows = [("empty", b"", HOPELESS)]
    rows += [("one octet %#x" % octet, bytes([octet]), HOPELESS)
             for octet in (0, 0x4c, 0x58, 0x89, 0xff)]
    rows += [("zeroes", long, HOPELESS), ("ones", b"\xff" * 70000, HOPELESS),
             ("text", b"once upon a time\n" * 5000, HOPELESS)]
    for name, octets in (("xl", HVM), ("libxl", PV64), ("libxc", LIBXC)):
        for at in range(0, 32 if name == "xl" else 8, 5):
            rows.append(("magic of %s, octet %d" % (name, at),
                         patched(octets, at, "B", octets[at] ^ 0x20),
                         HOPELESS))
    try_rows(rows, good_file(HVM), share=3)


LIMITS_32 = (0x7fffffff, 0xfffffff8, 0xffffffff)
LIMITS_64 = (1 << 63, (1 << 64) - 1)


def lengths_at_their_limits():
    rows = []
    for octets in (HVM, PV64):
        for part in parts(octets):
            if part.type is None:
                continue
            for length in LIMITS_32:
                rows.append(("%s of %#x octets" % (part.name, length),
                             patched(octets, part.at + 4, "<I", length),
                             HOPELESS))
    rows += [("xl optional data of %#x octets" % length,
              patched(HVM, 44, "<I", length), HOPELESS)
             for length in LIMITS_32]
    rows += [("configuration of %#x octets" % length,
              patched(HVM, 48, "<I", length), HOPELESS)
             for length in LIMITS_32]
    try_rows(rows, good_file(HVM), share=5)


def counts_at_their_limits():
    pages = find(LIBXC, PAGE_DATA).at
    params = find(LIBXC, HVM_PARAMS).at
    p2m = find(PV64, P2M).at
    rows = []
    for count in (0,) + LIMITS_32:
        rows.append(("PAGE_DATA of %#x frames" % count,
                     patched(LIBXC, pages + 8, "<I", count),
                     statuses(2, 0, 1, 1)))
        if count:
            rows.append(("HVM_PARAMS of %#x parameters" % count,
                         patched(LIBXC, params + 8, "<I", count),
                         statuses(2, 0, 0, 0)))
        if count:
            rows.append(("P2M to %#x" % count,
                         patched(PV64, p2m + 12, "<I", count),
                         statuses(2, 0, 0, 0)))
    for index in LIMITS_64:
        rows.append(("HVM parameter %#x" % index,
                     patched(LIBXC, params + 16, "<Q", index),
                     statuses(1, 0, 0, 0)))
        # The first one names a frame, which was not sent then.
        rows.append(("value %#x of an HVM parameter" % index,
                     patched(LIBXC, params + 24, "<Q", index),
                     statuses(1, 0, 0, 0)))
    vcpu = find(PV64, 4).at
    rows += [("vCPU %#x" % number, patched(PV64, vcpu + 8, "<I", number),
              statuses(2, 0, 0, 0)) for number in LIMITS_32]
    context = find(LIBXC, HVM_CONTEXT).at
    rows += [("HVM part of %#x octets" % length,
              patched(LIBXC, context + 12, "<I", length),
              statuses(2, 0, 0, 0)) for length in LIMITS_32]
    try_rows(rows, good_file(LIBXC))


def frames_twice_and_overlapping():
    twice = page_data(5, 6, 5)
    overlap = page_data(6, 7) + page_data(7, 8)
    rows = [
        ("twice in a batch", before(LIBXC, HVM_CONTEXT, twice),
         statuses(1, 0, 0, 0)),
        ("batches that overlap", before(LIBXC, HVM_CONTEXT, overlap),
         statuses(0, 0, 0, 0)),
        ("twice, with other types",
         before(LIBXC, HVM_CONTEXT, page_data(5, 0xf << 60 | 5, pages=1)),
         statuses(1, 0, 0, 0)),
        ("twice in the P2M",
         patched(PV64, find(PV64, P2M).at + 16, "<Q", 0),
         statuses(0, 0, 0, 0)),
    ]
    try_rows(rows, good_file(LIBXC))


def frames_out_of_range():
    rows = []
    for name, octets in (("HVM", LIBXC), ("PV", PV64)):
        kind = HVM_CONTEXT if name == "HVM" else 7
        for bit in (52, 55, 59):
            rows.append(("%s frame with bit %d" % (name, bit),
                         before(octets, kind, page_data(1 << bit | 5)),
                         statuses(1, 0, 0, 0)))
        for pfn in (1 << 32, 1 << 40, (1 << 52) - 1):
            rows.append(("%s frame %#x" % (name, pfn),
                         before(octets, kind, page_data(pfn)),
                         statuses(2 if name == "PV" else 1, 0, 0, 1,
                                  compact=1)))
        for form in range(5, 9):
            rows.append(("%s frame of type %d" % (name, form),
                         before(octets, kind, page_data(form << 60 | 5)),
                         statuses(2, 0, 1, 1)))
    # As far apart as an index can be made to grow.
    rows.append(("frames far apart", before(
        LIBXC, HVM_CONTEXT, page_data(*(0xf << 60 | (n << 18)
                                        for n in range(16384)), pages=0)),
                 statuses(0, 0, 0, 1, compact=1)))
    try_rows(rows, good_file(LIBXC))


def garbage_within_libxl():
    rows = []
    inner = next(p for p in parts(PV64) if p.name == "image header")
    for octet in (0, 0xa5, 0xff):
        for name, at, length in (
                ("LIBXC_CONTEXT", inner.at - 8, 64),
                ("the image header", inner.at, 24),
                ("the domain header", inner.at + 24, 16),
                ("a record's head", inner.at + 40, 8),
                ("what follows the image", parts(PV64)[-1].at, 8)):
            if name == "what follows the image" and octet == 0:
                continue  # it is that
            rows.append(("%#x in the place of %s" % (octet, name),
                         PV64[:at] + bytes([octet]) * length +
                         PV64[at + length:], HOPELESS if octet or at > 16
                         else statuses(inspect=0)))
    try_rows(rows, good_file(PV64), share=2)


def padding_that_is_not_zero():
    rows = []
    for name, octets, kind in (("HVM", LIBXC, HVM_CONTEXT), ("PV", PV64, 7)):
        odd = bytearray(record(0x80001234, b"abc"))
        odd[-1] = 1
        rows.append((name, before(octets, kind, bytes(odd)),
                     statuses(1, 0, 0, 0)))
    emulator = find(HVM, 3, libxc=False)
    rows.append(("behind a libxl record",
                 patched(HVM, emulator.end - 1, "B", 1),
                 statuses(1, 0, 0, 0)))
    try_rows(rows, good_file(LIBXC))


def big_endian_flags():
    image = next(p for p in parts(PV64) if p.name == "image header").at
    try_rows([
        ("of a libxc image", patched(LIBXC, 17, "B", 1), HOPELESS),
        ("of a libxl stream", patched(PV64, 15, "B", 1), HOPELESS),
        ("of the image in one", patched(PV64, image + 17, "B", 1), HOPELESS),
        ("of an xl file", patched(HVM, 32, ">I", 0x01020304), HOPELESS),
    ], good_file(LIBXC))


def order_of_records():
    context, params = (find(LIBXC, kind) for kind in (HVM_CONTEXT, HVM_PARAMS))
    end = parts(LIBXC)[-1]
    rows = [
        ("without END", LIBXC[:end.at], HOPELESS),
        ("without HVM_CONTEXT", LIBXC[:context.at] + LIBXC[context.end:],
         statuses(2, 0, 0, 0)),
        ("END at once", LIBXC[:40] + LIBXC[end.at:],
         statuses(2, 0, 0, 0, extract=1)),
        ("context and parameters exchanged",
         LIBXC[:context.at] + LIBXC[params.at:params.end] +
         LIBXC[context.at:context.end] + LIBXC[params.end:],
         statuses(0, 0, 0, 0, diff=0)),
        ("unknown mandatory record",
         before(LIBXC, HVM_CONTEXT, record(0x1234, b"x")),
         statuses(2, 0, 0, 0)),
        ("more behind the end", LIBXC + bytes(100),
         statuses(1, 0, 0, 0, diff=0)),
    ]
    try_rows(rows, good_file(LIBXC))


def others():
    """Wrappings, legacy images and containers, cut here and there."""
    for name in sorted(glob.glob(os.path.join(OTHERS, "suspend_image", "*")) +
                       glob.glob(os.path.join(OTHERS, "legacy", "*"))):
        with open(name, "rb") as file:
            octets = file.read()
        rows = [("%s cut at %d" % (os.path.basename(name), at), octets[:at],
                 HOPELESS)
                for at in range(1, len(octets), len(octets) // 12)]
        # Version 2 there is none of a legacy image, whole or not.
        try_rows(rows, good_file(octets), share=5, commands=[
            c for c in GENERAL if c != "version"])


# Pipes ----------------------------------------------------------------------

def feed(run, writer, chunks):
    """All of it, or as much as is taken."""
    with os.fdopen(writer, "wb", buffering=0) as pipe:
        try:
            for chunk in chunks:
                while chunk:
                    chunk = chunk[pipe.write(chunk):]
        except BrokenPipeError:
            pass
    return run.wait()


def start_on_pipe(name, good, more=(), **arguments):
    reader, writer = os.pipe()
    run = Run(COMMANDS[name], "-", good, more=more, stdin=reader, **arguments)
    os.close(reader)
    return run, writer


def endless(octets, block, most):
    """'octets', then what 'block' makes of 0, 1, 2, ..."""
    yield octets
    number = 0
    while most > 0:
        chunk = block(number)
        most -= len(chunk)
        number += 1
        yield chunk


def far_apart(number):
    """Frames without contents, each in a part of the memory of its own."""
    return page_data(*(0xf << 60 | (number * 1024 + i) << 9 & 0xffffffff
                       for i in range(1024)), pages=0)


def endless_records():
    start = LIBXC[:find(LIBXC, PAGE_DATA).at]
    libxl = HVM[:parts(HVM)[-1].at]
    small = record(0x80001234) * 4096
    large = record(0x80001234, bytes(MIB))
    context = record(HVM_CONTEXT, bytes(MIB))
    page = page_data(5) * 64
    emulator = record(3, struct.pack("<II", 2, 0) + bytes(MIB))
    kinds = (
        ("small records", start, lambda _: small, 16),
        ("long records", start, lambda _: large, 1),
        ("contexts", start, lambda _: context, 1),
        ("one frame again and again", start, lambda _: page, 1),
        ("frames far apart", start, far_apart, 8),
        ("emulators", libxl, lambda _: emulator, 1),
    )
    good = good_file(HVM)
    problems = []
    with open(os.devnull, "wb") as nowhere:
        for what, octets, block, divisor in kinds:
            for name in GENERAL:
                run = feed(*start_on_pipe(
                    name, good, on_disk=True,
                    stdout=nowhere if name == "inspect" else None),
                           endless(octets, block, ENDLESS // divisor))
                problem = judge(name, run, HOPELESS[name])
                if problem:
                    problems.append("%s: endless %s: %s\n  %s" % (
                        name, what, problem, run.said))
    expect("\n".join(problems), not problems)


def two_that_are_full():
    """As much as is kept of an image, twice: records, and frames far apart."""
    start = LIBXC[:find(LIBXC, PAGE_DATA).at]
    source = good_file(start)
    # Piece by piece: what this process has at a fork counts for its child.
    with open(source, "ab") as file:
        for number in range(1900):
            file.write(page_data(number << 9))
        for _ in range(19):
            file.write(record(HVM_CONTEXT, bytes(MIB)))
        file.write(record(0))
    run = Run(COMMANDS["diff"], source, source).wait()
    os.unlink(source)
    expect("status %d: %s" % (run.status, run.said), run.status == 0)
    problem = run.wrong(True, False)
    expect(problem, not problem)


def pipe_is_empty(reader):
    return fcntl.ioctl(reader, 0x541b, bytes(4)) == bytes(4)  # FIONREAD


STALLS = (0, 4, 60, 108, 140, 300, 5000, len(HVM) - 4)


def stalled(name, at, more=(), **arguments):
    """Started, and everything taken that there is."""
    run, writer = start_on_pipe(name, good_file(HVM), more, **arguments)
    os.write(writer, HVM[:at])
    wait_for("%s takes %d octets" % (name, at),
             lambda: pipe_is_empty(writer) or run.has_ended(),
             TIME_MAX)
    return run, writer


def stall_ends(task):
    """By a signal, and by the time that was asked for."""
    number, (name, at) = task
    how = (signal.SIGTERM, signal.SIGINT)[number % 2]
    run, writer = stalled(name, at, before=number // 2 % 2 == 0)
    run.process.send_signal(how)
    run.wait()
    os.close(writer)
    if run.status != -how:
        return "%s at %d: status %d after signal %d" % (name, at, run.status,
                                                        how)
    return run.wrong(False, False, (how,))


def stall_times_out(task):
    number, (name, at) = task
    run, writer = stalled(name, at, ["--timeout=1"],
                          before=number // 2 % 2 == 0)
    run.wait()
    os.close(writer)
    wanted = 3 if name in ("verify", "for") else 1
    if run.status != wanted:
        return "%s at %d: status %d, expected %d: %s" % (
            name, at, run.status, wanted, run.said)
    return run.wrong(False, False) or (
        None if says_how_long(run.said) else run.said)


def says_how_long(said):
    return "no progress for 1000 ms" in said and re.search(r"offset \d+", said)


def pipes_that_stall(how, names):
    def test():
        # What takes containers only has refused by the ninth octet.
        tasks = list(enumerate((name, at) for at in STALLS for name in names
                               if at < 8 or name in GENERAL))
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            problems = [p for p in pool.map(how, tasks) if p]
        expect("\n".join(problems), not problems)
    return test


def nobody_takes_the_output():
    source = good_file(make(frames=2000))
    for name in ("convert", "compact", "keep", "create"):
        words = [w if w != "OUT" else "-" for w in
                 COMMANDS[name].words.split()]
        reader, writer = os.pipe()
        run = Run([XENFERRY] + words, source, None, more=["--timeout=1"],
                  stdout=writer).wait()
        os.close(reader)
        os.close(writer)
        problem = run.wrong(False, False)
        expect("%s: %s" % (name, problem), not problem)
        expect("%s: status %d, %s" % (name, run.status, run.said),
               run.status == 1 and "no progress for 1000 ms" in run.said)


# Containers -----------------------------------------------------------------

def containers():
    """Cut off, with octets that are others, with others behind them."""
    source = good_file(make(frames=60))
    made = Run([XENFERRY, "image", "create", "-q", "IN", "-"], source,
               None).wait_for_octets()
    rows = [("whole", made, statuses(0, 0, 0, 0, diff=0, info=0, check=0,
                                     unpack=0, create=0))]
    broken = statuses(verify=3, info=1, keep=1)
    for at in [8, 9, 63, 64, 100] + list(range(200, len(made), 4999)) + \
            list(range(len(made) - 170, len(made), 13)):
        rows.append(("cut at %d" % at, made[:at], broken))
    # Of the header and the trailer any octet counts for everybody.
    for at in list(range(8, 64, 5)) + list(range(len(made) - 160,
                                                 len(made), 7)):
        rows.append(("octet %d" % at, patched(made, at, "B", made[at] ^ 0x10),
                     broken))
    rows.append(("more behind it", made + bytes(8), broken))
    try_rows(rows, source, share=4, commands=list(COMMANDS))


# The converter that stands in for libxl's -----------------------------------

def legacy_helper():
    problems = []
    for name, width, guest in (("w64-hvm", 64, "hvm"),
                               ("w32-pv32", 32, "pv"),
                               ("w64-pv64-xsave", 64, "pv")):
        with open(os.path.join(OTHERS, "legacy", name), "rb") as file:
            octets = file.read()
        for number, at in enumerate(range(0, len(octets), len(octets) // 24)):
            source = good_file(octets[:at])
            run = Run([HELPER, "-i", "IN", "-o", "OUT", "-w", str(width),
                       "-g", guest, "-f", ("libxc", "libxl")[number % 2]],
                      source, None, before=number % 3 == 0).wait()
            os.unlink(source)
            problem = run.wrong(False, True) or (
                None if run.status == 1 else "status %d" % run.status)
            if problem or not says_where(run, "helper"):
                problems.append("%s cut at %d: %s: %s" % (name, at, problem,
                                                          run.said))
    expect("\n".join(problems), not problems)


def main():
    cases = [
        ("whole images", whole_images),
        ("empty, one octet, wrong magic", no_image),
        ("truncations, HVM in an xl file", truncations(HVM)),
        ("truncations, PV in a libxl stream", truncations(PV64)),
        ("truncations, 32-bit PV", truncations(PV32)),
        ("truncations, Remus", truncations_of_checkpoints(REMUS)),
        ("truncations, COLO", truncations_of_checkpoints(COLO)),
        ("lengths at their limits", lengths_at_their_limits),
        ("counts at their limits", counts_at_their_limits),
        ("frames twice and overlapping", frames_twice_and_overlapping),
        ("frames out of range", frames_out_of_range),
        ("garbage within libxl", garbage_within_libxl),
        ("padding that is not zero", padding_that_is_not_zero),
        ("big-endian flags", big_endian_flags),
        ("order of records", order_of_records),
        ("wrappings and legacy images", others),
        ("containers", containers),
        ("libxl's converter", legacy_helper),
        ("endless records", endless_records),
        ("two images, as much as is kept", two_that_are_full),
        ("a pipe that stalls, and a signal",
         pipes_that_stall(stall_ends, GENERAL + ["info", "unpack"])),
        ("a pipe that stalls, and a time to wait",
         pipes_that_stall(stall_times_out, [
             c.name for c in COMMANDS.values() if c.timeout])),
        ("a pipe that nobody empties", nobody_takes_the_output),
    ]
    chosen = os.environ.get("CASES")
    status = try_all([c for c in cases if not chosen or chosen in c[0]])
    shutil.rmtree(SCRATCH, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
