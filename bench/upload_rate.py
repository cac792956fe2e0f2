"""bench upload: throughput and CPU of each server, heartbeats meanwhile."""

import mmap
import os
import threading
import time

from lib import fail, median
from upload_servers import (SEGMENT, SLOW_MS, Dav, Exam, Gunicorn, Node, Tus,
                            measure)

BUFFER = "256k"             # ours, see ngx_http_exam_buffers.h
CLIENTS = 8
SATURATING = 32
OURS, OURS_TUS = "exam-monitor", "exam-monitor, tus"
SAME, STOCK = f"DAV, {BUFFER} buffer", "DAV"
PARTS, FLASK, NODE = "DAV + sha256 + sync", "Flask + gunicorn", "@tus/server"
NODE_SYNCED = "@tus/server, hash, sync"


def servers(load, options):
    """{name: server}, all started."""
    exam = Exam(load)
    started = {OURS: exam, OURS_TUS: Tus(exam, OURS_TUS)}
    started[SAME] = Dav(load, "dav-same", BUFFER)
    started[STOCK] = Dav(load, "dav")
    started[PARTS] = Dav(load, "dav-synced", synced=True)
    if "flask" not in options.without:
        started[FLASK] = Gunicorn(load)
    if "tus" not in options.without:
        started[NODE] = Node(load)
        started[NODE_SYNCED] = Node(load, "node-synced", "sync")
    return started


