#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's console: its log, its pseudo-terminal, and 'xenferry domain console'.

  console.py XENFERRY GUEST
"""
import errno
import fcntl
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import Wrong, expect, try_scenes, wait_for  # noqa: E402

LIMIT = 60
TTY_HOLDS = 80 << 10  # more than a pseudo-terminal keeps for a reader


class Line:
    """One end of a terminal, with what came from it so far."""

    def __init__(self, fd):
        self.fd, self.text = fd, ""

    def read(self):
        ready, _, _ = select.select([self.fd], [], [], 0.02)
        if ready:
            try:
                self.text += os.read(self.fd, 4096).decode(errors="replace")
            except OSError as error:
                expect(str(error), error.errno == errno.EIO)
                return False
        return True

    def until(self, word):
        wait_for("'%s' on the terminal: %s" % (word, self.text[-300:]),
                 lambda: self.read() and word in self.text)

    def close(self):
        os.close(self.fd)


class Scene:
    def __init__(self, tool, kernel):
        self.tool = tool
        self.folder = tempfile.mkdtemp(prefix="xenferry-console-")
        self.host = self.folder + "/host"
        self.run("host", "start", self.host)
        self.run("domain", "create", "--host", self.host, "--kernel", kernel,
                 "--memory", "16", "--cmdline", "report_ms=100 mem=1M", "g")
        wait_for("the guest boots", lambda: self.log().count("check seq=") > 1)

    def run(self, *args, check=True):
        return subprocess.run([self.tool, *args], check=check, timeout=LIMIT,
                              capture_output=True, text=True)

    def log(self):
        try:
            with open(self.host + "/g.console", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def show(self):
        return json.loads(self.run("domain", "show", "--json", "--host",
                                   self.host, "g").stdout)

    def tty(self):
        return self.show()["domain"]["console_tty"]

    def open_tty(self):
        return Line(os.open(self.tty(), os.O_RDWR | os.O_NOCTTY))

    def flood(self, octets):
        """Until the log has grown by so much; the guest has to go on."""
        size = len(self.log())
        while len(self.log()) < size + octets:
            before = len(self.log())
            for _ in range(20):
                self.run("domain", "console", "--type", "report", "--host",
                         self.host, "g")
            wait_for("the log grows", lambda: len(self.log()) > before)

    def end(self):
        self.run("host", "stop", "--force", self.host, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


# ---- cases


def the_terminal_is_named(s):
    tty = s.tty()
    expect(tty, tty.startswith("/dev/pts/"))
    listed = json.loads(s.run("domain", "list", "--json", "--host",
                              s.host).stdout)
    expect("list", listed[0]["console_tty"] == tty)
    text = s.run("domain", "show", "--host", s.host, "g").stdout
    expect("show: " + text, tty in text)
    image = s.folder + "/image"
    s.run("save", "--quiet", "--host", "embedded:" + s.host, "g", image)
    inside = s.run("inspect", "--json", image).stdout
    expect("in the store", "console/tty" in inside and tty in inside)


def it_is_a_serial_line(s):
    line = s.open_tty()
    line.until("result=ok")
    os.write(line.fd, b"report\r")
    line.until("info end")
    line.close()
    expect("in the log as well", "info end" in s.log())


def readers_come_and_go(s):
    for _ in range(5):
        line = s.open_tty()
        os.write(line.fd, b"rate 100\n")
        line.until("ok rate 100")
        line.close()


def a_hangup_is_survived(s):
    line = s.open_tty()
    line.until("check")
    fcntl.ioctl(line.fd, termios.TIOCVHANGUP if hasattr(termios, "TIOCVHANGUP")
                else 0x5437)
    line.close()
    line = s.open_tty()
    for _ in range(100):
        os.write(line.fd, b"rate 200\n")
        time.sleep(0.05)
        line.read()
        if "ok rate 200" in line.text:
            break
    line.until("ok rate 200")
    line.close()


def nobody_reads(s):
    s.flood(2 * TTY_HOLDS)
    line = s.open_tty()
    os.write(line.fd, b"rate 300\n")
    line.until("ok rate 300")
    expect("old text gave way", len(line.text) < 2 * TTY_HOLDS)
    line.close()


def a_reader_that_does_not_read(s):
    line = s.open_tty()
    s.flood(2 * TTY_HOLDS)
    os.write(line.fd, b"rate 400\n")
    line.until("ok rate 400")
    line.close()


def a_writer_that_does_not_stop(s):
    """To a paused guest: it waits; what went in is read afterwards."""
    s.run("domain", "pause", "--host", s.host, "g")
    line = s.open_tty()
    os.set_blocking(line.fd, False)
    typed = 0
    for _ in range(10000):
        try:
            typed += os.write(line.fd, b"rate 1\n" * 10)
        except BlockingIOError:
            break
    else:
        raise Wrong("the terminal takes whatever is typed")
    expect("others are served", s.show()["domain"]["state"] == "paused")
    s.run("domain", "unpause", "--host", s.host, "g")
    wait_for("it is read", lambda: s.log().count("ok rate 1\n") >= typed // 7)
    line.close()


class Console:
    """'xenferry domain console' on a terminal of ours."""

    def __init__(self, s, says="leaves it"):
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        # A group of its own, with a parent outside: one that can be stopped.
        self.process = subprocess.Popen(
            [s.tool, "domain", "console", "--host", s.host, "g"],
            stdin=self.slave, stdout=self.slave, stderr=self.slave,
            preexec_fn=os.setpgrp)
        self.line = Line(self.master)
        self.line.until(says)

    def is_as_before(self):
        return termios.tcgetattr(self.slave) == self.before

    def end(self, status):
        wait_for("it ends", lambda: self.line.read() and
                 self.process.poll() is not None)
        expect("status %d, expected %d: %s" %
               (self.process.returncode, status, self.line.text[-300:]),
               self.process.returncode == status)
        expect("the terminal is as before", self.is_as_before())
        os.close(self.slave)
        os.close(self.master)


def sitting_at_it(s):
    for _ in range(2):
        c = Console(s)
        c.line.until("result=ok")
        expect("raw", not c.is_as_before())
        os.write(c.master, b"rate 500\r")
        c.line.until("ok rate 500")
        # The interrupt character is the guest's.
        os.write(c.master, b"\x03\r")
        c.line.until("refused \x03")
        os.write(c.master, b"\x1d")
        c.end(0)


def one_at_a_time(s):
    c = Console(s)
    d = Console(s, "somebody else sits")
    d.end(1)
    os.write(c.master, b"\x1d")
    c.end(0)


def signals_restore_the_terminal(s):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP,
                   signal.SIGQUIT):
        c = Console(s)
        c.line.until("check")
        c.process.send_signal(number)
        c.end(-number)
    c = Console(s)
    c.line.until("check")
    c.process.send_signal(signal.SIGTSTP)
    wait_for("as before while it is stopped", c.is_as_before)
    c.process.send_signal(signal.SIGCONT)
    wait_for("raw again", lambda: not c.is_as_before())
    os.write(c.master, b"\x1d")
    c.end(0)


def the_guest_leaves(s):
    c = Console(s)
    s.run("domain", "destroy", "--host", s.host, "g")
    c.end(0)


def it_is_paused(s):
    """A line that there is no room for waits, and is refused in the end."""
    s.run("domain", "pause", "--host", s.host, "g")
    c = Console(s)
    os.write(c.master, b"rate 600\r")
    waits = subprocess.Popen(
        [s.tool, "domain", "console", "--type", "rate 700", "--host", s.host,
         "g"], stdout=subprocess.DEVNULL)
    time.sleep(0.2)
    expect("it waits", waits.poll() is None)
    s.run("domain", "unpause", "--host", s.host, "g")
    expect("it is typed", waits.wait(LIMIT) == 0)
    wait_for("both are read", lambda: "ok rate 600" in s.log() and
             "ok rate 700" in s.log())
    s.run("domain", "pause", "--host", s.host, "g")
    os.write(c.master, b"more\r\x1d")
    c.line.until("5 octets typed last were not read")
    c.end(0)
    out = s.run("domain", "console", "--type", "lost", "--host", s.host, "g",
                check=False)
    expect("it says so: " + out.stderr, out.returncode == 1 and
           "0 of 5 octets typed" in out.stderr)


CASES = [the_terminal_is_named, it_is_a_serial_line, readers_come_and_go,
         a_hangup_is_survived, nobody_reads, a_reader_that_does_not_read,
         a_writer_that_does_not_stop, sitting_at_it, one_at_a_time,
         signals_restore_the_terminal, the_guest_leaves, it_is_paused]


def main():
    only = os.environ.get("XENFERRY_CONSOLE_ONLY", "")
    cases = [c for c in CASES if only in c.__name__]
    if os.geteuid() != 0:
        # Hanging a terminal up is root's to do.
        cases = [c for c in cases if c is not a_hangup_is_survived]
    return try_scenes(cases, lambda: Scene(*sys.argv[1:3]))


if __name__ == "__main__":
    sys.exit(main())
