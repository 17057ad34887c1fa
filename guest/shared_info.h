/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef GUEST_SHARED_INFO_H
#define GUEST_SHARED_INFO_H

#include "abi.h"

/* Have Xen put the shared info page at its place (again, after a move). */
void shared_info_map(void);

struct shared_info *shared_info(void);

#endif
