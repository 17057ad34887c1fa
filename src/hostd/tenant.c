/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostd/tenant.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "hostd/events.h"
#include "hostd/grants.h"
#include "hostd/kernel_image.h"
#include "hostd/peers.h"

#define PAGES_PER_MIB 256u

/* ---- memory and registers ---------------------------------------------- */

static bool load_kernel(struct tenant *t, const struct tenant_config *config,
                        struct error *err)
{
    cleanup_fd int fd = -1;
    struct cpu_state state;
    struct stat st;
    void *image;
    bool ok;

    if (!file_open(config->kernel, O_RDONLY, 0, &fd, err))
        return false;
    if (fstat(fd, &st))
        return error_set_errno(err, ERR_IO, errno, "%s", config->kernel);
    if (!S_ISREG(st.st_mode) || st.st_size <= 0 ||
        (uint64_t)st.st_size > GUEST_KERNEL_MAX)
        return error_set(err, ERR_USAGE,
                         "%s: %" PRId64 " octets, expected a file of at most "
                         "%zu",
                         config->kernel, (int64_t)st.st_size, GUEST_KERNEL_MAX);
    image = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (image == MAP_FAILED)
        return error_set_errno(err, ERR_IO, errno, "%s", config->kernel);
    ok = kernel_image_load(&t->h.m, image, (size_t)st.st_size, config->cmdline,
                           &state, err);
    munmap(image, (size_t)st.st_size);
    if (ok)
        hosted_set_cpu(&t->h, 0, &state);
    return ok || error_wrap(err, "%s", config->kernel);
}

/* What a toolstack sets up before a guest starts. */
static bool set_up_rings(struct tenant *t, struct error *err)
{
    struct machine *m = &t->h.m;
    uint32_t store, console;

    if (events_alloc_unbound(m, 0, &store) ||
        events_alloc_unbound(m, 0, &console))
        return error_set(err, ERR_LIMIT, "no event channel ports");
    m->hvm_param[HVM_PARAM_STORE_PFN] = STORE_GFN;
    m->hvm_param[HVM_PARAM_STORE_EVTCHN] = store;
    m->hvm_param[HVM_PARAM_CONSOLE_PFN] = CONSOLE_GFN;
    m->hvm_param[HVM_PARAM_CONSOLE_EVTCHN] = console;
    return grants_seed(m, GNTTAB_RESERVED_CONSOLE, CONSOLE_GFN, err) &&
           grants_seed(m, GNTTAB_RESERVED_XENSTORE, STORE_GFN, err);
}

/* ---- the store --------------------------------------------------------- */

static bool put(struct tenant *t, struct store_service *s, const char *leaf,
                const char *value, bool guest_writes, struct error *err)
{
    char path[STORE_PATH_MAX], perms[32];

    snprintf(path, sizeof(path), "/local/domain/%u%s%s", t->h.m.domid,
             *leaf ? "/" : "", leaf);
    snprintf(perms, sizeof(perms), guest_writes ? "n%u" : "n0 r%u",
             t->h.m.domid);
    return store_service_write(s, path, value, err) &&
           store_service_set_perms(s, path, perms, err);
}

static bool put_number(struct tenant *t, struct store_service *s,
                       const char *leaf, uint64_t value, struct error *err)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, value);
    return put(t, s, leaf, text, false, err);
}

static bool write_store(struct tenant *t, struct store_service *s,
                        struct error *err)
{
    struct machine *m = &t->h.m;

    return put(t, s, "", "", false, err) &&
           put(t, s, "name", t->name, false, err) &&
           put_number(t, s, "domid", m->domid, err) &&
           put_number(t, s, "memory/target", (uint64_t)t->memory_mib << 10,
                      err) &&
           put(t, s, "control", "", false, err) &&
           put(t, s, "control/shutdown", "", true, err) &&
           put(t, s, "control/platform-feature-multiprocessor-suspend", "1",
               false, err) &&
           put(t, s, "control/feature-poweroff", "", true, err) &&
           put(t, s, "control/feature-reboot", "", true, err) &&
           put(t, s, "control/feature-suspend", "", true, err) &&
           put(t, s, "control/sysrq", "", true, err) &&
           put(t, s, "data", "", true, err) &&
           put(t, s, "device", "", false, err) &&
           put_number(t, s, "store/ring-ref", m->hvm_param[HVM_PARAM_STORE_PFN],
                      err) &&
           put_number(t, s, "store/port", m->hvm_param[HVM_PARAM_STORE_EVTCHN],
                      err) &&
           put_number(t, s, "console/ring-ref",
                      m->hvm_param[HVM_PARAM_CONSOLE_PFN], err) &&
           put_number(t, s, "console/port",
                      m->hvm_param[HVM_PARAM_CONSOLE_EVTCHN], err);
}

/* Where its console is on this host; another host's name for it goes. */
static bool write_console(struct tenant *t, struct store_service *s,
                          struct error *err)
{
    return put(t, s, "console/tty", t->console.tty.path, false, err);
}

static void clear_store(struct tenant *t, struct store_service *s)
{
    char path[STORE_PATH_MAX];
    struct error err;

    snprintf(path, sizeof(path), "/local/domain/%u", t->h.m.domid);
    (void)!store_service_remove(s, path, &err);
    snprintf(path, sizeof(path), "/local/domain/0/backend/vbd/%u",
             t->h.m.domid);
    (void)!store_service_remove(s, path, &err);
}

/* ---- life -------------------------------------------------------------- */

