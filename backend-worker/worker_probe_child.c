
/*
 * The child's side of the probe: takes a descriptor, says container, codecs,
 * size and length, and knows nothing else.  It runs as nobody where it can,
 * without network, without a way to open a file, with limits on memory, CPU
 * and time, and dies with the daemon.
 *
 * Headers are believed for codecs and resolution.  The length is the header's
 * where there is one; MediaRecorder writes none, there all packets are walked
 * (demuxed, never decoded) within the limits.
 */


#include "worker_probe.h"

#include "exam_time.h"

#include <errno.h>
#include <grp.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>


/* gcc says it by a macro, clang by a feature */

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WORKER_SANITIZED       1
#endif
#endif

#if defined(__SANITIZE_ADDRESS__) && !defined(WORKER_SANITIZED)
#define WORKER_SANITIZED       1
#endif

#define WORKER_NOBODY          65534
#define WORKER_IO_BUFFER       65536
#define WORKER_WALK_PACKETS    2000000
#define WORKER_WALK_BYTES      (INT64_C(8) << 30)
#define WORKER_STREAMS         "64"
#define WORKER_STREAMS_MAX     64
#define WORKER_FORMATS         "matroska,mov"
#define WORKER_DOCTYPE_WINDOW  64


typedef struct {
    int                fd;
    int64_t            pos;
    int64_t            size;
    int64_t            read;            /* bytes, bounds the walk */
    int64_t            deadline;        /* monotonic ms */
    AVIOContext       *pb;              /* ours: FFmpeg does not free it */
} worker_file_t;


typedef struct {
    int64_t            first;           /* us, INT64_MAX: no packet yet */
    int64_t            last;            /* us, end of the last packet */
    int64_t            prev[WORKER_STREAMS_MAX];
} worker_walk_t;


static int worker_probe_limits(pid_t parent);
static int worker_probe_receive(int *fd);
static void worker_probe_job(int fd, exam_media_t *media);
static const char *worker_probe_open(worker_file_t *file,
    AVFormatContext **ctx);
static const char *worker_probe_look(worker_file_t *file, AVFormatContext *ctx,
    exam_media_t *media);
static bool worker_probe_packets(worker_file_t *file, AVFormatContext *ctx,
    int video, exam_media_t *media);
static void worker_probe_step(worker_walk_t *walk, const AVFormatContext *ctx,
    const AVPacket *pkt);
static int worker_probe_video(const AVFormatContext *ctx);
static void worker_probe_container(worker_file_t *file,
    const AVFormatContext *ctx, exam_media_t *media);
static void worker_probe_set(char out[EXAM_MEDIA_NAME_MAX], const char *name);
static int worker_probe_read(void *opaque, uint8_t *buf, int size);
static int64_t worker_probe_seek(void *opaque, int64_t offset, int whence);
static int worker_probe_stop_now(void *opaque);
static int worker_probe_no_file(AVFormatContext *ctx, AVIOContext **pb,
    const char *url, int flags, AVDictionary **options);


int
worker_probe_child(pid_t parent)
{
    int             fd;
    rlim_t          used;
    ssize_t         n;
    struct rlimit   cpu;
    struct rusage   ru;
    exam_media_t  media;

    if (worker_probe_limits(parent) == -1) {
        return EXIT_FAILURE;
    }

    av_log_set_level(AV_LOG_QUIET);

    if (worker_probe_confine() == -1) {
        return EXIT_FAILURE;
    }

    while (worker_probe_receive(&fd) == 0) {

        if (getrusage(RUSAGE_SELF, &ru) == -1
            || getrlimit(RLIMIT_CPU, &cpu) == -1)
        {
            return EXIT_FAILURE;
        }

        used = (rlim_t) (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec);
        cpu.rlim_cur = used + WORKER_PROBE_CPU;

        if (setrlimit(RLIMIT_CPU, &cpu) == -1) {
            return EXIT_FAILURE;
        }

        exam_media_none(&media);
        worker_probe_job(fd, &media);
        close(fd);

        n = send(WORKER_PROBE_FD, &media, sizeof(media), MSG_NOSIGNAL);

        if (n != (ssize_t) sizeof(media)) {
            return EXIT_FAILURE;
        }
    }

    return EXIT_SUCCESS;
}


