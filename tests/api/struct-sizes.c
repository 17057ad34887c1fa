/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sizes and members' places that programs were compiled with. */
#include <stdio.h>

#include <xenferry/xenferry.h>

#define SIZE(type) printf("%s %zu\n", #type, sizeof(struct type))
#define PLACE(type, member) \
    printf("%s.%s %zu\n", #type, #member, offsetof(struct type, member))

int main(void)
{
    SIZE(xenferry_error);
    PLACE(xenferry_error, offset);
    PLACE(xenferry_error, text);
    SIZE(xenferry_item);
    PLACE(xenferry_item, offset);
    PLACE(xenferry_item, length);
    PLACE(xenferry_item, name);
    SIZE(xenferry_push_calls);
    PLACE(xenferry_push_calls, item);
    PLACE(xenferry_push_calls, body);
    SIZE(xenferry_finding);
    PLACE(xenferry_finding, offset);
    PLACE(xenferry_finding, severity);
    SIZE(xenferry_verdict);
    PLACE(xenferry_verdict, refused);
    SIZE(xenferry_container_info);
    PLACE(xenferry_container_info, whole);
    SIZE(xenferry_frame);
    PLACE(xenferry_frame, contents);
    return 0;
}
