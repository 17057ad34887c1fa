# SPDX-License-Identifier: GPL-2.0-or-later
"""Drive a xenstored: daemons in scratch directories, clients on their socket,
pretend guests on shared pages, and a TAP runner.

The environment names what is tested: XENSTORED (our daemon) and FAKEXEN (the
preload library that stands in for the hypervisor).
"""
import errno
import mmap
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

CONTROL, DIRECTORY, READ, GET_PERMS, WATCH, UNWATCH, TRANSACTION_START, \
    TRANSACTION_END, INTRODUCE, RELEASE, GET_DOMAIN_PATH, WRITE, MKDIR, RM, \
    SET_PERMS, WATCH_EVENT, ERROR, IS_DOMAIN_INTRODUCED, RESUME, \
    SET_TARGET = range(20)
RESET_WATCHES, DIRECTORY_PART, GET_FEATURE, SET_FEATURE, GET_QUOTA, \
    SET_QUOTA = range(21, 27)
QUIESCE, GET_DOMAIN_WATCHES, ADD_DOMAIN_WATCHES, UNQUIESCE = \
    range(0x8001, 0x8005)

TIMEOUT = float(os.environ.get('STORE_TEST_TIMEOUT', '30'))
PEER_C = '/usr/lib/xen-4.17/bin/xenstored'
PEER_OCAML = '/usr/lib/xen-4.17/bin/oxenstored'


class Skip(Exception):
    """The test cannot run here; its text is the reason."""


class StoreError(Exception):
    """The store answered with an error; its text is the error's name."""


def eq(got, wanted, what=''):
    if got != wanted:
        raise AssertionError(f'{what}: {got!r}, expected {wanted!r}')


def fails(name, call, *args, **kwargs):
    try:
        got = call(*args, **kwargs)
    except StoreError as e:
        eq(str(e), name, f'{call.__name__}{args[:3]!r}')
        return
    raise AssertionError(f'{call.__name__}{args[:3]!r} answered {got!r}, '
                         f'expected {name}')


def until(condition, what, timeout=TIMEOUT):
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f'{what}: not within {timeout} s')
        time.sleep(0.005)


def words(*args):
    out = b''
    for a in args:
        if isinstance(a, int):
            a = str(a)
        if isinstance(a, str):
            a = a.encode()
        out += a + b'\0'
    return out


def asan_runtime(binary):
    out = subprocess.run(['ldd', binary], capture_output=True, text=True,
                         check=False).stdout
    found = re.search(r'(/\S*lib(?:asan|clang_rt\.asan)\S*)', out)
    return found.group(1) if found else None


