/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Containers whose checksums are all right, and that lie: each thing that a
 * container says is made wrong once, and found by the rule that is about it.
 */
#include <unistd.h>

#include <xxhash.h>

#include "buffer_file.h"
#include "stream/xc/xc_page_data.h"
#include "unit.h"

#define PARTS_MAX 4

struct step {
    unsigned int kind;
    uint32_t count;
    uint32_t page;
};

struct chunk {
    struct buffer contents;
    uint64_t key;
};

/* What a container is made of, before its checksums are. */
struct made {
    uint32_t version, flags, shift, chunk_pages;
    uint8_t header_rest;
    struct chunk chunks[CONTAINER_KINDS][PARTS_MAX];
    size_t nr[CONTAINER_KINDS];
    /* The trailer's: 'directory' 0 is where it is; 'told': a wrong size. */
    struct container_summary s;
    bool told;
    uint64_t trailer_flags;
    uint8_t trailer_rest;
    /* In the directory, for one entry. */
    unsigned int entry;
    uint64_t entry_offset;
    uint32_t entry_stored, entry_length;
};

static struct buffer *new_chunk(struct made *m, enum container_kind kind,
                                uint64_t key)
{
    struct chunk *chunk = &m->chunks[kind][m->nr[kind]++];

    assert_true(m->nr[kind] <= PARTS_MAX);
    chunk->key = key;
    return &chunk->contents;
}

static void put_steps(struct buffer *b, const struct step *steps, size_t nr)
{
    for (size_t i = 0; i < nr; i++) {
        buffer_u32(b, steps[i].kind << 30 | steps[i].count);
        buffer_u32(b, steps[i].page);
    }
}

static void put_frame(struct buffer *b, uint64_t word, uint32_t page,
                      uint32_t what)
{
    buffer_u64(b, word);
    buffer_u32(b, page);
    buffer_u32(b, what);
}

/*
 * 32 octets of text, two pages that are kept and one of zeroes; four frames,
 * one of which has no contents.
 */
static void make(struct made *m)
{
    static const struct step steps[] = {
        {CONTAINER_STEP_TEXT,  24, 0},
        {CONTAINER_STEP_PAGES, 2,  0},
        {CONTAINER_STEP_ZERO,  1,  0},
        {CONTAINER_STEP_TEXT,  8,  0},
    };
    struct buffer image = {0};
    XXH128_hash_t hash;
    struct buffer *b;

    *m = (struct made){
        .version = CONTAINER_VERSION,
        .shift = PAGE_SHIFT,
        .chunk_pages = CONTAINER_CHUNK_PAGES,
        .entry = UINT32_MAX,
        .s = {.text_octets = 32,
              .image_octets = 32 + 3 * PAGE_SIZE,
              .nr_pages = 3,
              .nr_zero = 1,
              .nr_distinct = 2,
              .nr_frames = 4},
    };
    b = new_chunk(m, CONTAINER_TEXT, 0);
    buffer_text(b, "the text of the image, 32 octets");
    b = new_chunk(m, CONTAINER_PAGES, 0);
    for (unsigned int i = 0; i < 2; i++)
        memset(buffer_extend(b, PAGE_SIZE), 'a' + (int)i, PAGE_SIZE);
    put_steps(new_chunk(m, CONTAINER_RECIPE, 0), steps, ARRAY_SIZE(steps));
    b = new_chunk(m, CONTAINER_PFNS, 3);
    put_frame(b, frame_word(FRAME_NOTAB, 3), 0, CONTAINER_FRAME_PAGE);
    put_frame(b, frame_word(FRAME_NOTAB, 5), 0, CONTAINER_FRAME_ZERO);
    put_frame(b, frame_word(FRAME_XTAB, 6), 0, CONTAINER_FRAME_NONE);
    put_frame(b, frame_word(FRAME_NOTAB, 9), 1, CONTAINER_FRAME_PAGE);

    buffer_bytes(&image, m->chunks[CONTAINER_TEXT][0].contents.bytes, 24);
    buffer_bytes(&image, m->chunks[CONTAINER_PAGES][0].contents.bytes,
                 2 * PAGE_SIZE);
    buffer_zeroes(&image, PAGE_SIZE);
    buffer_bytes(&image, m->chunks[CONTAINER_TEXT][0].contents.bytes + 24, 8);
    hash = XXH3_128bits(image.bytes, image.length);
    m->s.image_hash[0] = hash.low64;
    m->s.image_hash[1] = hash.high64;
    buffer_release(&image);
    for (unsigned int kind = 0; kind < CONTAINER_KINDS; kind++)
        m->s.nr_chunks[kind] = m->nr[kind];
}

