#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""One test for each lesson of xenstored's security history, by advisory."""
import random
import resource
import threading

from storelib import *


def test_xsa38_indexes_of_every_kind():
    rng = random.Random(38)
    with Daemon() as d, d.client() as c:
        for i in range(60):
            g = d.guest(10)
            for _ in range(4):
                at = rng.choice([g.REQ_CONS, g.REQ_PROD, g.RSP_CONS,
                                 g.RSP_PROD])
                g.set_index(at, rng.choice([0, 1, 16, 1023, 1024, 1025,
                                            0x7fffffff, 0x80000000, 0xffffffff,
                                            rng.randrange(1 << 32)]))
                g.kick()
            c.write('/x', str(i))
            g.gone()
            c.op(RELEASE, 10)
        c.check()


def test_xsa38_page_changes_under_the_daemon():
    rng = random.Random(381)
    with Daemon() as d, d.client() as c:
        stop = threading.Event()

        def mutate(g):
            while not stop.is_set():
                g.page[rng.randrange(2080)] = rng.randrange(256)
                if rng.random() < 0.2:
                    g.set_index(rng.choice([2048, 2052, 2056, 2060]),
                                rng.choice([0, 1, 1024, 1025, 1 << 31]))
        for _ in range(15):
            g = d.guest(10)
            stop.clear()
            t = threading.Thread(target=mutate, args=(g,))
            t.start()
            for i in range(60):
                g.put(struct.pack('<4I', rng.randrange(27), i, 0,
                                  rng.randrange(40)) + bytes(20))
                g.kick()
                if not i % 20:
                    c.write('/x', str(i))
            stop.set()
            t.join()
            g.gone()
            c.op(RELEASE, 10)
        c.check()


def test_xsa72_reply_beyond_4096():
    with Daemon() as d, d.client() as c:
        g = d.guest(5)
        for i in range(600):
            g.write(f'dir/child-{i:04}')
        fails('E2BIG', g.ls, 'dir')
        fails('E2BIG', c.ls, '/local/domain/5/dir')
        eq(g.read('dir/child-0007'), b'', 'the ring is in step')
        names, offset = [], 0
        while True:
            part = g.op(DIRECTORY_PART, 'dir', offset)
            assert len(part) <= 4096, f'{len(part)} octets'
            body = part.split(b'\0', 1)[1]
            last = body.endswith(b'\0\0')
            if last:
                body = body[:-1]
            names += body.split(b'\0')[:-1]
            offset += len(body)
            if last:
                break
        eq(len(names), 600, 'children by parts')


def test_xsa206_write_flood_starves_no_transaction():
    with Daemon() as d, d.client() as c:
        g = d.guest(5)
        g.write('hot', b'0')
        stop = threading.Event()

        def flood():
            i = 0
            while not stop.is_set():
                i += 1
                g.write('hot', str(i))
        t = threading.Thread(target=flood)
        t.start()
        try:
            for _ in range(5):
                for attempt in range(8):
                    tx = c.begin()
                    c.read('/local/domain/5/hot', tx=tx)
                    time.sleep(0.02)
                    c.write('/count', b'x', tx=tx)
                    try:
                        c.commit(tx)
                        break
                    except StoreError as e:
                        eq(str(e), 'EAGAIN', 'commit')
                else:
                    raise AssertionError('8 attempts were not enough')
        finally:
            stop.set()
            t.join()


def test_xsa233_domain_and_stub_domain_die_together():
    with Daemon() as d, d.client() as c:
        for _ in range(20):
            g, stub = d.guest(8), d.guest(9)
            c.op(SET_TARGET, 9, 8)
            g.gone()
            stub.gone()
            d.virq()
            until(lambda: not c.introduced(8) and not c.introduced(9), 'death')
        c.check()


