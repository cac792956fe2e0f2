
/*
 * The whole of nginx with the module in the fuzzing process.  Each input is
 * what one client sends on one connection: it is accepted, read, answered and
 * closed by nginx's own event loop, which is turned here.  nginx is linked with
 * its main() and the loop of its only process renamed (util/fuzz.sh).
 *
 * Redis is away, the zone is as after a restart for each input, syncs are left
 * out.  An input is text; in a request's head these are replaced:
 *
 *   @TOKEN@   of a candidate        @SID@     session of that token
 *   @OLD@     expired               @DIGEST@  of the body, as Content-Digest
 *   @STAFF@   of another class      @LEN@     of the body
 *
 * @NEXT@ ends a request, what follows belongs to the next one; @PAUSE@: nginx
 * has read what stands before it when the rest is sent.
 *
 * Invariants: every connection is closed by nginx once the client has sent its
 * last byte; no reply is a 500; nothing of level crit and above is logged.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include <ftw.h>

#include "ngx_http_exam_module.h"
#include "nginx_input.h"


#define FUZZ_WAIT       8000        /* ms for one input */
#define FUZZ_SWEEP      64          /* uploads between two sweeps */
#define FUZZ_STATUSES   600


/* nginx's, renamed */

int nginx_main(int argc, char *const *argv);
void nginx_cycle(ngx_cycle_t *cycle);

int LLVMFuzzerInitialize(int *argc, char ***argv);
int fdatasync(int fd);
int fsync(int fd);


static void fuzz_configure(void);
static void fuzz_file(const char *name, const char *text);
static void fuzz_log(ngx_log_t *log, ngx_uint_t level, u_char *buf,
    size_t len);
static void fuzz_talk(const fuzz_out_t *out);
static int fuzz_connect(void);
static bool fuzz_reply(int fd);
static void fuzz_statuses(const uint8_t *p, size_t len);
static void fuzz_turn(ngx_msec_t wait);
static void fuzz_zone(void);
static void fuzz_sweep(void);
static int fuzz_remove(const char *path, const struct stat *st, int type,
    struct FTW *ftw);
static uint64_t fuzz_now(void);
static void fuzz_exit(void);


static char           dir[PATH_MAX], address[64];
static pid_t          pid;
static ngx_cycle_t   *cycle;
static uint64_t       inputs, replies, statuses[FUZZ_STATUSES];
static ngx_uint_t     swept;


/* nothing here has to outlive the machine */

int
fdatasync(int fd)
{
    (void) fd;

    return 0;
}


int
fsync(int fd)
{
    (void) fd;

    return 0;
}


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    int          i;
    char         prefix[PATH_MAX];
    char        *args[] = { "nginx", "-p", prefix, "-c", "nginx.conf",
                            "-e", "stderr", NULL };
    const char  *where;

    static const int  signals[] = {
        SIGALRM, SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH,
        SIGCHLD, SIGIO
    };

    (void) argc;
    (void) argv;

    where = getenv("EXAM_FUZZ_DIR");
    fuzz_check(where != NULL, "EXAM_FUZZ_DIR is set: see util/fuzz-run.sh");

    snprintf(dir, sizeof(dir), "%s/nginx-XXXXXX", where);
    fuzz_check(mkdtemp(dir) != NULL, "a folder for nginx");

    pid = getpid();
    atexit(fuzz_exit);

    fuzz_configure();
    fuzz_tokens();

    snprintf(prefix, sizeof(prefix), "%s", dir);

    fuzz_check(nginx_main(7, args) == 0 && cycle != NULL, "nginx starts");

    /* libFuzzer takes only those that nobody has */

    for (i = 0; i < (int) (sizeof(signals) / sizeof(signals[0])); i++) {
        signal(signals[i], SIG_DFL);
    }

    return 0;
}


