#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# inspect and verify as a person would run them.
#
#   commands.sh MAKE_IMAGE XENFERRY
set -u

make_image=$(realpath "$1") || exit 2
xenferry=$(realpath "$2") || exit 2
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
number=0

is() { # WANTED GOT NAME
    number=$((number + 1))
    if [ "$1" = "$2" ]; then
        echo "ok $number - $3"
    else
        echo "not ok $number - $3"
        echo "# wanted '$1', got '$2'"
    fi
}

status() { # COMMAND...: its exit status
    "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
    echo $?
}

cd "$scratch" || exit 2
"$make_image" layer=xl frames=100 rounds=1 emulator=1 >a
"$make_image" layer=libxl frames=50 checkpoints=2 emulator=1 >remus
head -c 3000 a >short

# inspect
is 0 "$(status "$xenferry" inspect a)" "inspect reads a file"
cp out text
cat a | "$xenferry" inspect - | sed 's/^file: -$/file: a/' >piped
is "" "$(diff text piped)" "a pipe is explained like a file"
is 0 "$(status "$xenferry" inspect --json --no-pages a)" "inspect prints JSON"
cp out json
is 0 "$(status python3 -c 'import json; json.load(open("json"))')" \
    "which is JSON"
"$xenferry" inspect --json a >json
is "2 x86 HVM 100" "$(python3 -c '
import json
s = json.load(open("json"))["summary"]
print(s["passes"], s["guest"], s["distinct_frames"])')" "the summary counts"
is 1 "$(status "$xenferry" inspect short)" "a cut image is an error"
is 1 "$(grep -c 'code: truncated' out)" "which says so"
is 1 "$(status "$xenferry" inspect nothing)" "no such file"
is 64 "$(status "$xenferry" inspect)" "no file named"
is 64 "$(status "$xenferry" inspect --nonsense a)" "no such option"

# verify
is 0 "$(status "$xenferry" verify a)" "a clean image"
is 1 "$(status "$xenferry" verify remus)" "a checkpointed image: a warning"
is 2 "$(status "$xenferry" verify --for 4.13 a)" "4.13 refuses version 3"
is 0 "$(status "$xenferry" verify --for 4.20 a)" "4.20 takes it"
is 2 "$(status "$xenferry" verify short)" "a cut image"
is 3 "$(status "$xenferry" verify nothing)" "no such file"
is 64 "$(status "$xenferry" verify --for 3.4 a)" "no such release"
printf '' >empty
is 2 "$(status "$xenferry" verify empty)" "an empty file"
is 2 "$(cat short | "$xenferry" verify -q - >out; echo $?)" "a cut pipe"
is 0 "$(wc -c <out)" "quiet prints nothing"

# A pipe that stalls is an error after the time that was asked for.
mkfifo stall
sleep 20 >stall &
sleeper=$!
is 3 "$(timeout 15 "$xenferry" verify --timeout=1 - <stall >out 2>err
    echo $?)" "a pipe that stalls"
kill $sleeper 2>/dev/null

echo "1..$number"
