/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef GUEST_REPORT_H
#define GUEST_REPORT_H

#include "machine.h"

/* One "check" line, when report_ms have passed since the last one. */
void report_when_due(struct machine *m);

/* Everything there is to know, as "info" lines. */
void report_summary(struct machine *m);

#endif