static void unmake(struct made *m)
{
    for (unsigned int kind = 0; kind < CONTAINER_KINDS; kind++)
        for (size_t i = 0; i < m->nr[kind]; i++)
            buffer_release(&m->chunks[kind][i].contents);
}

static void put_entry(struct made *m, struct buffer *directory,
                      unsigned int entry, struct chunk_place *place)
{
    if (entry == m->entry) {
        place->offset += m->entry_offset;
        place->stored += m->entry_stored;
        place->length += m->entry_length;
    }
    buffer_u64(directory, place->offset);
    buffer_u32(directory, place->stored);
    buffer_u32(directory, place->length);
    buffer_u64(directory, place->key);
}

static void put_header(const struct made *m, struct buffer *out)
{
    buffer_bytes(out, CONTAINER_MAGIC, 8);
    buffer_u32(out, m->version);
    buffer_u32(out, m->flags);
    buffer_u32(out, m->shift);
    buffer_u32(out, m->chunk_pages);
    buffer_zeroes(out, CONTAINER_HEADER_SIZE - 8 - 1 - out->length);
    buffer_u8(out, m->header_rest);
    buffer_u64(out, XXH3_64bits(out->bytes, out->length));
}

static void put_trailer(const struct made *m, struct buffer *out)
{
    const struct container_summary *s = &m->s;
    size_t begun = out->length;

    buffer_bytes(out, CONTAINER_END_MAGIC, 8);
    buffer_u64(out, begun + CONTAINER_TRAILER_SIZE + m->told);
    buffer_u64(out, s->directory);
    for (unsigned int kind = 0; kind < CONTAINER_KINDS; kind++)
        buffer_u64(out, s->nr_chunks[kind]);
    buffer_u64(out, s->text_octets);
    buffer_u64(out, s->image_octets);
    buffer_u64(out, s->nr_distinct);
    buffer_u64(out, s->nr_frames);
    buffer_u64(out, s->nr_zero);
    buffer_u64(out, s->nr_pages);
    buffer_u64(out, m->trailer_flags);
    buffer_u64(out, s->image_hash[0]);
    buffer_u64(out, s->image_hash[1]);
    buffer_zeroes(out, begun + CONTAINER_TRAILER_SIZE - 8 - 1 - out->length);
    buffer_u8(out, m->trailer_rest);
    buffer_u64(out, XXH3_64bits(out->bytes + begun, out->length - begun));
}

/* The file, with every checksum right. */
static void put(struct made *m, struct buffer *out)
{
    struct stream_sink sink = sink_to_buffer(out);
    struct chunk_codec codec = {0};
    struct buffer directory = {0};
    unsigned int entry = 0;
    struct chunk_place place;
    struct error err;

    put_header(m, out);
    sink.offset = out->length;
    for (unsigned int kind = 0; kind < CONTAINER_KINDS; kind++)
        for (size_t i = 0; i < m->nr[kind]; i++) {
            const struct chunk *chunk = &m->chunks[kind][i];

            assert_false(chunk->contents.bad);
            assert_ok(chunk_write(&codec, &sink, (enum container_kind)kind, i,
                                  chunk->contents.bytes,
                                  (uint32_t)chunk->contents.length, &place,
                                  &err),
                      err);
            place.key = chunk->key;
            put_entry(m, &directory, entry++, &place);
        }
    if (m->s.directory == 0)
        m->s.directory = out->length;
    assert_ok(chunk_write(&codec, &sink, CONTAINER_DIRECTORY, 0,
                          directory.bytes, (uint32_t)directory.length, &place,
                          &err),
              err);
    put_trailer(m, out);
    assert_false(out->bad);
    chunk_codec_release(&codec);
    buffer_release(&directory);
}

