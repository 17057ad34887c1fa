#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# lab-test: hosts=1 timeout=2400
# With xenferry-xenstored, 100 guests come and go and leave no node, watch or
# transaction behind.
#
#   lab/tests/xenstored-cycles.sh [--build DIR]
set -u

cd "$(dirname "$0")/../.." || exit 2
build="build-release"
[ "${1-}" != --build ] || build=$2
. lab/tests/xenstored-host.sh
with_our_xenstored 2300 "$build" cycles
