#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The whole daemon with pieces, short writes and EINTR, against a model."""
import random

from storelib import *


class Cutting(Client):
    """Sends in pieces, so that receives end anywhere."""

    def send(self, data):
        while data:
            length = random.randrange(1, 60)
            self.sock.sendall(data[:length])
            data = data[length:]


class Shaken(Daemon):
    def __init__(self, seed, args=()):
        os.environ['SHORTIO_SEED'] = str(seed)
        os.environ['STORE_PRELOAD'] = os.environ['SHORTIO']
        try:
            super().__init__(args=list(args))
        finally:
            del os.environ['STORE_PRELOAD']


def shaken(seed, args=()):
    random.seed(seed)
    model = {}
    with Shaken(seed, args) as d:
        clients = [Cutting(d.socket) for _ in range(3)] + [d.guest(5)]
        watcher = d.client()
        watcher.watch('/m', 'w')
        with d.client() as c:
            c.mkdir('/m')
            c.chmod('/m', 'b0')
        changes = 0
        for _ in range(150):
            # Several at a time, so that messages are cut anywhere.
            c = random.choice(clients)
            wanted = []
            for _ in range(random.randrange(1, 20)):
                path = f'/m/{random.randrange(30)}'
                if random.random() < .5:
                    value = bytes(random.randrange(256) for _ in
                                  range(random.randrange(300)))
                    c.post(WRITE, path.encode() + b'\0' + value)
                    model[path] = value
                    wanted.append(b'OK\0')
                    changes += 1
                else:
                    c.post(READ, words(path))
                    wanted.append(model.get(path))
            for answer in wanted:
                if answer is None:
                    fails('ENOENT', c.answer)
                else:
                    eq(c.answer(), answer, 'answer')
        for path, value in model.items():
            eq(clients[0].read(path), value, path)
        # An event that waits already is not queued again.
        events = [e[0] for e in watcher.take_events() if e[0] != '/m']
        eq(set(events), set(model), 'paths in events')
        assert len(events) <= changes, f'{len(events)} of {changes} events'
        clients[0].check()


def test_short_and_interrupted():
    for seed in range(1, 4):
        shaken(seed)


def test_short_and_interrupted_with_a_journal():
    shaken(7, ['--journal'])


def test_garbage_in_pieces():
    """Octets that are no protocol end their connection, nothing else."""
    random.seed(11)
    with Shaken(11) as d, d.client() as good:
        for i in range(300):
            c = Cutting(d.socket)
            data = bytearray(struct.pack('<4I', random.randrange(40), i, 0, 12)
                             + b'/garbage/x\0v')
            for _ in range(random.randrange(6)):
                data[random.randrange(len(data))] = random.randrange(256)
            try:
                c.send(bytes(data) * random.randrange(1, 5))
                if random.random() < .5:
                    c.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            c.close()
            good.write('/good', str(i))
            eq(good.read('/good'), str(i).encode(), 'the others')
        good.check()


main(globals())
