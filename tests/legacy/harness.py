# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests of the image commands share: scratch files, running, stock."""

import atexit
import glob
import os
import shutil
import subprocess
import tempfile

import tap

SCRATCH = tempfile.mkdtemp(prefix="xenferry-test-")
atexit.register(shutil.rmtree, SCRATCH, ignore_errors=True)


def path(name):
    return os.path.join(SCRATCH, name)


def write(name, octets):
    with open(path(name), "wb") as out:
        out.write(octets)
    return path(name)


def read(name):
    with open(path(name), "rb") as file:
        return file.read()


def run(*command, expect=0, **arguments):
    done = subprocess.run(command, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=300, check=False,
                          **arguments)
    if done.returncode != expect:
        raise AssertionError("%s: exit status %d, expected %d\n%s" % (
            " ".join(command), done.returncode, expect,
            done.stderr.decode(errors="replace")[-2000:]))
    return done


def stock(tool):
    """A stock script and the environment that it needs."""
    for script in sorted(glob.glob("/usr/lib/xen-*/bin/" + tool)):
        library = script.replace("/bin/" + tool, "/lib/python")
        if os.path.isdir(library) and os.access("/usr/bin/python3", os.X_OK):
            return ["/usr/bin/python3", script], dict(
                os.environ, PYTHONPATH=library, PYTHONDONTWRITEBYTECODE="1")
    raise tap.Skip("no %s here (package xen-utils)" % tool)


def stock_verify(target, form):
    script, environment = stock("verify-stream-v2")
    run(*script, "-i", target, "--format", form, env=environment)
