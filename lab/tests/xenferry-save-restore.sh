#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# lab-test: hosts=1 timeout=900
# xenferry save and restore on real Xen: with our helper and with the stock
# one, to and from xl's own, of our own guest and of Linux as PVH and PV; the
# guest's checks must be unbroken.
#
#   lab/tests/xenferry-save-restore.sh [--build DIR] [--kinds "own linux pv"]
set -u

cd "$(dirname "$0")/../.." || exit 2
build="build-release"
kinds="own linux pv"
while [ $# -gt 1 ]; do
    case $1 in
    --build) build=$2 ;;
    --kinds) kinds=$2 ;;
    esac
    shift 2
done
. lab/tests/xenferry-hosts.sh
prepare_hosts 1 "$build"
lab/lab copy lab/tests/xenferry-save-restore-dom0 /opt/xenferry/ || exit 1
status=0
for kind in $kinds; do
    on a sh /opt/xenferry/xenferry-save-restore-dom0 "$kind" && continue
    status=1
    on a labguest clean
done
exit $status
