/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xenferry convert: an image in another form. */
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/container_output.h"
#include "cli/guest_file.h"
#include "cli/new_file.h"
#include "cli/output.h"
#include "cli/work_progress.h"
#include "stream/image/image_convert.h"
#include "stream/image/image_scan.h"
#include "stream/legacy/legacy_convert.h"

enum {
    OPTION_TO = OPTION_LONG_ONLY,
    OPTION_VERSION,
    OPTION_WIDTH,
    OPTION_GUEST,
    OPTION_SKIP_QEMU,
    OPTION_COMPACT,
    OPTION_CHECKPOINT,
    OPTION_CONFIG,
    OPTION_SCRATCH,
    OPTION_SPOOL,
    OPTION_TIMEOUT,
};

static const struct command_option options[] = {
    {"to",         OPTION_TO,         "LAYER",
     "libxc, libxl, xl or image; as the input unless given"                             },
    {"version",    OPTION_VERSION,    "N",
     "Version of the libxc image: 2 (Xen 4.6-4.13) or 3"                                },
    {"compact",    OPTION_COMPACT,    NULL,
     "Keep the last version of each page only, by pfn"                                  },
    {"checkpoint", OPTION_CHECKPOINT, "N",
     "A checkpointed image as of its N-th checkpoint, or 'last'"                        },
    {"config",     OPTION_CONFIG,     "FILE",
     "The domain's JSON configuration, for an xl header"                                },
    {"width",      OPTION_WIDTH,      "BITS",
     "Legacy: 32 or 64, the width of the toolstack that saved"                          },
    {"guest",      OPTION_GUEST,      "TYPE",    "Legacy: pv or hvm"                    },
    {"skip-qemu",  OPTION_SKIP_QEMU,  NULL,
     "Legacy, to libxc: leave out the device model's state"                             },
    {"scratch",    OPTION_SCRATCH,    "DIR",
     "Where scratch files are made; $TMPDIR or /tmp unless given"                       },
    {"spool",      OPTION_SPOOL,      NULL,      "Copy a pipe into a scratch file first"},
    {"json",       'j',               NULL,      "Print JSON instead of text"           },
    {"quiet",      'q',               NULL,      "Print nothing but errors"             },
    {"timeout",    OPTION_TIMEOUT,    "SECONDS",
     "Give up when a pipe moves nothing for so long"                                    },
    {NULL,         0,                 NULL,      NULL                                   },
};

struct convert {
    struct command_line *line;
    bool layer_given;
    enum image_layer layer;
    unsigned int version;
    bool compact;
    uint32_t checkpoint;
    const char *config_path;
    struct buffer config;
    struct legacy_options legacy;
    const char *scratch;
    bool spool;
    bool json;
    bool quiet;
    int timeout_ms;
    const char *in_path;
    const char *out_path;

    struct image_file in;
    struct new_file out;
    struct work_progress progress;
    struct log log;
    bool to_container;
    struct container_job container;
    struct legacy_convert_result legacy_result;
    struct image_convert_result result;
};

static const char *const layer_names[] = {
    [LAYER_LIBXC] = "libxc", [LAYER_LIBXL] = "libxl", [LAYER_XL] = "xl"};

static void show_progress(void *context, uint64_t pages, uint64_t offset)
{
    work_progress_update(context, offset);
}

/* Legacy ------------------------------------------------------------------- */

/* What xl wants before a libxl stream. */
static bool write_xl_header(struct convert *c, struct error *err)
{
    const struct image_input *in = &c->in.image;
    cleanup(buffer_release) struct buffer b = {0};

    if (c->layer != LAYER_XL)
        return true;
    if (in->has_xl_header && !c->config.bytes)
        xlfile_append_again(&b, &in->xl_header, &in->xl_config, &in->config,
                            true);
    else
        xlfile_append(&b, (const char *)c->config.bytes,
                      (uint32_t)c->config.length);
    return buffer_check(&b, "xl header", err) &&
           sink_write(&c->out.sink, b.bytes, b.length, err);
}

static bool convert_legacy_once(struct convert *c, const int *scratch,
                                struct error *err)
{
    struct image_input *in = &c->in.image;
    const struct legacy_convert_options convert = {
        .image = in->legacy,
        .libxl = c->layer != LAYER_LIBXC,
        .find_zeroes = new_file_sparse(&c->out),
        .scratch = scratch,
        .log = &c->log,
        .progress = show_progress,
        .context = &c->progress,
    };

