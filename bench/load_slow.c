
/*
 * Uploads that arrive slowly: each connection sends so many bytes a second, in
 * small pieces at times of its own.  What the server holds for them is looked
 * at from outside; a line on stdout tells when all have begun.  Ends with
 * stdin.
 */


#define _GNU_SOURCE

#include "load.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>


#define LOAD_SLOW_TURNS  200    /* of a millisecond; then all have sent */
#define LOAD_SLOW_PIECE  65536


static void load_slow_begin(const load_options_t *o, int fd, long i);
static uint64_t load_slow_piece(const load_options_t *o, int fd);


void
load_slow(const load_options_t *o)
{
    int            *fds, epoll;
    long            i, turn;
    uint64_t        start, bytes, now;
    struct pollfd   in;

    if (o->rate < 5 || o->rate / 5 > LOAD_SLOW_PIECE) {
        load_die("rate= is out of range");
    }

    epoll = epoll_create1(EPOLL_CLOEXEC);
    fds = calloc((size_t) o->clients, sizeof(int));

    if (epoll == -1 || fds == NULL) {
        load_die("no memory");
    }

    for (i = 0; i < o->clients; i++) {
        fds[i] = load_connect(o, epoll, EPOLLIN, (uint64_t) i);
        load_slow_begin(o, fds[i], i);
    }

    in.fd = STDIN_FILENO;
    in.events = POLLIN;
    bytes = 0;
    start = load_clock(CLOCK_MONOTONIC);

    for (turn = 0; poll(&in, 1, 0) == 0; turn++) {

        for (i = turn % LOAD_SLOW_TURNS; i < o->clients; i += LOAD_SLOW_TURNS)
        {
            bytes += load_slow_piece(o, fds[i]);
        }

        if (turn == LOAD_SLOW_TURNS) {
            printf("{\"clients\": %ld}\n", o->clients);
            fflush(stdout);
        }

        now = load_clock(CLOCK_MONOTONIC);

        if (now < start + (uint64_t) (turn + 1) * 1000) {
            usleep((useconds_t) (start + (uint64_t) (turn + 1) * 1000 - now));
        }
    }

    now = load_clock(CLOCK_MONOTONIC);

    printf("{\"bytes\": %lu, \"us\": %lu}\n", bytes, now - start);
}


static void
load_slow_begin(const load_options_t *o, int fd, long i)
{
    int    len;
    char   head[2048], *token;

    token = load_token(o, o->first + i);

    len = snprintf(head, sizeof(head),
                   "PUT %s0 HTTP/1.1\r\n"
                   "Host: exam\r\n"
                   "Authorization: Bearer %s\r\n"
                   "Content-Type: video/webm\r\n"
                   "Content-Length: %ld\r\n\r\n", o->path, token, o->size);

    if (len >= (int) sizeof(head)
        || send(fd, head, (size_t) len, MSG_NOSIGNAL) != len)
    {
        load_die("cannot begin an upload");
    }

    free(token);
}


/* a server that takes nothing, or answers before the end, is an error */

static uint64_t
load_slow_piece(const load_options_t *o, int fd)
{
    char         in[1024];
    ssize_t      n;
    static char  piece[LOAD_SLOW_PIECE];

    n = recv(fd, in, sizeof(in), 0);

    if (n > 0) {
        load_refused(in, (size_t) n);
    }

    if (n == 0) {
        errno = 0;
        load_die("a connection was closed");
    }

    n = send(fd, piece, (size_t) o->rate / 5, MSG_NOSIGNAL);

    if (n == -1 && errno != EAGAIN) {
        load_die("cannot send");
    }

    return n > 0 ? (uint64_t) n : 0;
}
