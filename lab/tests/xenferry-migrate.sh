#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Live migration between two real Xen hosts, to and fro: xenferry to xenferry,
# xenferry to xl and xl to xenferry; the guest's checks must be unbroken over
# all of it, and its disk is the one that both hosts see.
#
#   lab/tests/xenferry-migrate.sh [--build DIR]
set -u

cd "$(dirname "$0")/../.." || exit 2
build="build-release"
[ "${1-}" != --build ] || build=$2
. lab/tests/xenferry-hosts.sh
prepare_hosts 2
for host in a b; do
    lab/lab copy --host $host lab/tests/xenferry-migrate-dom0 /opt/xenferry/ ||
        exit 1
done
on a sh /opt/xenferry/xenferry-migrate-dom0
