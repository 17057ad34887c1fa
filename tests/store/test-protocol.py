#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Operations, transactions, watches and quotas over the socket."""
import random

from storelib import *


def test_initial_nodes():
    with Daemon() as d, d.client() as c:
        eq(c.ls('/'), ['tool'], 'root')
        eq(c.ls('/tool'), ['xenstored'], 'tool')
        eq(c.perms('/'), ['n0'], 'permissions')
        fails('ENOENT', c.read, '/tool/xenstored/domid')


def test_sockets_alone_without_a_hypervisor():
    with Daemon(xen=False) as d, d.client() as c:
        c.write('/local/domain/5/x', b'1')
        c.chmod('/local/domain/5/x', 'n5', 'r6')
        eq(c.perms('/local/domain/5/x'), ['n5', 'r6'], 'permissions')
        fails('EINVAL', c.op, INTRODUCE, 5, 1, 5)
        eq(c.introduced(5), False, 'introduced')


def test_zero_length_payloads_are_answered():
    with Daemon() as d, d.client() as c:
        for op in range(0, 30):
            c.post(op)
            kind, _, _, _ = c.message()
            assert kind in (op, ERROR), f'op {op} answered as {kind}'


def test_replies_keep_the_order_of_requests():
    with Daemon() as d, d.client() as c:
        c.write('/k', b'v')
        ids = [c.post(READ, words('/k' if i % 3 else '/no'))
               for i in range(500)]
        for i, wanted in enumerate(ids):
            kind, req, _, _ = c.message()
            eq((kind, req), (READ if i % 3 else ERROR, wanted), 'reply')


def test_unknown_operations():
    with Daemon() as d, d.client() as c:
        for op in (15, 16, 20, 27, 99, 65535, 0x8000, 0x8005, 0xffffffff):
            fails('ENOSYS', c.op, op, 'x')


def test_mkdir_of_existing_keeps_value_and_fires_nothing():
    with Daemon() as d, d.client() as c:
        c.write('/a', b'v')
        c.watch('/a', 't')
        c.mkdir('/a')
        eq(c.read('/a'), b'v', 'value')
        eq(c.take_events(), [], 'events')


def test_events_of_a_removed_subtree():
    with Daemon() as d, d.client() as c, d.client() as w:
        for p in ('/a/b/c', '/a/b/d/e', '/a/f'):
            c.write(p)
        w.watch('/', 'root')
        for p in ('/a/b/c', '/a/b/d/e', '/a/b', '/a', '/a/f', '/a/q'):
            w.watch(p, 't')
        c.rm('/a')
        eq(w.take_events(),
           [('/a/b/c', 't'), ('/a/b/d/e', 't'), ('/a/b', 't'), ('/a/f', 't'),
            ('/a', 'root'), ('/a', 't')], 'children first')


def test_implicit_parents_fire_nothing():
    with Daemon() as d, d.client() as c:
        c.watch('/a', 't')
        c.write('/a/b/c')
        eq(c.events, [('/a/b/c', 't')], 'one event')


def test_watch_depth():
    with Daemon() as d, d.client() as c:
        c.watch('/a', 'zero', 0)
        c.watch('/a', 'one', 1)
        c.write('/a')
        eq(c.take_events(), [('/a', 'zero'), ('/a', 'one')], 'itself')
        c.write('/a/b')
        eq(c.take_events(), [('/a/b', 'one')], 'one below')
        c.write('/a/b/c')
        eq(c.take_events(), [], 'two below')
        fails('EINVAL', c.op, WATCH, '/a', 'x', 'many')


def test_watch_duplicates_and_relative_paths():
    with Daemon() as d, d.client() as c:
        c.watch('rel', 't')
        fails('EEXIST', c.op, WATCH, '/local/domain/0/rel', 't')
        c.watch('/local/domain/0/rel', 'other')
        c.write('rel/x')
        eq(c.take_events(), [('rel/x', 't'), ('/local/domain/0/rel/x',
                                              'other')], 'events')
        c.unwatch('/local/domain/0/rel', 't')
        fails('ENOENT', c.unwatch, 'rel', 't')


def test_an_event_already_queued_is_not_queued_twice():
    with Daemon() as d, d.client() as c:
        g = d.guest(5)
        g.watch('a', 't')
        for _ in range(50):
            c.write('/local/domain/5/a')
        first = g.next_event()
        g.take_events()
        eq(first, ('a', 't'), 'event')
        eq(g.unread(), 0, 'no flood')


def test_transaction_reads_its_snapshot():
    with Daemon() as d, d.client() as c, d.client() as o:
        c.write('/a', b'old')
        tx = c.begin()
        eq(c.read('/a', tx=tx), b'old', 'first')
        o.write('/a', b'new')
        eq(c.read('/a', tx=tx), b'old', 'again')
        c.write('/a', b'mine', tx=tx)
        fails('EAGAIN', c.commit, tx)
        eq(c.read('/a'), b'new', 'outside wins')


