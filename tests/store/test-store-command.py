#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""xenferry store export, import, show; streams of a stock daemon."""
import json

from storelib import *

XENFERRY = os.environ['XENFERRY']


def run(*args, code=0, data=None):
    got = subprocess.run([XENFERRY, 'store', *[str(a) for a in args]],
                         input=data, capture_output=True, timeout=60)
    if got.returncode != code:
        raise AssertionError(f'{args}: exit {got.returncode}, expected {code}:'
                             f' {got.stderr.decode()}')
    return got.stdout if code == 0 else got.stderr.decode()


def show(*args, data=None):
    return json.loads(run('--json', *args, data=data))


def nodes(shown):
    return {n['path']: n for n in shown['nodes']}


def fill(d):
    g = d.guest(5)
    g.write('device/vif/0/state', b'4')
    g.write('binary', b'a\0b')
    with d.client() as c:
        c.chmod('/local/domain/5/device/vif/0', 'n5', 'r0')
        c.write('/other/node', b'x')
    g.watch('control', 't1')
    g.watch('/local/domain/5/control', 't2')
    g.watch('@releaseDomain', 't3')
    g.watch('deep', 't4', 2)
    return g


def test_one_domain_to_another_store_and_number():
    for form in (['--records'], ['--stream', '1'], ['--stream', '2']):
        with Daemon() as d:
            fill(d)
            path = f'{d.dir}/exported'
            run('--socket', d.socket, '--domain', 5, *form, 'export', path)
            eq([f for f in os.listdir(d.dir) if f.startswith('export-')], [],
               'left behind')
            with Daemon() as to, to.client() as c:
                g = to.guest(9)
                g.write('already', b'there')
                run('--socket', to.socket, '--domain', 9, '--was', 5, 'import',
                    path)
                home = '/local/domain/9'
                eq(c.read(f'{home}/device/vif/0/state'), b'4', 'value')
                eq(c.read(f'{home}/binary'), b'a\0b', 'value')
                eq(c.perms(f'{home}/device/vif/0'), ['n9', 'r0'], 'perms')
                eq(c.perms(f'{home}/device/vif/0/state'), ['n9'], 'perms')
                eq(c.read(f'{home}/already'), b'there', 'kept')
                fails('ENOENT', c.read, '/other/node')
                got = c.op(GET_DOMAIN_WATCHES, 9, 0, '*depth').split(b'\0')
                wanted = ['control', 't1', '', f'{home}/control', 't2', '',
                          '@releaseDomain', 't3', '']
                if form != ['--stream', '1']:
                    wanted += ['deep', 't4', '2']
                eq([w.decode() for w in got[1:-1]], wanted, 'watches')
                c.check()


def test_whole_store():
    with Daemon() as d:
        fill(d)
        with Daemon() as to, to.client() as c:
            to.guest(5)
            path = f'{d.dir}/exported'
            run('--socket', d.socket, 'export', path)
            run('--socket', to.socket, 'import', path)
            eq(c.read('/other/node'), b'x', 'value')
            eq(c.read('/local/domain/5/device/vif/0/state'), b'4', 'value')
            here = show('--socket', d.socket, 'show')
            there = show('--socket', to.socket, 'show')
            eq(nodes(there), nodes(here), 'nodes')
            eq(there['watches'], here['watches'], 'watches')


def test_show_agrees_with_the_store():
    with Daemon() as d, d.client() as c:
        fill(d)
        got = show('--socket', d.socket, 'show')
        eq(got['version'], 2, 'version')
        for path, node in nodes(got).items():
            eq(node['permissions'], c.perms(path), path)
        eq(nodes(got)['/local/domain/5/device/vif/0/state']['value'], '4', '')
        one = show('--socket', d.socket, '--domain', 5, 'show')
        assert set(nodes(one)) < set(nodes(got)), 'a part'
        assert all(p.startswith('/local/domain/5') for p in nodes(one)), one
        eq(len(one['watches']), 4, 'watches')
        data = run('--socket', d.socket, '--domain', 5, '--records', 'export',
                   '-')
        eq(nodes(show('--domain', 5, 'show', '-', data=data)), nodes(one),
           'the same from records')
        assert '/local/domain/5/binary' in run('show', '-', data=run(
            '--socket', d.socket, 'export', '-')).decode(), 'as text'


def test_import_refuses_and_changes_nothing():
    with Daemon() as d:
        g = fill(d)
        data = run('--socket', d.socket, '--domain', 5, '--records', 'export',
                   '-')
        with Daemon() as to, to.client() as c:
            said = run('--socket', to.socket, '--domain', 9, '--was', 5,
                       'import', '-', data=data, code=1)
            assert 'does not exist' in said, said
            fails('ENOENT', c.read, '/local/domain/9/binary')
            for cut in range(1, len(data), 37):
                if cut % 8:
                    run('--socket', to.socket, '--domain', 5, 'import', '-',
                        data=data[:cut], code=1)
            fails('ENOENT', c.read, '/local/domain/5')
        said = run('--socket', d.socket, '--domain', 77, 'export', '-', code=1)
        assert 'domain 77: not in the store' in said, said
        run('--socket', d.socket, '--records', 'export', '-', code=64)
        run('--socket', d.socket, 'bogus', '-', code=64)
        run('--socket', d.dir + '/none', 'show', code=1)
        g.read('binary')


def test_nodes_go_to_a_stock_store():
    with Daemon() as d:
        fill(d)
        data = run('--socket', d.socket, '--domain', 5, '--records', 'export',
                   '-')
        with Daemon('c') as to, to.client() as c:
            to.guest(9)
            said = run('--socket', to.socket, '--domain', 9, '--was', 5,
                       'import', '-', data=data, code=1)
            assert 'cannot add them' in said, said
            eq(c.read('/local/domain/9/binary'), b'a\0b', 'value')
            said = run('--socket', to.socket, 'export', '-', code=1)
            assert 'expected xenferry-xenstored' in said, said


def test_stream_of_a_stock_daemon():
    """What stock xenstored leaves for its successor in a live update."""
    with Daemon('c') as d, d.client() as c:
        g = d.guest(5)
        g.write('a', b'1')
        g.watch('a', 't')
        c.write('/x/y', b'\0z')
        thief = f'{d.dir}/successor'
        with open(thief, 'w') as f:
            f.write(f'#!/bin/sh\ncp {d.dir}/state_dump {d.dir}/stream ||\n'
                    f'    cp /run/xenstored/state_dump {d.dir}/stream\n')
        os.chmod(thief, 0o755)
        c.control('live-update', '-f', thief)
        try:
            c.control('live-update', '-s')
        except (EOFError, ConnectionError):
            pass
        d.process.wait(TIMEOUT)
        eq(d.process.returncode, 0, 'the successor')
        got = show('show', f'{d.dir}/stream')
        eq(nodes(got)['/local/domain/5/a']['value'], '1', 'value')
        eq([w['path'] for w in got['watches']], ['a'], 'watches')
        with Daemon() as to, to.client() as other:
            to.guest(5)
            run('--socket', to.socket, 'import', f'{d.dir}/stream')
            eq(other.read('/x/y'), b'\0z', 'value')
            eq(other.perms('/local/domain/5/a'), ['n5'], 'permissions')


main(globals())
