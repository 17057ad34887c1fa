/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds and loads what is built as a module, so that nothing else needs the
 * libraries that it needs.
 *
 * Looked for in $XENFERRY_HOST_DIR where that is set; else beside the program,
 * in the build folder, and where it is installed.  A module stays loaded for
 * the life of the process: hypervisor libraries register handlers that cannot
 * be taken back.
 */
#ifndef HOST_MODULE_H
#define HOST_MODULE_H

#include "base/error.h"

/*
 * Load the module in 'file' and give its exported 'symbol'.  ERR_UNSUPPORTED
 * when there is none, with the reason; 'what' names it in messages.
 */
must_check bool module_load(const char *what, const char *file,
                            const char *symbol, const void **ret,
                            struct error *err);

#endif
