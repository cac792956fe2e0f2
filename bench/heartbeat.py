#!/usr/bin/env python3
"""Heartbeats against stock nginx.

usage: ./build.sh bench heartbeat [-- option...]

For each size a private Redis and nginx with the module, everything of the
contract switched on but the rate limit, with the flush to Redis running; and
beside it the same nginx program answering `return 200` with a body of the same
size.  Both get the same requests in turns; the figures are medians.  Afterwards
it is checked that nothing was lost on the way: the counter, each session's seq,
the last beats in Redis, a forged token.

  --sizes 10000,100000   sessions in the zone; of 10,000 the requests go to
                         2,000, of other sizes to all
  --million              1,000,000, too
  --seconds 4            of each run
  --rounds 3             runs of each
  --generator beat|wrk   bench/beat.c, or wrk with bench/heartbeat.lua (it is
                         slower than nginx: the CPU figures hold, not req/s)
  --no-idle              without the memory of idle connections
"""

import argparse
import json
import pathlib
import re
import resource
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from lib import (EXAM, LOAD_CPU, ROOT, Beat, Folder, Nginx, Redis,
                 fail, machine, median, result, wait_for)

HERE = pathlib.Path(__file__).resolve().parent
IDLE = 10000
BEHIND_S = 2
CLOCK_MS = 100          # nginx's clock is that of its last turn
TARGETS = {10000: (0.80, 0.92), 100000: (0.75, 0.88)}


