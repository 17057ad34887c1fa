#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests of one host that share event channels and pages with each other.

  peers.py XENFERRY GUEST
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import Wrong, expect, try_scenes, wait_for  # noqa: E402

LIMIT = 60


class Guest:
    def __init__(self, scene, name, words):
        self.scene, self.name = scene, name
        scene.run("domain", "create", "--host", scene.host, "--kernel",
                  scene.kernel, "--memory", "16", "--vcpus", "2", "--cmdline",
                  "report_ms=100 mem=1M " + words, name)
        wait_for(name + " boots", lambda: self.checks() > 1)

    def log(self):
        with open("%s/%s.console" % (self.scene.host, self.name),
                  errors="replace") as file:
            return file.read()

    def checks(self):
        """Reports so far, all of them clean."""
        text = self.log()
        if "FAIL" in text or "PANIC" in text:
            raise Wrong(re.search(".*(FAIL|PANIC).*", text).group())
        return text.count("result=ok")

    def lives(self):
        """It reports again, twice."""
        before = self.checks()
        wait_for(self.name + " reports", lambda: self.checks() > before + 1)

    def show(self):
        return json.loads(self.scene.run(
            "domain", "show", "--json", "--host", self.scene.host,
            self.name).stdout)

    def domid(self):
        return self.show()["domain"]["domid"]

    def ask(self, command, answer):
        """Types a line; the match of what comes back."""
        start = len(self.log())
        self.scene.run("domain", "console", "--type", command, "--host",
                       self.scene.host, self.name)
        wait_for("%s answers '%s': %s" % (self.name, command,
                                          self.log()[start:][-300:]),
                 lambda: re.search(answer, self.log()[start:]))
        return re.search(answer, self.log()[start:])

    def rounds(self):
        return int(self.ask("report", r"info peer=.* rounds=(\d+)").group(1))

    def plays(self, rounds=10):
        before = self.rounds()
        wait_for(self.name + " plays on",
                 lambda: self.rounds() >= before + rounds)

    def port_of_peer(self, domid):
        return [p for p in self.show()["ports"]
                if p.get("remote_domid") == domid]

    def end(self):
        self.scene.run("domain", "destroy", "--host", self.scene.host,
                       self.name)


