/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/memory_picture.h"

#include "base/cleanup.h"
#include "cli/new_file.h"
#include "cli/progress.h"

#define COLUMNS 64u
#define SQUARE  10u /* of the SVG, pixels */
#define LEFT    120u
#define TOP     50u

static const struct {
    char letter;
    char letter_repeated; /* where most frames were sent more than once */
    const char *colour;
    const char *name;
} looks[MEMORY_CLASSES + 1] = {
    [MEMORY_DATA] = {'o', '#', "#3465a4", "data"                   },
    [MEMORY_ZERO] = {'.', ':', "#d3d7cf", "pages of zeroes"        },
    [MEMORY_TABLE] = {'t', 'T', "#cc0000", "page tables"            },
    [MEMORY_EMPTY] = {'x', 'X', "#edd400", "frames without contents"},
    [MEMORY_REPEAT] = {'?', '?', "#000000", "sent more than once"    },
    [MEMORY_CLASSES] = {' ', ' ', "#ffffff", "nothing"                },
};

static uint64_t cell_frames(const struct memory_map *map, unsigned int cell)
{
    uint64_t sum = 0;

    for (unsigned int k = 0; k < MEMORY_REPEAT; k++)
        sum += map->cells[cell][k];
    return sum;
}

/* More than half of what was sent had been sent before. */
static bool cell_repeated(const struct memory_map *map, unsigned int cell)
{
    return map->cells[cell][MEMORY_REPEAT] * 2 > cell_frames(map, cell);
}

static char cell_letter(const struct memory_map *map, unsigned int cell)
{
    enum memory_class class = memory_map_class(map, cell);

    return cell_repeated(map, cell) ? looks[class].letter_repeated
                                    : looks[class].letter;
}

static size_t row_of(const struct memory_map *map, unsigned int first,
                     char row[COLUMNS + 1])
{
    unsigned int length = memory_map_length(map);
    size_t n = 0;

    while (n < COLUMNS && first + n < length) {
        row[n] = cell_letter(map, first + (unsigned int)n);
        n++;
    }
    row[n] = '\0';
    return n;
}

static uint64_t first_pfn(const struct memory_map *map, unsigned int cell)
{
    return (uint64_t)cell << map->shift;
}

void memory_picture_text(const struct memory_map *map, FILE *file)
{
    char octets[32], row[COLUMNS + 1];

    format_bytes((uint64_t)PAGE_SIZE << map->shift, octets, sizeof(octets));
    fprintf(file, "\nmemory by pfn, each character %s:\n", octets);
    for (unsigned int i = 0; i < memory_map_length(map); i += COLUMNS) {
        row_of(map, i, row);
        fprintf(file, "%10" PRIx64 " |%-*s|\n", first_pfn(map, i), (int)COLUMNS,
                row);
    }
    fprintf(file, "%12c", ' ');
    for (unsigned int k = 0; k < MEMORY_REPEAT; k++)
        fprintf(file, "%c %s%s", looks[k].letter, looks[k].name,
                k + 1 < MEMORY_REPEAT ? ", " : "\n");
    fprintf(file, "%12cmostly sent more than once: ", ' ');
    for (unsigned int k = 0; k < MEMORY_REPEAT; k++)
        fprintf(file, "%c%s", looks[k].letter_repeated,
                k + 1 < MEMORY_REPEAT ? " " : "\n");
    if (map->nr_beyond)
        fprintf(file, "%12c%" PRIu64 " frames beyond 16 TiB are not drawn\n",
                ' ', map->nr_beyond);
}

void memory_picture_fields(const struct memory_map *map,
                           struct field_sink *sink)
{
    char row[COLUMNS + 1];

    fields_begin(sink, "memory_map", FIELDS_OBJECT);
    fields_number(sink, "frames_per_cell", UINT64_C(1) << map->shift);
    fields_number(sink, "cells_per_row", COLUMNS);
    fields_number(sink, "frames_beyond", map->nr_beyond);
    fields_begin(sink, "rows", FIELDS_LIST);
    for (unsigned int i = 0; i < memory_map_length(map); i += COLUMNS) {
        row_of(map, i, row);
        fields_text(sink, NULL, row);
    }
    fields_end(sink);
    fields_end(sink);
}