class Bench:
    """One size: servers with their sessions, and the load on them."""

    def __init__(self, name, beat, sessions, touch, generator="beat"):
        self.folder, self.beat = beat.folder, beat
        self.sessions, self.touch = sessions, touch
        self.generator = generator
        self.seq = 10000
        self.last_seq = self.sent = 0
        self.behind = []
        self.redis = Redis(self.folder)
        self.redis.pipe(*beat.command("fixture", sessions=sessions))

        spool = self.folder.path / "spool"
        spool.mkdir(exist_ok=True)

        self.exam = Nginx(self.folder, f"exam-{name}", f"""
    exam_zone exam:{max(16, sessions * 5 // 2000)}m shards=4;
    exam_redis unix:{self.redis.socket};
    exam_key_file {beat.keys};
    exam_node n1;
    exam_spool {spool};
    exam_flush_interval 1s;
    exam_heartbeat_rate 0;
""", f"        include {ROOT}/nginx-conf/api.inc;", connections=IDLE + 1000)

        # each session's first beat: it enters the zone and verifies its token
        self.count = self.beats_total()
        warm = beat.run(self.exam.port, touch=sessions, seq=1, count=sessions)
        self.check("warm-up", warm, sessions)

        status, reply = self.exam.ask("POST", "/api/v1/heartbeat",
                                      '{"seq":0}', beat.token())
        if status != 200:
            fail(f"a heartbeat got {status}: {reply}")
        self.reply = reply

        # the answers of the flush have reached the zone: full replies
        self.wait_flushed()

        text = reply.rstrip("\n").ljust(warm["body_bytes"] - 1)
        self.stock = Nginx(
            self.folder, f"stock-{name}", "",
            f"        location / {{ return 200 '{text}\\n'; }}",
            connections=IDLE + 1000)

    def close(self):
        for server in (self.stock, self.exam):
            self.folder.stop(server.process)
        self.folder.stop(self.redis.process)

    def status(self):
        return json.loads(self.exam.ask("GET", "/status")[1])

    def beats_total(self):
        return self.status()["heartbeats_total"]

    def check(self, what, load, beats):
        """All answered with 200, all counted."""
        if load["ok"] != load["requests"]:
            fail(f"{what}: {load['requests'] - load['ok']} answers were not"
                 f" 200 of {load['requests']}")
        self.count += beats

        # wrk leaves without its last answers
        wait_for(f"{what}: heartbeats_total to be {self.count}, it is"
                 f" {self.beats_total()}",
                 lambda: self.beats_total() >= self.count, 5)
        if self.beats_total() != self.count:
            fail(f"{what}: heartbeats_total is {self.beats_total()},"
                 f" {self.count} were sent")

    def wait_flushed(self):
        wait_for("the flush", lambda: int(self.redis.cli(
            "ZCARD", f"exam:{{{EXAM}}}:seen")) == self.sessions, 60)
        wait_for("known replies", lambda: '"stored":{"screen":11' in
                 self.exam.ask("POST", "/api/v1/heartbeat", '{"seq":0}',
                               self.beat.token())[1])

    def load(self, server, seq, seconds):
        if self.generator == "beat":
            return self.beat.run(server.port, touch=self.touch, seq=seq,
                                 seconds=seconds)
        return self.wrk(server, seq, seconds)

    def wrk(self, server, seq, seconds):
        tokens = self.folder.path / "tokens"
        with open(tokens, "wb") as file:
            subprocess.run(self.beat.command("tokens", touch=self.touch),
                           stdout=file, check=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.time()
        done = subprocess.run(
            ["taskset", "-c", str(LOAD_CPU), "wrk", "-t1", "-c64",
             f"-d{seconds}s", "--latency", "-s", HERE / "heartbeat.lua",
             f"http://127.0.0.1:{server.port}", "--", tokens, str(seq),
             str(self.beat.epoch)], capture_output=True, text=True)
        found = re.search(r"^(\{.*\})$", done.stdout, re.M)
        if done.returncode != 0 or not found:
            fail(f"wrk: {done.stderr or done.stdout}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {**json.loads(found.group(1)), "lap_ms": 0,
                "start_ms": int(start * 1000), "body_bytes": len(self.reply),
                "cpu_us": (after.ru_utime + after.ru_stime
                           - before.ru_utime - before.ru_stime) * 1e6}

    def run(self, server, seconds):
        """One run: CPU a request, requests a second, latency."""
        exam = server is self.exam
        forged = []

        def forge():
            time.sleep(seconds / 2)
            forged.append(self.forged())

        thread = threading.Thread(target=forge)
        if exam:
            thread.start()

        ran, waited = server.schedstat()
        load = self.load(server, self.seq, seconds)
        end = time.monotonic()
        ran_after, waited_after = server.schedstat()

        if exam:
            thread.join()
            if forged != [401]:
                fail(f"a forged token got {forged}, not 401")
            self.behind.append(self.verify_redis(load, end))
            self.check("run", load, load["requests"])
            self.last_seq, self.sent = self.seq, load["requests"]

        return {"cpu_us": (ran_after - ran) / load["requests"],
                "waited": (waited_after - waited) / load["us"],
                "rps": load["requests"] / load["us"] * 1e6,
                "generator_cpu": load["cpu_us"] / load["us"],
                "p50_us": load["p50_us"], "p99_us": load["p99_us"],
                "requests": load["requests"],
                "body_bytes": load["body_bytes"]}

    def forged(self):
        """The answer to a token with one character in its middle changed."""
        token = self.beat.token()
        at = len(token) // 2
        other = "A" if token[at] != "A" else "B"
        return self.exam.ask("POST", "/api/v1/heartbeat", '{"seq":1}',
                             token[:at] + other + token[at + 1:])[0]

    def rounds(self, rounds, seconds):
        stock, exam = [], []
        for _ in range(rounds):
            stock.append(self.run(self.stock, seconds))
            exam.append(self.run(self.exam, seconds))
            self.seq += self.sent // self.touch + 10
        return stock, exam

    def verify_redis(self, load, end):
        """How long after the last answer `seen` told of all last beats, s."""
        touched = min(self.touch, load["requests"])
        since = (load["lap_ms"] or load["start_ms"]) - CLOCK_MS
        wait_for("last beats in Redis", lambda: int(self.redis.cli(
            "ZCOUNT", f"exam:{{{EXAM}}}:seen", since, "+inf")) >= touched, 60)
        behind = time.monotonic() - end
        if self.sessions in TARGETS and behind > BEHIND_S:
            fail(f"Redis was {behind:.1f} s behind, {BEHIND_S} are allowed")
        return behind

    def verify_seq(self, seq):
        """Each session's seq is its last one: a beat with that seq does not
        count, one with the next does."""
        laps, rest = divmod(self.sent, self.touch)
        self.probe("last seq", seq + laps, rest, 0)
        self.probe("next seq", seq + laps + 1, rest, rest)
        if laps:
            self.probe("last seq", seq + laps - 1, self.touch, 0)
            self.probe("next seq", seq + laps, self.touch, self.touch - rest)

    def probe(self, what, seq, count, counted):
        if count:
            load = self.beat.run(self.exam.port, touch=self.touch, seq=seq,
                                 count=count)
            self.check(what, load, counted)


def figures(runs):
    return {name: median([run[name] for run in runs]) for name in runs[0]}


def measure(beat, name, sessions, touch, options):
    bench = Bench(name, beat, sessions, touch, options.generator)
    stock, exam = bench.rounds(options.rounds, options.seconds)
    bench.verify_seq(bench.last_seq)
    bench.close()
    s, e = figures(stock), figures(exam)
    return {"sessions": sessions, "touched": touch, "stock": s, "exam": e,
            "cpu_ratio": s["cpu_us"] / e["cpu_us"],
            "rps_ratio": e["rps"] / s["rps"],
            "p99_ratio": e["p99_us"] / s["p99_us"],
            "redis_behind_s": max(bench.behind),
            "runs": {"stock": stock, "exam": exam}}


def idle(beat):
    """RssAnon bytes of one idle connection, stock and exam."""
    bench = Bench("idle", beat, IDLE, IDLE)
    beat.run(bench.stock.port, touch=IDLE, seq=2, count=IDLE)
    bench.wait_flushed()
    figure = {}
    for server in (bench.stock, bench.exam):
        before = server.rss_anon_kb()
        client = subprocess.Popen(
            beat.command("idle", port=server.port, connections=IDLE),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        answered = client.stdout.readline().strip()
        if answered != str(IDLE):
            fail(f"{answered} of {IDLE} connections were answered")
        time.sleep(2.5)         # two flushes
        kb = server.rss_anon_kb() - before
        figure[server.name.split("-")[0]] = kb * 1024 / IDLE
        client.stdin.close()
        client.wait()
    bench.close()
    return figure


def table(sizes):
    print(f"\n{'sessions':>9} {'touched':>8} {'':>6} {'us/req':>7} {'req/s':>8}"
          f" {'p50 us':>7} {'p99 us':>7} {'waited':>7} {'load':>5}")
    for size in sizes:
        for who in ("stock", "exam"):
            f = size[who]
            print(f"{size['sessions']:>9} {size['touched']:>8} {who:>6}"
                  f" {f['cpu_us']:>7.2f} {f['rps']:>8.0f} {f['p50_us']:>7.0f}"
                  f" {f['p99_us']:>7.0f} {f['waited']:>6.1%}"
                  f" {f['generator_cpu']:>5.0%}")
        print(f"{'ratio':>9} {'':>8} {'':>6} {size['cpu_ratio']:>7.2f}"
              f" {size['rps_ratio']:>8.2f} {'':>7} {size['p99_ratio']:>7.2f}"
              f"   Redis behind: {size['redis_behind_s']:.1f} s")
    print("\nwaited: of the time, nginx was ready and had no core;"
          " load: the generator's core")


def targets(sizes, memory):
    """What is missed, as lines."""
    missed = []
    for size in sizes:
        if size["sessions"] not in TARGETS:
            continue
        must, goal = TARGETS[size["sessions"]]
        print(f"{size['sessions']} sessions: CPU {size['cpu_ratio']:.2f} of"
              f" stock nginx (must {must:.2f}, goal {goal:.2f}), p99"
              f" {size['p99_ratio']:.2f} times (must 2)")
        if size["cpu_ratio"] < must:
            missed.append(f"CPU with {size['sessions']} sessions")
        if size["p99_ratio"] > 2:
            missed.append(f"p99 with {size['sessions']} sessions")
    if memory:
        print(f"idle connection: {memory['exam']:.0f} bytes, stock nginx"
              f" {memory['stock']:.0f} (must: at most 64 more)")
        if memory["exam"] > memory["stock"] + 64:
            missed.append("memory of idle connections")
    return missed


def main():
    parser = argparse.ArgumentParser(
        usage="./build.sh bench heartbeat [-- option...]",
        description=__doc__.split("\n\n", 1)[1],
        formatter_class=argparse.RawDescriptionHelpFormatter, add_help=False)
    parser.add_argument("-h", "--help", action="help")
    parser.add_argument("--sizes", default="10000,100000")
    parser.add_argument("--million", action="store_true")
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--generator", choices=("beat", "wrk"),
                        default="beat")
    parser.add_argument("--no-idle", action="store_true")
    options = parser.parse_args()

    sizes = [int(n) for n in options.sizes.split(",") if n]
    if options.million:
        sizes.append(1000000)

    beat = Beat(Folder("heartbeat"))
    measured = []
    for sessions in sizes:
        touch = 2000 if sessions == 10000 else sessions
        print(f"==> {sessions} sessions, {touch} of them beating", flush=True)
        measured.append(measure(beat, str(sessions), sessions, touch,
                                options))
    memory = None
    if not options.no_idle:
        print(f"==> {IDLE} idle connections", flush=True)
        memory = idle(beat)

    table(measured)
    missed = targets(measured, memory)
    result("heartbeat", {"machine": machine(), "generator": options.generator,
                         "sizes": measured, "idle_bytes": memory,
                         "missed": missed})
    if missed:
        fail("missed: " + ", ".join(missed))


if __name__ == "__main__":
    main()
