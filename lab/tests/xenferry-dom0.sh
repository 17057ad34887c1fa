# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh disable=SC2034,SC2154
# Sourced in dom0 by the tests of xenferry's moves.
#
# A test is a series of steps; the first that goes wrong ends it:
#
#   step TEXT            says what comes, with seconds since the start
#   fails CODE COMMAND   the command must fail with this exit status; what it
#                        said is in $said
#   fail TEXT            ends the test
export PATH=/opt/xenferry:/usr/lib/xenlab/bin:$PATH
images=/var/lab
started=$(date +%s)
said=

step() {
    echo "$(($(date +%s) - started)) s: $*"
}

fail() {
    echo "FAILED: $*"
    xl list
    tail -n 5 /var/log/xen/console/guest-*.log 2>/dev/null
    [ -z "$said" ] || echo "$said"
    exit 1
}

must() {
    said=$("$@" 2>&1) || fail "exit status $?: $*"
}

fails() {
    wanted=$1
    shift
    said=$("$@" 2>&1)
    status=$?
    [ $status = "$wanted" ] || fail "exit status $status, expected $wanted: $*"
}

says() { # PATTERN: the last command must have said this
    printf '%s\n' "$said" | grep -qE -- "$1" || fail "no '$1' in what it said"
}

# Domains are as named, in any order; the control domain is not counted.
domains_are() {
    have=$(xl list | awk 'NR > 2 { print $1 }' | sort | tr '\n' ' ')
    [ "${have% }" = "$*" ] || fail "domains '$have', expected '$*'"
}

runs() { # NAME: neither paused nor suspended
    xl list "$1" | awk 'NR == 2 { exit $5 ~ /[psc]/ }' ||
        fail "$1 does not run: $(xl list "$1" | tail -n 1)"
}

# Neither files of ours nor processes are left by what failed.
nothing_left() {
    left=$(find /run/xenferry /var/lab -name '*.lock' -o -name '.*part' \
        2>/dev/null)
    [ -z "$left" ] || fail "left behind: $left"
    # shellcheck disable=SC2009 # dom0 has no pgrep
    left=$(ps ax -o pid,args | grep -E 'save-helper|xenferry (save|restore|migrate|receive)' |
        grep -v grep)
    [ -z "$left" ] || fail "left running: $left"
}

# The guest of the kind 'own' (the payload of guest/), 'linux' (PVH) or 'pv', on
# the disk that is given, or 'none'; returns when its first checks are through.
new_guest() { # NAME KIND DISK
    name=$1 kind=$2
    disks="disk = [ \"$3,xvda,w\" ]" own_disk=on linux_disk=check.disk=/dev/xvda
    [ "$3" != none ] || disks="disk = []" own_disk=off linux_disk=
    case $kind in
    own)
        labguest config "$name" --kernel /opt/xenferry/xenferry-guest \
            --memory 16 --disk 0 --extra "$disks" \
            --args "mem=4M disk=$own_disk rate=200 disk_rate=50" \
            >"$images/$name.cfg"
        ;;
    linux | pv)
        type=pvh
        [ "$kind" = linux ] || type=pv
        labguest config "$name" --type "$type" --memory 96 --disk 0 \
            --extra "$disks" \
            --args "$linux_disk check.mem=8 check.mem-rate=100" \
            >"$images/$name.cfg"
        ;;
    esac
    rm -f /var/log/xen/console/guest-"$name".log \
        /var/log/xen/console/guest-"$name"--incoming.log
    must xl create -q "$images/$name.cfg"
    must labguest wait "$name" 2 400
}

# A disk of its own for a guest that stays here.
file_disk() { # NAME
    truncate -s 16M "$images/$1.disk"
    echo "$images/$1.disk,raw"
}
