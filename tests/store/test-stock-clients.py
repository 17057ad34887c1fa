#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's own clients, unchanged, against our daemon."""
import shutil

from storelib import *

BIN = '/usr/lib/xen-4.17/bin'


def tool(name):
    # Debian's /usr/sbin/xenstore-control is a wrapper that wants a hypervisor.
    path = f'{BIN}/{name}'
    if not os.path.exists(path):
        path = shutil.which(name)
    if not path:
        raise Skip(f'no {name} (packages xenstore-utils, xen-utils-4.17)')
    return path


def run(d, name, *args, ok=True):
    env = dict(os.environ, XENSTORED_PATH=d.socket)
    done = subprocess.run([tool(name), *args], env=env, capture_output=True,
                          text=True, timeout=120, check=False)
    if ok:
        eq(done.returncode, 0, f'{name} {args}: {done.stdout}{done.stderr}')
    else:
        assert done.returncode, f'{name} {args} succeeded'
    return done.stdout


def test_write_read_list_exists_rm():
    with Daemon() as d:
        run(d, 'xenstore-write', '/a/b', 'value', '/a/c', 'two')
        eq(run(d, 'xenstore-read', '/a/b'), 'value\n', 'read')
        eq(run(d, 'xenstore-list', '/a'), 'b\nc\n', 'list')
        run(d, 'xenstore-exists', '/a/b')
        run(d, 'xenstore-exists', '/a/x', ok=False)
        run(d, 'xenstore-rm', '/a/b')
        run(d, 'xenstore-read', '/a/b', ok=False)


def test_ls_shows_values_and_permissions():
    with Daemon() as d:
        run(d, 'xenstore-write', '/a/b', 'value')
        run(d, 'xenstore-chmod', '/a/b', 'n0', 'r3')
        out = run(d, 'xenstore-ls', '-fp')
        assert '/a/b = "value"   (n0,r3)' in out, out


def test_ls_of_a_directory_beyond_one_message():
    with Daemon() as d, d.client() as c:
        names = [f'a-rather-long-name-{i:04}' for i in range(1500)]
        for n in names:
            c.write(f'/big/{n}')
        eq(run(d, 'xenstore-list', '/big').split(), names, 'names')


def test_watch():
    with Daemon() as d, d.client() as c:
        env = dict(os.environ, XENSTORED_PATH=d.socket)
        p = subprocess.Popen([tool('xenstore-watch'), '-n', '2', '/w'],
                             env=env, stdout=subprocess.PIPE, text=True)
        eq(p.stdout.readline(), '/w\n', 'first')
        c.write('/w/x')
        eq(p.stdout.readline(), '/w/x\n', 'second')
        eq(p.wait(TIMEOUT), 0, 'exit status')


def test_control():
    with Daemon() as d:
        eq(run(d, 'xenstore-control', 'check'), 'OK\n', 'check')
        assert 'quota' in run(d, 'xenstore-control', 'help')
        assert '1000' in run(d, 'xenstore-control', 'quota')
        run(d, 'xenstore-control', 'quota', 'set', 'nodes', '77')
        assert '77' in run(d, 'xenstore-control', 'quota')
        assert 'Domain 0' in run(d, 'xenstore-control', 'quota', '0')
        run(d, 'xenstore-control', 'memreport')
        run(d, 'xenstore-control', 'log', 'on')
        run(d, 'xenstore-control', 'logfile', f'{d.dir}/trace')
        run(d, 'xenstore-write', '/traced', '1')
        with open(f'{d.dir}/trace') as f:
            assert 'WRITE(/traced' in f.read(), 'no trace'
        run(d, 'xenstore-control', 'nonsense', ok=False)


def test_test_xenstore():
    with Daemon() as d:
        out = run(d, 'test-xenstore', '-i', '300')
        eq(len([x for x in out.splitlines() if ' ns' in x]), 12, out)


def test_test_xenstore_in_parallel():
    with Daemon() as d:
        env = dict(os.environ, XENSTORED_PATH=d.socket)
        all_ = [subprocess.Popen([tool('test-xenstore'), '-i', '100'],
                                 env=env, stdout=subprocess.DEVNULL)
                for _ in range(3)]
        for p in all_:
            p.wait(120)
        with d.client() as c:
            c.check()


def test_pyxs():
    try:
        import pyxs
    except ImportError:
        raise Skip('no python3-pyxs')
    with Daemon() as d, pyxs.Client(unix_socket_path=d.socket) as c:
        c[b'/p/x'] = b'1'
        eq(c[b'/p/x'], b'1', 'value')
        c.mkdir(b'/p/dir')
        eq(sorted(c.list(b'/p')), [b'dir', b'x'], 'children')
        c.set_perms(b'/p/x', [b'b0'])
        eq(c.get_perms(b'/p/x'), [b'b0'], 'permissions')
        c.transaction()
        c[b'/p/y'] = b'2'
        assert c.commit(), 'commit'
        eq(c[b'/p/y'], b'2', 'value')
        eq(c.get_domain_path(3), b'/local/domain/3', 'path')
        with c.monitor() as m:
            m.watch(b'/p', b'tok')
            eq(next(m.wait()), (b'/p', b'tok'), 'first event')
            c[b'/p/z'] = b'3'
            eq(next(m.wait()), (b'/p/z', b'tok'), 'event')


def test_daemonises_and_writes_its_pid():
    with Daemon() as d:
        dir2 = tempfile.mkdtemp(prefix='store-')
        env = dict(os.environ, XENSTORED_RUNDIR=dir2)
        env.pop('LD_PRELOAD', None)
        subprocess.run([os.environ['XENSTORED'], f'--pid-file={dir2}/pid'],
                       env=env, check=True, timeout=TIMEOUT)
        with open(f'{dir2}/pid') as f:
            pid = int(f.read())
        Client(f'{dir2}/socket').close()
        os.kill(pid, signal.SIGTERM)
        until(lambda: not os.path.exists(f'{dir2}/socket'), 'stopped')
        shutil.rmtree(dir2)


def test_stock_options_are_accepted():
    options = ['-E', '5', '-S', '100', '-W', '7', '-t', '3', '-A', '4', '-M',
               '300', '-Q', 'outstanding=9', '-q', 'memory=100000', '-w',
               'watch-event=3', '-I', 'on', '-R', '-V', '-K']
    with Daemon(args=options) as d:
        out = run(d, 'xenstore-control', 'quota')
        for wanted in ('       5 Nodes', '       7 Watches',
                       '       9 Outstanding', '     300 Max.'):
            assert wanted in out, f'{wanted} not in {out}'


def test_notifies_the_service_manager():
    directory = tempfile.mkdtemp(prefix='store-')
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind(f'{directory}/notify')
    s.settimeout(TIMEOUT)
    os.environ['NOTIFY_SOCKET'] = f'{directory}/notify'
    try:
        with Daemon():
            assert b'READY=1' in s.recv(200), 'not ready'
    finally:
        del os.environ['NOTIFY_SOCKET']
        shutil.rmtree(directory)


main(globals())