def test_xsa115_events_respect_permissions():
    with Daemon() as d, d.client() as c:
        g = d.guest(5)
        g.watch('/', 'all')
        g.watch('/secret', 's')
        g.watch('@introduceDomain', 'i')
        c.write('/secret/x', b'1')
        c.rm('/secret')
        d.guest(6)
        eq(g.take_events(), [], 'nothing of others')
        c.write('/open', b'1')
        c.chmod('/open', 'r0')
        eq(g.take_events(), [('/open', 'all')], 'readable by then')
        c.chmod('/open', 'n0')
        eq(g.take_events(), [('/open', 'all')], 'was readable before')
        c.write('/open', b'2')
        eq(g.take_events(), [], 'no longer')
        fails('EACCES', g.op, IS_DOMAIN_INTRODUCED, 6)


def test_xsa115_special_nodes_have_permissions():
    with Daemon() as d, d.client() as c:
        g = d.guest(5)
        g.watch('@releaseDomain', 'r')
        c.chmod('@releaseDomain', 'n0', 'r5')
        eq(c.perms('@releaseDomain'), ['n0', 'r5'], 'permissions')
        d.guest(6).die()
        eq(g.next_event(), ('@releaseDomain', 'r'), 'event')
        fails('EACCES', g.chmod, '@releaseDomain', 'b0')


def test_xsa115_watch_ignores_tx_id():
    with Daemon() as d, d.client() as c:
        c.op(WATCH, 'a', 't', tx=12345)
        c.op(UNWATCH, 'a', 't', tx=12345)


def test_xsa115_removal_needs_no_quota():
    with Daemon() as d, d.client() as c:
        g = d.guest(5)
        for i in range(20):
            g.write(f'd/{i}')
        c.op(SET_QUOTA, 5, 'nodes', 3)
        c.op(SET_QUOTA, 5, 'node-size', 1)
        fails('ENOSPC', g.write, 'd/more')
        for i in range(20):
            g.rm(f'd/{i}')
        eq(g.ls('d'), [], 'empty')


def test_xsa322_reused_domid_inherits_nothing():
    with Daemon() as d, d.client() as c:
        g = d.guest(5)
        g.write('mine', b'1')
        c.write('/shared', b'x')
        c.chmod('/shared', 'n0', 'b5')
        c.chmod('@releaseDomain', 'n0', 'r5')
        c.write('/given/away', b'x')
        c.chmod('/given/away', 'n5')
        g.die()
        until(lambda: not c.introduced(5), 'death')
        g = d.guest(5)
        fails('EACCES', g.read, '/shared')
        fails('EACCES', g.read, '/given/away')
        eq(c.perms('/shared'), ['n0'], 'entry is gone')
        eq(c.perms('@releaseDomain'), ['n0'], 'entry is gone')
        eq(g.ls(''.join(['/local/domain/5'])), [], 'a fresh home')


def test_xsa323_path_lengths():
    with Daemon() as d, d.client() as c:
        g = d.guest(5)

        def path(length, start='/'):
            out = start
            while len(out) < length:
                out += 'a' * min(200, length - len(out))
                if len(out) + 1 < length:
                    out += '/'
            return out
        c.write(path(3072), b'')
        fails('EINVAL', c.write, path(3073), b'')
        home = len('/local/domain/5/')
        g.write(path(2048, 'b'))
        fails('EINVAL', g.write, path(2049, 'b'))
        fails('EINVAL', g.write, path(2049 + home, '/local/domain/5/'))
        fails('EINVAL', c.write, path(3072, 'rel'), b'')


def test_xsa324_huge_token():
    with Daemon() as d, d.client() as c, d.client() as o:
        token = 't' * (4096 - len('/a') - 2)
        c.op(WATCH, '/a', token)
        eq(c.next_event(), ('/a', token), 'first event fits exactly')
        o.watch('/a', 'o')
        o.write('/a/long-name', b'')
        eq(o.events, [('/a/long-name', 'o')], 'others get theirs')
        eq(c.take_events(), [], 'too long: dropped')


