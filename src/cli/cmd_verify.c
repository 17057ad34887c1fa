/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xenferry verify: whether an image is right, and who would take it. */
#include <string.h>

#include "cli/command.h"
#include "cli/image_file.h"
#include "cli/output.h"
#include "stream/verify.h"

enum {
    OPTION_FOR = OPTION_LONG_ONLY,
    OPTION_LIST,
    OPTION_WIDTH,
    OPTION_GUEST,
    OPTION_TIMEOUT
};

/* Exit statuses; verify(1) documents them. */
enum { VERIFY_CLEAN = 0, VERIFY_WARNINGS = 1, VERIFY_REFUSED = 2 };
#define VERIFY_UNREAD 3

static const struct command_option options[] = {
    {"json",    'j',            NULL,      "Print JSON instead of text"               },
    {"quiet",   'q',            NULL,      "Print nothing; the exit status tells"     },
    {"for",     OPTION_FOR,     "RELEASE", "Judge for one release of Xen, 4.6 to 4.23"},
    {"list",    OPTION_LIST,    NULL,      "List every rule, and exit"                },
    {"width",   OPTION_WIDTH,   "BITS",
     "Legacy: 32 or 64, the width of the toolstack that saved"                        },
    {"guest",   OPTION_GUEST,   "TYPE",    "Legacy: pv or hvm"                        },
    {"timeout", OPTION_TIMEOUT, "SECONDS",
     "Give up when a pipe gives nothing for so long"                                  },
    {NULL,      0,              NULL,      NULL                                       },
};

static void show_finding(void *context, const struct finding *finding)
{
    struct field_sink *sink = context;

    fields_begin(sink, NULL, FIELDS_ROW);
    fields_text(sink, "severity", severity_name(finding->severity));
    fields_text(sink, "id", finding->id);
    fields_hex(sink, "offset", finding->offset);
    fields_text(sink, "record", finding->where);
    fields_text(sink, "expected", finding->explanation);
    fields_text(sink, "found", finding->found);
    fields_flag(sink, "refused", finding->refused);
    fields_end(sink);
}

static void drop_finding(void *context, const struct finding *finding)
{
}

static void list_rules(bool json)
{
    struct output output;
    struct field_sink sink = output_begin(&output, stdout, json);
    struct finding rule;

    fields_begin(&sink, "rules", FIELDS_LIST);
    for (size_t i = 0; verify_rule(i, &rule); i++) {
        fields_begin(&sink, NULL, FIELDS_ROW);
        fields_text(&sink, "id", rule.id);
        fields_text(&sink, "severity", severity_name(rule.severity));
        fields_flag(&sink, "refused", rule.refused);
        fields_text(&sink, "expected", rule.explanation);
        fields_end(&sink);
    }
    fields_end(&sink);
    output_finish(&output);
}

static bool parse_release(const char *text, unsigned int *ret,
                          struct error *err)
{
    uint64_t minor;

    if (strncmp(text, "4.", 2) != 0 ||
        !parse_number(text + 2, VERIFY_RELEASE_MAX, "--for", &minor, err) ||
        minor < VERIFY_RELEASE_MIN)
        return error_set(err, ERR_USAGE,
                         "--for: '%s', expected a release from 4.%d to 4.%d",
                         text, VERIFY_RELEASE_MIN, VERIFY_RELEASE_MAX);
    *ret = (unsigned int)minor;
    return true;
}

static int verdict(const struct verify_result *result, unsigned int release)
{
    if (result->nr_refused > 0 ||
        (release == 0 && result->nr_by_severity[SEVERITY_ERROR] > 0))
        return VERIFY_REFUSED;
    if (result->nr_by_severity[SEVERITY_WARNING] > 0 ||
        result->nr_by_severity[SEVERITY_ERROR] > 0)
        return VERIFY_WARNINGS;
    return VERIFY_CLEAN;
}

