/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * make-image: write a test image to standard output.
 *
 *   make-image KEY=VALUE...
 *
 *   guest=hvm|pv64|pv32  layer=libxc|libxl|xl  version=2|3  big=0|1
 *   frames=N vcpus=N rounds=N checkpoints=N colo=0|1 verify=0|1
 *   emulator=0|1 physmap=0|1 optional=0|1 seed=N
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image_maker.h"

static int choice(const char *value, const char *const *names, int nr)
{
    for (int i = 0; i < nr; i++)
        if (strcmp(value, names[i]) == 0)
            return i;
    fprintf(stderr, "make-image: no value '%s'\n", value);
    exit(2);
}

static void set_option(struct image_options *o, const char *key,
                       const char *value)
{
    static const char *const guests[] = {"hvm", "pv64", "pv32"};
    static const char *const layers[] = {"libxc", "libxl", "xl"};
    unsigned long number = strtoul(value, NULL, 0);

    if (strcmp(key, "guest") == 0)
        o->guest = (enum image_guest)choice(value, guests, 3);
    else if (strcmp(key, "layer") == 0)
        o->layer = (enum made_layer)choice(value, layers, 3);
    else if (strcmp(key, "version") == 0)
        o->version = (uint32_t)number;
    else if (strcmp(key, "big") == 0)
        o->order = number ? ORDER_BIG : ORDER_LITTLE;
    else if (strcmp(key, "frames") == 0)
        o->nr_frames = (uint32_t)number;
    else if (strcmp(key, "vcpus") == 0)
        o->nr_vcpus = (uint32_t)number;
    else if (strcmp(key, "rounds") == 0)
        o->rounds = (unsigned int)number;
    else if (strcmp(key, "checkpoints") == 0)
        o->checkpoints = (unsigned int)number;
    else if (strcmp(key, "colo") == 0)
        o->colo = number;
    else if (strcmp(key, "verify") == 0)
        o->verify = number;
    else if (strcmp(key, "emulator") == 0)
        o->emulator = number;
    else if (strcmp(key, "physmap") == 0)
        o->physmap = number;
    else if (strcmp(key, "optional") == 0)
        o->optional = number;
    else if (strcmp(key, "seed") == 0)
        o->seed = number;
    else {
        fprintf(stderr, "make-image: no option '%s'\n", key);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    struct image_options options = {.version = 3};
    struct buffer image = {.cap = (size_t)1 << 30};
    struct error err;

    for (int i = 1; i < argc; i++) {
        char *equals = strchr(argv[i], '=');

        if (!equals) {
            fprintf(stderr, "make-image: '%s' is not KEY=VALUE\n", argv[i]);
            return 2;
        }
        *equals = '\0';
        set_option(&options, argv[i], equals + 1);
    }
    if (!image_make(&options, &image, &err)) {
        fprintf(stderr, "make-image: %s\n", err.text);
        return 1;
    }
    fwrite(image.bytes, 1, image.length, stdout);
    buffer_release(&image);
    return fflush(stdout) != 0;
}
