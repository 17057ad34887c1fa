# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab: real Xen hosts under QEMU's software emulation."""
