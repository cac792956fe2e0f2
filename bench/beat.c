
/*
 * The load generator of the heartbeat benches: a closed loop over keep-alive
 * connections in one thread, linked with the core so that tokens are the ones
 * that the module issues.
 *
 * Why not wrk alone: a new `seq` and `client_time` in every request need Lua,
 * and with Lua one core of wrk carries fewer heartbeats than one core of nginx
 * answers; and wrk cannot tell which session got which `seq` last.  This one
 * makes a request in 0.3 us, stops in order (every request that was sent has
 * been answered) and numbers its requests: the k-th goes to place k % touch of
 * a fixed order of the sessions with seq + k / touch.
 *
 *     beat fixture keys=F epoch=S sessions=N        RESP for redis-cli --pipe
 *     beat tokens  keys=F epoch=S touch=N           lines, in the order of run
 *     beat run     keys=F epoch=S port=P touch=N seq=Q [connections=C]
 *                  [count=K | seconds=T]            JSON of what was measured
 *     beat idle    keys=F epoch=S port=P connections=C
 *                  one beat on each, then open until stdin ends
 */


#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../core/exam_token.h"


#define BEAT_EXAM        "bench"
#define BEAT_REQUEST     2048       /* bytes of a request, at most */
#define BEAT_REPLY       4096
#define BEAT_EVENTS      64
#define BEAT_LATENCY     1000000    /* us; longer ones count as this */
#define BEAT_DRAIN_S     10         /* for the last answers */
#define BEAT_BATCH       500        /* students a Redis command */

#define BEAT_HEAD                                                             \
    "POST /api/v1/heartbeat HTTP/1.1\r\n"                                     \
    "Host: exam\r\n"                                                          \
    "Content-Type: application/json\r\n"                                      \
    "Authorization: Bearer "

#define BEAT_STATE                                                            \
    ",\"state\":{\"recorder\":\"recording\","                                 \
    "\"recorded\":{\"screen\":12,\"camera\":12},\"queued_segments\":0,"       \
    "\"queued_bytes\":0,\"oldest_unsent_s\":0,\"focus\":true,"                \
    "\"battery\":0.87},\"missed\":[],\"ack\":[]}"


typedef struct {
    const char      *keys;
    long             epoch;         /* s: iat of the tokens */
    long             sessions;
    long             port;
    long             touch;         /* sessions that are sent to */
    long             seq;
    long             connections;
    long             count;         /* 0: for so many seconds */
    long             seconds;
} beat_options_t;


typedef struct {
    size_t           len;
    uint8_t          data[EXAM_TOKEN_MAX];
} beat_token_t;


typedef struct {
    int              fd;
    uint64_t         sent;          /* us, 0: nothing asked */
    size_t           have;
    char             in[BEAT_REPLY];
} beat_conn_t;


typedef struct {
    beat_options_t   opt;
    exam_keyring_t   ring;
    int              epoll;
    beat_conn_t     *conns;
    uint8_t         *tokens;        /* opt.touch times `stride` bytes */
    size_t           stride;
    uint64_t         start;         /* us */
    uint64_t         end;
    uint64_t         sent;          /* requests */
    uint64_t         answered;
    uint64_t         ok;
    uint64_t         body;          /* bytes, of all answers */
    uint64_t         lap;           /* wall clock ms: the running lap's start */
    uint64_t         whole;         /* that of the last whole one, or 0 */
    uint64_t         max;           /* us */
    uint32_t        *latency;
} beat_t;


static void beat_die(const char *what);
static uint64_t beat_clock(clockid_t clock);
static void beat_options(beat_options_t *o, int argc, char **argv);
static void beat_keys(beat_t *b);
static size_t beat_student(char out[16], long i);
static void beat_sid(long i, uint8_t sid[EXAM_SID_LEN]);
static void beat_token(beat_t *b, long i, beat_token_t *out);
static long beat_place(beat_t *b, long place);
static void beat_tokens(beat_t *b);
static void beat_bulk(const char *s, size_t len);
static void beat_command(const char *name, const char *key, long words);
static void beat_sessions(beat_t *b, long from, long to);
static void beat_stored(long from, long to);
static void beat_fixture(beat_t *b);
static void beat_connect(beat_t *b);
static void beat_send(beat_t *b, beat_conn_t *c, uint64_t now);
static int beat_reply(beat_t *b, beat_conn_t *c);
static void beat_read(beat_t *b, beat_conn_t *c);
static int beat_more(beat_t *b, uint64_t now);
static void beat_loop(beat_t *b);
static unsigned beat_percentile(beat_t *b, unsigned percent);
static void beat_run(beat_t *b);
static void beat_idle(beat_t *b);


