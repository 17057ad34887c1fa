#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A disk that a guest may not write stays so over a move, through a file and
# through a container.
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

runs() { # it says what only a guest that goes on can say
    tries=100
    until "$xenferry" domain console --host "$1" reader |
        tee "$scratch/console" | grep -q '^check seq=.*mem=ok'; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        sleep 0.1
    done
}

refused() {
    ! "$xenferry" restore --host "embedded:$alpha" "$1"
}

no_guest() {
    [ "$("$xenferry" domain list --host "$1" --json |
        python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')" = 0 ]
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
"$xenferry" domain destroy --host "$alpha" reader
check 'its file as a container' "$xenferry" image create -q \
    "$scratch/image" "$scratch/container"
check 'it comes back from there' "$xenferry" restore \
    --host "embedded:$beta" "$scratch/container"
check 'as it was' is_read_only "$beta"
check 'and runs' runs "$beta"
printf X | dd of="$scratch/container" bs=1 seek=5000 conv=notrunc 2>/dev/null
check 'a damaged one is refused' refused "$scratch/container"
check 'and leaves no guest' no_guest "$alpha"
echo "1..$number"
