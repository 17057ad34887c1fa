# SPDX-License-Identifier: GPL-2.0-or-later
"""One emulated machine: QEMU's command line, its monitor, its life.

Two faults of QEMU's software emulation shape the command line and the guests'
configuration (lab.md tells the story): there are always at least two CPUs so
that HVM and PVH guests can keep off CPU 0, and the CPU model has no XSAVE.
"""

import json
import os
import re
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

from .common import Deadline, LabError, die_with_parent

CPU = "qemu64,+svm,+npt"
CPUS = 2
MEMORY = 3072
# Mitigations guard against real processors; in emulation they only cost.
XEN_ARGS = ("console=com1 com1=115200 dom0_mem=1024M,max:1024M noreboot "
            "loglvl=all guest_loglvl=all spec-ctrl=no")
DOM0_ARGS = "console=hvc0 net.ifnames=0 quiet mitigations=off"
AGENT_PORT = 7
SHARED_SLOTS = 4
SHARED_SECTORS = 64 * 2048


def version():
    """QEMU's version line: a snapshot is only good for the same one."""
    done = subprocess.run(["qemu-system-x86_64", "--version"],
                          stdout=subprocess.PIPE, check=True, timeout=20)
    return done.stdout.decode().splitlines()[0]


def machine_args(memory, cpus, xen_args):
    """The part of the command line that a snapshot depends on."""
    return ["-accel", "tcg,thread=multi", "-cpu", CPU, "-smp", str(cpus),
            "-m", str(memory), "-kernel", "xen",
            "-initrd", f"vmlinuz {DOM0_ARGS},initrd",
            "-append", " ".join([XEN_ARGS, *xen_args]),
            "-display", "none", "-vga", "none", "-no-reboot",
            "-nodefaults", "-no-user-config"]


def make_shared_disk(path):
    """The disk that both hosts see: four partitions for guests' disks.

    Both QEMUs go through this machine's page cache, so that what one host
    wrote, the other reads.
    """
    table = bytearray(512)
    for i in range(SHARED_SLOTS):
        struct.pack_into("<B3xB3xII", table, 446 + 16 * i, 0, 0x83,
                         2048 + i * SHARED_SECTORS, SHARED_SECTORS)
    table[510:] = b"\x55\xaa"
    with open(path, "wb") as disk:
        disk.write(table)
        disk.truncate(512 * (2048 + SHARED_SLOTS * SHARED_SECTORS))


def device_args(disk, folder, link):
    """Disks, agent's network card, the private network, the side path."""
    mode = {"listen": "on", "connect": "off"}[link["mode"]]
    wait = ",wait=off" if mode == "on" else ""
    return [
        "-drive", f"file={disk},if=none,id=disk,format=qcow2,cache=unsafe,"
                  "discard=unmap,detect-zeroes=unmap",
        "-device", "virtio-blk-pci,drive=disk",
        "-drive", f"file={link['disk']},if=none,id=shared,format=raw,"
                  "cache=unsafe,file.locking=off",
        "-device", "virtio-blk-pci,drive=shared,share-rw=on",
        "-netdev", f"user,id=agent,restrict=on,"
                   f"hostfwd=tcp:127.0.0.1:0-10.0.2.15:{AGENT_PORT}",
        "-device", "virtio-net-pci,netdev=agent,romfile=",
        "-netdev", f"stream,id=link,server={mode},addr.type=unix,"
                   f"addr.path={link['net']}",
        "-device", "virtio-net-pci,netdev=link,romfile=",
        "-device", "virtio-serial-pci",
        "-chardev", f"socket,id=side,path={link['side']},server={mode}{wait}",
        "-device", "virtserialport,chardev=side,name=side",
        "-serial", f"file:{folder}/xen.log",
        "-qmp", f"unix:{folder}/qmp,server=on,wait=off",
    ]


def device_kinds():
    """device_args() without its paths: a snapshot is only good for these."""
    link = {"mode": "listen", "net": "-", "side": "-", "disk": "-"}
    return "\0".join(device_args("-", "-", link))