static void
beat_die(const char *what)
{
    fprintf(stderr, "beat: %s%s%s\n", what, errno ? ": " : "",
            errno ? strerror(errno) : "");
    exit(1);
}


static uint64_t
beat_clock(clockid_t clock)
{
    struct timespec  ts;

    clock_gettime(clock, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}


static void
beat_options(beat_options_t *o, int argc, char **argv)
{
    int     i;
    char   *eq;
    size_t  n, len;

    const struct {
        const char  *name;
        long        *value;
    } known[] = {
        { "epoch", &o->epoch },
        { "sessions", &o->sessions },
        { "port", &o->port },
        { "touch", &o->touch },
        { "seq", &o->seq },
        { "connections", &o->connections },
        { "count", &o->count },
        { "seconds", &o->seconds }
    };

    o->connections = 64;
    o->seconds = 5;

    for (i = 2; i < argc; i++) {
        eq = strchr(argv[i], '=');
        if (eq == NULL) {
            beat_die("options have the form name=value");
        }

        len = (size_t) (eq - argv[i]);

        if (strncmp(argv[i], "keys=", 5) == 0) {
            o->keys = eq + 1;
            continue;
        }

        for (n = 0; n < sizeof(known) / sizeof(known[0]); n++) {
            if (strlen(known[n].name) == len
                && memcmp(known[n].name, argv[i], len) == 0)
            {
                *known[n].value = strtol(eq + 1, NULL, 10);
                break;
            }
        }

        if (n == sizeof(known) / sizeof(known[0])) {
            beat_die("unknown option");
        }
    }

    if (o->keys == NULL || o->epoch == 0) {
        beat_die("keys= and epoch= are needed");
    }
}


static void
beat_keys(beat_t *b)
{
    FILE        *f;
    char         text[4096];
    size_t       len;
    unsigned     line;
    const char  *what;

    f = fopen(b->opt.keys, "r");
    if (f == NULL) {
        beat_die("cannot read the key file");
    }

    len = fread(text, 1, sizeof(text), f);
    fclose(f);

    if (exam_keyring_parse(&b->ring, exam_str_make(text, len), &line, &what)
        != EXAM_OK)
    {
        beat_die("the key file is malformed");
    }
}


static size_t
beat_student(char out[16], long i)
{
    return (size_t) snprintf(out, 16, "S%07ld", i);
}


static void
beat_sid(long i, uint8_t sid[EXAM_SID_LEN])
{
    char     student[16];
    size_t   len;
    uint8_t  rest[12] = { 0 };

    len = beat_student(student, i);

    memcpy(rest, &i, sizeof(uint32_t));
    memcpy(rest + 8, &i, sizeof(uint32_t));

    exam_sid_make(sid, exam_str(BEAT_EXAM), exam_str_make(student, len), rest);
}


static void
beat_token(beat_t *b, long i, beat_token_t *out)
{
    char           student[16];
    exam_claims_t  claims;

    claims.exam = exam_str(BEAT_EXAM);
    claims.student = exam_str_make(student, beat_student(student, i));
    claims.gen = (uint64_t) b->opt.epoch * 1000;
    claims.iat = b->opt.epoch;
    claims.exp = b->opt.epoch + 2 * 86400;
    beat_sid(i, claims.sid);

    out->len = exam_token_issue(&b->ring, EXAM_KEY_CANDIDATE, &claims,
                                out->data, sizeof(out->data));
    if (out->len == 0) {
        beat_die("no token");
    }
}


/* the session at a place of the order: all of them once, neighbours apart */

static long
beat_place(beat_t *b, long place)
{
    long  a, c, t, step;

    for (step = (long) ((double) b->opt.touch * 0.618) | 1; ; step += 2) {

        for (a = step, c = b->opt.touch; c; t = a % c, a = c, c = t) {
            /* the greatest common divisor */
        }

        if (a == 1) {
            return place * step % b->opt.touch;
        }
    }
}


/* they lie in the order in which they are sent: no cache misses of ours */

static void
beat_tokens(beat_t *b)
{
    long          i;
    beat_token_t  token;

    if (b->opt.touch < 1) {
        beat_die("touch= is needed");
    }

    beat_token(b, 0, &token);

    b->stride = token.len;
    b->tokens = malloc(b->stride * (size_t) b->opt.touch);

    if (b->tokens == NULL) {
        beat_die("no memory");
    }

    for (i = 0; i < b->opt.touch; i++) {
        beat_token(b, beat_place(b, i), &token);

        if (token.len != b->stride) {
            beat_die("tokens differ in length");
        }

        memcpy(b->tokens + b->stride * (size_t) i, token.data, token.len);
    }
}


static void
beat_bulk(const char *s, size_t len)
{
    printf("$%zu\r\n", len);
    fwrite(s, 1, len, stdout);
    fputs("\r\n", stdout);
}


static void
beat_command(const char *name, const char *key, long words)
{
    printf("*%ld\r\n", words + 2);
    beat_bulk(name, strlen(name));
    beat_bulk(key, strlen(key));
}


static void
beat_sessions(beat_t *b, long from, long to)
{
    long        i;
    char        student[16], text[256];
    size_t      len;
    uint8_t     sid[EXAM_SID_LEN];
    exam_buf_t  out;

    beat_command("HSET", "exam:{" BEAT_EXAM "}:sessions", 2 * (to - from));

    for (i = from; i < to; i++) {
        len = beat_student(student, i);
        beat_bulk(student, len);
        beat_sid(i, sid);

        /* as the login script writes it */

        exam_buf_init(&out, text, sizeof(text));
        exam_buf_lit(&out, "{\"sid\":\"");
        exam_buf_hex(&out, sid, EXAM_SID_LEN);
        exam_buf_lit(&out, "\",\"gen\":");
        exam_buf_int(&out, b->opt.epoch * 1000);
        exam_buf_lit(&out, ",\"node\":\"n1\",\"ip\":\"127.0.0.1\","
                           "\"login_at\":");
        exam_buf_int(&out, b->opt.epoch * 1000);
        exam_buf_lit(&out, ",\"ended\":\"\"}");

        beat_bulk(text, exam_buf_len(&out));
    }
}


static void
beat_stored(long from, long to)
{
    long         i, k;
    char         student[16], text[160];
    uint8_t      sid[EXAM_SID_LEN];
    exam_buf_t   out;

    static const char *const  kinds[] = { ":screen", ":camera" };

    beat_command("HSET", "exam:{" BEAT_EXAM "}:stored", 4 * (to - from));

    for (i = from; i < to; i++) {
        beat_sid(i, sid);

        for (k = 0; k < 2; k++) {
            exam_buf_init(&out, text, sizeof(text));
            exam_buf_put(&out, student, beat_student(student, i));
            exam_buf_char(&out, ':');
            exam_buf_hex(&out, sid, EXAM_SID_LEN);
            exam_buf_put(&out, kinds[k], strlen(kinds[k]));

            beat_bulk(text, exam_buf_len(&out));
            beat_bulk("11", 2);
        }
    }
}


/* what login would have left: an open exam, sessions, nothing to be stored */

static void
beat_fixture(beat_t *b)
{
    long  i, to;
    char  number[32];

    beat_command("HSET", "exam:{" BEAT_EXAM "}", 14);

    beat_bulk("title", 5);
    beat_bulk("Bench", 5);
    beat_bulk("state", 5);
    beat_bulk("open", 4);
    beat_bulk("starts_at", 9);
    snprintf(number, sizeof(number), "%ld", (b->opt.epoch - 3600) * 1000);
    beat_bulk(number, strlen(number));
    beat_bulk("ends_at", 7);
    snprintf(number, sizeof(number), "%ld", (b->opt.epoch + 86400) * 1000);
    beat_bulk(number, strlen(number));
    beat_bulk("pause_ms", 8);
    beat_bulk("0", 1);
    beat_bulk("paused_at", 9);
    beat_bulk("0", 1);
    beat_bulk("version", 7);
    beat_bulk("1", 1);

    for (i = 0; i < b->opt.sessions; i = to) {
        to = i + BEAT_BATCH < b->opt.sessions ? i + BEAT_BATCH
                                              : b->opt.sessions;
        beat_sessions(b, i, to);
        beat_stored(i, to);
    }

    beat_command("SADD", "exam:active", 1);
    beat_bulk(BEAT_EXAM, strlen(BEAT_EXAM));
    beat_command("SET", "exam:loaded", 1);
    beat_bulk("1", 1);
}


static void
beat_connect(beat_t *b)
{
    int                 one;
    long                i;
    beat_conn_t        *c;
    struct sockaddr_in  sin;
    struct epoll_event  ev;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons((uint16_t) b->opt.port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    one = 1;
    b->epoll = epoll_create1(0);
    b->conns = calloc((size_t) b->opt.connections, sizeof(beat_conn_t));

    if (b->epoll == -1 || b->conns == NULL) {
        beat_die("cannot begin");
    }

    for (i = 0; i < b->opt.connections; i++) {
        c = &b->conns[i];
        c->fd = socket(AF_INET, SOCK_STREAM, 0);

        if (c->fd == -1
            || connect(c->fd, (struct sockaddr *) &sin, sizeof(sin)) == -1
            || fcntl(c->fd, F_SETFL, O_NONBLOCK) == -1
            || setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one))
               == -1)
        {
            beat_die("cannot connect");
        }

        ev.events = EPOLLIN;
        ev.data.ptr = c;

        if (epoll_ctl(b->epoll, EPOLL_CTL_ADD, c->fd, &ev) == -1) {
            beat_die("epoll_ctl");
        }
    }
}


