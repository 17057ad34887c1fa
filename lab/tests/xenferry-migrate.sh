#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# lab-test: hosts=2 timeout=900
# Live migration between two real Xen hosts, to and fro: xenferry to xenferry,
# xenferry to xl and xl to xenferry; the guest's checks must be unbroken over
# all of it, and its disk is the one that both hosts see.
#
#   lab/tests/xenferry-migrate.sh [--build DIR] [--kinds "own linux"]
set -u

cd "$(dirname "$0")/../.." || exit 2
build="build-release"
kinds="own linux"
while [ $# -gt 1 ]; do
    case $1 in
    --build) build=$2 ;;
    --kinds) kinds=$2 ;;
    esac
    shift 2
done
. lab/tests/xenferry-hosts.sh
prepare_hosts 2 "$build"
for host in a b; do
    lab/lab copy --host $host lab/tests/xenferry-migrate-dom0 /opt/xenferry/ ||
        exit 1
done
status=0
for kind in $kinds; do
    on a sh /opt/xenferry/xenferry-migrate-dom0 "$kind" || status=1
done
exit $status
