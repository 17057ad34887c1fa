#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Events of a move become a page that needs nothing else.
#
#   report.sh XENFERRY
set -u

xenferry=$(realpath "$1") # tests may be given a relative path
# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"
cd "$scratch" || exit 2

cat >events <<'END'
{"event":"step","step":"check","guest":"<b>&\"x\"","domid":7,"time_ms":1}
not an event
{"event":"progress","phase":"precopy","round":1,"bytes":1048576,"pages":256,"round_pages":256,"rate":52428800,"dirty_pages":64,"dirty_rate":640,"time_ms":100}
{"event":"progress","phase":"precopy","round":2,"bytes":1310720,"pages":320,"round_pages":64,"rate":26214400,"dirty_pages":3,"dirty_rate":30,"time_ms":150}
{"event":"progress","phase":"final","round":2,"rate":26214400,"time_ms":151}
{"event":"report","rounds":2,"pages":323,"zero_pages":200,"bytes":1323008,"elapsed_us":200000,"blackout_us":12500,"stop_us":500,"final_us":6000,"state_us":1000,"handover_us":4000,"resume_us":1000,"time_ms":200}
{"event":"end","outcome":"done","time_ms":201}
END

has() { grep -qF -- "$1" page.html; }
whole() {
    python3 - page.html <<'END'
import re, sys, xml.dom.minidom
text = open(sys.argv[1]).read()
plots = re.findall(r"<svg.*?</svg>", text, re.S)
for plot in plots:
    xml.dom.minidom.parseString(plot)
outside = re.search(r"https?:|src=|href=|@import|url\(", text)
sys.exit(len(plots) != 3 or bool(outside))
END
}

check "a page is written" "$xenferry" report --events events page.html
check "three plots, nothing from outside" whole
check "the blackout is there" has "12.5 ms"
check "and its parts" has "hand-over 4.00 ms"
check "each round" has "64 pages, 3 written meanwhile"
check "names are escaped" has "&#60;b&#62;&#38;&#34;x&#34;"
check "light and dark" has "prefers-color-scheme:dark"
"$xenferry" report other.html <events
check "from standard input as well" cmp -s page.html other.html
echo nothing >nothing
no_events() { ! "$xenferry" report -e nothing none.html 2>message && [ ! -e none.html ]; }
check "without events there is no page" no_events
plan