static void
beat_send(beat_t *b, beat_conn_t *c, uint64_t now)
{
    size_t      len;
    uint8_t     request[BEAT_REQUEST], body[BEAT_REQUEST / 2];
    uint64_t    place;
    exam_buf_t  head, out;

    place = b->sent % (uint64_t) b->opt.touch;

    if (place == 0) {
        b->whole = b->lap;
        b->lap = beat_clock(CLOCK_REALTIME) / 1000;
    }

    exam_buf_init(&out, body, sizeof(body));
    exam_buf_lit(&out, "{\"seq\":");
    exam_buf_uint(&out, (uint64_t) b->opt.seq
                        + b->sent / (uint64_t) b->opt.touch);
    exam_buf_lit(&out, ",\"client_time\":");
    exam_buf_uint(&out, (uint64_t) b->opt.epoch * 1000 + b->sent);
    exam_buf_lit(&out, BEAT_STATE);

    exam_buf_init(&head, request, sizeof(request));
    exam_buf_lit(&head, BEAT_HEAD);
    exam_buf_put(&head, b->tokens + b->stride * place, b->stride);
    exam_buf_lit(&head, "\r\nContent-Length: ");
    exam_buf_uint(&head, exam_buf_len(&out));
    exam_buf_lit(&head, "\r\n\r\n");
    exam_buf_put(&head, out.start, exam_buf_len(&out));

    len = exam_buf_len(&head);

    if (out.overflow || head.overflow
        || send(c->fd, request, len, MSG_NOSIGNAL) != (ssize_t) len)
    {
        beat_die("cannot send a request");
    }

    c->sent = now;
    b->sent++;
}


