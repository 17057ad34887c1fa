/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Xen's headers, and what differs between the releases they come from.  No
 * other file tests Xen's version.
 */
#ifndef HOST_XEN_COMPAT_H
#define HOST_XEN_COMPAT_H

#include <xenctrl.h>
#include <xenforeignmemory.h>
#include <xenguest.h>
#include <xentoollog.h>

/* 0x13 is Xen 4.14, the first with the CPU policy calls used here. */
#if XEN_DOMCTL_INTERFACE_VERSION < 0x00000013
#error "libxen-dev 4.14 or later is needed"
#endif

#endif