/* Whether it opens and all of it is right; the parts are released. */
static bool verifies(struct made *m, struct error *err)
{
    struct buffer file = {0};
    struct container *c = calloc(1, sizeof(*c));
    struct container_file f;
    bool ok;

    assert_non_null(c);
    put(m, &file);
    f = file_of(&file);
    ok = container_open(c, &f, err) && container_verify(c, NULL, NULL, err);
    container_close(c);
    free(c);
    buffer_release(&file);
    unmake(m);
    return ok;
}

/* Refused with a message that has this part; what is made is as at first. */
static void lies(struct made *m, enum error_code code, const char *part)
{
    struct error err = {0};

    assert_refused(verifies(m, &err), err, code, part);
    make(m);
}

static void what_is_right_is_taken(void **state)
{
    struct error err;
    struct made m;

    make(&m);
    m.trailer_flags = CONTAINER_FLAGS_KNOWN;
    assert_ok(verifies(&m, &err), err);
}

static void a_header_that_lies_is_refused(void **state)
{
    struct made m;

    make(&m);
    m.version = 2;
    lies(&m, ERR_UNSUPPORTED, "version 2");
    m.flags = 4;
    lies(&m, ERR_FORMAT, "header: flags: 0x4");
    m.shift = 13;
    lies(&m, ERR_FORMAT, "page shift: 0xd");
    m.chunk_pages = 32;
    lies(&m, ERR_FORMAT, "pages in a chunk: 0x20");
    m.header_rest = 1;
    lies(&m, ERR_FORMAT, "header: reserved");
    unmake(&m);
}

static void a_trailer_that_lies_is_refused(void **state)
{
    struct made m;

    make(&m);
    m.told = true;
    lies(&m, ERR_FORMAT, "size of the file");
    m.trailer_flags = 4;
    lies(&m, ERR_FORMAT, "trailer: flags: 0x4");
    m.trailer_rest = 1;
    lies(&m, ERR_FORMAT, "trailer: reserved");
    for (unsigned int kind = 0; kind < CONTAINER_KINDS; kind++) {
        m.s.nr_chunks[kind] = UINT64_MAX;
        lies(&m, ERR_FORMAT, "as many as fit");
        m.s.nr_chunks[kind]++;
        lies(&m, ERR_FORMAT, "trailer: directory");
    }
    m.s.directory = CONTAINER_HEADER_SIZE - 1;
    lies(&m, ERR_FORMAT, "trailer: directory");
    m.s.directory = CONTAINER_HEADER_SIZE;
    lies(&m, ERR_FORMAT, "trailer: directory");
    m.s.directory = UINT64_MAX;
    lies(&m, ERR_FORMAT, "trailer: directory");
    m.s.image_octets = (UINT64_C(1) << 60) + 1;
    lies(&m, ERR_FORMAT, "at most 2^60");
    m.s.text_octets = m.s.image_octets + 1;
    lies(&m, ERR_FORMAT, "at most 2^60");
    m.s.nr_chunks[CONTAINER_TEXT]--;
    m.s.nr_chunks[CONTAINER_RECIPE]++;
    lies(&m, ERR_FORMAT, "as the octets, pages and frames say");
    m.s.nr_distinct = CONTAINER_CHUNK_PAGES + 1;
    lies(&m, ERR_FORMAT, "as the octets, pages and frames say");
    m.s.nr_frames = CONTAINER_FRAMES_PER_CHUNK + 1;
    lies(&m, ERR_FORMAT, "as the octets, pages and frames say");
    m.s.nr_pages = 5;
    lies(&m, ERR_FORMAT, "text and pages together");
    m.s.nr_zero = 4;
    lies(&m, ERR_FORMAT, "text and pages together");
    m.s.nr_zero = 2;
    lies(&m, ERR_FORMAT, "text and pages together");
    m.s.image_octets++;
    lies(&m, ERR_FORMAT, "text and pages together");
    m.s.image_hash[0]++;
    lies(&m, ERR_FORMAT, "another hash");
    m.s.image_hash[1]++;
    lies(&m, ERR_FORMAT, "another hash");
    unmake(&m);
}

