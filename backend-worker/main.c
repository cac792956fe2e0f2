
/*
 * exam-worker: options, configuration, the one-worker lock, signals, and the
 * order in which the parts start and end.  SIGTERM and SIGINT finish the batch
 * in hand and leave; a second one leaves at once (nothing is lost by that, the
 * spool tells the next run what to do again).  SIGUSR1 reopens the log.
 */


#include "worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>


#define WORKER_BOOT_ID  "/proc/sys/kernel/random/boot_id"


typedef struct {
    const char  *config;
    bool         foreground;
    bool         once;
} worker_options_t;


atomic_int  worker_quit;
atomic_int  worker_reopen;


static int worker_options(int argc, char **argv, worker_options_t *o);
static void worker_usage(FILE *out);
static int worker_configure(worker_t *w, const worker_options_t *o,
    const char *argv0);
static int worker_folders(worker_t *w);
static int worker_lock(worker_t *w);
static int worker_boot(worker_t *w);
static int worker_pid_file(const worker_t *w);
static void worker_signals(void);
static void worker_on_quit(int signo);
static void worker_on_reopen(int signo);
static int worker_start(worker_t *w);
static void worker_stop(worker_t *w);


int
main(int argc, char **argv)
{
    int                rc;
    worker_options_t   options;

    static worker_t  worker;        /* a batch of buffers: not for the stack */

    if (argc == 3 && strcmp(argv[1], WORKER_PROBE_OPTION) == 0) {
        _exit(worker_probe_child((pid_t) strtol(argv[2], NULL, 10)));
    }

    rc = worker_options(argc, argv, &options);

    if (rc != -1) {
        return rc;
    }

    worker.lock = -1;
    worker.spool = -1;
    worker.store = -1;
    worker.once = options.once;

    if (worker_configure(&worker, &options, argv[0]) == -1) {
        return EXIT_FAILURE;
    }

    worker_signals();

    rc = worker_start(&worker);

    if (rc == 0) {
        rc = worker_loop(&worker);
    }

    worker_stop(&worker);

    return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}


/* -1 to go on, else the exit code */

static int
worker_options(int argc, char **argv, worker_options_t *o)
{
    int  i;

    memset(o, 0, sizeof(worker_options_t));

    for (i = 1; i < argc; i++) {

        if (strcmp(argv[i], "--help") == 0) {
            worker_usage(stdout);
            return EXIT_SUCCESS;
        }

        if (strcmp(argv[i], "--config") == 0 && i + 1 < argc) {
            o->config = argv[++i];

        } else if (strcmp(argv[i], "--once") == 0) {
            o->once = true;

        } else if (strcmp(argv[i], "--foreground") == 0) {
            o->foreground = true;

        } else {
            fprintf(stderr, "exam-worker: unknown argument \"%s\"\n", argv[i]);
            worker_usage(stderr);
            return 2;
        }
    }

    return -1;
}


static void
worker_usage(FILE *out)
{
    fprintf(out,
        "usage: exam-worker [--config FILE] [--once] [--foreground]\n"
        "\n"
        "Moves finished uploads from the spool to recordings and MySQL.\n"
        "Stays in the foreground; one worker a spool.\n"
        "\n"
        "  --config FILE  the configuration; else $EXAM_CONFIG, ../exam.ini\n"
        "                 seen from the program, /etc/exam-monitor/exam.ini\n"
        "  --once         does what there is to do and leaves\n"
        "  --foreground   log to standard error, whatever the configuration\n"
        "                 says\n"
        "  --help         this text\n"
        "\n"
        "SIGTERM finishes the batch in hand and leaves, a second one leaves\n"
        "at once; SIGUSR1 reopens the log.\n");
}


static int
worker_configure(worker_t *w, const worker_options_t *o, const char *argv0)
{
    char         path[EXAM_PATH_MAX], error[EXAM_CONF_ERROR_MAX];
    const char  *log;

    if (exam_conf_find(path, o->config, argv0, error) == -1
        || exam_conf_load(&w->conf, path, error) == -1)
    {
        fprintf(stderr, "exam-worker: %s\n", error);
        return -1;
    }

    w->node = exam_str_make(w->conf.node, strlen(w->conf.node));
    log = o->foreground ? "" : w->conf.log;

    if (exam_log_open(log, EXAM_LOG_NOTICE) == -1) {
        fprintf(stderr, "exam-worker: cannot open the log \"%s\": %s\n", log,
                strerror(errno));
        return -1;
    }

    return 0;
}


