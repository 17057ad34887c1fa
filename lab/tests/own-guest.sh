#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# lab-test: hosts=1 timeout=2400
# Our own guest under stock xl: it boots in 16 MB, its checks are clean, and
# they stay so over saves, restores and a cancelled save.
#
#   lab/tests/own-guest.sh [--build DIR]
#
# Needs a running lab host (lab/lab boot; XENFERRY_LAB_NAME is honoured) and
# the payload in DIR/guest (default: build).  What happens to the guest is in
# own-guest-dom0, which runs in dom0.
set -u

cd "$(dirname "$0")/../.." || exit 2
build=build
if [ "${1-}" = --build ]; then
    build=$2
fi
payload=$build/guest/xenferry-guest
if [ ! -f "$payload" ]; then
    echo "own-guest: no $payload: the build had no Xen headers"
    exit 77
fi

lab/lab run -- mkdir -p /var/lab/own-guest || exit 2
lab/lab copy "$payload" lab/tests/own-guest-dom0 /var/lab/own-guest/ || exit 2

status=0
while read -r name vcpus cycles options; do
    echo "== $name: vcpus=$vcpus cycles=$cycles $options"
    lab/lab run --timeout 900 -- sh /var/lab/own-guest/own-guest-dom0 \
        "$name" "$vcpus" "$cycles" "$options" </dev/null || status=1
done <<'END'
one-fifo 1 2 rate=100 disk_rate=40 ping_ticks=5
two-fifo 2 3 rate=100 disk_rate=40 ping_ticks=5
two-2l 2 1 evtchn=2l callback=domain timer=periodic rate=100 disk_rate=40
two-poll 2 1 idle=poll rate=100 disk_rate=40 tick_ms=20
END
exit $status
