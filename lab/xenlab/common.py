# SPDX-License-Identifier: GPL-2.0-or-later
"""What every part of the lab needs: places, errors, deadlines."""

import ctypes
import fcntl
import os
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

LAB = Path(__file__).resolve().parent.parent
SKIPPED = 77


class LabError(Exception):
    """The lab cannot go on; the text says why."""


class LabSkip(Exception):
    """This machine cannot run the lab; the text says what it lacks."""


def cache_dir():
    """Where images live between runs."""
    given = os.environ.get("XENFERRY_LAB_CACHE")
    if given:
        path = Path(given)
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        path = Path(base) / "xenferry-lab"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path.resolve()


def run_dir():
    """Where running hosts keep their sockets, overlays and logs."""
    given = os.environ.get("XENFERRY_LAB_RUN")
    if given:
        path = Path(given)
    else:
        path = Path(f"/tmp/xenferry-lab-{os.getuid()}")
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.stat().st_uid != os.getuid():
        raise LabError(f"{path}: owned by uid {path.stat().st_uid}, "
                       f"expected {os.getuid()}")
    return path.resolve()


class Deadline:
    """A moment after which waiting is over."""

    def __init__(self, seconds):
        self.end = time.monotonic() + seconds

    def left(self):
        return max(0.0, self.end - time.monotonic())

    def over(self):
        return self.left() == 0.0


@contextmanager
def locked(path, seconds, what):
    """Hold an exclusive lock on a file; several lab commands may run."""
    deadline = Deadline(seconds)
    with open(path, "w", encoding="ascii") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if deadline.over():
                    raise LabError(f"{what}: another lab command holds it "
                                   f"after {seconds} s") from None
                time.sleep(0.2)
        yield


def die_with_parent():
    """For preexec_fn: the child gets SIGTERM when this process ends."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def run_tool(argv, timeout, log=None, **kwargs):
    """Run a tool to its end; its output goes to a log, shown on failure."""
    try:
        done = subprocess.run(
            [str(a) for a in argv], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=timeout, preexec_fn=die_with_parent, check=False,
            **kwargs)
    except FileNotFoundError:
        raise LabSkip(f"{argv[0]} is not installed "
                      "(tools/setup lab installs it)") from None
    except subprocess.TimeoutExpired as e:
        raise LabError(f"{argv[0]}: still running after {timeout} s, "
                       f"stopped\n{text_of(e.stdout)}") from None
    if log:
        log.write_bytes(done.stdout)
    if done.returncode:
        raise LabError(f"{argv[0]}: exit status {done.returncode}, expected "
                       f"0\n{text_of(done.stdout)}")
    return done.stdout


def text_of(output):
    """The last lines of a tool's output."""
    return "\n".join((output or b"").decode(errors="replace")
                     .splitlines()[-40:])
