/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/store_client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

#define TIMEOUT_MS  30000
#define TYPE_EVENT  15u
#define TYPE_ERROR  16u
#define HEADER_SIZE 16u

bool store_client_open(struct store_client *ret, const char *path,
                       struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *dir = getenv("XENSTORED_RUNDIR");
    int length;

    *ret = (struct store_client){.fd = -1, .io = {.own_fd = -1}};
    if (!path)
        path = getenv("XENSTORED_PATH");
    if (path)
        length = snprintf(ret->path, sizeof(ret->path), "%s", path);
    else
        length = snprintf(ret->path, sizeof(ret->path), "%s/socket",
                          dir ? dir : "/run/xenstored");
    if ((size_t)length >= sizeof(ret->path))
        return error_set(err, ERR_USAGE,
                         "socket: path of %d octets, expected at most %zu",
                         length, sizeof(ret->path) - 1);
    memcpy(address.sun_path, ret->path, sizeof(ret->path));
    ret->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (ret->fd < 0 ||
        connect(ret->fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        error_set_errno(err, ERR_IO, errno, "store at %s", ret->path);
        store_client_close(ret);
        return false;
    }
    if (!io_attach(&ret->io, ret->fd, true, TIMEOUT_MS, -1, err)) {
        store_client_close(ret);
        return false;
    }
    return true;
}

void store_client_close(struct store_client *client)
{
    io_release(&client->io);
    close_fd(&client->fd);
    buffer_release(&client->answer);
}

bool store_client_call(struct store_client *client, enum store_op op,
                       const void *payload, size_t length, struct error *err)
{
    uint32_t header[4] = {op, 1, client->tx, (uint32_t)length};

    client->refusal[0] = '\0';
    if (length > STORE_PAYLOAD_MAX)
        return error_set(err, ERR_LIMIT,
                         "request: %zu octets, expected at most %u", length,
                         STORE_PAYLOAD_MAX);
    if (!io_write_all(&client->io, header, sizeof(header), err) ||
        !io_write_all(&client->io, payload, length, err))
        return error_wrap(err, "store");
    do {
        uint8_t *bytes;

        if (!io_read_exact(&client->io, header, sizeof(header), err))
            return error_wrap(err, "store");
        if (header[3] > STORE_PAYLOAD_MAX)
            return error_set(err, ERR_PEER,
                             "store: answer of %u octets, expected at most %u",
                             header[3], STORE_PAYLOAD_MAX);
        buffer_reset(&client->answer);
        bytes = buffer_extend(&client->answer, header[3]);
        if (!bytes || !io_read_exact(&client->io, bytes, header[3], err))
            return buffer_check(&client->answer, "answer", err) &&
                   error_wrap(err, "store");
        buffer_u8(&client->answer, 0);
    } while (header[0] == TYPE_EVENT);
    if (!buffer_check(&client->answer, "answer", err))
        return false;
    if (header[0] == TYPE_ERROR) {
        snprintf(client->refusal, sizeof(client->refusal), "%.31s",
                 (char *)client->answer.bytes);
        return error_set(err, ERR_PEER, "store: refused with %s",
                         client->refusal);
    }
    if (header[0] != op)
        return error_set(err, ERR_PEER, "store: answer of type %u, expected %u",
                         header[0], op);
    return true;
}
