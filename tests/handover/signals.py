#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Ask a move to stop at every step of it, on the real programs.

  signals.py [--some] XENFERRY XENFERRY-FAULTY GUEST

For each fault point one side gets a signal there.  Before the hand-over's point
of no return the guest goes on at the source and nothing is left over; from
there on the move completes.  Either way both commands end by themselves, with
the status and the words that belong to it, and no journal stays.  The same when
the receiver is the source's child and both get the signal, as from a terminal;
and for 'save', whose point of no return is the image getting its name.
"""
import os
import subprocess
import sys

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
TARGET = ["receiving.before", "receiving.after", "memory", "state", "restored",
          "ready.before", "ready.after", "ready.sent", "release.received",
          "running.before", "running.after", "started", "running.sent"]
SAVE = ["suspended", "written", "committed", "finished"]
NO_RETURN = {"source": "released.before", "target": "ready.before",
             "save": "committed"}
SIGNALS = ["int", "term", "hup"]
TOO_LATE = "too late to cancel"


def is_late(side, point):
    points = {"source": SOURCE, "target": TARGET, "save": SAVE}[side]
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
        self.status[{"migrate": "source", "receive": "target",
                     "save": "save"}[process.args[1]]] = status

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


def cases(programs, some):
    only = os.environ.get("XENFERRY_FAULT_ONLY", "")
    points = ([(Case, "source", p) for p in SOURCE] +
              [(Case, "target", p) for p in TARGET] +
              [(Save, "save", p) for p in SAVE] +
              [(Both, "source", p) for p in SOURCE])
    if some:
        points = points[::5] + [(Case, "source", "ready.received"),
                                (Case, "target", "restored"),
                                (Both, "source", "sent.after")]
    number = 0
    for kind, side, point in points:
        action = "ctrlc" if kind is Both else SIGNALS[number % 3]
        if only in "%s.%s=%s" % (side, point, action):
            number += 1
            case = kind(*programs, side, point, action)
            yield case.fault, case.try_it


def main():
    args = sys.argv[1:]
    some = args[0] == "--some"
    return try_all(cases(args[1:4] if some else args[:3], some))


if __name__ == "__main__":
    sys.exit(main())
