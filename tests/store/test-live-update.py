#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""xenstore-control live-update, with clients and guests that notice nothing:
alone and with the journal's parent process, to our own program, from and to
the stock one, and to programs that cannot."""
import shutil
import threading

from storelib import *

CONTROL_TOOL = '/usr/lib/xen-4.17/bin/xenstore-control'
MODES = ([], ['--journal'])


def tool():
    path = CONTROL_TOOL if os.path.exists(CONTROL_TOOL) \
        else shutil.which('xenstore-control')
    if not path:
        raise Skip('no xenstore-control (package xen-utils-4.17)')
    return path


def live_update(d, *args, ok=True):
    env = dict(os.environ, XENSTORED_PATH=d.socket)
    done = subprocess.run([tool(), 'live-update', *args], env=env,
                          capture_output=True, text=True, timeout=120,
                          check=False)
    said = done.stdout + done.stderr
    eq(done.returncode == 0, ok, f'live-update {args}: {said}')
    return said


def successor(d, script=None):
    """Another file than the one that runs: a copy, or a shell script."""
    path = f'{d.dir}/successor'
    if os.path.exists(path):
        os.unlink(path)
    if script is None:
        shutil.copy(os.environ['XENSTORED'], path)
    else:
        with open(path, 'w') as f:
            f.write('#!/bin/sh\n' + script)
        os.chmod(path, 0o755)
    return path


def program(d):
    return os.path.basename(os.readlink(f'/proc/{d.process.pid}/exe'))


def everything_lives(args):
    """Nodes, watches, transactions, rings, half requests, unread replies."""
    with Daemon(args=args) as d, d.client() as c, d.client() as w, \
            d.client() as half, d.client() as silent:
        g, other = d.guest(5), d.guest(6)
        c.write('/a/b', b'\0bin')
        c.chmod('/a/b', 'n0', 'r5')
        c.write('/a/gone', b'')
        w.watch('/a', 'tok')
        w.watch('/deep', 'd', 1)
        w.watch('@releaseDomain', 'r')
        g.write('mine', b'1')
        g.watch('mine', 'gw', 0)
        good, bad, mine = c.begin(), c.begin(), g.begin()
        c.write('/a/n/ew', b'2', tx=good)
        c.rm('/a/gone', tx=good)
        eq(c.read('/a/b', tx=bad), b'\0bin', 'read')
        c.write('/a/c', b'', tx=bad)
        g.write('late', b'3', tx=mine)
        c.op(QUIESCE, 6)
        waits = other.post(READ, words('none'))
        request = struct.pack('<4I', WRITE, 77, 0, 9) + b'/cut\0four'
        half.send(request[:20])
        c.read('/tool')
        g.put(request[:20])
        g.kick()
        c.write('/big', b'v' * 4000)
        ids = [silent.post(READ, words('/big')) for _ in range(300)]
        pid = d.process.pid

        for i in range(3):
            eq(live_update(d, successor(d)).strip(), '', 'said')
            eq(d.process.pid, pid, 'pid')
            eq(program(d), 'successor', 'program')
            with d.client() as new:
                eq(new.read('/a/b'), b'\0bin', 'value')
                new.check()
        assert not os.path.exists(f'{d.dir}/state_dump'), 'state left behind'
        with open(f'{d.dir}/pid') as f:
            eq(int(f.read()), pid, 'pid file')

        half.send(request[20:])
        eq(half.answer(), b'OK\0', 'a request cut in two')
        eq(c.read('/cut'), b'four', 'its value')
        g.put(request[20:])
        g.kick()
        fails('EACCES', g.answer)
        for wanted in ids:
            kind, req, _, payload = silent.message()
            eq((kind, req, payload), (READ, wanted, b'v' * 4000), 'reply')
        eq(c.perms('/a/b'), ['n0', 'r5'], 'permissions')
        eq(g.read('late', tx=mine), b'3', 'in the transaction')
        g.commit(mine)
        c.commit(good)
        eq(sorted(w.take_events()), [('/a/gone', 'tok'), ('/a/n/ew', 'tok')],
           'events')
        c.write('/a/b', b'x')
        fails('EAGAIN', c.commit, bad)
        c.write('/deep/1/2', b'')
        c.write('/deep/1', b'')
        eq(w.take_events(), [('/a/b', 'tok'), ('/deep/1', 'd')], 'depth')
        c.write('/local/domain/5/mine/below', b'')
        c.write('/local/domain/5/mine', b'2')
        eq(g.next_event(), ('mine', 'gw'), 'event of a guest')
        eq(g.take_events(), [], 'depth of a guest')
        eq(other.unread(), 0, 'still quiesced')
        c.op(UNQUIESCE, 6)
        eq(other.message()[:2], (ERROR, waits), 'a request on the ring')
        g.die()
        eq(w.next_event(), ('@releaseDomain', 'r'), 'a death afterwards')
        c.check()


def test_everything_lives_alone():
    everything_lives([])


def test_everything_lives_with_the_journal():
    everything_lives(['--journal'])


def test_a_crash_after_an_update():
    """The journal begins anew with what the predecessor left, also with half
    a request that is in no socket any more."""
    with Daemon(args=['--journal']) as d, d.client() as c, d.client() as half:
        request = struct.pack('<4I', WRITE, 77, 0, 9) + b'/cut\0four'
        half.send(request[:20])
        c.write('/x', b'1')
        # One without a journal in between takes the octets off the socket.
        live_update(d, '-c', f'-N --pid-file={d.dir}/pid', successor(d))
        d.args.remove('--journal')
        c.read('/x')
        live_update(d, '-c', f'-N --pid-file={d.dir}/pid --journal',
                    successor(d))
        d.args.append('--journal')
        for n in range(2):
            before = d.kill_worker()
            until(lambda: d.pid() not in (None, before), 'a new worker')
            eq(c.read('/x'), b'1', 'value')
        half.send(request[20:])
        eq(half.answer(), b'OK\0', 'answer')
        before = d.kill_worker()
        until(lambda: d.pid() not in (None, before), 'a new worker')
        eq(half.read('/cut'), b'four', 'value')
        c.check()


def test_other_options():
    for args in MODES:
        with Daemon(args=args + ['-Q', 'nodes=50']) as d, d.client() as c:
            live_update(d, successor(d))
            with open(f'/proc/{d.process.pid}/cmdline') as f:
                eq(f.read().count('-U'), 1, '-U')
            live_update(d, successor(d))
            line = ' '.join(['-N', f'--pid-file={d.dir}/pid'] + args
                            + ['-E', '60'])
            live_update(d, '-c', line, successor(d))
            with open(f'/proc/{d.process.pid}/cmdline') as f:
                eq(f.read().split('\0')[1:-1], line.split() + ['-U'], 'line')
            eq(c.op(GET_QUOTA, 'nodes'), b'50\0', 'quotas are state')


def test_under_load():
    for args in MODES:
        with Daemon(args=args) as d:
            stop, errors, done = threading.Event(), [], {}
            g = d.guest(5)

            def load(name, who, path):
                n = 0
                try:
                    while not stop.is_set():
                        burst = 7 if name != 'guest' else 1
                        ids = [who.post(WRITE, words(path)
                                        + str(n + i + 1).encode())
                               for i in range(burst)]
                        for wanted in ids:
                            kind, req, _, payload = who.message()
                            eq((kind, req, payload), (WRITE, wanted, b'OK\0'),
                               'reply')
                        n += burst
                        eq(who.read(path), str(n).encode(), 'value')
                except Exception as e:
                    errors.append(f'{name}: {type(e).__name__} {e}')
                done[name] = n
            clients = [d.client() for _ in range(3)]
            threads = [threading.Thread(target=load,
                                        args=(i, c, f'/load/{i}'))
                       for i, c in enumerate(clients)]
            threads.append(threading.Thread(target=load,
                                            args=('guest', g, 'n')))
            for t in threads:
                t.start()
            for _ in range(4):
                live_update(d, successor(d))
                d.client().close()
            stop.set()
            for t in threads:
                t.join()
            eq(errors, [], 'errors')
            assert min(done.values()), f'{done}'
            with d.client() as c:
                c.check()


def still_serves(d, c, w):
    c.write('/after', b'1')
    eq(w.next_event(), ('/after', 'w'), 'event')
    eq(c.read('/x', tx=1), b'1', 'the transaction')
    with d.client() as new:
        eq(new.read('/x'), b'1', 'a new client')
        new.check()


def refused(wanted, script, *options):
    """The old daemon serves on, and says why."""
    for args in MODES:
        with Daemon(args=args) as d, d.client() as c, d.client() as w:
            c.write('/x', b'1')
            eq(c.begin(), 1, 'transaction')
            w.watch('/after', 'w')
            exe = program(d)
            path = script if script[0] == '/' else successor(d, script)
            said = live_update(d, *options, path, ok=False)
            assert wanted in said, f'{said!r}, expected {wanted!r}'
            eq(program(d), exe, 'program')
            still_serves(d, c, w)
            live_update(d, successor(d))
            still_serves(d, c, w)


def test_refused_no_file():
    refused('no program', '/nowhere/xenstored')


def test_refused_no_executable():
    refused('Exec format error', unexecutable())


def unexecutable():
    path = os.path.join(tempfile.gettempdir(), f'no-program-{os.getpid()}')
    with open(path, 'wb') as f:
        f.write(b'\x7fELF' + bytes(60))
    os.chmod(path, 0o755)
    return path


def test_refused_program_that_knows_nothing():
    refused('cannot rehearse', 'exit 0')


def test_refused_other_state():
    refused('another state', 'cat > /dev/null; echo state 1: nothing')


def test_refused_options_that_are_none():
    refused('cannot rehearse', os.environ['XENSTORED'], '-c', '--nonsense')


def test_refused_rehearsal_without_end():
    refused('in time', 'exec sleep 60', '-t', '1')


def come_back(wanted, script, *options):
    """The successor was started and died: the old program is back, in another
    process, with everything that it had."""
    for args in MODES:
        with Daemon(args=args) as d:
            c, w = d.client(), d.client()
            g = d.guest(5)
            c.write('/x', b'1')
            eq(c.begin(), 1, 'transaction')
            w.watch('/after', 'w')
            said = live_update(d, *options, successor(d, script), ok=False)
            assert wanted in said, f'{said!r}, expected {wanted!r}'
            still_serves(d, c, w)
            g.write('y', b'2')
            d.process.wait(TIMEOUT)
            with open(f'{d.dir}/pid') as f:
                pid = int(f.read())
            assert pid != d.process.pid, 'the same process'
            os.kill(pid, signal.SIGTERM)
            until(lambda: not os.path.exists(d.socket), 'stopped')
            d.process.returncode = 0


def test_comes_back_after_death():
    rehearsed = (f'case "$*" in *check-state*) exec {os.environ["XENSTORED"]}'
                 ' "$@";; esac\n')
    come_back('the old daemon is back', rehearsed + 'exit 3')
    come_back('the old daemon is back', rehearsed + 'kill -9 $$')


def test_comes_back_from_a_program_that_only_dies():
    come_back('the old daemon is back', 'exit 0', '-F')


def test_sessions():
    with Daemon() as d, d.client() as a, d.client() as b:
        path = successor(d)
        assert 'not in' in a.control('live-update', '-s'), 'no session'
        eq(a.control('live-update', '-f', path), 'OK', 'begin')
        assert 'already' in b.control('live-update', '-f', path), 'one'
        assert 'already' in b.control('live-update', '-a'), 'not theirs'
        eq(a.control('live-update', '-a'), 'OK', 'abort')
        eq(b.control('live-update', '-f', path), 'OK', 'begin')
        b.close()
        until(lambda: a.control('live-update', '-f', path) == 'OK',
              'ends with its connection')
        fails('EINVAL', a.control, 'live-update', '-x')
        fails('EINVAL', a.control, 'live-update')
        fails('EINVAL', a.control, 'live-update', '-s', '-t', 'x')
        fails('EACCES', d.guest(5).control, 'live-update', '-f', path)


def test_killed_during_the_rehearsal():
    """The journal brings the daemon back; the update is off, and said so."""
    with Daemon(args=['--journal']) as d, d.client() as c:
        c.write('/x', b'1')
        eq(c.control('live-update', '-f', successor(d, 'exec sleep 20')), 'OK', 'f')
        c.post(CONTROL, words('live-update', '-s'))
        with d.client() as o:
            o.read('/x')
        before = d.kill_worker()
        until(lambda: d.pid() not in (None, before), 'a new worker')
        eq(c.answer(), b'the daemon was restarted meanwhile\0', 'answer')
        eq(c.read('/x'), b'1', 'value')


def test_who_asked_goes_away():
    with Daemon() as d, d.client() as c:
        with d.client() as a:
            eq(a.control('live-update', '-f', successor(d, 'exec sleep 20')), 'OK',
               'f')
            a.post(CONTROL, words('live-update', '-s'))
            c.read('/tool')
        until(lambda: 'is gone' in d.output(), 'given up')
        eq(c.control('live-update', '-f', successor(d)), 'OK', 'free again')


def test_from_stock_to_ours():
    """A running stock xenstored is replaced, its clients notice nothing."""
    for args in MODES:
        with Daemon('c', becomes_ours=True) as d, d.client() as c, \
                d.client() as w:
            g = d.guest(5)
            g.write('a', b'1')
            g.watch('a', 't')
            c.write('/x/y', b'\0z')
            c.chmod('/x/y', 'n0', 'r5')
            w.watch('/x', 'tok')
            waits = struct.pack('<4I', READ, 9, 0, 2) + b'a\0'
            pid = d.process.pid
            env = os.environ['XENSTORED']
            live_update(d, '-c', ' '.join(
                ['-N', f'--pid-file={d.dir}/pid'] + args), env)
            eq(program(d), 'xenferry-xenstored', 'program')
            eq(d.process.pid, pid, 'pid')
            g.put(waits)
            g.kick()
            eq(g.message()[3], b'1', 'the ring')
            eq(c.read('/x/y'), b'\0z', 'value')
            eq(c.perms('/x/y'), ['n0', 'r5'], 'permissions')
            c.write('/x/y', b'')
            eq(w.next_event(), ('/x/y', 'tok'), 'watch of a socket')
            c.write('/local/domain/5/a', b'2')
            eq(g.next_event(), ('a', 't'), 'watch of a guest')
            d.guest(6).write('new', b'1')
            c.watch('@releaseDomain', 'r')
            g.die()
            eq(c.next_event(), ('@releaseDomain', 'r'), 'a death')
            c.check()
            with d.client() as new:
                assert 'live-update' in new.control('help'), 'ours'


def test_from_ours_to_stock():
    """And the way back, which needs -F: it cannot rehearse."""
    if not os.path.exists(PEER_C):
        raise Skip('no stock C xenstored (package xen-utils-4.17)')
    for args in MODES:
        with Daemon(args=args) as d, d.client() as c, d.client() as w:
            g = d.guest(5)
            g.write('a', b'1')
            g.watch('a', 't')
            c.write('/x/y', b'\0z')
            w.watch('/x', 'tok')
            line = f'--no-fork --internal-db=on --pid-file={d.dir}/pid'
            said = live_update(d, '-c', line, PEER_C, ok=False)
            assert 'cannot rehearse' in said, said
            live_update(d, '-F', '-c', line, PEER_C)
            eq(program(d), 'xenstored', 'program')
            eq(c.read('/x/y'), b'\0z', 'value')
            c.write('/x/y', b'')
            eq(w.next_event(), ('/x/y', 'tok'), 'watch of a socket')
            eq(g.read('a'), b'1', 'the ring')
            c.write('/local/domain/5/a', b'2')
            eq(g.next_event(), ('a', 't'), 'watch of a guest')
            # And to ours again.
            live_update(d, '-c', f'-N --pid-file={d.dir}/pid',
                        os.environ['XENSTORED'])
            eq(g.read('a'), b'2', 'the ring')
            c.write('/x/y', b'3')
            eq(w.next_event(), ('/x/y', 'tok'), 'watch of a socket')
            c.check()
            d.args.clear()


main(globals())
