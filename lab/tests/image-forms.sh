#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# lab-test: hosts=1 timeout=900
# A guest goes on from every form its image can take: legacy, converted under
# libxl by the stock script and by ours (LIBXL_CONVERT_HELPER), and by xenferry
# convert; our container; version 2 and back.
#
#   lab/tests/image-forms.sh [--build DIR]
set -u

cd "$(dirname "$0")/../.." || exit 2
build="build-release"
[ "${1-}" != --build ] || build=$2
. lab/tests/xenferry-hosts.sh
prepare_hosts 1 "$build"
lab/lab copy "$build/src/cli/xenferry-convert-legacy" lab/tests/matrix-dom0.sh \
    lab/tests/image-forms-dom0 lab/tests/legacy-of tests/legacy/streams.py \
    /opt/xenferry/ || exit 1
on a sh /opt/xenferry/image-forms-dom0
