/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xenferry domain: the guests of an embedded host. */
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/domain_console.h"
#include "cli/hostd_access.h"

enum {
    OPTION_VCPUS = OPTION_LONG_ONLY,
    OPTION_DISK,
    OPTION_DOMID,
    OPTION_PAUSED,
    OPTION_EMPTY,
    OPTION_TYPE,
    OPTION_HOST,
    OPTION_READ_ONLY,
    OPTION_LOG,
};

static const struct command_option options[] = {
    {"host",      OPTION_HOST,      "HOST",  "The host: embedded:NAME or embedded:PATH"     },
    {"json",      'j',              NULL,    "Print JSON instead of text"                   },
    {"kernel",    'k',              "FILE",  "create: the 64-bit ELF file to start"         },
    {"cmdline",   'c',              "TEXT",  "create: its command line"                     },
    {"memory",    'm',              "MIB",   "create: RAM, 16 to 65536 (default 64)"        },
    {"vcpus",     OPTION_VCPUS,     "N",     "create: 1 to 8 (default 1)"                   },
    {"disk",      OPTION_DISK,      "FILE",  "create: a disk image"                         },
    {"read-only", OPTION_READ_ONLY, NULL,    "create: the disk cannot be written"           },
    {"domid",     OPTION_DOMID,     "DOMID", "create: its number (default random)"          },
    {"paused",    OPTION_PAUSED,    NULL,    "create: do not let it run yet"                },
    {"empty",     OPTION_EMPTY,     NULL,
     "create: without memory, to be restored into"                                          },
    {"log",       OPTION_LOG,       NULL,    "console: print the log, on a terminal as well"},
    {"follow",    'f',              NULL,    "console: go on until interrupted"             },
    {"type",      OPTION_TYPE,      "TEXT",  "console: type this line first"                },
    {NULL,        0,                NULL,    NULL                                           },
};

struct domain_options {
    const char *host, *kernel, *cmdline, *disk, *type;
    uint64_t memory, vcpus, domid;
    bool json, paused, empty, follow, log, read_only;
};

/* ---- options ----------------------------------------------------------- */

static int read_option(struct command_line *line, int key, const char *argument,
                       struct domain_options *o)
{
    struct error err;
    bool ok = true;

    switch (key) {
    case OPTION_HOST:
        o->host = argument;
        break;
    case 'j':
        o->json = true;
        break;
    case 'k':
        o->kernel = argument;
        break;
    case 'c':
        o->cmdline = argument;
        break;
    case 'm':
        ok = parse_number(argument, UINT32_MAX, "--memory", &o->memory, &err);
        break;
    case OPTION_VCPUS:
        ok = parse_number(argument, UINT32_MAX, "--vcpus", &o->vcpus, &err);
        break;
    case OPTION_DISK:
        o->disk = argument;
        break;
    case OPTION_READ_ONLY:
        o->read_only = true;
        break;
    case OPTION_DOMID:
        ok = parse_number(argument, UINT32_MAX, "--domid", &o->domid, &err);
        break;
    case OPTION_PAUSED:
        o->paused = true;
        break;
    case OPTION_EMPTY:
        o->empty = true;
        break;
    case 'f':
        o->follow = true;
        break;
    case OPTION_LOG:
        o->log = true;
        break;
    case OPTION_TYPE:
        o->type = argument;
        break;
    default:
        return CLI_USAGE;
    }
    return ok ? CLI_OK : command_line_wrong(line, "%s", err.text);
}

static int read_options(struct command_line *line, struct domain_options *o)
{
    const char *argument;
    int key;

    while ((key = command_line_next(line, &argument)) != LINE_END) {
        int status = read_option(line, key, argument, o);

        if (status != CLI_OK)
            return status;
    }
    return CLI_OK;
}

/* ---- asking ------------------------------------------------------------ */

/* The host has another working directory. */
static bool add_path(struct json_object *request, const char *field,
                     const char *path, struct error *err)
{
    char whole[PATH_MAX];

    if (!path)
        return true;
    if (!realpath(path, whole))
        return error_set(err, ERR_USAGE, "%s: no such file", path);
    json_object_object_add(request, field, json_object_new_string(whole));
    return true;
}

