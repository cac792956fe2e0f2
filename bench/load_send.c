
/*
 * Uploads one after the other on each connection, until the time is over;
 * those under way are brought to an end.
 *
 * The body lies in memory and leaves by sendfile(): next to nothing of what
 * the machine does is the client's.  `put` is the upload of a segment, `dav`
 * one of nginx's module of that name, `tus` a POST that creates and a PATCH
 * with all bytes.  With `then` each file that DAV has written is hashed and
 * synced by the system's own programs, and its folder synced, before the next
 * one of this client: the guarantee that an upload of ours ends with.
 */


#define _GNU_SOURCE

#include "load.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>


#define LOAD_SEND_CHUNK  (1024 * 1024)  /* a connection's turn */
#define LOAD_SEND_CHILD  (1ULL << 32)   /* in an event: its process ended */
#define LOAD_SEND_STALL  60000          /* ms */

#define LOAD_SEND_SYNC                                                        \
    "openssl dgst -sha256 \"$1\" && sync -d \"$1\" && sync \"$2\""


typedef struct {
    int                    fd;
    long                   i;
    char                  *token;
    long                   n;           /* uploads begun */
    char                   path[512];   /* of the request */
    char                   head[2048];
    size_t                 head_len;
    size_t                 head_sent;
    off_t                  length;      /* of the body */
    off_t                  sent;
    char                   in[4096];
    size_t                 have;
    pid_t                  child;
    int                    pidfd;

    unsigned               creating:1;  /* tus: the POST */
    unsigned               writing:1;   /* EPOLLOUT is asked for */
} load_send_conn_t;


typedef struct {
    const load_options_t  *o;
    int                    epoll;
    int                    source;
    load_send_conn_t      *conns;
    long                   active;
    uint64_t               end;         /* us */
    uint64_t               files;
    uint64_t               bytes;       /* in all, whole files or not */
    uint64_t               child_us;    /* CPU */
} load_send_t;


static int load_send_source(const load_options_t *o);
static void load_send_next(load_send_t *s, load_send_conn_t *c);
static void load_send_body(load_send_t *s, load_send_conn_t *c,
    const char *method, const char *headers);
static void load_send_head(load_send_t *s, load_send_conn_t *c,
    const char *method, const char *headers);
static void load_send_create(load_send_t *s, load_send_conn_t *c);
static void load_send_location(load_send_conn_t *c);
static void load_send_write(load_send_t *s, load_send_conn_t *c);
static void load_send_want(load_send_t *s, load_send_conn_t *c,
    unsigned writing);
static void load_send_read(load_send_t *s, load_send_conn_t *c);
static void load_send_sync(load_send_t *s, load_send_conn_t *c);
static void load_send_synced(load_send_t *s, load_send_conn_t *c);
static void load_send_loop(load_send_t *s);


void
load_send(const load_options_t *o)
{
    long         i;
    uint64_t     start, cpu;
    load_send_t  s;

    memset(&s, 0, sizeof(s));
    s.o = o;

    s.source = load_send_source(o);
    s.epoll = epoll_create1(EPOLL_CLOEXEC);
    s.conns = calloc((size_t) o->clients, sizeof(load_send_conn_t));

    if (s.epoll == -1 || s.conns == NULL) {
        load_die("no memory");
    }

    for (i = 0; i < o->clients; i++) {
        s.conns[i].i = i;
        s.conns[i].pidfd = -1;
        s.conns[i].token = load_token(o, o->first + i);
        s.conns[i].fd = load_connect(o, s.epoll, EPOLLIN, (uint64_t) i);
    }

    cpu = load_clock(CLOCK_PROCESS_CPUTIME_ID);
    start = load_clock(CLOCK_MONOTONIC);
    s.end = start + (uint64_t) o->seconds * 1000000;

    for (i = 0; i < o->clients; i++) {
        load_send_next(&s, &s.conns[i]);
    }

    load_send_loop(&s);

    printf("{\"files\": %lu, \"bytes\": %lu, \"us\": %lu, \"cpu_us\": %lu,"
           " \"child_us\": %lu}\n",
           s.files, s.bytes, load_clock(CLOCK_MONOTONIC) - start,
           load_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu, s.child_us);
}


/* random bytes: no layer below can save itself the work */