static int
worker_probe_limits(pid_t parent)
{
    struct rlimit  rl;

    /* the daemon drains on these and needs its probe until the end */

    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);

    rl.rlim_cur = rl.rlim_max = 0;

    if (setrlimit(RLIMIT_FSIZE, &rl) == -1
        || setrlimit(RLIMIT_CORE, &rl) == -1)
    {
        return -1;
    }

    rl.rlim_cur = rl.rlim_max = WORKER_PROBE_FD + 5;

    if (setrlimit(RLIMIT_NOFILE, &rl) == -1) {
        return -1;
    }

    /* a sanitizer reserves terabytes of addresses */

#if !defined(WORKER_SANITIZED)
    rl.rlim_cur = rl.rlim_max = WORKER_PROBE_MEMORY;

    if (setrlimit(RLIMIT_AS, &rl) == -1) {
        return -1;
    }
#endif

    if (chdir("/") == -1) {
        return -1;
    }

    /* needs privileges; seccomp forbids sockets anyway */

    (void) unshare(CLONE_NEWNET);

    if (geteuid() == 0
        && (setgroups(0, NULL) == -1
            || setgid(WORKER_NOBODY) == -1 || setuid(WORKER_NOBODY) == -1))
    {
        return -1;
    }

    /* after setuid(), which clears it; the daemon may be gone already */

    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == -1
        || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1
        || getppid() != parent)
    {
        return -1;
    }

    return 0;
}


/* 0 with a descriptor; -1: the daemon has closed its end */

static int
worker_probe_receive(int *fd)
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

    iov.iov_base = &byte;
    iov.iov_len = 1;

    memset(&msg, 0, sizeof(msg));

    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control.data;
    msg.msg_controllen = sizeof(control.data);

    do {
        n = recvmsg(WORKER_PROBE_FD, &msg, MSG_CMSG_CLOEXEC);
    } while (n == -1 && errno == EINTR);

    if (n != 1) {
        return -1;
    }

    cmsg = CMSG_FIRSTHDR(&msg);

    if (cmsg == NULL || cmsg->cmsg_type != SCM_RIGHTS
        || cmsg->cmsg_len != CMSG_LEN(sizeof(int)))
    {
        return -1;
    }

    memcpy(fd, CMSG_DATA(cmsg), sizeof(int));

    return 0;
}


static void
worker_probe_job(int fd, exam_media_t *media)
{
    const char       *reason;
    struct stat       st;
    worker_file_t     file;
    AVFormatContext  *ctx;

    memset(&file, 0, sizeof(file));
    file.fd = fd;
    file.deadline = exam_mono_ms() + WORKER_PROBE_WALL;

    media->playable = 0;

    if (fstat(fd, &st) == -1) {
        snprintf(media->reason, sizeof(media->reason), "unreadable");
        return;
    }

    file.size = st.st_size;
    ctx = NULL;

    reason = worker_probe_open(&file, &ctx);

    if (reason == NULL) {
        reason = worker_probe_look(&file, ctx, media);
    }

    avformat_close_input(&ctx);

    if (file.pb != NULL) {
        av_freep(&file.pb->buffer);
        avio_context_free(&file.pb);
    }

    if (reason != NULL) {
        snprintf(media->reason, sizeof(media->reason), "%s", reason);
        return;
    }

    media->playable = 1;
}


/* NULL, or the reason; ctx and file->pb are the caller's to close */

