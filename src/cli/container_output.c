/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/container_output.h"

#include <sched.h>

#include "cli/work_progress.h"

static void show_progress(void *context, uint64_t pages, uint64_t offset)
{
    work_progress_update(context, offset);
}

/* More processors than these one reader and writer does not keep busy. */
#define DEFAULT_THREADS_MAX 8

static unsigned int threads_of(const struct container_job *job)
{
    cpu_set_t ours;

    if (job->threads >= 0)
        return (unsigned int)job->threads;
    if (sched_getaffinity(0, sizeof(ours), &ours) != 0)
        return 0;
    return (unsigned int)size_min(CPU_COUNT(&ours), DEFAULT_THREADS_MAX);
}

bool container_output(struct container_job *job, struct stream_source *source,
                      int source_fd, struct new_file *out, struct error *err)
{
    struct work_progress progress;
    struct container_fd fd = {.fd = out->fd};
    struct container_file written = {0};
    struct error none;
    struct container_write_options options = {.level = job->level,
                                              .threads = threads_of(job),
                                              .progress = show_progress,
                                              .context = &progress};
    bool ok;

    /* What goes into a pipe cannot be read back: fewer pages are found. */
    if (new_file_sparse(out) && container_file_from_fd(&fd, &written, &none))
        options.written = &written;
    work_progress_begin(&progress, "image", source_fd, job->quiet);
    ok = container_write(source, &out->sink, &options, &job->summary, &job->why,
                         err);
    work_progress_end(&progress);
    return ok;
}

void container_show(const struct container_summary *s, struct field_sink *sink)
{
    fields_flag(sink, "whole", s->whole);
    fields_number(sink, "octets", s->file_octets);
    fields_number(sink, "image_octets", s->image_octets);
    fields_number(sink, "text_octets", s->text_octets);
    fields_number(sink, "pages", s->nr_pages);
    fields_number(sink, "zero_pages", s->nr_zero);
    fields_number(sink, "distinct_pages", s->nr_distinct);
    fields_number(sink, "frames", s->nr_frames);
    fields_flag(sink, "frames_missing", s->frames_missing);
    fields_format(sink, "image_xxh3_128", "%016" PRIx64 "%016" PRIx64,
                  s->image_hash[1], s->image_hash[0]);
}