    return write_xl_header(c, err) &&
           legacy_convert(&in->source, &c->out.sink, &convert,
                          &c->legacy_result, err);
}

static bool convert_legacy_with_scratch(struct convert *c, struct error *err)
{
    int scratch[SCRATCH_MAX];
    int nr = 0;
    bool ok = true;

    while (ok && nr < SCRATCH_MAX) {
        ok = scratch_open(c->scratch, &scratch[nr], err);
        nr += ok;
    }
    ok = ok && convert_legacy_once(c, scratch, err);
    while (nr > 0)
        close(scratch[--nr]);
    return ok;
}

static bool convert_legacy(struct convert *c, struct error *err)
{
    if (!c->layer_given)
        c->layer = c->in.image.has_xl_header ? LAYER_XL : LAYER_LIBXL;
    if (c->version == XCSTREAM_VERSION_2)
        return error_set(err, ERR_UNSUPPORTED,
                         "--version=2: a legacy image becomes version 3; "
                         "convert the result once more");
    if (c->checkpoint && c->checkpoint != CHECKPOINT_LAST)
        return error_set(err, ERR_UNSUPPORTED,
                         "--checkpoint: of a legacy image only the last "
                         "checkpoint");
    if (c->compact)
        return convert_legacy_with_scratch(c, err);
    if (convert_legacy_once(c, NULL, err))
        return true;
    if (!c->legacy_result.several_rounds)
        return false;
    if (!c->in.seekable || !new_file_sparse(&c->out))
        return error_wrap(err, "try --compact");
    /* Several checkpoints: once more, with everything put by. */
    log_info(&c->log, "an image of several checkpoints: taking the last");
    return new_file_rewind(&c->out, err) && image_file_again(&c->in, err) &&
           convert_legacy_with_scratch(c, err);
}

/* Current forms ------------------------------------------------------------ */

static bool find_checkpoint(struct convert *c, struct error *err)
{
    struct image_scan scan;

    if (c->checkpoint != CHECKPOINT_LAST)
        return true;
    if (!image_scan(&c->in.image.source, &scan, err))
        return false;
    if (scan.cut_off && scan.nr_checkpoints > 0)
        log_info(&c->log,
                 "the image ends within a checkpoint; %" PRIu32
                 " before it are complete",
                 scan.nr_checkpoints);
    if (scan.nr_checkpoints == 0 && !scan.ended)
        return error_set_at(err, ERR_TRUNCATED, scan.why.offset,
                            "--checkpoint: no checkpoint is complete (%s)",
                            scan.why.text);
    /* A plain image has no checkpoint: it is its own last. */
    c->checkpoint = scan.ended ? 0 : scan.nr_checkpoints;
    return image_file_again(&c->in, err);
}

static bool convert_stream(struct convert *c, struct error *err)
{
    struct page_index index;
    struct image_convert_options convert = {
        .version = c->version,
        .config = (const char *)c->config.bytes,
        .config_length = (uint32_t)c->config.length,
        .find_zeroes = new_file_sparse(&c->out),
        .log = &c->log,
        .progress = show_progress,
        .context = &c->progress,
    };
    bool ok;

    if (!c->layer_given)
        c->layer = c->in.image.kind == STREAM_XL_FILE ? LAYER_XL
                   : c->in.image.kind == STREAM_LIBXL ? LAYER_LIBXL
                                                      : LAYER_LIBXC;
    convert.layer = c->layer;
    if (!find_checkpoint(c, err))
        return false;
    convert.checkpoint = c->checkpoint;
    if (!c->compact)
        return image_convert(&c->in.image, &c->out.sink, &convert, &c->result,
                             err);
    page_index_init(&index, image_file_size(&c->in));
    ok = image_index(&c->in.image.source, c->checkpoint, &index, err) &&
         image_file_again(&c->in, err);
    if (ok) {
        convert.pages = &index;
        convert.pages_fd = image_file_fd(&c->in);
        convert.pages_base = c->in.base;
        ok = image_convert(&c->in.image, &c->out.sink, &convert, &c->result,
                           err);
    }
    page_index_release(&index);
    return ok;
}

/* The whole ---------------------------------------------------------------- */

