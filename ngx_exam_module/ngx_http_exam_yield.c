
/*
 * Sockets by which an upload is asked for; see the header.
 *
 * The paths go through /proc/self/fd: that of the spool may be too long for an
 * address.  A socket nobody is bound to any more refuses the datagram: its file
 * is removed by whoever meets it.
 */


#include <ngx_event.h>

#include <dirent.h>
#include <stddef.h>
#include <sys/random.h>

#include "ngx_http_exam_upload.h"
#include "ngx_http_exam_yield.h"


#define NGX_HTTP_EXAM_YIELD_EVENT  64   /* datagrams, then others have a turn */


typedef struct {
    ngx_connection_t              *connection;
    ngx_socket_t                   fd;
    int                            spool;
    char                           name[NGX_INT64_LEN + sizeof("-00000000")];
} ngx_http_exam_yield_socket_t;


static ngx_int_t ngx_http_exam_yield_bind(ngx_cycle_t *cycle);
static socklen_t ngx_http_exam_yield_address(struct sockaddr_un *sun,
    int spool, const char *name);
static void ngx_http_exam_yield_read(ngx_event_t *rev);


static ngx_http_exam_yield_socket_t  ngx_http_exam_yield = {
    NULL, (ngx_socket_t) -1, -1, ""
};


void
ngx_http_exam_yield_init(ngx_cycle_t *cycle, int spool)
{
    ngx_connection_t  *c;

    ngx_http_exam_yield.spool = spool;

    if (ngx_http_exam_yield_bind(cycle) != NGX_OK) {
        ngx_http_exam_yield_exit();
        return;
    }

    c = ngx_get_connection(ngx_http_exam_yield.fd, cycle->log);

    if (c == NULL) {
        ngx_http_exam_yield_exit();
        return;
    }

    ngx_http_exam_yield.connection = c;

    c->log = cycle->log;
    c->read->log = cycle->log;
    c->read->handler = ngx_http_exam_yield_read;

    if (ngx_add_event(c->read, NGX_READ_EVENT, 0) != NGX_OK) {
        ngx_http_exam_yield_exit();
    }
}


void
ngx_http_exam_yield_exit(void)
{
    ngx_http_exam_yield_socket_t  *s;

    s = &ngx_http_exam_yield;

    if (s->fd != (ngx_socket_t) -1 && s->name[0] != '\0') {
        struct sockaddr_un  sun;

        (void) ngx_http_exam_yield_address(&sun, s->spool, s->name);
        (void) unlink(sun.sun_path);
        s->name[0] = '\0';
    }

    if (s->connection != NULL) {
        ngx_close_connection(s->connection);
        s->connection = NULL;

    } else if (s->fd != (ngx_socket_t) -1) {
        (void) close(s->fd);
    }

    s->fd = (ngx_socket_t) -1;
}


static ngx_int_t
ngx_http_exam_yield_bind(ngx_cycle_t *cycle)
{
    u_char                        *p;
    uint32_t                       n;
    socklen_t                      len;
    struct sockaddr_un             sun;
    ngx_http_exam_yield_socket_t  *s;

    s = &ngx_http_exam_yield;

    s->fd = socket(AF_UNIX, SOCK_DGRAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0);

    if (s->fd == (ngx_socket_t) -1) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno,
                      "exam socket() for \"" NGX_HTTP_EXAM_YIELD_DIR
                      "\" failed");
        return NGX_ERROR;
    }

    /* a pid comes again, and in containers at once */

    if (getrandom(&n, sizeof(n), GRND_NONBLOCK) != (ssize_t) sizeof(n)) {
        n = (uint32_t) ngx_random();
    }

    p = ngx_snprintf((u_char *) s->name, sizeof(s->name) - 1, "%P-%08xD",
                     ngx_pid, n);
    *p = '\0';

    len = ngx_http_exam_yield_address(&sun, s->spool, s->name);

    if (bind(s->fd, (struct sockaddr *) &sun, len) == -1) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno,
                      "exam bind() to \"%s\" failed", sun.sun_path);
        s->name[0] = '\0';
        return NGX_ERROR;
    }

    return NGX_OK;
}


static socklen_t
ngx_http_exam_yield_address(struct sockaddr_un *sun, int spool,
    const char *name)
{
    u_char  *p;

    ngx_memzero(sun, sizeof(struct sockaddr_un));
    sun->sun_family = AF_UNIX;

    p = ngx_snprintf((u_char *) sun->sun_path, sizeof(sun->sun_path) - 1,
                     "/proc/self/fd/%d/" NGX_HTTP_EXAM_YIELD_DIR "/%s",
                     spool, name);
    *p = '\0';

    return (socklen_t) (offsetof(struct sockaddr_un, sun_path)
                        + (p - (u_char *) sun->sun_path) + 1);
}


static void
ngx_http_exam_yield_read(ngx_event_t *rev)
{
    ssize_t                 n;
    ngx_uint_t              i;
    ngx_connection_t       *c;
    ngx_http_exam_yield_t   ask;

    c = rev->data;

    /* what is left is told again: the event is of a level, not of an edge */

    for (i = 0; i < NGX_HTTP_EXAM_YIELD_EVENT; i++) {
        n = recv(c->fd, &ask, sizeof(ask), MSG_TRUNC);

        if (n == (ssize_t) sizeof(ask)) {
            ngx_http_exam_upload_yield(&ask);
            continue;
        }

        if (n != -1 || ngx_errno == NGX_EINTR) {
            continue;
        }

        if (ngx_errno != NGX_EAGAIN) {
            ngx_log_error(NGX_LOG_ALERT, rev->log, ngx_errno,
                          "exam recv() of a request for an upload failed");
        }

        break;
    }

    rev->ready = 0;

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_exam_yield_exit();
    }
}


void
ngx_http_exam_yield_ask(int spool, const ngx_http_exam_yield_t *ask)
{
    int                  fd;
    DIR                 *dir;
    ssize_t              n;
    socklen_t            len;
    struct dirent       *de;
    struct sockaddr_un   sun;

    if (ngx_http_exam_yield.fd == (ngx_socket_t) -1) {
        return;
    }

    fd = openat(spool, NGX_HTTP_EXAM_YIELD_DIR,
                O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd == -1) {
        return;
    }

    dir = fdopendir(fd);

    if (dir == NULL) {
        (void) close(fd);
        return;
    }

    while ((de = readdir(dir)) != NULL) {

        if (de->d_name[0] == '.') {
            continue;
        }

        len = ngx_http_exam_yield_address(&sun, spool, de->d_name);

        n = sendto(ngx_http_exam_yield.fd, ask, sizeof(*ask),
                   MSG_DONTWAIT|MSG_NOSIGNAL, (struct sockaddr *) &sun, len);

        if (n == -1 && ngx_errno == ECONNREFUSED) {
            (void) unlinkat(fd, de->d_name, 0);
        }
    }

    (void) closedir(dir);
}
