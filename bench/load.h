
/*
 * What the parts of the upload benches' load program share; see load.c.
 *
 * One thread, one process a command.  Nothing here returns an error: a bench
 * that cannot do what it was told ends with a line that says why.
 */


#ifndef LOAD_H_INCLUDED
#define LOAD_H_INCLUDED


#include <stddef.h>
#include <stdint.h>


#define LOAD_EVENTS  256


typedef struct {
    const char  *tokens;        /* file, one token a line */
    const char  *kind;          /* put, dav, tus */
    const char  *path;          /* prefix of the URLs */
    const char  *then;          /* folder of the files, if each is synced */
    long         port;
    long         first;         /* token of the first client */
    long         clients;
    long         seconds;
    long         count;         /* heartbeats */
    long         size;          /* bytes an upload */
    long         rate;          /* bytes a second and upload, or beats */
    long         cpu;           /* of child processes, -1: any */
    long         drain;         /* uploads under way are brought to an end */
} load_options_t;


void load_die(const char *what) __attribute__ ((noreturn));

/* a server's answer that is not the one that was wanted: its text is shown */

void load_refused(const char *answer, size_t len) __attribute__ ((noreturn));

/* microseconds */

uint64_t load_clock(int clock);

/* the i-th line of the file, allocated */

char *load_token(const load_options_t *o, long i);

/* non-blocking, without delay, in the epoll instance with `events` */

int load_connect(const load_options_t *o, int epoll, uint32_t events,
    uint64_t data);

/* 0: not whole yet, else the status; *used bytes of it */

int load_answer(const char *in, size_t have, size_t *used);

/* the value behind a header's name (with its colon), or NULL */

const char *load_header(const char *in, size_t head, const char *name);

/* out: four characters for three, and the final zero */

void load_base64(char *out, const char *text);

/* the commands */

void load_send(const load_options_t *o);
void load_slow(const load_options_t *o);
void load_probe(const load_options_t *o);


#endif /* LOAD_H_INCLUDED */
