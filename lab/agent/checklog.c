/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads what self-checking guests print, from console logs.
 *
 *   checklog verify NAME [FILE...]
 *       the files, or standard input, are one log in parts: no line may say
 *       FAIL and the numbers of "check seq=N ..." may not jump
 *   checklog wait NAME LINES SECONDS FILE...
 *       until that many more check lines are there; files may appear later
 *
 * A C program because starting processes is what costs most in an emulated
 * dom0: a shell loop over grep would take the CPU from the guest it watches.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINE_MAX_BYTES 512

struct log_summary {
    unsigned long lines;
    unsigned long first;
    unsigned long last;
    unsigned long worst_ms;
    unsigned long breaks;
};

static void take_line(struct log_summary *sum, const char *line, bool show)
{
    unsigned long seq;
    const char *worst = strstr(line, " worst_ms=");
    bool failed = strncmp(line, "check FAIL", 10) == 0 ||
                  (strncmp(line, "check ", 6) == 0 && strstr(line, "=FAIL"));

    if (failed) {
        sum->breaks++;
        if (show)
            printf("%s\n", line);
    }
    if (sscanf(line, "check seq=%lu ", &seq) != 1)
        return;
    if (sum->lines == 0) {
        sum->first = seq;
    } else if (seq != sum->last + 1) {
        sum->breaks++;
        if (show)
            printf("seq %lu after %lu, expected %lu\n", seq, sum->last,
                   sum->last + 1);
    }
    sum->last = seq;
    sum->lines++;
    if (worst)
        sscanf(worst, " worst_ms=%lu", &sum->worst_ms);
}

/*
 * Lines run on from one part of the log to the next, hence the state in
 * 'line' and 'len'; overlong ones are cut.
 */
static void take_file(struct log_summary *sum, FILE *f, char *line, size_t *len,
                      bool show)
{
    int c;

    while ((c = getc(f)) != EOF) {
        if (c == '\r' || c == '\0')
            continue;
        if (c != '\n') {
            if (*len < LINE_MAX_BYTES - 1)
                line[(*len)++] = (char)c;
            continue;
        }
        line[*len] = '\0';
        take_line(sum, line, show);
        *len = 0;
    }
}

static struct log_summary read_log(char **files, bool show)
{
    struct log_summary sum = {0};
    char line[LINE_MAX_BYTES];
    size_t len = 0;

    if (!*files)
        take_file(&sum, stdin, line, &len, show);
    for (; *files; files++) {
        FILE *f = fopen(*files, "re");

        if (!f)
            continue;
        take_file(&sum, f, line, &len, show);
        fclose(f);
    }
    return sum;
}

static int verify(const char *name, char **files)
{
    struct log_summary sum = read_log(files, true);

    if (sum.lines == 0) {
        printf("%s: no check lines\n", name);
        return 1;
    }
    printf("%s: seq %lu..%lu, %lu lines, worst gap %lu ms, %lu breaks\n", name,
           sum.first, sum.last, sum.lines, sum.worst_ms, sum.breaks);
    return sum.breaks != 0;
}

static int wait_for(const char *name, unsigned long more, long seconds,
                    char **files)
{
    struct timespec pause = {.tv_nsec = 200000000};
    unsigned long want = read_log(files, false).lines + more;
    time_t end = time(NULL) + seconds;

    for (;;) {
        struct log_summary sum = read_log(files, false);

        if (sum.breaks) {
            read_log(files, true);
            printf("%s: its own checks found a break\n", name);
            return 1;
        }
        if (sum.lines >= want)
            return 0;
        if (time(NULL) > end) {
            printf("%s: %lu check lines after %ld s, expected %lu\n", name,
                   sum.lines, seconds, want);
            return 1;
        }
        nanosleep(&pause, NULL);
    }
}

int main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "verify") == 0)
        return verify(argv[2], argv + 3);
    if (argc >= 6 && strcmp(argv[1], "wait") == 0)
        return wait_for(argv[2], strtoul(argv[3], NULL, 10),
                        strtol(argv[4], NULL, 10), argv + 5);
    fprintf(stderr, "checklog verify NAME [FILE...]\n"
                    "checklog wait NAME LINES SECONDS FILE...\n");
    return 2;
}