/* 1: a whole answer was there and is counted */

static int
beat_reply(beat_t *b, beat_conn_t *c)
{
    char    *end, *length;
    size_t   head, body;

    end = memmem(c->in, c->have, "\r\n\r\n", 4);
    if (end == NULL) {
        return 0;
    }

    head = (size_t) (end - c->in) + 4;
    length = memmem(c->in, head, "\r\nContent-Length: ", 18);

    if (length == NULL) {
        errno = 0;
        beat_die("an answer has no Content-Length");
    }

    body = strtoul(length + 18, NULL, 10);

    if (c->have < head + body) {
        return 0;
    }

    if (c->have > head + body) {
        errno = 0;
        beat_die("an answer is longer than it says");
    }

    b->answered++;
    b->ok += (memcmp(c->in, "HTTP/1.1 200 ", 13) == 0);
    b->body += body;
    c->have = 0;

    return 1;
}


static void
beat_read(beat_t *b, beat_conn_t *c)
{
    ssize_t   n;
    uint64_t  now, us;

    n = recv(c->fd, c->in + c->have, sizeof(c->in) - c->have, 0);

    if (n <= 0) {
        if (n == -1 && errno == EAGAIN) {
            return;
        }

        beat_die("a connection was closed");
    }

    c->have += (size_t) n;

    if (c->sent == 0 || !beat_reply(b, c)) {
        return;
    }

    now = beat_clock(CLOCK_MONOTONIC);
    us = now - c->sent;
    c->sent = 0;

    b->latency[us < BEAT_LATENCY ? us : BEAT_LATENCY - 1]++;

    if (us > b->max) {
        b->max = us;
    }

    if (beat_more(b, now)) {
        beat_send(b, c, now);
    }
}


