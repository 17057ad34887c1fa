#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Kill what can be killed at every step of a hand-over, on the real programs.

  crashes.py [--some] XENFERRY XENFERRY-FAULTY GUEST

For each fault point (before and after each message and each journal write) and
each action - the process there is killed, the connection is cut, the source's
host is killed, the target's host is killed - a guest moves, the crash happens,
a killed host is started again, 'xenferry resolve' runs.  Then exactly one copy
runs, its own checks are clean, and nothing is left over; only a guest whose
host was killed while no other host had a whole copy may be gone.  --some does
one action at each point.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import ERRORS, Wrong, try_all, wait_for  # noqa: E402

SOURCE = ["move.sent", "accept.received", "precopy.before", "precopy.after",
          "stopped.before", "stopped.after", "sent.before", "sent.after",
          "ready.received", "released.before", "released.after",
          "release.sent", "running.received", "gone.before", "gone.after",
          "done.before", "done.after"]
TARGET = ["receiving.before", "receiving.after", "restored", "ready.before",
          "ready.after", "ready.sent", "release.received", "running.before",
          "running.after", "started", "running.sent"]
# Two at once, where one of them only makes the source back out.
PAIRS = ["target.restored=cut,source.kept.before=self",
         "target.restored=cut,source.kept.after=self",
         "target.restored=cut,source.resumed=self",
         "target.ready.before=self,source.kept.after=self"]
# The target's copy is whole from here on / its copy has run from here on.
WHOLE = ({"source." + p for p in SOURCE[SOURCE.index("ready.received"):]} |
         {"target." + p for p in TARGET[TARGET.index("restored"):]})
MAYBE_WHOLE = {"source.sent.before", "source.sent.after"}
HAS_RUN = ({"source." + p for p in SOURCE[SOURCE.index("running.received"):]} |
           {"target.started", "target.running.sent"})
CMDLINE = "report_ms=100 mem=1M rate=2000 disk=on disk_rate=300"
LIMIT = 60


