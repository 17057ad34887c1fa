#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What our writers make, the stock verifier accepts; so does ours.
#
#   verify-stream-v2.sh MAKE_IMAGE XENFERRY
#
# Left out are images that the stock verifier cannot judge: checkpointed ones
# (it reads libxl's records as libxc's), optional records (it refuses each type
# that it does not know), EMULATOR_XENSTORE_DATA (it compares octets with text
# under Python 3), big-endian ones (it reads them as little-endian).
set -u

make_image=$1
xenferry=$2

stock=
for candidate in /usr/lib/xen-*/bin/verify-stream-v2; do
    [ -x "$candidate" ] && stock=$candidate
done
if [ -z "$stock" ]; then
    echo "1..0 # SKIP no stock verify-stream-v2 (package xen-utils-4.17)"
    exit 0
fi
PYTHONPATH=${stock%/bin/*}/lib/python
export PYTHONPATH

scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
number=0

ok() { # STATUS NAME
    number=$((number + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $number - $2"
    else
        echo "not ok $number - $2"
        sed 's/^/# /' "$scratch/log"
    fi
}

check() { # LAYER OPTION...
    layer=$1
    shift
    "$make_image" "layer=$layer" "$@" >"$scratch/image" || exit 2
    "$stock" --in "$scratch/image" --format "$layer" >"$scratch/log" 2>&1
    ok $? "stock accepts $layer $*"
    "$xenferry" verify "$scratch/image" >"$scratch/log" 2>&1
    ok $? "ours accepts $layer $*"
}

for layer in libxc libxl xl; do
    for guest in hvm pv64 pv32; do
        for version in 2 3; do
            check $layer guest=$guest version=$version
            check $layer guest=$guest version=$version frames=2000 rounds=2 \
                verify=1 vcpus=5 emulator=1
        done
    done
done

# The stock verifier's word is worth something: it refuses a cut image.
"$make_image" >"$scratch/image"
head -c -8 "$scratch/image" >"$scratch/cut"
"$stock" --in "$scratch/cut" --format libxc >"$scratch/log" 2>&1
[ $? -ne 0 ]
ok $? "stock refuses a cut image"

echo "1..$number"
