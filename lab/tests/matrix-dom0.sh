# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# Sourced in dom0 by the matrix tests: the guests, and who saves them.
#
#   helper stock|ours       sets $helper to the 'env' words that choose it
#   start_guest KIND DISK   own, pvh, pv or hvm; named g.  DISK is options of
#                           labguest for its disk
. /opt/xenferry/xenferry-dom0.sh

# shellcheck disable=SC2034 # for who sources this
helper() {
    case $1 in
    stock) helper="-u LIBXL_SAVE_HELPER" ;;
    ours) helper="LIBXL_SAVE_HELPER=/opt/xenferry/xenferry-save-helper" ;;
    esac
}

start_guest() {
    kind=$1
    shift
    case $kind in
    own)
        must labguest create g --memory 16 --kernel /opt/xenferry/xenferry-guest \
            --args "mem=4M rate=200 disk=on disk_rate=50" "$@"
        must labguest wait g 2
        ;;
    hvm) must labguest create g --type hvm --memory 160 "$@" ;;
    *)
        must labguest create g --type "$kind" --memory 96 \
            --args "check.mem=8 check.mem-rate=100 check.disk-rate=20" "$@"
        ;;
    esac
}
