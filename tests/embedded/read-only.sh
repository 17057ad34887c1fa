#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A disk that a guest may not write stays so over a move and through a file.
#
#   read-only.sh XENFERRY GUEST
set -u

xenferry=$(realpath "$1") kernel=$(realpath "$2")
scratch=$(mktemp -d) || exit 2
alpha=$scratch/alpha beta=$scratch/beta
finish() {
    for host in "$alpha" "$beta"; do
        [ ! -d "$host" ] || "$xenferry" host stop --force "$host" 2>/dev/null
    done
    rm -rf "$scratch"
}
trap finish EXIT
number=0

check() { # NAME COMMAND...
    name=$1
    shift
    number=$((number + 1))
    if "$@" >"$scratch/said" 2>&1; then
        echo "ok $number - $name"
    else
        sed 's/^/# /' "$scratch/said"
        echo "not ok $number - $name"
    fi
}

is_read_only() {
    "$xenferry" domain show --host "$1" reader | tee "$scratch/show"
    grep -q '^disk: .*read-only' "$scratch/show"
}

truncate -s 16M "$scratch/disk" && chmod 400 "$scratch/disk"
"$xenferry" host start "$alpha" >/dev/null || exit 1
"$xenferry" host start "$beta" >/dev/null || exit 1
check 'a guest with a disk that it may not write' \
    "$xenferry" domain create --host "$alpha" --kernel "$kernel" --memory 16 \
    --disk "$scratch/disk" --read-only --cmdline report_ms=200 reader
check 'show says so' is_read_only "$alpha"
check 'it moves' "$xenferry" migrate --host "embedded:$alpha" reader \
    "embedded:$beta"
check 'the other host knows' is_read_only "$beta"
check 'it goes to a file' "$xenferry" save --host "embedded:$beta" reader \
    "$scratch/image"
check 'and comes back' "$xenferry" restore --host "embedded:$alpha" \
    "$scratch/image"
check 'the disk is as it was' is_read_only "$alpha"
echo "1..$number"
