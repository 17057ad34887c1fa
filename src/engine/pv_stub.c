#include "engine/guest.h"
const struct save_hooks save_x86_pv = {0};
const struct restore_hooks restore_x86_pv = {0};
