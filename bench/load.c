
/*
 * The load program of the upload benches: keep-alive clients in one thread.
 *
 * Why a program of our own: the clients share a machine with the server that
 * is measured, so each must cost little (bodies leave by sendfile() from
 * memory), have its own token and number for each upload, and the latency of
 * heartbeats must be counted from the moment they were due, not from the one
 * in which a busy client found time to send them.
 *
 *     load send  port=P tokens=F kind=put|dav|tus clients=C seconds=S size=B
 *                [first=N] [path=/prefix/] [then=DIR cpu=N] [drain=0]
 *                uploads one after the other on each connection
 *     load slow  port=P tokens=F clients=C size=B rate=B [first=N]
 *                uploads that arrive slowly, until stdin ends
 *     load probe port=P tokens=F clients=C count=K rate=N [first=N]
 *                heartbeats in an open loop
 *
 * Each prints one line of JSON.  Tokens: those of `beat tokens`.
 */


#define _GNU_SOURCE

#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>


static void load_options(load_options_t *o, int argc, char **argv);


void
load_die(const char *what)
{
    fprintf(stderr, "load: %s%s%s\n", what, errno ? ": " : "",
            errno ? strerror(errno) : "");
    exit(1);
}


void
load_refused(const char *answer, size_t len)
{
    fprintf(stderr, "load: the server answered:\n%.*s\n", (int) len, answer);
    exit(1);
}


uint64_t
load_clock(int clock)
{
    struct timespec  ts;

    clock_gettime(clock, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}


char *
load_token(const load_options_t *o, long i)
{
    long         line;
    char        *text;
    size_t       size;
    ssize_t      n;
    static long  at;
    static FILE *f;

    if (f == NULL) {
        f = fopen(o->tokens ? o->tokens : "", "r");

        if (f == NULL) {
            load_die("cannot read tokens=");
        }
    }

    text = NULL;
    size = 0;

    for (line = at; line <= i; line++) {
        n = getline(&text, &size, f);

        if (n < 2) {
            errno = 0;
            load_die("not enough tokens");
        }

        text[n - 1] = '\0';
    }

    at = i + 1;

    return text;
}


int
load_connect(const load_options_t *o, int epoll, uint32_t events,
    uint64_t data)
{
    int                 fd, one;
    struct sockaddr_in  sin;
    struct epoll_event  ev;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons((uint16_t) o->port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    one = 1;
    fd = socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0);

    if (fd == -1
        || connect(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1
        || fcntl(fd, F_SETFL, O_NONBLOCK) == -1
        || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == -1)
    {
        load_die("cannot connect");
    }

    ev.events = events;
    ev.data.u64 = data;

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) == -1) {
        load_die("epoll_ctl");
    }

    return fd;
}


const char *
load_header(const char *in, size_t head, const char *name)
{
    size_t       len;
    const char  *p, *end;

    len = strlen(name);
    end = in + head;

    for (p = in; (p = memchr(p, '\n', (size_t) (end - p))) != NULL; ) {
        p++;

        if ((size_t) (end - p) > len && strncasecmp(p, name, len) == 0) {
            return p + len;
        }
    }

    return NULL;
}


void
load_base64(char *out, const char *text)
{
    size_t                left;
    uint32_t              bits;
    const unsigned char  *p;

    static const char  digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz0123456789+/";

    p = (const unsigned char *) text;

    for (left = strlen(text); left > 0; left -= left < 3 ? left : 3, p += 3) {
        bits = (uint32_t) p[0] << 16 | (uint32_t) (left > 1 ? p[1] : 0) << 8
               | (left > 2 ? p[2] : 0);

        *out++ = digits[bits >> 18];
        *out++ = digits[bits >> 12 & 63];
        *out++ = (char) (left > 1 ? digits[bits >> 6 & 63] : '=');
        *out++ = (char) (left > 2 ? digits[bits & 63] : '=');
    }

    *out = '\0';
}


/* of bodies without a length only those that end in this very packet */

int
load_answer(const char *in, size_t have, size_t *used)
{
    int          status;
    size_t       head;
    const char  *end, *length;

    end = memmem(in, have, "\r\n\r\n", 4);
    if (end == NULL) {
        return 0;
    }

    head = (size_t) (end - in) + 4;

    if (have < 12 || strncmp(in, "HTTP/1.1 ", 9) != 0) {
        load_refused(in, have);
    }

    status = atoi(in + 9);
    length = load_header(in, head, "content-length:");

    if (length != NULL) {
        *used = head + strtoul(length, NULL, 10);

    } else if (load_header(in, head, "transfer-encoding:") != NULL) {

        if (memcmp(in + have - 5, "0\r\n\r\n", 5) != 0) {
            return 0;
        }

        *used = have;

    } else {
        *used = head;
    }

    return have < *used ? 0 : status;
}


static void
load_options(load_options_t *o, int argc, char **argv)
{
    int     i;
    char   *eq;
    size_t  n, len;

    const struct {
        const char   *name;
        const char  **text;
        long         *value;
    } known[] = {
        { "tokens", &o->tokens, NULL },
        { "kind", &o->kind, NULL },
        { "path", &o->path, NULL },
        { "then", &o->then, NULL },
        { "port", NULL, &o->port },
        { "first", NULL, &o->first },
        { "clients", NULL, &o->clients },
        { "seconds", NULL, &o->seconds },
        { "count", NULL, &o->count },
        { "size", NULL, &o->size },
        { "rate", NULL, &o->rate },
        { "cpu", NULL, &o->cpu },
        { "drain", NULL, &o->drain }
    };

    for (i = 2; i < argc; i++) {
        eq = strchr(argv[i], '=');
        if (eq == NULL) {
            load_die("options have the form name=value");
        }

        len = (size_t) (eq - argv[i]);

        for (n = 0; n < sizeof(known) / sizeof(known[0]); n++) {

            if (strlen(known[n].name) != len
                || memcmp(known[n].name, argv[i], len) != 0)
            {
                continue;
            }

            if (known[n].text != NULL) {
                *known[n].text = eq + 1;

            } else {
                *known[n].value = strtol(eq + 1, NULL, 10);
            }

            break;
        }

        if (n == sizeof(known) / sizeof(known[0])) {
            load_die("unknown option");
        }
    }

    if (o->port < 1 || o->clients < 1) {
        load_die("port= and clients= are needed");
    }
}


int
main(int argc, char **argv)
{
    load_options_t  o;

    memset(&o, 0, sizeof(o));
    o.kind = "put";
    o.path = "/";
    o.seconds = 2;
    o.size = 16 * 1024 * 1024;
    o.rate = 200;
    o.count = 200;
    o.cpu = -1;
    o.drain = 1;

    errno = 0;

    if (argc < 2) {
        load_die("what? see the top of load.c");
    }

    load_options(&o, argc, argv);

    if (strcmp(argv[1], "send") == 0) {
        load_send(&o);

    } else if (strcmp(argv[1], "slow") == 0) {
        load_slow(&o);

    } else if (strcmp(argv[1], "probe") == 0) {
        load_probe(&o);

    } else {
        load_die("unknown command");
    }

    if (fflush(stdout) != 0) {
        load_die("cannot write");
    }

    return 0;
}
