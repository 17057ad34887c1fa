/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a fuzz target over every file of a corpus, without a fuzzer, and then
 * over simple mutations of each: cuts, and octets set to edge values at
 * positions that a fixed seed chooses.
 *
 *   regression-TARGET DIRECTORY [MUTATIONS_PER_FILE]
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static uint8_t *read_file(const char *path, size_t *ret_size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes;
    long size;

    if (!file || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0) {
        perror(path);
        exit(2);
    }
    rewind(file);
    bytes = malloc(size ? (size_t)size : 1);
    if (!bytes || fread(bytes, 1, (size_t)size, file) != (size_t)size) {
        perror(path);
        exit(2);
    }
    fclose(file);
    *ret_size = (size_t)size;
    return bytes;
}

/* A copy without an octet to spare, so that sanitizers see overreads. */
static void run_copy(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy)
        exit(2);
    memcpy(copy, bytes, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void run_mutations(const uint8_t *bytes, size_t size,
                          unsigned long nr_mutations, uint64_t *random)
{
    static const uint8_t edges[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy)
        exit(2);
    for (unsigned long i = 0; i < nr_mutations && size > 0; i++) {
        size_t length = size;

        memcpy(copy, bytes, size);
        if (i % 4 == 0)
            length = next_random(random) % size;
        for (unsigned int n = 1 + next_random(random) % 3; n > 0; n--) {
            /* Most headers stand at the front. */
            size_t span = next_random(random) % 2 ? size
                          : size < 512            ? size
                                                  : 512;

            copy[next_random(random) % span] =
                edges[next_random(random) % sizeof(edges)];
        }
        run_copy(copy, length);
    }
    free(copy);
}

int main(int argc, char **argv)
{
    unsigned long nr_mutations = argc > 2 ? strtoul(argv[2], NULL, 0) : 200;
    uint64_t random = UINT64_C(0x9e3779b97f4a7c15);
    struct dirent **names;
    unsigned int nr_files = 0;
    int nr;

    if (argc < 2 || (nr = scandir(argv[1], &names, NULL, alphasort)) < 0) {
        fprintf(stderr, "usage: %s DIRECTORY [MUTATIONS]\n", argv[0]);
        return 2;
    }
    run_copy((const uint8_t *)"", 0);
    for (int i = 0; i < nr; i++) {
        char path[4096];
        uint8_t *bytes;
        size_t size;

        if (names[i]->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%s/%s", argv[1], names[i]->d_name);
            bytes = read_file(path, &size);
            run_copy(bytes, size);
            run_mutations(bytes, size, nr_mutations, &random);
            free(bytes);
            nr_files++;
        }
        free(names[i]);
    }
    free(names);
    printf("%u files, %lu mutations each\n", nr_files, nr_mutations);
    return nr_files == 0; /* a corpus that is not there tests nothing */
}
