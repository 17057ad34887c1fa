#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# lab-test: hosts=1 timeout=1200
# Under stock xl: every writer with every reader, for our guest, Linux PVH and
# Linux PV.  Xen's own verifier accepts what we write.
#
#   lab/tests/matrix-save-restore.sh [--build DIR]
set -u

cd "$(dirname "$0")/../.." || exit 2
build="build-release"
[ "${1-}" != --build ] || build=$2
. lab/tests/xenferry-hosts.sh
prepare_hosts 1 "$build"
lab/lab copy lab/tests/matrix-dom0.sh lab/tests/matrix-save-restore-dom0 \
    /opt/xenferry/ || exit 1
status=0
for guest in own pvh pv; do
    on a sh /opt/xenferry/matrix-save-restore-dom0 $guest || status=1
done
exit $status
