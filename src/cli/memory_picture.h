/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The map of a guest's memory as a picture: text, or SVG. */
#ifndef CLI_MEMORY_PICTURE_H
#define CLI_MEMORY_PICTURE_H

#include <stdio.h>

#include "base/error.h"
#include "stream/field_sink.h"
#include "stream/memory_map.h"

void memory_picture_text(const struct memory_map *map, FILE *file);
/* The same rows as fields of "memory_map". */
void memory_picture_fields(const struct memory_map *map,
                           struct field_sink *sink);
/* A file that appears whole or not at all. */
must_check bool memory_picture_svg(const struct memory_map *map,
                                   const char *title, const char *path,
                                   struct error *err);

#endif
