# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# Sourced by tests of our xenstored.
#
#   with_our_xenstored SECONDS BUILD PART [HOSTS]   boot hosts of its own with
#       BUILD's xenstored, and its journal; run that part of xenstored-dom0 in
#       the first
. lab/tests/xenferry-hosts.sh

with_our_xenstored() {
    XENFERRY_LAB_NAME=xenstored-$$
    export XENFERRY_LAB_NAME
    lab/lab boot --hosts "${4-1}" --xenstored-arg=--journal \
        --xenstored "$2/src/store/xenferry-xenstored" || exit $?
    lab_booted=yes
    prepare_hosts "${4-1}" "$2"
    lab/lab copy lab/tests/xenstored-dom0 /opt/xenferry/ || exit 1
    LAB_TIMEOUT=$1 on a sh /opt/xenferry/xenstored-dom0 "$3"
}
