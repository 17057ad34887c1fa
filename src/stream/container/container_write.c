/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/container/container_write.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/cleanup.h"
#include "stream/container/chunk_cache.h"
#include "stream/container/chunk_pipeline.h"
#include "stream/container/page_dedup.h"
#include "stream/image/image_open.h"
#include "stream/image/page_index.h"
#include "stream/page_copy.h"
#include "stream/stream_reader.h"
#include "stream/xc/xc_page_data.h"
#include "stream/xc/xc_records.h"

#define CACHED_CHUNKS 32

/* A place as the page index has it: never 0. */
#define INDEX_PLACE(what, page) (((uint64_t)(page) << 2 | (what)) + 1)

struct writer {
    const struct container_write_options *options;
    struct stream_source *inner;
    struct stream_source tee;
    struct stream_sink *sink;
    struct chunk_pipeline chunks;
    struct chunk_codec codec; /* for what is read back, and the directory */
    XXH3_state_t *hash;       /* owned; of the image */
    bool capture;             /* what is read is text */
    struct error *why;

    uint8_t *text;  /* owned; CONTAINER_CHUNK_MAX octets */
    uint8_t *pages; /* owned; the chunk that is being filled */
    uint8_t *batch; /* owned; pages as they were read */
    uint32_t text_length;
    uint32_t nr_pages; /* in 'pages' */

    enum container_step step; /* that is being made; count 0: none */
    uint32_t step_count;
    uint32_t step_page;
    uint64_t step_offset; /* of the image, where the recipe's chunk begins */
    uint64_t made;        /* octets of the image that are in the recipe */
    struct buffer recipe;

    struct chunk_cache cache;
    struct page_dedup dedup;
    struct page_index index;
    uint64_t index_floor;
    struct container_summary summary;
};

/* Recipe ------------------------------------------------------------------- */

static bool flush_recipe(struct writer *w, struct error *err)
{
    bool ok;

    if (w->recipe.length == 0)
        return true;
    ok = chunk_pipeline_give(&w->chunks, CONTAINER_RECIPE, w->step_offset,
                             w->recipe.bytes, (uint32_t)w->recipe.length, err);
    buffer_reset(&w->recipe);
    w->step_offset = w->made;
    return ok;
}

static bool end_step(struct writer *w, struct error *err)
{
    if (w->step_count == 0)
        return true;
    buffer_u32(&w->recipe, (uint32_t)w->step << 30 | w->step_count);
    buffer_u32(&w->recipe, w->step_page);
    w->made += w->step == CONTAINER_STEP_TEXT
                   ? w->step_count
                   : (uint64_t)w->step_count * PAGE_SIZE;
    w->step_count = 0;
    if (!buffer_check(&w->recipe, "container recipe", err))
        return false;
    return w->recipe.length < CONTAINER_CHUNK_MAX || flush_recipe(w, err);
}

static bool add_step(struct writer *w, enum container_step step, uint32_t count,
                     uint32_t page, struct error *err)
{
    bool same =
        w->step_count > 0 && w->step == step &&
        count <= CONTAINER_STEP_COUNT_MAX - w->step_count &&
        (step != CONTAINER_STEP_PAGES || page == w->step_page + w->step_count);

    if (!same) {
        if (!end_step(w, err))
            return false;
        w->step = step;
        w->step_page = page;
    }
    w->step_count += count;
    return true;
}

/* Text --------------------------------------------------------------------- */

static bool flush_text(struct writer *w, struct error *err)
{
    uint32_t length = w->text_length;

    w->text_length = 0;
    return length == 0 || chunk_pipeline_give(&w->chunks, CONTAINER_TEXT,
                                              w->summary.text_octets - length,
                                              w->text, length, err);
}

static bool add_text(struct writer *w, const uint8_t *at, size_t length,
                     struct error *err)
{
    while (length > 0) {
        size_t piece = size_min(length, CONTAINER_CHUNK_MAX - w->text_length);

        memcpy(w->text + w->text_length, at, piece);
        w->text_length += (uint32_t)piece;
        w->summary.text_octets += piece;
        if (!add_step(w, CONTAINER_STEP_TEXT, (uint32_t)piece, 0, err) ||
            (w->text_length == CONTAINER_CHUNK_MAX && !flush_text(w, err)))
            return false;
        at += piece;
        length -= piece;
    }
    return true;
}

