/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A container restored from as if it were the image in it: a thread takes the
 * image out, into a pipe.
 *
 *    container file -> thread -> pipe -> whoever restores
 *
 * The last octets go into the pipe only after everything was found right, so
 * that a guest is never started from a damaged container.
 */
#ifndef ENGINE_MOVE_IMAGE_FEED_H
#define ENGINE_MOVE_IMAGE_FEED_H

#include "base/error.h"

struct image_feed;

/*
 * Where 'fd' is a file with a container, '*fd' becomes the end of a pipe that
 * the image comes out of, and '*ret' its feed; else '*ret' is NULL.  Takes
 * '*fd' over in the first case.  SIGPIPE must be ignored.
 */
must_check bool image_feed_begin(struct image_feed **ret, int *fd,
                                 struct error *err);

/*
 * Close the pipe's end, end the thread, free the feed.  If the feed was what
 * failed, and 'err' is not NULL, '*err' says so instead of what it was.
 */
void image_feed_end(struct image_feed *feed, int *fd, struct error *err);

#endif
