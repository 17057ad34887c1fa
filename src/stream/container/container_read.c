/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/container/container_read.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <xxhash.h>

#include "stream/file_window.h"
#include "stream/xc/xc_page_data.h"

#define DIRECTORY_CHUNK_SIZE     \
    (CONTAINER_CHUNK_HEAD_SIZE + \
     (uint64_t)CONTAINER_DIRECTORY_ENTRIES * CONTAINER_ENTRY_SIZE)

/* So that no sum of octets wraps. */
#define IMAGE_OCTETS_MAX (UINT64_C(1) << 60)

/* Chunks that are kept at hand, by kind. */
static const unsigned int cached[CONTAINER_KINDS] = {
    [CONTAINER_TEXT] = 1,
    [CONTAINER_PAGES] = 32,
    [CONTAINER_RECIPE] = 1,
    [CONTAINER_PFNS] = 4,
};
#define CACHED_DIRECTORY 8

bool container_sniff(const uint8_t bytes[8])
{
    return memcmp(bytes, CONTAINER_MAGIC, 8) == 0;
}

static bool fd_read_at(void *context, void *buffer, size_t length,
                       uint64_t offset, struct error *err)
{
    const struct container_fd *fd = context;

    return file_read_at(fd->fd, buffer, length, offset, "container", err);
}

bool container_file_from_fd(struct container_fd *fd, struct container_file *ret,
                            struct error *err)
{
    struct stat st;

