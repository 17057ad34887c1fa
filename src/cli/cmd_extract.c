/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xenferry extract: memory of a guest out of its image. */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/guest_file.h"
#include "cli/new_file.h"
#include "cli/output.h"
#include "stream/image/guest_walk.h"
#include "stream/xc/xc_page_data.h"

enum {
    OPTION_PFN = OPTION_LONG_ONLY,
    OPTION_PHYSICAL,
    OPTION_ADDRESS,
    OPTION_LENGTH,
    OPTION_VCPU,
    OPTION_ZERO_MISSING,
    OPTION_WHERE,
    OPTION_CHECKPOINT,
    OPTION_SCRATCH,
};

static const struct command_option options[] = {
    {"pfn",          OPTION_PFN,          "FIRST[-LAST]",
     "These guest frames, both ends included; may be repeated"                                      },
    {"physical",     OPTION_PHYSICAL,     "ADDRESS",
     "From this guest-physical address"                                                             },
    {"address",      OPTION_ADDRESS,      "ADDRESS",
     "From this virtual address, by the guest's page tables"                                        },
    {"length",       OPTION_LENGTH,       "OCTETS",
     "How many from an address; 4096 unless given"                                                  },
    {"vcpu",         OPTION_VCPU,         "NUMBER",
     "With --address: whose page tables; 0 unless given"                                            },
    {"zero-missing", OPTION_ZERO_MISSING, NULL,
     "Zeroes for what the image does not have, or is not mapped"                                    },
    {"output",       'o',                 "FILE",         "Write to FILE, not to standard output"   },
    {"where",        OPTION_WHERE,        NULL,
     "Only say where it is: frames, types, offsets in the image"                                    },
    {"checkpoint",   OPTION_CHECKPOINT,   "N",
     "A checkpointed image as of its N-th checkpoint; the last unless given"                        },
    {"scratch",      OPTION_SCRATCH,      "DIR",
     "Where scratch files are made; $TMPDIR or /tmp unless given"                                   },
    {"json",         'j',                 NULL,           "With --where: print JSON instead of text"},
    {NULL,           0,                   NULL,           NULL                                      },
};

#define PIECES_MAX 1024

enum address_kind { ADDRESS_PHYSICAL, ADDRESS_VIRTUAL };

struct piece {
    enum address_kind kind;
    uint64_t address;
    uint64_t length; /* 0: as --length says */
};

struct extract {
    struct guest_file_options options;
    struct piece pieces[PIECES_MAX];
    size_t nr_pieces;
    uint64_t length;
    uint32_t vcpu;
    bool fill;
    bool where;
    bool json;
    const char *out_path;
    struct guest_file guest;
    struct guest_registers registers;
    struct new_file out;
    struct output output;
    struct field_sink sink;
};

/* Where the octet at an address is. */
static bool locate(struct extract *x, enum address_kind kind, uint64_t address,
                   bool *ret_found, uint64_t *ret_physical, struct error *err)
{
    struct walk_result walk;

    *ret_found = true;
    *ret_physical = address;
    if (kind == ADDRESS_PHYSICAL)
        return true;
    switch (guest_walk(&x->guest.guest, &x->registers, address, &walk, err)) {
    case WALK_MAPPED:
        *ret_physical = walk.physical;
        return true;
    case WALK_FAILED:
        return false;
    case WALK_NOT_MAPPED:
        *ret_found = false;
        return x->fill || x->where ||
               error_set(err, ERR_GUEST,
                         "address %#" PRIx64
                         ": not mapped (level %u, entry %#" PRIx64
                         "), expected a page",
                         address, walk.level, walk.entry);
    case WALK_TABLE_MISSING:
        break;
    }
    *ret_found = false;
    return x->fill || x->where ||
           error_set(err, ERR_GUEST,
                     "address %#" PRIx64
                     ": its page table of level %u is not in the image, "
                     "expected it",
                     address, walk.level);
}

