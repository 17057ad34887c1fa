# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# Sourced by tests of our xenstored.
#
#   with_our_xenstored SECONDS BUILD PART   boot a host of its own with BUILD's
#       xenstored, and its journal; run that part of xenstored-dom0 in it
with_our_xenstored() {
    XENFERRY_LAB_NAME=xenstored-$$
    export XENFERRY_LAB_NAME
    trap 'lab/lab stop >/dev/null 2>&1' EXIT
    lab/lab boot --xenstored "$2/src/store/xenferry-xenstored" \
        --xenstored-arg=--journal || exit $?
    lab/lab copy "$2/guest/xenferry-guest" lab/tests/xenferry-dom0.sh \
        lab/tests/xenstored-dom0 /opt/xenferry/ || exit 1
    lab/lab run --timeout "$1" -- sh /opt/xenferry/xenstored-dom0 "$3"
}
