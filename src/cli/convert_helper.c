/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xenferry-convert-legacy: in the place of libxl's convert-legacy-stream.
 *
 * libxl starts it ($LIBXL_CONVERT_HELPER) with the descriptor of a legacy
 * image and that of a pipe to its reader:
 *
 *    --in FD --out FD --width 32|64 --guest pv|hvm --format libxl
 *
 * The image's descriptor is read exactly up to the image's end and no further:
 * on a migration the sender speaks on.  Options and exit status are stock's.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "cli/new_file.h"
#include "stream/image/image_open.h"
#include "stream/legacy/legacy_convert.h"

enum helper_status {
    HELPER_OK = 0,
    HELPER_FAILED = 1, /* the image, or a required option is missing */
    HELPER_USAGE = 2,
};

struct helper {
    const char *in;
    const char *out;
    struct legacy_options legacy;
    bool libxl;
    bool xl_header;
    bool verbose;
    bool to_syslog;
};

static const char usage[] =
    "Usage: xenferry-convert-legacy [options] -i INPUT -o OUTPUT -w WIDTH "
    "-g GUEST\n"
    "Convert a legacy image to a current one.\n"
    "\n"
    "Options:\n"
    "  -i, --in=FD or FILE         Legacy image\n"
    "  -o, --out=FD or FILE        Where the current one goes\n"
    "  -w, --width=32|64           Width of the toolstack that saved\n"
    "  -g, --guest-type=pv|hvm     Type of the guest\n"
    "  -f, --format=libxc|libxl    Form of the output; libxc unless given\n"
    "  -x, --xl                    The image has an xl header\n"
    "      --skip-qemu             With libxc: no device model in the image\n"
    "  -v, --verbose               Say what is in the image\n"
    "      --syslog                Messages go to syslog\n"
    "      --version               Print the version, and exit\n"
    "  -h, --help                  Print this, and exit\n";

static const struct option long_options[] = {
    {"in",               required_argument, NULL, 'i'},
    {"out",              required_argument, NULL, 'o'},
    {"width",                  required_argument, NULL, 'w'},
    {"guest-type",required_argument, NULL, 'g'},
    {"format",               required_argument, NULL, 'f'},
    {"xl",            no_argument, NULL, 'x'},
    {"skip-qemu",              no_argument, NULL, 'Q'},
    {"verbose",                  no_argument, NULL, 'v'},
    {"syslog",              no_argument, NULL, 'S'},
    {"version",               no_argument, NULL, 'V'},
    {"help",           no_argument, NULL, 'h'},
    {0             },
};

static void say(void *context, enum log_level level, const char *text)
{
    const struct helper *h = context;

    if (h->to_syslog)
        syslog(level >= LOG_LEVEL_ERROR ? LOG_ERR : LOG_INFO, "%s", text);
    if (!h->to_syslog || level >= LOG_LEVEL_ERROR)
        fprintf(stderr, "xenferry-convert-legacy: %s\n", text);
}

/* A number is a descriptor, anything else a path. */
static bool parse_descriptor(const char *text, int *ret_fd)
{
    char *end;
    long fd = strtol(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end != '\0' || fd > 65535)
        return false;
    *ret_fd = (int)fd;
    return true;
}

static bool attach(struct io *io, int fd, bool for_write, struct error *err)
{
    if (fcntl(fd, F_GETFD) < 0)
        return error_set_errno(err, ERR_IO, errno, "descriptor %d", fd);
    return io_attach(io, fd, for_write, -1, -1, err);
}

static bool write_xl_header(const struct helper *h,
                            const struct image_input *image,
                            struct stream_sink *sink, struct error *err)
{
    cleanup(buffer_release) struct buffer b = {0};

    if (!image->has_xl_header)
        return true;
    xlfile_append_again(&b, &image->xl_header, &image->xl_config,
                        &image->config, h->libxl);
    return buffer_check(&b, "xl header", err) &&
           sink_write(sink, b.bytes, b.length, err);
}

static bool convert_image(const struct helper *h, const struct log *log,
                          struct io *in, struct stream_sink *sink,
                          struct legacy_convert_result *result,
                          struct error *err)
{
    struct stream_source source = source_from_io(in);
    struct image_input image;
    struct legacy_convert_options convert = {.libxl = h->libxl, .log = log};
    bool ok;

    ok = image_open_legacy(&image, &source, &h->legacy, h->xl_header, err) &&
         write_xl_header(h, &image, sink, err);
    if (ok) {
        convert.image = image.legacy;
        ok = legacy_convert(&image.source, sink, &convert, result, err);
    }
    image_close(&image);
    return ok;
}