static void show_where(struct extract *x, enum address_kind kind,
                       uint64_t address, bool found, uint64_t physical)
{
    struct page_place place =
        page_index_get(&x->guest.guest.pages, physical >> PAGE_SHIFT);
    struct field_sink *sink = &x->sink;

    fields_begin(sink, NULL, FIELDS_ROW);
    if (kind == ADDRESS_VIRTUAL)
        fields_hex(sink, "virtual", address);
    if (found) {
        fields_hex(sink, "physical", physical);
        fields_hex(sink, "pfn", physical >> PAGE_SHIFT);
        fields_text(sink, "type",
                    place.known ? frame_type_name(place.type) : "absent");
        if (place.known && frame_type_has_page(place.type))
            fields_number(sink, "offset",
                          place.offset + (physical & (PAGE_SIZE - 1)));
    } else {
        fields_text(sink, "type", "not mapped");
    }
    fields_end(sink);
}

static bool write_octets(struct extract *x, bool found, uint64_t physical,
                         size_t length, struct error *err)
{
    uint8_t page[PAGE_SIZE];
    enum guest_page outcome = GUEST_PAGE_ABSENT;

    if (found)
        outcome = guest_image_page(&x->guest.guest, physical >> PAGE_SHIFT,
                                   page, err);
    switch (outcome) {
    case GUEST_PAGE_FAILED:
        return false;
    case GUEST_PAGE_HERE:
        return sink_write(&x->out.sink, page + (physical & (PAGE_SIZE - 1)),
                          length, err);
    case GUEST_PAGE_ABSENT:
        break;
    }
    if (x->fill)
        return sink_write_zeroes(&x->out.sink, length, err);
    return error_set(
        err, ERR_GUEST,
        "pfn %#" PRIx64
        ": no contents in the image, expected a page (--zero-missing "
        "writes zeroes)",
        physical >> PAGE_SHIFT);
}

static bool extract_piece(struct extract *x, const struct piece *piece,
                          struct error *err)
{
    uint64_t left = piece->length ? piece->length : x->length;
    uint64_t address = piece->address;

    while (left > 0) {
        uint64_t in_page = PAGE_SIZE - (address & (PAGE_SIZE - 1));
        size_t length = (size_t)(left < in_page ? left : in_page);
        uint64_t physical;
        bool found;

        if (!locate(x, piece->kind, address, &found, &physical, err))
            return false;
        if (x->where)
            show_where(x, piece->kind, address, found, physical);
        else if (!write_octets(x, found, physical, length, err))
            return false;
        address += length; /* wraps where the address space does */
        left -= length;
    }
    return true;
}

static bool extract_all(struct extract *x, const char *in_path,
                        struct error *err)
{
    if (!guest_file_open(&x->guest, in_path, &x->options, err))
        return false;
    for (size_t i = 0; i < x->nr_pieces; i++)
        if (x->pieces[i].kind == ADDRESS_VIRTUAL &&
            !guest_registers_get(&x->guest.guest, x->vcpu, &x->registers))
            return error_set(err, ERR_USAGE,
                             "--vcpu: number %" PRIu32
                             " is not in the image, expected one that is",
                             x->vcpu);
    if (x->where) {
        x->sink = output_begin(&x->output, stdout, x->json);
        fields_begin(&x->sink, "pages", FIELDS_LIST);
    } else if (!new_file_open(&x->out, x->out_path, -1, err)) {
        return false;
    }
    for (size_t i = 0; i < x->nr_pieces; i++)
        if (!extract_piece(x, &x->pieces[i], err))
            return false;
    if (!x->where)
        return new_file_commit(&x->out, err);
    return true;
}

static bool add_piece(struct extract *x, enum address_kind kind,
                      uint64_t address, uint64_t length, struct error *err)
{
    if (x->nr_pieces == PIECES_MAX)
        return error_set(err, ERR_USAGE, "more than %d pieces, expected fewer",
                         PIECES_MAX);
    x->pieces[x->nr_pieces++] = (struct piece){kind, address, length};
    return true;
}

