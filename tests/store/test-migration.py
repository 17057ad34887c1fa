#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""QUIESCE, the watch operations, and the state stream."""
from storelib import *


def watches(c, domid, index, *mark):
    got = c.op(GET_DOMAIN_WATCHES, domid, index, *mark).split(b'\0')
    eq(got.pop(), b'', 'end')
    return int(got[0]), [x.decode() for x in got[1:]]


def test_quiesce_leaves_requests_unread():
    with Daemon() as d, d.client() as c:
        g = d.guest(5)
        g.write('a', b'1')
        for _ in range(2):
            eq(c.op(QUIESCE, 5), b'OK\0', 'quiesce')
        g.post(READ, words('a'))
        with d.client() as other:
            other.read('/tool')
        eq(g.index(g.REQ_PROD) - g.index(g.REQ_CONS), 18, 'octets on the ring')
        c.op(UNQUIESCE, 5)
        eq(g.answer(), b'1', 'answer')


def test_quiesce_waits_for_the_guest_to_read():
    with Daemon() as d, d.client() as c, d.client() as other:
        g = d.guest(5)
        g.write('big', b'v' * 1500)
        for _ in range(3):
            g.post(READ, words('big'))
        until(lambda: g.unread() == 1024, 'full')
        c.post(QUIESCE, words(5))
        other.read('/tool')
        for _ in range(3):
            g.answer()
        eq(c.answer(), b'OK\0', 'quiesce')


def test_quiesce_gives_up_on_a_guest_that_never_reads():
    with Daemon() as d, d.client() as c:
        g = d.guest(5)
        g.write('big', b'v' * 1500)
        g.post(READ, words('big'))
        until(lambda: g.unread() == 1024, 'full')
        fails('EBUSY', c.op, QUIESCE, 5)
        eq(c.read('/tool'), b'', 'the connection goes on')


def test_quiesce_refuses():
    with Daemon() as d, d.client() as c:
        g = d.guest(5)
        fails('ENOENT', c.op, QUIESCE, 6)
        fails('EINVAL', c.op, QUIESCE, 'x')
        fails('EACCES', g.op, QUIESCE, 5)
        fails('EACCES', g.op, GET_DOMAIN_WATCHES, 5, 0)
        fails('EACCES', g.op, ADD_DOMAIN_WATCHES, 5, 'a', 't')
        fails('ENOENT', c.op, UNQUIESCE, 6)


def test_release_of_a_quiesced_domain_keeps_its_nodes():
    with Daemon() as d, d.client() as c:
        g = d.guest(5)
        g.write('a', b'1')
        c.op(QUIESCE, 5)
        c.op(RELEASE, 5)
        eq(c.read('/local/domain/5/a'), b'1', 'value')
        c.op(INTRODUCE, 5, 1, 5)
        eq(g.read('a'), b'1', 'value')
        g.die()
        fails('ENOENT', c.read, '/local/domain/5/a')


def test_get_domain_watches_pages_and_generation():
    with Daemon(args=['-W', '0']) as d, d.client() as c:
        g = d.guest(5)
        wanted = []
        for i in range(300):
            g.watch(f'some/path/{i}', f'token-{i}')
            wanted += [f'some/path/{i}', f'token-{i}']
        got, index, generations = [], 0, set()
        while True:
            generation, part = watches(c, 5, index)
            generations.add(generation)
            if not part:
                break
            got += part
            index += len(part) // 2
        eq(got, wanted, 'watches')
        eq(len(generations), 1, 'generations')
        eq(watches(c, 5, 10 ** 6)[1], [], 'beyond the end')
        g.unwatch('some/path/7', 'token-7')
        assert watches(c, 5, 0)[0] not in generations, 'same generation'


def test_add_domain_watches_is_like_watch():
    with Daemon() as d, d.client() as c:
        g = d.guest(5)
        g.watch('b', 'old')
        c.op(ADD_DOMAIN_WATCHES, 5, 'a', 't', 'b', 'old', '/abs/x', 'u')
        eq([g.next_event(), g.next_event()], [('a', 't'), ('/abs/x', 'u')],
           'first events of the new ones alone')
        c.op(ADD_DOMAIN_WATCHES, 5, 'a', 't')
        g.write('a/q', b'')
        eq(g.events, [('a/q', 't')], 'once')


