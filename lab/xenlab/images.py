# SPDX-License-Identifier: GPL-2.0-or-later
"""Images, built from recipes and cached under the hash of what made them.

Two stages, so that a change to our own files does not fetch packages again:

    packages-HASH/packages.tar          Debian packages, unpacked
    dom0-HASH/{xen,vmlinuz,initrd,disk.img}   what QEMU boots

A third, the snapshot of a booted dom0, is snapshot.py's and lives in the
folder of the dom0 it was taken of.
"""

import hashlib
import os
import secrets
import shutil
import sys
import time
from pathlib import Path

from .common import LAB, LabSkip, cache_dir, locked, run_tool

SUITE = "bookworm"
DISK_SIZE = "12G"
ROOM_NEEDED = 4 << 30
KEEP_UNUSED = 24 * 3600

TOOLS = ("mmdebstrap", "mke2fs", "cpio", "depmod", "gcc", "dpkg-deb",
         "qemu-system-x86_64", "qemu-img")


def require_tools():
    """Skip, with the reason, on a machine that cannot run the lab."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    os.environ["PATH"] = path
    missing = [t for t in TOOLS if not shutil.which(t)]
    if os.getuid() != 0 and not shutil.which("fakeroot"):
        missing.append("fakeroot")
    if missing:
        raise LabSkip(f"not installed: {' '.join(missing)} "
                      "(tools/setup lab installs them)")


def require_room():
    """Skip when the cache's file system is too full for images."""
    free = shutil.disk_usage(cache_dir()).free
    if free < ROOM_NEEDED:
        raise LabSkip(f"{cache_dir()}: {free >> 20} MiB free, "
                      f"{ROOM_NEEDED >> 20} MiB needed")


def digest(*parts):
    """Hash of strings and of files and folders, names included."""
    h = hashlib.sha256()
    for part in parts:
        if not isinstance(part, Path):
            h.update(f"text {len(part)}\n{part}".encode())
            continue
        files = sorted(p for p in part.rglob("*") if p.is_file()) \
            if part.is_dir() else [part]
        for file in files:
            body = file.read_bytes()
            h.update(f"file {file.relative_to(LAB)} {len(body)}\n".encode())
            h.update(body)
    return h.hexdigest()[:16]


def stage(name, key, make, parent=None):
    """The folder of a stage, made by make(folder) unless it is there."""
    parent = parent or cache_dir()
    final = parent / f"{name}-{key}"
    if not final.exists():
        require_room()
        with locked(parent / f"{name}.lock", 1200, f"building {name}"):
            if not final.exists():
                build(final, make)
    # The time of last use is what retire() goes by.
    os.utime(final)
    retire(parent, name)
    return final


def build(final, make):
    """Make a stage in a folder of its own; rename it when whole."""
    work = final.with_suffix(".part")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(mode=0o700)
    try:
        make(work)
        work.rename(final)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def retire(parent, name):
    """Remove stages that no recipe asked for lately.

    Not at once: two checkouts may share the cache.  A host that still runs
    holds its images open, so losing their names takes nothing from it.
    """
    for old in parent.glob(f"{name}-*"):
        if time.time() - old.stat().st_mtime > KEEP_UNUSED:
            shutil.rmtree(old, ignore_errors=True)


def say(text):
    print(f"lab: {text}", file=sys.stderr, flush=True)


def package_list():
    """The packages named by the recipe."""
    lines = (LAB / "images/packages").read_text().splitlines()
    return [l.strip() for l in lines if l.strip() and not l.startswith("#")]


def packages():
    """Debian packages of dom0 and both kernels, as one tar file."""
    hook = LAB / "images/fetch-kernels"

    def make(work):
        say("fetching Debian packages (about a minute)")
        run_tool(["mmdebstrap", "--variant=minbase",
                  "--include=" + ",".join(package_list()),
                  "--dpkgopt=path-exclude=/usr/share/doc/*",
                  "--dpkgopt=path-exclude=/usr/share/man/*",
                  "--dpkgopt=path-exclude=/usr/share/locale/*",
                  f"--customize-hook={hook}", SUITE,
                  work / "packages.tar"], 900, log=work / "build.log")

    return stage("packages", digest(
        SUITE, LAB / "images/packages", hook), make) / "packages.tar"


def token():
    """The secret that a client shows to the agents; private to the user."""
    path = cache_dir() / "token"
    if not path.exists():
        with locked(cache_dir() / "token.lock", 10, "token"):
            if not path.exists():
                part = path.with_suffix(".part")
                part.touch(mode=0o600)
                part.write_text(secrets.token_hex(16) + "\n")
                part.rename(path)
    return path


def dom0():
    """The folder with Xen, dom0's kernel, initramfs and disk."""
    tar = packages()

    def make(work):
        say("making dom0's disk and the Linux guest")
        argv = ["sh", LAB / "images/assemble", tar, LAB, work, DISK_SIZE,
                token()]
        if os.getuid() != 0:
            argv.insert(0, "fakeroot")
        run_tool(argv, 600, log=work / "build.log")

    return stage("dom0", digest(
        tar.parent.name, DISK_SIZE, token().read_text(), LAB / "images",
        LAB / "agent", LAB / "guest-linux"), make)