def test_xsa325_bad_ring_does_not_hide_death():
    with Daemon() as d, d.client() as c:
        c.watch('@releaseDomain', 'r')
        g = d.guest(5)
        g.set_index(g.REQ_PROD, 5000)
        g.kick()
        until(lambda: g.index(g.FAILURE), 'broken')
        eq(c.introduced(5), True, 'introduced')
        eq(c.take_events(), [], 'not before')
        g.die()
        eq(c.next_event(), ('@releaseDomain', 'r'), 'exactly at death')
        eq(c.take_events(), [], 'once')


def test_xsa330_reset_watches_leaks_nothing():
    with Daemon() as d, d.client() as c:
        def rounds(n):
            for _ in range(n):
                for i in range(100):
                    c.post(WATCH, words(f'/w/{i}/deep/er', 't'))
                c.post(RESET_WATCHES, words(''))
                for _ in range(201):
                    c.message()
        rounds(20)
        before = d.memory_kib()
        rounds(100)
        grown = d.memory_kib() - before
        # ASan keeps freed memory for a while; a leak would be 2 MiB at least.
        limit = 60000 if asan_runtime(os.environ['XENSTORED']) else 1000
        assert grown < limit, f'grew by {grown} KiB'
        assert 'watches               0' in c.control('memreport')


def test_xsa352_no_giving_away():
    with Daemon() as d:
        g = d.guest(5)
        g.write('x')
        fails('EPERM', g.chmod, 'x', 'n6')
        fails('EPERM', g.chmod, 'x', 'b0')
        g.chmod('x', 'n5', 'r6')


def test_xsa353_root_is_checked():
    with Daemon() as d, d.client() as c:
        g = d.guest(5)
        fails('EACCES', g.write, '/', b'x')
        fails('EACCES', g.chmod, '/', 'b5')
        fails('EACCES', g.mkdir, '/new')
        fails('EACCES', g.rm, '/')
        fails('EINVAL', c.rm, '/')


def test_xsa414_415_failed_creates_leave_nothing():
    with Daemon() as d, d.client() as c:
        g = d.guest(5)
        for limit in range(1, 7):
            c.op(SET_QUOTA, 5, 'nodes', limit)
            (g.write if limit == 6 else
             lambda p: fails('ENOSPC', g.write, p))('a/b/c/d/e')
            if limit < 6:
                fails('ENOENT', g.read, 'a')
                tx = g.begin()
                fails('ENOSPC', g.write, 'a/b/c/d/e', tx=tx)
                fails('ENOMEM', g.commit, tx)
            c.check()
        eq(g.read('a/b/c/d/e'), b'', 'exactly six fit')


def test_xsa417_entries_for_absent_domains_stay_inert():
    with Daemon() as d, d.client() as c:
        c.write('/x', b'1')
        c.chmod('/x', 'n0', 'r7')
        g = d.guest(7)
        fails('EACCES', g.read, '/x')
        c.chmod('/x', 'n0', 'r7')
        eq(g.read('/x'), b'1', 'set again')
        fails('ENOENT', c.chmod, '/x', 'n77')


def test_xsa418_deep_trees_on_a_small_stack():
    before = resource.getrlimit(resource.RLIMIT_STACK)
    resource.setrlimit(resource.RLIMIT_STACK, (256 << 10, before[1]))
    try:
        with Daemon() as d, d.client() as c:
            deep = '/d' + '/x' * 1500
            for _ in range(2):
                c.write(deep, b'')
                c.check()
                c.control('save-state', f'{d.dir}/dump{_}')
                tx = c.begin()
                c.rm('/d', tx=tx)
                c.commit(tx)
                c.write(deep, b'')
                c.rm('/d')
            g = d.guest(5)
            c.write(deep, b'')
            c.chmod('/d', 'n5')
            g.die()
            until(lambda: not c.introduced(5), 'death')
            fails('ENOENT', c.read, '/d')
    finally:
        resource.setrlimit(resource.RLIMIT_STACK, before)


