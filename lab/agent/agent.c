/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The agent in dom0: runs commands for 'lab/lab run', one TCP connection each.
 *
 * Request, then frames both ways:
 *
 *      0     3 4     7 8                            8+N
 *     +-------+-------+------------------------------+
 *     | XFL1  | N     | N octets: strings, each      |
 *     |       |       | closed by a zero octet       |
 *     +-------+-------+------------------------------+
 *     strings: token, mode, terminal type, argv[0], argv[1] ...
 *     mode: "pipe", or "pty ROWS COLUMNS"
 *
 *      0      1      5            5+N
 *     +------+------+--------------+
 *     | type | N    | N octets     |   integers are little-endian
 *     +------+------+--------------+
 *     to us:   0 standard input (N = 0: its end), 4 terminal size (2 x u16)
 *     from us: 1 standard output, 2 standard error, 3 end: exit status (u32)
 *
 * The command is its own session.  When the peer goes away first, the whole
 * process group is killed: a command that ran into its time limit outside does
 * not stay behind.  What the command leaves running in the background when it
 * ends stays, and no longer holds up the answer.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define AGENT_PORT  7
#define REQUEST_MAX 131072
#define FRAME_MAX   65536
#define ARGS_MAX    4096
#define TOKEN_FILE  "/etc/xenlab/token"

enum frame_type {
    FRAME_STDIN = 0,
    FRAME_STDOUT = 1,
    FRAME_STDERR = 2,
    FRAME_EXIT = 3,
    FRAME_SIZE = 4,
};

struct request {
    char *strings; /* owned */
    const char *token;
    const char *mode;
    const char *term;
    char *argv[ARGS_MAX + 1];
};

struct command {
    pid_t pid;
    int pidfd;
    int in; /* -1 once closed */
    int out;
    int err;
    bool tty;
    /* Standard input not yet taken; the peer is not read while there is some. */
    uint8_t pending[FRAME_MAX];
    size_t pending_at;
    size_t pending_len;
};

