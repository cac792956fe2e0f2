
/*
 * What a recording is made of, found by a child process that may crash or hang
 * on what candidates upload.  worker_probe.c (the daemon's side) starts it,
 * hands it one open file at a time and never waits longer than
 * WORKER_PROBE_WAIT; worker_probe_child.c (the child's side) holds the FFmpeg
 * calls.  Both ends are the same executable, so exam_media_t may cross the
 * socket as it is; the daemon checks what comes back all the same.
 *
 * A probe never fails: what cannot be probed is not playable, with a reason
 * (DESIGN 6: what has the right size and hash is stored, always).
 */


#ifndef WORKER_PROBE_H_INCLUDED
#define WORKER_PROBE_H_INCLUDED


#include "exam_sidecar.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>


#define WORKER_PROBE_OPTION   "--probe-child"
#define WORKER_PROBE_FD       3         /* the child's end of the socket */
#define WORKER_PROBE_WALL     3000      /* ms the child gives a file */
#define WORKER_PROBE_CPU      4         /* s of CPU a file */
#define WORKER_PROBE_WAIT     6000      /* ms until the daemon kills it */
#define WORKER_PROBE_JOBS     5000      /* files until the child is renewed */
#define WORKER_PROBE_MEMORY   (1024ul * 1024 * 1024)


typedef struct {
    pid_t     pid;                              /* 0: none */
    int       fd;                               /* our end, -1 */
    unsigned  jobs;
} worker_probe_t;


/* starts the child; -1 is logged and tried again with the next file */

int worker_probe_start(worker_probe_t *p);

/* closes the socket and waits for the child's end, by force if need be */

void worker_probe_stop(worker_probe_t *p);

/*
 * Main thread only (the child dies with the thread that started it).  `fd` is
 * open for reading; always fills *media.
 */

void worker_probe_file(worker_probe_t *p, const char *id, int fd,
    exam_media_t *media);

/* main() of the child; `parent` is the pid it must die with */

int worker_probe_child(pid_t parent);

/* seccomp: no new file, process or socket from here on; 0 or -1 */

int worker_probe_confine(void);


#endif /* WORKER_PROBE_H_INCLUDED */
