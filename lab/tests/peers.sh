#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# lab-test: hosts=1 timeout=600
# Our own guests share event channels and pages with each other on real Xen:
# what tests/embedded/peers.py has them do on the embedded host.
#
#   lab/tests/peers.sh [--build DIR]
#
# Uses the running instance, or boots one for this test.
set -u

cd "$(dirname "$0")/../.." || exit 2
build="build-release"
[ "${1-}" != --build ] || build=$2
payload=$build/guest/xenferry-guest
if [ ! -f "$payload" ]; then
    echo "skipped: no $payload (built without Xen's headers?)"
    exit 77
fi

. lab/tests/xenferry-hosts.sh
boot_hosts 1
lab/lab copy "$payload" lab/tests/peers-dom0 /var/lab/peers/ || exit 1
status=0
for options in 'evtchn=fifo ping_ticks=5' 'evtchn=2l ping_ticks=5'; do
    echo "== $options"
    lab/lab run --timeout 600 -- sh /var/lab/peers/peers-dom0 "$options" \
        </dev/null || status=1
done
exit $status
