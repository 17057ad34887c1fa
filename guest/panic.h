/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef GUEST_PANIC_H
#define GUEST_PANIC_H

#include <stdint.h>

/*
 * The guest cannot go on: say why on the hypervisor's debug port (0xe9) and
 * on the console, then shut the domain down with reason 'crash'.
 */
__attribute__((noreturn)) void panic(const char *what, uint64_t a, uint64_t b);

#endif
