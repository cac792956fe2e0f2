"""The servers that bench/upload.py puts side by side, and the load on them.

Each is one worker process with the system's defaults and a folder of its own
for what it takes; all answer POST /api/v1/heartbeat.  The standard library
only.
"""

import json
import os
import pathlib
import shutil
import subprocess
import threading
import time

from lib import (BIN, KEY, LOAD_CPU, OUT, ROOT, SERVER_CPU, Beat, Nginx, Redis,
                 fail, free_port, schedstat, wait_for)

HERE = pathlib.Path(__file__).resolve().parent
SEGMENT = 16 * 1024 * 1024
SESSIONS = 20000
BEATING = 200               # the first sessions: they upload nothing
THREADS = 16                # of a pool, as nginx-conf/single.conf has it
SLOW_MS = 200
TUS_PATH = "/api/v1/uploads"
REPLY = ('{"server_time":1795219200000,"next_s":30,"ends_at":1795222800000,'
         '"status":{"locked":false,"paused":false,"closed":false},'
         '"commands":[],"stored":{"screen":12,"camera":12},"resend":[],'
         '"upload":{"slot_ms":0}}')


def compile_c(target, *sources, flags=()):
    """A program of bench/, compiled when a source is newer."""
    sources = [HERE / source for source in sources]
    newest = max(source.stat().st_mtime for source in
                 [*sources, HERE / "load.h"])
    if target.exists() and target.stat().st_mtime > newest:
        return
    done = subprocess.run(
        [os.environ.get("CC", "gcc"), "-std=gnu11", "-O2", "-Wall", "-Wextra",
         "-Werror", *flags, "-o", target,
         *(source for source in sources if source.suffix == ".c")])
    if done.returncode != 0:
        fail(f"{sources[0].name} does not compile")


class Load:
    """bench/load.c with the sessions that it speaks for."""

    def __init__(self, folder):
        self.folder = folder
        self.program = OUT / "load"
        compile_c(self.program, "load.c", "load_send.c", "load_slow.c",
                  "load_probe.c")
        self.slow_disk = OUT / "slow_disk.so"
        compile_c(self.slow_disk, "slow_disk.c",
                  flags=("-shared", "-fPIC", "-ldl"))

        self.beat = Beat(folder)
        self.redis = Redis(folder, nice=0)
        self.redis.pipe(*self.beat.command("fixture", sessions=SESSIONS))
        self.tokens = folder.path / "tokens"
        with open(self.tokens, "wb") as file:
            subprocess.run(self.beat.command("tokens", touch=SESSIONS),
                           stdout=file, check=True)
        self.used = BEATING

    def take(self, sessions):
        """The first of so many sessions that have not uploaded yet."""
        first, self.used = self.used, self.used + sessions
        if self.used > SESSIONS:
            fail(f"{SESSIONS} sessions are not enough")
        return first

    def token(self, i):
        with open(self.tokens) as file:
            for line, token in enumerate(file):
                if line == i:
                    return token.strip()
        return fail("not enough tokens")

    def start(self, what, server, pinned=True, **options):
        cpus = LOAD_CPU if pinned else f"{SERVER_CPU},{LOAD_CPU}"
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", str(cpus),
             self.program, what, f"port={server.port}",
             f"tokens={self.tokens}",
             *(f"{name}={value}" for name, value in options.items())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)

    def finish(self, process, server, seconds=120):
        """What a load program measured."""
        try:
            out, error = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            fail(f"{server.name}: the load program did not end in"
                 f" {seconds} s")
        if process.returncode != 0:
            fail(f"{server.name}: {error.strip()}\n{server.errors()[-2000:]}")
        return json.loads(out.splitlines()[-1])


class Upload:
    """What all servers have: a folder of files, figures of processes."""

    kind, path, then = "put", "/api/v1/recordings/screen/", None

    def clean(self):
        """Away with what was uploaded, and nothing left to write back."""
        for folder in self.folders:
            for file in folder.iterdir():
                if file.is_file():
                    file.unlink()
        subprocess.run(["sync", "-f", self.folder.path], check=True)

    def pin(self, pinned):
        cpus = {SERVER_CPU} if pinned else {SERVER_CPU, LOAD_CPU}
        for pid in self.workers():
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), cpus)

    def status_kb(self, field):
        return sum(int(line.split()[1]) for pid in self.workers()
                   for line in open(f"/proc/{pid}/status")
                   if line.startswith(field + ":"))

    def forget_peak(self):
        for pid in self.workers():
            pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")

    def cpu_us(self):
        return sum(schedstat(pid)[0] for pid in self.workers())


class Exam(Upload, Nginx):
    """nginx with the module."""

    def __init__(self, load, name="exam-monitor", slow_ms=0):
        spool = load.folder.path / f"spool-{name}"
        spool.mkdir()
        self.folders = [spool / "ready"]
        self.port2, self.stock2 = free_port(), free_port()
        env = {"LD_PRELOAD": str(load.slow_disk),
               "EXAM_DISK_MS": str(slow_ms)} if slow_ms else {}
        Nginx.__init__(self, load.folder, name, f"""
    exam_zone exam-{name}:64m shards=4;
    exam_redis unix:{load.redis.socket};
    exam_key_file {load.beat.keys};
    exam_node n1;
    exam_spool {spool};
    exam_thread_pool exam_upload;
    exam_heartbeat_rate 0;

    server {{
        listen 127.0.0.1:{self.port2} http2;
        http2_body_preread_size 512k;
        include {ROOT}/nginx-conf/api.inc;
    }}
    server {{
        listen 127.0.0.1:{self.stock2} http2;
        include {ROOT}/nginx-conf/api.inc;
    }}
""", f"        include {ROOT}/nginx-conf/api.inc;",
                       connections=8192, threads=THREADS, env=env)
        wait_for("/ready", lambda: self.ask("GET", "/ready")[0] == 200)


