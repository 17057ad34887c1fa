#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Ask a move to stop at every step of it, on the real programs.

  signals.py [--some] XENFERRY XENFERRY-FAULTY GUEST

For each fault point one side gets a signal there.  Before the hand-over's point
of no return the guest goes on at the source and nothing is left over; from
there on the move completes.  Either way both commands end by themselves, with
the status and the words that belong to it, and no journal stays.  The same when
the receiver is the source's child and both get the signal, as from a terminal;
and for 'save', whose point of no return is the image getting its name, and
'restore', whose is the start.  A 'resolve' that is asked to stop leaves what
another one finishes.

Past that point a side that waits for a silent one says at once what it waits
for, how long, and which command answers it; a second request ends the wait, and
'xenferry resolve' does the rest.
"""
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import crashes
from crashes import clean_reports
from tap import expect, try_all, wait_for

# In the order in which they are reached.
SOURCE = ["move.sent", "accept.received", "precopy.before", "precopy.after",
          "setup", "precopy", "suspend", "stopped.before", "stopped.after",
          "final", "state", "done", "sent.before", "sent.after",
          "ready.received", "released.before", "released.after", "release.sent",
          "running.received", "gone.before", "gone.after", "done.before",
          "done.after"]
TARGET = ["asked", "receiving.before", "receiving.after", "created", "memory",
          "state", "restored", "ready.before", "ready.after", "ready.sent",
          "release.received", "running.before", "running.after", "started",
          "running.sent"]
SAVE = ["setup", "suspend", "suspended", "final", "state", "done",
        "written", "committed", "finished"]
RESTORE = ["created", "memory", "state", "done", "whole", "starting", "started"]
NO_RETURN = {"source": "released.before", "target": "ready.before",
             "save": "committed", "restore": "starting"}
# Where a move stopped, and what 'resolve' goes through then.
RESOLVE = {"source.sent.after": ["source.kept.before", "source.kept.after",
                                 "source.resumed", "resolve.asked",
                                 "resolve.heard", "resolve.settled"],
           "source.release.sent": ["resolve.asked", "resolve.heard",
                                   "resolve.released", "resolve.release.sent",
                                   "resolve.running", "resolve.gone",
                                   "resolve.settled"]}
SIGNALS = ["int", "term", "hup"]
TOO_LATE = "too late to cancel"


def is_late(side, point):
    points = {"source": SOURCE, "target": TARGET, "save": SAVE,
              "restore": RESTORE}[side]
    return points.index(point) >= points.index(NO_RETURN[side])


def run(process):
    """What it says in the end."""
    _, err = process.communicate(timeout=crashes.LIMIT)
    return err.decode(errors="replace")


class Case(crashes.Case):
    def __init__(self, tool, faulty, kernel, side, point, action):
        super().__init__(tool, faulty, kernel,
                         "%s.%s=%s" % (side, point, action))
        self.side, self.late = side, is_late(side, point)
        self.status = {}

    def resolve(self, host, peer):
        """Nothing is left to resolve."""
        moves = host.folder + "/moves"
        left = [n for n in os.listdir(moves) if
                n.endswith((".source", ".target"))] if os.path.isdir(
                    moves) else []
        expect("left over: %s" % left, not left)

    def ended(self, process, status):
        name = {"migrate": "source", "receive": "target"}
        self.status[name.get(process.args[1], process.args[1])] = status

    def judge(self):
        host, other = (self.alpha, self.beta)
        if self.late:
            host, other = other, host
        states = [d["state"] for d in host.domains()]
        expect("on %s: %s" % (host.folder[-5:], states), states == ["running"])
        expect("on %s: %s" % (other.folder[-5:], other.domains()),
               other.domains() == [])
        seen = clean_reports(host)
        wait_for("the guest goes on", lambda: clean_reports(host) >= seen + 2)
        self.judge_words()

    def judge_words(self):
        status = dict(self.status)
        asked = status.pop(self.side)
        expect("status of the %s: %d" % (self.side, asked),
               asked == (0 if self.late else 2))
        expect("of the other: %s" % status,
               all((s == 0) == self.late for s in status.values()))
        expect("what it says", (TOO_LATE in self.said) == self.late and
               ("runs on here" in self.said) != self.late)


class Both(Case):
    def move(self):
        process = subprocess.Popen(
            [self.faulty, "migrate", "--host", "embedded:" + self.alpha.folder,
             "g", "embedded:" + self.beta.folder],
            env=dict(os.environ, XENFERRY_FAULT=self.fault),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True)
        self.said = run(process)
        self.ended(process, process.returncode)


class Save(Case):
    def move(self):
        image = self.folder + "/image"
        process = subprocess.Popen(
            [self.faulty, "save", "--host", "embedded:" + self.alpha.folder,
             "g", image], env=dict(os.environ, XENFERRY_FAULT=self.fault),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.said = run(process)
        self.ended(process, process.returncode)
        expect("an image: %s" % self.late, os.path.exists(image) == self.late)
        if self.late:
            expect("gone here", self.alpha.domains() == [])
            subprocess.run([self.tool, "restore", "--quiet", "--host",
                            "embedded:" + self.beta.folder, image], check=True)


class Restore(Case):
    """The image stays, whatever becomes of the guest."""

    def move(self):
        image = self.folder + "/image"
        subprocess.run([self.tool, "save", "--quiet", "--host",
                        "embedded:" + self.alpha.folder, "g", image],
                       check=True)
        process = self.restore(image, self.fault)
        expect("of the guest there: %s" % self.beta.domains(),
               bool(self.beta.domains()) == self.late)
        expect("what it says", (TOO_LATE in self.said) == self.late)
        expect("status: %d" % process.returncode,
               process.returncode == (0 if self.late else 2))
        if not self.late:
            self.late = True
            expect("again", self.restore(image, "").returncode == 0)

    def restore(self, image, fault):
        process = subprocess.Popen(
            [self.faulty, "restore", "--host", "embedded:" + self.beta.folder,
             image], env=dict(os.environ, XENFERRY_FAULT=fault),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.said = run(process)
        return process

    def judge_words(self):
        """Done where they were said."""


class Resolve(crashes.Case):
    """The source is killed at 'stopped'; 'resolve' is asked to stop."""

    def __init__(self, tool, faulty, kernel, stopped, point, action):
        super().__init__(tool, faulty, kernel, stopped + "=self")
        self.point, self.action = point, action

    def resolve(self, host, peer):
        if host is self.alpha:
            out = subprocess.run(
                [self.faulty, "resolve", "--host", "embedded:" + host.folder,
                 "--peer", "embedded:" + peer.folder],
                capture_output=True, timeout=crashes.LIMIT, text=True,
                env=dict(os.environ, XENFERRY_FAULT="%s=%s" %
                         (self.point, self.action)))
            self.said += out.stdout + out.stderr
            expect("it gets there", "at " + self.point in out.stderr)
            expect("resolve, asked to stop: status %d" % out.returncode,
                   out.returncode in (0, 1))
            self.one_at_most()
        super().resolve(host, peer)
        expect("journals", not [n for n in os.listdir(host.folder + "/moves")
                                if n.endswith(".source")])


class Listening(crashes.Case):
    """Nobody connects, or says a word."""

    def __init__(self, tool, faulty, kernel, side):
        super().__init__(tool, faulty, kernel, "")
        self.side = side

    def run(self):
        self.beta = crashes.Host(self.tool, self.folder + "/beta")
        self.hosts = [self.beta]
        address = self.folder + "/socket"
        process = subprocess.Popen(
            [self.faulty, "receive", "--host", "embedded:" + self.beta.folder,
             "--listen", "unix:" + address], stderr=subprocess.PIPE)
        with socket.socket(socket.AF_UNIX) as silent:
            wait_for("the receiver listens", lambda: os.path.exists(address))
            if self.side == "connected":
                silent.connect(address)
                wait_for("it is accepted", lambda: not os.path.exists(address))
            process.send_signal(signal.SIGTERM)
            self.said = run(process)
        expect("status: %d" % process.returncode, process.returncode == 2)
        expect("nothing is there", self.beta.domains() == [])


class Unwritten(crashes.Case):
    """'restore' from a named pipe that nobody writes to."""

    def __init__(self, tool, faulty, kernel):
        super().__init__(tool, faulty, kernel, "")

    def run(self):
        self.beta = crashes.Host(self.tool, self.folder + "/beta")
        self.hosts = [self.beta]
        image = self.folder + "/image"
        os.mkfifo(image)
        process = subprocess.Popen(
            [self.faulty, "restore", "--host", "embedded:" + self.beta.folder,
             image], stderr=subprocess.PIPE)
        wait_for("it has it open", lambda: any(
            os.path.realpath(fd.path) == image
            for fd in os.scandir("/proc/%d/fd" % process.pid)))
        process.send_signal(signal.SIGTERM)
        self.said = run(process)
        expect("status: %d" % process.returncode, process.returncode == 2)
        expect("nothing is there", self.beta.domains() == [])


class Silent(Case):
    """'side' is past the point of no return; the other stands still."""

    def __init__(self, tool, faulty, kernel, side, point, action):
        other = "target" if side == "source" else "source"
        super().__init__(tool, faulty, kernel, other, point, "stop")
        self.side, self.action, self.late = side, action, True
        self.fault = "%s,%s" % (self.fault, action)

    def move(self):
        fault = self.fault.split(",")[0]
        address = "unix:" + self.folder + "/socket"
        target = self.begin(fault, "receive", "--host",
                            "embedded:" + self.beta.folder, "--listen",
                            address, "--wait", "20", "--json")
        wait_for("the receiver listens",
                 lambda: os.path.exists(self.folder + "/socket"))
        source = self.begin(fault, "migrate", "--host",
                            "embedded:" + self.alpha.folder, "--json", "g",
                            address)
        mute, asked = ((target, source) if self.side == "source" else
                       (source, target))
        try:
            wait_for("the other side stands still", lambda: stands(mute))
            self.ask(asked)
            if self.action == "twice":
                # Not the same request any more.
                time.sleep(1)
                asked.send_signal(signal.SIGTERM)
                self.end_of(asked, 3)
            mute.send_signal(signal.SIGCONT)
            # The source is not there to hear that it runs; or to be heard.
            self.end_of(mute, 0 if self.action == "once" else
                        4 if self.side == "source" else 3)
            if self.action == "once":
                self.end_of(asked, 0)
                expect("what it says in the end",
                       TOO_LATE + ", it is complete" in asked.err)
        finally:
            for process in (source, target):
                process.kill()
                process.wait()

    def begin(self, fault, *args):
        process = subprocess.Popen(
            [self.faulty, *args], env=dict(os.environ, XENFERRY_FAULT=fault),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.out = process.err = ""

        def read(name):
            for line in getattr(process, "std" + name):
                setattr(process, name, getattr(process, name) +
                        line.decode(errors="replace"))

        process.readers = [threading.Thread(target=read, args=(name,))
                           for name in ("out", "err")]
        for reader in process.readers:
            reader.start()
        return process

    def ask(self, process):
        """Two signals that are there at once are one request."""
        process.send_signal(signal.SIGSTOP)
        wait_for("it can be asked", lambda: stands(process))
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGCONT)
        wait_for("an answer", lambda: "  Then" in process.err and
                 '"too-late"' in process.out)
        expect("it ends", process.poll() is None)
        state = "released" if self.side == "source" else "ready"
        event = [json.loads(line) for line in process.out.splitlines() if
                 '"too-late"' in line]
        expect("events: %s" % event, len(event) == 1)
        event = event[0]
        expect("event: %s" % event, event["state"] == state and
               event["guest"] == "g" and 0 < event["left_ms"] <= 120000)
        self.command = event["resolve"]
        expect("command: " + self.command, event["move"] in self.command)
        why = TOO_LATE if self.side == "source" else "not to be cancelled here"
        expect("what it says: " + process.err,
               why in process.err and "(state %s)" % state in process.err
               and "at most " in process.err and
               "%s\n" % self.command in process.err)

    def end_of(self, process, status):
        process.wait(timeout=crashes.LIMIT)
        for reader in process.readers:
            reader.join()
        self.said += process.err
        expect("status of %s: %d" % (process.args[1], process.returncode),
               process.returncode == status)

    def resolve(self, host, peer):
        """As the command said, where something is left."""
        if self.action == "twice" and host is self.alpha:
            command = self.command.split()
            expect("command: " + self.command,
                   command[:2] == ["xenferry", "resolve"])
            here = ["--host", "embedded:" + host.folder]
            expect("host: " + self.command,
                   self.side == "target" or command[2:4] == here)
            out = subprocess.run(
                [self.tool, "resolve", *here, "--peer",
                 "embedded:" + peer.folder, command[-1]],
                capture_output=True, timeout=crashes.LIMIT, text=True)
            self.said += out.stdout + out.stderr
            expect("resolve: status %d" % out.returncode, out.returncode == 0)
        super().resolve(host, peer)

    def judge_words(self):
        """Done where they were said."""


def stands(process):
    with open("/proc/%d/stat" % process.pid) as file:
        return file.read().rsplit(") ", 1)[1][0] == "T"


def cases(programs, some):
    points = ([(Case, "source", p) for p in SOURCE] +
              [(Case, "target", p) for p in TARGET] +
              [(Save, "save", p) for p in SAVE] +
              [(Restore, "restore", p) for p in RESTORE] +
              [(Both, "source", p) for p in SOURCE])
    if some:
        points = points[::5] + [(Case, "source", "ready.received"),
                                (Case, "target", "restored"),
                                (Both, "source", "sent.after")]
    number = 0
    for kind, side, point in points:
        action = "ctrlc" if kind is Both else SIGNALS[number % 3]
        number += 1
        case = kind(*programs, side, point, action)
        yield case.fault, case
    for side, point in (("source", "release.received"),
                        ("target", "ready.received")):
        for action in ("once", "twice"):
            case = Silent(*programs, side, point, action)
            yield case.fault, case
    for side in ("waiting", "connected"):
        yield "receive, " + side, Listening(*programs, side)
    yield "restore, of a pipe without a writer", Unwritten(*programs)
    for stopped, points in RESOLVE.items():
        for point in points if not some else points[-2:-1]:
            action = SIGNALS[number % 3]
            number += 1
            yield ("%s=%s after %s" % (point, action, stopped),
                   Resolve(*programs, stopped, point, action))


def main():
    args = sys.argv[1:]
    some = args[0] == "--some"
    only = os.environ.get("XENFERRY_FAULT_ONLY", "")
    return try_all((name, case.try_it) for name, case in
                   cases(args[1:4] if some else args[:3], some)
                   if only in name)


if __name__ == "__main__":
    sys.exit(main())
