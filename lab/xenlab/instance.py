# SPDX-License-Identifier: GPL-2.0-or-later
"""Named groups of running hosts, shared by all lab commands.

    RUN/NAME/instance.json      what runs: pid, start time, agent port
    RUN/NAME/{a,b}/             overlay, monitor, Xen's console, QEMU's output
    RUN/NAME/shared             the disk that both hosts see as /dev/vdb
    RUN/logs/NAME-TIME/         what a stopped instance left to read
"""

import io
import json
import os
import shutil
import tarfile
import time
from pathlib import Path

from . import agent, images, qemu, snapshot
from .common import LabError, locked, run_dir

ROLES = ("a", "b")
START_SECONDS = 300
KEPT_LOGS = 30
LIFETIME = 4 * 3600


class Host:
    """One of an instance's machines, with its agent."""

    def __init__(self, role, machine, token):
        self.role = role
        self.machine = machine
        self.token = token

    def run(self, argv, timeout, stdin=None):
        """Run a command in dom0; return (status, stdout, stderr)."""
        return agent.output_of(self.machine.port, self.token, argv, timeout,
                               stdin)

    def check(self, argv, timeout):
        """Run a command that must succeed; return its standard output."""
        status, out, err = self.run(argv, timeout)
        if status:
            raise LabError(f"host {self.role}: {' '.join(argv)}: exit status "
                           f"{status}, expected 0\n"
                           f"{err.decode(errors='replace')}")
        return out

    def command(self, argv, deadline, **kwargs):
        """A command whose data the caller passes on."""
        return agent.Command(self.machine.port, self.token, argv, deadline,
                             **kwargs)

    def triple_faults(self):
        """Lines by which Xen reports a guest's triple fault."""
        try:
            log = (self.machine.folder / "xen.log").read_text(errors="replace")
        except OSError:
            return []
        return [l for l in log.splitlines() if "riple fault" in l]


class Instance:
    """One host, or two joined by a private network."""

    def __init__(self, name):
        if not name or "/" in name or name.startswith(".") or name == "logs":
            raise LabError(f"name '{name}', expected a plain file name")
        self.name = name
        self.folder = run_dir() / name
        self.hosts = {}
        self.read()

    def lock(self):
        return locked(run_dir() / f"{self.name}.lock", 300,
                      f"instance '{self.name}'")

    def read(self):
        """Learn from the state file what runs."""
        self.hosts = {}
        try:
            text = (self.folder / "instance.json").read_text()
        except OSError:
            return
        token = images.token().read_text().strip()
        for role, record in json.loads(text)["hosts"].items():
            self.hosts[role] = Host(role, qemu.Machine(**record), token)

    def write(self):
        record = {"hosts": {role: host.machine.record()
                            for role, host in self.hosts.items()}}
        part = self.folder / "instance.part"
        part.write_text(json.dumps(record))
        part.rename(self.folder / "instance.json")

    def running(self):
        """Whether every host of the instance is alive."""
        return bool(self.hosts) and \
            all(h.machine.alive() for h in self.hosts.values())

    def host(self, role):
        if role not in self.hosts:
            raise LabError(f"instance '{self.name}' has no host '{role}' "
                           "(lab boot starts one, --hosts 2 starts a and b)")
        if not self.hosts[role].machine.alive():
            raise LabError(f"instance '{self.name}': host '{role}' has ended "
                           f"(its console: {self.folder}/{role}/xen.log)")
        return self.hosts[role]

    def boot(self, options, detach):
        """Start the hosts; leave nothing behind when that fails."""
        images.require_tools()
        if options.cpus < 2:
            raise LabError(f"--cpus {options.cpus}: expected at least 2, so "
                           "that HVM and PVH guests can keep off CPU 0")
        with self.lock():
            self.read()
            if self.running():
                raise LabError(f"instance '{self.name}' is running already "
                               "(lab stop ends it, --name starts another)")
            self.halt()
            try:
                self.start(options, detach)
            except BaseException:
                self.halt()
                raise

    def start(self, options, detach):
        dom0 = images.dom0()
        args = qemu.machine_args(options.memory, options.cpus,
                                 options.xen_arg)
        if options.cold:
            self.launch(options, dom0, None, args, detach)
        else:
            try:
                self.launch(options, dom0, snapshot.find(dom0, args), args,
                            detach)
            except LabError as e:
                images.say(f"the snapshot did not start, taking it again: {e}")
                self.halt()
                self.launch(options, dom0,
                            snapshot.find(dom0, args, rebuild=True), args,
                            detach)
        for host in self.hosts.values():
            host.check(["set-role", host.role, f"{time.time():.3f}"], 120)
            self.start_xen(host, options)

    def launch(self, options, dom0, ready, args, detach):
        """Start the machines and wait for their agents."""
        token = images.token().read_text().strip()
        self.folder.mkdir(exist_ok=True, mode=0o700)
        qemu.make_shared_disk(self.folder / "shared")
        for role in ROLES[:options.hosts]:
            folder = self.folder / role
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, mode=0o700)
            if len(str(folder)) > 90:
                raise LabError(f"{folder}: too long for a socket's name; "
                               "set XENFERRY_LAB_RUN to a shorter one")
            disk = folder / "disk.qcow2"
            if ready:
                snapshot.overlay(disk, ready / "disk.qcow2", "qcow2")
            else:
                snapshot.overlay(disk, dom0 / "disk.img", "raw")
            link = {"mode": "listen" if role == "a" else "connect",
                    "net": self.folder / "a/net",
                    "side": self.folder / "a/side",
                    "disk": self.folder / "shared"}
            machine = qemu.launch(
                dom0, folder,
                args + qemu.device_args(disk, folder, link) +
                (snapshot.incoming_args(ready) if ready else []),
                options.lifetime, detach)
            self.hosts[role] = Host(role, machine, token)
            self.write()
            if ready:
                qemu.resume_incoming(machine, START_SECONDS)
        for host in self.hosts.values():
            snapshot.wait_for_agent(
                host.machine, token,
                START_SECONDS if ready else snapshot.BOOT_SECONDS)

    def start_xen(self, host, options):
        """Start Xen's daemons, with the given xenstored if there is one."""
        argv = ["start-xen"]
        if options.xenstored:
            put(host, [options.xenstored], "/usr/lib/xenlab/xenstored/")
            argv += ["/usr/lib/xenlab/xenstored/" +
                     Path(options.xenstored).name, *options.xenstored_arg]
        host.check(argv, 300)

    def collect_logs(self, folder):
        """Copy what there is to read about the hosts."""
        for role, host in self.hosts.items():
            into = folder / role
            into.mkdir(parents=True, exist_ok=True)
            for log in ("xen.log", "qemu.log"):
                if (host.machine.folder / log).exists():
                    shutil.copy(host.machine.folder / log, into / log)
            if not host.machine.alive():
                continue
            try:
                host.run(["sh", "-c", "dmesg >/var/log/dmesg"], 20)
                _, tar, _ = host.run(
                    ["tar", "-C", "/var/log", "-c", "xen", "dmesg"], 30)
                with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
                    archive.extractall(into)
            except (LabError, tarfile.TarError) as e:
                (into / "incomplete").write_text(f"{e}\n")

    def halt(self):
        """Stop every machine and remove the instance's files."""
        for host in self.hosts.values():
            host.machine.stop()
        self.hosts = {}
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self, keep_logs=True):
        """Keep the logs, then stop.  Returns the folder of the logs."""
        with self.lock():
            self.read()
            logs = None
            if self.hosts and keep_logs:
                logs = new_log_folder(self.name)
                self.collect_logs(logs)
            self.halt()
            return logs


