# SPDX-License-Identifier: GPL-2.0-or-later
"""A booted dom0, kept: hosts start from it in seconds instead of booting.

The snapshot is QEMU's own migration stream in a file beside a frozen layer of
the disk; hosts share both, each with an overlay of its own.  It is taken when
the agent first answers, before any of Xen's daemons runs and before the host
has a role, so that one snapshot serves both hosts and every xenstored.
"""

import shlex
import shutil
import tempfile
from pathlib import Path

from . import agent, images, qemu
from .common import Deadline, LabError, run_tool

BOOT_SECONDS = 600
LIFETIME = 900


def overlay(path, base, base_format):
    """A disk whose changes go into a new file."""
    run_tool(["qemu-img", "create", "-q", "-f", "qcow2",
              "-F", base_format, "-b", base, path], 30)


def wait_for_agent(machine, token, seconds):
    """Until a command runs in dom0."""
    deadline = Deadline(seconds)
    while machine.alive():
        try:
            status, _, _ = agent.output_of(
                machine.port, token, ["true"], min(5, deadline.left() + 0.1))
            if status == 0:
                return
        except (agent.AgentGone, agent.TimedOut):
            pass
        if deadline.over():
            raise LabError(f"dom0: no answer after {seconds} s "
                           f"(its console: {machine.folder}/xen.log)")
    raise LabError("QEMU ended while dom0 was booting "
                   f"(its console: {machine.folder}/xen.log)")


def take(dom0, work, machine_args):
    """Boot dom0 and write its state and its disk's changes into 'work'."""
    images.say("booting dom0 for a snapshot (half a minute)")
    token = images.token().read_text().strip()
    disk = work / "disk.qcow2"
    overlay(disk, dom0 / "disk.img", "raw")
    with tempfile.TemporaryDirectory(prefix="xenlab-") as short:
        folder = Path(short)
        link = {"mode": "listen", "net": folder / "net",
                "side": folder / "side", "disk": folder / "shared"}
        qemu.make_shared_disk(link["disk"])
        machine = qemu.launch(
            dom0, folder,
            machine_args + qemu.device_args(disk, folder, link),
            LIFETIME, detach=False)
        try:
            wait_for_agent(machine, token, BOOT_SECONDS)
            agent.output_of(machine.port, token, ["sync"], 30)
            with machine.qmp(120) as qmp:
                qmp.command("stop")
                qmp.command("migrate-set-parameters",
                            **{"max-bandwidth": 10 << 30})
                state = shlex.quote(str(work / "state"))
                qmp.command("migrate", uri=f"exec:cat > {state}")
                qmp.wait_migrated()
                qmp.command("quit")
        except LabError:
            failed = images.cache_dir() / "boot-failure.log"
            shutil.copy(folder / "xen.log", failed)
            images.say(f"dom0's console is kept in {failed}")
            raise
        finally:
            machine.stop()
            for log in ("xen.log", "qemu.log"):
                if (folder / log).exists():
                    shutil.copy(folder / log, work / log)


def find(dom0, machine_args, rebuild=False):
    """The folder of the snapshot for these arguments, taken if need be."""
    key = images.digest(qemu.version(), qemu.device_kinds(),
                        "\0".join(machine_args))
    if rebuild:
        shutil.rmtree(dom0 / f"ready-{key}", ignore_errors=True)
    return images.stage("ready", key,
                        lambda work: take(dom0, work, machine_args), dom0)


def incoming_args(ready):
    """What makes QEMU start from the snapshot."""
    return ["-incoming", f"exec:cat {shlex.quote(str(ready / 'state'))}"]