/* The source that the image's reader sees ---------------------------------- */

static bool tee_read_some(void *context, void *buffer, size_t length,
                          size_t *ret_got, struct error *err)
{
    struct writer *w = context;

    if (!source_read_some(w->inner, buffer, length, ret_got, err))
        return false;
    XXH3_128bits_update(w->hash, buffer, *ret_got);
    return !w->capture || add_text(w, buffer, *ret_got, err);
}

static bool tee_readv(void *context, struct iovec *iov, int nr_iov,
                      struct error *err)
{
    return source_readv_by_pieces(tee_read_some, context, iov, nr_iov, err);
}

static uint64_t tee_hole_ahead(void *context)
{
    struct writer *w = context;

    return w->capture ? 0 : source_hole_ahead(w->inner);
}

static bool tee_skip_hole(void *context, uint64_t length, struct error *err)
{
    static const uint8_t zeroes[PAGE_SIZE];
    struct writer *w = context;

    if (!source_skip_hole(w->inner, length, err))
        return false;
    while (length > 0) {
        size_t piece = size_min(sizeof(zeroes), length);

        XXH3_128bits_update(w->hash, zeroes, piece);
        length -= piece;
    }
    return true;
}

/* Everything is looked at. */
static bool tee_skip(void *context, uint64_t length, uint64_t *ret_done,
                     struct error *err)
{
    *ret_done = 0;
    return true;
}

static const struct source_ops tee_ops = {
    .read_some = tee_read_some,
    .readv = tee_readv,
    .hole_ahead = tee_hole_ahead,
    .skip_hole = tee_skip_hole,
    .skip = tee_skip,
};

/* Pages -------------------------------------------------------------------- */

static bool flush_pages(struct writer *w, struct error *err)
{
    uint64_t number = w->chunks.nr_given[CONTAINER_PAGES];
    uint32_t length = w->nr_pages << PAGE_SHIFT;

    if (w->nr_pages == 0)
        return true;
    chunk_cache_put(&w->cache, number, w->pages, length);
    w->nr_pages = 0;
    return chunk_pipeline_give(&w->chunks, CONTAINER_PAGES,
                               number * CONTAINER_CHUNK_PAGES, w->pages, length,
                               err);
}

/*
 * A chunk of pages, from the cache or the file; NULL where it is no longer in
 * the one and the other cannot be read.  (Not then from those that are not
 * written yet: how many these are depends on the threads.)
 */
static bool page_chunk(struct writer *w, uint64_t number, const uint8_t **ret,
                       struct error *err)
{
    struct chunk_place place;
    struct container_file file;

    *ret = w->pages;
    if (number == w->chunks.nr_given[CONTAINER_PAGES])
        return true;
    *ret = chunk_cache_find(&w->cache, number);
    if (*ret || !w->options->written)
        return true;
    *ret = chunk_pipeline_contents(&w->chunks, CONTAINER_PAGES, number);
    if (*ret ||
        !chunk_pipeline_place(&w->chunks, CONTAINER_PAGES, number, &place))
        return true;
    file = *w->options->written;
    file.size = w->sink->offset;
    *ret = chunk_cache_read(&w->cache, &w->codec, &file, number, &place, err);
    return *ret || error_wrap(err, "reading back what was written");
}

/* Whether page number 'number' of the container is 'page'. */
static bool same_page(struct writer *w, uint32_t number, const uint8_t *page,
                      bool *ret, struct error *err)
{
    size_t offset = (size_t)(number % CONTAINER_CHUNK_PAGES) * PAGE_SIZE;
    const uint8_t *chunk;

    if (!page_chunk(w, number / CONTAINER_CHUNK_PAGES, &chunk, err))
        return false;
    *ret = chunk && memcmp(chunk + offset, page, PAGE_SIZE) == 0;
    return true;
}

