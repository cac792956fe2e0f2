
/*
 * A private redis-server on a socket in a directory of its own, and calls that
 * give their reply as text.  One a program.
 */


#include "private_redis.h"
#include "tap.h"

#include <hiredis/hiredis.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>


static void redis_launch(const char *path);
static void redis_wait(const char *path);
static void redis_bail(const char *what);
static void redis_text(const redisReply *reply);
static void redis_append(const char *p, size_t len);


static pid_t          server;
static redisContext  *client;
static char           dir[] = "/tmp/exam-unit-XXXXXX";
static char           sha[EXAM_SCRIPT_MAX][41];
static char           text[REDIS_TEXT];
static size_t         text_len;


void
redis_start(void)
{
    char           path[sizeof(dir) + 16];
    const char    *argv[3];
    exam_script_e  i;

    if (mkdtemp(dir) == NULL) {
        redis_bail("no temporary directory");
    }

    snprintf(path, sizeof(path), "%s/redis.sock", dir);

    redis_launch(path);
    redis_wait(path);

    for (i = 0; i < EXAM_SCRIPT_MAX; i++) {
        argv[0] = "SCRIPT";
        argv[1] = "LOAD";
        argv[2] = exam_script(i)->source;

        redis_words(3, argv);

        if (!tap_ok(strlen(text) == 40, "script %s is accepted",
                    exam_script(i)->name))
        {
            redis_bail(text);
        }

        memcpy(sha[i], text, 41);
    }
}


static void
redis_launch(const char *path)
{
    pid_t  parent;

    parent = getpid();
    server = fork();

    if (server == -1) {
        redis_bail("fork failed");
    }

    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);

        if (getppid() != parent) {
            _exit(1);
        }

        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket",
               path, "--dir", dir, "--save", "", "--logfile", "redis.log",
               (char *) NULL);
        _exit(1);
    }
}


static void
redis_wait(const char *path)
{
    int  i, status;

    for (i = 0; i < 500; i++) {
        client = redisConnectUnix(path);

        if (client && client->err == 0
            && strcmp(redis_do("PING"), "PONG") == 0)
        {
            return;
        }

        if (client) {
            redisFree(client);
            client = NULL;
        }

        if (waitpid(server, &status, WNOHANG) == server) {
            break;
        }

        usleep(20000);
    }

    redis_bail("redis-server does not start");
}


static void
redis_bail(const char *what)
{
    printf("Bail out! %s\n", what);
    exit(1);
}


void
redis_stop(void)
{
    char  path[sizeof(dir) + 16];

    redisFree(client);
    client = NULL;

    kill(server, SIGKILL);
    waitpid(server, NULL, 0);

    snprintf(path, sizeof(path), "%s/redis.sock", dir);
    unlink(path);
    snprintf(path, sizeof(path), "%s/redis.log", dir);
    unlink(path);
    rmdir(dir);
}


const char *
redis_do(const char *fmt, ...)
{
    int          argc;
    char         line[2048], *p;
    va_list      args;
    const char  *argv[REDIS_WORDS];

    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);

    argc = 0;

    for (p = strtok(line, " "); p && argc < REDIS_WORDS; p = strtok(NULL, " "))
    {
        argv[argc++] = p;
    }

    return redis_words(argc, argv);
}


const char *
redis_words(int argc, const char **argv)
{
    redisReply  *reply;

    reply = redisCommandArgv(client, argc, argv, NULL);

    if (reply == NULL) {
        redis_bail(client->errstr);
    }

    text_len = 0;
    text[0] = '\0';

    redis_text(reply);
    freeReplyObject(reply);

    return text;
}


const char *
redis_script(exam_script_e which, ...)
{
    int          argc;
    char         keys[16];
    va_list      args;
    const char  *argv[REDIS_WORDS], *word;

    snprintf(keys, sizeof(keys), "%u", exam_script(which)->keys);

    argv[0] = "EVALSHA";
    argv[1] = sha[which];
    argv[2] = keys;
    argc = 3;

    va_start(args, which);

    while (argc < REDIS_WORDS && (word = va_arg(args, const char *)) != NULL) {
        argv[argc++] = word;
    }

    va_end(args);

    return redis_words(argc, argv);
}


const char *
redis_member(int i)
{
    static char  member[1024];

    size_t       len;
    const char  *p;

    for (p = text; i > 0 && p; i--) {
        p = strchr(p, '|');
        p = p ? p + 1 : NULL;
    }

    if (p == NULL) {
        return "";
    }

    len = strcspn(p, "|");
    len = len < sizeof(member) ? len : sizeof(member) - 1;

    memcpy(member, p, len);
    member[len] = '\0';

    return member;
}


int64_t
redis_now(void)
{
    int64_t  s;

    redis_do("TIME");
    s = strtoll(redis_member(0), NULL, 10);

    return s * 1000 + strtoll(redis_member(1), NULL, 10) / 1000;
}


static void
redis_text(const redisReply *reply)
{
    char    number[32];
    size_t  i;

    switch (reply->type) {

    case REDIS_REPLY_ARRAY:

        for (i = 0; i < reply->elements; i++) {

            if (i) {
                redis_append("|", 1);
            }

            redis_text(reply->element[i]);
        }

        break;

    case REDIS_REPLY_INTEGER:
        snprintf(number, sizeof(number), "%lld", reply->integer);
        redis_append(number, strlen(number));
        break;

    case REDIS_REPLY_NIL:
        redis_append("~", 1);
        break;

    case REDIS_REPLY_ERROR:
        redis_append("!", 1);
        redis_append(reply->str, reply->len);
        break;

    default:
        redis_append(reply->str, reply->len);
    }
}


static void
redis_append(const char *p, size_t len)
{
    if (text_len + len >= sizeof(text)) {
        redis_bail("a reply is too long for the test");
    }

    memcpy(text + text_len, p, len);
    text_len += len;
    text[text_len] = '\0';
}
