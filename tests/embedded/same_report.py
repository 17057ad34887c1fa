#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the payload of guest/ found on two hosts: is it the same?

    same_report.py LOG LOG              two console logs with a 'report' in them
    same_report.py XENFERRY GUEST LOG   one, and an embedded host's guest of the
                                        same command line

'pause' was typed a while before 'report', so that no request is under way.

Prints TAP: a case for each line of the report, its fields compared one by one,
but for those that differ from run to run:

    entry       how the loader enters the kernel: Xen by the PVH note, the
                embedded host in long mode
    xen         the version that the host names
    flags       of a grant: only its type is compared; whether it is mapped, and
                for writing, depends on what is under way
    the others  count what was done so far, or how long it took
"""
import re
import subprocess
import sys
import tempfile
import time

VARYING = {"entry", "xen", "ticks", "maxgap_us", "events", "in_flight",
           "requests", "requeued", "flushes"}
GRANT_TYPE = 3  # of its flags: GTF_type_mask
COMMAND_LINE = "mem=4M disk=on evtchn="


def report(text):
    """Its lines, from the last start of the guest on: name -> fields."""
    lines = {}
    for line in text.replace("\r", "").splitlines():
        if line.startswith("xenferry-guest "):
            lines = {}
        elif line == "info end":
            return lines
        elif not line.startswith(("info ", "disk: ")):
            continue
        words = line.split()
        fields = dict(w.split("=", 1) for w in words if "=" in w)
        first = next(w for w in words if "=" in w)
        name = first if words[1].startswith(("port=", "grant=", "vcpu=")) \
            else words[0] + " " + first.split("=")[0]
        for varying in VARYING:
            fields.pop(varying, None)
        if "flags" in fields:
            fields["flags"] = int(fields["flags"], 16) & GRANT_TYPE
        lines[name] = fields
    sys.exit("no whole report in the log, expected one that 'info end' ends")


def embedded(xenferry, guest, abi):
    """The report of a guest on an embedded host."""
    def run(*words, expect=0):
        done = subprocess.run([xenferry, *words], capture_output=True,
                              text=True, timeout=60, check=False)
        if done.returncode != expect:
            sys.exit(" ".join(words) + ": " + done.stderr)
        return done.stdout

    with tempfile.TemporaryDirectory(prefix="xenferry-report-") as folder:
        host = folder + "/host"
        with open(folder + "/disk", "wb") as disk:
            disk.truncate(16 << 20)
        run("host", "start", host)
        try:
            run("domain", "create", "--host", host, "--kernel", guest,
                "--memory", "16", "--vcpus", "2", "--disk", folder + "/disk",
                "--cmdline", COMMAND_LINE + abi, "g")
            text, typed = "", []
            deadline = time.monotonic() + 60
            while "info end" not in text:
                if time.monotonic() > deadline:
                    sys.exit("no report after a minute:\n" + text)
                words = []
                for line, after in (("pause", "check seq=1 "),
                                    ("report", "check seq=3 ")):
                    if after in text and line not in typed:
                        words = ["--type", line]
                        typed.append(line)
                        break
                text = run("domain", "console", "--host", host, *words, "g")
                time.sleep(0.2)
            return report(text)
        finally:
            run("host", "stop", "--force", host)


def main():
    with open(sys.argv[-1], encoding="utf-8", errors="replace") as file:
        wanted = report(file.read())
    if len(sys.argv) == 4:
        found = embedded(sys.argv[1], sys.argv[2], wanted["info xen"]["evtchn"])
    else:
        with open(sys.argv[1], encoding="utf-8", errors="replace") as file:
            found = report(file.read())
    names = list(dict.fromkeys([*wanted, *found]))
    for number, name in enumerate(names, 1):
        same = wanted.get(name) == found.get(name)
        print(f"{'' if same else 'not '}ok {number} - {re.sub('=', ' ', name)}")
        if not same:
            print(f"# {sys.argv[-1]}: {wanted.get(name)}")
            print(f"# here: {found.get(name)}")
    print(f"1..{len(names)}")
    return 0 if wanted == found else 1


sys.exit(main())