    if (fstat(fd->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return error_set(err, ERR_UNSUPPORTED,
                         "container: not a regular file, expected one");
    *ret = (struct container_file){
        .read_at = fd_read_at, .context = fd, .size = (uint64_t)st.st_size};
    return true;
}

/* Header and trailer --------------------------------------------------------- */

static bool part_error(struct error *err, uint64_t offset, const char *what,
                       uint64_t found, const char *expected)
{
    return error_set_at(err, ERR_FORMAT, offset,
                        "container %s: %#" PRIx64 ", expected %s", what, found,
                        expected);
}

static bool checked_part(const struct container_file *file, uint8_t *bytes,
                         size_t length, uint64_t offset, const char *magic,
                         const char *what, struct error *err)
{
    struct cursor c;

    if (!file->read_at(file->context, bytes, length, offset, err))
        return false;
    if (memcmp(bytes, magic, 8) != 0)
        return error_set_at(err, ERR_FORMAT, offset,
                            "container %s: unknown magic, expected \"%s\"",
                            what, what[0] == 'h' ? "XFI" : "XFI-end");
    c = cursor_over(bytes + length - 8, 8, ORDER_LITTLE);
    if (cursor_u64(&c) != XXH3_64bits(bytes, length - 8))
        return error_set_at(err, ERR_FORMAT, offset,
                            "container %s: another checksum than that of its "
                            "contents, expected the same",
                            what);
    return true;
}

static bool read_header(const struct container_file *file, struct error *err)
{
    uint8_t bytes[CONTAINER_HEADER_SIZE];
    struct cursor c = cursor_over(bytes, sizeof(bytes), ORDER_LITTLE);
    uint32_t version, flags, shift, pages;

    if (!checked_part(file, bytes, sizeof(bytes), 0, CONTAINER_MAGIC, "header",
                      err))
        return false;
    cursor_bytes(&c, 8);
    version = cursor_u32(&c);
    flags = cursor_u32(&c);
    shift = cursor_u32(&c);
    pages = cursor_u32(&c);
    if (version != CONTAINER_VERSION)
        return error_set_at(err, ERR_UNSUPPORTED, 8,
                            "container header: version %" PRIu32 ", expected 1",
                            version);
    if (flags != 0)
        return part_error(err, 12, "header: flags", flags, "none");
    if (shift != PAGE_SHIFT)
        return part_error(err, 16, "header: page shift", shift, "12");
    if (pages != CONTAINER_CHUNK_PAGES)
        return part_error(err, 20, "header: pages in a chunk", pages, "16");
    return cursor_zeroes(&c, CONTAINER_HEADER_SIZE - 8 - 24) ||
           part_error(err, 24, "header: reserved octets", 1, "zeroes");
}

static uint64_t div_up(uint64_t n, uint64_t by)
{
    return n / by + (n % by != 0);
}

/*
 * Counts against the size of the file and each other.  Each chunk has its head
 * in the file, so that no sum below can wrap.
 */
static bool check_counts(const struct container_summary *s, uint64_t offset,
                         struct error *err)
{
    uint64_t entries = 0;
    uint64_t chunks;

    for (unsigned int kind = 0; kind < CONTAINER_KINDS; kind++) {
        if (s->nr_chunks[kind] > offset / CONTAINER_CHUNK_HEAD_SIZE)
            return part_error(err, offset + 24 + 8 * (uint64_t)kind,
                              "trailer: chunks", s->nr_chunks[kind],
                              "as many as fit into the file");
        entries += s->nr_chunks[kind];
    }
    chunks = div_up(entries, CONTAINER_DIRECTORY_ENTRIES);
    if (s->directory < CONTAINER_HEADER_SIZE || s->directory > offset ||
        offset - s->directory !=
            chunks * CONTAINER_CHUNK_HEAD_SIZE + entries * CONTAINER_ENTRY_SIZE)
        return part_error(err, offset + 16, "trailer: directory", s->directory,
                          "where its size says");
    if (s->image_octets > IMAGE_OCTETS_MAX || s->text_octets > s->image_octets)
        return part_error(err, offset + 64, "trailer: octets of the image",
                          s->image_octets, "at most 2^60");
    if (s->nr_chunks[CONTAINER_TEXT] !=
            div_up(s->text_octets, CONTAINER_CHUNK_MAX) ||
        s->nr_chunks[CONTAINER_PAGES] !=
            div_up(s->nr_distinct, CONTAINER_CHUNK_PAGES) ||
        s->nr_chunks[CONTAINER_PFNS] !=
            div_up(s->nr_frames, CONTAINER_FRAMES_PER_CHUNK))
        return part_error(err, offset + 24, "trailer: text chunks",
                          s->nr_chunks[CONTAINER_TEXT],
                          "as the octets, pages and frames say");
    if (s->nr_pages > s->text_octets / CONTAINER_TEXT_PER_PAGE ||
        s->nr_zero > s->nr_pages || s->nr_distinct > s->nr_pages - s->nr_zero ||
        s->image_octets != s->text_octets + (s->nr_pages << PAGE_SHIFT))
        return part_error(err, offset + 64, "trailer: octets of the image",
                          s->image_octets, "text and pages together");
    return true;
}

static bool read_trailer(struct container *c, struct error *err)
{
    struct container_summary *s = &c->summary;
    uint8_t bytes[CONTAINER_TRAILER_SIZE];
    struct cursor at = cursor_over(bytes, sizeof(bytes), ORDER_LITTLE);
    uint64_t offset = c->file.size - CONTAINER_TRAILER_SIZE;
    uint64_t flags;

    if (!checked_part(&c->file, bytes, sizeof(bytes), offset,
                      CONTAINER_END_MAGIC, "trailer", err))
        return error_wrap(err, "the container is cut off, or not one");
    cursor_bytes(&at, 8);
    s->file_octets = cursor_u64(&at);
    s->directory = cursor_u64(&at);
    for (unsigned int kind = 0; kind < CONTAINER_KINDS; kind++)
        s->nr_chunks[kind] = cursor_u64(&at);
    s->text_octets = cursor_u64(&at);
    s->image_octets = cursor_u64(&at);
    s->nr_distinct = cursor_u64(&at);
    s->nr_frames = cursor_u64(&at);
    s->nr_zero = cursor_u64(&at);
    s->nr_pages = cursor_u64(&at);
    flags = cursor_u64(&at);
    s->image_hash[0] = cursor_u64(&at);
    s->image_hash[1] = cursor_u64(&at);
    s->whole = flags & CONTAINER_FLAG_WHOLE;
    s->frames_missing = flags & CONTAINER_FLAG_FRAMES_MISSING;
    if (s->file_octets != c->file.size)
        return part_error(err, offset + 8, "trailer: size of the file",
                          s->file_octets, "that of the file");
    if (flags & ~(uint64_t)CONTAINER_FLAGS_KNOWN)
        return part_error(err, offset + 104, "trailer: flags", flags,
                          "1 and 2 only");
    if (!cursor_zeroes(&at, CONTAINER_TRAILER_SIZE - 8 - 128))
        return part_error(err, offset + 128, "trailer: reserved octets", 1,
                          "zeroes");
    return check_counts(s, offset, err);
}

bool container_open(struct container *ret, const struct container_file *file,
                    struct error *err)
{
    memset(ret, 0, sizeof(*ret));
    ret->file = *file;
    chunk_cache_init(&ret->directory, CONTAINER_DIRECTORY, CACHED_DIRECTORY);
    for (unsigned int kind = 0; kind < CONTAINER_KINDS; kind++)
        chunk_cache_init(&ret->chunks[kind], (enum container_kind)kind,
                         cached[kind]);
    if (file->size < CONTAINER_HEADER_SIZE + CONTAINER_TRAILER_SIZE)
        return error_set_at(
            err, ERR_TRUNCATED, file->size,
            "container: %" PRIu64 " octets, expected at least %u", file->size,
            CONTAINER_HEADER_SIZE + CONTAINER_TRAILER_SIZE);
    return read_header(file, err) && read_trailer(ret, err);
}

void container_close(struct container *c)
{
    chunk_codec_release(&c->codec);
    chunk_cache_release(&c->directory);
    for (unsigned int kind = 0; kind < CONTAINER_KINDS; kind++)
        chunk_cache_release(&c->chunks[kind]);
}

/* Chunks by number ----------------------------------------------------------- */

static bool find_place(struct container *c, enum container_kind kind,
                       uint64_t number, struct chunk_place *ret,
                       struct error *err)
{
    const struct container_summary *s = &c->summary;
    struct chunk_place place;
    const uint8_t *contents;
    struct cursor at;
    uint64_t entry = number, entries = 0, first;
    size_t in_chunk;

    assert(number < s->nr_chunks[kind]);
    for (unsigned int k = 0; k < CONTAINER_KINDS; k++) {
        if (k < (unsigned int)kind)
            entry += s->nr_chunks[k];
        entries += s->nr_chunks[k];
    }
    first = entry - entry % CONTAINER_DIRECTORY_ENTRIES;
    in_chunk = size_min(CONTAINER_DIRECTORY_ENTRIES, entries - first);
    place.offset = s->directory +
                   entry / CONTAINER_DIRECTORY_ENTRIES * DIRECTORY_CHUNK_SIZE;
    place.length = (uint32_t)(in_chunk * CONTAINER_ENTRY_SIZE);
    place.stored = place.length;
    contents =
        chunk_cache_read(&c->directory, &c->codec, &c->file,
                         entry / CONTAINER_DIRECTORY_ENTRIES, &place, err);
    if (!contents)
        return false;
    at = cursor_over(contents + (entry - first) * CONTAINER_ENTRY_SIZE,
                     CONTAINER_ENTRY_SIZE, ORDER_LITTLE);
    ret->offset = cursor_u64(&at);
    ret->stored = cursor_u32(&at);
    ret->length = cursor_u32(&at);
    ret->key = cursor_u64(&at);
    return true;
}

/* Octets that a chunk has by the trailer; 0: as the directory says. */
static uint32_t wanted_length(const struct container_summary *s,
                              enum container_kind kind, uint64_t number)
{
    uint64_t left;

    switch (kind) {
    case CONTAINER_TEXT:
        left = s->text_octets - number * CONTAINER_CHUNK_MAX;
        break;
    case CONTAINER_PAGES:
        left = (s->nr_distinct - number * CONTAINER_CHUNK_PAGES) << PAGE_SHIFT;
        break;
    case CONTAINER_PFNS:
        left = (s->nr_frames - number * CONTAINER_FRAMES_PER_CHUNK) *
               CONTAINER_FRAME_SIZE;
        break;
    default:
        return 0;
    }
    return left < CONTAINER_CHUNK_MAX ? (uint32_t)left : CONTAINER_CHUNK_MAX;
}

static const uint8_t *get_chunk(struct container *c, enum container_kind kind,
                                uint64_t number, struct chunk_place *ret_place,
                                struct error *err)
{
    uint32_t wanted = wanted_length(&c->summary, kind, number);

    if (!find_place(c, kind, number, ret_place, err))
        return NULL;
    if (wanted ? ret_place->length != wanted
               : ret_place->length == 0 ||
                     ret_place->length % CONTAINER_STEP_SIZE != 0) {
        error_set_at(err, ERR_FORMAT, ret_place->offset,
                     "container %s chunk %" PRIu64 ": %" PRIu32
                     " octets, expected %" PRIu32,
                     container_kind_name(kind), number, ret_place->length,
                     wanted ? wanted : CONTAINER_STEP_SIZE);
        return NULL;
    }
    return chunk_cache_read(&c->chunks[kind], &c->codec, &c->file, number,
                            ret_place, err);
}

/* Frames --------------------------------------------------------------------- */

static bool decode_frame(const struct container *c, const uint8_t *bytes,
                         uint64_t offset, struct container_frame *ret,
                         struct error *err)
{
    struct cursor at = cursor_over(bytes, CONTAINER_FRAME_SIZE, ORDER_LITTLE);
    uint64_t word = cursor_u64(&at);
    uint32_t page = cursor_u32(&at);
    uint32_t what = cursor_u32(&at);
    bool has_page = frame_type_has_page(frame_type(word));

    if (what > CONTAINER_FRAME_PAGE || !frame_type_known(frame_type(word)) ||
        has_page != (what != CONTAINER_FRAME_NONE) ||
        (what == CONTAINER_FRAME_PAGE ? page >= c->summary.nr_distinct
                                      : page != 0))
        return error_set_at(err, ERR_FORMAT, offset,
                            "container pfns chunk: frame %#" PRIx64
                            " has page %" PRIu32 " of kind %" PRIu32
                            ", expected one of %" PRIu64,
                            word, page, what, c->summary.nr_distinct);
    *ret = (struct container_frame){.pfn = frame_pfn(word),
                                    .type = frame_type(word),
                                    .what = (enum container_frame_what)what,
                                    .page = page};
    return true;
}

/* The chunk that would have 'pfn': the last whose first is not above it. */
static bool find_pfns(struct container *c, uint64_t pfn, uint64_t *ret,
                      struct error *err)
{
    uint64_t low = 0;
    uint64_t high = c->summary.nr_chunks[CONTAINER_PFNS];

    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        struct chunk_place place;

        if (!find_place(c, CONTAINER_PFNS, middle, &place, err))
            return false;
        if (place.key <= pfn)
            low = middle;
        else
            high = middle;
    }
    *ret = low;
    return true;
}

/*
 * The first frame from 'pfn' on in one chunk.  What is found is never below
 * 'pfn', in whatever order the frames are: 'high' is the end, or a frame that
 * was looked at and is not below.
 */
static enum container_outcome find_in_chunk(struct container *c,
                                            uint64_t number, uint64_t pfn,
                                            struct container_frame *ret,
                                            struct error *err)
{
    struct chunk_place place;
    const uint8_t *contents = get_chunk(c, CONTAINER_PFNS, number, &place, err);
    size_t low = 0, high;
    struct container_frame frame = {0};