static bool read_all(int fd, void *buf, size_t len)
{
    uint8_t *at = buf;

    while (len) {
        ssize_t n = read(fd, at, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

static bool write_all(int fd, const void *buf, size_t len)
{
    const uint8_t *at = buf;

    while (len) {
        ssize_t n = write(fd, at, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

static bool send_frame(int sock, enum frame_type type, const void *body,
                       uint32_t len)
{
    uint8_t head[5] = {(uint8_t)type, (uint8_t)len, (uint8_t)(len >> 8),
                       (uint8_t)(len >> 16), (uint8_t)(len >> 24)};

    return write_all(sock, head, sizeof(head)) && write_all(sock, body, len);
}

static bool read_request(int sock, struct request *req)
{
    uint8_t head[8];
    uint32_t len;
    size_t args = 0;
    const char *fixed[3];
    char *at;
    char *end;

    if (!read_all(sock, head, sizeof(head)) || memcmp(head, "XFL1", 4) != 0)
        return false;
    len = head[4] | (uint32_t)head[5] << 8 | (uint32_t)head[6] << 16 |
          (uint32_t)head[7] << 24;
    if (len == 0 || len > REQUEST_MAX)
        return false;
    req->strings = malloc(len);
    if (!req->strings || !read_all(sock, req->strings, len))
        return false;
    if (req->strings[len - 1] != '\0')
        return false;

    at = req->strings;
    end = at + len;
    for (size_t i = 0; i < 3; i++) {
        if (at >= end)
            return false;
        fixed[i] = at;
        at += strlen(at) + 1;
    }
    req->token = fixed[0];
    req->mode = fixed[1];
    req->term = fixed[2];
    for (; at < end; at += strlen(at) + 1) {
        if (args == ARGS_MAX)
            return false;
        req->argv[args++] = at;
    }
    req->argv[args] = NULL;
    return args > 0;
}

static bool token_is_right(const char *token)
{
    char want[128] = "";
    FILE *f = fopen(TOKEN_FILE, "re");

    if (!f)
        return false;
    if (!fgets(want, sizeof(want), f))
        want[0] = '\0';
    fclose(f);
    want[strcspn(want, "\n")] = '\0';
    return want[0] != '\0' && strcmp(token, want) == 0;
}

static void become_command(struct request *req)
{
    signal(SIGPIPE, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
    if (chdir("/root") != 0)
        _exit(126);
    setenv("PATH",
           "/usr/lib/xenlab/bin:/usr/lib/xen-4.17/bin:/usr/local/sbin:"
           "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
           1);
    setenv("HOME", "/root", 1);
    setenv("TERM", req->term[0] ? req->term : "dumb", 1);
    execvp(req->argv[0], req->argv);
    dprintf(STDERR_FILENO, "lab: %s: %s\n", req->argv[0], strerror(errno));
    _exit(errno == ENOENT ? 127 : 126);
}

static bool start_on_pty(struct request *req, struct command *cmd)
{
    struct winsize size = {.ws_row = 24, .ws_col = 80};

    sscanf(req->mode, "pty %hu %hu", &size.ws_row, &size.ws_col);
    cmd->pid = forkpty(&cmd->out, NULL, NULL, &size);
    if (cmd->pid < 0)
        return false;
    if (cmd->pid == 0)
        become_command(req);
    cmd->in = dup(cmd->out);
    cmd->err = -1;
    cmd->tty = true;
    return cmd->in >= 0;
}

static bool start_on_pipes(struct request *req, struct command *cmd)
{
    int in[2];
    int out[2];
    int err[2];

    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 ||
        pipe2(err, O_CLOEXEC) != 0)
        return false;
    cmd->pid = fork();
    if (cmd->pid < 0)
        return false;
    if (cmd->pid == 0) {
        setsid();
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        dup2(err[1], STDERR_FILENO);
        become_command(req);
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    cmd->in = in[1];
    cmd->out = out[0];
    cmd->err = err[0];
    return true;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Passes on what is readable; closes *fd at its end.  False: peer gone. */
static bool forward_output(int sock, int *fd, enum frame_type type)
{
    char buf[FRAME_MAX];
    ssize_t n = read(*fd, buf, sizeof(buf));

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0) {
        close_fd(fd);
        return true;
    }
    return send_frame(sock, type, buf, (uint32_t)n);
}

/* Hands on pending input; a command that closed its input loses the rest. */
static void feed_input(struct command *cmd)
{
    ssize_t n = write(cmd->in, cmd->pending + cmd->pending_at,
                      cmd->pending_len - cmd->pending_at);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) {
        close_fd(&cmd->in);
        cmd->pending_len = cmd->pending_at = 0;
        return;
    }
    cmd->pending_at += (size_t)n;
    if (cmd->pending_at == cmd->pending_len)
        cmd->pending_len = cmd->pending_at = 0;
}

/* One frame from the peer.  False: peer gone, or not speaking our language. */
static bool take_frame(int sock, struct command *cmd)
{
    uint8_t head[5];
    uint32_t len;

    if (!read_all(sock, head, sizeof(head)))
        return false;
    len = head[1] | (uint32_t)head[2] << 8 | (uint32_t)head[3] << 16 |
          (uint32_t)head[4] << 24;
    if (len > sizeof(cmd->pending) || !read_all(sock, cmd->pending, len))
        return false;
    if (head[0] == FRAME_SIZE && len == 4 && cmd->tty) {
        struct winsize size = {0};

        memcpy(&size.ws_row, cmd->pending, 2);
        memcpy(&size.ws_col, cmd->pending + 2, 2);
        ioctl(cmd->out, TIOCSWINSZ, &size);
    }
    if (head[0] != FRAME_STDIN || cmd->in < 0)
        return true;
    if (len == 0)
        close_fd(&cmd->in);
    cmd->pending_len = len;
    return true;
}

static bool drain(int sock, int *fd, enum frame_type type)
{
    if (*fd < 0)
        return true;
    fcntl(*fd, F_SETFL, O_NONBLOCK);
    while (*fd >= 0) {
        struct pollfd p = {.fd = *fd, .events = POLLIN};

        if (poll(&p, 1, 0) <= 0)
            return true;
        if (!forward_output(sock, fd, type))
            return false;
    }
    return true;
}

static void serve(int sock)
{
    static struct request req;
    static struct command cmd = {.in = -1, .out = -1, .err = -1, .pidfd = -1};
    uint8_t status[4] = {0};
    int code;
    int wstatus;
    bool started;

    if (!read_request(sock, &req) || !token_is_right(req.token))
        return;
    started = strncmp(req.mode, "pty", 3) == 0 ? start_on_pty(&req, &cmd)
                                               : start_on_pipes(&req, &cmd);
    if (!started)
        return;
    cmd.pidfd = (int)syscall(SYS_pidfd_open, cmd.pid, 0);
    if (cmd.pidfd < 0) {
        kill(-cmd.pid, SIGKILL);
        return;
    }

    fcntl(cmd.in, F_SETFL, O_NONBLOCK);
    for (;;) {
        /* poll() ignores negative descriptors: closed ones drop out. */
        struct pollfd p[5] = {
            {.fd = sock,                          .events = cmd.pending_len ? POLLRDHUP : POLLIN},
            {.fd = cmd.out,                       .events = POLLIN                              },
            {.fd = cmd.err,                       .events = POLLIN                              },
            {.fd = cmd.pidfd,                     .events = POLLIN                              },
            {.fd = cmd.pending_len ? cmd.in : -1, .events = POLLOUT                             },
        };
        bool peer = true;

        if (poll(p, 5, -1) < 0) {
            if (errno == EINTR)
                continue;
            peer = false;
        }
        if (peer && p[1].revents)
            peer = forward_output(sock, &cmd.out, FRAME_STDOUT);
        if (peer && p[2].revents)
            peer = forward_output(sock, &cmd.err, FRAME_STDERR);
        if (p[4].revents)
            feed_input(&cmd);
        else if (peer && p[0].revents)
            peer = !cmd.pending_len && take_frame(sock, &cmd);
        if (!peer) {
            kill(-cmd.pid, SIGKILL);
            return;
        }
        if (p[3].revents)
            break;
    }

    if (waitpid(cmd.pid, &wstatus, 0) != cmd.pid)
        return;
    code = WIFEXITED(wstatus) ? WEXITSTATUS(wstatus) : 128 + WTERMSIG(wstatus);
    status[0] = (uint8_t)code;
    if (drain(sock, &cmd.out, FRAME_STDOUT) &&
        drain(sock, &cmd.err, FRAME_STDERR))
        send_frame(sock, FRAME_EXIT, status, sizeof(status));
    shutdown(sock, SHUT_WR);
}

int main(void)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET,
        .sin_port = htons(AGENT_PORT),
        .sin_addr.s_addr = htonl(INADDR_ANY),
    };
    int one = 1;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    if (listener < 0 ||
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
        bind(listener, (struct sockaddr *)&addr, sizeof(addr)) ||
        listen(listener, 64)) {
        perror("agent");
        return 1;
    }
    for (;;) {
        int sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        pid_t pid;

        if (sock < 0)
            continue;
        pid = fork();
        if (pid == 0) {
            close(listener);
            signal(SIGCHLD, SIG_DFL);
            serve(sock);
            _exit(0);
        }
        close(sock);
    }
}