static int
load_send_source(const load_options_t *o)
{
    int      fd;
    char    *data;
    ssize_t  n;
    size_t   have, size;

    size = (size_t) o->size;
    fd = memfd_create("body", MFD_CLOEXEC);

    if (fd == -1 || ftruncate(fd, o->size) == -1) {
        load_die("no memory for the body");
    }

    data = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) {
        load_die("no memory for the body");
    }

    for (have = 0; have < size; have += (size_t) n) {
        n = getrandom(data + have, size - have, 0);

        if (n < 1) {
            load_die("no random bytes");
        }
    }

    munmap(data, size);

    return fd;
}


static void
load_send_next(load_send_t *s, load_send_conn_t *c)
{
    if (load_clock(CLOCK_MONOTONIC) >= s->end) {
        s->active--;
        return;
    }

    if (strcmp(s->o->kind, "tus") == 0) {
        load_send_create(s, c);

    } else if (strcmp(s->o->kind, "dav") == 0) {
        snprintf(c->path, sizeof(c->path), "%s%ld-%ld", s->o->path,
                 s->o->first + c->i, c->n);
        load_send_body(s, c, "PUT", "Content-Type: video/webm\r\n");

    } else {
        snprintf(c->path, sizeof(c->path), "%s%ld", s->o->path, c->n);
        load_send_body(s, c, "PUT", "Content-Type: video/webm\r\n");
    }

    c->n++;
}


static void
load_send_body(load_send_t *s, load_send_conn_t *c, const char *method,
    const char *headers)
{
    c->creating = 0;
    c->length = s->o->size;

    load_send_head(s, c, method, headers);
}


static void
load_send_create(load_send_t *s, load_send_conn_t *c)
{
    char  headers[256], number[16], base64[32];

    snprintf(number, sizeof(number), "%ld", c->n);
    load_base64(base64, number);

    snprintf(headers, sizeof(headers),
             "Tus-Resumable: 1.0.0\r\n"
             "Upload-Length: %ld\r\n"
             "Upload-Metadata: kind c2NyZWVu,n %s,filetype dmlkZW8vd2VibQ=="
             "\r\n", s->o->size, base64);
    snprintf(c->path, sizeof(c->path), "%s", s->o->path);

    c->creating = 1;
    c->length = 0;

    load_send_head(s, c, "POST", headers);
}


static void
load_send_head(load_send_t *s, load_send_conn_t *c, const char *method,
    const char *headers)
{
    int  len;

    len = snprintf(c->head, sizeof(c->head),
                   "%s %s HTTP/1.1\r\n"
                   "Host: exam\r\n"
                   "Authorization: Bearer %s\r\n"
                   "%s"
                   "Content-Length: %ld\r\n\r\n",
                   method, c->path, c->token, headers, (long) c->length);

    if (len >= (int) sizeof(c->head)) {
        errno = 0;
        load_die("a header is too long");
    }

    c->head_len = (size_t) len;
    c->head_sent = 0;
    c->sent = 0;
    c->have = 0;

    load_send_write(s, c);
}


/* the path of a Location, which may be a whole URL */

static void
load_send_location(load_send_conn_t *c)
{
    size_t       len;
    const char  *p;

    p = load_header(c->in, c->have, "location:");

    if (p != NULL) {
        while (*p == ' ') {
            p++;
        }

        if (strncmp(p, "http", 4) == 0) {
            p = strstr(p, "://");
            p = p ? strchr(p + 3, '/') : NULL;

        } else if (strncmp(p, "//", 2) == 0) {
            p = strchr(p + 2, '/');
        }
    }

    len = p ? strcspn(p, "\r\n") : 0;

    if (len == 0 || len >= sizeof(c->path)) {
        load_refused(c->in, c->have);
    }

    memcpy(c->path, p, len);
    c->path[len] = '\0';
}


static void
load_send_write(load_send_t *s, load_send_conn_t *c)
{
    off_t    at;
    size_t   n;
    ssize_t  rc;

    while (c->head_sent < c->head_len) {
        rc = send(c->fd, c->head + c->head_sent, c->head_len - c->head_sent,
                  MSG_NOSIGNAL|(c->length ? MSG_MORE : 0));

        if (rc == -1) {
            goto blocked;
        }

        c->head_sent += (size_t) rc;
    }

    if (c->sent < c->length) {
        at = c->sent;
        n = (size_t) (c->length - c->sent);
        n = n < LOAD_SEND_CHUNK ? n : LOAD_SEND_CHUNK;

        rc = sendfile(c->fd, s->source, &at, n);

        if (rc == -1) {
            goto blocked;
        }

        c->sent += rc;
        s->bytes += (uint64_t) rc;
    }

    load_send_want(s, c, c->sent < c->length);

    return;

blocked:

    /* an answer before the end tells why the server has closed */

    if (errno != EAGAIN && errno != EPIPE && errno != ECONNRESET) {
        load_die("cannot send");
    }

    load_send_want(s, c, errno == EAGAIN);
}


