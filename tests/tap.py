# SPDX-License-Identifier: GPL-2.0-or-later
"""For tests in Python: TAP on standard output, expecting, waiting."""
import subprocess
import sys
import time


class Wrong(Exception):
    pass


# What ends a case and not the test.
ERRORS = (Wrong, subprocess.SubprocessError, OSError, ValueError, IndexError)


def expect(what, condition):
    if not condition:
        raise Wrong(what)


def wait_for(what, condition, limit=60):
    deadline = time.monotonic() + limit
    while not condition():
        expect("time is up: " + what, time.monotonic() < deadline)
        time.sleep(0.02)


def try_all(cases):
    """Of pairs of a name and a function; returns the exit status."""
    number = failed = 0
    for name, case in cases:
        number += 1
        try:
            case()
            print("ok %d - %s" % (number, name), flush=True)
        except ERRORS as wrong:
            failed += 1
            print("not ok %d - %s" % (number, name))
            for line in str(wrong).splitlines():
                print("# " + line)
            sys.stdout.flush()
    print("1..%d" % number)
    return 1 if failed else 0


def try_scenes(cases, make):
    """The same, of functions that are given a fresh scene, which ends."""
    def play(case):
        scene = make()
        try:
            case(scene)
        finally:
            scene.end()

    return try_all((case.__name__.replace("_", " "), lambda c=case: play(c))
                   for case in cases)
