#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# lab-test: hosts=2 timeout=1800
# With xenferry-xenstored in two hosts: an HVM guest with disk, console and
# network is created, saved, restored, moved live and destroyed by stock xl.
#
#   lab/tests/xenstored-hvm.sh [--build DIR]
set -u

cd "$(dirname "$0")/../.." || exit 2
build="build-release"
[ "${1-}" != --build ] || build=$2
. lab/tests/xenstored-host.sh
with_our_xenstored 1700 "$build" hvm 2