static void add_number(struct json_object *request, const char *field,
                       uint64_t value)
{
    if (value)
        json_object_object_add(request, field, json_object_new_uint64(value));
}

static bool create(struct hostd_client *client, const struct domain_options *o,
                   const char *name, struct error *err)
{
    struct json_object *request = hostd_request("domain-create");
    struct json_object *answer;

    if (!request)
        return error_set(err, ERR_NO_MEMORY, "no memory");
    json_object_object_add(request, "name", json_object_new_string(name));
    if (!add_path(request, "kernel", o->kernel, err) ||
        !add_path(request, "disk", o->disk, err)) {
        json_object_put(request);
        return false;
    }
    if (o->cmdline)
        json_object_object_add(request, "cmdline",
                               json_object_new_string(o->cmdline));
    add_number(request, "memory_mib", o->memory);
    add_number(request, "vcpus", o->vcpus);
    add_number(request, "domid", o->domid);
    json_object_object_add(request, "disk_read_only",
                           json_object_new_boolean(o->read_only));
    json_object_object_add(request, "paused",
                           json_object_new_boolean(o->paused));
    if (!hostd_call(client, request, NULL, 0, NULL, &answer, err))
        return false;
    if (o->json)
        print_json(answer);
    else
        printf("domain %" PRIu64 "\n", hostd_number(answer, "domid"));
    json_object_put(answer);
    return true;
}

static void print_domain(struct json_object *d)
{
    printf("%5" PRIu64 "  %-20s %-9s %6" PRIu64 " MiB  %" PRIu64 " vCPU  %s\n",
           hostd_number(d, "domid"), hostd_text(d, "name"),
           hostd_text(d, "state"), hostd_number(d, "memory_mib"),
           hostd_number(d, "vcpus"), hostd_text(d, "stop_reason"));
}

static bool list(struct hostd_client *client, const struct domain_options *o,
                 struct error *err)
{
    struct json_object *answer, *all = NULL;

    if (!hostd_call(client, hostd_request("domain-list"), NULL, 0, NULL,
                    &answer, err))
        return false;
    json_object_object_get_ex(answer, "domains", &all);
    if (o->json)
        print_json(all);
    for (size_t i = 0; !o->json && all && i < json_object_array_length(all);
         i++)
        print_domain(json_object_array_get_idx(all, i));
    json_object_put(answer);
    return true;
}

static void print_ports(struct json_object *ports)
{
    size_t nr = ports ? json_object_array_length(ports) : 0;

    for (size_t i = 0; i < nr; i++) {
        struct json_object *p = json_object_array_get_idx(ports, i);

        printf("port %4" PRIu64 ": %-11s vcpu %" PRIu64 " priority %" PRIu64
               "%s%s\n",
               hostd_number(p, "port"), hostd_text(p, "state"),
               hostd_number(p, "vcpu"), hostd_number(p, "priority"),
               hostd_flag(p, "pending") ? " pending" : "",
               hostd_flag(p, "masked") ? " masked" : "");
    }
}

/* What it shares with other guests, and that it is bound to this host. */
static void print_peers(struct json_object *domain, struct json_object *answer)
{
    const char *reason = domain ? hostd_text(domain, "cannot_leave") : "";
    struct json_object *maps;

    if (hostd_number(answer, "grants_mapped"))
        printf("mapped:     %" PRIu64 " of its pages, by other guests\n",
               hostd_number(answer, "grants_mapped"));
    if (json_object_object_get_ex(answer, "grant_maps", &maps) &&
        json_object_array_length(maps))
        printf("maps:       %zu pages of other guests\n",
               json_object_array_length(maps));
    if (*reason)
        printf("stays here: %s\n", reason);
}