static void
fuzz_configure(void)
{
    int          fd;
    char         text[8192];
    const char  *root;

    root = getenv("EXAM_FUZZ_ROOT");
    fuzz_check(root != NULL, "EXAM_FUZZ_ROOT is set: see util/fuzz-run.sh");

    /* the path of a socket has 107 bytes at most */

    fd = open(dir, O_PATH | O_DIRECTORY);
    fuzz_check(fd >= 0, "the folder is there");
    snprintf(address, sizeof(address), "/proc/self/fd/%d/s", fd);

    snprintf(text, sizeof(text),
             "daemon off;\n"
             "master_process off;\n"
             "pid nginx.pid;\n"
             "error_log stderr crit;\n"
             "thread_pool exam_upload threads=2;\n"
             "events { worker_connections 64; accept_mutex off; }\n"
             "http {\n"
             "    access_log off;\n"
             "    client_body_temp_path body;\n"
             "    proxy_temp_path proxy;\n"
             "    fastcgi_temp_path fastcgi;\n"
             "    uwsgi_temp_path uwsgi;\n"
             "    scgi_temp_path scgi;\n"
             "    exam_zone exam:2m shards=2;\n"
             "    exam_redis unix:%s/none;\n"
             "    exam_key_file keys;\n"
             "    exam_node f1;\n"
             "    exam_spool spool;\n"
             "    exam_thread_pool exam_upload;\n"
             "    exam_max_bytes 64k;\n"
             "    exam_poll_rate 0;\n"
             "    exam_heartbeat_rate 0;\n"
             "    server {\n"
             "        listen unix:%s;\n"
#if (nginx_version >= 1025001)
             "        http2 on;\n"
#endif
             "        include %s/nginx-conf/api.inc;\n"
             "    }\n"
             "}\n", dir, address, root);

    fuzz_file("nginx.conf", text);
    fuzz_file("keys", fuzz_keys);

    snprintf(text, sizeof(text), "%s/spool", dir);
    fuzz_check(mkdir(text, 0700) == 0, "a spool");
}


static void
fuzz_file(const char *name, const char *text)
{
    int    fd;
    char   path[PATH_MAX + 16];

    snprintf(path, sizeof(path), "%s/%s", dir, name);

    fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    fuzz_check(fd >= 0 && write(fd, text, strlen(text))
                          == (ssize_t) strlen(text), "a file is written");
    close(fd);
}


/*
 * Instead of ngx_single_process_cycle(): all but its loop, and the environment
 * stays: libFuzzer starts itself again to merge.
 */

void
nginx_cycle(ngx_cycle_t *c)
{
    ngx_uint_t  i;

    for (i = 0; c->modules[i]; i++) {
        if (c->modules[i]->init_process) {
            fuzz_check(c->modules[i]->init_process(c) != NGX_ERROR,
                       "a module starts");
        }
    }

    c->log->writer = fuzz_log;
    cycle = c;
}


static void
fuzz_log(ngx_log_t *log, ngx_uint_t level, u_char *buf, size_t len)
{
    (void) log;

    fprintf(stderr, "%.*s\n", (int) len, (char *) buf);
    fuzz_check(level > NGX_LOG_CRIT, "nginx has nothing critical to log");
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static fuzz_out_t  out;

    fuzz_expand(&out, exam_str_make(data, size));
    fuzz_zone();
    fuzz_talk(&out);

    inputs++;

    return 0;
}


static void
fuzz_talk(const fuzz_out_t *out)
{
    int         fd;
    size_t      sent, part;
    ssize_t     n;
    uint64_t    start;
    ngx_msec_t  wait;

    fd = fuzz_connect();
    start = fuzz_now();
    sent = 0;
    wait = 0;

    for (part = 0; part < out->npauses; /* void */ ) {

        if (sent < out->pauses[part]) {
            n = send(fd, out->data + sent, out->pauses[part] - sent,
                     MSG_NOSIGNAL);

            if (n > 0) {
                sent += (size_t) n;

            } else if (n < 0 && errno != EAGAIN) {
                break;              /* nginx has closed it */
            }
        }

        if (sent == out->pauses[part]) {
            part++;
        }

        fuzz_turn(0);

        if (!fuzz_reply(fd)) {
            goto done;
        }

        fuzz_check(fuzz_now() - start < FUZZ_WAIT, "nginx reads what is sent");
    }

    shutdown(fd, SHUT_WR);

    /* the first turns do not wait: nearly always they are enough */

    while (fuzz_reply(fd)) {
        fuzz_turn(wait / 4);

        wait += (wait < 20);

        fuzz_check(fuzz_now() - start < FUZZ_WAIT,
                   "a connection is answered and closed");
    }

done:

    close(fd);
    fuzz_turn(0);
}