def new_log_folder(name):
    """A fresh folder for logs; the oldest ones go."""
    logs = run_dir() / "logs"
    logs.mkdir(exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    folder = logs / f"{name}-{stamp}-{os.getpid()}"
    folder.mkdir()
    kept = sorted(logs.iterdir(), key=lambda p: p.stat().st_mtime)
    for old in kept[:-KEPT_LOGS]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def names():
    """Every instance that has a folder."""
    return sorted(p.parent.name for p in run_dir().glob("*/instance.json"))


def put(host, files, destination, timeout=300):
    """Copy files and folders into a folder of dom0 (it ends in '/'), or one
    file to a new name, as tar streams through the agent."""
    destination = str(destination)
    rename = None
    if not destination.endswith("/"):
        if len(files) != 1:
            raise LabError(f"copy: {len(files)} files to '{destination}', "
                           "expected a folder ending in '/'")
        destination, rename = os.path.split(destination)
        destination = destination or "/"
    reader, writer = os.pipe()
    argv = ["sh", "-c", 'mkdir -p "$1" && exec tar -x -C "$1"', "sh",
            destination]
    child = os.fork()
    if child == 0:
        os.close(reader)
        status = 1
        try:
            send_tar(writer, files, rename)
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    try:
        status, _, err = host.run(argv, timeout, stdin=reader)
    finally:
        os.close(reader)
        _, sent = os.waitpid(child, 0)
    if status or sent:
        raise LabError(f"copy to host {host.role}: {destination}: "
                       f"{err.decode(errors='replace').strip()}")


def send_tar(fd, files, rename):
    """Write the named files as a tar stream."""
    def as_root(info):
        info.uid = info.gid = 0
        info.uname = info.gname = "root"
        return info

    with os.fdopen(fd, "wb") as stream, \
            tarfile.open(fileobj=stream, mode="w|") as archive:
        for file in files:
            archive.add(file, arcname=rename or Path(file).name,
                        filter=as_root)


def get(host, files, folder, deadline):
    """Copy files out of dom0 into a folder; holes stay holes."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        status = 1
        try:
            with os.fdopen(reader, "rb") as stream, \
                    tarfile.open(fileobj=stream, mode="r|") as archive:
                archive.extractall(folder)
            status = 0
        finally:
            os._exit(status)
    os.close(reader)
    errors = []

    def take(kind, body):
        if kind == agent.STDOUT:
            while body:
                body = body[os.write(writer, body):]
        else:
            errors.append(body)

    script = ('for f; do set -- "$@" -C "$(dirname "$f")" "$(basename "$f")";'
              ' shift; done; exec tar -c -S "$@"')
    try:
        with host.command(["sh", "-c", script, "sh", *files],
                          deadline) as command:
            status = command.wait(on_frame=take)
    except BrokenPipeError:
        status = 1
    finally:
        os.close(writer)
        _, received = os.waitpid(child, 0)
    if status or received:
        raise LabError(f"fetch from host {host.role}: "
                       f"{b''.join(errors).decode(errors='replace').strip()}")
