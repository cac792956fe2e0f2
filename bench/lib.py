"""What the benches share: private servers, CPU time, the load generator.

Servers live in a folder of their own below var/bench and end with the bench.
nginx gets the first core; Redis and the load generator share the second one,
so that what nginx is measured with is a whole core.  Standard library only.
"""

import atexit
import http.client
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(os.environ.get(
    "EXAM_ROOT", pathlib.Path(__file__).resolve().parent.parent))
BIN = pathlib.Path(os.environ.get("EXAM_BIN", ROOT / "var/build/static/bin"))
OUT = pathlib.Path(os.environ.get("EXAM_BENCH", ROOT / "var/bench"))

KEY = "c1 candidate " + "11" * 32 + "\n"
EXAM = "bench"

SERVER_CPU, LOAD_CPU = sorted(os.sched_getaffinity(0))[:2] \
    if len(os.sched_getaffinity(0)) > 1 else (0, 0)


def fail(what):
    sys.exit(f"bench: {what}")


def wait_for(what, test, seconds=20):
    end = time.monotonic() + seconds
    while True:
        value = test()
        if value:
            return value
        if time.monotonic() > end:
            fail(f"waited {seconds} s for {what}")
        time.sleep(0.02)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def machine():
    """What a figure was measured on."""
    model = "unknown CPU"
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return {"cpu": model, "cores": os.cpu_count(),
            "kernel": os.uname().release,
            "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())}


def schedstat(pid):
    """(CPU, waiting for a core) of all threads of a process, microseconds."""
    ran = waited = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        field = (task / "schedstat").read_text().split()
        ran += int(field[0])
        waited += int(field[1])
    return ran / 1000, waited / 1000


def rss_anon_kb(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    return 0


def children(pid):
    file = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in file.read_text().split()]


class Folder:
    """A folder below var/bench that goes away with its servers."""

    def __init__(self, name):
        self.path = OUT / f"{name}.{os.getpid()}"
        self.path.mkdir(parents=True, mode=0o755)
        self.running = []
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        atexit.register(self.close)
        for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(sig, lambda *_: sys.exit(1))

    def close(self):
        for process in reversed(self.running[:]):
            self.stop(process)
        shutil.rmtree(self.path, ignore_errors=True)

    def start(self, name, cpu, *command, **options):
        log = open(self.path / f"{name}.out", "ab")
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", str(cpu),
             *map(str, command)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)
        self.running.append(process)
        return process

    def stop(self, process, patience=20):
        """Its children too, where it does not end in time."""
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            for pid in children(process.pid):
                os.kill(pid, signal.SIGKILL)
            process.kill()
            process.wait()
        self.running.remove(process)

    def write(self, name, text, mode=0o644):
        file = self.path / name
        file.write_text(text)
        file.chmod(mode)
        return file

    def output(self, name):
        file = self.path / f"{name}.out"
        return file.read_text(errors="replace") if file.exists() else ""


class Redis:
    def __init__(self, folder, nice=19):
        self.socket = folder.path / "redis.sock"
        # It shares a core with the load generator, whose wait for that core
        # would be taken for latency of the server.  Whether Redis keeps up
        # nevertheless is checked by the benches.
        self.process = folder.start(
            "redis", LOAD_CPU, "nice", "-n", nice, "redis-server", "--port", 0,
            "--unixsocket", self.socket, "--save", "", "--appendonly", "no",
            "--dir", folder.path)
        wait_for("Redis", lambda: self.cli("PING", check=False) == "PONG")

    def cli(self, *command, check=True, **options):
        done = subprocess.run(
            ["redis-cli", "-s", self.socket, *map(str, command)],
            capture_output=True, text=True, **options)
        if check and done.returncode != 0:
            fail(f"redis-cli {command[0]}: {done.stderr or done.stdout}")
        return done.stdout.strip()

    def pipe(self, *command):
        """The commands that a program prints."""
        with subprocess.Popen(list(map(str, command)),
                              stdout=subprocess.PIPE) as program:
            done = self.cli("--pipe", stdin=program.stdout)
        if program.returncode != 0 or "errors: 0" not in done:
            fail(f"the fixture was not taken: {done}")