static bool parse_pfns(struct extract *x, const char *text, struct error *err)
{
    char first_text[32];
    const char *dash = strchr(text, '-');
    uint64_t first, last;

    if (dash && (size_t)(dash - text) < sizeof(first_text)) {
        memcpy(first_text, text, (size_t)(dash - text));
        first_text[dash - text] = '\0';
        text = first_text;
    }
    if (!parse_number(text, PAGE_INDEX_PFN_LIMIT - 1, "--pfn", &first, err))
        return false;
    last = first;
    if (dash &&
        !parse_number(dash + 1, PAGE_INDEX_PFN_LIMIT - 1, "--pfn", &last, err))
        return false;
    if (last < first)
        return error_set(err, ERR_USAGE,
                         "--pfn: %#" PRIx64 " to %#" PRIx64
                         ", expected the lower one first",
                         first, last);
    return add_piece(x, ADDRESS_PHYSICAL, first << PAGE_SHIFT,
                     (last - first + 1) << PAGE_SHIFT, err);
}

static bool parse_option(struct extract *x, int key, const char *argument,
                         struct error *err)
{
    uint64_t number;

    switch (key) {
    case OPTION_PFN:
        return parse_pfns(x, argument, err);
    case OPTION_PHYSICAL:
        return parse_number(argument, (PAGE_INDEX_PFN_LIMIT << PAGE_SHIFT) - 1,
                            "--physical", &number, err) &&
               add_piece(x, ADDRESS_PHYSICAL, number, 0, err);
    case OPTION_ADDRESS:
        return parse_number(argument, UINT64_MAX, "--address", &number, err) &&
               add_piece(x, ADDRESS_VIRTUAL, number, 0, err);
    case OPTION_LENGTH:
        return parse_number(argument, UINT64_C(1) << 44, "--length", &x->length,
                            err);
    case OPTION_VCPU:
        if (!parse_number(argument, UINT32_MAX, "--vcpu", &number, err))
            return false;
        x->vcpu = (uint32_t)number;
        return true;
    case OPTION_ZERO_MISSING:
        x->fill = true;
        return true;
    case OPTION_WHERE:
        x->where = true;
        return true;
    case OPTION_CHECKPOINT:
        return parse_checkpoint(argument, &x->options.checkpoint, err);
    case OPTION_SCRATCH:
        x->options.scratch = argument;
        return true;
    case 'o':
        x->out_path = argument;
        return true;
    default:
        x->json = true;
        return true;
    }
}

static int parse_and_extract(struct extract *x, struct command_line *line)
{
    struct error err = {0};
    const char *argument, *in_path;
    bool ok;
    int key;

    while ((key = command_line_next(line, &argument)) != LINE_END) {
        if (key == LINE_BAD)
            return CLI_USAGE;
        if (!parse_option(x, key, argument, &err))
            return command_line_wrong(line, "%s", err.text);
    }
    if (x->nr_pieces == 0)
        return command_line_wrong(line,
                                  "expected --pfn, --physical or --address");
    if (command_line_operands(line) != 1)
        return command_line_wrong(line, "expected one FILE, or - for a pipe");
    in_path = command_line_operand(line);
    signal(SIGPIPE, SIG_IGN);
    ok = extract_all(x, in_path, &err);
    if (x->sink.ops)
        output_finish(&x->output);
    new_file_close(&x->out);
    guest_file_close(&x->guest);
    return ok ? CLI_OK : command_failed(line->command, &err);
}

static int extract_run(struct command_line *line)
{
    struct extract *x = calloc(1, sizeof(*x));
    int status;

    if (!x) {
        perror("xenferry: extract");
        return CLI_FAILED;
    }
    x->options.scratch = default_scratch_folder();
    x->options.checkpoint = CHECKPOINT_LAST;
    x->options.timeout_ms = -1;
    x->length = PAGE_SIZE;
    x->out_path = "-";
    x->out.fd = x->out.dir_fd = -1;
    x->guest.converted_fd = x->guest.file.spool_fd = -1;
    status = parse_and_extract(x, line);
    free(x);
    return status;
}

const struct command command_extract = {
    .name = "extract",
    .summary = "Take memory of the guest out of an image",
    .arguments = "[OPTION]... FILE|-",
    .details = "FILE is any image that 'xenferry convert' reads.",
    .options = options,
    .run = extract_run,
};