class Scene:
    def __init__(self, tool, kernel):
        self.tool, self.kernel = tool, kernel
        self.folder = tempfile.mkdtemp(prefix="xenferry-peers-")
        self.host = self.folder + "/host"
        self.run("host", "start", self.host)

    def run(self, *args, check=True):
        return subprocess.run([self.tool, *args], check=check, timeout=LIMIT,
                              capture_output=True, text=True)

    def end(self):
        self.run("host", "stop", "--force", self.host, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def pair(self, words="", names=("l", "m")):
        """One that lends, one that has mapped, and a ball between them."""
        lender, mapper = (Guest(self, name, words) for name in names)
        connect(lender, mapper)
        return lender, mapper

    def save(self, guest):
        return self.run("save", "--host", "embedded:" + self.host, guest.name,
                        self.folder + "/image", check=False)


def connect(lender, mapper):
    port = lender.ask("peer offer %d" % mapper.domid(),
                      r"ok peer offer port=(\d+)").group(1)
    mapper.ask("peer join %d %s" % (lender.domid(), port), "ok peer join")


def part(lender, mapper):
    mapper.ask("peer part", "ok peer part")
    lender.ask("peer part", "ok peer part")


# ---- the cases --------------------------------------------------------------


def two_guests_play(scene):
    lender, mapper = scene.pair()
    mapper.plays()
    lender.plays()
    (there,), (here,) = (lender.port_of_peer(mapper.domid()),
                         mapper.port_of_peer(lender.domid()))
    expect("the ports name each other: %s %s" % (there, here),
           there["state"] == here["state"] == "interdomain" and
           there["remote_port"] == here["port"] and
           here["remote_port"] == there["port"])
    maps = mapper.show()["grant_maps"]
    expect("what is mapped is shown: %s" % maps,
           [(m["domid"], m["grant"], m["writable"]) for m in maps] ==
           [(lender.domid(), 10, True), (lender.domid(), 11, False)])
    expect("and whose it is", lender.show()["grants_mapped"] == 2)
    part(lender, mapper)
    expect("nothing is mapped any more",
           lender.show()["grants_mapped"] == 0 and
           mapper.show()["grant_maps"] == [])
    lender.lives()
    mapper.lives()


def without_rest_both_ways_with_2_level(scene):
    lender, mapper = scene.pair("ping=storm evtchn=2l")
    mapper.plays(40)
    lender.plays(40)


def two_pairs_at_once(scene):
    first, second = scene.pair("ping=storm")
    third, fourth = Guest(scene, "x", ""), Guest(scene, "y", "")
    connect(fourth, third)
    for guest in (first, second, third, fourth):
        guest.plays(20)


def they_come_and_go(scene):
    lender, mapper = scene.pair("ping=storm")
    for _ in range(4):
        mapper.plays(10)
        part(lender, mapper)
        connect(mapper, lender)
        lender.plays(10)
        part(mapper, lender)
        connect(lender, mapper)
    lender.lives()


def who_has_a_peer_is_not_saved_or_moved(scene):
    lender, mapper = scene.pair()
    target = scene.folder + "/target"
    scene.run("host", "start", target)
    try:
        for guest, other in ((lender, mapper), (mapper, lender)):
            says = "of domain %d, which would stay behind" % other.domid()
            for result in (scene.save(guest), scene.run(
                    "migrate", "--host", "embedded:" + scene.host, guest.name,
                    "embedded:" + target, check=False)):
                expect("%s stays: %s" % (guest.name, result),
                       result.returncode != 0 and says in result.stderr)
        expect("no half an image", not os.path.exists(scene.folder + "/image"))
        mapper.plays()
        lender.plays()
        part(lender, mapper)
        result = scene.save(lender)
        expect("it goes once it has none: %s" % result, result.returncode == 0)
    finally:
        scene.run("host", "stop", "--force", target, check=False)


def a_page_that_is_only_mapped_ties_as_well(scene):
    lender, mapper = scene.pair()
    mapper.plays()
    mapper.ask("pause", "ok pause")
    # The lender closes its port, and cannot take its pages back.
    lender.ask("peer part", "refused peer part rc=1")
    lender.lives()
    mapper.ask("peer part", "ok peer part")
    lender.ask("peer part", "ok peer part")


def a_lender_ends(scene):
    lender, mapper = scene.pair()
    mapper.plays()
    mapper.ask("pause", "ok pause")
    gone = lender.domid()
    lender.end()
    mapper.lives()
    (port,) = mapper.port_of_peer(gone)
    expect("the port waits for it again: %s" % port,
           port["state"] == "unbound")
    expect("the pages are there", len(mapper.show()["grant_maps"]) == 2)
    mapper.ask("peer part", "ok peer part")
    expect("now it may go", scene.save(mapper).returncode == 0)


def a_mapper_ends(scene):
    lender, mapper = scene.pair()
    mapper.plays()
    mapper.end()
    lender.lives()
    expect("nothing of it is mapped", lender.show()["grants_mapped"] == 0)
    lender.ask("peer part", "ok peer part")
    another = Guest(scene, "n", "")
    connect(lender, another)
    another.plays()


def one_is_paused_meanwhile(scene):
    lender, mapper = scene.pair()
    mapper.plays()
    scene.run("domain", "pause", "--host", scene.host, "l")
    mapper.lives()
    scene.run("domain", "unpause", "--host", scene.host, "l")
    mapper.plays()


def guests_end_in_the_middle_of_it(scene):
    for turn in range(4):
        lender, mapper = scene.pair("ping=storm",
                                    ("l%d" % turn, "m%d" % turn))
        mapper.plays(40)
        for guest in (lender, mapper)[::1 if turn % 2 else -1]:
            guest.end()
    Guest(scene, "last", "").lives()


CASES = (two_guests_play, without_rest_both_ways_with_2_level,
         two_pairs_at_once, they_come_and_go,
         who_has_a_peer_is_not_saved_or_moved,
         a_page_that_is_only_mapped_ties_as_well, a_lender_ends, a_mapper_ends,
         one_is_paused_meanwhile, guests_end_in_the_middle_of_it)


if __name__ == "__main__":
    sys.exit(try_scenes(CASES, lambda: Scene(*sys.argv[1:3])))
