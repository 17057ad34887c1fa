# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# Sourced by shell tests: TAP on standard output, and a scratch folder.
#
#   is WANTED GOT NAME
#   check NAME COMMAND...   the command succeeds
#   status COMMAND...       prints its exit status; what it said is in 'out' and
#                           'err' of the scratch folder
#   skip NAME REASON
#   plan                    at the end
number=0
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT

check() {
    name=$1
    shift
    number=$((number + 1))
    if "$@"; then
        echo "ok $number - $name"
    else
        echo "not ok $number - $name"
    fi
}

is() {
    check "$3" [ "$1" = "$2" ]
    [ "$1" = "$2" ] ||
        printf "wanted '%s', got '%s'\n" "$1" "$2" | sed 's/^/# /'
}

status() {
    "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
    echo $?
}

skip() {
    number=$((number + 1))
    echo "ok $number - $1 # SKIP $2"
}

plan() {
    echo "1..$number"
}