static bool read_config(struct convert *c, struct error *err)
{
    struct input input;
    size_t got = 1;
    bool ok = true;

    if (!c->config_path)
        return true;
    c->config.cap = IMAGE_CONFIG_MAX;
    if (!input_open_plain(&input, c->config_path, c->timeout_ms, err))
        return false;
    while (ok && got > 0) {
        uint8_t *at = buffer_extend(&c->config, PAGE_SIZE);

        ok = at ? source_read_some(&input.source, at, PAGE_SIZE, &got, err)
                : buffer_check(&c->config, c->config_path, err);
        if (ok)
            c->config.length -= PAGE_SIZE - got;
    }
    input_close(&input);
    return ok;
}

static bool convert_image(struct convert *c, struct error *err)
{
    bool legacy;
    bool ok;

    if (!read_config(c, err) ||
        !image_file_open(&c->in, c->in_path, c->scratch, &c->legacy,
                         c->timeout_ms, err))
        return false;
    legacy = c->in.image.form == IMAGE_LEGACY;
    if ((c->spool ||
         (!legacy && (c->compact || c->checkpoint == CHECKPOINT_LAST))) &&
        !image_file_seekable(&c->in, err))
        return false;
    if (!new_file_open(&c->out, c->out_path, c->timeout_ms, err))
        return false;
    work_progress_begin(&c->progress, "convert", image_file_fd(&c->in),
                        c->quiet);
    ok = legacy ? convert_legacy(c, err) : convert_stream(c, err);
    work_progress_end(&c->progress);
    return ok && new_file_commit(&c->out, err);
}

/* Into the container, octet for octet. */
static bool keep_image(struct convert *c, struct error *err)
{
    struct input *input = &c->in.input;

    c->container = (struct container_job)CONTAINER_JOB_DEFAULT;
    c->container.quiet = c->quiet;
    return input_open(input, c->in_path, c->timeout_ms, err) &&
           new_file_open(&c->out, c->out_path, c->timeout_ms, err) &&
           container_output(&c->container, &input->source, input->fd, &c->out,
                            err) &&
           new_file_commit(&c->out, err);
}

static bool changes_the_image(const struct convert *c)
{
    return c->version || c->compact || c->checkpoint || c->config_path ||
           c->layer_given || c->legacy.no_device_model;
}

static void show_legacy(struct convert *c, struct field_sink *sink)
{
    const struct legacy_convert_result *r = &c->legacy_result;
    bool pv = r->start.guest == LEGACY_GUEST_PV;

    fields_number(sink, "toolstack_width", r->start.width * 8);
    fields_text(sink, "guest", pv ? "pv" : "hvm");
    if (pv) {
        fields_number(sink, "guest_width", r->start.guest_width * 8);
        fields_number(sink, "vcpus", r->nr_vcpus);
    }
    fields_number(sink, "p2m_size", r->start.p2m_size);
    fields_number(sink, "rounds", r->rounds);
    fields_flag(sink, "cut_off", r->cut_off);
    fields_number(sink, "pages_read", r->nr_pages);
    fields_number(sink, "pages_written", r->nr_written);
    fields_number(sink, "hole_pages", r->nr_holes);
    fields_number(sink, "fillers_dropped", r->nr_fillers);
    fields_number(sink, "tmem_octets_dropped", r->nr_tmem);
}

static void show_stream(struct convert *c, struct field_sink *sink)
{
    const struct image_convert_result *r = &c->result;

    fields_number(sink, "records", r->nr_records);
    fields_number(sink, "records_dropped", r->nr_dropped);
    fields_number(sink, "pages_written", r->nr_pages);
    fields_number(sink, "hole_pages", r->nr_holes);
    if (c->checkpoint)
        fields_number(sink, "checkpoint", c->checkpoint);
}

static void show_result(struct convert *c)
{
    FILE *file = strcmp(c->out_path, "-") == 0 ? stderr : stdout;
    bool legacy = c->in.image.form == IMAGE_LEGACY;
    struct output output;
    struct field_sink sink = output_begin(&output, file, c->json);

    fields_text(&sink, "input", c->in_path);
    fields_text(&sink, "output", c->out_path);
    if (c->to_container) {
        fields_text(&sink, "to", "image");
        container_show(&c->container.summary, &sink);
        output_finish(&output);
        return;
    }
    fields_text(&sink, "from", stream_kind_name(c->in.image.kind));
    fields_text(&sink, "to", layer_names[c->layer]);
    fields_number(&sink, "version",
                  legacy ? XCSTREAM_VERSION_3 : c->result.version);
    if (legacy)
        show_legacy(c, &sink);
    else
        show_stream(c, &sink);
    fields_number(&sink, "octets_read", c->in.image.source.offset);
    fields_number(&sink, "octets_written", c->out.sink.offset);
    output_finish(&output);
}

