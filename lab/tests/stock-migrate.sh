#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# lab-test: hosts=2 timeout=900
# The lab itself: stock xl moves running Linux guests from a to b and back.
# The guest's console continues in the other host's log; joined in the order
# of its life, the two must be one log without a gap.
set -eu
cd "$(dirname "$0")/../.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM HUP

on() {
    host=$1
    shift
    lab/lab run --host "$host" --timeout 600 -- "$@"
}

# move GUEST FROM TO ADDRESS
move() {
    on "$3" sh -c 'socat -b 1048576 TCP-LISTEN:9000,reuseaddr \
        EXEC:"xl migrate-receive" >/var/log/xen/receive.log 2>&1 &'
    on "$2" xl migrate -s "" "$1" "socat -b 1048576 - TCP:$4:9000,retry=20"
    on "$3" labguest wait "$1" 3
    on "$2" labguest log "$1" >>"$scratch/$1"
    # What it prints here after coming back starts a new part of the log.
    on "$2" sh -c "rm /var/log/xen/console/guest-$1*"
    echo "$1: $2 to $3"
}

slot=0
for type in pvh pv; do
    slot=$((slot + 1))
    on a labguest create "$type" --type "$type" --shared $slot --memory 96
    move "$type" a b 192.0.2.2
    move "$type" b a 192.0.2.1
    on a labguest log "$type" >>"$scratch/$type"
    on a xl destroy "$type"
    lab/lab run -i -- checklog verify "$type" <"$scratch/$type"
done