    if (!contents)
        return CONTAINER_FAILED;
    high = place.length / CONTAINER_FRAME_SIZE;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (!decode_frame(c, contents + middle * CONTAINER_FRAME_SIZE,
                          place.offset, &frame, err))
            return CONTAINER_FAILED;
        if (frame.pfn < pfn) {
            low = middle + 1;
        } else {
            high = middle;
            *ret = frame;
        }
    }
    return low == place.length / CONTAINER_FRAME_SIZE ? CONTAINER_ABSENT
                                                      : CONTAINER_FOUND;
}

enum container_outcome container_next_frame(struct container *c, uint64_t pfn,
                                            struct container_frame *ret,
                                            struct error *err)
{
    enum container_outcome outcome;
    uint64_t number;

    if (c->summary.nr_frames == 0)
        return CONTAINER_ABSENT;
    if (!find_pfns(c, pfn, &number, err))
        return CONTAINER_FAILED;
    outcome = find_in_chunk(c, number, pfn, ret, err);
    if (outcome == CONTAINER_ABSENT &&
        number + 1 < c->summary.nr_chunks[CONTAINER_PFNS])
        outcome = find_in_chunk(c, number + 1, pfn, ret, err);
    return outcome;
}

static const uint8_t *kept_page(struct container *c, uint64_t page,
                                struct error *err)
{
    uint64_t number = page / CONTAINER_CHUNK_PAGES;
    const uint8_t *contents =
        chunk_cache_find(&c->chunks[CONTAINER_PAGES], number);
    struct chunk_place place;

