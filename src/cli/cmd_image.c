/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xenferry image: the container for saved guests. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/command.h"
#include "cli/container_output.h"
#include "cli/output.h"
#include "cli/work_progress.h"
#include "stream/image/page_index.h"
#include "stream/page_copy.h"

enum {
    OPTION_LEVEL = OPTION_LONG_ONLY,
    OPTION_THREADS,
    OPTION_PFN,
    OPTION_TIMEOUT,
};

static const struct command_option options[] = {
    {"level",   OPTION_LEVEL,   "N",            "create: of zstd, 0 to 19; 1 unless given"},
    {"threads", OPTION_THREADS, "N",
     "create: threads that compress; one a processor unless given"                        },
    {"pfn",     OPTION_PFN,     "FIRST[-LAST]",
     "extract: these frames instead of the image"                                         },
    {"json",    'j',            NULL,           "Print JSON instead of text"              },
    {"quiet",   'q',            NULL,           "Print nothing but errors"                },
    {"timeout", OPTION_TIMEOUT, "SECONDS",
     "Give up when a pipe moves nothing for so long"                                      },
    {NULL,      0,              NULL,           NULL                                      },
};

struct image_job {
    struct container_job container;
    bool pfns;
    uint64_t first, last;
    bool json;
    int timeout_ms;
};

static bool parse_pfns(struct image_job *job, const char *text,
                       struct error *err)
{
    cleanup_free char *copy = strdup(text);
    char *dash = copy ? strchr(copy, '-') : NULL;

    if (!copy)
        return error_set(err, ERR_NO_MEMORY, "--pfn: no memory");
    if (dash)
        *dash = '\0';
    if (!parse_number(copy, PAGE_INDEX_PFN_LIMIT - 1, "--pfn", &job->first,
                      err))
        return false;
    job->last = job->first;
    job->pfns = true;
    if (dash && !parse_number(dash + 1, PAGE_INDEX_PFN_LIMIT - 1, "--pfn",
                              &job->last, err))
        return false;
    return job->last >= job->first ||
           error_set(err, ERR_USAGE,
                     "--pfn: %#" PRIx64 " to %#" PRIx64
                     ", expected the lower one first",
                     job->first, job->last);
}

static bool parse_option(struct image_job *job, int key, const char *argument,
                         struct error *err)
{
    uint64_t number;

    switch (key) {
    case OPTION_LEVEL:
        if (!parse_number(argument, CONTAINER_LEVEL_MAX, "--level", &number,
                          err))
            return false;
        job->container.level = (int)number;
        return true;
    case OPTION_THREADS:
        if (!parse_number(argument, CONTAINER_THREADS_MAX, "--threads", &number,
                          err))
            return false;
        job->container.threads = (int)number;
        return true;
    case OPTION_PFN:
        return parse_pfns(job, argument, err);
    case OPTION_TIMEOUT:
        if (!parse_number(argument, 86400, "--timeout", &number, err))
            return false;
        job->timeout_ms = (int)number * 1000;
        return true;
    case 'j':
        job->json = true;
        return true;
    default:
        job->container.quiet = true;
        return true;
    }
}

/* Not to the standard output that the image itself goes to. */
static void show(const struct image_job *job, const char *in, const char *out,
                 const struct container_summary *summary)
{
    bool to_stderr = out && strcmp(out, "-") == 0;
    struct output output;
    struct field_sink sink;

    if (job->container.quiet)
        return;
    sink = output_begin(&output, to_stderr ? stderr : stdout, job->json);
    fields_text(&sink, "file", in);
    if (out)
        fields_text(&sink, "output", out);
    container_show(summary, &sink);
    if (job->container.why.code != ERR_NONE) {
        fields_begin(&sink, "not_understood", FIELDS_OBJECT);
        fields_text(&sink, "code", error_code_name(job->container.why.code));
        fields_text(&sink, "text", job->container.why.text);
        fields_end(&sink);
    }
    output_finish(&output);
}

static bool create(struct image_job *job, const char *in_path,
                   const char *out_path, struct error *err)
{
    struct input input = {0};
    struct new_file out = {.fd = -1, .dir_fd = -1};
    bool ok;

    if (!input_open_plain(&input, in_path, job->timeout_ms, err))
        return false;
    ok =
        new_file_open(&out, out_path, job->timeout_ms, err) &&
        container_output(&job->container, &input.source, input.fd, &out, err) &&
        new_file_commit(&out, err);
    new_file_close(&out);
    input_close(&input);
    if (ok)
        show(job, in_path, out_path, &job->container.summary);
    return ok;
}

/* The container that 'path' is; anything else is refused. */
static bool open_container(struct input *input, const struct image_job *job,
                           const char *path, struct error *err)
{
    if (!input_open(input, path, job->timeout_ms, err))
        return error_wrap(err, "%.128s", path);
    if (input_container(input))
        return true;
    input_close(input);
    return error_set(err, ERR_FORMAT,
                     "%.128s: no container's magic at offset 0, expected it",
                     path);
}

static bool info(struct image_job *job, const char *path, struct error *err)
{
    struct input input = {0};

    if (!open_container(&input, job, path, err))
        return false;
    show(job, path, NULL, &input_container(&input)->summary);
    input_close(&input);
    return true;
}

static void verify_progress(void *context, uint64_t done, uint64_t total)
{
    work_progress_update(context, done);
}

