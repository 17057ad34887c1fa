#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# xenferry save, restore, migrate, receive and resume from end to end, with a
# toolstack whose guests are files; prints TAP.
#
#   moves.sh XENFERRY MODULE_FOLDER
#
# Two folders are two hosts.  What is waited for is waited for, never slept for.
set -u

xenferry=$1
XENFERRY_HOST_DIR=$2
export XENFERRY_HOST_DIR
work=$(mktemp -d) || exit 2
number=0
failed=0

leave() {
    rm -rf "$work"
    exit $failed
}
trap leave EXIT

a() { DIRECTORY_TOOLSTACK=$work/a XENFERRY_RUN_DIR=$work/run-a "$@"; }
b() { DIRECTORY_TOOLSTACK=$work/b XENFERRY_RUN_DIR=$work/run-b "$@"; }
# The program itself, with no more options than a test gives.
ferry() { "$xenferry" "$@" >"$work/out" 2>"$work/err"; }
receiver="DIRECTORY_TOOLSTACK=$work/b XENFERRY_RUN_DIR=$work/run-b exec $xenferry receive --stock-helper -e"

fresh() {
    rm -rf "$work/a" "$work/b" "$work/image" "$work/pipe"
    mkdir "$work/a" "$work/b"
    echo "5 running the-uuid" >"$work/a/g1"
}

# What every test ends in: 'status' expected, and which guests are where.
check() { # NAME STATUS "GUESTS ON A" "GUESTS ON B"
    number=$((number + 1))
    have_a=$(cd "$work/a" && grep -H . -- * 2>/dev/null | cut -d' ' -f1,2 | tr '\n' ' ')
    have_b=$(cd "$work/b" && grep -H . -- * 2>/dev/null | cut -d' ' -f1,2 | tr '\n' ' ')
    locks=$(find "$work"/run-? -name "*.lock" 2>/dev/null)
    if [ "$status" = "$2" ] && [ "${have_a% }" = "$3" ] &&
        [ "${have_b% }" = "$4" ] && [ -z "$locks" ]; then
        echo "ok $number - $1"
        return
    fi
    failed=1
    echo "not ok $number - $1"
    echo "# status $status, expected $2"
    echo "# a: '$have_a', expected '$3'; b: '$have_b', expected '$4'; $locks"
    sed 's/^/# /' "$work/err"
}

says() { # FILE PATTERN: of the last command, under the last check
    grep -q -- "$2" "$work/$1" && return
    failed=1
    number=$((number + 1))
    echo "not ok $number - '$2' is said"
    sed 's/^/# /' "$work/$1"
}

wait_for() { # COMMAND: until it succeeds, half a minute at most
    tries=600
    until "$@" || [ $tries = 0 ]; do
        sleep 0.05
        tries=$((tries - 1))
    done
}

fresh
a ferry save --stock-helper g1 "$work/image"
status=$?
check "save removes the guest" 0 "" ""
says err 'precopy 1: 64 pages'
a ferry restore --stock-helper -e "$work/image"
status=$?
check "restore brings it back" 0 "g1:1 running" ""
a ferry restore --stock-helper -e "$work/image"
status=$?
check "once" 1 "g1:1 running" ""
says err 'exists already'
a ferry restore --stock-helper -e -p --name g2 "$work/image"
status=$?
check "under another name, paused" 0 "g1:1 running g2:2 paused" ""

fresh
a ferry save --stock-helper -c --json g1 "$work/image"
status=$?
check "save -c lets it run on" 0 "g1:5 running" ""
says out '"event":"step","step":"save","guest":"g1","domid":5'
says out '"phase":"precopy"'
says out '"event":"end","outcome":"done"'

fresh
a "$xenferry" save --stock-helper -q g1 - >"$work/image" 2>"$work/err"
status=$?
a "$xenferry" restore --stock-helper -q -e - <"$work/image" 2>>"$work/err" || status=9
check "through pipes" 0 "g1:1 running" ""

fresh
a ferry save --stock-helper g1 "$work/no/such/image"
status=$?
check "a folder that is not there" 1 "g1:5 running" ""
a ferry save --stock-helper g1 /dev/full
status=$?
check "a full disk" 1 "g1:5 running" ""
says err 'No space left'
a ferry save g1 "$work/image" --no-such-option
status=$?
check "an unknown option behind operands" 64 "g1:5 running" ""

