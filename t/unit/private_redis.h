
/*
 * A Redis of one's own for a unit test: started by redis_start(), gone with
 * the program.  Replies are compared as text: members joined by "|", nil as
 * "~", an error as "!" and its text.
 */


#ifndef PRIVATE_REDIS_H_INCLUDED
#define PRIVATE_REDIS_H_INCLUDED


#include "exam_script.h"

#include <stdarg.h>
#include <stdint.h>


#define REDIS_WORDS  64             /* of a call */
#define REDIS_TEXT   (256 * 1024)   /* bytes of a reply as text */


/* bails out when there is no server; loads the scripts */

void redis_start(void);

void redis_stop(void);

/* words separated by single spaces; the text is valid until the next call */

const char *redis_do(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));

const char *redis_words(int argc, const char **argv);

/* a script with its KEYS and ARGV, NULL at the end */

const char *redis_script(exam_script_e which, ...);

/* member i of the last reply's text, "" if there is none */

const char *redis_member(int i);

/* Redis TIME, ms */

int64_t redis_now(void);


#endif /* PRIVATE_REDIS_H_INCLUDED */