static bool show(struct hostd_client *client, const struct domain_options *o,
                 const char *name, struct error *err)
{
    struct json_object *answer, *part, *domain = NULL;

    if (!hostd_call(client, hostd_request_named("domain-show", name), NULL, 0,
                    NULL, &answer, err))
        return false;
    if (o->json) {
        print_json(answer);
    } else {
        if (json_object_object_get_ex(answer, "domain", &domain))
            print_domain(domain);
        printf("console:    %s\n", hostd_text(answer, "console"));
        printf("terminal:   %s\n",
               domain ? hostd_text(domain, "console_tty") : "");
        printf("disk:       %s (%s%" PRIu64 " requests)\n",
               hostd_text(answer, "disk"),
               hostd_flag(answer, "disk_read_only") ? "read-only, " : "",
               hostd_number(answer, "disk_requests"));
        printf("pages:      %" PRIu64 "\n", hostd_number(answer, "pages"));
        printf("guest time: %" PRIu64 " ms\n",
               hostd_number(answer, "guest_time_ns") / 1000000);
        printf("grants:     %" PRIu64 " in %" PRIu64 " frames\n",
               hostd_number(answer, "grants"),
               hostd_number(answer, "grant_frames"));
        printf("events:     %s\n", hostd_text(answer, "event_abi"));
        print_peers(domain, answer);
        if (json_object_object_get_ex(answer, "ports", &part))
            print_ports(part);
    }
    json_object_put(answer);
    return true;
}

/* ---- console ----------------------------------------------------------- */

static bool console(struct hostd_client *client, const struct domain_options *o,
                    const char *name, struct error *err)
{
    bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);

    if (o->type && !console_type_line(client, name, o->type, err))
        return false;
    if (terminal && !o->type && !o->follow && !o->log)
        return console_attach(client, name, err);
    return console_print_log(client, name, o->follow, err);
}

/* ---- the command ------------------------------------------------------- */

static bool simple(struct hostd_client *client, const char *op,
                   const char *name, struct error *err)
{
    return hostd_call(client, hostd_request_named(op, name), NULL, 0, NULL,
                      NULL, err);
}

static int act(struct command_line *line, const char *action, const char *name,
               const struct domain_options *o)
{
    cleanup(hostd_client_close) struct hostd_client client = {.fd = -1};
    struct error err;
    bool ok;

    if (!host_access(o->host, &client, &err))
        return command_failed(line->command, &err);
    if (!strcmp(action, "create"))
        ok = create(&client, o, name, &err);
    else if (!strcmp(action, "list"))
        ok = list(&client, o, &err);
    else if (!strcmp(action, "show"))
        ok = show(&client, o, name, &err);
    else if (!strcmp(action, "pause"))
        ok = simple(&client, "domain-pause", name, &err);
    else if (!strcmp(action, "unpause"))
        ok = simple(&client, "domain-unpause", name, &err);
    else if (!strcmp(action, "destroy"))
        ok = simple(&client, "domain-destroy", name, &err);
    else if (!strcmp(action, "console"))
        ok = console(&client, o, name, &err);
    else
        return command_line_wrong(line, "no action '%s'", action);
    return ok ? CLI_OK : command_failed(line->command, &err);
}

static int domain_run(struct command_line *line)
{
    struct domain_options o = {0};
    const char *action, *name;
    int status = read_options(line, &o);

    if (status != CLI_OK)
        return status;
    action = command_line_operand(line);
    if (!action)
        return command_line_wrong(line, "expected an action");
    status = read_options(line, &o);
    if (status != CLI_OK)
        return status;
    name = command_line_operand(line);
    if (command_line_operands(line) || !name != !strcmp(action, "list"))
        return command_line_wrong(line, "%s: expected %s", action,
                                  strcmp(action, "list") ? "one NAME"
                                                         : "no NAME");
    if (!strcmp(action, "create") && !o.kernel == !o.empty)
        return command_line_wrong(line, "create: expected --kernel=FILE or "
                                        "--empty");
    return act(line, action, name, &o);
}

const struct command command_domain = {
    .name = "domain",
    .summary = "Create, show and end the guests of an embedded host",
    .arguments = "create|list|show|pause|unpause|console|destroy [OPTION]... "
                 "[NAME]",
    .details = "NAME may also be a domid.  Without --host it is the host that "
               "$XENFERRY_HOST\nnames, else \"default\".",
    .options = options,
    .run = domain_run,
};
