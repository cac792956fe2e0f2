
/*
 * The daemon's side of the probe: one standing child, started from the
 * daemon's own executable so that it inherits neither memory nor descriptors
 * (the spool's lock above all).  Files are handed over as descriptors; the
 * child never learns a path.  A child that crashes or hangs costs its file the
 * mark `playable=0`, and is replaced for the next one.
 */


#include "worker_probe.h"

#include "exam_log.h"
#include "exam_time.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>


#define WORKER_SELF  "/proc/self/exe"


extern char **environ;


static int worker_probe_spawn(worker_probe_t *p, int child_end);
static int worker_probe_send(worker_probe_t *p, int fd);
static ssize_t worker_probe_wait(worker_probe_t *p, exam_media_t *media);
static void worker_probe_kill(worker_probe_t *p);
static void worker_probe_refuse(exam_media_t *media, const char *reason);
static void worker_probe_clean(exam_media_t *media);
static void worker_probe_name(char *name, size_t size);


int
worker_probe_start(worker_probe_t *p)
{
    int  fds[2];

    p->pid = 0;
    p->fd = -1;
    p->jobs = 0;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET|SOCK_CLOEXEC, 0, fds) == -1) {
        exam_log(EXAM_LOG_ERROR, "probe", errno, "socketpair() failed");
        return -1;
    }

    p->fd = fds[0];

    if (worker_probe_spawn(p, fds[1]) == -1) {
        close(fds[0]);
        close(fds[1]);

        p->pid = 0;
        p->fd = -1;

        return -1;
    }

    close(fds[1]);

    return 0;
}


static int
worker_probe_spawn(worker_probe_t *p, int child_end)
{
    int                          rc;
    char                         parent[16], *argv[4];
    sigset_t                     none;
    posix_spawnattr_t            attr;
    posix_spawn_file_actions_t   files;

    snprintf(parent, sizeof(parent), "%d", (int) getpid());

    argv[0] = (char *) "exam-worker";
    argv[1] = (char *) WORKER_PROBE_OPTION;
    argv[2] = parent;
    argv[3] = NULL;

    sigemptyset(&none);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attr, &none);

    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, child_end, WORKER_PROBE_FD);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&files, WORKER_PROBE_FD + 1);

    rc = posix_spawn(&p->pid, WORKER_SELF, &files, &attr, argv, environ);

    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);

    if (rc != 0) {
        exam_log(EXAM_LOG_ERROR, "probe", rc, "cannot start the probe");
        return -1;
    }

    return 0;
}


void
worker_probe_stop(worker_probe_t *p)
{
    if (p->pid != 0) {
        worker_probe_kill(p);
    }
}


void
worker_probe_file(worker_probe_t *p, const char *id, int fd,
    exam_media_t *media)
{
    ssize_t  n;

    exam_media_none(media);

    if (p->jobs >= WORKER_PROBE_JOBS) {
        worker_probe_kill(p);
    }

    /*
     * A child that ended between two files ended for a reason of its own: a
     * new one gets the file.  One that ends with the file in its hands does
     * not get a second try: it would cost the limits again.
     */

    if (worker_probe_send(p, fd) == -1) {

        if (p->pid != 0) {
            exam_log(EXAM_LOG_WARN, "probe", errno,
                     "the probe has ended between files");
            worker_probe_kill(p);
        }

        if (worker_probe_start(p) == -1 || worker_probe_send(p, fd) == -1) {
            exam_log(EXAM_LOG_ERROR, "probe", errno,
                     "cannot hand \"%s\" to the probe", id);
            worker_probe_refuse(media, "probe_unavailable");
            return;
        }
    }

    p->jobs++;

    n = worker_probe_wait(p, media);

    if (n == (ssize_t) sizeof(exam_media_t)) {
        worker_probe_clean(media);
        return;
    }

    if (n == -1 && errno == ETIMEDOUT) {
        exam_log(EXAM_LOG_WARN, "probe", 0, "\"%s\" hangs the probe", id);
        worker_probe_refuse(media, "probe_timeout");

    } else {
        exam_log(EXAM_LOG_WARN, "probe", 0, "\"%s\" ends the probe", id);
        worker_probe_refuse(media, "probe_crashed");
    }

    worker_probe_kill(p);
}


static int
worker_probe_send(worker_probe_t *p, int fd)
{
    char             byte;
    ssize_t          n;
    struct iovec     iov;
    struct msghdr    msg;
    struct cmsghdr  *cmsg;

    union {
        char            data[CMSG_SPACE(sizeof(int))];
        struct cmsghdr  align;
    } control;

    byte = 'p';
    iov.iov_base = &byte;
    iov.iov_len = 1;

    memset(&msg, 0, sizeof(msg));
    memset(&control, 0, sizeof(control));

    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control.data;
    msg.msg_controllen = sizeof(control.data);

    cmsg = CMSG_FIRSTHDR(&msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));

    do {
        n = sendmsg(p->fd, &msg, MSG_NOSIGNAL);
    } while (n == -1 && errno == EINTR);

    return n == 1 ? 0 : -1;
}


/* the bytes of the answer; 0: the child has gone; -1: errno */

static ssize_t
worker_probe_wait(worker_probe_t *p, exam_media_t *media)
{
    int            rc;
    int64_t        end, left;
    ssize_t        n;
    struct pollfd  pfd;

    end = exam_mono_ms() + WORKER_PROBE_WAIT;

    for ( ;; ) {
        left = end - exam_mono_ms();

        if (left <= 0) {
            errno = ETIMEDOUT;
            return -1;
        }

        pfd.fd = p->fd;
        pfd.events = POLLIN;

        rc = poll(&pfd, 1, (int) left);

        if (rc == -1 && errno != EINTR) {
            return -1;
        }

        if (rc > 0) {
            break;
        }
    }

    do {
        n = recv(p->fd, media, sizeof(exam_media_t), 0);
    } while (n == -1 && errno == EINTR);

    return n;
}


static void
worker_probe_kill(worker_probe_t *p)
{
    if (p->pid != 0) {
        (void) kill(p->pid, SIGKILL);

        while (waitpid(p->pid, NULL, 0) == -1 && errno == EINTR) {
            /* void */
        }

        close(p->fd);
    }

    p->fd = -1;
    p->pid = 0;
    p->jobs = 0;
}


static void
worker_probe_refuse(exam_media_t *media, const char *reason)
{
    exam_media_none(media);

    media->playable = 0;
    snprintf(media->reason, sizeof(media->reason), "%s", reason);
}


/* the child may be in the hands of a file: its answer is foreign input */

static void
worker_probe_clean(exam_media_t *media)
{
    worker_probe_name(media->container, sizeof(media->container));
    worker_probe_name(media->video_codec, sizeof(media->video_codec));
    worker_probe_name(media->audio_codec, sizeof(media->audio_codec));
    worker_probe_name(media->reason, sizeof(media->reason));

    media->playable = media->playable == 1;

    if (media->width < 0 || media->height < 0
        || media->width > 65535 || media->height > 65535)
    {
        media->width = 0;
        media->height = 0;
    }

    if (media->media_ms < -1 || media->media_ms > INT64_C(86400000) * 365) {
        media->media_ms = -1;
    }
}


static void
worker_probe_name(char *name, size_t size)
{
    size_t  i;

    name[size - 1] = '\0';

    for (i = 0; name[i] != '\0'; i++) {
        if ((name[i] < 'a' || name[i] > 'z') && (name[i] < '0' || name[i] > '9')
            && name[i] != '_' && name[i] != '-' && name[i] != '.')
        {
            name[i] = '_';
        }
    }
}