def test_transaction_absent_reads_conflict():
    with Daemon() as d, d.client() as c, d.client() as o:
        tx = c.begin()
        fails('ENOENT', c.read, '/a', tx=tx)
        c.write('/b', b'', tx=tx)
        o.write('/a', b'')
        fails('EAGAIN', c.commit, tx)
        eq(c.exists('/b'), False, 'nothing of it')


def test_transaction_listing_conflicts_only_with_the_list():
    with Daemon() as d, d.client() as c, d.client() as o:
        c.write('/dir/x', b'')
        for change, wanted in ((lambda: o.write('/dir/x', b'2'), None),
                               (lambda: o.write('/dir', b'v'), None),
                               (lambda: o.write('/dir/y', b''), 'EAGAIN'),
                               (lambda: o.rm('/dir/y'), 'EAGAIN')):
            tx = c.begin()
            c.ls('/dir', tx=tx)
            c.write('/out', b'', tx=tx)
            change()
            if wanted:
                fails(wanted, c.commit, tx)
            else:
                c.commit(tx)


def test_siblings_created_side_by_side_do_not_conflict():
    with Daemon() as d:
        clients = [d.client() for _ in range(8)]
        clients[0].mkdir('/dir')
        ids = [c.begin() for c in clients]
        for i, (c, tx) in enumerate(zip(clients, ids)):
            c.write(f'/dir/{i}', b'', tx=tx)
        for c, tx in zip(clients, ids):
            c.commit(tx)
        eq(len(clients[0].ls('/dir')), 8, 'children')
        clients[0].check()


def test_transaction_events_once_in_order():
    with Daemon() as d, d.client() as c, d.client() as w:
        w.watch('/', 'w')
        tx = c.begin()
        c.write('/t/a', b'1', tx=tx)
        c.write('/t/b', b'1', tx=tx)
        c.write('/t/a', b'2', tx=tx)
        c.write('/t/gone', b'', tx=tx)
        c.rm('/t/gone', tx=tx)
        eq(w.take_events(), [], 'before')
        c.commit(tx)
        eq(w.take_events(), [('/t/a', 'w'), ('/t/b', 'w')], 'after')


def test_transaction_ids_and_ends():
    with Daemon() as d, d.client() as c, d.client() as o:
        tx = c.begin()
        fails('EBUSY', c.op, TRANSACTION_START, '', tx=tx)
        fails('EINVAL', c.op, TRANSACTION_END, 'X', tx=tx)
        fails('ENOENT', o.commit, tx)
        fails('ENOENT', c.commit, 0)
        fails('ENOENT', c.read, '/', tx=tx + 1)
        c.abort(tx)
        fails('ENOENT', c.abort, tx)


def test_transaction_removes_and_makes_again():
    with Daemon() as d, d.client() as c:
        c.write('/a/old/deep', b'1')
        tx = c.begin()
        c.rm('/a', tx=tx)
        fails('ENOENT', c.read, '/a/old', tx=tx)
        c.write('/a/new', b'2', tx=tx)
        eq(c.ls('/a', tx=tx), ['new'], 'inside')
        c.commit(tx)
        eq(c.ls('/a'), ['new'], 'after')
        c.check()


def test_directory_part_restarts_on_change():
    with Daemon() as d, d.client() as c:
        c.write('/d/a')
        one = c.op(DIRECTORY_PART, '/d', 0)
        eq(one.split(b'\0', 1)[1], b'a\0\0', 'last part')
        c.write('/d/b')
        two = c.op(DIRECTORY_PART, '/d', 0)
        assert one.split(b'\0')[0] != two.split(b'\0')[0], 'generation'
        eq(c.op(DIRECTORY_PART, '/d', 99).split(b'\0', 1)[1], b'\0', 'beyond')


def test_features_and_quotas():
    with Daemon() as d, d.client() as c:
        eq(c.op(GET_FEATURE), b'15\0', 'own')
        g = d.guest(5, introduce=False)
        eq(c.op(GET_FEATURE, 5), b'15\0', 'before')
        c.op(SET_FEATURE, 5, 3)
        fails('EINVAL', c.op, SET_FEATURE, 5, 16)
        fails('ENOENT', c.op, SET_FEATURE, 6, 1)
        g.introduce()
        fails('EBUSY', c.op, SET_FEATURE, 5, 1)
        eq(g.index(g.FEATURES), 3, 'in the page')
        fails('EINVAL', g.op, WATCH, 'a', 't', 1)
        eq(g.op(GET_FEATURE), b'3\0', 'own')
        fails('EACCES', g.op, GET_FEATURE, 5)
        names = c.op(GET_QUOTA).rstrip(b'\0').split(b' ')
        assert b'nodes' in names and b'soft-memory' in names, names
        eq(c.op(GET_QUOTA, 'nodes'), b'1000\0', 'global')
        c.op(SET_QUOTA, 5, 'nodes', 12)
        eq(c.op(GET_QUOTA, 5, 'nodes'), b'12\0', 'of one domain')
        eq(c.op(GET_QUOTA, 'nodes'), b'1000\0', 'global')
        fails('EINVAL', c.op, GET_QUOTA, 'nonsense')
        fails('EACCES', g.op, GET_QUOTA, 'nodes')


