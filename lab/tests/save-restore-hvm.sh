#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# lab-test: hosts=1 timeout=900
# An HVM guest with its device model, saved by stock and restored by us, and
# the other way round, under stock xl.  The emulator takes minutes to start it:
# the boot ROM copies the kernel octet by octet.
#
#   lab/tests/save-restore-hvm.sh [--build DIR]
set -u

cd "$(dirname "$0")/../.." || exit 2
build="build-release"
[ "${1-}" != --build ] || build=$2
. lab/tests/xenferry-hosts.sh
prepare_hosts 1 "$build"
lab/lab copy lab/tests/matrix-dom0.sh lab/tests/matrix-save-restore-dom0 \
    /opt/xenferry/ || exit 1
on a sh /opt/xenferry/matrix-save-restore-dom0 hvm