def test_xsa419_nodes_of_the_dead_do_not_pile_up():
    with Daemon() as d, d.client() as c:
        c.mkdir('/public')
        c.chmod('/public', 'b0')
        total = None
        for _ in range(30):
            g = d.guest(5)
            for i in range(40):
                g.write(f'/public/{i}')
            g.gone()
            c.op(RELEASE, 5)
            nodes = c.control('memreport').split()[1]
            total = total or nodes
            eq(nodes, total, 'nodes')
        c.check()


def test_xsa420_lengths_near_32_bits():
    with Daemon() as d, d.client() as c:
        for length in (4097, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff):
            with d.client() as bad:
                bad.send(struct.pack('<4I', WRITE, 1, 0, length))
                try:
                    bad.message()
                    raise AssertionError('answered')
                except (EOFError, ConnectionResetError):
                    pass
            g = d.guest(5)
            g.put(struct.pack('<4I', WRITE, 1, 0, length))
            g.kick()
            until(lambda: g.index(g.FAILURE) == 3, 'error field')
            g.gone()
            c.op(RELEASE, 5)
        eq(c.read('/tool'), b'', 'others')


def test_xsa421_accounts_match_after_transactions():
    rng = random.Random(421)
    with Daemon(args=['-E', '30']) as d, d.client() as c:
        g = d.guest(5)
        for _ in range(60):
            tx = g.begin()
            for _ in range(rng.randrange(12)):
                name = f'n{rng.randrange(8)}/m{rng.randrange(4)}'
                try:
                    rng.choice([g.write, g.rm, g.mkdir])(name, tx=tx)
                except StoreError as e:
                    assert str(e) in ('ENOENT', 'ENOSPC'), e
            try:
                rng.choice([g.commit, g.commit, g.abort])(tx)
            except StoreError as e:
                assert str(e) in ('ENOMEM', 'EAGAIN'), e
            c.check()


def test_xsa326_guest_that_never_reads_is_held_back():
    with Daemon() as d, d.client() as c:
        g = d.guest(5)
        one = struct.pack('<4I', READ, 7, 0, 2) + b'x\0'
        sent = 0
        for _ in range(4000):
            sent += g.put(one) == len(one)
            g.kick()
        c.read('/tool')
        assert sent < 250, f'{sent} requests were taken'
        out = c.control('quota', '5').splitlines()
        outstanding = [x for x in out if x.startswith('outstanding')][0]
        eq(outstanding.split()[2], '20', 'outstanding')


def test_xsa326_events_are_bounded_too():
    # Events that expire would let the writer go on after a while.
    with Daemon(args=['-w', 'watch-event=0']) as d, d.client() as c:
        victim, g = d.guest(5), d.guest(6)
        c.mkdir('/public')
        c.chmod('/public', 'b0')
        victim.watch('/public', 'w')
        done = 0
        try:
            for i in range(2000):
                g.post(WRITE, words(f'/public/{i % 900:0300}'))
                g.answer(timeout=3)
                done += 1
                if g.req_id % 50 == 0:
                    c.read('/tool')
        except TimeoutError:
            pass
        assert done < 200, f'{done} writes while the other reads nothing'
        while victim.unread():
            victim.next_event()
        g.answer()


def test_xsa326_transactions_are_bounded():
    with Daemon(args=['-Q', 'transaction-nodes=50', '-t', '4']) as d:
        g = d.guest(5)
        ids = [g.begin() for _ in range(4)]
        fails('ENOSPC', g.begin)
        tx = ids[0]
        nodes = 0
        try:
            for i in range(100):
                g.write(f'n{i}', tx=tx)
                nodes += 1
        except StoreError as e:
            eq(str(e), 'ENOSPC', 'beyond the quota')
        eq(nodes, 49, 'nodes and their parent')
        fails('ENOMEM', g.commit, tx)


