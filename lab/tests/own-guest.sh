#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# lab-test: hosts=1 timeout=900
# Our own guest under stock xl: it boots in 16 MB, its checks are clean, and
# they stay so over saves, restores and a cancelled save; what it wrote to its
# disk is there.
#
#   lab/tests/own-guest.sh [--build DIR]
#
# Uses the running instance, or boots one for this test.  What happens to the
# guest is in own-guest-dom0, which runs in dom0.
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
lab/lab copy "$payload" lab/tests/own-guest-dom0 /var/lab/own-guest/ || exit 1
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