static bool parse_layer(struct convert *c, const char *text, struct error *err)
{
    c->to_container = strcmp(text, "image") == 0;
    if (c->to_container)
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(layer_names); i++) {
        if (strcmp(text, layer_names[i]) == 0) {
            c->layer = (enum image_layer)i;
            c->layer_given = true;
            return true;
        }
    }
    return error_set(err, ERR_USAGE,
                     "--to: '%s', expected libxc, libxl, xl or image", text);
}

static bool parse_option(struct convert *c, int key, const char *argument,
                         struct error *err)
{
    uint64_t number;

    switch (key) {
    case OPTION_TO:
        return parse_layer(c, argument, err);
    case OPTION_VERSION:
        if (!parse_number(argument, 3, "--version", &number, err))
            return false;
        c->version = (unsigned int)number;
        return number >= 2 ||
               error_set(err, ERR_USAGE, "--version: '%s', expected 2 or 3",
                         argument);
    case OPTION_WIDTH:
        return parse_legacy_width(argument, &c->legacy, err);
    case OPTION_GUEST:
        return parse_legacy_guest(argument, &c->legacy, err);
    case OPTION_SKIP_QEMU:
        c->legacy.no_device_model = true;
        return true;
    case OPTION_COMPACT:
        c->compact = true;
        return true;
    case OPTION_CHECKPOINT:
        return parse_checkpoint(argument, &c->checkpoint, err);
    case OPTION_CONFIG:
        c->config_path = argument;
        return true;
    case OPTION_SCRATCH:
        c->scratch = argument;
        return true;
    case OPTION_SPOOL:
        c->spool = true;
        return true;
    case OPTION_TIMEOUT:
        if (!parse_number(argument, 86400, "--timeout", &number, err))
            return false;
        c->timeout_ms = (int)number * 1000;
        return true;
    case 'j':
        c->json = true;
        return true;
    default:
        c->quiet = true;
        return true;
    }
}

static int convert_run(struct command_line *line)
{
    struct convert c = {
        .line = line,
        .scratch = default_scratch_folder(),
        .timeout_ms = -1,
        .in = {.spool_fd = -1},
        .out = { .fd = -1,  .dir_fd = -1},
    };
    struct error err = {0};
    const char *argument;
    bool ok;
    int key;

    while ((key = command_line_next(line, &argument)) != LINE_END) {
        if (key == LINE_BAD)
            return CLI_USAGE;
        if (!parse_option(&c, key, argument, &err))
            return command_line_wrong(line, "%s", err.text);
    }
    if (command_line_operands(line) != 2)
        return command_line_wrong(line, "expected INPUT and OUTPUT");
    c.in_path = command_line_operand(line);
    c.out_path = command_line_operand(line);
    c.log = (struct log){.level = c.quiet ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO,
                         .sink = log_to_stderr,
                         .context = (void *)"xenferry"};
    signal(SIGPIPE, SIG_IGN);

    if (c.to_container && changes_the_image(&c))
        return command_line_wrong(line, "--to=image keeps the image as it is: "
                                        "expected no other change");
    ok = c.to_container ? keep_image(&c, &err) : convert_image(&c, &err);
    if (ok && !c.quiet)
        show_result(&c);
    new_file_close(&c.out);
    image_file_close(&c.in);
    buffer_release(&c.config);
    return ok ? CLI_OK : command_failed(line->command, &err);
}

const struct command command_convert = {
    .name = "convert",
    .summary = "Convert an image into another form",
    .arguments = "[OPTION]... INPUT|- OUTPUT|-",
    .details =
        "INPUT is an xl save file, a libxl stream, a libxc image, a legacy "
        "image (Xen up\n"
        "to 4.5), a libvirt managed save, a XenServer suspend image, or a "
        "container with one\n"
        "of them in it.  OUTPUT appears whole or not at all.",
    .options = options,
    .run = convert_run,
};
