#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""With --journal the serving process is killed with -9, and nobody notices:
every request is answered once, watches and transactions live on."""
import random
import threading

from storelib import *

JOURNAL = ['--journal']


def survive(d):
    before = d.kill_worker()
    until(lambda: d.pid() not in (None, before), 'a new worker')


def test_idle_connections_watches_and_nodes():
    with Daemon(args=JOURNAL) as d, d.client() as c, d.client() as w:
        c.write('/a/b', b'1')
        c.chmod('/a/b', 'n0', 'r5')
        w.watch('/a', 'tok')
        w.watch('/deep', 'd', 1)
        survive(d)
        eq(c.read('/a/b'), b'1', 'value')
        eq(c.perms('/a/b'), ['n0', 'r5'], 'permissions')
        c.write('/a/b', b'2')
        eq(w.next_event(), ('/a/b', 'tok'), 'event')
        c.write('/deep/1/2', b'')
        c.write('/deep/1', b'')
        eq(w.take_events(), [('/deep/1', 'd')], 'depth')
        c.check()


def test_open_transactions():
    with Daemon(args=JOURNAL) as d, d.client() as c, d.client() as o:
        c.write('/x/a', b'1')
        c.write('/x/gone', b'1')
        good, bad = c.begin(), c.begin()
        eq(c.read('/x/a', tx=good), b'1', 'read')
        c.write('/x/n/ew', b'2', tx=good)
        c.rm('/x/gone', tx=good)
        eq(c.read('/x/a', tx=bad), b'1', 'read')
        c.write('/x/b', b'3', tx=bad)
        for _ in range(3):
            survive(d)
            eq(c.read('/x/n/ew', tx=good), b'2', 'own write')
            eq(c.ls('/x', tx=good), ['a', 'n'], 'own view')
        o.watch('/x', 'w')
        c.commit(good)
        eq(sorted(o.take_events()), [('/x/gone', 'w'), ('/x/n/ew', 'w')],
           'events')
        survive(d)
        c.write('/x/a', b'other')
        fails('EAGAIN', c.commit, bad)
        eq(sorted(c.ls('/x')), ['a', 'n'], 'outcome')
        c.check()


def test_guests_rings_and_quotas():
    with Daemon(args=JOURNAL + ['-E', '5']) as d, d.client() as c:
        c.watch('@releaseDomain', 'r')
        g, h = d.guest(5), d.guest(6)
        g.write('a', b'1')
        g.watch('a', 'w')
        tx = g.begin()
        g.write('b', b'2', tx=tx)
        survive(d)
        eq(g.read('a'), b'1', 'value')
        eq(g.read('b', tx=tx), b'2', 'in the transaction')
        c.write('/local/domain/5/a', b'x')
        eq(g.next_event(), ('a', 'w'), 'event')
        g.commit(tx)
        g.write('c')
        g.write('d')
        fails('ENOSPC', g.write, 'e')
        h.gone()
        survive(d)
        eq(c.next_event(), ('@releaseDomain', 'r'), 'a death in between')
        c.check()


def worker_of_clients(d, number, stop, done, errors):
    """Writes numbers one after the other; each must be answered OK, once."""
    try:
        with d.client() as c:
            n = 0
            while not stop.is_set():
                burst = random.randrange(1, 12)
                ids = [c.post(WRITE, words(f'/load/{number}')
                              + str(n + i + 1).encode()) for i in range(burst)]
                for wanted in ids:
                    kind, req, _, payload = c.message()
                    eq((kind, req, payload), (WRITE, wanted, b'OK\0'), 'reply')
                n += burst
                eq(c.read(f'/load/{number}'), str(n).encode(), 'value')
            done[number] = n
    except Exception as e:
        errors.append(f'client {number}: {type(e).__name__} {e}')
        stop.set()


def worker_of_guest(d, g, stop, done, errors):
    try:
        n = 0
        while not stop.is_set():
            n += 1
            g.write('n', str(n))
            eq(g.read('n'), str(n).encode(), 'value')
        done['guest'] = n
    except Exception as e:
        errors.append(f'guest: {type(e).__name__} {e}')
        stop.set()


def watcher(d, stop, done, errors):
    """Every last value of a key is followed by an event."""
    try:
        with d.client() as c:
            c.watch('/load', 'all')
            while not stop.is_set():
                try:
                    eq(c.next_event(timeout=0.2)[1], 'all', 'token')
                    done['events'] = done.get('events', 0) + 1
                except (TimeoutError, socket.timeout):
                    pass
    except Exception as e:
        errors.append(f'watcher: {type(e).__name__} {e}')
        stop.set()


def under_load(kills, args=()):
    with Daemon(args=JOURNAL + list(args)) as d:
        stop, done, errors = threading.Event(), {}, []
        g = d.guest(5)
        threads = [threading.Thread(target=worker_of_clients,
                                    args=(d, i, stop, done, errors))
                   for i in range(4)]
        threads.append(threading.Thread(target=worker_of_guest,
                                        args=(d, g, stop, done, errors)))
        threads.append(threading.Thread(target=watcher,
                                        args=(d, stop, done, errors)))
        for t in threads:
            t.start()
        for _ in range(kills):
            time.sleep(random.uniform(0.01, 0.2))
            if stop.is_set():
                break
            survive(d)
        stop.set()
        for t in threads:
            t.join(TIMEOUT)
        eq(errors, [], 'errors')
        with d.client() as c:
            for i in range(4):
                eq(c.read(f'/load/{i}'), str(done[i]).encode(), 'last value')
            c.check()
        assert done.get('events'), 'no event came through'


def test_killed_under_load():
    under_load(12)


def test_clients_may_come_while_it_is_down():
    with Daemon(args=JOURNAL) as d:
        for _ in range(10):
            before = d.kill_worker()
            with d.client() as c:
                c.write('/new', b'1')
                eq(c.read('/new'), b'1', 'value')
            until(lambda: d.pid() not in (None, before), 'a new worker')


def test_descriptors_of_gone_clients_are_closed():
    with Daemon(args=JOURNAL) as d:
        for _ in range(200):
            d.client().close()
        survive(d)
        with d.client() as c:
            c.write('/x', b'')
        path = f'/proc/{d.process.pid}/fd'
        until(lambda: len(os.listdir(path)) < 40, 'closed in the holder')


def test_large_unread_output_survives():
    with Daemon(args=JOURNAL) as d, d.client() as c:
        value = bytes(range(256)) * 15
        c.write('/big', value)
        ids = [c.post(READ, words('/big')) for _ in range(400)]
        time.sleep(0.2)
        survive(d)
        for wanted in ids:
            kind, req, _, payload = c.message()
            eq((kind, req), (READ, wanted), 'reply')
            eq(payload, value, 'value')


def test_stop_is_clean():
    with Daemon(args=JOURNAL) as d, d.client() as c:
        c.write('/x', b'1')
        survive(d)
        d.process.terminate()
        eq(d.process.wait(TIMEOUT), 0, 'exit status')
        assert not os.path.exists(d.socket), 'the socket is left behind'


main(globals())