/* SVG ------------------------------------------------------------------------ */

static void svg_text(struct buffer *b, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '<' || c == '>' || c == '&' || c < ' ' || c >= 0x7f)
            buffer_format(b, c < ' ' || c >= 0x7f ? "?" : "&#%u;", c);
        else
            buffer_u8(b, c);
    }
}

static void svg_cell(struct buffer *b, const struct memory_map *map,
                     unsigned int cell)
{
    enum memory_class class = memory_map_class(map, cell);
    uint64_t frames = cell_frames(map, cell);

    if (class == MEMORY_CLASSES)
        return;
    buffer_format(b,
                  "<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" "
                  "fill=\"%s\"%s><title>",
                  LEFT + cell % COLUMNS * SQUARE, TOP + cell / COLUMNS * SQUARE,
                  SQUARE - 1, SQUARE - 1, looks[class].colour,
                  cell_repeated(map, cell)
                      ? " stroke=\"#000000\" stroke-width=\"1\""
                      : "");
    buffer_format(b, "pfn %#" PRIx64 " to %#" PRIx64 ": ", first_pfn(map, cell),
                  first_pfn(map, cell + 1) - 1);
    for (unsigned int k = 0; k < MEMORY_CLASSES; k++)
        if (map->cells[cell][k])
            buffer_format(b, "%s %" PRIu64 ", ", looks[k].name,
                          map->cells[cell][k]);
    buffer_format(b, "%" PRIu64 " in all</title></rect>\n", frames);
}

static void svg_legend(struct buffer *b, unsigned int y)
{
    unsigned int x = LEFT;

    for (unsigned int k = 0; k < MEMORY_CLASSES; k++) {
        bool repeat = k == MEMORY_REPEAT;

        buffer_format(b,
                      "<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" "
                      "fill=\"%s\" stroke=\"%s\"/>",
                      x, y, SQUARE - 1, SQUARE - 1,
                      repeat ? "#ffffff" : looks[k].colour,
                      repeat ? "#000000" : "none");
        buffer_format(b, "<text x=\"%u\" y=\"%u\">", x + SQUARE + 4,
                      y + SQUARE - 2);
        svg_text(b, looks[k].name);
        buffer_format(b, "</text>\n");
        x += 30 + 7 * (unsigned int)__builtin_strlen(looks[k].name);
    }
}

static void svg(struct buffer *b, const struct memory_map *map,
                const char *title)
{
    unsigned int length = memory_map_length(map);
    unsigned int rows = (length + COLUMNS - 1) / COLUMNS;
    char octets[32];

    format_bytes((uint64_t)PAGE_SIZE << map->shift, octets, sizeof(octets));
    buffer_format(b,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" "
                  "height=\"%u\" font-family=\"monospace\" font-size=\"11\">\n"
                  "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n"
                  "<text x=\"%u\" y=\"24\" font-size=\"14\">",
                  LEFT + COLUMNS * SQUARE + 20, TOP + rows * SQUARE + 50, LEFT);
    svg_text(b, title);
    buffer_format(b, ": each square is %s of memory</text>\n", octets);
    for (unsigned int row = 0; row < rows; row++)
        buffer_format(b,
                      "<text x=\"%u\" y=\"%u\" text-anchor=\"end\">%#" PRIx64
                      "</text>\n",
                      LEFT - 8, TOP + (row + 1) * SQUARE - 1,
                      first_pfn(map, row * COLUMNS));
    for (unsigned int i = 0; i < length; i++)
        svg_cell(b, map, i);
    svg_legend(b, TOP + rows * SQUARE + 20);
    buffer_format(b, "</svg>\n");
}

bool memory_picture_svg(const struct memory_map *map, const char *title,
                        const char *path, struct error *err)
{
    cleanup(buffer_release) struct buffer b = {0};
    struct new_file out = {.fd = -1, .dir_fd = -1};
    bool ok;

    svg(&b, map, title);
    ok = buffer_check(&b, path, err) && new_file_open(&out, path, -1, err) &&
         sink_write(&out.sink, b.bytes, b.length, err) &&
         new_file_commit(&out, err);
    new_file_close(&out);
    return ok;
}
