#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The library as it is installed: symbols, structures, C++, Python.
#
#   abi.sh LIBRARY SOURCE_DIR MAKE_IMAGE STRUCT_SIZES
#
# What was exported once stays: a change of abi.txt that takes a line away or
# changes one needs another soversion.
set -u

library=$(realpath "$1") || exit 2
source=$(realpath "$2") || exit 2
make_image=$(realpath "$3") || exit 2
struct_sizes=$(realpath "$4") || exit 2
# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"

cd "$scratch" || exit 2
{
    nm -D --defined-only "$library" | awk '$2 != "A" { print $3 }' |
        sed 's/@@/ /' | sort
    "$struct_sizes"
} >abi.txt
is "" "$(diff "$source/tests/api/abi.txt" abi.txt)" \
    "symbols and structures are those of abi.txt"
is "" "$(nm -D --undefined-only "$library" |
    grep -wE 'exit|_exit|printf|puts|putchar|fprintf|vfprintf|perror|stderr|stdout|setenv|signal' |
    sed 's/^ *//')" "it neither prints nor exits"

cxx=$(command -v g++ || command -v clang++)
flags="-std=c++11 -Wall -Wextra -Werror -pedantic"
if [ -z "$cxx" ]; then
    skip "the header is C++" "no C++ compiler"
else
    # shellcheck disable=SC2086 # a list of flags
    is "" "$("$cxx" $flags -fsyntax-only -I"$source/include" \
        "$source/tests/api/header.cc" 2>&1)" "the header is C++"
fi
is "" "$(cc -std=c99 -Wall -Wextra -Werror -pedantic -fsyntax-only -x c \
    -I"$source/include" "$source/include/xenferry/xenferry.h" 2>&1)" \
    "the header is C99 by itself"

"$make_image" layer=xl frames=20 >image
# A library with sanitizers wants theirs loaded before everything else; what
# Python itself keeps at its end is no leak of ours.
preload=
if nm -D "$library" | grep -q __asan_init; then
    preload=$(ldd "$library" | awk '/libasan|libclang_rt.asan/ { print $3 }')
fi
is "0 END" "$(LD_PRELOAD=$preload ASAN_OPTIONS=detect_leaks=0 \
    python3 "$source/docs/examples/inspect.py" image "$library" >out 2>&1
    echo "$?" "$(awk '{ name = $(NF - 1) } END { print name }' out)")" \
    "the Python example"
plan