static void a_directory_that_lies_is_refused(void **state)
{
    static const char *const names[] = {"text", "pages", "recipe", "pfns"};
    struct made m;

    make(&m);
    for (unsigned int kind = 0; kind < CONTAINER_KINDS; kind++) {
        m.entry = kind;
        m.entry_length = 1;
        lies(&m, ERR_FORMAT, names[kind]);
        m.entry = kind;
        m.entry_stored = CONTAINER_CHUNK_MAX;
        lies(&m, ERR_FORMAT, "expected at most 65536");
        m.entry = kind;
        m.entry_offset = UINT64_MAX / 2;
        lies(&m, ERR_FORMAT, "expected at most 65536");
        m.entry = kind;
        m.entry_offset = 1;
        lies(&m, ERR_FORMAT, "container chunk at offset");
    }
    /* Another number of steps than is there, and none. */
    m.entry = CONTAINER_RECIPE;
    m.entry_length = CONTAINER_STEP_SIZE;
    lies(&m, ERR_FORMAT, "octets stored");
    m.entry = CONTAINER_RECIPE;
    m.entry_length = (uint32_t)0 - 4 * CONTAINER_STEP_SIZE;
    lies(&m, ERR_FORMAT, "recipe chunk 0: 0 octets, expected 8");
    m.chunks[CONTAINER_RECIPE][0].key = 1;
    lies(&m, ERR_FORMAT, "the directory says octet 1");
    m.chunks[CONTAINER_PAGES][0].key = 1;
    lies(&m, ERR_FORMAT, "first page 1");
    m.chunks[CONTAINER_PFNS][0].key = 2;
    lies(&m, ERR_FORMAT, "in order");
    unmake(&m);
}

/* The recipe is these steps. */
static void recipe_lies(const struct step *steps, size_t nr, const char *part)
{
    struct buffer *b;
    struct made m;

    make(&m);
    b = &m.chunks[CONTAINER_RECIPE][0].contents;
    buffer_reset(b);
    put_steps(b, steps, nr);
    lies(&m, ERR_FORMAT, part);
    unmake(&m);
}

#define RECIPE_LIES(part, ...)                            \
    do {                                                  \
        static const struct step steps[] = {__VA_ARGS__}; \
                                                          \
        recipe_lies(steps, ARRAY_SIZE(steps), part);      \
    } while (0)

static void a_recipe_that_lies_is_refused(void **state)
{
    RECIPE_LIES("a step of 0", {CONTAINER_STEP_TEXT, 0, 0});
    RECIPE_LIES("octets of text: 33", {CONTAINER_STEP_TEXT, 33, 0});
    RECIPE_LIES("octets of text: 9", {CONTAINER_STEP_TEXT, 24, 0},
                {CONTAINER_STEP_TEXT, 9, 0});
    RECIPE_LIES("page 2,", {CONTAINER_STEP_TEXT, 24, 0},
                {CONTAINER_STEP_PAGES, 1, 2});
    RECIPE_LIES("page 2,", {CONTAINER_STEP_TEXT, 24, 0},
                {CONTAINER_STEP_PAGES, 2, 1});
    RECIPE_LIES("8 octets of text before each", {CONTAINER_STEP_TEXT, 15, 0},
                {CONTAINER_STEP_PAGES, 2, 0});
    RECIPE_LIES("8 octets of text before each", {CONTAINER_STEP_ZERO, 1, 0});
    RECIPE_LIES("as many as the trailer says", {CONTAINER_STEP_TEXT, 32, 0},
                {CONTAINER_STEP_ZERO, 4, 0});
    RECIPE_LIES("a step of kind 3", {3, 1, 0});
    RECIPE_LIES("page 1, expected 0", {CONTAINER_STEP_TEXT, 8, 1});
    RECIPE_LIES("page 7, expected 0", {CONTAINER_STEP_TEXT, 8, 0},
                {CONTAINER_STEP_ZERO, 1, 7});
    RECIPE_LIES("ends after octets: 31", {CONTAINER_STEP_TEXT, 31, 0});
    RECIPE_LIES("ends after octets: 4128", {CONTAINER_STEP_TEXT, 32, 0},
                {CONTAINER_STEP_PAGES, 1, 0});
}

static void steps_end_in_the_last_chunk_only(void **state)
{
    struct made m;

    make(&m);
    put_steps(new_chunk(&m, CONTAINER_RECIPE, m.s.image_octets),
              &(struct step){CONTAINER_STEP_TEXT, 1, 0}, 1);
    m.s.nr_chunks[CONTAINER_RECIPE]++;
    lies(&m, ERR_FORMAT, "octets of a chunk of steps: 32");
    /* None at all, though there is an image. */
    buffer_release(&m.chunks[CONTAINER_RECIPE][0].contents);
    m.nr[CONTAINER_RECIPE] = m.s.nr_chunks[CONTAINER_RECIPE] = 0;
    lies(&m, ERR_FORMAT, "ends after octets: 0");
    unmake(&m);
}

