#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What --help lists, the manual page explains, and the other way round.
#
#   options.sh XENFERRY DOCS_DIR
set -u

xenferry=$1
docs=$2
number=0

scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT

# Long options at the start of a line of --help, sorted.
help_options() {
    "$xenferry" help "$1" |
        sed -n 's/^  \(-., \|    \)\(--[a-z0-9-]*\).*/\2/p' | sort -u
}

# Long options that head an entry of the page, sorted.
page_options() {
    sed -n '/^# OPTIONS/,/^# EXIT/p' "$1" |
        grep -E '^\*-' | grep -oE '\*--[a-z0-9-]+\*' | tr -d '*' | sort -u
}

compare() { # NAME PAGE
    number=$((number + 1))
    if [ ! -f "$2" ]; then
        echo "not ok $number - $1 has a manual page"
        return
    fi
    help_options "$1" >"$scratch/help"
    page_options "$2" >"$scratch/page"
    if [ -s "$scratch/help" ] &&
        diff "$scratch/help" "$scratch/page" >"$scratch/diff"; then
        echo "ok $number - $1: --help and page agree"
    else
        echo "not ok $number - $1: --help and page agree"
        sed 's/^/# /' "$scratch/diff"
    fi
}

commands=$("$xenferry" --help |
    awk '/^Commands:/ { on = 1; next } /^$/ { on = 0 } on { print $1 }' |
    grep -vx help)
for command in $commands; do
    compare "$command" "$docs/xenferry-$command.1.scd"
done

# The front page names every command.
for command in $commands; do
    number=$((number + 1))
    if grep -q "^\*.*\*$command\*\|^\*$command\*" "$docs/xenferry.1.scd"; then
        echo "ok $number - xenferry.1 names $command"
    else
        echo "not ok $number - xenferry.1 names $command"
    fi
done
echo "1..$number"
