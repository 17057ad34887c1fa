#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The demo fails when the guest could tell: its disk has other octets, it stood
# for seconds, its ports are not those it had.
#
#   demo-notices.sh DEMO BUILD
set -u

demo=$1 build=$2
said=$(mktemp) || exit 2
trap 'rm -f "$said"' EXIT
number=0

notices() { # WHAT ROW: the demo says WRONG in this row, and so does its status
    number=$((number + 1))
    "$demo" --build "$build" --break "$1" >"$said" 2>&1
    status=$?
    if [ $status -eq 77 ]; then
        echo "1..0 # SKIP no embedded host"
        exit 0
    fi
    if [ $status -eq 1 ] && grep -q "^  $2 .*WRONG\$" "$said" &&
        grep -q '^It noticed' "$said"; then
        echo "ok $number - $1"
    else
        echo "not ok $number - $1: status $status"
        tail -n 25 "$said" | sed 's/^/# /'
    fi
}

notices disk "disk: blocks written, read back"
notices gap "largest gap between two ticks"
notices ports "ports, grants, places on beta"
echo "1..$number"
