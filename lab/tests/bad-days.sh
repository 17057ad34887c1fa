#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# lab-test: hosts=1 timeout=1200
# What goes wrong on real hosts: damaged images, full disks, peers and helpers
# that vanish, signals, a guest that does not answer.  Each time a message, the
# right exit status, the guest running, and nothing left behind.
#
#   lab/tests/bad-days.sh [--build DIR]
#
# One host: the other end of a migration is a command.
set -u

cd "$(dirname "$0")/../.." || exit 2
build="build-release"
[ "${1-}" != --build ] || build=$2
. lab/tests/xenferry-hosts.sh
prepare_hosts 1 "$build"
lab/lab copy lab/tests/bad-days-dom0 lab/tests/image-edit /opt/xenferry/ || exit 1
on a sh /opt/xenferry/bad-days-dom0
