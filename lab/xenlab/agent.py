# SPDX-License-Identifier: GPL-2.0-or-later
"""Talks to the agent in a host's dom0 (agent/agent.c draws the protocol)."""

import os
import select
import socket
import struct
import time

from .common import Deadline, LabError

STDIN, STDOUT, STDERR, EXIT, SIZE = range(5)
CHUNK = 65536


class AgentGone(LabError):
    """The connection ended before the command did."""


class TimedOut(LabError):
    """The command was still running at its deadline; it has been killed."""


def connect(port, deadline):
    while True:
        try:
            sock = socket.create_connection(("127.0.0.1", port),
                                            timeout=max(0.1, deadline.left()))
            sock.settimeout(None)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        except OSError as e:
            if deadline.over():
                raise AgentGone(f"agent: no connection: {e}") from None
            time.sleep(0.1)


class Command:
    """One command in a dom0, from start to exit status."""

    def __init__(self, port, token, argv, deadline, mode="pipe", term=""):
        self.deadline = deadline
        self.sock = connect(port, deadline)
        self.sock.setblocking(False)
        self.buffer = b""
        strings = [token, mode, term, *argv]
        body = b"".join(os.fsencode(s) + b"\0" for s in strings)
        self.outgoing = b"XFL1" + struct.pack("<I", len(body)) + body

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.sock.close()

    def queue(self, kind, body):
        """Send a frame as soon as the peer takes it."""
        self.outgoing += struct.pack("<BI", kind, len(body)) + body

    def frames(self):
        """The whole frames received so far."""
        while len(self.buffer) >= 5:
            kind, size = struct.unpack_from("<BI", self.buffer)
            if len(self.buffer) < 5 + size:
                return
            body = self.buffer[5:5 + size]
            self.buffer = self.buffer[5 + size:]
            yield kind, body

    def wait(self, stdin=None, on_frame=None, wake=None):
        """Pass data until the command ends; return its exit status.

        stdin is a descriptor to read from, or None for no input at all;
        on_frame(kind, bytes) gets the output; wake is a further descriptor
        with a callback (fd, function) for the terminal's changes of size.
        """
        if stdin is None:
            self.queue(STDIN, b"")
        while True:
            readers = [self.sock]
            if stdin is not None and len(self.outgoing) < CHUNK:
                readers.append(stdin)
            if wake:
                readers.append(wake[0])
            writers = [self.sock] if self.outgoing else []
            ready, writable, _ = select.select(readers, writers, [],
                                               self.deadline.left())
            if not ready and not writable:
                raise TimedOut("still running at its time limit")
            try:
                if writable:
                    sent = self.sock.send(self.outgoing)
                    self.outgoing = self.outgoing[sent:]
                if self.sock in ready:
                    data = self.sock.recv(CHUNK)
                    if not data:
                        raise AgentGone("agent: the host closed the "
                                        "connection before the command ended")
                    self.buffer += data
            except BlockingIOError:
                continue
            except OSError as e:
                raise AgentGone(f"agent: {e}") from None
            if stdin in ready:
                data = os.read(stdin, CHUNK)
                self.queue(STDIN, data)
                if not data:
                    stdin = None
            if wake and wake[0] in ready:
                wake[1]()
            for kind, body in self.frames():
                if kind == EXIT:
                    return struct.unpack("<I", body)[0]
                if on_frame:
                    on_frame(kind, body)


def output_of(port, token, argv, timeout, stdin=None):
    """Run a command; return (exit status, stdout, stderr)."""
    parts = {STDOUT: [], STDERR: []}
    with Command(port, token, argv, Deadline(timeout)) as command:
        status = command.wait(
            stdin=stdin,
            on_frame=lambda kind, body: parts[kind].append(body))
    return status, b"".join(parts[STDOUT]), b"".join(parts[STDERR])