class Tus(Upload):
    """A server that is there, by tus."""

    kind, path = "tus", TUS_PATH

    def __init__(self, server, name):
        self.server, self.name = server, name

    def __getattr__(self, name):
        return getattr(self.server, name)


class Dav(Upload, Nginx):
    """The same program without the module: PUT by nginx's DAV."""

    kind, path = "dav", "/dav/"

    def __init__(self, load, name, buffer=None, synced=False, slow_ms=0):
        store = load.folder.path / f"store-{name}"
        (store / "dav").mkdir(parents=True)
        self.folders = [store / "dav"]
        self.then = store / "dav" if synced else None
        size = f"client_body_buffer_size {buffer};" if buffer else ""
        env = {"LD_PRELOAD": str(load.slow_disk),
               "EXAM_DISK_MS": str(slow_ms)} if slow_ms else {}
        Nginx.__init__(self, load.folder, name, "", f"""
        location = /api/v1/heartbeat {{ return 200 '{REPLY}\\n'; }}
        location /dav/ {{
            root {store};
            dav_methods PUT;
            client_max_body_size 0;
            {size}
        }}""", connections=8192, env=env)


class Gunicorn(Upload, Nginx):
    """Flask: one worker process with threads."""

    def __init__(self, load, name="flask"):
        self.folder, self.name = load.folder, name
        self.prefix = load.folder.path / name
        self.prefix.mkdir()
        self.folders = [self.prefix / "store"]
        self.folders[0].mkdir()
        self.port = free_port()
        env = {**os.environ, "PATH": "/usr/bin:/bin",
               "PEER_KEY": KEY.split()[-1], "PEER_FOLDER": self.folders[0],
               "PEER_REDIS": str(load.redis.socket)}
        self.process = load.folder.start(
            name, SERVER_CPU, "/usr/bin/gunicorn", "-k", "gthread", "-w", 1,
            "--threads", THREADS, "-b", f"127.0.0.1:{self.port}",
            "--keep-alive", 600, "--log-level", "warning", "--chdir", HERE,
            "peers_app:app", env=env)
        wait_for("gunicorn", self.up)


class Node(Upload, Nginx):
    """npm's @tus/server: one process."""

    kind, path = "tus", "/files"

    def __init__(self, load, name="node", *arguments):
        self.folder, self.name = load.folder, name
        self.prefix = load.folder.path / name
        self.prefix.mkdir()
        self.folders = [self.prefix / "store"]
        self.folders[0].mkdir()
        self.port = free_port()
        self.process = load.folder.start(
            name, SERVER_CPU, os.environ.get("EXAM_NODE", "node"),
            node_folder() / "server.mjs", self.port, self.folders[0],
            *arguments)
        wait_for("@tus/server", self.up)

    def workers(self):
        return [self.process.pid]

    def errors(self):
        return self.folder.output(self.name)


def node_folder():
    """bench/tus with its packages, below var/bench; installed once."""
    source, folder = HERE / "tus", OUT / "tus"
    stamp = folder / "installed"
    lock = (source / "package-lock.json").read_bytes()

    folder.mkdir(exist_ok=True)
    for file in ("package.json", "package-lock.json", "server.mjs"):
        shutil.copyfile(source / file, folder / file)

    if stamp.exists() and stamp.read_bytes() == lock:
        return folder

    print("==> npm: @tus/server", flush=True)
    done = subprocess.run(
        ["npm", "ci", "--omit=optional", "--ignore-scripts", "--no-audit",
         "--no-fund", "--cache", str(folder / "cache")],
        cwd=folder, capture_output=True, text=True,
        timeout=300)
    if done.returncode != 0:
        fail("npm could not install @tus/server (leave it out with"
             f" --without tus): {done.stderr.strip()[-500:]}")
    stamp.write_bytes(lock)
    return folder


class Sampler:
    """The highest RssAnon of a server while something runs, KB."""

    def __init__(self, server, period=0.05):
        self.server, self.period = server, period
        self.peak, self.ended = 0, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.ended.wait(self.period):
            self.peak = max(self.peak, self.server.status_kb("RssAnon"))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


def measure(load, server, clients, seconds, pinned=True, rate=200, drain=1,
            probe=True):
    """One run: uploads as fast as they go, heartbeats meanwhile."""
    server.clean()
    server.pin(pinned)
    server.forget_peak()
    first = load.take(clients)
    options = {"then": server.then} if server.then else {}
    if server.then and pinned:
        options["cpu"] = SERVER_CPU

    with Sampler(server) as sampler:
        cpu = server.cpu_us()
        sending = load.start("send", server, pinned, kind=server.kind,
                             path=server.path, clients=clients, first=first,
                             seconds=seconds, size=SEGMENT, drain=drain,
                             **options)
        beats = None
        if probe:
            time.sleep(0.2)
            beats = load.finish(load.start(
                "probe", server, pinned, clients=BEATING, rate=rate,
                count=int(rate * (seconds - 0.4))), server)
        sent = load.finish(sending, server)
        cpu = server.cpu_us() - cpu + sent["child_us"]

    server.clean()
    return {"mb_s": sent["bytes"] / sent["us"],
            "cpu_s_gb": cpu / max(1, sent["bytes"]) * 1e3,
            "client_cpu": sent["cpu_us"] / sent["us"],
            "files": sent["files"], "hwm_mb": server.status_kb("VmHWM") / 1024,
            "anon_mb": sampler.peak / 1024,
            "p50_us": beats and beats["p50_us"],
            "p99_us": beats and beats["p99_us"],
            "max_us": beats and beats["max_us"],
            "unanswered": beats and beats["unanswered"]}
