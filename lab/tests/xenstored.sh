#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# lab-test: hosts=1 timeout=1200
# dom0 boots with xenferry-xenstored in place of the stock one: xl creates,
# saves, restores and destroys PV and PVH guests with disk, console and network;
# kill -9 of the serving process goes unnoticed, in the middle of xl create too,
# and so does a live update.
#
#   lab/tests/xenstored.sh [--build DIR]
set -u

cd "$(dirname "$0")/../.." || exit 2
build="build-release"
[ "${1-}" != --build ] || build=$2
. lab/tests/xenstored-host.sh
with_our_xenstored 1100 "$build" guests
