#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests come and go: the host does not grow.

  cycles.py XENFERRY GUEST [CYCLES]

A guest of four vCPUs with a disk is created, works until its first report, and
is destroyed, 100 times over.  What the host's process has in memory of its own
and its descriptors are compared with those after the first 20.
"""
import os
import shutil
import sys
import tempfile

from hostile import DOMID, Host, Wrong, wait_reports

WARM_UP = 20
GROWTH_KIB = 4096  # of all cycles after those
CMDLINE = "evtchn=fifo report_ms=100 mem=1M disk=on ping=storm"


def own_memory(host):
    with open("/proc/%d/status" % host.pid) as file:
        for line in file:
            if line.startswith("RssAnon:"):
                return int(line.split()[1])
    raise Wrong("no RssAnon")


def cycle(host, kernel, disk):
    host.call("domain-create", name="guest", domid=DOMID, vcpus=4,
              memory_mib=16, kernel=kernel, cmdline=CMDLINE, disk=disk)
    wait_reports(host, 1)
    host.about("domain-destroy")
    os.truncate(host.folder + "/guest.console", 0)


def run(tool, kernel, nr_cycles, folder):
    disk = folder + "/disk"
    with open(disk, "wb") as file:
        file.truncate(16 << 20)
    host = Host(tool, folder + "/host")
    try:
        for n in range(nr_cycles):
            cycle(host, kernel, disk)
            if n == WARM_UP - 1:
                memory, descriptors = own_memory(host), host.descriptors()
        grown = own_memory(host) - memory
        print("# %d KiB after %d cycles, %d KiB more after %d" %
              (memory, WARM_UP, grown, nr_cycles))
        if host.descriptors() != descriptors:
            raise Wrong("%d descriptors, %d before" % (host.descriptors(),
                                                       descriptors))
        if grown > GROWTH_KIB:
            raise Wrong("%d KiB more, expected at most %d" % (grown,
                                                              GROWTH_KIB))
        print("ok 1 - %d guests leave nothing behind" % nr_cycles)
    except Wrong as wrong:
        print("not ok 1 - %s" % wrong)
    finally:
        host.stop()
    print("1..1")


def main():
    if len(sys.argv) not in (3, 4):
        print(__doc__, file=sys.stderr)
        return 64
    nr_cycles = int(sys.argv[3]) if len(sys.argv) == 4 else 100
    folder = tempfile.mkdtemp(prefix="xenferry-cycles-")
    try:
        run(sys.argv[1], os.path.abspath(sys.argv[2]), nr_cycles, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
