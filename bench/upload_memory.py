"""bench upload: what nginx's worker process holds for uploads under way."""

import json
import os
import signal
import subprocess
import time

from lib import LOAD_CPU, fail, median
from upload_servers import SEGMENT, Exam, Sampler

SLOW_RATE = 20 * 1024
TRIMMED_S = 15


# a connection an upload: curl 7.88 cannot use one twice for HTTP/2 uploads
H2 = """n=0
while curl -sS --http2-prior-knowledge --fail -o /dev/null -T "$1" \\
    -H "Content-Type: video/webm" -H "Authorization: Bearer $2" "$3$n"
do
    n=$((n + 1))
done"""


def h2(load, server, clients, seconds):
    """curl, each with a session of its own, one segment after the other."""
    body = load.folder.path / "segment"
    if not body.exists():
        with open("/dev/urandom", "rb") as source:
            body.write_bytes(source.read(SEGMENT))
    first = load.take(clients)
    running = [subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", str(LOAD_CPU),
         "sh", "-c", H2, "sh", body, load.token(first + i),
         f"http://127.0.0.1:{server.port2}{server.path}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True) for i in range(clients)]
    time.sleep(seconds)
    ended = [curl for curl in running if curl.poll() is not None]
    for curl in running:
        if curl not in ended:
            os.killpg(curl.pid, signal.SIGTERM)
    for curl in running:
        curl.wait(10)
    if ended:
        fail(f"curl, HTTP/2: {ended[0].stderr.readline().strip()}")


def active(load, server, base, clients, seconds, http2):
    """KB of each of so many uploads, at the worst moment."""
    server.clean()
    with Sampler(server, 0.02) as sampler:
        if http2:
            h2(load, server, clients, seconds)
        else:
            load.finish(load.start(
                "send", server, kind="put", path=server.path, clients=clients,
                first=load.take(clients), seconds=seconds, size=SEGMENT),
                server)
    return (sampler.peak - base) / clients


def settled(server):
    """RssAnon when free buffers had the time to be given back, KB."""
    time.sleep(TRIMMED_S)
    return server.status_kb("RssAnon")


def slow(load, server, clients, seconds):
    """MB in all, while so many send 20 KB a second each."""
    server.clean()
    process = load.start("slow", server, path=server.path, clients=clients,
                         first=load.take(clients), rate=SLOW_RATE,
                         size=SEGMENT)
    line = process.stdout.readline()
    if not line:
        load.finish(process, server)
        fail("the slow uploads ended")
    seen = []
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        time.sleep(0.1)
        seen.append(server.status_kb("RssAnon"))
    done = load.finish(process, server)
    return {"uploads": json.loads(line)["clients"],
            "mb": max(seen) / 1024, "median_mb": median(seen) / 1024,
            "kb_s": done["bytes"] / done["us"] * 1e3 / clients}


def memory(load, options):
    """Each from a fresh process: nothing is left of others' buffers."""
    figures = {}
    for http in (1, 2):
        server = Exam(load, f"memory-{http}")
        base = server.status_kb("RssAnon")
        for clients in (8,) if options.quick else (8, 64):
            print(f"==> memory: {clients} uploads, HTTP/{http}", flush=True)
            figures[f"http{http}_{clients}_kb"] = active(
                load, server, base, clients, options.seconds, http == 2)
        figures["base_mb"] = base / 1024
        if not options.quick:
            print("==> memory: after the last upload", flush=True)
            figures["after_mb"] = max(figures.get("after_mb", 0),
                                      settled(server) / 1024)
        load.folder.stop(server.process)

    count = 200 if options.quick else 2000
    print(f"==> memory: {count} slow uploads", flush=True)
    server = Exam(load, "memory-slow")
    figures["slow"] = slow(load, server, count, 2 if options.quick else 10)
    load.folder.stop(server.process)
    return figures


def table(figures):
    print("\nMemory of the worker process (RssAnon)")
    print(f"{'before':>28} {figures['base_mb']:>9.1f} MB")
    for http in (1, 2):
        for clients in (8, 64):
            kb = figures.get(f"http{http}_{clients}_kb")
            if kb is not None:
                print(f"{f'{clients} uploads, HTTP/{http}':>28} {kb:>9.0f} KB"
                      " each")
    each = figures["slow"]
    print(f"{each['uploads']:>15} slow uploads {each['mb']:>9.1f} MB"
          f" in all (median {each['median_mb']:.1f},"
          f" {each['kb_s']:.1f} KB/s each)")
    if "after_mb" in figures:
        print(f"{f'{TRIMMED_S} s after all others':>28}"
              f" {figures['after_mb']:>9.1f} MB")


def musts(figures):
    """(what, figure, limit, unit), each at most its limit."""
    rows = []
    for http, limit in ((1, 576), (2, 1024)):
        each = [figures[f"http{http}_{n}_kb"] for n in (8, 64)
                if f"http{http}_{n}_kb" in figures]
        rows.append((f"memory of an upload, HTTP/{http}", max(each), limit,
                     "KB"))
    slow_mb = figures["slow"]["mb"]
    rows.append((f"{figures['slow']['uploads']} slow uploads", slow_mb, 400,
                 "MB"))
    return rows
