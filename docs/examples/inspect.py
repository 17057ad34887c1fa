#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# List the records of a saved guest by libxenferry: inspect.py IMAGE [LIBRARY]
import ctypes as c
import os
import sys

class Item(c.Structure):
    _fields_ = [("kind", c.c_uint32), ("type", c.c_uint32), ("offset", c.c_uint64),
                ("length", c.c_uint32), ("big", c.c_uint32), ("name", c.c_char_p)]

class Error(c.Structure):
    _fields_ = [("code", c.c_int32), ("os_errno", c.c_int32),
                ("offset", c.c_uint64), ("text", c.c_char * 512)]

lib = c.CDLL(sys.argv[2] if len(sys.argv) > 2 else "libxenferry.so.1")
lib.xenferry_source_fd.restype = lib.xenferry_reader_new.restype = c.c_void_p
source = c.c_void_p(lib.xenferry_source_fd(os.open(sys.argv[1], os.O_RDONLY)))
reader, item, err = c.c_void_p(lib.xenferry_reader_new(source)), Item(), Error()
while (status := lib.xenferry_reader_next(reader, c.byref(item), c.byref(err))) == 0:
    print(f"{item.offset:#x} {item.name.decode()} {item.length}")
sys.exit(err.text.decode() if status < 0 else 0)
