#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Images that Xen 4.17 wrote (lab/make-images), by stock's writer and by ours.
#
#   real.sh FOLDER XENFERRY
set -u

folder=$(realpath "$1") || exit 2
xenferry=$(realpath "$2") || exit 2
# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"
cd "$scratch" || exit 2

same() { # A B: the same guest
    status "$xenferry" diff "$1" "$2"
}

# Fields of the summary that 'inspect' prints, blank-separated.
summary() { # FIELD...
    awk -v names="$*" '
        { sub(/:$/, "", $1); value[$1] = $2 }
        END {
            count = split(names, name, " ")
            for (i = 1; i <= count; i++)
                printf "%s%s", value[name[i]], i < count ? " " : "\n"
        }' summary
}

stock=$(echo /usr/lib/xen-*/bin/verify-stream-v2)
PYTHONPATH=$(echo /usr/lib/xen-*/lib/python)
export PYTHONPATH

# NAME PASSES VCPUS PAGES ZERO: what is known of the image
image() {
    xz -dc "$folder/$1.xz" >image || exit 2
    is 0 "$(status "$xenferry" verify image)" "$1 is clean"
    is 0 "$(status "$xenferry" verify --for 4.20 image)" "$1: 4.20 takes it"
    is 2 "$(status "$xenferry" verify --for 4.6 image)" \
        "$1: 4.6 does not"
    "$xenferry" inspect image >text
    sed -n '/^summary:/,$p' text >summary
    is "4.17 $2 $3 $4 $5" \
        "$(summary release passes vcpus pages zero_pages)" "$1: its summary"
    is 0 "$(grep -ci 'unknown' text)" "$1: nothing in it is unknown"
    if [ "$1" = hvm-stock ]; then
        skip "$1: verify-stream-v2" \
            "it refuses EMULATOR_XENSTORE_DATA under Python 3"
    elif [ -x "$stock" ]; then
        is 0 "$(status "$stock" -i image --format xl)" "$1: verify-stream-v2"
    else
        skip "$1: verify-stream-v2" "no xen-utils"
    fi

    is 0 "$(status "$xenferry" image create -q image kept)" "$1: a container"
    is 0 "$(status "$xenferry" image extract -q kept back)" "$1: out of it"
    is 0 "$(status cmp image back)" "$1: octet for octet"
    is 0 "$(status "$xenferry" convert -q --compact image compact)" \
        "$1: compact"
    is 0 "$(same image compact)" "$1: compact is the same guest"
    is 0 "$(status "$xenferry" convert -q --version 2 image v2)" "$1: version 2"
    is 0 "$(status "$xenferry" convert -q --to libxc --version 3 v2 v3)" \
        "$1: and back, bare"
    is 0 "$(status "$xenferry" verify -q v2)" "$1: version 2 is clean"
    is 0 "$(same image kept)" "$1: diff reads the container"
    is 0 "$(status "$xenferry" core -q image core)" "$1: a core file"
    is 0 "$(status "$xenferry" core -q kept core2)" "$1: of the container"
    is 0 "$(status cmp core core2)" "$1: the same"
    rm -f image kept back compact v2 v3 core core2 text
}

image pvh-stock 1 1 2065 1950
image pvh-ours 1 1 2065 1949
image pvh-live-stock 4 1 2222 1950
image pvh-live-ours 4 1 2280 1949
image hvm-stock 1 1 4096 3994
plan
