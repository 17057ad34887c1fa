#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# inspect and verify as a person would run them.
#
#   commands.sh MAKE_IMAGE XENFERRY
set -u

make_image=$(realpath "$1") || exit 2
xenferry=$(realpath "$2") || exit 2
# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"

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

is 1 "$("$xenferry" inspect -s remus | sed -n 's/^  vcpus: //p')" \
    "the vCPUs of the last checkpoint"

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

# The memory map
"$xenferry" inspect -s --memory-map a >out
is 1 "$(grep -c '^memory by pfn' out)" "a map for the terminal"
is 0 "$(status "$xenferry" inspect -s --memory-map=map.svg a)" "a map as SVG"
is 0 "$(status python3 -c '
import xml.dom.minidom
xml.dom.minidom.parse("map.svg")')" "which is XML"
"$xenferry" inspect -s --json --memory-map a >json
is 100 "$(python3 -c '
import json
m = json.load(open("json"))["memory_map"]
print(m["frames_per_cell"] * sum(map(len, m["rows"])))')" \
    "a map in JSON has every frame"

# xenstores
printf '$xenstored-dump-format\nstore,2f61,6e30,6869\n' >ox
is 1 "$("$xenferry" inspect ox | grep -c 'path=/a ')" "oxenstored's dump"

# The container
is 0 "$(status "$xenferry" image create a a.xfi)" "a container is made"
is 1 "$(grep -c 'whole: yes' out)" "of an image that was understood"
is 0 "$(status "$xenferry" image extract a.xfi back)" "its image comes back"
is "" "$(cmp a back 2>&1)" "octet for octet"
is 0 "$(status "$xenferry" convert --to=image a b.xfi)" "convert makes one"
is "" "$(cmp a.xfi b.xfi 2>&1)" "which is the same"
is "" "$("$xenferry" convert -q b.xfi - | cmp - a 2>&1)" "convert reads it"
is "" "$("$xenferry" inspect a.xfi | sed 's/^file: .*/file: a/' |
    diff text - 2>&1)" "inspect explains the image in it"
is 0 "$(status "$xenferry" verify a.xfi)" "verify judges the image in it"
is 0 "$(cat a.xfi | "$xenferry" verify -q -; echo $?)" "from a pipe as well"
"$xenferry" extract --pfn=3-5 a >pages
is "" "$("$xenferry" image extract --pfn=3-5 a.xfi - | cmp - pages 2>&1)" \
    "frames by number"
is "" "$("$xenferry" extract --pfn=3-5 a.xfi | cmp - pages 2>&1)" \
    "which extract finds in it too"
is 1 "$(status "$xenferry" image extract --pfn=0xfffff a.xfi none)" \
    "a frame that is not there"
is "" "$(ls none 2>/dev/null)" "leaves no file"
is 0 "$(status "$xenferry" image verify --json a.xfi)" "a whole container"
cp out json
is 0 "$(status python3 -c 'import json; json.load(open("json"))')" "in JSON"
cat a | "$xenferry" image create - - 2>/dev/null >piped.xfi
is "" "$("$xenferry" image extract piped.xfi - 2>/dev/null | cmp - a 2>&1)" \
    "through pipes"
is 0 "$(status "$xenferry" image create short short.xfi)" "a cut image is kept"
is 1 "$(grep -c 'code: truncated' out)" "and said to be one"
is "" "$("$xenferry" image extract short.xfi - 2>/dev/null |
    cmp - short 2>&1)" "and comes back"
cp a.xfi damaged.xfi
printf X | dd of=damaged.xfi bs=1 seek=200 conv=notrunc 2>dd.log
is 1 "$(status "$xenferry" image verify damaged.xfi)" "a damaged container"
is 1 "$(status "$xenferry" image extract damaged.xfi none)" "is not extracted"
is 2 "$(status "$xenferry" verify damaged.xfi)" "is refused"
is 1 "$(status "$xenferry" convert damaged.xfi none)" "nor converted"
is "" "$(find . -name "*none*")" "and leaves no file"
head -c 500 a.xfi >cut.xfi
is 1 "$(status "$xenferry" image info cut.xfi)" "a cut container"
is 1 "$(status "$xenferry" image info a)" "no container"
is 64 "$(status "$xenferry" image create a)" "no output named"
is 64 "$(status "$xenferry" image fold a)" "no such action"
is 64 "$(status "$xenferry" convert --to=image --version=2 a none)" \
    "a container changes nothing"

for threads in 0 5; do
    "$xenferry" image create -q --threads=$threads a threads.$threads
done
is "" "$(cmp threads.0 threads.5 2>&1)" "threads do not change it"
is 64 "$(status "$xenferry" image create --threads=65 a none)" "too many"

# Options and operands in any order
"$xenferry" verify --json --for=4.17 a >before
is "" "$("$xenferry" verify a --json --for 4.17 | cmp - before 2>&1)" \
    "options behind the operand"
is "" "$("$xenferry" image extract a.xfi -q - | cmp - a 2>&1)" \
    "and between two"
"$xenferry" image -q extract a.xfi -- -q
is "" "$(cmp ./-q a 2>&1)" "behind -- nothing is an option"

# A pipe that stalls is an error after the time that was asked for.
mkfifo stall
sleep 20 >stall &
sleeper=$!
is 3 "$(timeout 15 "$xenferry" verify --timeout=1 - <stall >out 2>err
    echo $?)" "a pipe that stalls"
kill $sleeper 2>/dev/null

plan
