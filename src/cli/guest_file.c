/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/guest_file.h"

#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/new_file.h"
#include "stream/image/image_scan.h"
#include "stream/legacy/legacy_convert.h"

bool parse_checkpoint(const char *text, uint32_t *ret, struct error *err)
{
    uint64_t number;

    if (strcmp(text, "last") == 0) {
        *ret = CHECKPOINT_LAST;
        return true;
    }
    if (!parse_number(text, CHECKPOINT_LAST - 1, "--checkpoint", &number, err))
        return false;
    if (number == 0)
        return error_set(err, ERR_USAGE,
                         "--checkpoint: 0, expected 1 or more, or 'last'");
    *ret = (uint32_t)number;
    return true;
}

static bool convert_to(struct guest_file *g, int fd, const int *scratch,
                       bool *ret_several, struct error *err)
{
    struct image_input *in = &g->file.image;
    const struct legacy_convert_options convert = {
        .image = in->legacy,
        .libxl = true,
        .find_zeroes = true,
        .scratch = scratch,
    };
    struct legacy_convert_result result;
    struct stream_sink sink;
    struct io io;
    bool ok;

    if (!io_attach(&io, fd, true, -1, -1, err))
        return false;
    io.holes = true;
    sink = sink_to_io(&io);
    ok = legacy_convert(&in->source, &sink, &convert, &result, err) &&
         io_finish(&io, err);
    *ret_several = result.several_rounds;
    io_release(&io);
    return ok;
}

static bool convert_rounds(struct guest_file *g, struct error *err)
{
    int scratch[SCRATCH_MAX];
    int nr = 0;
    bool several;
    bool ok = lseek(g->converted_fd, 0, SEEK_SET) == 0 &&
              ftruncate(g->converted_fd, 0) == 0;

    if (!ok)
        return error_set(err, ERR_IO, "scratch file: not seekable");
    ok = image_file_again(&g->file, err);
    while (ok && nr < SCRATCH_MAX) {
        ok = scratch_open(g->file.scratch, &scratch[nr], err);
        nr += ok;
    }
    ok = ok && convert_to(g, g->converted_fd, scratch, &several, err);
    while (nr > 0)
        close(scratch[--nr]);
    return ok;
}

static bool convert_legacy(struct guest_file *g, struct error *err)
{
    bool several = false;

    if (!scratch_open(g->file.scratch, &g->converted_fd, err))
        return false;
    return convert_to(g, g->converted_fd, NULL, &several, err) ||
           (several && convert_rounds(g, err));
}

/* Which checkpoint the load is to go up to. */
static bool find_checkpoint(struct guest_file *g, uint32_t wanted,
                            struct error *err)
{
    struct image_scan scan;

    g->checkpoint = wanted;
    if (wanted != CHECKPOINT_LAST)
        return true;
    if (!image_scan(&g->file.image.source, &scan, err))
        return false;
    if (!scan.ended && scan.nr_checkpoints == 0) {
        if (err)
            *err = scan.why;
        return false;
    }
    g->checkpoint = scan.ended ? 0 : scan.nr_checkpoints;
    return image_file_again(&g->file, err);
}

static bool load_converted(struct guest_file *g, struct error *err)
{
    struct stream_source source;
    struct io io;
    uint64_t size;
    bool ok;

    size = (uint64_t)lseek(g->converted_fd, 0, SEEK_END);
    if (lseek(g->converted_fd, 0, SEEK_SET) != 0)
        return error_set(err, ERR_IO, "scratch file: not seekable");
    if (!io_attach(&io, g->converted_fd, false, -1, -1, err))
        return false;
    source = source_from_io(&io);
    g->loaded = true;
    ok = guest_image_load(&g->guest, &source, g->converted_fd, 0, size, 0, err);
    io_release(&io);
    return ok;
}

static bool open_and_load(struct guest_file *g, const char *path,
                          const struct guest_file_options *options,
                          struct error *err)
{
    if (!image_file_open(&g->file, path, options->scratch, &options->legacy,
                         options->timeout_ms, err) ||
        !image_file_seekable(&g->file, err))
        return false;
    if (g->file.image.form == IMAGE_LEGACY)
        return convert_legacy(g, err) && load_converted(g, err);
    if (!find_checkpoint(g, options->checkpoint, err))
        return false;
    g->loaded = true;
    return guest_image_load(&g->guest, &g->file.image.source,
                            image_file_fd(&g->file), g->file.base,
                            image_file_size(&g->file), g->checkpoint, err);
}

bool guest_file_open(struct guest_file *ret, const char *path,
                     const struct guest_file_options *options,
                     struct error *err)
{
    memset(ret, 0, sizeof(*ret));
    ret->file.spool_fd = -1;
    ret->converted_fd = -1;
    return open_and_load(ret, path, options, err) ||
           error_wrap(err, "%s", path);
}

void guest_file_close(struct guest_file *g)
{
    if (g->loaded)
        guest_image_release(&g->guest);
    g->loaded = false;
    image_file_close(&g->file);
    if (g->converted_fd >= 0)
        close(g->converted_fd);
    g->converted_fd = -1;
}