static bool verify(struct image_job *job, const char *path, struct error *err)
{
    struct input input = {0};
    struct work_progress progress;
    bool ok;

    if (!open_container(&input, job, path, err))
        return false;
    work_progress_begin(&progress, "verify", input.fd, job->container.quiet);
    ok = container_verify(input_container(&input), verify_progress, &progress,
                          err);
    work_progress_end(&progress);
    if (ok)
        show(job, path, NULL, &input_container(&input)->summary);
    input_close(&input);
    return ok;
}

/* As 'convert' does it: runs of zero pages are holes of a file. */
static bool copy_image(struct input *input, struct new_file *out, bool quiet,
                       struct error *err)
{
    struct work_progress progress;
    cleanup_free uint8_t *buffer = malloc(CONTAINER_CHUNK_MAX);
    size_t got = 1;
    bool ok = true;

    if (!buffer)
        return error_set(err, ERR_NO_MEMORY, "image: no memory");
    work_progress_begin(&progress, "image", input->fd, quiet);
    while (ok && got > 0) {
        uint64_t hole = source_hole_ahead(&input->source);

        if (hole > 0) {
            ok = source_skip_hole(&input->source, hole, err) &&
                 sink_write_zeroes(&out->sink, hole, err);
            continue;
        }
        ok = source_read_some(&input->source, buffer, CONTAINER_CHUNK_MAX, &got,
                              err) &&
             sink_write(&out->sink, buffer, got, err);
        work_progress_update(&progress, input->source.offset);
    }
    work_progress_end(&progress);
    return ok;
}

static bool copy_frames(const struct image_job *job, struct container *c,
                        struct new_file *out, struct error *err)
{
    uint8_t page[PAGE_SIZE];

    for (uint64_t pfn = job->first; pfn <= job->last; pfn++) {
        switch (container_page(c, pfn, page, err)) {
        case CONTAINER_FAILED:
            return false;
        case CONTAINER_ABSENT:
            return error_set(err, ERR_GUEST,
                             "pfn %#" PRIx64
                             ": no contents in the image, expected a page",
                             pfn);
        case CONTAINER_FOUND:
            if (!sink_write(&out->sink, page, PAGE_SIZE, err))
                return false;
        }
    }
    return true;
}

static bool extract(struct image_job *job, const char *in_path,
                    const char *out_path, struct error *err)
{
    struct input input = {0};
    struct new_file out = {.fd = -1, .dir_fd = -1};
    bool ok;

    if (!open_container(&input, job, in_path, err))
        return false;
    ok = new_file_open(&out, out_path, job->timeout_ms, err) &&
         (job->pfns ? copy_frames(job, input_container(&input), &out, err)
                    : copy_image(&input, &out, job->container.quiet, err)) &&
         new_file_commit(&out, err);
    new_file_close(&out);
    if (ok && !job->pfns)
        show(job, in_path, out_path, &input_container(&input)->summary);
    input_close(&input);
    return ok;
}

static int read_options(struct command_line *line, struct image_job *job)
{
    const char *argument;
    struct error err;
    int key;

    while ((key = command_line_next(line, &argument)) != LINE_END) {
        if (key == LINE_BAD)
            return CLI_USAGE;
        if (!parse_option(job, key, argument, &err))
            return command_line_wrong(line, "%s", err.text);
    }
    return CLI_OK;
}

static int act(struct command_line *line, struct image_job *job,
               const char *action)
{
    bool two = !strcmp(action, "create") || !strcmp(action, "extract");
    const char *first, *second;
    struct error err = {0};
    bool ok;

    if (!two && strcmp(action, "info") && strcmp(action, "verify"))
        return command_line_wrong(line, "no action '%s'", action);
    if (command_line_operands(line) != (two ? 2 : 1))
        return command_line_wrong(line, "%s: expected %s", action,
                                  two ? "INPUT and OUTPUT" : "one FILE");
    first = command_line_operand(line);
    second = command_line_operand(line);
    signal(SIGPIPE, SIG_IGN);
    if (!strcmp(action, "create"))
        ok = create(job, first, second, &err);
    else if (!strcmp(action, "extract"))
        ok = extract(job, first, second, &err);
    else if (!strcmp(action, "info"))
        ok = info(job, first, &err);
    else
        ok = verify(job, first, &err);
    return ok ? CLI_OK : command_failed(line->command, &err);
}

static int image_run(struct command_line *line)
{
    struct image_job job = {.container = CONTAINER_JOB_DEFAULT,
                            .timeout_ms = -1};
    const char *action;
    int status = read_options(line, &job);

    if (status != CLI_OK)
        return status;
    action = command_line_operand(line);
    if (!action)
        return command_line_wrong(line, "expected an action");
    status = read_options(line, &job);
    return status != CLI_OK ? status : act(line, &job, action);
}

const struct command command_image = {
    .name = "image",
    .summary = "Keep an image compressed, with random access to its pages",
    .arguments = "create|info|extract|verify [OPTION]... FILE [OUTPUT]",
    .details =
        "create   put the image FILE (- for a pipe) into the container OUTPUT\n"
        "info     say what a container has\n"
        "extract  give the image back, octet for octet, or some frames\n"
        "verify   check every checksum of a container\n"
        "Every command that reads images reads containers as well.",
    .options = options,
    .run = image_run,
};