def test_xsa425_release_while_traffic_flows():
    with Daemon() as d, d.client() as c:
        for _ in range(100):
            g = d.guest(5)
            for i in range(5):
                g.post(WRITE, words(f'x{i}'))
                c.post(READ, words('/tool'))
            c.post(RELEASE, words(5))
            for _ in range(6):
                c.answer()
            g.close()
        c.check()


def test_xsa440_delete_inside_and_outside():
    with Daemon() as d, d.client() as c:
        g = d.guest(5)
        g.write('x/y')
        tx = g.begin()
        g.rm('x', tx=tx)
        c.rm('/local/domain/5/x')
        fails('EAGAIN', g.commit, tx)
        c.check()


def test_xsa481_paths_that_end_at_the_prefix():
    with Daemon() as d, d.client() as c:
        g = d.guest(5)
        for path in ('/local/domain/', '/local/domain/99999999999999999999/x',
                     '/local/domain//', '/local/domain/x/'):
            for op in (DIRECTORY, READ, GET_PERMS, MKDIR, RM, WRITE):
                for who in (g, c):
                    try:
                        who.op(op, path)
                    except StoreError as e:
                        assert str(e) in ('EINVAL', 'EACCES', 'ENOENT'), e
        for path in ('/local/domain/', '/local/domain//'):
            fails('EINVAL', g.read, path)
        fails('EACCES', g.read, '/local/domain')


def test_xsa483_quota_is_whole_again_after_death():
    with Daemon(args=['-E', '10']) as d, d.client() as c:
        for _ in range(5):
            g = d.guest(5)
            for i in range(9):
                g.write(f'n{i}')
            fails('ENOSPC', g.write, 'more')
            g.die()
            until(lambda: not c.introduced(5), 'death')


def test_xsa484_reset_watches_inside_a_transaction():
    with Daemon() as d:
        g = d.guest(5)
        tx = g.begin()
        g.write('x', tx=tx)
        eq(g.op(RESET_WATCHES, '', tx=tx), b'OK\0', 'reset')
        fails('ENOENT', g.commit, tx)
        tx = g.begin()
        g.write('x', tx=tx)
        g.set_index(g.REQ_PROD, g.index(g.REQ_CONS) + 4000)
        g.kick()
        until(lambda: g.index(g.FAILURE) == 2, 'broken')


def test_general_child_names_do_not_fill_node_size():
    with Daemon() as d:
        g = d.guest(5)
        for i in range(900):
            g.write(f'dir/c{i}')


def test_general_any_entries_from_a_socket():
    with Daemon() as d, d.client() as c:
        c.write('/any', b'1')
        c.chmod('/any', 'n0', 'r32757')
        eq(d.guest(5).read('/any'), b'1', 'everybody')


def test_general_quotas_are_exact_and_refusals_logged():
    with Daemon(args=['-W', '7', '-E', '9', '-A', '3', '-S', '104']) as d:
        g = d.guest(5)
        for i in range(7):
            g.watch(f'w{i}', 't')
        fails('ENOSPC', g.op, WATCH, 'w7', 't')
        for i in range(8):
            g.write(f'n{i}')
        fails('ENOSPC', g.write, 'n8')
        g.write('n0', b'v' * 100)
        fails('ENOSPC', g.write, 'n0', b'v' * 101)
        g.chmod('n0', 'n5', 'r1', 'r2')
        fails('ENOSPC', g.chmod, 'n0', 'n5', 'r1', 'r2', 'r3')
        out = d.output()
        for wanted in ('domain 5: watches 8 refused, the quota is 7',
                       'domain 5: nodes 10 refused, the quota is 9',
                       'domain 5: node-size 105 refused, the quota is 104',
                       'domain 5: node-permissions 4 refused'):
            assert wanted in out, f'{wanted!r} not in {out}'


main(globals())