class Nginx:
    """One nginx with one worker process on the first core."""

    def __init__(self, folder, name, http, server, main="",
                 binary=None, connections=2048, threads=2, env=None):
        self.folder, self.name = folder, name
        self.prefix = folder.path / name
        (self.prefix / "log").mkdir(parents=True)
        self.port = free_port()
        conf = f"""{main}
worker_processes 1;
daemon off;
pid nginx.pid;
error_log log/error.log notice;
thread_pool exam_upload threads={threads};
events {{
    worker_connections {connections};
}}
http {{
    default_type application/json;
    server_tokens off;
    access_log off;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
{http}
    server {{
        listen 127.0.0.1:{self.port} backlog=4096;
{server}
    }}
}}
"""
        file = folder.write(f"{name}.conf", conf)
        if os.geteuid() == 0:
            file.write_text("user root;\n" + conf)
        self.process = folder.start(
            name, SERVER_CPU, binary or BIN / "nginx",
            "-p", self.prefix, "-c", file, "-e", "log/error.log",
            env={**os.environ, **(env or {})})
        wait_for(f"nginx ({name})", self.up)

    def up(self):
        if self.process.poll() is not None:
            fail(f"nginx ({self.name}) ended: "
                 + self.folder.output(self.name) + self.errors())
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return bool(self.workers())
        except OSError:
            return False

    def errors(self):
        file = self.prefix / "log/error.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def workers(self):
        return children(self.process.pid)

    def schedstat(self):
        figures = [schedstat(p) for p in self.workers()]
        return sum(f[0] for f in figures), sum(f[1] for f in figures)

    def rss_anon_kb(self):
        return sum(rss_anon_kb(p) for p in self.workers())

    def ask(self, method, path, body=None, token=None):
        """(status, body) of one request."""
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port,
                                                timeout=10)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()


class Beat:
    """The load generator, bench/beat.c."""

    def __init__(self, folder):
        self.folder = folder
        self.program = OUT / "beat"
        self.keys = folder.write("keys", KEY, 0o600)
        self.epoch = int(time.time())
        self.compile()

    def compile(self):
        source = ROOT / "bench/beat.c"
        core = (BIN / "exam-worker").resolve().parent.parent / "libcore.a"
        if self.program.exists() and self.program.stat().st_mtime > max(
                source.stat().st_mtime, core.stat().st_mtime):
            return
        done = subprocess.run(
            [os.environ.get("CC", "gcc"), "-std=gnu11", "-O2", "-Wall",
             "-Wextra", "-Werror", "-o", self.program, source, core,
             "-lcrypto", "-lyajl"])
        if done.returncode != 0:
            fail("bench/beat.c does not compile")

    def command(self, what, **options):
        return ["taskset", "-c", str(LOAD_CPU), str(self.program), what,
                f"keys={self.keys}", f"epoch={self.epoch}",
                *(f"{name}={value}" for name, value in options.items())]

    def run(self, port, **options):
        """Runs the load; what it measured."""
        done = subprocess.run(self.command("run", port=port, **options),
                              capture_output=True, text=True)
        if done.returncode != 0:
            fail(done.stderr.strip())
        return json.loads(done.stdout)

    def token(self, touch=1):
        done = subprocess.run(self.command("tokens", touch=touch),
                              capture_output=True, text=True, check=True)
        return done.stdout.split("\n", 1)[0]


def median(values):
    return statistics.median(values)


def result(name, data):
    """Written below var/bench; tells where."""
    file = OUT / f"{name}.json"
    new = file.with_suffix(".new")
    new.write_text(json.dumps(data, indent=1) + "\n")
    new.rename(file)
    print(f"\nwritten: {os.path.relpath(file, ROOT)}")
