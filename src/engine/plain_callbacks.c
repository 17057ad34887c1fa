/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/engine.h"

bool plain_device_model(void *context, bool enable, struct error *err)
{
    return true;
}

bool plain_checkpoint(void *context, struct error *err)
{
    return true;
}

static bool static_data_done(void *context, uint32_t missing, struct error *err)
{
    return true;
}

static enum checkpoint_outcome refuse_checkpoint(void *context,
                                                 struct error *err)
{
    error_set(err, ERR_UNSUPPORTED,
              "a checkpointed image, expected a plain one");
    return CHECKPOINT_FAILED;
}

const struct restore_callbacks plain_restore = {
    .static_data_done = static_data_done,
    .checkpoint = refuse_checkpoint,
};