class Host:
    def __init__(self, tool, folder):
        self.tool, self.folder = tool, folder
        self.start()

    def start(self):
        subprocess.run([self.tool, "host", "start", self.folder], check=True,
                       stdout=subprocess.DEVNULL)
        info = subprocess.run([self.tool, "host", "info", "--json",
                               self.folder], check=True, capture_output=True)
        self.pid = json.loads(info.stdout)["pid"]

    def alive(self):
        return subprocess.run([self.tool, "host", "info", self.folder],
                              capture_output=True).returncode == 0

    def domains(self):
        out = subprocess.run([self.tool, "domain", "list", "--json", "--host",
                              self.folder], check=True, capture_output=True)
        return json.loads(out.stdout)

    def stop(self):
        subprocess.run([self.tool, "host", "stop", "--force", self.folder],
                       capture_output=True)

    def console(self):
        try:
            with open(self.folder + "/g.console", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def log(self):
        try:
            with open(self.folder + "/log", errors="replace") as file:
                return file.read()[-600:]
        except FileNotFoundError:
            return ""


def clean_reports(host):
    text = host.console()
    if "FAIL" in text or "PANIC" in text:
        raise Wrong("the guest: " + text[-600:])
    return text.count("result=ok\n")


class Case:
    def __init__(self, tool, faulty, kernel, fault):
        self.tool, self.faulty, self.kernel = tool, faulty, kernel
        self.fault = fault
        self.folder = tempfile.mkdtemp(prefix="xenferry-crash-")
        self.hosts = []
        self.said = ""

    def run(self):
        f = self.folder
        self.alpha, self.beta = [Host(self.tool, f + "/" + name)
                                 for name in ("alpha", "beta")]
        self.hosts = [self.alpha, self.beta]
        with open(f + "/disk.img", "wb") as disk:
            disk.truncate(16 << 20)
        subprocess.run([self.tool, "domain", "create", "--host",
                        self.alpha.folder, "--kernel", self.kernel, "--memory",
                        "16", "--vcpus", "2", "--disk", f + "/disk.img",
                        "--cmdline", CMDLINE, "g"], check=True,
                       stdout=subprocess.DEVNULL)
        wait_for("the guest boots", lambda: clean_reports(self.alpha) >= 3)
        self.move()
        self.one_at_most()
        lost_host = [h for h in self.hosts if not h.alive()]
        for host in lost_host:
            host.start()
        self.resolve(self.alpha, self.beta)
        self.resolve(self.beta, self.alpha)
        self.judge()

    def try_it(self):
        try:
            self.run()
        except ERRORS as wrong:
            text = "%s\n%s" % (wrong, self.said)
            for host in self.hosts:
                text += "\n%s log: %s" % (host.folder[-5:], host.log())
            raise Wrong(text) from wrong
        finally:
            self.end()

    def move(self):
        point, action = self.fault.split(",")[0].split("=")
        fault = self.fault
        if action in ("alpha", "beta"):
            host = self.alpha if action == "alpha" else self.beta
            fault = "%s=%d" % (point, host.pid)
        env = dict(os.environ, XENFERRY_FAULT=fault)
        address = "unix:" + self.folder + "/socket"
        target = subprocess.Popen(
            [self.faulty, "receive", "--host", "embedded:" + self.beta.folder,
             "--listen", address, "--wait", "20"], env=env,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_for("the receiver listens",
                 lambda: os.path.exists(self.folder + "/socket"))
        source = subprocess.Popen(
            [self.faulty, "migrate", "--host", "embedded:" + self.alpha.folder,
             "g", address], env=env,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for process in (source, target):
            try:
                _, err = process.communicate(timeout=LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                _, err = process.communicate()
                raise Wrong("a side hangs: " + err.decode()[-400:])
            self.said += err.decode(errors="replace")
            self.ended(process, process.returncode)

    def ended(self, process, status):
        """For who wants to know."""

    def running(self):
        return [h for h in self.hosts if h.alive() and
                any(d["state"] == "running" for d in h.domains())]

    def one_at_most(self):
        if len(self.running()) > 1:
            raise Wrong("two copies run")

    def resolve(self, host, peer):
        out = subprocess.run(
            [self.tool, "resolve", "--host", "embedded:" + host.folder,
             "--peer", "embedded:" + peer.folder], capture_output=True,
            timeout=LIMIT, text=True)
        self.said += out.stdout + out.stderr
        if out.returncode not in (0, 3):
            raise Wrong("resolve: status %d" % out.returncode)

    def may_be_lost(self):
        point, action = self.fault.split(",")[0].split("=")
        if action == "alpha":
            return point not in WHOLE
        return action == "beta" and point in HAS_RUN

    def judge(self):
        running = self.running()
        self.one_at_most()
        left = [(h.folder[-5:], d["state"], d.get("stop_reason", ""))
                for h in self.hosts for d in h.domains()]
        if not running and self.may_be_lost() and not left:
            return
        if len(left) != 1 or not running:
            raise Wrong("left over: %s" % left)
        host = running[0]
        seen = clean_reports(host)
        wait_for("the guest goes on", lambda: clean_reports(host) >= seen + 2)
        for other in self.hosts:
            clean_reports(other)

    def end(self):
        for host in self.hosts:
            host.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def faults(some):
    points = (["source." + p for p in SOURCE] + ["target." + p for p in TARGET])
    actions = ["self", "cut", "alpha", "beta"]
    for i, point in enumerate(points):
        for action in actions if not some else [actions[i % 4]]:
            yield "%s=%s" % (point, action)
    yield from PAIRS[:1] if some else PAIRS


def main():
    args = sys.argv[1:]
    some = args[0] == "--some"
    tool, faulty, kernel = args[1:4] if some else args[:3]
    only = os.environ.get("XENFERRY_FAULT_ONLY")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    return try_all((fault.replace(",", " "),
                    Case(tool, faulty, kernel, fault).try_it)
                   for fault in faults(some) if not only or only in fault)


if __name__ == "__main__":
    sys.exit(main())