def test_add_domain_watches_all_or_none():
    with Daemon(args=['-W', '4']) as d, d.client() as c:
        d.guest(5)
        fails('EINVAL', c.op, ADD_DOMAIN_WATCHES, 5, 'a', 't', 'b//', 'u')
        fails('ENOSPC', c.op, ADD_DOMAIN_WATCHES, 5,
              *[x for i in range(5) for x in (f'p{i}', 't')])
        fails('EINVAL', c.op, ADD_DOMAIN_WATCHES, 5, 'a')
        eq(watches(c, 5, 0)[1], [], 'watches')
        c.op(ADD_DOMAIN_WATCHES, 5,
             *[x for i in range(4) for x in (f'p{i}', 't')])
        eq(len(watches(c, 5, 0)[1]), 8, 'exactly the quota')


def test_depth_survives_a_move():
    with Daemon() as d, d.client() as c:
        g = d.guest(5)
        g.watch('a', 't', 1)
        g.watch('b', 't')
        eq(watches(c, 5, 0, '*depth')[1], ['a', 't', '1', 'b', 't', ''],
           'with depth')
        g2 = d.guest(6)
        c.op(ADD_DOMAIN_WATCHES, 6, '*depth', 'a', 't', '1', 'b', 't', '')
        eq([g2.next_event(), g2.next_event()], [('a', 't'), ('b', 't')], '')
        g2.write('a/x/y')
        eq(g2.take_events(), [], 'too deep')


def test_control_mirrors():
    with Daemon() as d, d.client() as c:
        g = d.guest(5)
        g.watch('a', 't')
        eq(c.control('quiesce', '5'), 'OK', 'quiesce')
        eq(c.control('unquiesce', '5'), 'OK', 'unquiesce')
        c.control('add-domain-watches', '5', 'b', 'u')
        got = c.op(CONTROL, 'get-domain-watches', '5', '0').split(b'\0')
        eq(got[1:], [b'a', b't', b'b', b'u', b''], 'watches')


def records(path):
    with open(path, 'rb') as f:
        data = f.read()
    magic, version, flags = struct.unpack('>8sII', data[:16])
    eq((magic, flags), (b'xenstore', 0), 'header')
    at, out = 16, []
    while True:
        kind, length = struct.unpack_from('<II', data, at)
        out.append((kind, data[at + 8:at + 8 + length]))
        eq(length % 8, 0, 'length')
        at += 8 + length
        if kind == 0:
            break
    eq(at, len(data), 'nothing follows END')
    return version, out


def test_state_stream_of_the_whole_daemon():
    with Daemon() as d, d.client() as c:
        g = d.guest(5)
        g.write('a', b'\0binary\0')
        g.watch('a', 't')
        g.watch('b', 'deep', 3)
        tx = c.begin()
        c.write('/pending', b'x', tx=tx)
        for version in (1, 2):
            path = f'{d.dir}/state{version}'
            c.control('save-state', path, str(version))
            got, recs = records(path)
            eq(got, version, 'version')
            kinds = [k for k, _ in recs]
            eq(kinds[0], 1, 'GLOBAL_DATA first')
            nodes = {}
            for kind, body in recs:
                if kind != 5:
                    continue
                conn, _, plen, vlen, _, nperm = struct.unpack_from('<IIHHHH',
                                                                   body)
                at = 16 + 4 * nperm
                name = body[at:at + plen - 1].decode()
                if not conn:
                    nodes[name] = body[at + plen:at + plen + vlen]
            eq(nodes['/local/domain/5/a'], b'\0binary\0', 'value')
            assert '@releaseDomain' in nodes and '/' in nodes, 'all nodes'
            assert '/pending' not in nodes, 'not committed'
            assert 4 in kinds, 'the open transaction'
            eq(8 in kinds, version == 2, 'WATCH_DATA_EXTENDED')
            eq(7 in kinds and 6 in kinds, version == 2, 'quotas')
        fails('EIO', c.control, 'save-state', path)


main(globals())