for signal in TERM INT HUP; do
    fresh
    mkfifo "$work/pipe"
    exec 3<>"$work/pipe"
    DIRECTORY_TOOLSTACK=$work/a XENFERRY_RUN_DIR=$work/run-a \
        DIRECTORY_TOOLSTACK_MS=20 \
        "$xenferry" save --stock-helper g1 "$work/pipe" >"$work/out" 2>"$work/err" &
    child=$!
    wait_for grep -q suspended "$work/a/g1"
    kill -$signal $child
    wait $child
    status=$?
    exec 3>&-
    check "SIG$signal in the middle of a save" 2 "g1:5 running" ""
    says err 'the guest runs on here'
done

fresh
mkfifo "$work/pipe"
exec 3<>"$work/pipe"
DIRECTORY_TOOLSTACK=$work/a XENFERRY_RUN_DIR=$work/run-a \
    DIRECTORY_TOOLSTACK_MS=200 \
    "$xenferry" save --stock-helper g1 "$work/pipe" >"$work/out" 2>"$work/err" &
child=$!
wait_for test -s "$work/run-a/domain-5.lock"
a ferry save --stock-helper g1 "$work/image"
second=$?
cp "$work/err" "$work/second"
kill $child
wait $child
exec 3>&-
status=$second
check "two saves at once" 1 "g1:5 running" ""
says second "by process $child"

fresh
a ferry migrate --stock-helper g1 "cmd:$receiver"
status=$?
check "migrate over a command" 0 "" "g1:1 running"
says err 'handing over'

fresh
b "$xenferry" receive --stock-helper -e --listen "unix:$work/socket" 2>"$work/receive" &
child=$!
wait_for test -S "$work/socket"
a ferry migrate --stock-helper --json g1 "unix:$work/socket"
status=$?
[ $status = 0 ] || kill $child
wait $child || status=9
check "migrate over a Unix socket" 0 "" "g1:1 running"
says out '"outcome":"done"'

fresh
# What the receiver before it said is not to be taken for its.
rm -f "$work/receive"
b "$xenferry" receive --stock-helper -e --listen tcp:127.0.0.1:0 2>"$work/receive" &
child=$!
wait_for grep -qs 'waiting on tcp' "$work/receive"
port=$(sed -n 's/.*waiting on tcp:127.0.0.1://p' "$work/receive")
a ferry migrate --stock-helper g1 "tcp:127.0.0.1:$port"
status=$?
[ $status = 0 ] || kill $child
wait $child || status=9
check "migrate over TCP" 0 "" "g1:1 running"

fresh
a ferry migrate --stock-helper --command true g1
status=$?
check "a peer that says nothing" 1 "g1:5 running" ""
a ferry migrate --stock-helper --command 'echo ssh: no such host' g1
status=$?
check "a peer that says something else" 1 "g1:5 running" ""
says err 'got "s'
a ferry migrate --stock-helper --command "$receiver | dd bs=1 count=54 status=none" g1
status=$?
check "a peer that is lost after the image" 1 "g1:5 running" ""
fresh
a ferry migrate --stock-helper --command "$receiver | dd bs=1 count=88 status=none" g1
status=$?
check "a peer that is lost after the release" 3 "g1--migratedaway:5 suspended" "g1:1 running"
says err 'xenferry resume --force g1--migratedaway'
a ferry resume g1--migratedaway
status=$?
check "resume refuses without --force" 1 "g1--migratedaway:5 suspended" "g1:1 running"
rm "$work/b/g1"
a ferry resume --force g1--migratedaway
status=$?
check "resume --force" 0 "g1:5 running" ""

fresh
a ferry migrate --stock-helper --command "DIRECTORY_TOOLSTACK_NO_UNPAUSE=1 $receiver" g1
status=$?
check "a target that cannot start it gives it back" 1 "g1:5 running" ""
says err 'could not start the guest (status 3)'
echo "9 running another-uuid" >"$work/b/g1"
a ferry migrate --stock-helper --command "$receiver" g1
status=$?
check "a target that has such a guest" 1 "g1:5 running" "g1:9 running"

fresh
a ferry migrate --stock-helper nobody "cmd:touch $work/called"
status=$?
check "no such guest, no connection" 1 "g1:5 running" ""
[ ! -e "$work/called" ] || echo "not ok - it connected"

fresh
DIRECTORY_TOOLSTACK=$work/a XENFERRY_RUN_DIR=$work/run-a DIRECTORY_TOOLSTACK_MS=20 \
    "$xenferry" migrate --stock-helper g1 "cmd:$receiver" >"$work/out" 2>"$work/err" &
child=$!
wait_for grep -q suspended "$work/a/g1"
kill -TERM $child
wait $child
status=$?
check "SIGTERM in the middle of a migration" 2 "g1:5 running" ""

echo "1..$number"