def test_permissions():
    with Daemon() as d, d.client() as c:
        a, b = d.guest(5), d.guest(6)
        a.write('x', b'1')
        fails('EACCES', b.read, '/local/domain/5/x')
        fails('EACCES', b.read, '/local/domain/5/absent')
        a.chmod('x', 'n5', 'r6')
        eq(b.read('/local/domain/5/x'), b'1', 'read')
        fails('EACCES', b.write, '/local/domain/5/x', b'2')
        fails('EACCES', b.chmod, '/local/domain/5/x', 'n5')
        a.chmod('x', 'n5', 'b6')
        b.write('/local/domain/5/x/y', b'2')
        eq(c.perms('/local/domain/5/x/y'), ['n6', 'b6'], 'inherited')
        fails('EINVAL', c.chmod, '/tool', 'q0')
        fails('EINVAL', c.chmod, '/tool')


def test_property_against_a_model():
    """Random requests of several clients against a model: committed
    transactions must have the effect that their requests have at the moment
    of the commit (serialisability)."""
    for seed in range(4):
        with Daemon() as d:
            run_property(d, random.Random(seed), 600)


class Model:
    """A tree as a dictionary from path to value."""

    def __init__(self):
        self.nodes = {'/': b''}

    def parents(self, path):
        parts = path.split('/')[1:-1]
        return ['/' + '/'.join(parts[:i + 1]) for i in range(len(parts))]

    def read(self, path):
        return self.nodes.get(path, 'ENOENT')

    def ls(self, path):
        if path not in self.nodes:
            return 'ENOENT'
        start = path.rstrip('/') + '/'
        return sorted(p[len(start):] for p in self.nodes
                      if p.startswith(start) and p != '/'
                      and '/' not in p[len(start):])

    def write(self, path, value):
        for p in self.parents(path):
            self.nodes.setdefault(p, b'')
        self.nodes[path] = value
        return 'OK'

    def mkdir(self, path):
        return 'OK' if path in self.nodes else self.write(path, b'')

    def rm(self, path):
        if path not in self.nodes:
            up = path.rsplit('/', 1)[0] or '/'
            return 'OK' if up in self.nodes else 'ENOENT'
        for p in list(self.nodes):
            if p == path or p.startswith(path + '/'):
                del self.nodes[p]
        return 'OK'


def call(c, name, args, tx):
    try:
        got = getattr(c, name)(*args, tx=tx)
    except StoreError as e:
        return str(e)
    if name == 'ls':
        return sorted(n for n in got if n != 'tool')
    return got if name == 'read' else 'OK'


def run_property(d, rng, steps):
    model = Model()
    clients = [d.client() for _ in range(4)]
    open_ = {}
    commits = conflicts = 0
    for _ in range(steps):
        i = rng.randrange(4)
        c = clients[i]
        if i in open_ and rng.random() < 0.15:
            tx, log = open_.pop(i)
            try:
                c.commit(tx)
            except StoreError as e:
                eq(str(e), 'EAGAIN', 'commit')
                conflicts += 1
                continue
            commits += 1
            # All of it at this moment gives the answers it was given.
            for name, args, got in log:
                eq(getattr(model, name)(*args), got,
                   f'in a committed transaction: {name}{args}')
            continue
        if i not in open_ and rng.random() < 0.2:
            open_[i] = (c.begin(), [])
        path = '/' + '/'.join(rng.choice('abc')
                              for _ in range(rng.randrange(1, 4)))
        name = rng.choice(['read', 'read', 'ls', 'write', 'write', 'mkdir',
                           'rm'])
        args = (path,) + ((str(rng.randrange(9)).encode(),)
                          if name == 'write' else ())
        tx, log = open_.get(i, (0, None))
        got = call(c, name, args, tx)
        if log is None:
            eq(got, getattr(model, name)(*args), f'{name}{args}')
        else:
            if got == 'EAGAIN':     # sure to conflict: nothing to compare
                c.abort(tx)
                del open_[i]
                continue
            log.append((name, args, got))
    final = {}
    todo = ['/']
    while todo:
        path = todo.pop()
        final[path] = clients[0].read(path)
        todo += [path.rstrip('/') + '/' + n for n in clients[0].ls(path)
                 if path != '/' or n != 'tool']
    eq(final, model.nodes, 'the whole tree')
    clients[0].check()
    assert commits and conflicts, f'{commits} commits, {conflicts} conflicts'


main(globals())
