#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# lab-test: hosts=1 timeout=1500
# dom0 boots with xenferry-xenstored in place of the stock one, and with its
# journal: xl creates, saves, restores and destroys PV and PVH guests with disk,
# console and network; kill -9 of the serving process goes unnoticed, in the
# middle of xl create too; 100 guests come and go and leave nothing.  Migration
# and HVM: lab/lab test matrix-migrate save-restore-hvm --xenstored FILE.
#
#   lab/tests/xenstored.sh [--build DIR]
set -u

cd "$(dirname "$0")/../.." || exit 2
build="build-release"
[ "${1-}" != --build ] || build=$2
XENFERRY_LAB_NAME=xenstored-$$
export XENFERRY_LAB_NAME
trap 'lab/lab stop >/dev/null 2>&1' EXIT

lab/lab boot --xenstored "$build/src/store/xenferry-xenstored" \
    --xenstored-arg=--journal || exit $?
lab/lab copy "$build/guest/xenferry-guest" lab/tests/xenferry-dom0.sh \
    lab/tests/xenstored-dom0 \
    /opt/xenferry/ || exit 1
lab/lab run --timeout 1400 -- sh /opt/xenferry/xenstored-dom0