class Qmp:
    """QEMU's monitor, for the few commands the lab needs."""

    def __init__(self, path, timeout):
        self.deadline = Deadline(timeout)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        self.sock.connect(str(path))
        self.file = self.sock.makefile("rwb")
        self.reply()
        self.command("qmp_capabilities")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.file.close()
        self.sock.close()

    def reply(self):
        while True:
            line = self.file.readline()
            if not line:
                raise LabError("QEMU's monitor closed")
            message = json.loads(line)
            if "event" not in message:
                return message

    def command(self, name, **arguments):
        request = {"execute": name}
        if arguments:
            request["arguments"] = arguments
        self.file.write(json.dumps(request).encode() + b"\n")
        self.file.flush()
        answer = self.reply()
        if "error" in answer:
            raise LabError(f"QEMU {name}: {answer['error']['desc']}")
        return answer.get("return")

    def human(self, line):
        return self.command("human-monitor-command",
                            **{"command-line": line})

    def wait_migrated(self):
        """Until the state is written or read whole."""
        while True:
            status = self.command("query-migrate").get("status")
            if status == "completed":
                return
            if status in ("failed", "cancelled"):
                raise LabError(f"QEMU's state: {status}")
            if self.deadline.over():
                raise LabError(f"QEMU's state: {status} at its time limit")
            time.sleep(0.05)


def resume_incoming(machine, seconds):
    """Let a machine run once its state is read (it was saved stopped)."""
    with machine.qmp(seconds) as qmp:
        while qmp.command("query-status")["status"] == "inmigrate":
            if qmp.deadline.over():
                raise LabError(f"QEMU: snapshot not read after {seconds} s")
            time.sleep(0.05)
        qmp.command("cont")


def start_time(pid):
    """When a process started, in clock ticks; None when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:
        return None
    fields = stat.rsplit(")", 1)[1].split()
    return None if fields[0] == "Z" else int(fields[19])


class Machine:
    """A QEMU process, known by pid and start time so that it can be found
    again by another lab command and never mistaken for someone else's."""

    def __init__(self, folder, pid, started, port):
        self.folder = Path(folder)
        self.pid = pid
        self.started = started
        self.port = port

    def alive(self):
        return start_time(self.pid) == self.started

    def qmp(self, timeout=20):
        return Qmp(self.folder / "qmp", timeout)

    def stop(self):
        """Ask with SIGTERM, insist with SIGKILL; return when it is gone."""
        for sig, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
            if not self.alive():
                return
            # 'timeout' leads the group, QEMU is in it.
            os.killpg(self.pid, sig)
            deadline = Deadline(seconds)
            while self.alive() and not deadline.over():
                try:
                    os.waitpid(self.pid, os.WNOHANG)
                except ChildProcessError:
                    pass
                time.sleep(0.02)

    def record(self):
        return {"folder": str(self.folder), "pid": self.pid,
                "started": self.started, "port": self.port}


def launch(images, folder, args, lifetime, detach):
    """Start QEMU and find the agent's port.  'timeout' bounds its life."""
    with open(folder / "qemu.log", "wb") as log:
        process = subprocess.Popen(
            ["timeout", "--kill-after=10", str(lifetime),
             "qemu-system-x86_64", *args],
            cwd=images, stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=None if detach else die_with_parent)
    machine = Machine(folder, process.pid, start_time(process.pid), None)
    deadline = Deadline(20)
    while True:
        if process.poll() is not None:
            text = (folder / "qemu.log").read_text(errors="replace").strip()
            raise LabError(f"QEMU: ended at once: {text}")
        try:
            with machine.qmp() as qmp:
                found = re.search(r"HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+"
                                  r"(\d+)", qmp.human("info usernet"))
            if found:
                machine.port = int(found.group(1))
                return machine
        except (OSError, ConnectionError):
            pass
        if deadline.over():
            machine.stop()
            raise LabError("QEMU: no monitor or agent port after 20 s")
        time.sleep(0.05)
