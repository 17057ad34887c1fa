#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# xenferry save and restore on real Xen: with our helper and with the stock
# one, to and from xl's own, of PVH and PV guests; the guest's checks must be
# unbroken.
#
#   lab/tests/xenferry-save-restore.sh [--build DIR]
set -u

cd "$(dirname "$0")/../.." || exit 2
build="build-release"
[ "${1-}" != --build ] || build=$2
. lab/tests/xenferry-hosts.sh
prepare_hosts 1
lab/lab copy lab/tests/xenferry-save-restore-dom0 /opt/xenferry/ || exit 1
status=0
for type in pvh pv; do
    on a sh /opt/xenferry/xenferry-save-restore-dom0 $type || status=1
done
exit $status
