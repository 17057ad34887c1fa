#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Moves of a working guest between two embedded hosts, from the command line.

  move.py XENFERRY XENFERRY-FAULTY GUEST

Transports, events, cancelling, guests that do not settle, the bandwidth cap,
zero pages, and guests that stay paused.  A slow link makes precopy last as long
as a case needs: nothing here depends on how fast the machine is.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import tap  # noqa: E402
from tap import Wrong, expect  # noqa: E402

LIMIT = 120
# 2 MiB that a guest writes all over, faster than the link takes them.
BUSY = "report_ms=100 mem=2M rate=4096"
SLOW = ["--bandwidth", "2"]


def wait_for(what, condition):
    tap.wait_for(what, condition, LIMIT)


def read_all(path):
    with open(path, errors="replace") as file:
        return file.read()


def journals(host):
    try:
        return [n for n in os.listdir(host + "/moves")
                if n.endswith((".source", ".target"))]
    except FileNotFoundError:
        return []


class Scene:
    """Two hosts, and a guest on the first."""

    def __init__(self, tool, faulty, kernel):
        self.tool, self.faulty, self.kernel = tool, faulty, kernel
        self.folder = tempfile.mkdtemp(prefix="xenferry-move-")
        self.alpha = self.folder + "/alpha"
        self.beta = self.folder + "/beta"
        for host in (self.alpha, self.beta):
            self.run("host", "start", host)

    def run(self, *args, check=True):
        return subprocess.run([self.tool, *args], check=check, timeout=LIMIT,
                              capture_output=True, text=True)

    def create(self, cmdline=BUSY, memory=16):
        self.run("domain", "create", "--host", self.alpha, "--kernel",
                 self.kernel, "--memory", str(memory), "--cmdline", cmdline,
                 "g")
        wait_for("the guest boots", lambda: self.reports(self.alpha) >= 3)

    def reports(self, host):
        try:
            with open(host + "/g.console", errors="replace") as file:
                text = file.read()
        except FileNotFoundError:
            return 0
        expect("the guest: " + text[-400:],
               "FAIL" not in text and "PANIC" not in text)
        return text.count("result=ok\n")

    def states(self, host):
        out = self.run("domain", "list", "--json", "--host", host)
        return [d["state"] for d in json.loads(out.stdout)]

    def tty(self, host):
        out = self.run("domain", "show", "--json", "--host", host, "g")
        return json.loads(out.stdout)["domain"]["console_tty"]

    def runs_on(self, host, other):
        """There, going on, and nowhere else; no journal is left."""
        expect("on %s: %s" % (host[-5:], self.states(host)),
               self.states(host) == ["running"])
        expect("on %s: %s" % (other[-5:], self.states(other)),
               self.states(other) == [])
        seen = self.reports(host)
        wait_for("the guest goes on", lambda: self.reports(host) >= seen + 2)
        for folder in (host, other):
            expect("left over: %s" % journals(folder), not journals(folder))

    def migrate(self, *options, to=None):
        """Status, events, and what was said."""
        out = self.run("migrate", "--json", "--host",
                       "embedded:" + self.alpha, *options, "g",
                       to or "embedded:" + self.beta, check=False)
        return (out.returncode, [json.loads(l) for l in
                                 out.stdout.splitlines()], out.stderr)

    def end(self):
        for host in (self.alpha, self.beta):
            self.run("host", "stop", "--force", host, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def report_of(events):
    return [e for e in events if e["event"] == "report"][0]


def progress_of(events, phase="precopy"):
    return [e for e in events
            if e["event"] == "progress" and e["phase"] == phase]


# ---- cases


def listen_and_migrate(s, address):
    s.create()
    with subprocess.Popen([s.tool, "receive", "--quiet", "--host", "embedded:" +
                           s.beta, "--listen", address, "--wait", "60"],
                          stderr=subprocess.PIPE) as receiver:
        if address.startswith("unix:"):
            wait_for("it listens", lambda: os.path.exists(address[5:]))
        status, said = None, ""
        for _ in range(200):
            status, _, said = s.migrate(to=address)
            if status == 0 or "refused" not in said:
                break
            time.sleep(0.05)
        expect("migrate: %s %s" % (status, said), status == 0)
        expect("receive", receiver.wait(LIMIT) == 0)
    s.runs_on(s.beta, s.alpha)


def by_unix_socket(s):
    listen_and_migrate(s, "unix:" + s.folder + "/socket")


def by_tcp(s):
    port = 20000 + os.getpid() % 20000
    listen_and_migrate(s, "tcp:127.0.0.1:%d" % port)


def by_command(s):
    s.create()
    status, _, said = s.migrate(to="cmd:exec '%s' receive --quiet --host "
                                "'embedded:%s'" % (s.tool, s.beta))
    expect("migrate: %s %s" % (status, said), status == 0)
    s.runs_on(s.beta, s.alpha)


def events_say_how_it_goes(s):
    s.create()
    status, events, said = s.migrate("--max-rounds", "3", "--downtime", "0",
                                     "--not-converging", "keep-trying",
                                     "--bandwidth", "8")
    expect("migrate: %s %s" % (status, said), status == 0)
    rounds = progress_of(events)
    for name in ("phase", "round", "bytes", "pages", "zero_pages", "rate",
                 "dirty_pages", "dirty_rate", "elapsed_ms", "time_ms"):
        expect("no %s in each: %s" % (name, rounds),
               all(name in e for e in rounds))
    expect("rounds", {e["round"] for e in rounds} >= {1, 2, 3})
    expect("octets never go back",
           all(a["bytes"] <= b["bytes"] for a, b in zip(rounds, rounds[1:])))
    expect("a rate", any(e["rate"] > 0 for e in rounds))
    expect("a dirty rate", any(e["dirty_rate"] > 0 for e in rounds))
    expect("a predicted downtime",
           any(e.get("downtime_ms", -1) > 0 for e in rounds))
    expect("time left", any(e.get("left_ms", -1) >= 0 for e in rounds))
    report = report_of(events)
    for part in ("stop", "final", "state", "handover", "resume"):
        expect(part, report[part + "_us"] >= 0)
    parts = sum(report[p + "_us"] for p in ("stop", "final", "state",
                                            "handover", "resume"))
    expect("the parts are the whole",
           abs(parts - report["blackout_us"]) <= 5)
    expect("three rounds", report["rounds"] == 3)
    s.runs_on(s.beta, s.alpha)


def zero_pages_are_only_counted(s):
    s.create("report_ms=100 mem=64K", memory=256)
    status, events, said = s.migrate()
    expect("migrate: %s %s" % (status, said), status == 0)
    report = report_of(events)
    expect("zeroes: %s" % report, report["zero_pages"] > 60000)
    # Twice the pages that have something in them, and their numbers.
    rest = (report["pages"] - report["zero_pages"]) * 4096
    expect("octets: %s" % report,
           report["bytes"] < 2 * rest + report["pages"] * 16 + (1 << 20))
    s.runs_on(s.beta, s.alpha)


def the_cap_holds(s):
    s.create()
    status, events, said = s.migrate("--bandwidth", "4", "--max-rounds", "2",
                                     "--downtime", "0")
    expect("migrate: %s %s" % (status, said), status == 0)
    report = report_of(events)
    live = report["bytes"] - report["rest_pages"] * 4104 - (1 << 20)
    seconds = (report["elapsed_us"] - report["blackout_us"]) / 1e6
    # A slow machine only takes longer; a tenth may go at once after a pause.
    expect("%d octets in %.2f s" % (live, seconds),
           live > (1 << 19) and live <= (4 << 20) * (seconds + 0.1))
    s.runs_on(s.beta, s.alpha)


def cancel_after(s, moments):
    """SIGINT when so many lines of progress have been seen."""
    with subprocess.Popen(
            [s.tool, "migrate", "--json", "--host", "embedded:" + s.alpha,
             *SLOW, "--max-rounds", "1000", "--not-converging", "keep-trying",
             "--downtime", "0", "g", "embedded:" + s.beta],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True) as source:
        seen = 0
        for line in source.stdout:
            event = json.loads(line)
            expect("it is over: " + line, event.get("phase") != "final")
            seen += event.get("phase") == "precopy"
            if seen >= moments or (moments < 0 and
                                   event.get("step") == "check"):
                break
        source.send_signal(signal.SIGINT)
        rest, said = source.communicate(timeout=LIMIT)
    expect("status %d: %s" % (source.returncode, said),
           source.returncode == 2)
    expect("outcome", '"outcome":"kept"' in rest)
    expect("what it says: " + said, "runs on here" in said)
    wait_for("the target is clean", lambda: s.states(s.beta) == [])
    wait_for("its journal goes", lambda: not journals(s.beta))
    s.runs_on(s.alpha, s.beta)


def cancelled_at_any_moment(s):
    s.create()
    for moments in (-1, 1, 2, 6, 12):
        cancel_after(s, moments)
    # And it can still move.
    status, _, said = s.migrate()
    expect("migrate: %s %s" % (status, said), status == 0)
    s.runs_on(s.beta, s.alpha)


def not_settling_stops(s):
    s.create()
    status, events, said = s.migrate(*SLOW, "--downtime", "0",
                                     "--max-rounds", "50")
    expect("migrate: %s %s" % (status, said), status == 0)
    expect("rounds: %s" % report_of(events),
           1 < report_of(events)["rounds"] < 50)
    expect("pages left", report_of(events)["rest_pages"] >= 50)
    s.runs_on(s.beta, s.alpha)


def not_settling_cancels(s):
    s.create()
    status, events, said = s.migrate(*SLOW, "--downtime", "0", "--max-rounds",
                                     "50", "--not-converging", "cancel")
    expect("migrate: %s %s" % (status, said), status in (1, 2))
    expect("it never stood: %s" % events, not progress_of(events, "suspend"))
    expect("what it says: " + said, "pages left after" in said)
    wait_for("the target is clean", lambda: s.states(s.beta) == [])
    wait_for("its journal goes", lambda: not journals(s.beta))
    s.runs_on(s.alpha, s.beta)


def not_settling_keeps_trying(s):
    s.create()
    status, events, said = s.migrate(*SLOW, "--downtime", "0", "--max-rounds",
                                     "6", "--not-converging", "keep-trying")
    expect("migrate: %s %s" % (status, said), status == 0)
    expect("rounds: %s" % report_of(events), report_of(events)["rounds"] == 6)
    s.runs_on(s.beta, s.alpha)


def type_on(s, typed, wrong, over):
    """Numbered lines to whichever host has the guest."""
    at, number = 0, 1000
    while not over.is_set():
        out = s.run("domain", "console", "--host", (s.alpha, s.beta)[at % 2],
                    "--type", "rate %d" % number, "g", check=False)
        if out.returncode == 0:
            typed.append("ok rate %d" % number)
            number += 1
        else:
            if " octets" in out.stderr:
                wrong.append(out.stderr)
            at += 1


def a_transaction_is_open(s):
    """What it holds stays behind: it conflicts, and the next one does not."""

    def answers(host, verb):
        return [l for l in read_all(host + "/g.console").split("\n")[:-1]
                if l.startswith("tx " + verb)]

    def ask(host, verb, answer):
        already = len(answers(host, verb))
        s.run("domain", "console", "--host", host, "--type", "tx " + verb, "g")
        wait_for("tx " + verb, lambda: len(answers(host, verb)) > already)
        last = answers(host, verb)[-1]
        expect("%s, expected %s" % (last, answer), last.endswith(" " + answer))

    s.create()
    # A move that is called off once the store was quiesced changes nothing.
    ask(s.alpha, "start", "ok")
    ask(s.alpha, "write", "ok")
    env = dict(os.environ, XENFERRY_FAULT="source.sent.after=int")
    out = subprocess.run([s.faulty, "migrate", "--host", "embedded:" + s.alpha,
                          "g", "embedded:" + s.beta], env=env, check=False,
                         timeout=LIMIT, capture_output=True, text=True)
    expect("cancelled: " + out.stderr, out.returncode == 2)
    ask(s.alpha, "read", "ENOENT")
    ask(s.alpha, "commit", "ok")
    ask(s.alpha, "read", "ok")

    ask(s.alpha, "start", "ok")
    status, _, said = s.migrate()
    expect("migrate: %s %s" % (status, said), status == 0)
    ask(s.beta, "write", "ok")
    ask(s.beta, "commit", "EAGAIN")
    ask(s.beta, "commit", "ENOENT")
    ask(s.beta, "read", "ok")
    ask(s.beta, "start", "ok")
    ask(s.beta, "write", "ok")
    ask(s.beta, "commit", "ok")

    ask(s.beta, "start", "ok")
    ask(s.beta, "write", "ok")
    image = s.folder + "/image"
    s.run("save", "--host", "embedded:" + s.beta, "g", image)
    inside = s.run("inspect", "--json", image).stdout
    expect("inspect", re.search('"transaction": *[0-9]', inside))
    s.run("restore", "--host", "embedded:" + s.alpha, image)
    ask(s.alpha, "abort", "ok")
    ask(s.alpha, "commit", "ENOENT")
    s.runs_on(s.alpha, s.beta)


def what_is_typed_moves_along(s):
    """Lines typed all the time, over moves to and fro: each is read once."""
    s.create()
    here, there = s.alpha, s.beta
    typed, wrong, over = [], [], threading.Event()
    begin = {s.alpha: 0, s.beta: 0}
    text, moments = "", []
    typist = threading.Thread(target=type_on, args=(s, typed, wrong, over))
    typist.start()
    try:
        for _ in range(6):
            wait_for("it is typed", lambda: len(typed) > len(moments) * 5)
            out = s.run("migrate", "--host", "embedded:" + here, "g",
                        "embedded:" + there, check=False)
            expect("migrate: " + out.stderr, out.returncode == 0)
            moments.append(len(typed))
            # A line may have begun on one host and ended on the other.
            log = read_all(here + "/g.console")
            text += log[begin[here]:]
            begin[here] = len(log)
            here, there = there, here
    finally:
        over.set()
        typist.join()
    expect("half lines: %s" % wrong, not wrong)

    def answers():
        whole = text + read_all(here + "/g.console")[begin[here]:]
        return re.findall("ok rate [0-9]+(?=\n)", whole)

    wait_for("they are answered", lambda: typed[-1] in answers())
    expect("typed %s, answered %s" % (typed, answers()), answers() == typed)
    s.runs_on(here, there)


def the_log_goes_on(s):
    """What it printed before it left is there when it comes back."""
    s.create()
    first = read_all(s.alpha + "/g.console").splitlines()[0]
    for here, there in ((s.alpha, s.beta), (s.beta, s.alpha)):
        tty = s.tty(here)
        out = s.run("migrate", "--host", "embedded:" + here, "g",
                    "embedded:" + there, check=False)
        expect("migrate: " + out.stderr, out.returncode == 0)
        expect("a terminal there: %s" % s.tty(there),
               os.path.exists(s.tty(there)))
        expect("the old one is gone", s.tty(there) == tty or
               not os.path.exists(tty))
        s.runs_on(there, here)
    log = read_all(s.alpha + "/g.console")
    expect("the log begins anew: " + log[:80], log.splitlines()[0] == first)
    # 'domain console' shows what it printed since it came.
    shown = s.run("domain", "console", "--host", s.alpha, "g").stdout
    expect("all of it is shown", shown and shown in
           read_all(s.alpha + "/g.console") and not shown.startswith(first))


def stays_paused(s):
    s.create()
    status, _, said = s.migrate("--pause")
    expect("migrate: %s %s" % (status, said), status == 0)
    expect("there: %s" % s.states(s.beta), s.states(s.beta) == ["paused"])
    s.run("domain", "unpause", "--host", s.beta, "g")
    s.runs_on(s.beta, s.alpha)


def stays_paused_after_a_crash(s):
    """The receiver is killed when it is released; resolve does not start it."""
    s.create()
    address = "unix:" + s.folder + "/socket"
    env = dict(os.environ, XENFERRY_FAULT="target.release.received=self")
    with subprocess.Popen([s.faulty, "receive", "--host", "embedded:" + s.beta,
                           "--listen", address, "--wait", "60"], env=env,
                          stderr=subprocess.DEVNULL):
        wait_for("it listens", lambda: os.path.exists(address[5:]))
        status, _, said = s.migrate("--pause", to=address)
    expect("migrate: %s %s" % (status, said), status == 3)
    out = s.run("resolve", "--host", "embedded:" + s.alpha, "--peer",
                "embedded:" + s.beta)
    expect("resolve: " + out.stdout + out.stderr,
           s.states(s.beta) == ["paused"])
    s.run("domain", "unpause", "--host", s.beta, "g")
    s.runs_on(s.beta, s.alpha)


CASES = [by_unix_socket, by_tcp, by_command, events_say_how_it_goes,
         zero_pages_are_only_counted, the_cap_holds, cancelled_at_any_moment,
         not_settling_stops, not_settling_cancels, not_settling_keeps_trying,
         a_transaction_is_open, what_is_typed_moves_along, the_log_goes_on,
         stays_paused, stays_paused_after_a_crash]


def main():
    only = os.environ.get("XENFERRY_MOVE_ONLY", "")
    return tap.try_scenes([c for c in CASES if only in c.__name__],
                          lambda: Scene(*sys.argv[1:4]))


if __name__ == "__main__":
    sys.exit(main())