    assert(page < c->summary.nr_distinct);
    if (!contents)
        contents = get_chunk(c, CONTAINER_PAGES, number, &place, err);
    return contents ? contents + (page % CONTAINER_CHUNK_PAGES) * PAGE_SIZE
                    : NULL;
}

enum container_outcome container_page(struct container *c, uint64_t pfn,
                                      uint8_t page[PAGE_SIZE],
                                      struct error *err)
{
    struct container_frame frame;
    enum container_outcome outcome = container_next_frame(c, pfn, &frame, err);
    const uint8_t *kept;

    if (outcome != CONTAINER_FOUND)
        return outcome;
    if (frame.pfn != pfn || frame.what == CONTAINER_FRAME_NONE)
        return CONTAINER_ABSENT;
    if (frame.what == CONTAINER_FRAME_ZERO) {
        memset(page, 0, PAGE_SIZE);
        return CONTAINER_FOUND;
    }
    kept = kept_page(c, frame.page, err);
    if (!kept)
        return CONTAINER_FAILED;
    memcpy(page, kept, PAGE_SIZE);
    return CONTAINER_FOUND;
}

/* The image ------------------------------------------------------------------ */

static bool step_error(const struct container_stream *s, struct error *err,
                       const char *what, uint64_t found, const char *expected)
{
    return error_set_at(err, ERR_FORMAT, s->made,
                        "container recipe, octet %" PRIu64
                        " of the image: %s %" PRIu64 ", expected %s",
                        s->made, what, found, expected);
}

