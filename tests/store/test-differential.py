#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The requests of scenario.txt against ours and the stock daemons.

What differs must be what docs/xenstore-differences.md lists: a new difference
fails, and so does a listed one that is gone.

    test-differential.py            the test, TAP
    test-differential.py --show     every difference as a row for the page

scenario.txt: a line is CLIENT OPERATION ARGUMENT...; clients are s1, s2, ...
(sockets, dom0) and g5, g6, ... (rings of domains).  "== NAME" begins a section,
which gets daemons of its own.  "x:write" is in transaction x.  "write!" also
tells which events came before the answer.  "read?" sends nothing behind the
request that could shake a late answer loose.  In arguments \\0 is a NUL and
@N a run of N letters.  "for $x in A B" repeats the lines up to "end".
"""
import shlex

from storelib import *

HERE = os.path.dirname(os.path.abspath(__file__))
SCENARIO = os.path.join(HERE, 'scenario.txt')
PAGE = os.path.join(HERE, '..', '..', 'docs', 'xenstore-differences.md')
PEERS = {'c': PEER_C, 'ocaml': PEER_OCAML}

OPERATIONS = {
    'control': CONTROL, 'ls': DIRECTORY, 'read': READ, 'perms': GET_PERMS,
    'watch': WATCH, 'unwatch': UNWATCH, 'introduce': INTRODUCE,
    'release': RELEASE, 'home': GET_DOMAIN_PATH, 'write': WRITE,
    'mkdir': MKDIR, 'rm': RM, 'chmod': SET_PERMS,
    'introduced': IS_DOMAIN_INTRODUCED, 'resume': RESUME,
    'target': SET_TARGET, 'reset': RESET_WATCHES, 'part': DIRECTORY_PART,
    'begin': TRANSACTION_START, 'end': TRANSACTION_END,
}
LATE_S = 2


def expand(lines):
    out = []
    at = 0
    while at < len(lines):
        words_ = lines[at].split()
        if words_ and words_[0] == 'for':
            depth, stop = 1, at + 1
            while depth:
                first = lines[stop].split()[:1]
                depth += (first == ['for']) - (first == ['end'])
                stop += 1
            for value in shlex.split(lines[at])[3:]:
                out += expand([line.replace(words_[1], value)
                               for line in lines[at + 1:stop - 1]])
            at = stop
            continue
        line = lines[at].strip()
        if line and not line.startswith('#'):
            out.append(line)
        at += 1
    return out


def sections():
    with open(SCENARIO) as f:
        lines = expand(f.read().splitlines())
    out = {}
    for line in lines:
        if line.startswith('== '):
            name = line[3:]
            assert name not in out, f'section {name} twice'
            out[name] = []
        else:
            out[name].append(line)
    return out


def argument(text):
    text = re.sub(r'@(\d+)', lambda m: 'n' * int(m.group(1)), text)
    return text.encode().replace(b'\\0', b'\0').replace(b'\\xff', b'\xff')


def shown(data):
    if len(data) > 60:
        return f'({len(data)} octets)'
    return ascii(data.decode('latin1').replace('\0', ' ').replace('|', '!')
                 )[1:-1].strip() or '(empty)'


class Run:
    """One section against one daemon."""

    def __init__(self, kind):
        self.d = Daemon(kind)
        self.clients = {}
        self.tx = {}
        self.muted = set()  # guests that got no answer; not asked again

    def client(self, name):
        if name not in self.clients:
            if name[0] == 's':
                c = self.d.client()
            else:
                c = self.d.guest(int(name[1:]))
            self.clients[name] = c
        return self.clients[name]

    def drop(self, name):
        c = self.clients.pop(name)
        c.close()

    def events_text(self, c):
        text = ' '.join(f'{shown(p.encode())}={shown(t.encode())}'
                        for p, t in c.events)
        c.events = []
        return text or '(none)'

    def request(self, name, op, tx, payload, before, bare):
        c = self.client(name)
        number = c.post(op, payload, tx)
        if not bare:
            c.post(GET_DOMAIN_PATH, b'0\0')
        seen = len(c.events)
        try:
            while True:
                kind, req, _, body = c.message(LATE_S if bare else TIMEOUT)
                if kind != WATCH_EVENT:
                    break
                path, token = body.split(b'\0')[:2]
                c.events.append((path.decode('latin1'),
                                 token.decode('latin1')))
        except (socket.timeout, TimeoutError):
            c.op(GET_DOMAIN_PATH, 0)
            if bare:
                try:
                    c.answer(LATE_S)
                except (socket.timeout, TimeoutError):
                    pass
            return '(no answer)'
        except (EOFError, ConnectionError):
            self.drop(name)
            return '(closed)'
        first = ''
        if before:
            first = f' after {len(c.events) - seen} events'
        if req != number:
            self.drop(name)
            return '(answers out of order)'
        if not bare:
            try:
                c.answer()
            except (EOFError, ConnectionError):
                self.drop(name)
                return '(closed)'
        if kind == ERROR:
            return body.rstrip(b'\0').decode() + first
        if op == TRANSACTION_START:
            self.last_tx = int(body.rstrip(b'\0'))
            return 'id'
        if op == DIRECTORY_PART:
            body = body.split(b'\0', 1)[1]
        return shown(body) + first

    def step(self, line):
        name, what, *args = shlex.split(line)
        if name in self.muted:
            return '(no answer)'
        try:
            return self.run(name, what, args)
        except (socket.timeout, TimeoutError):
            self.muted.add(name)
            return '(no answer)'

    def run(self, name, what, args):
        if name == 'host':
            domid = int(args[0])
            c = self.clients.pop(f'g{domid}', None)
            self.muted.discard(f'g{domid}')
            if what == 'die':
                c.die()
                # Every death has been seen when this is answered.
                until(lambda: self.client('s1').op(
                    IS_DOMAIN_INTRODUCED, domid) == b'F\0', 'death')
            elif what == 'shutdown':
                self.clients[f'g{domid}'] = c
                c.shutdown()
                time.sleep(0.2)
            elif what == 'page':
                self.clients[f'g{domid}'] = self.d.guest(domid,
                                                         introduce=False)
            return ''
        if what == 'events':
            c = self.client(name)
            c.op(GET_DOMAIN_PATH, 0)
            return self.events_text(c)
        if what == 'close':
            self.drop(name)
            return ''
        if what == 'connect':
            self.client(name)
            return ''
        tx = 0
        if ':' in what:
            tx_name, what = what.split(':')
            tx = self.tx.get(tx_name, int(tx_name)
                             if tx_name.isdigit() else 0)
        before, bare = what.endswith('!'), what.endswith('?')
        what = what.rstrip('!?')
        data = [argument(a) for a in args]
        if what == 'raw':
            return self.request(name, int(args[0]), tx, b''.join(data[1:]),
                                before, bare)
        if what == 'begin':
            result = self.request(name, TRANSACTION_START, tx, b'\0', before,
                                  bare)
            if result == 'id':
                self.tx[args[0]] = self.last_tx
            return result
        if what == 'write':
            payload = data[0] + b'\0' + b' '.join(data[1:])
        elif what == 'reset':
            payload = b'\0'
        else:
            payload = b''.join(a + b'\0' for a in data)
        return self.request(name, OPERATIONS[what], tx, payload, before, bare)

    def close(self):
        for name in list(self.clients):
            if name[0] == 's':
                self.drop(name)
        self.d.stop(check=False)


def answers(kind, lines):
    run = Run(kind)
    out = []
    try:
        for line in lines:
            if not run.d.alive():
                out.append('(the daemon is gone)')
                continue
            try:
                out.append(run.step(line))
            except (ConnectionError, EOFError) as e:
                out.append('(the daemon is gone)' if not run.d.alive()
                           else f'({type(e).__name__})')
    finally:
        run.close()
    return out


def differences(peer, name, lines, ours, theirs):
    rows = []
    for i, (line, a, b) in enumerate(zip(lines, ours, theirs), 1):
        if a != b:
            rows.append((peer, f'{name}.{i}', line.replace('|', '!'), a, b))
    return rows


def listed():
    rows = []
    with open(PAGE) as f:
        for line in f:
            cells = [c.strip() for c in line.strip().strip('|').split('|')]
            if len(cells) == 5 and cells[0] in PEERS:
                rows.append(tuple([cells[0], cells[1]]
                                  + [c.strip('`') for c in cells[2:]]))
    return rows


def test_scenario_is_large_enough():
    requests = [line for lines in sections().values() for line in lines
                if line.split()[0] != 'host'
                and line.split()[1] not in ('events', 'close', 'connect')]
    assert len(requests) >= 400, f'{len(requests)} requests, expected 400'


def compare(peer):
    if not os.path.exists(PEERS[peer]):
        raise Skip(f'no {PEERS[peer]} (package xen-utils-4.17)')
    if peer == 'ocaml' and os.geteuid() != 0:
        raise Skip('oxenstored needs root for its socket')
    found = []
    for name, lines in sections().items():
        found += differences(peer, name, lines, answers('ours', lines),
                             answers(peer, lines))
    return found


def check(peer):
    found = compare(peer)
    known = [row for row in listed() if row[0] == peer]
    assert len(known) == len(set(known)), 'a row is listed twice'
    new = [row for row in found if row not in known]
    gone = [row for row in known if row not in found]
    for what, rows in (('new', new), ('listed, but gone', gone)):
        for row in rows:
            print(f'# {what}: | ' + ' | '.join(row) + ' |')
    assert not new and not gone, f'{len(new)} new, {len(gone)} gone'


def test_stock_c():
    check('c')


def test_stock_ocaml():
    check('ocaml')


if __name__ == '__main__':
    if sys.argv[1:] == ['--show']:
        for peer_ in PEERS:
            for row_ in compare(peer_):
                print(f'| {row_[0]} | {row_[1]} | `{row_[2]}` | `{row_[3]}` '
                      f'| `{row_[4]}` |')
    else:
        main(globals())