def disk(folder, writers, seconds):
    """MB/s of so many writers, 16 MB each with fdatasync, past the cache."""
    end = time.monotonic() + seconds
    piece = mmap.mmap(-1, 512 * 1024)
    piece.write(os.urandom(len(piece)))
    written, broken = [0] * writers, []

    def write(i):
        name = folder / f"disk-{i}"
        try:
            while time.monotonic() < end:
                file = os.open(name, os.O_CREAT | os.O_TRUNC | os.O_WRONLY
                               | os.O_DIRECT, 0o600)
                for at in range(0, SEGMENT, len(piece)):
                    written[i] += os.pwrite(file, piece, at)
                os.fdatasync(file)
                os.close(file)
        except OSError as error:
            broken.append(error)
        name.unlink(missing_ok=True)

    start = time.monotonic()
    threads = [threading.Thread(target=write, args=(i,))
               for i in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if broken:
        return None         # a file system without O_DIRECT
    return sum(written) / (time.monotonic() - start) / 1e6


def summary(runs):
    return {name: median([run[name] for run in runs
                          if run[name] is not None] or [0])
            for name in runs[0]}


def rate(load, options):
    started = servers(load, options)
    runs, disks = {}, []
    unpinned = (OURS, SAME, STOCK)

    for n in range(options.rounds):
        for pinned in (True, False):
            names = [name for name in started if pinned or name in unpinned]

            # not always the same neighbour before a run
            names = names[n % len(names):] + names[:n % len(names)]

            print(f"==> rate: round {n + 1} of {options.rounds},"
                  f" {'one core' if pinned else 'two cores'}:"
                  f" {', '.join(names)}", flush=True)
            for name in names:
                runs.setdefault((name, pinned), []).append(measure(
                    load, started[name], CLIENTS, options.seconds, pinned))
        disks.append(disk(load.folder.path, CLIENTS, options.seconds))

    for server in started.values():
        if not isinstance(server, Tus):
            load.folder.stop(server.process)

    return {"one_core": {name: summary(runs[name, True]) for name in started},
            "two_cores": {name: summary(runs[name, False])
                          for name in unpinned},
            "disk_mb_s": median(disks) if all(disks) else None,
            "runs": [{"server": name, "pinned": pinned, "runs": each}
                     for (name, pinned), each in runs.items()]}


def idle(load, server, seconds):
    server.clean()
    server.pin(True)
    return load.finish(load.start("probe", server, clients=200, rate=200,
                                  count=200 * seconds), server)


def beating(load, server, options, drain=1):
    """Idle, then 32 uploads on one core."""
    seconds = max(2, options.seconds)
    return {"idle": idle(load, server, seconds),
            "loaded": measure(load, server, SATURATING, seconds + 2,
                              drain=drain)}


def latency(load, options):
    figures = {}
    for name, server in ((OURS, Exam(load, "latency")),
                         (STOCK, Dav(load, "latency-dav"))):
        print(f"==> latency: {SATURATING} uploads, {name}", flush=True)
        figures[name] = beating(load, server, options)
        load.folder.stop(server.process)
    return figures


def slow_disk(load, options):
    figures = {}
    for name, server in ((OURS, Exam(load, "slow", SLOW_MS)),
                         (STOCK, Dav(load, "slow-dav", slow_ms=SLOW_MS))):
        print(f"==> slow-disk: {SLOW_MS} ms a write, {SATURATING} uploads,"
              f" {name}", flush=True)
        figures[name] = beating(load, server, options, drain=0)
        load.folder.stop(server.process, 1)
    return figures


def ms(us):
    return f"{us / 1000:>9.2f}" if us else f"{'-':>9}"


def rate_table(figures):
    print(f"\n{CLIENTS} clients, {SEGMENT // 1024 // 1024} MB each;"
          " one worker process")
    print(f"{'':>24} {'MB/s':>6} {'CPU s/GB':>9} {'peak MB':>8}"
          f" {'RssAnon':>8} {'client':>7} {'beat p50':>9} {'p99 ms':>9}")
    for cores in ("one_core", "two_cores"):
        print("one core" if cores == "one_core"
              else "not bound to a core (two here)")
        for name, f in figures[cores].items():
            print(f"{name:>24} {f['mb_s']:>6.0f} {f['cpu_s_gb']:>9.2f}"
                  f" {f['hwm_mb']:>8.1f} {f['anon_mb']:>8.1f}"
                  f" {f['client_cpu']:>6.0%} {ms(f['p50_us'])}"
                  f" {ms(f['p99_us'])}")
    if figures["disk_mb_s"]:
        print(f"{'the disk, 8 writers':>24} {figures['disk_mb_s']:>6.0f}"
              "  with fdatasync, past the page cache")


def beat_table(title, figures):
    print(f"\nHeartbeats, ms: {title}")
    print(f"{'':>24} {'idle p50':>9} {'p99':>9} {'load p50':>9} {'p99':>9}"
          f" {'max':>9} {'never':>6} {'MB/s':>6}")
    for name, f in figures.items():
        a, b = f["idle"], f["loaded"]
        print(f"{name:>24} {ms(a['p50_us'])} {ms(a['p99_us'])}"
              f" {ms(b['p50_us'])} {ms(b['p99_us'])} {ms(b['max_us'])}"
              f" {b['unanswered']:>6} {b['mb_s']:>6.0f}")


def rate_musts(figures):
    """(what, figure, limit, unit): at most, or at least with a negative.

    By CPU: how many times as much a core of its own could take, whoever else
    was on the machine.
    """
    one, two = figures["one_core"], figures["two_cores"]
    ours = one[OURS]["mb_s"]
    rows = [("CPU a GB (goal 1.2)", one[OURS]["cpu_s_gb"], 1.5, "s"),
            (f"two cores, MB/s of \"{SAME}\"",
             two[OURS]["mb_s"] / two[SAME]["mb_s"], -1, "x")]
    for name, times in ((PARTS, 1.8), (FLASK, 3), (NODE, 3),
                        (NODE_SYNCED, 3)):
        if name in one:
            rows.append((f"MB/s of \"{name}\"", ours / one[name]["mb_s"],
                         -times, "x"))
            rows.append(("the same by CPU", one[name]["cpu_s_gb"]
                         / one[OURS]["cpu_s_gb"], None, "x"))
    return rows


def latency_musts(figures):
    ours = figures[OURS]
    return [("heartbeat p99, 32 uploads (goal 1.5)",
             ours["loaded"]["p99_us"] / 1e3,
             max(3, 5 * ours["idle"]["p99_us"] / 1e3), "ms")]


def slow_musts(figures):
    ours = figures[OURS]
    return [("heartbeat p99, slow disk", ours["loaded"]["p99_us"] / 1e3,
             2 * ours["idle"]["p99_us"] / 1e3, "ms")]
