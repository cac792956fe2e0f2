
/*
 * Runs the functions of service/exam_live.h one after another, as its command
 * line says, and prints what each returned: for 010-live.t.
 */


#include "exam_live.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>


static exam_live_e spool(exam_redis_t *redis, void *data);
static exam_live_e steal(exam_redis_t *redis, void *data);
static exam_live_e broken(exam_redis_t *redis, void *data);
static void say(const char *what, exam_live_e rc);


int
main(int argc, char **argv)
{
    int           i;
    char          error[EXAM_CONF_ERROR_MAX], value[EXAM_LOADED_MAX];
    unsigned      loaded;
    exam_live_e   rc;
    exam_conf_t   conf;
    exam_mysql_t  db;
    exam_redis_t  redis;

    (void) signal(SIGPIPE, SIG_IGN);

    if (argc < 2 || exam_conf_load(&conf, argv[1], error) != 0
        || exam_mysql_library() != 0)
    {
        return 1;
    }

    exam_mysql_init(&db, &conf.mysql);
    exam_redis_init(&redis, &conf.redis);

    if (exam_mysql_connect(&db, true) != EXAM_DB_OK) {
        fprintf(stderr, "%s\n", db.error);
        return 1;
    }

    for (i = 2; i < argc; i++) {

        if (strcmp(argv[i], "refill") == 0) {
            rc = exam_live_refill(&db, &redis, &conf, spool, NULL);

        } else if (strcmp(argv[i], "steal") == 0) {
            rc = exam_live_refill(&db, &redis, &conf, steal, NULL);

        } else if (strcmp(argv[i], "broken") == 0) {
            rc = exam_live_refill(&db, &redis, &conf, broken, NULL);

        } else if (strcmp(argv[i], "sync") == 0) {
            rc = exam_live_sync(&db, &redis, &loaded);
            printf("%u ", loaded);

        } else if (strcmp(argv[i], "loaded") == 0) {
            rc = exam_live_loaded(&redis, value);
            printf("\"%s\" ", value);

        } else if (strcmp(argv[i], "group") == 0) {
            rc = exam_live_group(&redis, exam_str("t1"));

        } else if (strcmp(argv[i], "forget") == 0) {

            /* the scripts, behind the back of a connected client */

            rc = (exam_redis_do(&redis, "SCRIPT FLUSH") == EXAM_REDIS_OK)
                 ? EXAM_LIVE_OK : EXAM_LIVE_REDIS;

        } else {
            rc = exam_live_load(&db, &redis, exam_str_make(argv[i],
                                                           strlen(argv[i])));
        }

        say(argv[i], rc);
    }

    exam_redis_close(&redis);
    exam_mysql_close(&db);
    mysql_library_end();

    return 0;
}


static exam_live_e
spool(exam_redis_t *redis, void *data)
{
    char  value[EXAM_LOADED_MAX];

    (void) data;

    if (exam_live_loaded(redis, value) != EXAM_LIVE_OK) {
        return EXAM_LIVE_REDIS;
    }

    printf("spool%s ", value[0] == '\0' ? "" : " LOADED");

    return EXAM_LIVE_OK;
}


/* another program takes the lease over meanwhile */

static exam_live_e
steal(exam_redis_t *redis, void *data)
{
    (void) data;

    return (exam_redis_do(redis, "SET exam:rebuild other") == EXAM_REDIS_OK)
           ? EXAM_LIVE_OK : EXAM_LIVE_REDIS;
}


static exam_live_e
broken(exam_redis_t *redis, void *data)
{
    (void) redis;
    (void) data;

    return EXAM_LIVE_DB;
}


static void
say(const char *what, exam_live_e rc)
{
    static const char *const  names[] = {
        "ok", "not found", "busy", "db", "redis"
    };

    printf("%s: %s\n", what, names[rc]);
}
