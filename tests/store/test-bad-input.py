#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Malformed, stalled, greedy and silent clients: they get their error or are
held back, and the others notice nothing.  Fairness is counted in requests
and turns, never in seconds."""
import random

from storelib import *


def figure_in(report, name):
    for line in report.splitlines():
        if line.split()[0] == name:
            return int(line.split()[1])
    raise AssertionError(f'no figure {name}')


def figure(c, name):
    return figure_in(c.control('memreport'), name)


def test_random_octets_on_sockets():
    rng = random.Random(1)
    with Daemon() as d, d.client() as c:
        for _ in range(200):
            with d.client() as bad:
                try:
                    for _ in range(rng.randrange(1, 5)):
                        bad.send(rng.randbytes(rng.randrange(1, 300)))
                except (BrokenPipeError, ConnectionResetError):
                    pass
        eq(c.read('/tool'), b'', 'others')
        c.check()


def test_every_operation_with_odd_payloads():
    payloads = [b'', b'\0', b'\0\0', b'/', b'/\0', b'a' * 4096,
                b'/' * 4096, b'/a\0' * 1365, b'\0' * 4096, b'@\0', b'/a\0b',
                b'99999\0', b'-1\0', b'5\0005\0005\0', b'\xff' * 100 + b'\0']
    with Daemon() as d, d.client() as c:
        g = d.guest(5)
        for op in list(range(30)) + [QUIESCE, GET_DOMAIN_WATCHES,
                                     ADD_DOMAIN_WATCHES, UNQUIESCE]:
            for payload in payloads:
                for tx in (0, 1, 0xffffffff):
                    c.post(op, payload, tx)
                    c.message()
                    while has_more(c):
                        c.message()
            g.post(op, b'/a\0')
            while g.message()[0] == WATCH_EVENT:
                pass
        with d.client() as again:
            again.check()


def has_more(c):
    c.sock.setblocking(False)
    try:
        return bool(c.sock.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        c.sock.setblocking(True)


def test_requests_cut_at_every_octet():
    whole = struct.pack('<4I', WRITE, 9, 0, 9) + b'/cut\0four'
    with Daemon() as d, d.client() as c:
        for cut in range(1, len(whole)):
            with d.client() as slow:
                slow.send(whole[:cut])
                c.read('/tool')
                slow.send(whole[cut:])
                eq(slow.answer(), b'OK\0', f'cut at {cut}')
        for cut in range(1, len(whole)):
            g = d.guest(5)
            g.put(whole[:cut])
            g.kick()
            c.read('/tool')
            g.put(whole[cut:])
            g.kick()
            kind, _, _, payload = g.message()
            eq((kind, payload), (ERROR, b'EACCES\0'), f'cut at {cut}')
            g.gone()
            c.op(RELEASE, 5)


def test_stalled_half_request_blocks_nobody():
    with Daemon() as d, d.client() as c:
        stalled = []
        for i in range(50):
            s = d.client()
            s.send(struct.pack('<4I', WRITE, 1, 0, 4000) + b'/x')
            stalled.append(s)
        for i in range(100):
            c.write('/x', str(i))
        c.check()


def test_client_that_never_reads_is_closed_in_the_end():
    """A socket's unread output is bounded; other clients go on."""
    with Daemon() as d, d.client() as c, d.client() as silent:
        c.write('/big', b'v' * 4000)
        one = struct.pack('<4I', READ, 1, 0, 5) + b'/big\0'
        silent.sock.settimeout(0.2)
        sent = 0
        try:
            while sent < 60000:
                silent.send(one * 100)
                sent += 100
                if not sent % 5000:
                    c.read('/tool')
        except (OSError, TimeoutError):
            pass
        eq(c.read('/tool'), b'', 'others')
        limit = 400 << 10
        assert d.memory_kib() < limit, f'{d.memory_kib()} KiB'


