#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests on shared pages: life of a domain, indexes, reconnect, RELEASE."""
import struct

from storelib import *


def test_operations_over_a_ring():
    with Daemon() as d:
        g = d.guest(5)
        g.write('data/x', b'1')
        eq(g.read('/local/domain/5/data/x'), b'1', 'value')
        eq(g.ls('data'), ['x'], 'children')
        eq(g.perms('data/x'), ['n5'], 'permissions')
        g.watch('data', 'tok')
        g.write('data/y', b'2')
        eq(g.events, [('data/y', 'tok')], 'event before its reply')
        fails('ENOENT', g.read, 'data/z')
        fails('EACCES', g.read, '/tool/none')
        fails('EACCES', g.control, 'check')


def test_server_features_are_in_the_page():
    with Daemon() as d:
        g = d.guest(5)
        eq(g.index(g.FEATURES), 15, 'features')


def test_requests_larger_than_the_ring():
    with Daemon(args=['-S', '0']) as d:
        g = d.guest(5)
        value = bytes(range(256)) * 15
        g.write('big', value)
        eq(g.read('big'), value, 'value')
        with d.client() as c:
            eq(c.read('/local/domain/5/big'), value, 'value')


def test_full_ring_of_requests():
    with Daemon() as d:
        g = d.guest(5)
        one = struct.pack('<4I', READ, 7, 0, 16) + b'/local/domain/5\0'
        eq(len(one), 32, 'request')
        eq(g.put(one * 40), 1024, 'a full ring')
        g.kick()
        for _ in range(32):
            kind, req, _, payload = g.message()
            eq((kind, req, payload), (READ, 7, b''), 'reply')


def test_indexes_wrap_at_32_bits():
    with Daemon() as d:
        g = d.guest(5, introduce=False)
        for at in (g.REQ_CONS, g.REQ_PROD, g.RSP_CONS, g.RSP_PROD):
            g.set_index(at, 0xfffffff0)
        g.introduce()
        for i in range(20):
            g.write('k', str(i))
            eq(g.read('k'), str(i).encode(), 'value')


def test_bad_index_stops_service_until_death():
    with Daemon() as d, d.client() as c:
        c.watch('@releaseDomain', 'r')
        g = d.guest(5)
        g.write('x', b'1')
        g.watch('x', 'w')
        g.set_index(g.REQ_PROD, g.index(g.REQ_CONS) + 1025)
        g.kick()
        until(lambda: g.index(g.FAILURE) == 2, 'error field')
        c.write('/local/domain/5/x', b'2')
        eq(g.unread(), 0, 'events of a broken ring')
        eq(c.introduced(5), True, 'introduced')
        eq(c.take_events(), [], 'no release yet')
        g.die()
        eq(c.next_event(), ('@releaseDomain', 'r'), 'at death')
        eq(c.introduced(5), False, 'introduced')


def test_oversized_request_sets_the_error_field():
    with Daemon() as d:
        g = d.guest(5)
        g.put(struct.pack('<4I', WRITE, 1, 0, 4097))
        g.kick()
        until(lambda: g.index(g.FAILURE) == 3, 'error field')


def test_guest_reconnects():
    with Daemon() as d, d.client() as c:
        g = d.guest(5)
        g.watch('a', 't')
        tx = g.begin()
        g.put(struct.pack('<4I', READ, 1, 0, 100) + b'half')
        g.set_index(g.CONNECTION, 1)
        g.kick()
        until(lambda: g.index(g.CONNECTION) == 0, 'reconnected')
        eq(g.index(g.REQ_PROD), 0, 'empty')
        g.write('a', b'1')
        eq(g.take_events(), [], 'watches are gone')
        fails('ENOENT', g.read, 'a', tx=tx)
        eq(c.read('/local/domain/5/a'), b'1', 'value')


def test_introduce_fires_and_release_fires():
    with Daemon() as d, d.client() as c:
        c.watch('@introduceDomain', 'i')
        c.watch('@releaseDomain', 'r')
        g = d.guest(7)
        eq(c.next_event(), ('@introduceDomain', 'i'), 'introduce')
        eq(c.introduced(7), True, 'introduced')
        c.op(RELEASE, 7)
        eq(c.events, [('@releaseDomain', 'r')], 'release')
        eq(c.introduced(7), False, 'introduced')
        fails('ENOENT', c.op, RELEASE, 7)
        fails('EINVAL', c.op, RELEASE, 0)
        g.close()


def test_shutdown_is_told_once_until_resume():
    with Daemon() as d, d.client() as c:
        c.watch('@releaseDomain', 'r')
        g = d.guest(7)
        g.shutdown()
        eq(c.next_event(), ('@releaseDomain', 'r'), 'shutdown')
        d.virq()
        eq(c.take_events(), [], 'only once')
        c.op(RESUME, 7)
        d.virq()
        eq(c.next_event(), ('@releaseDomain', 'r'), 'after resume')
        eq(c.introduced(7), True, 'still there')


