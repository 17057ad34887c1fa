# SPDX-License-Identifier: GPL-2.0-or-later
"""The Test Anything Protocol, as little of it as is needed."""

import sys
import traceback


class Skip(Exception):
    """Raised by a test that cannot run here; its text is the reason."""


def run(tests):
    """Run (name, function) pairs, print results, exit."""
    failed = 0
    print("1..%d" % len(tests))
    for number, (name, function) in enumerate(tests, 1):
        result, note = "ok", ""
        try:
            function()
        except Skip as reason:
            note = " # SKIP %s" % reason
        except Exception:  # pylint: disable=broad-except
            result = "not ok"
            failed += 1
            for line in traceback.format_exc().splitlines():
                print("# " + line)
        print("%s %d - %s%s" % (result, number, name, note))
        sys.stdout.flush()
    sys.exit(1 if failed else 0)