class Daemon:
    """A running xenstored.  kind: ours, c or ocaml."""

    def __init__(self, kind='ours', args=(), xen=True, rundir=None,
                 becomes_ours=False):
        self.kind = kind
        self.becomes_ours = becomes_ours
        self.own_dir = rundir is None
        self.dir = rundir or tempfile.mkdtemp(prefix='store-')
        self.args = list(args)
        self.xen = xen
        self.guests = {}
        self.log_path = os.path.join(self.dir, 'stderr')
        self.start()

    def start(self):
        env = dict(os.environ)
        env['FAKEXEN_DIR'] = self.dir
        env['XENSTORED_RUNDIR'] = self.dir
        env.pop('XENSTORED_PATH', None)
        env.setdefault('ASAN_OPTIONS',
                       'detect_leaks=1:quarantine_size_mb=8')
        preload = []
        if self.kind == 'ours':
            binary = os.environ['XENSTORED']
            command = [binary, '-N', f'--pid-file={self.dir}/pid']
            runtime = asan_runtime(binary)
            if runtime and self.xen:
                preload.append(runtime)
        elif self.kind == 'c':
            if not os.path.exists(PEER_C):
                raise Skip('no stock C xenstored (package xen-utils-4.17)')
            command = [PEER_C, '--no-fork', '--internal-db=on',
                       f'--pid-file={self.dir}/pid']
        else:
            if not os.path.exists(PEER_OCAML):
                raise Skip('no stock oxenstored (package xen-utils-4.17)')
            if os.geteuid() != 0:
                raise Skip('oxenstored needs root for its socket')
            os.makedirs('/var/run/xenstored', exist_ok=True)
            conf = os.path.join(self.dir, 'oxenstored.conf')
            with open(conf, 'w') as f:
                f.write(f'pid-file = {self.dir}/pid\npersistent = false\n'
                        f'xenstored-log-file = {self.dir}/log\n'
                        f'access-log-file = {self.dir}/access.log\n'
                        f'xenstored-kva = {self.dir}/dom0.ring\n'
                        f'xenstored-port = {self.dir}/xsd_port\n')
            command = [PEER_OCAML, '--no-fork', '--no-access-log',
                       '--config-file', conf]
        if self.becomes_ours:
            # The sanitizer has to be there first, and stock's leaks are not
            # ours.
            runtime = asan_runtime(os.environ['XENSTORED'])
            preload += [runtime] if runtime else []
            env['ASAN_OPTIONS'] = 'detect_leaks=0'
        if self.xen:
            if 'FAKEXEN' not in os.environ:
                raise Skip('built without libxen-dev: no pretend hypervisor')
            preload.append(os.environ['FAKEXEN'])
            with open(f'{self.dir}/dom0.ring', 'wb') as f:
                f.write(bytes(4096))
            with open(f'{self.dir}/xsd_port', 'w') as f:
                f.write('1')
        if 'STORE_PRELOAD' in env:
            preload.append(env['STORE_PRELOAD'])
        if preload:
            env['LD_PRELOAD'] = ':'.join(preload)
        self.socket = (f'{self.dir}/socket' if self.kind != 'ocaml'
                       else '/var/run/xenstored/socket')
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.log = open(self.log_path, 'ab')
        self.process = subprocess.Popen(command + self.args, env=env,
                                        stdout=self.log, stderr=self.log)
        end = time.monotonic() + TIMEOUT
        while True:
            try:
                Client(self.socket).close()
                until(self.pid, 'a worker')
                return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f'{self.kind} does not serve: '
                                     + self.output())
            time.sleep(0.01)

    def output(self):
        with open(self.log_path, 'rb') as f:
            return f.read().decode(errors='replace')

    def client(self):
        return Client(self.socket)

    def guest(self, domid, introduce=True):
        return Guest(self, domid, introduce)

    def alive(self):
        return self.process.poll() is None

    def virq(self):
        kick(self.dir, 1)

    def pid(self):
        """The process that serves."""
        if '--journal' not in self.args:
            return self.process.pid
        path = f'/proc/{self.process.pid}/task/{self.process.pid}/children'
        with open(path) as f:
            children = f.read().split()
        return int(children[0]) if children else None

    def kill_worker(self):
        """Kill the serving process alone; its holder starts another."""
        until(self.pid, 'a worker')
        before = self.pid()
        os.kill(before, signal.SIGKILL)
        return before

    def memory_kib(self):
        until(self.pid, 'the process')
        with open(f'/proc/{self.pid()}/status') as f:
            return int(re.search(r'VmRSS:\s+(\d+)', f.read()).group(1))

    def stop(self, check=True):
        for g in list(self.guests.values()):
            g.close()
        code = self.process.poll()
        if code is None:
            self.process.terminate()
            try:
                code = self.process.wait(TIMEOUT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                code = 'hung at SIGTERM'
        self.log.close()
        text = self.output()
        if self.own_dir:
            shutil.rmtree(self.dir, ignore_errors=True)
        if check and self.kind == 'ours' and code != 0:
            raise AssertionError(f'daemon ended with {code}: {text[-3000:]}')

    def __enter__(self):
        return self

    def __exit__(self, kind, value, tb):
        if kind is not None and issubclass(kind, Exception):
            for line in self.output().splitlines()[-40:]:
                print(f'# daemon: {line}')
        self.stop(check=kind is None)


class Requests:
    """The operations, over whatever send() and receive() do."""

    def __init__(self):
        self.events = []
        self.req_id = 0

    def post(self, op, payload=b'', tx=0):
        self.req_id += 1
        self.send(struct.pack('<4I', op, self.req_id, tx, len(payload))
                  + payload)
        return self.req_id

    def message(self, timeout=TIMEOUT):
        head = self.receive(16, timeout)
        kind, req, tx, length = struct.unpack('<4I', head)
        return kind, req, tx, self.receive(length, timeout)

    def answer(self, timeout=TIMEOUT):
        while True:
            kind, req, tx, payload = self.message(timeout)
            if kind == WATCH_EVENT:
                path, token = payload.split(b'\0')[:2]
                self.events.append((path.decode(), token.decode()))
                continue
            if kind == ERROR:
                raise StoreError(payload.rstrip(b'\0').decode())
            return payload

    def op(self, op, *args, raw=b'', tx=0):
        self.post(op, words(*args) + raw, tx)
        return self.answer()

    def next_event(self, timeout=TIMEOUT):
        if not self.events:
            kind, _, _, payload = self.message(timeout)
            eq(kind, WATCH_EVENT, 'message')
            path, token = payload.split(b'\0')[:2]
            self.events.append((path.decode(), token.decode()))
        return self.events.pop(0)

    def take_events(self):
        """Those that came before the answer to a request sent now."""
        self.op(GET_DOMAIN_PATH, 0)
        events, self.events = self.events, []
        return events

    def read(self, path, tx=0):
        return self.op(READ, path, tx=tx)

    def write(self, path, value=b'', tx=0):
        if isinstance(value, str):
            value = value.encode()
        return self.op(WRITE, path, raw=value, tx=tx)

    def mkdir(self, path, tx=0):
        return self.op(MKDIR, path, tx=tx)

    def rm(self, path, tx=0):
        return self.op(RM, path, tx=tx)

    def ls(self, path, tx=0):
        return [n.decode() for n in self.op(DIRECTORY, path, tx=tx)
                .split(b'\0')[:-1]]

    def perms(self, path, tx=0):
        return [p.decode() for p in self.op(GET_PERMS, path, tx=tx)
                .split(b'\0')[:-1]]

    def chmod(self, path, *perms, tx=0):
        return self.op(SET_PERMS, path, *perms, tx=tx)

    def watch(self, path, token, *depth):
        """Registers, and takes the first event away."""
        self.op(WATCH, path, token, *depth)
        eq(self.next_event(), (path, token), 'first event')

    def unwatch(self, path, token):
        return self.op(UNWATCH, path, token)

    def begin(self):
        return int(self.op(TRANSACTION_START, '').rstrip(b'\0'))

    def commit(self, tx):
        return self.op(TRANSACTION_END, 'T', tx=tx)

    def abort(self, tx):
        return self.op(TRANSACTION_END, 'F', tx=tx)

    def exists(self, path):
        try:
            self.read(path)
            return True
        except StoreError as e:
            eq(str(e), 'ENOENT', path)
            return False

    def control(self, *args):
        return self.op(CONTROL, *args).rstrip(b'\0').decode()

    def introduced(self, domid):
        return self.op(IS_DOMAIN_INTRODUCED, domid) == b'T\0'

    def check(self):
        eq(self.control('check'), 'OK', 'check')


class Client(Requests):
    def __init__(self, path):
        super().__init__()
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)

    def send(self, data):
        self.sock.sendall(data)

    def receive(self, length, timeout=TIMEOUT):
        self.sock.settimeout(timeout)
        data = b''
        while len(data) < length:
            more = self.sock.recv(length - len(data))
            if not more:
                raise EOFError('the store closed the connection')
            data += more
        return data

    def close(self):
        self.sock.close()


