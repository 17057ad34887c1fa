# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs lab tests and reports them as TAP.

A test is an executable of lab/tests with a line like

    # lab-test: hosts=2 timeout=900

near its top.  It runs in the repository's root, outside the hosts, as
'TEST --build DIR', with XENFERRY_LAB_NAME naming a running instance of that
many hosts.  Its exit status says how it went: 0 passed, 77 skipped (the reason
is its last line of output), anything else failed.

Tests that need the same number of hosts share an instance; guests and files
of theirs are removed in between, and after a failure the instance is a fresh
one.  A failure that comes with the emulator's own fault (the hypervisor's log
shows a triple fault, or QEMU has ended) is said to be that, and the test runs
again, twice at most.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from . import instance
from .common import (LAB, SKIPPED, LabError, LabSkip, die_with_parent)
from .images import say

TESTS = LAB / "tests"
RETRIES = 2
HEADER = re.compile(r"^# lab-test: hosts=([12]) timeout=([0-9]+)$", re.M)


class Test:
    """One test, as its header describes it."""

    def __init__(self, path, hosts, timeout):
        self.name = path.stem
        self.path = path
        self.hosts = hosts
        self.timeout = timeout


def all_tests():
    """Every file of lab/tests that says it is a test."""
    tests = []
    for path in sorted(TESTS.iterdir()):
        if not path.is_file() or not os.access(path, os.X_OK):
            continue
        with open(path, encoding="utf-8", errors="replace") as file:
            found = HEADER.search(file.read(2000))
        if found:
            tests.append(Test(path, int(found[1]), int(found[2])))
    return tests


def add_options(parser):
    parser.add_argument("tests", nargs="+", metavar="NAME",
                        help="test names, 'all', or 'list' to list them")
    parser.add_argument("--build", default="build-release", metavar="DIR",
                        help="build folder of what is tested (%(default)s)")
    parser.add_argument("--patience", type=float, default=1, metavar="FACTOR",
                        help="multiply every test's time limit (%(default)s)")
    parser.add_argument("--budget", type=float, default=None, metavar="SECONDS",
                        help="skip, and say so, the tests that could not begin "
                             "within this time")


def chosen(names):
    tests = {test.name: test for test in all_tests()}
    if names == ["all"]:
        return list(tests.values())
    unknown = [n for n in names if n not in tests]
    if unknown:
        raise LabError(f"test: {' '.join(unknown)}: no such test "
                       "('lab test list' names them)")
    return [tests[n] for n in names]


class Shared:
    """The instance that the tests of a group use, booted when needed."""

    def __init__(self, hosts, options):
        self.options = options
        self.options.hosts = hosts
        self.lab = instance.Instance(f"test{os.getpid()}-{hosts}")
        self.clean = False

    def ready(self):
        """An instance without a trace of the test before."""
        if self.clean and self.lab.running():
            return
        if self.lab.hosts:
            self.lab.stop(keep_logs=False)
        self.lab.boot(self.options, detach=False)
        self.clean = True

    def tidy(self):
        """Make it ready for the next test, or give it up."""
        try:
            for host in self.lab.hosts.values():
                host.check(["labguest", "clean"], 300)
        except LabError as e:
            say(f"a fresh instance for the next test: {e}")
            self.clean = False

    def emulator_faults(self):
        """What the emulator, not the test, did wrong."""
        faults = []
        for role, host in self.lab.hosts.items():
            faults += [f"host {role}: {line}" for line in host.triple_faults()]
            if not host.machine.alive():
                faults.append(f"host {role}: QEMU has ended")
        return faults


def run_once(test, name, options, log):
    """Run a test's program; return its exit status, None at its limit."""
    limit = test.timeout * options.patience
    environment = dict(os.environ, XENFERRY_LAB_NAME=name)
    process = subprocess.Popen(
        [str(test.path), "--build", options.build], cwd=LAB.parent,
        stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        env=environment, start_new_session=True, preexec_fn=die_with_parent)
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        return None
    finally:
        try:
            os.killpg(process.pid, signal.SIGTERM)
            time.sleep(0.2)
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


def tail(path, lines):
    """The last lines of a file, as TAP comments."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return
    for line in text.splitlines()[-lines:]:
        print("#   " + "".join(c if c.isprintable() else "?" for c in line))


def show_failure(logs):
    """What a person wants to see first."""
    print("# output:")
    tail(logs / "output", 40)
    consoles = [p for p in sorted(logs.rglob("*.log"))
                if p.name == "xen.log" or p.name.startswith("guest-")]
    for path in consoles:
        print(f"# {path.relative_to(logs)}:")
        tail(path, 15)
    print(f"# all logs: {logs}")


def run_test(test, shared, options):
    """Run a test, again after an emulator's fault.  Returns its TAP line
    without number, and whether it is a failure."""
    for attempt in range(RETRIES + 1):
        shared.ready()
        logs = instance.new_log_folder(test.name)
        started = time.monotonic()
        with open(logs / "output", "wb") as log:
            status = run_once(test, shared.lab.name, options, log)
        seconds = time.monotonic() - started
        output = (logs / "output").read_text(errors="replace").splitlines()
        if status == 0:
            shared.tidy()
            return f"ok - {test.name} # {seconds:.0f} s", False
        if status == SKIPPED:
            reason = output[-1] if output else "no reason given"
            return f"ok - {test.name} # SKIP {reason}", False
        shared.lab.collect_logs(logs)
        shared.clean = False
        how = f"exit status {status}" if status is not None else \
            f"still running after {test.timeout * options.patience:.0f} s"
        print(f"# {test.name}: {how}")
        show_failure(logs)
        faults = shared.emulator_faults()
        if not faults:
            break
        for line in faults[:5]:
            print(f"# the emulator's own fault: {line}")
        if attempt < RETRIES:
            print(f"# {test.name}: once more")
    return f"not ok - {test.name} # {how}", True


def run_group(tests, hosts, options, report):
    """Run the tests that need this many hosts, on one instance."""
    shared = Shared(hosts, options)
    try:
        for test in tests:
            if time.monotonic() > options.ends:
                report(f"ok - {test.name} # SKIP the time for all tests, "
                       f"{options.budget:.0f} s, was over", False)
                continue
            say(f"test {test.name}")
            try:
                report(*run_test(test, shared, options))
            except LabSkip as e:
                report(f"ok - {test.name} # SKIP {e}", False)
            except LabError as e:
                for line in str(e).splitlines():
                    print(f"# {line}")
                report(f"not ok - {test.name} # the lab", True)
                shared.clean = False
    finally:
        shared.lab.stop(keep_logs=False)


def run(options):
    """The 'test' command."""
    if options.tests == ["list"]:
        for test in all_tests():
            print(f"{test.name}  hosts={test.hosts} timeout={test.timeout}")
        return 0
    tests = chosen(options.tests)
    if not Path(options.build).is_absolute():
        options.build = str(Path(options.build).resolve())
    options.ends = float("inf")
    if options.budget is not None:
        options.ends = time.monotonic() + options.budget
    print(f"1..{len(tests)}", flush=True)
    failed = []
    number = iter(range(1, len(tests) + 1))

    def report(line, failure):
        what, rest = line.split(" - ", 1)
        print(f"{what} {next(number)} - {rest}", flush=True)
        failed.extend([rest] if failure else [])

    # Moves between hosts are what a budget should cut last.
    for hosts in (2, 1):
        group = [test for test in tests if test.hosts == hosts]
        if group:
            run_group(group, hosts, options, report)
    if failed:
        print(f"lab: {len(failed)} of {len(tests)} tests failed",
              file=sys.stderr)
    return 1 if failed else 0
