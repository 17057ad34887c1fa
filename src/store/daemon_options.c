/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line: what stock xenstored takes, and a few of our own. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/daemon.h"
#include "store/request.h"

enum { OPTION_JOURNAL = 256, OPTION_CHECK, OPTION_VERSION };

static const struct option options[] = {
    {"no-domain-init", no_argument,       NULL, 'D'           },
    {"entry-nb",       required_argument, NULL, 'E'           },
    {"pid-file",       required_argument, NULL, 'F'           },
    {"event",          required_argument, NULL, 'e'           },
    {"master-domid",   required_argument, NULL, 'm'           },
    {"priv-domid",     required_argument, NULL, 'p'           },
    {"help",           no_argument,       NULL, 'H'           },
    {"no-fork",        no_argument,       NULL, 'N'           },
    {"output-pid",     no_argument,       NULL, 'P'           },
    {"entry-size",     required_argument, NULL, 'S'           },
    {"trace-file",     required_argument, NULL, 'T'           },
    {"transaction",    required_argument, NULL, 't'           },
    {"perm-nb",        required_argument, NULL, 'A'           },
    {"path-max",       required_argument, NULL, 'M'           },
    {"quota",          required_argument, NULL, 'Q'           },
    {"quota-soft",     required_argument, NULL, 'q'           },
    {"timeout",        required_argument, NULL, 'w'           },
    {"no-recovery",    no_argument,       NULL, 'R'           },
    {"internal-db",    optional_argument, NULL, 'I'           },
    {"keep-orphans",   no_argument,       NULL, 'K'           },
    {"verbose",        no_argument,       NULL, 'V'           },
    {"watch-nb",       required_argument, NULL, 'W'           },
    {"live-update",    no_argument,       NULL, 'U'           },
    {"check-state",    no_argument,       NULL, OPTION_CHECK  },
    {"journal",        no_argument,       NULL, OPTION_JOURNAL},
    {"version",        no_argument,       NULL, OPTION_VERSION},
    {NULL,             0,                 NULL, 0             },
};

static const char help[] =
    "Usage: xenferry-xenstored [OPTION]...\n"
    "\n"
    "A xenstored: the configuration and control store of a Xen host.\n"
    "\n"
    "  -N, --no-fork           stay in the foreground\n"
    "  -F, --pid-file FILE     write the process id there\n"
    "      --journal           survive a crash of the serving process\n"
    "  -U, --live-update       take over the state that a predecessor left in\n"
    "                          RUNDIR/state_dump, with its descriptors\n"
    "      --check-state -     load a state from standard input, say what it "
    "has\n"
    "  -T, --trace-file FILE   log every request there\n"
    "  -V, --verbose           log more\n"
    "  -P, --output-pid        print the process id\n"
    "  -D, --no-domain-init    do not look for a hypervisor\n"
    "  -m, --master-domid ID   the domain that sockets speak for (0)\n"
    "  -p, --priv-domid ID     one more domain with all rights\n"
    "  -K, --keep-orphans      keep what a dead domain owned (a security "
    "risk)\n"
    "\n"
    "Limits for guests; 0 means none:\n"
    "  -E, --entry-nb N        nodes per domain (1000)\n"
    "  -S, --entry-size N      octets per node (2048)\n"
    "  -W, --watch-nb N        watches per domain (128)\n"
    "  -t, --transaction N     open transactions per domain (10)\n"
    "  -A, --perm-nb N         permissions per node (5)\n"
    "  -M, --path-max N        length of a path (2048)\n"
    "  -Q, --quota NAME=N      any of: nodes, watches, outstanding, memory,\n"
    "                          transactions, transaction-nodes,\n"
    "                          node-permissions, path-max, node-size\n"
    "  -q, --quota-soft NAME=N warn above it; NAME is memory\n"
    "  -w, --timeout watch-event=SECONDS\n"
    "                          drop a guest's unread event after that (20)\n"
    "\n"
    "Accepted and ignored: -e, -I, -R.\n"
    "\n"
    "  -H, --help              show this\n"
    "      --version           show the version\n"
    "\n"
    "XENSTORED_RUNDIR names the directory of the socket (/run/xenstored),\n"
    "XENSTORED_PATH the socket itself.\n";

