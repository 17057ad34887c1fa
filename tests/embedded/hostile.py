#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Give an embedded host hostile state, as a lying source would.

  hostile.py XENFERRY GUEST

A guest works on one host, is suspended from outside, and its memory, context
and the eight parts of its state are copied.  Another host is given them with
one thing wrong, past every check of the engine: it must refuse with a message
that says what, and be clean when the domain is destroyed.  Each part is also
cut at every length.  At the end the parts as they were are taken, and the
guest goes on where it came from, its own checks clean.
"""
import array
import json
import mmap
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import Wrong  # noqa: E402

DOMID, MIB, LIMIT = 1234, 16, 120
PAGE = 4096
CMDLINE = "evtchn=fifo report_ms=100 mem=1M rate=500 disk=on ping=storm"
(IDENTITY, CLOCK, SHARED_INFO, GRANT_FRAMES, EVENTS, VCPUS, GRANTS,
 STORE) = range(8)
ANY = range(5)
IPI = 4
PORT = struct.Struct("<IBBBBIIIIB7x")


class Refused(Exception):
    pass


class Host:
    """A daemon, spoken to directly (src/host/embedded/hostd_wire.h)."""

    def __init__(self, tool, folder):
        self.tool, self.folder = tool, folder
        subprocess.run([tool, "host", "start", folder], check=True,
                       stdout=subprocess.DEVNULL)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(folder + "/socket")
        self.pid = self.call("host-info")[0]["pid"]

    def call(self, op, data=b"", **fields):
        text = json.dumps({"op": op, **fields}).encode()
        self.socket.sendall(struct.pack("<II", len(text), len(data)) + text +
                            data)
        head, fds, _, _ = socket.recv_fds(self.socket, 8, 1)
        while len(head) < 8:
            head += self.socket.recv(8 - len(head))
        sizes = struct.unpack("<II", head)
        body = b""
        while len(body) < sum(sizes):
            part = self.socket.recv(sum(sizes) - len(body))
            if not part:
                raise Wrong("%s: the host is gone" % op)
            body += part
        answer = json.loads(body[:sizes[0]].rstrip(b"\0"))
        if not answer.get("ok"):
            raise Refused(answer.get("error", ""))
        return answer, body[sizes[0]:], fds

    def about(self, op, data=b"", **fields):
        return self.call(op, data, domain=str(DOMID), **fields)

    def ram(self):
        fd = self.about("ram-map")[2][0]
        length = os.fstat(fd).st_size
        view = mmap.mmap(fd, length)
        os.close(fd)
        return view

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def stop(self):
        self.socket.close()
        subprocess.run([self.tool, "host", "stop", "--force", self.folder],
                       capture_output=True)


class Copy:
    """What a source sends."""

    def __init__(self, host):
        self.context = host.about("context-get")[1]
        self.parts = [host.about("state-get", part=part)[1]
                      for part in range(8)]
        bits = host.about("populated")[1]
        self.frames = [8 * n + bit for n, octet in enumerate(bits) if octet
                       for bit in range(8) if octet >> bit & 1]
        ram = host.ram()
        self.pages = {gfn: ram[gfn * PAGE:(gfn + 1) * PAGE]
                      for gfn in self.frames}
        ram.close()

    def put(self, host, pokes):
        host.call("domain-create", name="victim", domid=DOMID, vcpus=2,
                  memory_mib=MIB)
        for at in range(0, len(self.frames), 1024):
            some = array.array("Q", self.frames[at:at + 1024]).tobytes()
            host.about("populate", some, order=0)
        ram = host.ram()
        for gfn, page in self.pages.items():
            ram[gfn * PAGE:(gfn + 1) * PAGE] = page
        for gpa, octets in pokes:
            ram[gpa:gpa + len(octets)] = octets
        ram.close()
        host.about("context-set", self.context)

    # ---- where things are ------------------------------------------------

    def words(self):
        return struct.unpack_from("<Q", self.parts[EVENTS], 32)[0] * PAGE

    def control(self, vcpu):
        arrays, blocks = struct.unpack_from("<II", self.parts[EVENTS], 16)
        for n in range(blocks):
            number, offset, gfn = struct.unpack_from(
                "<IIQ", self.parts[EVENTS], 32 + 8 * arrays + 16 * n)
            if number == vcpu:
                return gfn * PAGE + offset
        raise Wrong("vCPU %d has no control block" % vcpu)

    def ports_at(self):
        arrays, blocks, queues = struct.unpack_from("<III",
                                                    self.parts[EVENTS], 16)
        return 32 + 8 * arrays + 16 * (blocks + queues)

    def port(self, kinds):
        """Offset and fields of the last port of these kinds."""
        found = None
        for at in range(self.ports_at(), len(self.parts[EVENTS]), PORT.size):
            fields = PORT.unpack_from(self.parts[EVENTS], at)
            if fields[1] in kinds:
                found = at, list(fields)
        return found

    # ---- lies ------------------------------------------------------------

    def patched(self, part, at, form, *values):
        body = bytearray(self.parts[part])
        struct.pack_into(form, body, at, *values)
        return part, bytes(body)

    def with_port(self, kinds, index, value):
        at, fields = self.port(kinds)
        fields[index] = value
        return self.patched(EVENTS, at, PORT.format, *fields)

    def with_another_port(self, number):
        """One of its own: any that is there may be the tail of a queue."""
        _, fields = self.port([IPI])
        nr, = struct.unpack_from("<I", self.parts[EVENTS], 12)
        part, body = self.patched(EVENTS, 12, "<I", nr + 1)
        return part, body + PORT.pack(number, *fields[1:])

    def with_watches(self, nr):
        records = b""
        for n in range(nr):
            body = struct.pack("<I", 2) + b"w%d\0t\0" % n
            records += struct.pack("<II", 7, len(body)) + body
            records += bytes(-len(body) % 8)
        body = self.parts[STORE]
        at = 20
        for _ in ("input", "output"):
            at += 4 + struct.unpack_from("<I", body, at)[0]
        return STORE, body[:at] + struct.pack("<I", len(records)) + records


def link(copy, port, to):
    """Every queue of vCPU 0 begins with 'port', which is linked to 'to'."""
    return [(copy.words() + 4 * port, struct.pack("<I", 1 << 29 | to)),
            (copy.control(0) + 8, struct.pack("<16I", *[port] * 16))]


def cases(c):
    """name, part with its body, memory, a word of the refusal"""
    shared = struct.unpack_from("<Q", c.parts[SHARED_INFO], 8)
    none = []
    return [
        ("a domid that lies", c.patched(IDENTITY, 8, "<I", DOMID + 1), none,
         "domid 1235, expected 1234"),
        ("other vCPUs", c.patched(IDENTITY, 12, "<I", 3), none,
         "3 vCPUs, the domain was made with 2"),
        ("time at its end", c.patched(CLOCK, 8, "<Q", 2**63 - 1), none,
         "expected at most"),
        ("shared info over memory",
         c.patched(SHARED_INFO, 8, "<Q", c.frames[5]), none, "one owner"),
        ("grant frame over memory",
         c.patched(GRANT_FRAMES, 16, "<Q", c.frames[5]), none, "one owner"),
        ("grant frame over shared info",
         c.patched(GRANT_FRAMES, 16, "<Q", *shared), none,
         "another page of Xen's"),
        ("frames beyond the table", c.patched(GRANT_FRAMES, 12, "<I", 2**32 - 1),
         none, "count beyond"),
        ("event words at shared info",
         c.patched(EVENTS, 32, "<Q", *shared), none, "the guest's memory"),
        ("a port out of range", c.with_another_port(1 << 17), none,
         "expected 1 to 131071"),
        ("a port that this host has not", c.with_another_port(4096), none,
         "this host has 4096"),
        ("a port of a vCPU that is not there", c.with_port(ANY, 5, 2), none,
         "the guest has 2"),
        ("a channel to another guest", c.with_port([2], 6, 7), none,
         "another guest"),
        ("ports without end", c.patched(EVENTS, 12, "<I", 2**32 - 1), none,
         "count beyond"),
        ("links in a circle", (EVENTS, c.parts[EVENTS]), link(c, 3, 3),
         "runs in a circle"),
        ("a link to a port without a word", (EVENTS, c.parts[EVENTS]),
         link(c, 3, 1024), "goes on with port 1024"),
        ("a queue that begins beyond all ports", (EVENTS, c.parts[EVENTS]),
         [(c.control(0) + 8, struct.pack("<I", 2**32 - 1))],
         "goes on with port 4294967295"),
        ("a vCPU in no state", c.patched(VCPUS, 18, "<B", 3), none,
         "not a state that there is"),
        ("a vcpu_info outside memory",
         c.patched(VCPUS, 32, "<Q", shared[0] * PAGE), none,
         "page of the guest's memory"),
        ("a grant beyond the frames", c.patched(GRANTS, 16, "<I", 1 << 19),
         none, "in a table of"),
        ("a grant in use", c.patched(GRANTS, 20, "<H", 0x19), none,
         "expected it unused"),
        ("watches without end", c.with_watches(20000), none,
         "Watches per domain: number 129"),
    ]


def refused(what, word, function, *args, **fields):
    try:
        function(*args, **fields)
    except Refused as answer:
        if word not in str(answer):
            raise Wrong("%s: \"%s\", expected \"%s\"" % (what, answer, word))
        return
    raise Wrong("%s was taken" % what)


def send(copy, host, last):
    for part in range(last):
        host.about("state-set", copy.parts[part], part=part)


def clean(host, descriptors):
    host.about("domain-destroy")
    if host.call("domain-list")[0]["domains"]:
        raise Wrong("the domain is still there")
    if host.descriptors() != descriptors:
        raise Wrong("%d descriptors, %d before" % (host.descriptors(),
                                                   descriptors))


def one_lie(copy, host, name, lie, pokes, word):
    descriptors = host.descriptors()
    copy.put(host, pokes)
    send(copy, host, lie[0])
    refused(name, word, host.about, "state-set", lie[1], part=lie[0])
    clean(host, descriptors)


def wrong_order(copy, host):
    descriptors = host.descriptors()
    copy.put(host, [])
    for part in range(8):
        for early in range(part + 1, 8):
            refused("part %d before %d" % (early, part), "in order",
                    host.about, "state-set", copy.parts[early], part=early)
        refused("settling", "parts of its state", host.about, "state-settle")
        host.about("state-set", copy.parts[part], part=part)
        refused("part %d twice" % part, "in order", host.about, "state-set",
                copy.parts[part], part=part)
    clean(host, descriptors)


def every_length(copy, host):
    descriptors = host.descriptors()
    copy.put(host, [])
    for part, body in enumerate(copy.parts):
        for length in range(len(body)):
            refused("part %d of %d octets" % (part, length), "", host.about,
                    "state-set", body[:length], part=part)
        refused("part %d and an octet" % part, "", host.about, "state-set",
                body + b"\0", part=part)
        host.about("state-set", body, part=part)
    clean(host, descriptors)


def reports(host):
    with open(host.folder + "/guest.console", errors="replace") as file:
        text = file.read()
    if "FAIL" in text or "PANIC" in text:
        raise Wrong("the guest: " + text[-600:])
    return text.count("result=ok\n")


def wait_reports(host, nr):
    deadline = time.monotonic() + LIMIT
    while reports(host) < nr:
        if time.monotonic() > deadline:
            raise Wrong("time is up: the guest")
        time.sleep(0.05)


def run(tool, kernel, folder):
    disk = folder + "/disk"
    with open(disk, "wb") as file:
        file.truncate(16 << 20)
    hosts = []
    nr = 0
    try:
        for name in ("alpha", "beta"):
            hosts.append(Host(tool, folder + "/" + name))
        alpha, beta = hosts
        alpha.call("domain-create", name="guest", domid=DOMID, vcpus=2,
                   memory_mib=MIB, kernel=kernel, cmdline=CMDLINE, disk=disk)
        wait_reports(alpha, 2)
        alpha.about("domain-shutdown", reason=2)
        copy = Copy(alpha)
        for case in cases(copy):
            one_lie(copy, beta, *case)
            nr += 1
            print("ok %d - %s" % (nr, case[0]), flush=True)
        for name, function in (("parts in a wrong order", wrong_order),
                               ("parts cut at every length", every_length)):
            function(copy, beta)
            nr += 1
            print("ok %d - %s" % (nr, name), flush=True)
        before = reports(alpha)
        alpha.about("domain-resume")
        wait_reports(alpha, before + 2)
        nr += 1
        print("ok %d - the source goes on" % nr)
    except (Wrong, Refused) as wrong:
        nr += 1
        print("not ok %d - %s" % (nr, wrong))
    finally:
        for host in hosts:
            host.stop()
    print("1..%d" % nr)


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 64
    folder = tempfile.mkdtemp(prefix="xenferry-hostile-")
    try:
        run(sys.argv[1], os.path.abspath(sys.argv[2]), folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