def kick(directory, port):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        s.sendto(struct.pack('=I', port), f'{directory}/store.evt')
    except OSError as e:
        if e.errno not in (errno.ECONNREFUSED, errno.ENOENT):
            raise
    finally:
        s.close()


class Guest(Requests):
    """A pretend guest: its page and its event channel."""

    REQ, RSP, REQ_CONS, REQ_PROD, RSP_CONS, RSP_PROD, FEATURES, CONNECTION, \
        FAILURE = 0, 1024, 2048, 2052, 2056, 2060, 2064, 2068, 2072

    def __init__(self, daemon, domid, introduce=True):
        super().__init__()
        self.daemon = daemon
        self.dir = daemon.dir
        self.domid = domid
        self.ring_path = f'{self.dir}/dom{domid}.ring'
        # A daemon may still have the page of a domain of this number.
        if os.path.exists(self.ring_path):
            os.unlink(self.ring_path)
        with open(self.ring_path, 'wb') as f:
            f.write(bytes(4096))
        with open(self.ring_path, 'r+b') as f:
            self.page = mmap.mmap(f.fileno(), 4096)
        # Stored and read whole.  struct.pack_into() would clear the octets
        # first, and the daemon, looking in between, see an index that never
        # was.
        self.indexes = memoryview(self.page).cast('I')
        self.evt_path = f'{self.dir}/dom{domid}.evt'
        if os.path.exists(self.evt_path):
            os.unlink(self.evt_path)
        self.evt = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.evt.bind(self.evt_path)
        self.evt.settimeout(0.05)
        daemon.guests[domid] = self
        if introduce:
            self.introduce()

    def introduce(self, home=True):
        with self.daemon.client() as c:
            c.op(INTRODUCE, self.domid, 1, 5)
            if home:
                c.write(f'/local/domain/{self.domid}')
                c.chmod(f'/local/domain/{self.domid}', f'n{self.domid}')

    def index(self, at):
        return self.indexes[at // 4]

    def set_index(self, at, value):
        self.indexes[at // 4] = value & 0xffffffff

    def kick(self):
        kick(self.dir, 100 + self.domid)

    def put(self, data):
        """As much as fits; how much that was."""
        prod, cons = self.index(self.REQ_PROD), self.index(self.REQ_CONS)
        room = 1024 - ((prod - cons) & 0xffffffff)
        data = data[:room]
        for i, octet in enumerate(data):
            self.page[self.REQ + ((prod + i) & 1023)] = octet
        self.set_index(self.REQ_PROD, prod + len(data))
        return len(data)

    def send(self, data, timeout=TIMEOUT):
        end = time.monotonic() + timeout
        while True:
            data = data[self.put(data):]
            self.kick()
            if not data:
                return
            if time.monotonic() > end:
                raise AssertionError('ring stays full')
            self.wait()

    def wait(self):
        try:
            self.evt.recv(16)
        except (socket.timeout, TimeoutError):
            pass

    def receive(self, length, timeout=TIMEOUT):
        end = time.monotonic() + timeout
        data = b''
        while len(data) < length:
            prod, cons = self.index(self.RSP_PROD), self.index(self.RSP_CONS)
            have = min((prod - cons) & 0xffffffff, length - len(data))
            if have:
                data += bytes(self.page[self.RSP + ((cons + i) & 1023)]
                              for i in range(have))
                self.set_index(self.RSP_CONS, cons + have)
                self.kick()
                continue
            if time.monotonic() > end:
                raise TimeoutError('no answer on the ring')
            self.wait()
        return data

    def unread(self):
        return (self.index(self.RSP_PROD) - self.index(self.RSP_CONS)) \
            & 0xffffffff

    def shutdown(self):
        open(f'{self.dir}/dom{self.domid}.shutdown', 'w').close()
        self.daemon.virq()

    def die(self):
        """Gone at once, as after destroy."""
        self.gone()
        self.daemon.virq()

    def gone(self):
        for suffix in ('ring', 'shutdown', 'dying'):
            try:
                os.unlink(f'{self.dir}/dom{self.domid}.{suffix}')
            except FileNotFoundError:
                pass
        self.close()

    def close(self):
        self.daemon.guests.pop(self.domid, None)
        self.evt.close()
        if os.path.exists(self.evt_path):
            os.unlink(self.evt_path)


Requests.__enter__ = lambda self: self
Requests.__exit__ = lambda self, *args: self.close()


def main(namespace):
    """Run every test_* of the module, or those named as arguments; TAP."""
    tests = [(n, f) for n, f in namespace.items() if n.startswith('test_')]
    if len(sys.argv) > 1:
        tests = [(n, f) for n, f in tests if n in sys.argv[1:]]
    print(f'1..{len(tests)}', flush=True)
    failed = 0
    for i, (name, function) in enumerate(tests, 1):
        try:
            function()
            print(f'ok {i} - {name}', flush=True)
        except Skip as e:
            print(f'ok {i} - {name} # SKIP {e}', flush=True)
        except Exception:
            failed += 1
            for line in traceback.format_exc().splitlines():
                print(f'# {line}')
            print(f'not ok {i} - {name}', flush=True)
    sys.exit(1 if failed else 0)