static void
load_send_want(load_send_t *s, load_send_conn_t *c, unsigned writing)
{
    struct epoll_event  ev;

    if (c->writing == (writing != 0)) {
        return;
    }

    c->writing = (writing != 0);
    ev.events = EPOLLIN | (writing ? EPOLLOUT : 0);
    ev.data.u64 = (uint64_t) c->i;

    if (epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->fd, &ev) == -1) {
        load_die("epoll_ctl");
    }
}


static void
load_send_read(load_send_t *s, load_send_conn_t *c)
{
    int      status;
    size_t   used;
    ssize_t  n;

    /* room for a final zero: a header's value is looked at as a string */

    n = recv(c->fd, c->in + c->have, sizeof(c->in) - c->have - 1, 0);

    if (n <= 0) {
        if (n == -1 && errno == EAGAIN) {
            return;
        }

        load_die("a connection was closed");
    }

    c->have += (size_t) n;
    c->in[c->have] = '\0';

    status = load_answer(c->in, c->have, &used);
    if (status == 0) {
        return;
    }

    if (status / 100 != 2 || used != c->have || c->sent < c->length) {
        load_refused(c->in, c->have);
    }

    if (c->creating) {
        load_send_location(c);
        load_send_body(s, c, "PATCH", "Tus-Resumable: 1.0.0\r\n"
                       "Content-Type: application/offset+octet-stream\r\n"
                       "Upload-Offset: 0\r\n");
        return;
    }

    s->files++;

    if (s->o->then != NULL) {
        load_send_sync(s, c);

    } else {
        load_send_next(s, c);
    }
}


static void
load_send_sync(load_send_t *s, load_send_conn_t *c)
{
    char                file[1024];
    cpu_set_t           set;
    struct epoll_event  ev;

    snprintf(file, sizeof(file), "%s/%s", s->o->then,
             strrchr(c->path, '/') + 1);

    c->child = fork();

    if (c->child == 0) {

        if (s->o->cpu >= 0) {
            CPU_ZERO(&set);
            CPU_SET((size_t) s->o->cpu, &set);
            (void) sched_setaffinity(0, sizeof(set), &set);
        }

        if (freopen("/dev/null", "w", stdout) != NULL) {
            execlp("sh", "sh", "-c", LOAD_SEND_SYNC, "sh", file, s->o->then,
                   (char *) NULL);
        }

        _exit(127);
    }

    if (c->child == -1) {
        load_die("cannot fork");
    }

    c->pidfd = (int) syscall(SYS_pidfd_open, c->child, 0);
    ev.events = EPOLLIN;
    ev.data.u64 = (uint64_t) c->i | LOAD_SEND_CHILD;

    if (c->pidfd == -1
        || epoll_ctl(s->epoll, EPOLL_CTL_ADD, c->pidfd, &ev) == -1)
    {
        load_die("cannot wait for a process");
    }
}


static void
load_send_synced(load_send_t *s, load_send_conn_t *c)
{
    int            status;
    struct rusage  ru;

    if (wait4(c->child, &status, 0, &ru) != c->child || status != 0) {
        errno = 0;
        load_die("a file could not be hashed and synced");
    }

    close(c->pidfd);
    c->pidfd = -1;

    s->child_us += (uint64_t) (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec)
                   * 1000000
                   + (uint64_t) (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec);

    load_send_next(s, c);
}


static void
load_send_loop(load_send_t *s)
{
    int                 i, n;
    load_send_conn_t   *c;
    struct epoll_event  events[LOAD_EVENTS];

    s->active += s->o->clients;

    while (s->active > 0
           && (s->o->drain || load_clock(CLOCK_MONOTONIC) < s->end))
    {
        n = epoll_wait(s->epoll, events, LOAD_EVENTS,
                       s->o->drain ? LOAD_SEND_STALL : 100);

        if (n == 0 && s->o->drain) {
            errno = 0;
            load_die("the server takes nothing any more");
        }

        for (i = 0; i < n; i++) {
            c = &s->conns[events[i].data.u64 & ~LOAD_SEND_CHILD];

            if (events[i].data.u64 & LOAD_SEND_CHILD) {
                load_send_synced(s, c);
                continue;
            }

            if (events[i].events & ~(uint32_t) EPOLLOUT) {
                load_send_read(s, c);
            }

            if (c->writing && (events[i].events & EPOLLOUT)) {
                load_send_write(s, c);
            }
        }
    }
}
