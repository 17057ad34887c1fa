/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guests of an embedded host. */
#ifndef HOST_EMBEDDED_EMBEDDED_KEEPER_H
#define HOST_EMBEDDED_EMBEDDED_KEEPER_H

#include "host/keeper.h"

/* 'folder' is the host's, as hostd_folder() says. */
must_check bool embedded_keeper_open(const char *folder, struct keeper **ret,
                                     struct error *err);

#endif