static bool find_page(struct writer *w, uint64_t hash, const uint8_t *page,
                      bool *ret_found, uint32_t *ret_number, struct error *err)
{
    uint32_t number;

    *ret_found = false;
    for (unsigned int i = 0;
         !*ret_found && page_dedup_guess(&w->dedup, hash, i, &number); i++) {
        if (!same_page(w, number, page, ret_found, err))
            return false;
        *ret_number = number;
    }
    return true;
}

static bool keep_page(struct writer *w, const uint8_t *page,
                      uint32_t *ret_number, struct error *err)
{
    uint64_t hash = XXH3_64bits(page, PAGE_SIZE);
    bool found;

    if (!find_page(w, hash, page, &found, ret_number, err))
        return false;
    if (found)
        return true;
    if (w->summary.nr_distinct > PAGE_DEDUP_PAGE_MAX)
        return error_set(err, ERR_LIMIT,
                         "container: more than 2^32 - 1 pages, expected fewer");
    memcpy(w->pages + (size_t)w->nr_pages * PAGE_SIZE, page, PAGE_SIZE);
    *ret_number = (uint32_t)w->summary.nr_distinct++;
    page_dedup_add(&w->dedup, hash, *ret_number);
    w->nr_pages++;
    return w->nr_pages < CONTAINER_CHUNK_PAGES || flush_pages(w, err);
}

/* What the frame has now; frames that do not fit are told by a flag. */
static bool index_frame(struct writer *w, uint64_t word,
                        enum container_frame_what what, uint32_t page,
                        struct error *err)
{
    uint64_t pfn = frame_pfn(word);
    struct error problem;

    if (pfn < PAGE_INDEX_PFN_LIMIT) {
        if (page_index_set(&w->index, pfn, frame_type(word),
                           INDEX_PLACE(what, page), &problem))
            return true;
        if (problem.code != ERR_LIMIT) {
            *err = problem;
            return false;
        }
    }
    w->summary.frames_missing = true;
    return true;
}

static bool add_page(struct writer *w, uint64_t word, const uint8_t *page,
                     struct error *err)
{
    uint32_t number = 0;

    w->summary.nr_pages++;
    if (page_is_zero(page)) {
        w->summary.nr_zero++;
        return add_step(w, CONTAINER_STEP_ZERO, 1, 0, err) &&
               index_frame(w, word, CONTAINER_FRAME_ZERO, 0, err);
    }
    return keep_page(w, page, &number, err) &&
           add_step(w, CONTAINER_STEP_PAGES, 1, number, err) &&
           index_frame(w, word, CONTAINER_FRAME_PAGE, number, err);
}

/* The image ------------------------------------------------------------------ */

/* Up to a chunk of pages; what is not a whole page, at the end, is text. */
static bool read_batch(struct writer *w, struct stream_source *source,
                       size_t wanted, size_t *ret_pages, struct error *err)
{
    size_t done = 0;
    size_t got = 1;

    while (done < wanted * PAGE_SIZE && got > 0) {
        if (!source_read_some(source, w->batch + done,
                              wanted * PAGE_SIZE - done, &got, err))
            return false;
        done += got;
    }
    *ret_pages = done / PAGE_SIZE;
    return true;
}

static bool add_hole(struct writer *w, struct stream_source *source,
                     const struct page_data *pd, uint32_t *frame,
                     uint32_t *left, bool *ret_done, struct error *err)
{
    uint64_t hole = source_hole_ahead(source) / PAGE_SIZE;
    uint32_t nr = hole < *left ? (uint32_t)hole : *left;

    *ret_done = nr > 0;
    if (nr == 0)
        return true;
    if (!source_skip_hole(source, (uint64_t)nr * PAGE_SIZE, err) ||
        !add_step(w, CONTAINER_STEP_ZERO, nr, 0, err))
        return false;
    *left -= nr;
    w->summary.nr_pages += nr;
    w->summary.nr_zero += nr;
    for (; nr > 0; (*frame)++) {
        if (!frame_type_has_page(frame_type(pd->frames[*frame])))
            continue;
        nr--;
        if (!index_frame(w, pd->frames[*frame], CONTAINER_FRAME_ZERO, 0, err))
            return false;
    }
    return true;
}