static int
fuzz_connect(void)
{
    int                 fd;
    struct sockaddr_un  sun;

    ngx_memzero(&sun, sizeof(struct sockaddr_un));
    sun.sun_family = AF_UNIX;
    memcpy(sun.sun_path, address, strlen(address));

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    fuzz_check(fd >= 0 && connect(fd, (struct sockaddr *) &sun, sizeof(sun))
                          == 0, "a connection to nginx");

    return fd;
}


/* false: nginx has closed the connection */

static bool
fuzz_reply(int fd)
{
    ssize_t  n;

    static uint8_t  buf[FUZZ_OUT];

    for ( ;; ) {
        n = recv(fd, buf, sizeof(buf), 0);

        if (n < 0) {
            return errno == EAGAIN || errno == EINTR;
        }

        if (n == 0) {
            return false;
        }

        fuzz_statuses(buf, (size_t) n);
    }
}


static void
fuzz_statuses(const uint8_t *p, size_t len)
{
    size_t      status;
    exam_str_t  rest;

    rest = exam_str_make(p, len);

    for ( ;; ) {
        (void) fuzz_cut(&rest, "HTTP/1.1 ");

        if (rest.len < 4 || rest.data[3] != ' ') {
            return;
        }

        status = (size_t) atoi((const char *) rest.data) % FUZZ_STATUSES;

        fuzz_check(status != 500, "no request makes the server fail");

        replies++;
        statuses[status]++;
    }
}


static void
fuzz_turn(ngx_msec_t wait)
{
    ngx_msec_t  timer;

    timer = ngx_event_find_timer();

    if (timer > wait) {
        timer = wait;
    }

    if (!ngx_queue_empty(&ngx_posted_next_events)) {
        ngx_event_move_posted_next(cycle);
        timer = 0;
    }

    (void) ngx_process_events(cycle, timer, NGX_UPDATE_TIME);

    ngx_event_process_posted(cycle, &ngx_posted_accept_events);
    ngx_event_expire_timers();
    ngx_event_process_posted(cycle, &ngx_posted_events);
}


/* as if a process had been killed under each shard's mutex: all is forgotten */

static void
fuzz_zone(void)
{
    ngx_uint_t                  i;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_exam_module);

    for (i = 0; i < mcf->zone->n; i++) {
        mcf->zone->shards[i].sh->dirty = 1;
    }

    if (mcf->zone->shared->stats.uploads_total >= swept + FUZZ_SWEEP) {
        swept = mcf->zone->shared->stats.uploads_total;
        fuzz_sweep();
    }
}


static void
fuzz_sweep(void)
{
    char            path[2 * PATH_MAX];
    DIR            *d;
    struct dirent  *e;

    snprintf(path, sizeof(path), "%s/spool/ready", dir);

    d = opendir(path);
    fuzz_check(d != NULL, "the spool has its folders");

    while ((e = readdir(d)) != NULL) {
        if (e->d_name[0] != '.') {
            unlinkat(dirfd(d), e->d_name, 0);
        }
    }

    closedir(d);
}


static int
fuzz_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void) st;
    (void) type;
    (void) ftw;

    return remove(path);
}


static uint64_t
fuzz_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}


static void
fuzz_exit(void)
{
    int                         i;
    ngx_http_exam_stats_t      *stats;
    ngx_http_exam_main_conf_t  *mcf;

    if (getpid() != pid) {
        return;
    }

    if (cycle != NULL) {
        mcf = ngx_http_cycle_get_module_main_conf(cycle,
                                                  ngx_http_exam_module);
        stats = &mcf->zone->shared->stats;

        fprintf(stderr, "%" PRIu64 " connections, %" PRIu64 " replies, "
                "heartbeats %" PRIu64 ", uploads %" PRIu64 ", logouts %" PRIu64
                "\nstatus", inputs, replies,
                (uint64_t) stats->heartbeats_total,
                (uint64_t) stats->uploads_total,
                (uint64_t) stats->logouts_total);

        for (i = 0; i < FUZZ_STATUSES; i++) {
            if (statuses[i] != 0) {
                fprintf(stderr, " %d:%" PRIu64, i, statuses[i]);
            }
        }

        fprintf(stderr, "\n");
    }

    nftw(dir, fuzz_remove, 16, FTW_DEPTH | FTW_PHYS);
}
