// SPDX-License-Identifier: GPL-2.0-or-later
// The header as C++ sees it.
#include <xenferry/xenferry.h>

#include <cstdio>

int main()
{
    xenferry_error err{};
    xenferry_source *source = xenferry_source_memory("LibxlFmt", 8);
    xenferry_reader *reader = xenferry_reader_new(source);
    xenferry_item item{};
    int status = xenferry_reader_next(reader, &item, &err);

    std::printf("%d %s\n", status, xenferry_error_name(err.code));
    xenferry_reader_free(reader);
    xenferry_source_free(source);
    return status == XENFERRY_FAILED ? 0 : 1;
}