static bool begin_step(struct container_stream *s, uint32_t word, uint32_t page,
                       struct error *err)
{
    const struct container_summary *sum = &s->container->summary;
    uint32_t count = word & CONTAINER_STEP_COUNT_MAX;
    unsigned int step = word >> 30;

    if (count == 0)
        return step_error(s, err, "a step of", 0, "at least 1");
    switch (step) {
    case CONTAINER_STEP_TEXT:
        if (count > sum->text_octets - s->text_begun)
            return step_error(s, err, "octets of text:", count,
                              "no more than there are");
        s->text_begun += count;
        s->left = count;
        break;
    case CONTAINER_STEP_PAGES:
        if (page >= sum->nr_distinct || count > sum->nr_distinct - page)
            return step_error(s, err, "page", (uint64_t)page + count - 1,
                              "one that is there");
        /* fall through */
    case CONTAINER_STEP_ZERO:
        s->pages_begun += count;
        if (s->pages_begun > s->text_begun / CONTAINER_TEXT_PER_PAGE)
            return step_error(s, err, "pages:", s->pages_begun,
                              "8 octets of text before each");
        if (s->pages_begun > sum->nr_pages)
            return step_error(s, err, "pages:", s->pages_begun,
                              "as many as the trailer says");
        s->left = (uint64_t)count << PAGE_SHIFT;
        break;
    default:
        return step_error(s, err, "a step of kind", step, "0 to 2");
    }
    if (step != CONTAINER_STEP_PAGES && page != 0)
        return step_error(s, err, "page", page, "0");
    s->step = (enum container_step)step;
    s->page = page;
    s->made += s->left;
    return true;
}

static bool end_image(struct container_stream *s, struct error *err)
{
    const struct container_summary *sum = &s->container->summary;

    s->ended = true;
    if (s->made != sum->image_octets || s->text_begun != sum->text_octets)
        return step_error(s, err, "the recipe ends after octets:", s->made,
                          "as many as the trailer says");
    if (s->hash) {
        XXH128_hash_t hash = XXH3_128bits_digest(s->hash);

        if (hash.low64 != sum->image_hash[0] ||
            hash.high64 != sum->image_hash[1])
            return error_set_at(err, ERR_FORMAT, s->made,
                                "container: the image has another hash than "
                                "the trailer says, expected the same");
    }
    return true;
}

