/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * No input costs more memory than HEAP_CAP.
 *
 * Linked with --wrap=LLVMFuzzerTestOneInput, so that whoever calls the target
 * comes by here.  The sanitizers' hooks count what is allocated between the
 * start of an input and its end; builds without sanitizers count nothing.
 * What the target itself keeps of the output is counted as well.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define HEAP_CAP ((int64_t)64 << 20)

int __real_LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __wrap_LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of the sanitizers' run-time library, where there is one. */
int __sanitizer_install_malloc_and_free_hooks(
    void (*malloc_hook)(const volatile void *, size_t),
    void (*free_hook)(const volatile void *)) __attribute__((weak));
size_t __sanitizer_get_allocated_size(const volatile void *p)
    __attribute__((weak));

static int64_t in_use;
static int64_t peak;
static int inside;

static void count_malloc(const volatile void *p, size_t size)
{
    if (!inside || !p)
        return;
    in_use += (int64_t)size;
    if (in_use > peak)
        peak = in_use;
    if (in_use > HEAP_CAP) {
        inside = 0;
        fprintf(stderr, "heap: %lld octets for one input, at most %lld\n",
                (long long)in_use, (long long)HEAP_CAP);
        abort();
    }
}

static void count_free(const volatile void *p)
{
    if (inside && p)
        in_use -= (int64_t)__sanitizer_get_allocated_size(p);
}

static void say_peak(void)
{
    fprintf(stderr, "heap: %lld octets at the most for one input\n",
            (long long)peak);
}

int __wrap_LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int installed;
    int result;

    if (!installed && __sanitizer_install_malloc_and_free_hooks &&
        __sanitizer_get_allocated_size) {
        __sanitizer_install_malloc_and_free_hooks(count_malloc, count_free);
        atexit(say_peak);
    }
    installed = 1;
    in_use = 0;
    inside = 1;
    result = __real_LLVMFuzzerTestOneInput(data, size);
    inside = 0;
    return result;
}