static void store_stores(struct hosted *h, uint64_t gpa, size_t length)
{
    struct tenant *t = container_of(h, struct tenant, h);

    if (t->dirty.m)
        dirty_mark(&t->dirty, gpa, length);
}

static bool check_config(const struct tenant_config *config, struct error *err)
{
    if (config->domid == 0 || config->domid >= TENANT_DOMIDS)
        return error_set(err, ERR_USAGE, "domid %u: expected 1 to %u",
                         config->domid, TENANT_DOMIDS - 1);
    if (config->memory_mib < TENANT_MEMORY_MIN ||
        config->memory_mib > TENANT_MEMORY_MAX)
        return error_set(err, ERR_USAGE, "memory: %u MiB, expected %u to %u",
                         config->memory_mib, TENANT_MEMORY_MIN,
                         TENANT_MEMORY_MAX);
    return true;
}

static bool build(struct tenant *t, const struct tenant_config *config,
                  struct store_service *store, struct error *err)
{
    uint64_t pages = (uint64_t)config->memory_mib * PAGES_PER_MIB;

    t->h.m.max_pages = pages + 2;
    if (!config->kernel)
        return true;
    if (!kernel_image_populate(&t->h.m, pages, err) ||
        !load_kernel(t, config, err) || !set_up_rings(t, err))
        return false;
    if (!console_backend_start(&t->console, &t->h, config->console, err) ||
        !store_service_introduce(store, &t->store_guest, &t->h, err) ||
        !write_store(t, store, err) || !write_console(t, store, err))
        return false;
    return !config->disk ||
           block_backend_start(&t->block, &t->h, store, BLOCK_DEVICE,
                               config->disk, config->disk_read_only, err);
}

bool tenant_create(const struct tenant_config *config,
                   const struct tsc_scale *scale, struct store_service *store,
                   struct peers *peers, const struct log *log,
                   struct tenant **ret, struct error *err)
{
    uint64_t pages = (uint64_t)config->memory_mib * PAGES_PER_MIB;
    struct tenant *t;

    if (!check_config(config, err))
        return false;
    t = calloc(1, sizeof(*t));
    if (!t)
        return error_set(err, ERR_NO_MEMORY, "domain: no memory");
    if (!hosted_init(&t->h, config->domid, config->vcpus,
                     kernel_image_gfns(pages), log, err)) {
        free(t);
        return false;
    }
    list_init(&t->link);
    t->store = store;
    t->peers = peers;
    t->dirty.uffd = t->dirty.pagemap = -1;
    t->h.store_hook = store_stores;
    t->memory_mib = config->memory_mib;
    snprintf(t->name, sizeof(t->name), "%s", config->name);
    snprintf(t->console_path, sizeof(t->console_path), "%s", config->console);
    snprintf(t->disk_path, sizeof(t->disk_path), "%s",
             config->disk ? config->disk : "");
    t->empty = !config->kernel;
    t->disk_read_only = config->disk_read_only;
    t->h.m.time.scale = *scale;
    guest_time_publish_wallclock(&t->h.m.time, machine_shared_info(&t->h.m));
    if (getrandom(t->h.m.handle, sizeof(t->h.m.handle), 0) !=
            sizeof(t->h.m.handle) ||
        !build(t, config, store, err) || !hosted_start(&t->h, err)) {
        tenant_destroy(t);
        return false;
    }
    *ret = t;
    return true;
}

void tenant_destroy(struct tenant *t)
{
    peers_leave(&t->h);
    block_backend_stop(&t->block);
    if (t->store_guest.s)
        store_service_release(t->store, &t->store_guest);
    console_backend_stop(&t->console);
    clear_store(t, t->store);
    hosted_take(&t->h);
    dirty_stop(&t->dirty);
    hosted_give(&t->h);
    hosted_release(&t->h);
    free(t);
}

void tenant_unpause(struct tenant *t)
{
    if (!t->h.peers)
        peers_join(t->peers, &t->h);
    hosted_unpause(&t->h);
}

bool tenant_is_suspended(const struct tenant *t)
{
    return t->h.m.shutdown == SHUTDOWN_suspend && hosted_is_paused(&t->h);
}

bool tenant_is_empty(struct tenant *t)
{
    bool paused;

    hosted_take(&t->h);
    paused = hosted_is_paused(&t->h);
    hosted_give(&t->h);
    return t->empty && paused;
}

bool tenant_restore_store(struct tenant *t, const struct state_store *state,
                          struct error *err)
{
    return store_service_load(t->store, &t->store_guest, &t->h, state, err);
}

bool tenant_settle(struct tenant *t, struct error *err)
{
    if (!console_backend_start(&t->console, &t->h, t->console_path, err) ||
        !write_console(t, t->store, err) ||
        (*t->disk_path &&
         !block_backend_resume(&t->block, &t->h, t->store, BLOCK_DEVICE,
                               t->disk_path, t->disk_read_only, err)))
        return false;
    t->empty = false;
    return true;
}

const char *tenant_state(struct tenant *t)
{
    uint32_t shutdown;
    bool paused;

    hosted_take(&t->h);
    shutdown = t->h.m.shutdown;
    paused = hosted_is_paused(&t->h);
    hosted_give(&t->h);
    if (shutdown == SHUTDOWN_crash)
        return "crashed";
    if (shutdown == SHUTDOWN_suspend)
        return "suspended";
    if (shutdown != SHUTDOWN_NONE)
        return "shutdown";
    return paused ? "paused" : "running";
}