/* Makes 'left' more than 0, or 'ended'. */
static bool next_step(struct container_stream *s, struct error *err)
{
    struct container *c = s->container;
    const uint64_t per_chunk = CONTAINER_CHUNK_MAX / CONTAINER_STEP_SIZE;
    uint64_t number = s->next_step / per_chunk;
    uint64_t nr = c->summary.nr_chunks[CONTAINER_RECIPE];
    size_t at = (size_t)(s->next_step % per_chunk) * CONTAINER_STEP_SIZE;
    struct chunk_place place;
    const uint8_t *contents;
    struct cursor cursor;
    uint32_t word;

    if (s->ended || s->left > 0)
        return true;
    if (number >= nr)
        return end_image(s, err);
    contents = get_chunk(c, CONTAINER_RECIPE, number, &place, err);
    if (!contents)
        return false;
    if (at >= place.length) {
        if (number + 1 < nr)
            return step_error(s, err,
                              "octets of a chunk of steps:", place.length,
                              "65536 in all but the last");
        return end_image(s, err);
    }
    if (at == 0 && place.key != s->made)
        return step_error(s, err, "the directory says octet", place.key,
                          "that of the image");
    cursor = cursor_over(contents + at, CONTAINER_STEP_SIZE, ORDER_LITTLE);
    word = cursor_u32(&cursor);
    s->next_step++;
    return begin_step(s, word, cursor_u32(&cursor), err);
}

/* Octets at hand of the present step, and where they are; never 0. */
static const uint8_t *at_hand(struct container_stream *s, size_t *ret_length,
                              struct error *err)
{
    static const uint8_t zeroes[PAGE_SIZE];
    size_t in_page = (size_t)((0 - s->left) & (PAGE_SIZE - 1));
    struct container *c = s->container;
    const uint8_t *contents;
    struct chunk_place place;
    uint64_t first;
    size_t in_chunk;

    if (s->step == CONTAINER_STEP_TEXT) {
        first = s->text_at & ~(uint64_t)(CONTAINER_CHUNK_MAX - 1);
        in_chunk = (size_t)(s->text_at - first);
        contents = get_chunk(c, CONTAINER_TEXT, first / CONTAINER_CHUNK_MAX,
                             &place, err);
        if (!contents)
            return NULL;
        *ret_length = size_min(s->left, CONTAINER_CHUNK_MAX - in_chunk);
        return contents + in_chunk;
    }
    *ret_length = PAGE_SIZE - in_page;
    if (s->step == CONTAINER_STEP_ZERO)
        return zeroes + in_page;
    contents = kept_page(c, s->page, err);
    if (!contents)
        return NULL;
    /* The rest of the chunk, where the step goes on in it. */
    in_chunk = CONTAINER_CHUNK_PAGES - s->page % CONTAINER_CHUNK_PAGES;
    *ret_length = size_min(s->left, in_chunk * PAGE_SIZE - in_page);
    return contents + in_page;
}

static void take(struct container_stream *s, uint64_t length)
{
    uint64_t in_page = (0 - s->left) & (PAGE_SIZE - 1);

    s->left -= length;
    if (s->step == CONTAINER_STEP_TEXT)
        s->text_at += length;
    else
        s->page += (in_page + length) >> PAGE_SHIFT;
}

static bool stream_read_some(void *context, void *buffer, size_t length,
                             size_t *ret_got, struct error *err)
{
    struct container_stream *s = context;
    uint8_t *at = buffer;
    size_t done = 0;

    while (done < length) {
        const uint8_t *bytes;
        size_t n;

        if (!next_step(s, err))
            return false;
        if (s->ended)
            break;
        bytes = at_hand(s, &n, err);
        if (!bytes)
            return false;
        n = size_min(n, length - done);
        memcpy(at + done, bytes, n);
        if (s->hash)
            XXH3_128bits_update(s->hash, bytes, n);
        take(s, n);
        done += n;
    }
    /* So that the hash is judged with the last octet, not after it. */
    if (done > 0 && !next_step(s, err))
        return false;
    *ret_got = done;
    return true;
}

static bool stream_readv(void *context, struct iovec *iov, int nr_iov,
                         struct error *err)
{
    return source_readv_by_pieces(stream_read_some, context, iov, nr_iov, err);
}

static uint64_t stream_hole_ahead(void *context)
{
    struct container_stream *s = context;

    return s->left > 0 && s->step == CONTAINER_STEP_ZERO ? s->left : 0;
}

static bool stream_skip_hole(void *context, uint64_t length, struct error *err)
{
    static const uint8_t zeroes[PAGE_SIZE];
    struct container_stream *s = context;
    uint64_t left = length;

    assert(length <= stream_hole_ahead(s));
    take(s, length);
    while (s->hash && left > 0) {
        size_t n = size_min(left, sizeof(zeroes));

        XXH3_128bits_update(s->hash, zeroes, n);
        left -= n;
    }
    return next_step(s, err);
}