static const char *
worker_probe_open(worker_file_t *file, AVFormatContext **ctx)
{
    int            rc;
    uint8_t       *buf;
    AVDictionary  *options;

    buf = av_malloc(WORKER_IO_BUFFER);
    if (buf == NULL) {
        return "out_of_memory";
    }

    file->pb = avio_alloc_context(buf, WORKER_IO_BUFFER, 0, file,
                                  worker_probe_read, NULL, worker_probe_seek);
    if (file->pb == NULL) {
        av_free(buf);
        return "out_of_memory";
    }

    *ctx = avformat_alloc_context();
    if (*ctx == NULL) {
        return "out_of_memory";
    }

    (*ctx)->pb = file->pb;
    (*ctx)->flags |= AVFMT_FLAG_CUSTOM_IO;
    (*ctx)->io_open = worker_probe_no_file;
    (*ctx)->interrupt_callback.callback = worker_probe_stop_now;
    (*ctx)->interrupt_callback.opaque = file;

    options = NULL;
    av_dict_set(&options, "format_whitelist", WORKER_FORMATS, 0);
    av_dict_set(&options, "max_streams", WORKER_STREAMS, 0);

    /* frees the context when it fails */

    rc = avformat_open_input(ctx, NULL, NULL, &options);

    av_dict_free(&options);

    if (rc < 0) {
        return exam_mono_ms() > file->deadline ? "probe_timeout"
                                               : "unknown_container";
    }

    return NULL;
}


static const char *
worker_probe_look(worker_file_t *file, AVFormatContext *ctx,
    exam_media_t *media)
{
    int                       video;
    bool                      found;
    int64_t                   duration;
    unsigned                  i;
    const AVCodecParameters  *par;

    duration = ctx->duration;
    video = worker_probe_video(ctx);

    /* all the formats name codec and size in their headers; a few do not */

    if (video == -1 || ctx->streams[video]->codecpar->width == 0) {
        (void) avformat_find_stream_info(ctx, NULL);
        video = worker_probe_video(ctx);
    }

    worker_probe_container(file, ctx, media);

    for (i = 0; i < ctx->nb_streams; i++) {
        par = ctx->streams[i]->codecpar;

        if (par->codec_type == AVMEDIA_TYPE_AUDIO
            && par->codec_id != AV_CODEC_ID_NONE)
        {
            worker_probe_set(media->audio_codec,
                             avcodec_get_name(par->codec_id));
            break;
        }
    }

    if (duration != AV_NOPTS_VALUE && duration > 0) {
        media->media_ms = duration / (AV_TIME_BASE / 1000);
    }

    if (video != -1) {
        par = ctx->streams[video]->codecpar;

        worker_probe_set(media->video_codec, avcodec_get_name(par->codec_id));
        media->width = par->width;
        media->height = par->height;
    }

    found = worker_probe_packets(file, ctx, video, media);

    if (video == -1) {
        return "no_video";
    }

    return found ? NULL : "no_packet";
}


/* is there a packet of the stream?  fills in media_ms where it is unknown */

static bool
worker_probe_packets(worker_file_t *file, AVFormatContext *ctx, int video,
    exam_media_t *media)
{
    bool           found;
    unsigned       n, i;
    AVPacket      *pkt;
    worker_walk_t  walk;

    pkt = av_packet_alloc();
    if (pkt == NULL) {
        return false;
    }

    walk.first = INT64_MAX;
    walk.last = INT64_MIN;

    for (i = 0; i < WORKER_STREAMS_MAX; i++) {
        walk.prev[i] = AV_NOPTS_VALUE;
    }

    found = false;

    for (n = 0; n < WORKER_WALK_PACKETS; n++) {

        if (found && media->media_ms != -1) {
            break;
        }

        if (exam_mono_ms() > file->deadline || file->read > WORKER_WALK_BYTES
            || av_read_frame(ctx, pkt) < 0)
        {
            break;
        }

        found = found || pkt->stream_index == video;

        worker_probe_step(&walk, ctx, pkt);
        av_packet_unref(pkt);
    }

    av_packet_free(&pkt);

    /* a walk that was cut short says nothing about the length */

    if (media->media_ms == -1 && walk.first <= walk.last
        && n < WORKER_WALK_PACKETS && exam_mono_ms() <= file->deadline
        && file->read <= WORKER_WALK_BYTES)
    {
        media->media_ms = (walk.last - walk.first) / 1000;
    }

    return found;
}


