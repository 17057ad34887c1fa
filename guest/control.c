/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control.h"

#include "check.h"
#include "drv_store.h"
#include "libc.h"

#define TRIES 100

void control_init(void)
{
    static const char *const features[] = {
        "control/feature-suspend",
        "control/feature-poweroff",
        "control/feature-reboot",
    };

    for (unsigned int i = 0; i < 3; i++)
        if (!store_write(0, features[i], "1"))
            check_fail("store", "feature", i, 0, 1);
    if (!store_watch("control/shutdown", STORE_WATCH_CONTROL))
        check_fail("store", "watch_control", 0, 0, 1);
}

/* Read the request and empty it, in one transaction. */
static bool take_text(char *text, size_t size)
{
    for (unsigned int i = 0; i < TRIES; i++) {
        uint32_t tx;
        bool there;

        if (!store_transaction_start(&tx))
            return false;
        there = store_read(tx, "control/shutdown", text, size) && *text;
        if (there && !store_write(tx, "control/shutdown", "")) {
            store_transaction_end(tx, false);
            return false;
        }
        if (store_transaction_end(tx, there))
            return there;
        if (strcmp(store_error(), "EAGAIN"))
            return false;
    }
    return false;
}

enum control_request control_take(void)
{
    static const struct {
        const char *text;
        enum control_request request;
    } requests[] = {
        {"suspend",  CONTROL_SUSPEND },
        {"poweroff", CONTROL_POWEROFF},
        {"halt",     CONTROL_POWEROFF},
        {"reboot",   CONTROL_REBOOT  },
    };
    char text[32];

    if (!store_watch_take(STORE_WATCH_CONTROL) ||
        !take_text(text, sizeof(text)))
        return CONTROL_NOTHING;
    for (unsigned int i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
        if (!strcmp(text, requests[i].text))
            return requests[i].request;
    return CONTROL_NOTHING;
}
