#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# lab-test: hosts=1 timeout=1200
# The lab itself: stock xl saves and restores Linux guests, twice each, and
# their own checks find nothing.
set -eu
cd "$(dirname "$0")/../.."

lab/lab run -i --timeout 1100 -- sh -seu <<'END'
for type in pvh pv; do
    labguest create "$type" --type "$type"
    for cycle in 1 2; do
        xl save "$type" /var/lab/image
        xl restore /var/lab/image
        labguest wait "$type" 3
        echo "$type: cycle $cycle"
    done
    labguest verify "$type"
    xl destroy "$type"
done
END
