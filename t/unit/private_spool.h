
/*
 * A spool of one's own for a unit test, and the files of nginx's module that
 * work on it and know no nginx, with calls that can be made to fail.  One a
 * program.
 */


#ifndef PRIVATE_SPOOL_H_INCLUDED
#define PRIVATE_SPOOL_H_INCLUDED


#include "../../ngx_exam_module/ngx_http_exam_part.h"
#include "../../ngx_exam_module/ngx_http_exam_recovery.h"


#define ID   "n1-0123456789abcdef0123456789abcdef"
#define DIR_ "part/01/"

#define BOOT   "11111111-2222-3333-4444-555555555555"
#define OTHER  "99999999-2222-3333-4444-555555555555"


typedef ngx_http_exam_writer_t  writer_t;


/* the directories, for the *at calls */

extern int  spool, ready;

extern uint8_t  arena[2][EXAM_MANIFEST_ARENA];

/* how many calls there were, and the errno of the next ones */

extern int  syncs, dir_syncs;
extern int  sync_errno, dir_errno, cut_errno, write_errno;
extern int64_t  size_at_sync;

/* so many cuts from now writes succeed again: there is room */

extern int  cuts_to_room;


/* bails out when there is none */

void spool_start(void);

void spool_stop(void);

/* a creation: of ID, in boot BOOT, of as many bytes */

void begin(writer_t *w, int64_t length);

/* ID as found in that boot: ngx_http_exam_part_e */

int acquire(writer_t *w, const char *boot);

/* an append whole, and more bytes within one */

int append(writer_t *w, const char *data, size_t len);
int put(writer_t *w, const uint8_t *data, size_t len);

/* a test: it lets go */

void closed(writer_t *w);

/* files of the spool; -1: not there */

int has(const char *name);
int64_t size_of(const char *name);
void text_of(const char *name, char *out, size_t size);

/* as if last written so long ago */

void age(const char *name, time_t seconds);


#endif /* PRIVATE_SPOOL_H_INCLUDED */