/* A file appears whole or not at all, but like stock we do not sync it. */
static bool convert_to_path(const struct helper *h, const struct log *log,
                            struct io *in, struct legacy_convert_result *result,
                            struct error *err)
{
    struct new_file out;
    bool ok = new_file_open(&out, h->out, -1, err);

    if (!ok)
        return false;
    out.unsynced = true;
    ok = convert_image(h, log, in, &out.sink, result, err) &&
         new_file_commit(&out, err);
    new_file_close(&out);
    return ok;
}

static bool convert_to_either(const struct helper *h, const struct log *log,
                              struct io *in,
                              struct legacy_convert_result *result,
                              struct error *err)
{
    struct stream_sink sink;
    struct io out = {0};
    bool ok;
    int fd;

    if (!parse_descriptor(h->out, &fd))
        return convert_to_path(h, log, in, result, err);
    if (!attach(&out, fd, true, err))
        return false;
    sink = sink_to_io(&out);
    ok = convert_image(h, log, in, &sink, result, err) && io_finish(&out, err);
    io_release(&out);
    return ok;
}

static bool convert(const struct helper *h, const struct log *log,
                    struct legacy_convert_result *result, struct error *err)
{
    struct io in = {0};
    int fd = -1, own = -1;
    bool ok;

    if (!parse_descriptor(h->in, &fd)) {
        if (!file_open(h->in, O_RDONLY, 0, &own, err))
            return false;
        fd = own;
    }
    ok = attach(&in, fd, false, err);
    if (ok) {
        ok = convert_to_either(h, log, &in, result, err);
        io_release(&in);
    }
    close_fd(&own);
    return ok;
}

static bool one_of(const char *option, const char *text, const char *first,
                   const char *second, bool *ret_second)
{
    *ret_second = strcmp(text, second) == 0;
    if (*ret_second || strcmp(text, first) == 0)
        return true;
    fprintf(stderr, "xenferry-convert-legacy: --%s: '%s', expected %s or %s\n",
            option, text, first, second);
    return false;
}

/* -1: go on. */
static int parse(struct helper *h, int argc, char **argv)
{
    bool second;
    int key;

    while ((key = getopt_long(argc, argv, "i:o:w:g:f:xvh", long_options,
                              NULL)) != -1) {
        switch (key) {
        case 'i':
            h->in = optarg;
            break;
        case 'o':
            h->out = optarg;
            break;
        case 'w':
            if (!one_of("width", optarg, "32", "64", &second))
                return HELPER_USAGE;
            h->legacy.width = second ? 8 : 4;
            break;
        case 'g':
            if (!one_of("guest-type", optarg, "pv", "hvm", &second))
                return HELPER_USAGE;
            h->legacy.guest = second ? LEGACY_GUEST_HVM : LEGACY_GUEST_PV;
            break;
        case 'f':
            if (!one_of("format", optarg, "libxc", "libxl", &h->libxl))
                return HELPER_USAGE;
            break;
        case 'x':
            h->xl_header = true;
            break;
        case 'Q':
            h->legacy.no_device_model = true;
            break;
        case 'v':
            h->verbose = true;
            break;
        case 'S':
            h->to_syslog = true;
            break;
        case 'V':
            printf("xenferry-convert-legacy %s\n", XENFERRY_VERSION);
            return HELPER_OK;
        case 'h':
            fputs(usage, stdout);
            return HELPER_OK;
        default:
            fputs(usage, stderr);
            return HELPER_USAGE;
        }
    }
    if (h->in && h->out && h->legacy.width && h->legacy.guest)
        return -1;
    fputs(usage, stderr);
    return HELPER_FAILED;
}

int main(int argc, char **argv)
{
    struct helper h = {.legacy = {.first_round_only = true}};
    struct log log = {.sink = say, .context = &h};
    struct legacy_convert_result result = {0};
    struct error err = {0};
    int status = parse(&h, argc, argv);

    if (status >= 0)
        return status;
    /* In a libxl stream the device model always has its place. */
    if (h.libxl)
        h.legacy.no_device_model = false;
    log.level = h.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING;
    if (h.to_syslog)
        openlog("xenferry-convert-legacy", LOG_PID, LOG_DAEMON);
    signal(SIGPIPE, SIG_IGN);
    if (!convert(&h, &log, &result, &err)) {
        log_error(&log, "%s", err.text);
        return HELPER_FAILED;
    }
    log_info(&log, "%llu pages of a guest of %llu frames",
             (unsigned long long)result.nr_pages,
             (unsigned long long)result.start.p2m_size);
    return HELPER_OK;
}
