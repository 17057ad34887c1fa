/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/quota.h"

#include <string.h>

static const struct {
    const char *name;
    const char *control_name;
    const char *text;
    uint32_t value;
} quotas[QUOTA_NR] = {
    [QUOTA_NODES] = {"nodes",             "nodes",             "Nodes per domain",           1000   },
    [QUOTA_WATCHES] = {"watches",           "watches",           "Watches per domain",         128    },
    [QUOTA_OUTSTANDING] = {"outstanding",       "outstanding",
                     "Outstanding requests per domain",                                      20     },
    [QUOTA_MEMORY] = {"memory",            "memory",
                     "Total Xenstore memory per domain (error level)",                       2621440},
    [QUOTA_TRANSACTIONS] = {"transactions",      "transactions",
                     "Transactions per domain",                                              10     },
    [QUOTA_TRANSACTION_NODES] =
        {"transaction-nodes", "transaction-nodes",
                     "Max. number of accessed nodes per transaction",                        1024   },
    [QUOTA_NODE_PERMISSIONS] = {"node-permissions",  "permissions",
                     "Max. number of permissions per node",                                  5      },
    [QUOTA_PATH_MAX] = {"path-max",          "path-max",          "Max. length of a node path",
                     2048                                                                           },
    [QUOTA_NODE_SIZE] = {"node-size",         "node-size",         "Max. size of a node",        2048   },
};

const char *quota_name(enum quota quota)
{
    return quotas[quota].name;
}

const char *quota_control_name(enum quota quota)
{
    return quotas[quota].control_name;
}

const char *quota_text(enum quota quota)
{
    return quotas[quota].text;
}

uint32_t *quota_by_name(struct quota_set *set, const char *name)
{
    if (!strcmp(name, "soft-memory"))
        return &set->soft_memory;
    for (unsigned int i = 0; i < QUOTA_NR; i++)
        if (!strcmp(name, quotas[i].name) ||
            !strcmp(name, quotas[i].control_name))
            return &set->hard[i];
    return NULL;
}

struct quota_set quota_defaults(void)
{
    struct quota_set set = {.soft_memory = 2097152};

    for (unsigned int i = 0; i < QUOTA_NR; i++)
        set.hard[i] = quotas[i].value;
    return set;
}
