/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether a text is JSON (RFC 8259): one value, strings in UTF-8.
 *
 * Only whether it is: what a configuration says is libxl's to judge, which reads
 * its text up to the first NUL.
 */
#ifndef STREAM_XL_JSON_TEXT_H
#define STREAM_XL_JSON_TEXT_H

#include "base/macros.h"

/* Values within values; a configuration has six. */
#define JSON_DEPTH_MAX 64

/* '*ret_bad' is the first octet that cannot be as it is, if any: then false. */
bool json_text_check(const char *text, size_t length, size_t *ret_bad);

#endif