/* As the last frame of four. */
static void frame_lies(uint64_t word, uint32_t page, uint32_t what,
                       const char *part)
{
    struct made m;
    struct buffer *b;

    make(&m);
    b = &m.chunks[CONTAINER_PFNS][0].contents;
    b->length -= CONTAINER_FRAME_SIZE;
    put_frame(b, word, page, what);
    lies(&m, ERR_FORMAT, part);
    unmake(&m);
}

static void an_index_that_lies_is_refused(void **state)
{
    const uint64_t word = frame_word(FRAME_NOTAB, 9);
    static const char kind[] = "of kind";

    frame_lies(word, 0, 3, kind);
    frame_lies(frame_word(5, 9), 0, CONTAINER_FRAME_PAGE, kind);
    frame_lies(word, 0, CONTAINER_FRAME_NONE, kind);
    frame_lies(frame_word(FRAME_XTAB, 9), 0, CONTAINER_FRAME_ZERO, kind);
    frame_lies(word, 2, CONTAINER_FRAME_PAGE, kind);
    frame_lies(word, 1, CONTAINER_FRAME_ZERO, kind);
    frame_lies(frame_word(FRAME_NOTAB, 6), 0, CONTAINER_FRAME_ZERO, "in order");
    frame_lies(frame_word(FRAME_NOTAB, 2), 0, CONTAINER_FRAME_ZERO, "in order");
}

static struct container *opened(struct made *m, struct buffer *file,
                                struct container_file *f)
{
    struct container *c = calloc(1, sizeof(*c));
    struct error err;

    assert_non_null(c);
    put(m, file);
    *f = file_of(file);
    assert_ok(container_open(c, f, &err), err);
    unmake(m);
    return c;
}

static void closed(struct container *c, struct buffer *file)
{
    container_close(c);
    free(c);
    buffer_release(file);
}

static void assert_page(struct container *c, uint64_t pfn,
                        enum container_outcome wanted, const char *part)
{
    uint8_t page[PAGE_SIZE];
    struct error err = {0};

    assert_int_equal(container_page(c, pfn, page, &err), wanted);
    if (wanted == CONTAINER_FAILED && !strstr(err.text, part))
        fail_msg("\"%s\", expected \"%s\"", err.text, part);
}

/* Found by who asks for a page as well. */
static void pages_are_refused_too(void **state)
{
    struct buffer file = {0};
    struct container_file f;
    struct container *c;
    struct made m;
    struct buffer *b;

    make(&m);
    c = opened(&m, &file, &f);
    assert_page(c, 0, CONTAINER_ABSENT, NULL);
    assert_page(c, 3, CONTAINER_FOUND, NULL);
    assert_page(c, 5, CONTAINER_FOUND, NULL);
    assert_page(c, 6, CONTAINER_ABSENT, NULL);
    assert_page(c, 9, CONTAINER_FOUND, NULL);
    assert_page(c, 10, CONTAINER_ABSENT, NULL);
    closed(c, &file);

    /* The frame that is looked at on the way, and the one found last. */
    for (size_t i = 0; i < 4; i++) {
        make(&m);
        m.chunks[CONTAINER_PFNS][0]
            .contents.bytes[i * CONTAINER_FRAME_SIZE + 12] = 9;
        c = opened(&m, &file, &f);
        assert_page(c, i < 2 ? 0 : 9, CONTAINER_FAILED, "of kind 9");
        closed(c, &file);
    }

    /* Downwards: the search cannot find what it is led past. */
    make(&m);
    b = &m.chunks[CONTAINER_PFNS][0].contents;
    buffer_reset(b);
    for (uint64_t i = 0; i < 4; i++)
        put_frame(b, frame_word(FRAME_NOTAB, 9 - i), 0, CONTAINER_FRAME_ZERO);
    c = opened(&m, &file, &f);
    assert_page(c, 9, CONTAINER_ABSENT, NULL);
    closed(c, &file);

    /* Pages and directory that are not where they are said to be. */
    make(&m);
    m.entry = CONTAINER_PAGES;
    m.entry_offset = 8;
    c = opened(&m, &file, &f);
    assert_page(c, 3, CONTAINER_FAILED, "container chunk at offset");
    closed(c, &file);
    make(&m);
    c = opened(&m, &file, &f);
    file.bytes[c->summary.directory] ^= 1;
    assert_page(c, 3, CONTAINER_FAILED, "directory");
    closed(c, &file);

    /* No frame at all. */
    make(&m);
    buffer_release(&m.chunks[CONTAINER_PFNS][0].contents);
    m.nr[CONTAINER_PFNS] = m.s.nr_chunks[CONTAINER_PFNS] = 0;
    m.s.nr_frames = 0;
    c = opened(&m, &file, &f);
    assert_page(c, 3, CONTAINER_ABSENT, NULL);
    closed(c, &file);
}

