#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# lab-test: hosts=1 timeout=300
# Our guest finds on real Xen what it finds on the embedded host: its report is
# the one in tests/embedded/reports, which a test there compares with its own.
#
#   lab/tests/same-report.sh [--build DIR] [--record]
set -u

cd "$(dirname "$0")/../.." || exit 2
build="build-release"
if [ "${1-}" = --build ]; then
    build=$2
    shift 2
fi
. lab/tests/xenferry-hosts.sh
prepare_hosts 1 "$build"
status=0
scratch=$(mktemp -d) || exit 2
for abi in 2l fifo; do
    lab/lab run --timeout 120 -- sh -c '
        labguest config report --memory 16 --vcpus 2 \
            --kernel /opt/xenferry/xenferry-guest >/var/lab/report.cfg
        sed -i "s/^cmdline.*/cmdline = \"mem=4M disk=on evtchn=$1\"/" \
            /var/lab/report.cfg
        truncate -s 16M /var/lab/report.disk
        log=/var/log/xen/console/guest-report.log
        rm -f $log
        xl create -q /var/lab/report.cfg && labguest wait report 2 || exit 1
        tty=$(xenstore-read "/local/domain/$(xl domid report)/console/tty")
        echo pause >"$tty"
        labguest wait report 2 || exit 1
        echo report >"$tty"
        until grep -q "^info end" $log; do sleep 1; done
        xl destroy report
        grep -E "^(xenferry-guest|disk:|info) " $log | tr -d "\r"
        ' sh "$abi" </dev/null >"$scratch/$abi" || exit 1
    [ "${1-}" != --record ] || cp "$scratch/$abi" "tests/embedded/reports/$abi.txt"
    python3 tests/embedded/same_report.py "$scratch/$abi" \
        "tests/embedded/reports/$abi.txt" || status=1
done
rm -r "$scratch"
exit $status
