/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xenferry inspect: what is in an image. */
#include <stdlib.h>

#include "base/cleanup.h"
#include "cli/command.h"
#include "cli/image_file.h"
#include "cli/memory_picture.h"
#include "cli/output.h"
#include "stream/inspect.h"

enum {
    OPTION_NO_PAGES = OPTION_LONG_ONLY,
    OPTION_MAP,
    OPTION_WIDTH,
    OPTION_GUEST,
    OPTION_TIMEOUT
};

static const struct command_option options[] = {
    {"json",       'j',             NULL,      "Print JSON instead of text"           },
    {"summary",    's',             NULL,      "Print the summary without the records"},
    {"no-pages",   OPTION_NO_PAGES, NULL,
     "Do not read page contents (zero pages are not counted)"                         },
    {"memory-map", OPTION_MAP,      "[FILE]",
     "Draw the guest's memory, or write it to FILE as SVG"                            },
    {"width",      OPTION_WIDTH,    "BITS",
     "Legacy: 32 or 64, the width of the toolstack that saved"                        },
    {"guest",      OPTION_GUEST,    "TYPE",    "Legacy: pv or hvm"                    },
    {"timeout",    OPTION_TIMEOUT,  "SECONDS",
     "Give up when a pipe gives nothing for so long"                                  },
    {NULL,         0,               NULL,      NULL                                   },
};

static int inspect_run(struct command_line *line)
{
    struct inspect_options inspect = {.page_contents = true};
    struct error err = {0};
    struct input input = {0};
    struct output output;
    struct field_sink sink;
    const char *argument;
    const char *path;
    const char *svg = NULL;
    bool map_wanted = false;
    int timeout_ms = -1;
    cleanup_free struct memory_map *map = NULL;
    bool json = false;
    bool ok;
    int key;

    while ((key = command_line_next(line, &argument)) != LINE_END) {
        uint64_t seconds;

        switch (key) {
        case 'j':
            json = true;
            break;
        case 's':
            inspect.summary_only = true;
            break;
        case OPTION_NO_PAGES:
            inspect.page_contents = false;
            break;
        case OPTION_MAP:
            map_wanted = true;
            svg = argument;
            break;
        case OPTION_WIDTH:
            if (!parse_legacy_width(argument, &inspect.legacy, &err))
                return command_line_wrong(line, "%s", err.text);
            break;
        case OPTION_GUEST:
            if (!parse_legacy_guest(argument, &inspect.legacy, &err))
                return command_line_wrong(line, "%s", err.text);
            break;
        case OPTION_TIMEOUT:
            if (!parse_number(argument, 86400, "--timeout", &seconds, &err))
                return command_line_wrong(line, "%s", err.text);
            timeout_ms = (int)seconds * 1000;
            break;
        default:
            return CLI_USAGE;
        }
    }
    if (command_line_operands(line) != 1)
        return command_line_wrong(line, "expected one FILE, or - for a pipe");
    path = command_line_operand(line);
    if (!input_open(&input, path, timeout_ms, &err))
        return command_failed(line->command, &err);

    if (map_wanted) {
        map = calloc(1, sizeof(*map));
        if (!map) {
            input_close(&input);
            error_set(&err, ERR_NO_MEMORY, "memory map: no memory");
            return command_failed(line->command, &err);
        }
        inspect.map = map;
    }
    sink = output_begin(&output, stdout, json);
    fields_text(&sink, "file", path);
    ok = inspect_stream(&input.source, &inspect, &sink, &err);
    if (map && json)
        memory_picture_fields(map, &sink);
    output_finish(&output);
    if (map && !json && !svg)
        memory_picture_text(map, stdout);
    if (ok && map && svg)
        ok = memory_picture_svg(map, path, svg, &err);
    input_close(&input);
    return ok ? CLI_OK : command_failed(line->command, &err);
}

const struct command command_inspect = {
    .name = "inspect",
    .summary = "Explain every record of an image",
    .arguments = "[OPTION]... FILE|-",
    .details =
        "FILE is an xl save file, a libxl stream, a libxc image, a legacy "
        "image (Xen up to\n"
        "4.5), a libvirt managed save, a XenServer suspend image, a xenstore\n"
        "state stream or oxenstored's dump; - reads a pipe.  The exit status "
        "is 0, or 1 if the image could not be read to\n"
        "its end.",
    .options = options,
    .run = inspect_run,
};