static bool stream_skip(void *context, uint64_t length, uint64_t *ret_done,
                        struct error *err)
{
    struct container_stream *s = context;
    uint64_t done = 0;

    while (!s->hash && done < length) {
        uint64_t n;

        if (!next_step(s, err))
            return false;
        if (s->ended)
            break;
        n = s->left < length - done ? s->left : length - done;
        take(s, n);
        done += n;
    }
    *ret_done = done;
    return true;
}

static const struct source_ops container_ops = {
    .read_some = stream_read_some,
    .readv = stream_readv,
    .hole_ahead = stream_hole_ahead,
    .skip_hole = stream_skip_hole,
    .skip = stream_skip,
};

bool container_stream_init(struct container_stream *s, struct container *c,
                           bool check_hash, struct error *err)
{
    *s = (struct container_stream){.container = c};
    if (check_hash) {
        s->hash = XXH3_createState();
        if (!s->hash)
            return error_set(err, ERR_NO_MEMORY, "container: no memory");
        XXH3_128bits_reset(s->hash);
    }
    if (next_step(s, err))
        return true;
    container_stream_release(s);
    return false;
}

void container_stream_release(struct container_stream *s)
{
    XXH3_freeState(s->hash);
    s->hash = NULL;
}

struct stream_source source_from_container(struct container_stream *s)
{
    return (struct stream_source){.ops = &container_ops, .context = s};
}

/* Verify --------------------------------------------------------------------- */

static bool verify_frames(struct container *c, struct error *err)
{
    uint64_t last = 0;
    bool some = false;

    for (uint64_t n = 0; n < c->summary.nr_chunks[CONTAINER_PFNS]; n++) {
        struct chunk_place place;
        const uint8_t *contents = get_chunk(c, CONTAINER_PFNS, n, &place, err);

        if (!contents)
            return false;
        for (size_t at = 0; at < place.length; at += CONTAINER_FRAME_SIZE) {
            struct container_frame frame = {0};

            if (!decode_frame(c, contents + at, place.offset, &frame, err))
                return false;
            if ((some && frame.pfn <= last) ||
                (at == 0 && frame.pfn != place.key))
                return error_set_at(err, ERR_FORMAT, place.offset,
                                    "container pfns chunk %" PRIu64
                                    ": pfn %#" PRIx64 " after %#" PRIx64
                                    ", expected them in order",
                                    n, frame.pfn, last);
            last = frame.pfn;
            some = true;
        }
    }
    return true;
}

/* Those that no step names are read as well. */
static bool verify_pages(struct container *c, struct error *err)
{
    for (uint64_t n = 0; n < c->summary.nr_chunks[CONTAINER_PAGES]; n++) {
        struct chunk_place place;

        if (!get_chunk(c, CONTAINER_PAGES, n, &place, err))
            return false;
        if (place.key != n * CONTAINER_CHUNK_PAGES)
            return error_set_at(err, ERR_FORMAT, place.offset,
                                "container pages chunk %" PRIu64
                                ": first page %" PRIu64 ", expected %" PRIu64,
                                n, place.key, n * CONTAINER_CHUNK_PAGES);
    }
    return true;
}

bool container_verify(struct container *c,
                      void (*progress)(void *context, uint64_t done,
                                       uint64_t total),
                      void *context, struct error *err)
{
    struct container_stream stream;
    struct stream_source source;
    uint8_t *buffer = malloc(CONTAINER_CHUNK_MAX);
    size_t got = 1;
    bool ok;

    if (!buffer)
        return error_set(err, ERR_NO_MEMORY, "container: no memory");
    ok = verify_frames(c, err) && verify_pages(c, err) &&
         container_stream_init(&stream, c, true, err);
    if (ok) {
        source = source_from_container(&stream);
        while (ok && got > 0) {
            ok = source_read_some(&source, buffer, CONTAINER_CHUNK_MAX, &got,
                                  err);
            if (progress)
                progress(context, source.offset, c->summary.image_octets);
        }
        container_stream_release(&stream);
    }
    free(buffer);
    return ok;
}