static void
worker_probe_step(worker_walk_t *walk, const AVFormatContext *ctx,
    const AVPacket *pkt)
{
    int64_t     at, length, *prev;
    AVRational  base;

    static const AVRational  us = { 1, 1000000 };

    if (pkt->stream_index < 0 || pkt->stream_index >= WORKER_STREAMS_MAX
        || pkt->pts == AV_NOPTS_VALUE)
    {
        return;
    }

    base = ctx->streams[pkt->stream_index]->time_base;
    prev = &walk->prev[pkt->stream_index];
    at = av_rescale_q(pkt->pts, base, us);

    /* simple blocks have no length: as long as the one before */

    if (pkt->duration > 0) {
        length = av_rescale_q(pkt->duration, base, us);

    } else if (*prev != AV_NOPTS_VALUE && *prev < at) {
        length = at - *prev;

    } else {
        length = 0;
    }

    *prev = at;

    if (at < walk->first) {
        walk->first = at;
    }

    if (at + length > walk->last) {
        walk->last = at + length;
    }
}


static int
worker_probe_video(const AVFormatContext *ctx)
{
    unsigned                  i;
    const AVCodecParameters  *par;

    for (i = 0; i < ctx->nb_streams; i++) {
        par = ctx->streams[i]->codecpar;

        if (par->codec_type == AVMEDIA_TYPE_VIDEO
            && par->codec_id != AV_CODEC_ID_NONE
            && !(ctx->streams[i]->disposition & AV_DISPOSITION_ATTACHED_PIC))
        {
            return (int) i;
        }
    }

    return -1;
}


/* FFmpeg has one name for each family: "matroska,webm" and "mov,mp4,..." */

static void
worker_probe_container(worker_file_t *file, const AVFormatContext *ctx,
    exam_media_t *media)
{
    ssize_t                   n;
    uint8_t                   head[WORKER_DOCTYPE_WINDOW];
    const AVDictionaryEntry  *brand;

    static const char  doctype[] = "\x42\x82\x84webm";   /* RFC 8794, DocType */

    if (strncmp(ctx->iformat->name, "matroska", 8) == 0) {
        n = pread(file->fd, head, sizeof(head), 0);

        if (n > 0
            && memmem(head, (size_t) n, doctype, sizeof(doctype) - 1) != NULL)
        {
            worker_probe_set(media->container, "webm");
            return;
        }

        worker_probe_set(media->container, "matroska");
        return;
    }

    brand = av_dict_get(ctx->metadata, "major_brand", NULL, 0);

    worker_probe_set(media->container,
                     brand != NULL && strncmp(brand->value, "qt", 2) == 0
                     ? "mov" : "mp4");
}


static void
worker_probe_set(char out[EXAM_MEDIA_NAME_MAX], const char *name)
{
    snprintf(out, EXAM_MEDIA_NAME_MAX, "%s", name);
}


static int
worker_probe_read(void *opaque, uint8_t *buf, int size)
{
    ssize_t         n;
    worker_file_t  *file = opaque;

    do {
        n = pread(file->fd, buf, (size_t) size, file->pos);
    } while (n == -1 && errno == EINTR);

    if (n == -1) {
        return AVERROR(errno);
    }

    if (n == 0) {
        return AVERROR_EOF;
    }

    file->pos += n;
    file->read += n;

    return (int) n;
}


static int64_t
worker_probe_seek(void *opaque, int64_t offset, int whence)
{
    worker_file_t  *file = opaque;

    switch (whence & ~AVSEEK_FORCE) {

    case AVSEEK_SIZE:
        return file->size;

    case SEEK_SET:
        break;

    case SEEK_CUR:
        offset += file->pos;
        break;

    case SEEK_END:
        offset += file->size;
        break;

    default:
        return AVERROR(EINVAL);
    }

    if (offset < 0) {
        return AVERROR(EINVAL);
    }

    file->pos = offset;

    return offset;
}


static int
worker_probe_stop_now(void *opaque)
{
    worker_file_t  *file = opaque;

    return exam_mono_ms() > file->deadline;
}


/* a file may name other files; none is ever opened */

static int
worker_probe_no_file(AVFormatContext *ctx, AVIOContext **pb, const char *url,
    int flags, AVDictionary **options)
{
    (void) ctx;
    (void) pb;
    (void) url;
    (void) flags;
    (void) options;

    return AVERROR(EACCES);
}