def test_depth_watch_names_the_domain():
    with Daemon() as d, d.client() as c:
        c.watch('@releaseDomain', 'any', 1)
        c.watch('@releaseDomain/9', 'nine')
        fails('EINVAL', c.op, WATCH, '@releaseDomain', 'x', 2)
        a, b = d.guest(8), d.guest(9)
        a.die()
        eq(c.next_event(), ('@releaseDomain/8', 'any'), 'first')
        b.die()
        eq(sorted([c.next_event(), c.next_event()]),
           [('@releaseDomain/9', 'any'), ('@releaseDomain/9', 'nine')],
           'second')


def test_target_acts_for_another_domain():
    with Daemon() as d, d.client() as c:
        stub, g = d.guest(8), d.guest(9)
        g.write('secret', b's')
        fails('EACCES', stub.read, '/local/domain/9/secret')
        fails('ENOENT', c.op, SET_TARGET, 8, 99)
        c.op(SET_TARGET, 8, 9)
        eq(stub.read('/local/domain/9/secret'), b's', 'as target')
        g.die()
        until(lambda: not c.introduced(9), 'death')
        g = d.guest(9)
        g.write('secret', b't')
        fails('EACCES', stub.read, '/local/domain/9/secret')


def test_release_and_introduce_lose_no_request():
    """What waits on the ring is answered afterwards, each once."""
    with Daemon() as d, d.client() as c:
        g = d.guest(5)
        g.write('k', b'v')
        c.op(QUIESCE, 5)
        ids = [g.post(READ, words('k')) for _ in range(9)]
        eq(g.unread(), 0, 'nothing answered while quiesced')
        for _ in range(3):
            c.op(RELEASE, 5)
            c.op(INTRODUCE, 5, 1, 5)
            c.op(QUIESCE, 5)
        c.op(UNQUIESCE, 5)
        for wanted in ids:
            kind, req, _, payload = g.message()
            eq((kind, req, payload), (READ, wanted, b'v'), 'reply')
        eq(g.read('k'), b'v', 'and goes on')


def test_release_in_the_middle_of_a_message():
    """Half a request taken and half a reply given: both are completed."""
    with Daemon(args=['-S', '0']) as d, d.client() as c:
        g = d.guest(5, introduce=False)
        g.introduce(home=False)
        value = b'v' * 2500
        c.write('/local/domain/5/k', value)
        c.chmod('/local/domain/5', 'b0')
        c.chmod('/local/domain/5/k', 'b0')
        g.post(READ, words('k'))
        until(lambda: g.unread() == 1024, 'half a reply')
        c.op(RELEASE, 5)
        c.op(INTRODUCE, 5, 1, 5)
        kind, _, _, payload = g.message()
        eq((kind, payload), (READ, value), 'the whole reply')
        head = struct.pack('<4I', WRITE, 1, 0, 1502) + b'k\0' + b'w' * 1006
        g.put(head)
        g.kick()
        until(lambda: g.index(g.REQ_CONS) == g.index(g.REQ_PROD), 'taken')
        c.op(RELEASE, 5)
        c.op(INTRODUCE, 5, 1, 5)
        g.send(b'w' * 494)
        eq(g.answer(), b'OK\0', 'reply')
        eq(c.read('/local/domain/5/k'), b'w' * 1500, 'value')


def test_release_then_a_fresh_page_starts_anew():
    """Soft reset: the builder cleared the page; no stale reply appears."""
    with Daemon() as d, d.client() as c:
        g = d.guest(5)
        g.watch('a', 't')
        for _ in range(8):
            g.post(READ, words('/none'))
        c.op(RELEASE, 5)
        g.page[:] = bytes(4096)
        c.op(INTRODUCE, 5, 1, 5)
        c.write('/local/domain/5/a', b'1')
        c.chmod('/local/domain/5/a', 'b5')
        eq(g.read('a'), b'1', 'first reply')
        eq(g.events, [], 'no event of the old watch')


def test_reintroduce_only_rebinds():
    with Daemon() as d, d.client() as c:
        g = d.guest(5)
        g.watch('a', 't')
        c.op(INTRODUCE, 5, 1, 6)
        g.write('a', b'1')
        eq(g.events, [('a', 't')], 'the watch lives')


def test_events_of_an_idle_guest_expire():
    with Daemon(args=['-w', 'watch-event=1']) as d, d.client() as c:
        g = d.guest(5)
        g.watch('a', 't')
        for i in range(60):
            c.write(f'/local/domain/5/a/{i:020}', b'1')
        until(lambda: g.unread() > 1000, 'a full ring')
        time.sleep(1.5)
        c.write('/local/domain/5/a/last', b'1')
        names = []
        while 'a/last' not in names:
            names.append(g.next_event()[0])
        assert len(names) < 60, f'{len(names)} events kept'


def test_a_request_in_pieces_needs_one_kick():
    """Linux kicks only if all that it wrote before had been taken."""
    with Daemon() as d:
        g = d.guest(5)
        data = struct.pack('<4I', WRITE, 1, 0, 3) + b'a\0v'
        for cut in (1, 15, 16, 17, 18):
            start = g.index(g.REQ_PROD)
            g.put(data[:cut])
            g.kick()
            until(lambda: g.index(g.REQ_CONS) == g.index(g.REQ_PROD),
                  f'{cut} octets taken')
            eq(g.index(g.REQ_PROD), start + cut, 'written')
            g.put(data[cut:])
            g.kick()
            eq(g.answer(), b'OK\0', 'answer')


main(globals())