static void show_result(struct field_sink *sink,
                        const struct verify_result *result,
                        unsigned int release)
{
    static const char *const verdicts[] = {
        [VERIFY_CLEAN] = "clean",
        [VERIFY_WARNINGS] = "warnings",
        [VERIFY_REFUSED] = "refused",
    };

    fields_begin(sink, "result", FIELDS_OBJECT);
    fields_text(sink, "verdict", verdicts[verdict(result, release)]);
    if (release)
        fields_format(sink, "release", "4.%u", release);
    fields_flag(sink, "restorable", result->nr_refused == 0);
    fields_number(sink, "errors", result->nr_by_severity[SEVERITY_ERROR]);
    fields_number(sink, "warnings", result->nr_by_severity[SEVERITY_WARNING]);
    fields_number(sink, "notes", result->nr_by_severity[SEVERITY_NOTE]);
    fields_number(sink, "records", result->nr_records);
    fields_number(sink, "pages", result->nr_pages);
    fields_number(sink, "octets", result->octets);
    fields_end(sink);
}

static int verify_path(struct command_line *line, const char *path,
                       struct verify_options *verify, bool json, bool quiet,
                       int timeout_ms)
{
    struct verify_result result = {0};
    struct error err = {0};
    struct input input = {0};
    struct output output;
    struct field_sink sink;
    bool ok;

    if (!input_open(&input, path, timeout_ms, &err)) {
        command_failed(line->command, &err);
        return VERIFY_UNREAD;
    }
    if (!quiet) {
        sink = output_begin(&output, stdout, json);
        fields_text(&sink, "file", path);
        fields_begin(&sink, "findings", FIELDS_LIST);
        verify->report = show_finding;
        verify->context = &sink;
    }
    ok = verify_stream(&input.source, verify, &result, &err);
    if (!quiet) {
        fields_end(&sink);
        if (ok)
            show_result(&sink, &result, verify->release);
        output_finish(&output);
    }
    input_close(&input);
    if (!ok) {
        command_failed(line->command, &err);
        return VERIFY_UNREAD;
    }
    return verdict(&result, verify->release);
}

static int verify_run(struct command_line *line)
{
    struct verify_options verify = {.report = drop_finding};
    struct error err = {0};
    const char *argument;
    uint64_t seconds;
    int timeout_ms = -1;
    bool json = false;
    bool quiet = false;
    bool list = false;
    int key;

    while ((key = command_line_next(line, &argument)) != LINE_END) {
        switch (key) {
        case 'j':
            json = true;
            break;
        case 'q':
            quiet = true;
            break;
        case OPTION_FOR:
            if (!parse_release(argument, &verify.release, &err))
                return command_line_wrong(line, "%s", err.text);
            break;
        case OPTION_LIST:
            list = true;
            break;
        case OPTION_WIDTH:
            if (!parse_legacy_width(argument, &verify.legacy, &err))
                return command_line_wrong(line, "%s", err.text);
            break;
        case OPTION_GUEST:
            if (!parse_legacy_guest(argument, &verify.legacy, &err))
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
    if (list) {
        list_rules(json);
        return CLI_OK;
    }
    if (command_line_operands(line) != 1)
        return command_line_wrong(line, "expected one FILE, or - for a pipe");
    return verify_path(line, command_line_operand(line), &verify, json, quiet,
                       timeout_ms);
}

const struct command command_verify = {
    .name = "verify",
    .summary = "Judge an image by every rule of its formats",
    .arguments = "[OPTION]... FILE|-",
    .details =
        "FILE is an xl save file, a libxl stream, a libxc image, a legacy "
        "image (Xen up to\n"
        "4.5), a libvirt managed save or a XenServer suspend image; - reads a\n"
        "pipe.  The exit status is 0 if the image is clean, 1 if there are\n"
        "warnings, 2 if it is refused, 3 if it could not be read.",
    .options = options,
    .run = verify_run,
};
