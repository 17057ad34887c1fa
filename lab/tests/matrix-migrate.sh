#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# lab-test: hosts=2 timeout=1200
# Live migration by stock xl between two hosts: every writer with every reader,
# for our guest, Linux PVH and Linux PV; then ten more of our guest, which is
# never idle, with our helper on both sides.
#
#   lab/tests/matrix-migrate.sh [--build DIR]
set -u

cd "$(dirname "$0")/../.." || exit 2
build="build-release"
[ "${1-}" != --build ] || build=$2
. lab/tests/xenferry-hosts.sh
prepare_hosts 2 "$build"
for host in a b; do
    lab/lab copy --host $host lab/tests/matrix-dom0.sh \
        lab/tests/matrix-migrate-dom0 \
        /opt/xenferry/ || exit 1
done
status=0
for guest in own pv pvh; do
    on a sh /opt/xenferry/matrix-migrate-dom0 $guest || status=1
done
exit $status