static bool add_batch(struct writer *w, struct stream_source *source,
                      const struct page_data *pd, uint32_t *frame,
                      uint32_t *left, bool *ret_ended, struct error *err)
{
    size_t wanted = size_min(*left, CONTAINER_CHUNK_PAGES);
    size_t length = wanted * PAGE_SIZE;
    uint64_t before = source->offset;
    size_t got;

    if (!read_batch(w, source, wanted, &got, err))
        return false;
    for (size_t i = 0; i < got; (*frame)++) {
        if (!frame_type_has_page(frame_type(pd->frames[*frame])))
            continue;
        if (!add_page(w, pd->frames[*frame], w->batch + i * PAGE_SIZE, err))
            return false;
        i++;
    }
    *left -= (uint32_t)got;
    length = (size_t)(source->offset - before) - got * PAGE_SIZE;
    *ret_ended = got < wanted;
    return add_text(w, w->batch + got * PAGE_SIZE, length, err);
}

static bool add_frames_without_pages(struct writer *w,
                                     const struct page_data *pd,
                                     struct error *err)
{
    for (uint32_t i = 0; i < pd->nr_frames; i++)
        if (!frame_type_has_page(frame_type(pd->frames[i])) &&
            !index_frame(w, pd->frames[i], CONTAINER_FRAME_NONE, 0, err))
            return false;
    return true;
}

/* The pages of a record; '*ret_ended' where the image ends in them. */
static bool add_pages(struct writer *w, struct stream_source *source,
                      const struct page_data *pd, bool *ret_ended,
                      struct error *err)
{
    uint32_t left = pd->nr_pages;
    uint32_t frame = 0;
    bool ok = add_frames_without_pages(w, pd, err);

    w->capture = false;
    *ret_ended = false;
    while (ok && left > 0 && !*ret_ended) {
        bool hole;

        ok = add_hole(w, source, pd, &frame, &left, &hole, err);
        if (ok && !hole)
            ok = add_batch(w, source, pd, &frame, &left, ret_ended, err);
    }
    w->capture = true;
    return ok;
}

/* Whether an error says something about the image, and nothing about us. */
static bool about_the_image(const struct error *err)
{
    return err->code == ERR_FORMAT || err->code == ERR_TRUNCATED ||
           err->code == ERR_LIMIT || err->code == ERR_UNSUPPORTED;
}

static bool walk_records(struct writer *w, struct stream_source *source,
                         struct error *why, struct error *err)
{
    struct stream_reader r;
    struct stream_item item = {0};
    struct page_data pd = {0};
    bool good = true, ok = true;

    stream_reader_init(&r, source);
    while (ok && good && item.kind != ITEM_END) {
        bool ended = false;

        good = stream_reader_next(&r, &item, why);
        if (!good || item.kind != ITEM_LIBXC_RECORD ||
            item.head.type != XCREC_PAGE_DATA)
            continue;
        good = page_data_read_frames(source, &item.head, &pd, why);
        if (!good)
            continue;
        w->index.octets_max = w->index_floor + w->tee.offset / 64;
        ok = add_pages(w, source, &pd, &ended, err);
        if (ok && ended)
            good = error_set_at(why, ERR_TRUNCATED, source->offset,
                                "PAGE_DATA: the image ends, expected pages");
        if (w->options->progress)
            w->options->progress(w->options->context, w->summary.nr_pages,
                                 w->inner->offset);
    }
    page_data_release(&pd);
    stream_reader_release(&r);
    w->summary.whole = ok && good;
    if (ok && !good && !about_the_image(why)) {
        *err = *why;
        return false;
    }
    return ok;
}

static bool add_rest(struct writer *w, struct error *err)
{
    size_t got = 1;

    while (got > 0) {
        if (!source_read_some(&w->tee, w->batch, CONTAINER_CHUNK_MAX, &got,
                              err))
            return false;
        if (w->options->progress)
            w->options->progress(w->options->context, w->summary.nr_pages,
                                 w->inner->offset);
    }
    return true;
}