/* Three chunks of frames; every other pfn. */
static void many_frames(struct made *m)
{
    const uint64_t nr = 2 * CONTAINER_FRAMES_PER_CHUNK + 3;
    struct buffer *b = NULL;

    make(m);
    buffer_release(&m->chunks[CONTAINER_PFNS][0].contents);
    m->nr[CONTAINER_PFNS] = 0;
    for (uint64_t i = 0; i < nr; i++) {
        if (i % CONTAINER_FRAMES_PER_CHUNK == 0)
            b = new_chunk(m, CONTAINER_PFNS, 2 * i);
        put_frame(b, frame_word(FRAME_NOTAB, 2 * i), 0, CONTAINER_FRAME_ZERO);
    }
    m->s.nr_frames = nr;
    m->s.nr_chunks[CONTAINER_PFNS] = m->nr[CONTAINER_PFNS];
}

static void a_frame_is_found_in_many(void **state)
{
    const uint64_t last = 2 * (2 * CONTAINER_FRAMES_PER_CHUNK + 2);
    struct container_frame frame;
    struct buffer file = {0};
    struct container_file f;
    struct container *c;
    struct made m;
    struct error err;

    many_frames(&m);
    assert_ok(verifies(&m, &err), err);
    many_frames(&m);
    c = opened(&m, &file, &f);
    for (uint64_t pfn = 0; pfn <= last; pfn += 7) {
        assert_int_equal(container_next_frame(c, pfn, &frame, &err),
                         CONTAINER_FOUND);
        assert_int_equal(frame.pfn, pfn + pfn % 2);
    }
    assert_int_equal(container_next_frame(c, last + 1, &frame, &err),
                     CONTAINER_ABSENT);
    /* Between two chunks: the first of the second. */
    assert_int_equal(container_next_frame(c, 2 * CONTAINER_FRAMES_PER_CHUNK - 1,
                                          &frame, &err),
                     CONTAINER_FOUND);
    assert_int_equal(frame.pfn, 2 * CONTAINER_FRAMES_PER_CHUNK);
    closed(c, &file);

    /* The directory cannot be read. */
    many_frames(&m);
    c = opened(&m, &file, &f);
    file.bytes[c->summary.directory] ^= 1;
    assert_int_equal(container_next_frame(c, 0, &frame, &err),
                     CONTAINER_FAILED);
    closed(c, &file);
}

/* Octets passed over without their hash, and with it. */
static void an_image_is_passed_over(void **state)
{
    for (int check = 0; check < 2; check++) {
        struct container_stream stream;
        struct stream_source source;
        struct container_file f;
        struct buffer file = {0};
        uint8_t octets[9] = {0};
        struct container *c;
        struct made m;
        struct error err;
        size_t got;

        make(&m);
        c = opened(&m, &file, &f);
        assert_ok(container_stream_init(&stream, c, check, &err), err);
        source = source_from_container(&stream);
        assert_int_equal(source_hole_ahead(&source), 0);
        assert_ok(source_skip(&source, 24 + PAGE_SIZE + 1, "image", &err), err);
        assert_ok(source_read(&source, octets, 1, "image", &err), err);
        assert_int_equal(octets[0], 'b');
        assert_ok(source_skip(&source, PAGE_SIZE - 3, "image", &err), err);
        assert_ok(source_read(&source, octets, 1, "image", &err), err);
        assert_int_equal(source_hole_ahead(&source), PAGE_SIZE);
        assert_ok(source_skip_hole(&source, 100, &err), err);
        assert_int_equal(source_hole_ahead(&source), PAGE_SIZE - 100);
        assert_ok(source_skip_hole(&source, PAGE_SIZE - 100, &err), err);
        assert_int_equal(source_hole_ahead(&source), 0);
        assert_ok(source_read(&source, octets, 8, "image", &err), err);
        assert_string_equal((char *)octets, "2 octets");
        assert_ok(source_read_some(&source, octets, 1, &got, &err), err);
        assert_int_equal(got, 0);
        assert_refused(source_skip(&source, 1, "image", &err), err,
                       ERR_TRUNCATED, "image");
        container_stream_release(&stream);
        closed(c, &file);
    }
}