def test_a_flood_does_not_starve_others():
    """While one client has thousands of requests waiting, another's request
    is answered within a few turns."""
    with Daemon() as d, d.client() as c, d.client() as flood:
        one = struct.pack('<4I', WRITE, 1, 0, 7) + b'/flood\0'
        flood.send(one * 4000)
        # All at once, and more than one turn takes: between two answers the
        # daemon never waits for us, however late we are scheduled.
        asked = words('memreport')
        ask = struct.pack('<4I', CONTROL, 1, 0, len(asked)) + asked
        c.send(ask * 100)
        counts = [figure_in(c.answer().rstrip(b'\0').decode(), 'requests')
                  for _ in range(100)]
        worst = max(after - before
                    for before, after in zip(counts, counts[1:]))
        # One turn gives the flood 32 requests; a few turns may pass.
        assert worst <= 8 * 32, f'{worst} requests ran in between'
        for _ in range(4000):
            flood.answer()


def test_idle_guests_cost_no_turns():
    with Daemon() as d, d.client() as c:
        for i in range(1, 30):
            d.guest(i)
        figure(c, 'turns')
        before = figure(c, 'turns')
        for _ in range(100):
            c.read('/tool')
        turns = figure(c, 'turns') - before
        assert turns <= 102 * 3, f'{turns} turns for 102 requests'


def test_a_million_of_everything_by_one_guest():
    """More of each thing than the quota, many times: exactly the quota."""
    with Daemon() as d, d.client() as c:
        g = d.guest(5)
        counts = {'watch': 0, 'tx': 0, 'node': 0}
        for i in range(1200):
            for what, call in (('watch', lambda: g.op(WATCH, f'w{i}', 't')),
                               ('tx', g.begin),
                               ('node', lambda: g.write(f'n{i}'))):
                try:
                    call()
                    counts[what] += 1
                except StoreError as e:
                    eq(str(e), 'ENOSPC', what)
            g.events.clear()
        eq(counts, {'watch': 128, 'tx': 10, 'node': 999}, 'granted')
        memory = [x for x in c.control('quota', '5').splitlines()
                  if x.startswith('memory')][0]
        assert int(memory.split()[2]) < 2621440, memory
        refusals = d.output().count('refused')
        assert refusals < 60, f'{refusals} lines of log'


def cpu_ns(d):
    with open(f'/proc/{d.pid()}/schedstat') as f:
        return int(f.read().split()[0])


def test_removal_in_a_transaction_costs_what_it_removes():
    """Ten times the children cost about ten times the work, not a hundred."""
    with Daemon() as d, d.client() as c:
        cost = []
        for nr in (600, 6000):
            for at in range(0, nr, 100):
                for i in range(at, at + 100):
                    c.post(WRITE, words(f'/dir{nr}/n{i}'))
                for i in range(100):
                    c.answer()
            used = []
            for _ in range(3):
                tx = c.begin()
                before = cpu_ns(d)
                c.rm(f'/dir{nr}', tx=tx)
                used.append(cpu_ns(d) - before)
                c.abort(tx)
            cost.append(min(used))
        assert cost[1] < cost[0] * 40, f'{cost} ns for 600 and 6000 children'


def test_interleaved_halves_of_many_clients():
    with Daemon() as d:
        clients = [d.client() for _ in range(20)]
        rng = random.Random(5)
        left = {}
        for i, c in enumerate(clients):
            left[i] = b''.join(
                struct.pack('<4I', WRITE, n, 0, len(p)) + p
                for n, p in ((n, f'/i{i}\0{n}'.encode()) for n in range(50)))
        while left:
            i = rng.choice(list(left))
            n = rng.randrange(1, 60)
            clients[i].send(left[i][:n])
            left[i] = left[i][n:]
            if not left[i]:
                del left[i]
        for i, c in enumerate(clients):
            for n in range(50):
                kind, req, _, payload = c.message()
                eq((kind, req, payload), (WRITE, n, b'OK\0'), 'reply')
            eq(c.read(f'/i{i}'), b'49', 'value')


main(globals())