static int
beat_more(beat_t *b, uint64_t now)
{
    return b->opt.count ? b->sent < (uint64_t) b->opt.count : now < b->end;
}


static void
beat_loop(beat_t *b)
{
    int                 i, n;
    long                k;
    struct epoll_event  events[BEAT_EVENTS];

    b->latency = calloc(BEAT_LATENCY, sizeof(uint32_t));
    if (b->latency == NULL) {
        beat_die("no memory");
    }

    b->start = beat_clock(CLOCK_MONOTONIC);
    b->end = b->start + (uint64_t) b->opt.seconds * 1000000;

    for (k = 0; k < b->opt.connections && beat_more(b, b->start); k++) {
        beat_send(b, &b->conns[k], beat_clock(CLOCK_MONOTONIC));
    }

    while (b->answered < b->sent) {
        n = epoll_wait(b->epoll, events, BEAT_EVENTS, BEAT_DRAIN_S * 1000);

        if (n == 0) {
            errno = 0;
            beat_die("no answer any more");
        }

        for (i = 0; i < n; i++) {
            beat_read(b, events[i].data.ptr);
        }
    }

    b->end = beat_clock(CLOCK_MONOTONIC);
}


static unsigned
beat_percentile(beat_t *b, unsigned percent)
{
    unsigned  us;
    uint64_t  left;

    left = b->answered - b->answered * percent / 100;

    for (us = BEAT_LATENCY; us > 0; us--) {

        if (b->latency[us - 1] >= left) {
            return us - 1;
        }

        left -= b->latency[us - 1];
    }

    return 0;
}


static void
beat_run(beat_t *b)
{
    uint64_t  cpu, start;

    beat_tokens(b);
    beat_connect(b);

    start = beat_clock(CLOCK_REALTIME) / 1000;
    cpu = beat_clock(CLOCK_PROCESS_CPUTIME_ID);
    beat_loop(b);
    cpu = beat_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu;

    printf("{\"requests\": %lu, \"ok\": %lu, \"us\": %lu, \"cpu_us\": %lu,"
           " \"body_bytes\": %lu, \"p50_us\": %u, \"p99_us\": %u,"
           " \"max_us\": %lu, \"start_ms\": %lu, \"lap_ms\": %lu}\n",
           b->answered, b->ok, b->end - b->start, cpu,
           b->answered ? b->body / b->answered : 0,
           beat_percentile(b, 50), beat_percentile(b, 99), b->max, start,
           b->whole);
}


static void
beat_idle(beat_t *b)
{
    char  c;

    b->opt.touch = b->opt.connections;
    b->opt.count = b->opt.connections;

    beat_tokens(b);
    beat_connect(b);
    beat_loop(b);

    printf("%lu\n", b->ok);
    fflush(stdout);

    while (read(STDIN_FILENO, &c, 1) > 0) { /* void */ }
}


int
main(int argc, char **argv)
{
    long    i;
    beat_t  b;

    memset(&b, 0, sizeof(b));

    errno = 0;

    if (argc < 2) {
        beat_die("what? see the top of beat.c");
    }

    beat_options(&b.opt, argc, argv);
    beat_keys(&b);

    if (strcmp(argv[1], "fixture") == 0) {
        beat_fixture(&b);

    } else if (strcmp(argv[1], "tokens") == 0) {
        beat_tokens(&b);

        for (i = 0; i < b.opt.touch; i++) {
            printf("%.*s\n", (int) b.stride,
                   (char *) b.tokens + b.stride * (size_t) i);
        }

    } else if (strcmp(argv[1], "run") == 0) {
        beat_run(&b);

    } else if (strcmp(argv[1], "idle") == 0) {
        beat_idle(&b);

    } else {
        beat_die("unknown command");
    }

    if (fflush(stdout) != 0) {
        beat_die("cannot write");
    }

    return 0;
}