/* A step that lies is met by who passes over, and by who does not. */
static void a_later_step_is_refused(void **state)
{
    for (int check = 0; check < 2; check++) {
        struct container_stream stream;
        struct stream_source source;
        struct container_file f;
        struct buffer file = {0};
        uint8_t octets[24];
        struct container *c;
        struct made m;
        struct error err;

        make(&m);
        m.chunks[CONTAINER_RECIPE][0].contents.bytes[11] |= 0xc0;
        c = opened(&m, &file, &f);
        assert_ok(container_stream_init(&stream, c, check, &err), err);
        source = source_from_container(&stream);
        assert_refused(
            check ? source_read(&source, octets, sizeof(octets), "image", &err)
                  : source_skip(&source, 25, "image", &err),
            err, ERR_FORMAT, "a step of kind 3");
        container_stream_release(&stream);
        closed(c, &file);
    }
}

static void only_a_file_is_a_container(void **state)
{
    struct container_file file;
    struct container_fd fd = {.fd = -1};
    struct error err;
    int ends[2];

    assert_refused(container_file_from_fd(&fd, &file, &err), err,
                   ERR_UNSUPPORTED, "not a regular file");
    assert_int_equal(pipe(ends), 0);
    fd.fd = ends[0];
    assert_refused(container_file_from_fd(&fd, &file, &err), err,
                   ERR_UNSUPPORTED, "not a regular file");
    close(ends[0]);
    close(ends[1]);
}

static void count_progress(void *context, uint64_t done, uint64_t total)
{
    uint64_t *last = context;

    assert_true(done >= *last && done <= total);
    *last = done;
}

/* More chunks than a chunk of the directory lists. */
static void the_directory_has_chunks_as_well(void **state)
{
    const size_t length =
        (size_t)(CONTAINER_DIRECTORY_ENTRIES + 2) * CONTAINER_CHUNK_MAX;
    uint8_t *zeroes = calloc(1, length);
    struct memory_source memory = {zeroes, length, 0, 0};
    struct stream_source source = source_from_memory(&memory);
    const struct container_write_options options = {.level = 1};
    struct container *c = calloc(1, sizeof(*c));
    struct container_summary summary;
    struct buffer file = {0};
    struct stream_sink sink = sink_to_buffer(&file);
    struct container_file f;
    uint64_t done = 0;
    struct error err;

    assert_non_null(zeroes);
    assert_non_null(c);
    assert_ok(container_write(&source, &sink, &options, &summary, NULL, &err),
              err);
    assert_true(summary.nr_chunks[CONTAINER_TEXT] >
                CONTAINER_DIRECTORY_ENTRIES);
    f = file_of(&file);
    assert_ok(container_open(c, &f, &err), err);
    assert_ok(container_verify(c, count_progress, &done, &err), err);
    assert_int_equal(done, length);
    closed(c, &file);
    free(zeroes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_right_is_taken),
        cmocka_unit_test(a_header_that_lies_is_refused),
        cmocka_unit_test(a_trailer_that_lies_is_refused),
        cmocka_unit_test(a_directory_that_lies_is_refused),
        cmocka_unit_test(a_recipe_that_lies_is_refused),
        cmocka_unit_test(steps_end_in_the_last_chunk_only),
        cmocka_unit_test(an_index_that_lies_is_refused),
        cmocka_unit_test(pages_are_refused_too),
        cmocka_unit_test(a_frame_is_found_in_many),
        cmocka_unit_test(an_image_is_passed_over),
        cmocka_unit_test(a_later_step_is_refused),
        cmocka_unit_test(only_a_file_is_a_container),
        cmocka_unit_test(the_directory_has_chunks_as_well),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
