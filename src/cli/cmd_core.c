/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xenferry core: a guest as an ELF core file. */
#include <signal.h>
#include <string.h>

#include "cli/command.h"
#include "cli/guest_file.h"
#include "cli/new_file.h"
#include "cli/output.h"
#include "cli/work_progress.h"
#include "stream/image/core_file.h"

enum {
    OPTION_VIRTUAL = OPTION_LONG_ONLY,
    OPTION_VCPU,
    OPTION_CHECKPOINT,
    OPTION_SCRATCH,
};

static const struct command_option options[] = {
    {"virtual",    OPTION_VIRTUAL,    NULL,
     "Memory by the addresses that a vCPU's page tables map"                },
    {"vcpu",       OPTION_VCPU,       "NUMBER",
     "With --virtual: whose page tables; 0 unless given"                    },
    {"checkpoint", OPTION_CHECKPOINT, "N",
     "A checkpointed image as of its N-th checkpoint; the last unless given"},
    {"scratch",    OPTION_SCRATCH,    "DIR",
     "Where scratch files are made; $TMPDIR or /tmp unless given"           },
    {"json",       'j',               NULL,     "Print JSON instead of text"},
    {"quiet",      'q',               NULL,     "Print nothing but errors"  },
    {NULL,         0,                 NULL,     NULL                        },
};

struct core_command {
    struct guest_file_options guest;
    struct core_options core;
    bool json;
    bool quiet;
};

static void show_progress(void *context, uint64_t pages, uint64_t octets)
{
    work_progress_update(context, octets);
}

static void show_result(const struct core_command *c, const char *out_path,
                        const struct core_result *result, uint64_t octets)
{
    struct output output;
    struct field_sink sink = output_begin(
        &output, strcmp(out_path, "-") == 0 ? stderr : stdout, c->json);

    fields_text(&sink, "output", out_path);
    fields_text(&sink, "addresses",
                c->core.by_virtual ? "virtual" : "physical");
    fields_number(&sink, "vcpus", result->nr_vcpus);
    fields_number(&sink, "segments", result->nr_loads);
    fields_number(&sink, "pages", result->nr_pages);
    fields_number(&sink, "octets", octets);
    output_finish(&output);
}

static bool make_core(struct core_command *c, const char *in_path,
                      const char *out_path, struct guest_file *guest,
                      struct new_file *out, struct error *err)
{
    struct work_progress progress;
    struct core_result result;
    bool ok;

    if (!guest_file_open(guest, in_path, &c->guest, err) ||
        !new_file_open(out, out_path, -1, err))
        return false;
    work_progress_begin(&progress, "core", image_file_fd(&guest->file),
                        c->quiet);
    c->core.find_zeroes = new_file_sparse(out);
    c->core.progress = show_progress;
    c->core.context = &progress;
    ok = core_write(&guest->guest, &out->sink, &c->core, &result, err);
    work_progress_end(&progress);
    if (!ok || !new_file_commit(out, err))
        return false;
    if (!c->quiet)
        show_result(c, out_path, &result, out->sink.offset);
    return true;
}

static int core_run(struct command_line *line)
{
    struct core_command c = {
        .guest = {.scratch = default_scratch_folder(),
                  .checkpoint = CHECKPOINT_LAST,
                  .timeout_ms = -1},
    };
    struct guest_file guest = {.converted_fd = -1, .file = {.spool_fd = -1}};
    struct new_file out = {.fd = -1, .dir_fd = -1};
    struct error err = {0};
    const char *argument, *in_path, *out_path;
    uint64_t number;
    bool ok;
    int key;

    while ((key = command_line_next(line, &argument)) != LINE_END) {
        switch (key) {
        case OPTION_VIRTUAL:
            c.core.by_virtual = true;
            break;
        case OPTION_VCPU:
            if (!parse_number(argument, UINT32_MAX, "--vcpu", &number, &err))
                return command_line_wrong(line, "%s", err.text);
            c.core.vcpu = (uint32_t)number;
            break;
        case OPTION_CHECKPOINT:
            if (!parse_checkpoint(argument, &c.guest.checkpoint, &err))
                return command_line_wrong(line, "%s", err.text);
            break;
        case OPTION_SCRATCH:
            c.guest.scratch = argument;
            break;
        case 'j':
            c.json = true;
            break;
        case 'q':
            c.quiet = true;
            break;
        default:
            return CLI_USAGE;
        }
    }
    if (command_line_operands(line) != 2)
        return command_line_wrong(line, "expected INPUT and OUTPUT");
    in_path = command_line_operand(line);
    out_path = command_line_operand(line);
    signal(SIGPIPE, SIG_IGN);
    ok = make_core(&c, in_path, out_path, &guest, &out, &err);
    new_file_close(&out);
    guest_file_close(&guest);
    return ok ? CLI_OK : command_failed(line->command, &err);
}

const struct command command_core = {
    .name = "core",
    .summary = "Make an ELF core file of an image, for a debugger",
    .arguments = "[OPTION]... INPUT|- OUTPUT|-",
    .details = "INPUT is any image that 'xenferry convert' reads.",
    .options = options,
    .run = core_run,
};
