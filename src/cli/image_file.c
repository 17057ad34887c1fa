/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/image_file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/new_file.h"
#include "stream/page_copy.h"

bool parse_legacy_width(const char *text, struct legacy_options *ret,
                        struct error *err)
{
    if (strcmp(text, "32") != 0 && strcmp(text, "64") != 0)
        return error_set(err, ERR_USAGE, "--width: '%s', expected 32 or 64",
                         text);
    ret->width = text[0] == '3' ? 4 : 8;
    return true;
}

bool parse_legacy_guest(const char *text, struct legacy_options *ret,
                        struct error *err)
{
    if (strcmp(text, "pv") != 0 && strcmp(text, "hvm") != 0)
        return error_set(err, ERR_USAGE, "--guest: '%s', expected pv or hvm",
                         text);
    ret->guest = text[0] == 'p' ? LEGACY_GUEST_PV : LEGACY_GUEST_HVM;
    return true;
}

const char *default_scratch_folder(void)
{
    const char *folder = getenv("TMPDIR");

    return folder && *folder ? folder : "/tmp";
}

int image_file_fd(const struct image_file *file)
{
    return file->spool_fd >= 0 ? file->spool_fd : file->input.fd;
}

uint64_t image_file_size(const struct image_file *file)
{
    struct stat st;

    if (fstat(image_file_fd(file), &st) != 0 || !S_ISREG(st.st_mode) ||
        (uint64_t)st.st_size < file->base)
        return 0;
    return (uint64_t)st.st_size - file->base;
}

static bool open_image(struct image_file *file, struct error *err)
{
    file->opened = true;
    return image_open(&file->image, &file->input.source, &file->legacy, err);
}

bool image_file_open(struct image_file *ret, const char *path,
                     const char *scratch, const struct legacy_options *legacy,
                     int idle_timeout_ms, struct error *err)
{
    off_t at;

    *ret =
        (struct image_file){.path = path, .scratch = scratch, .spool_fd = -1};
    if (legacy)
        ret->legacy = *legacy;
    if (!input_open(&ret->input, path, idle_timeout_ms, err))
        return false;
    at = lseek(ret->input.fd, 0, SEEK_CUR);
    ret->seekable = ret->input.io.kind == IO_FILE && at >= 0 &&
                    !input_container(&ret->input);
    ret->base = ret->seekable ? (uint64_t)at : 0;
    return open_image(ret, err);
}

/* All that the outermost source still has, and what was put back. */
static bool spool(struct image_file *file, int fd, struct error *err)
{
    struct page_copier copier;
    struct io io;
    struct stream_sink sink;
    size_t got = 0;
    bool ok;

    if (!page_copier_init(&copier, false, err))
        return false;
    ok = io_attach(&io, fd, true, -1, -1, err);
    if (ok) {
        sink = sink_to_io(&io);
        do {
            ok = source_read_some(&file->image.source, copier.buffer,
                                  PAGE_COPY_PAGES * PAGE_SIZE, &got, err) &&
                 sink_write(&sink, copier.buffer, got, err);
        } while (ok && got > 0);
        io_release(&io);
    }
    page_copier_release(&copier);
    return ok;
}

bool image_file_seekable(struct image_file *file, struct error *err)
{
    if (file->seekable)
        return true;
    if (!scratch_open(file->scratch, &file->spool_fd, err) ||
        !spool(file, file->spool_fd, err))
        return false;
    file->seekable = true;
    return image_file_again(file, err);
}

bool image_file_again(struct image_file *file, struct error *err)
{
    int fd = image_file_fd(file);
    int timeout_ms = file->input.io.idle_timeout_ms;

    image_close(&file->image);
    file->opened = false;
    io_release(&file->input.io);
    if (lseek(fd, (off_t)file->base, SEEK_SET) < 0)
        return error_set(err, ERR_IO, "%s: not seekable", file->path);
    if (!io_attach(&file->input.io, fd, false, timeout_ms, -1, err))
        return false;
    file->input.source = source_from_io(&file->input.io);
    return open_image(file, err);
}

void image_file_close(struct image_file *file)
{
    if (file->opened)
        image_close(&file->image);
    file->opened = false;
    input_close(&file->input);
    if (file->spool_fd >= 0)
        close(file->spool_fd);
    file->spool_fd = -1;
}