static _Noreturn void mistake(const char *what, const char *value)
{
    fprintf(stderr, "xenferry-xenstored: %s: '%s' makes no sense\n", what,
            value);
    exit(2);
}

static uint32_t number(const char *what, const char *text)
{
    uint32_t value;

    if (!number_parse(text, &value))
        mistake(what, text);
    return value;
}

/* NAME=VALUE: cuts 'text' in two, gives back the value. */
static const char *split(const char *what, char *text)
{
    char *sign = strchr(text, '=');

    if (!sign)
        mistake(what, text);
    *sign = '\0';
    return sign + 1;
}

static void set_quota(struct quota_set *set, const char *what, char *text,
                      bool soft)
{
    const char *value = split(what, text);
    uint32_t *place = soft ? !strcmp(text, "memory") ? &set->soft_memory : NULL
                           : quota_by_name(set, text);

    if (!place)
        mistake(what, text);
    *place = number(what, value);
}

void daemon_options_parse(struct daemon_options *ret, int argc, char **argv)
{
    struct daemon_options o = {.store = store_options_default()};
    uint32_t *hard = o.store.quotas.hard;
    int c;

    while ((c = getopt_long(argc, argv,
                            "A:DE:F:HI::KM:NPQ:RS:T:UVW:e:m:p:q:t:w:", options,
                            NULL)) != -1) {
        switch (c) {
        case 'A':
            hard[QUOTA_NODE_PERMISSIONS] = number("--perm-nb", optarg);
            break;
        case 'D':
            o.no_domain_init = true;
            break;
        case 'E':
            hard[QUOTA_NODES] = number("--entry-nb", optarg);
            break;
        case 'F':
            o.pid_file = optarg;
            break;
        case 'H':
            fputs(help, stdout);
            exit(0);
        case 'K':
            o.store.keep_orphans = true;
            break;
        case 'M':
            hard[QUOTA_PATH_MAX] = number("--path-max", optarg);
            break;
        case 'N':
            o.no_fork = true;
            break;
        case 'P':
            o.output_pid = true;
            break;
        case 'Q':
            set_quota(&o.store.quotas, "--quota", optarg, false);
            break;
        case 'S':
            hard[QUOTA_NODE_SIZE] = number("--entry-size", optarg);
            break;
        case 'T':
            o.trace_file = optarg;
            break;
        case 'U':
            o.live_update = true;
            break;
        case 'V':
            o.verbose = true;
            break;
        case 'W':
            hard[QUOTA_WATCHES] = number("--watch-nb", optarg);
            break;
        case 'm':
            o.store.master_domid = (uint16_t)number("--master-domid", optarg);
            break;
        case 'p':
            o.store.privileged_domid = (uint16_t)number("--priv-domid", optarg);
            break;
        case 'q':
            set_quota(&o.store.quotas, "--quota-soft", optarg, true);
            break;
        case 't':
            hard[QUOTA_TRANSACTIONS] = number("--transaction", optarg);
            break;
        case 'w': {
            const char *value = split("--timeout", optarg);

            if (strcmp(optarg, "watch-event") != 0)
                mistake("--timeout", optarg);
            o.store.event_timeout_ns = number("--timeout", value) * NS_PER_S;
            break;
        }
        case OPTION_CHECK:
            o.check_state = true;
            break;
        case OPTION_JOURNAL:
            o.journal = true;
            break;
        case OPTION_VERSION:
            puts("xenferry-xenstored " XENFERRY_VERSION);
            exit(0);
        case 'I': /* where the database was kept, until Xen 4.17 */
        case 'R':
        case 'e':
            break;
        default:
            fputs("xenferry-xenstored: --help shows the options\n", stderr);
            exit(2);
        }
    }
    /* Stock takes "--internal-db on" as two words as well. */
    if (optind < argc && strcmp(argv[optind], "on") != 0 &&
        strcmp(argv[optind], "off") != 0 &&
        !(o.check_state && !strcmp(argv[optind], "-")))
        mistake("argument", argv[optind]);

    o.run_dir = getenv("XENSTORED_RUNDIR");
    if (!o.run_dir || !*o.run_dir)
        o.run_dir = "/run/xenstored";
    o.socket_path = getenv("XENSTORED_PATH");
    *ret = o;
}
