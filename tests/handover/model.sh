#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Check the model of the hand-over with Spin, every state of it; and that a
# model with a known mistake is found wrong.
#
#   model.sh HANDOVER.pml
set -u

model=$1
if ! command -v spin >/dev/null || ! command -v cc >/dev/null; then
    echo "1..0 # SKIP spin (or a C compiler) is not installed"
    exit 0
fi
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
cp "$model" "$scratch/handover.pml" || exit 2
cd "$scratch" || exit 2

number=0
check() { # NAME ERRORS-EXPECTED OPTION...
    name=$1 expected=$2
    shift 2
    number=$((number + 1))
    if spin -a "$@" handover.pml >log 2>&1 && cc -O1 -w -o pan pan.c &&
        ./pan -m100000 >log 2>&1 && grep -q "errors: $expected" log &&
        ! grep -q 'max search depth too small' log; then
        echo "ok $number - $name ($(sed -n 's/ states, stored.*//p' log | tr -d ' ') states)"
    else
        echo "not ok $number - $name"
        sed 's/^/# /' log
    fi
}

check "no crash" 0 -DCRASHES=0
check "any one crash" 0 -DCRASHES=1
check "any two crashes: never two copies" 0 -DCRASHES=2
check "any three crashes: never two copies" 0 -DCRASHES=3
check "resuming after the release is found" 1 -DCRASHES=1 -DBROKEN
echo "1..$number"
