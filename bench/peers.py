#!/usr/bin/env python3
"""Heartbeats against what else could do their job.

usage: ./build.sh bench peers [-- option...]

nginx with the module, nginx with Lua and Flask under gunicorn with gevent, the
latter two from Debian's packages, each one worker process on a core of its own
with a private Redis on the other, get the same requests in turns: tokens of
2,000 candidates, a new seq in each.  All verify a token once, parse the body
and answer in full; the module writes to Redis once a second and session, the
others as usual with each beat.  The figures are medians.

  --seconds 4   of each run
  --rounds 3    runs of each
"""

import argparse
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from heartbeat import Bench, figures
from lib import (EXAM, KEY, SERVER_CPU, Beat, Folder, Nginx, fail,
                 free_port, machine, result, schedstat, wait_for)

HERE = pathlib.Path(__file__).resolve().parent
MODULES = pathlib.Path("/usr/lib/nginx/modules")
SECRET = KEY.split()[-1]
TOUCH = 2000


class Gunicorn(Nginx):
    """One gevent worker, in nginx's place."""

    def __init__(self, folder, redis):
        self.folder, self.name = folder, "flask"
        self.prefix = folder.path / "flask"
        self.port = free_port()
        env = {**os.environ, "PATH": "/usr/bin:/bin", "PEER_KEY": SECRET,
               "PEER_REDIS": str(redis.socket)}
        self.process = folder.start(
            "flask", SERVER_CPU, "/usr/bin/gunicorn", "-k", "gevent", "-w", 1,
            "-b", f"127.0.0.1:{self.port}", "--keep-alive", 600,
            "--log-level", "warning", "--chdir", HERE,
            "peers_app:app", env=env)
        wait_for("gunicorn", self.up)


def lua(folder, redis):
    main = f"""load_module {MODULES}/ndk_http_module.so;
load_module {MODULES}/ngx_http_lua_module.so;"""
    http = f"""
    lua_package_path "{HERE}/?.lua;;";
    init_worker_by_lua_block {{
        require('peers_app').setup('{SECRET}', '{redis.socket}')
    }}
"""
    server = """
        location = /api/v1/heartbeat {
            client_body_buffer_size 32k;
            content_by_lua_block { require('peers_app').heartbeat() }
        }
"""
    return Nginx(folder, "lua", http, server, main,
                 binary="/usr/sbin/nginx")


def pss_mb(pids):
    """Memory of the worker processes, shared pages by their share."""
    kb = 0
    for pid in pids:
        for line in open(f"/proc/{pid}/smaps_rollup"):
            if line.startswith("Pss:"):
                kb += int(line.split()[1])
    return kb / 1024


def run(bench, server, redis, seconds):
    """As Bench.run, with Redis' own CPU; all beats are in Redis, at the end."""
    before, redis_before = server.schedstat(), schedstat(redis.pid)
    load = bench.beat.run(server.port, touch=TOUCH, seq=bench.seq,
                          seconds=seconds)
    after, redis_after = server.schedstat(), schedstat(redis.pid)

    if load["ok"] != load["requests"]:
        fail(f"{server.name}: {load['requests'] - load['ok']} answers were"
             " not 200")
    wait_for(f"{server.name}: last beats in Redis", lambda: int(
        bench.redis.cli("ZCOUNT", f"exam:{{{EXAM}}}:seen",
                        load["start_ms"] - 100, "+inf")) >= min(
                            TOUCH, load["requests"]), 10)

    bench.seq += load["requests"] // TOUCH + 10
    n = load["requests"]
    return {"cpu_us": (after[0] - before[0]) / n,
            "redis_us": (redis_after[0] - redis_before[0]) / n,
            "rps": n / load["us"] * 1e6, "p50_us": load["p50_us"],
            "p99_us": load["p99_us"], "pss_mb": pss_mb(server.workers())}


def main():
    parser = argparse.ArgumentParser(
        usage="./build.sh bench peers [-- option...]",
        description=__doc__.split("\n\n", 1)[1],
        formatter_class=argparse.RawDescriptionHelpFormatter, add_help=False)
    parser.add_argument("-h", "--help", action="help")
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    bench = Bench("peers", Beat(Folder("peers")), 10000, TOUCH)
    servers = [bench.exam, lua(bench.folder, bench.redis),
               Gunicorn(bench.folder, bench.redis)]

    for server in servers[1:]:
        forged = bench.beat.token()[:-5] + "AAAAA"
        status = server.ask("POST", "/api/v1/heartbeat", '{"seq":1}',
                            forged)[0]
        if status != 401:
            fail(f"{server.name}: a forged token got {status}")

    runs = {server.name: [] for server in servers}
    for _ in range(options.rounds):
        for server in servers:
            runs[server.name].append(run(bench, server,
                                         bench.redis.process,
                                         options.seconds))

    names = {"exam-peers": "exam-monitor", "lua": "nginx + Lua",
             "flask": "Flask + gevent"}
    rows = {names[name]: figures(each) for name, each in runs.items()}
    ours = rows["exam-monitor"]

    print(f"\n{'':>15} {'us/req':>8} {'times':>6} {'req/s':>8} {'p50 us':>8}"
          f" {'p99 us':>8} {'Redis us/req':>13} {'worker MB':>10}")
    for name, f in rows.items():
        print(f"{name:>15} {f['cpu_us']:>8.1f}"
              f" {f['cpu_us'] / ours['cpu_us']:>6.1f} {f['rps']:>8.0f}"
              f" {f['p50_us']:>8.0f} {f['p99_us']:>8.0f}"
              f" {f['redis_us']:>13.2f} {f['pss_mb']:>10.1f}")

    result("peers", {"machine": machine(), "peers": rows, "runs": runs})


if __name__ == "__main__":
    main()