static bool add_image(struct writer *w, struct error *err)
{
    struct image_input *in = calloc(1, sizeof(*in));
    struct error why = {0};
    bool ok = true;

    if (!in)
        return error_set(err, ERR_NO_MEMORY, "container: no memory");
    w->capture = true;
    if (!image_open(in, &w->tee, NULL, &why)) {
        ok = about_the_image(&why);
        if (!ok)
            *err = why;
    } else if (in->form == IMAGE_STREAM) {
        ok = walk_records(w, &in->source, &why, err);
    } else {
        error_set(&why, ERR_UNSUPPORTED,
                  "%s: has no index of pages, expected a libxc image",
                  stream_kind_name(in->kind));
    }
    image_close(in);
    free(in);
    if (w->why)
        *w->why = why;
    return ok && add_rest(w, err);
}

/* The end -------------------------------------------------------------------- */

static void append_frame(struct writer *w, struct buffer *chunk, uint64_t pfn)
{
    struct page_place place = page_index_get(&w->index, pfn);
    uint64_t value = place.offset - 1;

    buffer_u64(chunk, frame_word(place.type, pfn));
    buffer_u32(chunk, (uint32_t)(value >> 2));
    buffer_u32(chunk, (uint32_t)(value & 3));
}

static bool write_frames(struct writer *w, struct error *err)
{
    cleanup(buffer_release) struct buffer chunk = {0};
    uint64_t first = 0;
    uint64_t pfn = page_index_next(&w->index, 0);

    while (pfn != UINT64_MAX) {
        if (chunk.length == 0)
            first = pfn;
        append_frame(w, &chunk, pfn);
        if (!buffer_check(&chunk, "index of pages", err))
            return false;
        w->summary.nr_frames++;
        pfn = page_index_next(&w->index, pfn + 1);
        if (pfn != UINT64_MAX && chunk.length < CONTAINER_CHUNK_MAX)
            continue;
        if (!chunk_pipeline_give(&w->chunks, CONTAINER_PFNS, first, chunk.bytes,
                                 (uint32_t)chunk.length, err))
            return false;
        buffer_reset(&chunk);
    }
    return true;
}

static bool write_directory(struct writer *w, struct error *err)
{
    const size_t most = CONTAINER_DIRECTORY_ENTRIES * CONTAINER_ENTRY_SIZE;
    cleanup(buffer_release) struct buffer chunk = {0};
    struct chunk_place place;
    uint64_t number = 0;

    w->summary.directory = w->sink->offset;
    memcpy(w->summary.nr_chunks, w->chunks.nr_given,
           sizeof(w->summary.nr_chunks));
    for (unsigned int kind = 0; kind < CONTAINER_KINDS; kind++) {
        const struct buffer *places = &w->chunks.places[kind];

        for (size_t at = 0; at < places->length; at += CONTAINER_ENTRY_SIZE) {
            buffer_bytes(&chunk, places->bytes + at, CONTAINER_ENTRY_SIZE);
            if (!buffer_check(&chunk, "container directory", err))
                return false;
            if (chunk.length < most)
                continue;
            if (!chunk_write(&w->codec, w->sink, CONTAINER_DIRECTORY, number++,
                             chunk.bytes, (uint32_t)chunk.length, &place, err))
                return false;
            buffer_reset(&chunk);
        }
    }
    return chunk.length == 0 ||
           chunk_write(&w->codec, w->sink, CONTAINER_DIRECTORY, number,
                       chunk.bytes, (uint32_t)chunk.length, &place, err);
}

static bool write_trailer(struct writer *w, struct error *err)
{
    cleanup(buffer_release) struct buffer b = {0};
    struct container_summary *s = &w->summary;

    s->file_octets = w->sink->offset + CONTAINER_TRAILER_SIZE;
    buffer_bytes(&b, CONTAINER_END_MAGIC, 8);
    buffer_u64(&b, s->file_octets);
    buffer_u64(&b, s->directory);
    for (unsigned int kind = 0; kind < CONTAINER_KINDS; kind++)
        buffer_u64(&b, s->nr_chunks[kind]);
    buffer_u64(&b, s->text_octets);
    buffer_u64(&b, s->image_octets);
    buffer_u64(&b, s->nr_distinct);
    buffer_u64(&b, s->nr_frames);
    buffer_u64(&b, s->nr_zero);
    buffer_u64(&b, s->nr_pages);
    buffer_u64(&b, (s->whole ? CONTAINER_FLAG_WHOLE : 0) |
                       (s->frames_missing ? CONTAINER_FLAG_FRAMES_MISSING : 0));
    buffer_u64(&b, s->image_hash[0]);
    buffer_u64(&b, s->image_hash[1]);
    buffer_zeroes(&b, CONTAINER_TRAILER_SIZE - 8 - b.length);
    buffer_u64(&b, b.bad ? 0 : XXH3_64bits(b.bytes, b.length));
    return buffer_check(&b, "container trailer", err) &&
           sink_write(w->sink, b.bytes, b.length, err);
}

