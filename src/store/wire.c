/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/wire.h"

static const char *const outcome_names[STORE_OUTCOMES] = {
    [STORE_OK] = "OK",           [STORE_EINVAL] = "EINVAL",
    [STORE_EACCES] = "EACCES",   [STORE_EEXIST] = "EEXIST",
    [STORE_EISDIR] = "EISDIR",   [STORE_ENOENT] = "ENOENT",
    [STORE_ENOMEM] = "ENOMEM",   [STORE_ENOSPC] = "ENOSPC",
    [STORE_EIO] = "EIO",         [STORE_ENOTEMPTY] = "ENOTEMPTY",
    [STORE_ENOSYS] = "ENOSYS",   [STORE_EROFS] = "EROFS",
    [STORE_EBUSY] = "EBUSY",     [STORE_EAGAIN] = "EAGAIN",
    [STORE_EISCONN] = "EISCONN", [STORE_E2BIG] = "E2BIG",
    [STORE_EPERM] = "EPERM",
};

static const char *const op_names[OP_NR] = {
    [OP_CONTROL] = "CONTROL",
    [OP_DIRECTORY] = "DIRECTORY",
    [OP_READ] = "READ",
    [OP_GET_PERMS] = "GET_PERMS",
    [OP_WATCH] = "WATCH",
    [OP_UNWATCH] = "UNWATCH",
    [OP_TRANSACTION_START] = "TRANSACTION_START",
    [OP_TRANSACTION_END] = "TRANSACTION_END",
    [OP_INTRODUCE] = "INTRODUCE",
    [OP_RELEASE] = "RELEASE",
    [OP_GET_DOMAIN_PATH] = "GET_DOMAIN_PATH",
    [OP_WRITE] = "WRITE",
    [OP_MKDIR] = "MKDIR",
    [OP_RM] = "RM",
    [OP_SET_PERMS] = "SET_PERMS",
    [OP_WATCH_EVENT] = "WATCH_EVENT",
    [OP_ERROR] = "ERROR",
    [OP_IS_DOMAIN_INTRODUCED] = "IS_DOMAIN_INTRODUCED",
    [OP_RESUME] = "RESUME",
    [OP_SET_TARGET] = "SET_TARGET",
    [OP_RESET_WATCHES] = "RESET_WATCHES",
    [OP_DIRECTORY_PART] = "DIRECTORY_PART",
    [OP_GET_FEATURE] = "GET_FEATURE",
    [OP_SET_FEATURE] = "SET_FEATURE",
    [OP_GET_QUOTA] = "GET_QUOTA",
    [OP_SET_QUOTA] = "SET_QUOTA",
};

static const char *const extra_op_names[] = {
    [OP_QUIESCE - OP_EXTRA_FIRST] = "QUIESCE",
    [OP_GET_DOMAIN_WATCHES - OP_EXTRA_FIRST] = "GET_DOMAIN_WATCHES",
    [OP_ADD_DOMAIN_WATCHES - OP_EXTRA_FIRST] = "ADD_DOMAIN_WATCHES",
    [OP_UNQUIESCE - OP_EXTRA_FIRST] = "UNQUIESCE",
};

const char *outcome_name(enum outcome outcome)
{
    return outcome < STORE_OUTCOMES ? outcome_names[outcome] : "EINVAL";
}

const char *wire_op_name(uint32_t op)
{
    if (op < OP_NR)
        return op_names[op];
    if (op >= OP_EXTRA_FIRST && op <= OP_EXTRA_LAST)
        return extra_op_names[op - OP_EXTRA_FIRST];
    return NULL;
}
