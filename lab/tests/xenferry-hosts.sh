# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh disable=SC2034
# Sourced by tests that need xenferry in the lab's hosts.
#
#   boot_hosts NUMBER            use the running instance, or boot one for this
#                                test
#   prepare_hosts NUMBER BUILD   the same, and copy what BUILD made into its hosts
#   on HOST COMMAND...           run a command in a host's dom0
#
# The caller is in the repository's root.  In the hosts
# everything is in /opt/xenferry, so that the program finds what is beside it;
# 'lab-rsh HOST COMMAND' there is what ssh is between real hosts.

lab_booted=

stop_hosts() {
    [ -z "$lab_booted" ] || lab/lab stop
    lab_booted=
}

on() {
    on_host=$1
    shift
    lab/lab run --host "$on_host" --timeout "${LAB_TIMEOUT:-900}" -- "$@" </dev/null
}

boot_hosts() {
    trap stop_hosts EXIT
    trap 'exit 130' INT TERM HUP
    if ! lab/lab run --timeout 30 -- true >/dev/null 2>&1; then
        XENFERRY_LAB_NAME=test-$$
        export XENFERRY_LAB_NAME
        lab/lab boot --hosts "$1" >&2 || exit $?
        lab_booted=yes
    fi
}

files="src/cli/xenferry src/helper/xenferry-save-helper
src/host/xen/xenferry-host-xen.so src/host/xen/xenferry-toolstack-libxl.so
guest/xenferry-guest"

prepare_hosts() {
    build=$2
    for file in $files; do
        if [ ! -f "$build/$file" ]; then
            echo "skipped: no $build/$file (built without Xen's libraries?)"
            exit 77
        fi
    done
    boot_hosts "$1"
    roles=a
    [ "$1" = 1 ] || roles="a b"
    for role in $roles; do
        # shellcheck disable=SC2046 # one word a file
        lab/lab copy --host "$role" \
            $(for file in $files; do echo "$build/$file"; done) \
            lab/tests/xenferry-dom0.sh lab/tests/lab-rsh lab/tests/lab-rshd \
            /opt/xenferry/ || exit 1
        on "$role" sh -c 'cd /opt/xenferry && chmod +x lab-rsh lab-rshd &&
            setsid socat TCP-LISTEN:7000,fork,reuseaddr \
                EXEC:/opt/xenferry/lab-rshd,nofork >/dev/null 2>&1 &' || exit 1
    done
}