static bool write_header(struct writer *w, struct error *err)
{
    cleanup(buffer_release) struct buffer b = {0};

    buffer_bytes(&b, CONTAINER_MAGIC, 8);
    buffer_u32(&b, CONTAINER_VERSION);
    buffer_u32(&b, 0);
    buffer_u32(&b, PAGE_SHIFT);
    buffer_u32(&b, CONTAINER_CHUNK_PAGES);
    buffer_zeroes(&b, CONTAINER_HEADER_SIZE - 8 - b.length);
    buffer_u64(&b, b.bad ? 0 : XXH3_64bits(b.bytes, b.length));
    return buffer_check(&b, "container header", err) &&
           sink_write(w->sink, b.bytes, b.length, err);
}

static bool write_end(struct writer *w, struct error *err)
{
    XXH128_hash_t hash = XXH3_128bits_digest(w->hash);

    w->summary.image_hash[0] = hash.low64;
    w->summary.image_hash[1] = hash.high64;
    w->summary.image_octets = w->tee.offset;
    if (!end_step(w, err))
        return false;
    assert(w->made == w->summary.image_octets);
    return flush_text(w, err) && flush_pages(w, err) && flush_recipe(w, err) &&
           write_frames(w, err) && chunk_pipeline_drain(&w->chunks, err) &&
           write_directory(w, err) && write_trailer(w, err);
}

static bool writer_init(struct writer *w, struct error *err)
{
    chunk_cache_init(&w->cache, CONTAINER_PAGES, CACHED_CHUNKS);
    page_index_init(&w->index, 0);
    w->index_floor = w->index.octets_max;
    w->hash = XXH3_createState();
    w->text = malloc(CONTAINER_CHUNK_MAX);
    w->pages = malloc(CONTAINER_CHUNK_MAX);
    w->batch = malloc(CONTAINER_CHUNK_MAX);
    if (!w->hash || !w->text || !w->pages || !w->batch)
        return error_set(err, ERR_NO_MEMORY, "container: no memory");
    XXH3_128bits_reset(w->hash);
    return page_dedup_init(&w->dedup, err) &&
           chunk_pipeline_start(&w->chunks, w->sink, w->options->level,
                                w->options->threads, err);
}

static void writer_release(struct writer *w)
{
    chunk_pipeline_stop(&w->chunks);
    chunk_codec_release(&w->codec);
    chunk_cache_release(&w->cache);
    page_dedup_release(&w->dedup);
    page_index_release(&w->index);
    buffer_release(&w->recipe);
    XXH3_freeState(w->hash);
    free(w->text);
    free(w->pages);
    free(w->batch);
}

bool container_write(struct stream_source *source, struct stream_sink *sink,
                     const struct container_write_options *options,
                     struct container_summary *ret, struct error *why,
                     struct error *err)
{
    struct writer *w = calloc(1, sizeof(*w));
    bool ok;

    if (!w)
        return error_set(err, ERR_NO_MEMORY, "container: no memory");
    assert(options->level >= 0 && options->level <= CONTAINER_LEVEL_MAX);
    assert(options->threads <= CONTAINER_THREADS_MAX);
    w->options = options;
    w->inner = source;
    w->sink = sink;
    w->why = why;
    w->tee = (struct stream_source){.ops = &tee_ops, .context = w};
    ok = writer_init(w, err) && write_header(w, err) && add_image(w, err) &&
         write_end(w, err);
    if (ok)
        *ret = w->summary;
    writer_release(w);
    free(w);
    return ok;
}