static int
worker_start(worker_t *w)
{
    exam_backoff_init(&w->db.backoff, 100, 5000);
    exam_backoff_init(&w->disk, 200, 30000);

    exam_mysql_init(&w->mysql, &w->conf.mysql);
    exam_redis_init(&w->redis, &w->conf.redis);
    worker_stream_init(w);

    if (exam_mysql_library() == -1) {
        exam_log(EXAM_LOG_ALERT, "worker", 0, "no mysql client library");
        return -1;
    }

    if (worker_boot(w) == -1 || worker_folders(w) == -1
        || worker_lock(w) == -1 || worker_pid_file(w) == -1)
    {
        return -1;
    }

    if (worker_pool_start(&w->pool, w->conf.threads) == -1
        || worker_figures_start(w) == -1)
    {
        exam_log(EXAM_LOG_ALERT, "worker", errno, "cannot start threads");
        return -1;
    }

    if (!w->once
        && (worker_journal_start(w) == -1 || worker_watch_start(w) == -1))
    {
        exam_log(EXAM_LOG_ALERT, "worker", errno, "cannot start threads");
        return -1;
    }

    /* a probe that does not start is tried again with the first file */

    w->probe.fd = -1;

    if (w->conf.probe) {
        (void) worker_probe_start(&w->probe);
    }

    exam_log(EXAM_LOG_NOTICE, "worker", 0, "works for node \"%s\" on \"%s\"",
             w->conf.node, w->conf.spool);

    return 0;
}


static void
worker_stop(worker_t *w)
{
    worker_watch_stop(w);
    worker_journal_stop(w);
    worker_figures_stop(w);
    worker_pool_stop(&w->pool);
    worker_probe_stop(&w->probe);
    worker_db_close(w);
    exam_redis_close(&w->redis);

    if (w->lock != -1 && w->conf.pid[0] != '\0') {
        (void) unlink(w->conf.pid);
    }

    exam_log_close();
}


static int
worker_boot(worker_t *w)
{
    int      fd;
    ssize_t  n;

    fd = open(WORKER_BOOT_ID, O_RDONLY|O_CLOEXEC);
    n = fd == -1 ? -1 : read(fd, w->boot_id, EXAM_BOOT_MAX);

    if (fd != -1) {
        close(fd);
    }

    if (n < EXAM_BOOT_MAX) {
        exam_log(EXAM_LOG_ALERT, "worker", errno, "cannot read \"%s\"",
                 WORKER_BOOT_ID);
        return -1;
    }

    return 0;
}


static int
worker_folders(worker_t *w)
{
    char    path[EXAM_PATH_MAX + 16];
    size_t  i;

    static const char *const  folders[] = { "ready", "work", "bad", "journal" };

    for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", w->conf.spool, folders[i]);

        if (exam_dir_make(path, 0750) == -1) {
            exam_log(EXAM_LOG_ALERT, "worker", errno, "cannot make \"%s\"",
                     path);
            return -1;
        }
    }

    if (exam_dir_make(w->conf.recordings, 0750) == -1) {
        exam_log(EXAM_LOG_ALERT, "worker", errno, "cannot make \"%s\"",
                 w->conf.recordings);
        return -1;
    }

    w->spool = open(w->conf.spool, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    w->store = open(w->conf.recordings, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (w->spool == -1 || w->store == -1) {
        exam_log(EXAM_LOG_ALERT, "worker", errno, "cannot open \"%s\"",
                 w->spool == -1 ? w->conf.spool : w->conf.recordings);
        return -1;
    }

    return 0;
}


/* held until the process ends; the file stays, only its lock counts */

static int
worker_lock(worker_t *w)
{
    int  fd;

    fd = openat(w->spool, EXAM_SPOOL_LOCK, O_RDWR|O_CREAT|O_CLOEXEC, 0640);

    if (fd == -1) {
        exam_log(EXAM_LOG_ALERT, "worker", errno, "cannot open \"%s/%s\"",
                 w->conf.spool, EXAM_SPOOL_LOCK);
        return -1;
    }

    if (flock(fd, LOCK_EX|LOCK_NB) == -1) {
        exam_log(EXAM_LOG_ALERT, "worker", errno,
                 "another exam-worker has the spool \"%s\"", w->conf.spool);
        fprintf(stderr, "exam-worker: another one has the spool \"%s\"\n",
                w->conf.spool);
        close(fd);
        return -1;
    }

    w->lock = fd;

    return 0;
}


static int
worker_pid_file(const worker_t *w)
{
    int   len;
    char  text[16];

    if (w->conf.pid[0] == '\0') {
        return 0;
    }

    len = snprintf(text, sizeof(text), "%d\n", (int) getpid());

    if (exam_file_replace(w->conf.pid, 0644, text, (size_t) len, false) == -1)
    {
        exam_log(EXAM_LOG_ALERT, "worker", errno, "cannot write \"%s\"",
                 w->conf.pid);
        return -1;
    }

    return 0;
}


/* any thread may take them: the handlers only set flags */

static void
worker_signals(void)
{
    struct sigaction  sa;

    memset(&sa, 0, sizeof(sa));
    sigemptyset(&sa.sa_mask);

    sa.sa_handler = SIG_IGN;
    (void) sigaction(SIGPIPE, &sa, NULL);

    sa.sa_handler = worker_on_quit;
    (void) sigaction(SIGTERM, &sa, NULL);
    (void) sigaction(SIGINT, &sa, NULL);

    sa.sa_handler = worker_on_reopen;
    (void) sigaction(SIGUSR1, &sa, NULL);
}


static void
worker_on_quit(int signo)
{
    (void) signo;

    if (worker_quit != 0) {
        _exit(EXIT_FAILURE);
    }

    worker_quit = 1;
}


static void
worker_on_reopen(int signo)
{
    (void) signo;

    worker_reopen = 1;
}
