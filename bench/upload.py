#!/usr/bin/env python3
"""Uploads beside what else could take them.

usage: ./build.sh bench upload [-- option...]

All on this machine: private servers below var/bench, each one worker process,
the same requests in turns, and files and dirty pages away before each run.
16-MB segments, 200 heartbeats a second meanwhile, counted from when they were
due (their CPU is in the figures: next to nothing but for Flask).  Parts:

  rate       8 clients; ours hashes and syncs.  Beside it nginx's DAV of the
             same program (no hash, no sync) with our buffer size and its own,
             the same with `openssl dgst`, `sync -d` and `sync` of the folder
             for each file, Flask under gunicorn (hash, sync), npm's
             @tus/server (no hash, no sync; and with both), and the disk alone
  latency    heartbeats idle and while 32 uploads saturate one worker process
  slow-disk  the same with 200 ms for each write and sync
  memory     what the worker process holds for uploads, fast and slow ones
  http2      one upload over HTTP/2 with a latency of 50 ms, by windows of 512k
             and of nginx's own 64k
  takeover   a hung tus PATCH taken over by a new connection

One core: the server has the first one, clients the second.  Two cores: nobody
is bound.  CPU is that of all threads of the server's processes (for `openssl`
and `sync` too), a GB is 10^9 bytes.  Figures are medians of the rounds; what
the project asks of them is printed beside, and is no reason to fail.

  --only PART[,PART...]  these parts (all)
  --quick                one short round
  --rounds 3             of part rate
  --seconds 2            of each run
  --without flask,tus    leave these servers out
"""

import argparse
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import upload_http2
import upload_memory
import upload_rate
import upload_takeover
from lib import Folder, fail, machine, result
from upload_servers import Load

PARTS = {
    "rate": (upload_rate.rate, upload_rate.rate_table,
             upload_rate.rate_musts),
    "latency": (upload_rate.latency,
                lambda f: upload_rate.beat_table("32 uploads, one core", f),
                upload_rate.latency_musts),
    "slow-disk": (upload_rate.slow_disk,
                  lambda f: upload_rate.beat_table(
                      "32 uploads, 200 ms a write", f),
                  upload_rate.slow_musts),
    "memory": (upload_memory.memory, upload_memory.table,
               upload_memory.musts),
    "http2": (upload_http2.http2, upload_http2.table, upload_http2.musts),
    "takeover": (upload_takeover.takeover, upload_takeover.table,
                 upload_takeover.musts),
}


def words(known):
    def parse(text):
        given = [word for word in text.split(",") if word]
        for word in given:
            if word not in known:
                raise argparse.ArgumentTypeError(
                    f"\"{word}\": there are {', '.join(known)}")
        return given
    return parse


def positive(text):
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"\"{text}\" is no positive number")
    return int(text)


def arguments():
    parser = argparse.ArgumentParser(
        usage="./build.sh bench upload [-- option...]",
        description=__doc__.split("\n\n", 2)[2],
        formatter_class=argparse.RawDescriptionHelpFormatter, add_help=False)
    parser.add_argument("-h", "--help", action="help",
                        help=argparse.SUPPRESS)
    for name, default, kind in (("--only", list(PARTS), words(PARTS)),
                                ("--without", [], words(("flask", "tus"))),
                                ("--rounds", 3, positive),
                                ("--seconds", 2, positive)):
        parser.add_argument(name, default=default, type=kind,
                            help=argparse.SUPPRESS)
    for name in ("--quick", "--check"):     # --check: the words alone
        parser.add_argument(name, action="store_true",
                            help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.rounds = options.seconds = 1
    return options


def must_table(rows):
    print(f"\n{'asked for':>44} {'is':>9} {'must':>12}")
    for what, value, limit, unit in rows:
        if limit is None:
            print(f"{what:>44} {value:>9.2f}")
            continue
        met = value <= limit if limit > 0 else value >= -limit
        bound = f"{'<=' if limit > 0 else '>='} {abs(limit):.4g} {unit}"
        print(f"{what:>44} {value:>9.2f} {bound:>12}"
              f"  {'met' if met else 'MISSED'}")


def others_cpu():
    """How much of this machine others use: idle is what is left."""
    def fields():
        with open("/proc/stat") as file:
            return [int(field) for field in file.readline().split()[1:]]

    before = fields()
    time.sleep(1)
    spent = [now - then for now, then in zip(fields(), before)]
    return 1 - (spent[3] + spent[4]) / max(1, sum(spent))


def main():
    options = arguments()
    if options.check:
        return
    others = others_cpu()
    if others > 0.1:
        print(f"note: others use {others:.0%} of this machine; CPU a GB is"
              " what to look at, times and MB/s mean little", flush=True)
    load = Load(Folder("upload"))
    figures, broken = {}, []
    for part in PARTS:
        if part not in options.only:
            continue
        try:
            figures[part] = PARTS[part][0](load, options)
        except SystemExit as error:

            # a signal ends it all, a part that broke does not
            if not isinstance(error.code, str):
                raise
            print(f"{part}: {error.code}", file=sys.stderr, flush=True)
            broken.append(part)

    rows = []
    for part, each in figures.items():
        PARTS[part][1](each)
        rows += PARTS[part][2](each)
    must_table(rows)
    result("upload", {"machine": machine(), "quick": options.quick,
                      "others_cpu": others, "parts": figures,
                      "asked": [{"what": what, "is": value,
                                 "at_most" if limit > 0 else "at_least":
                                 abs(limit), "unit": unit}
                                for what, value, limit, unit in rows
                                if limit is not None]})
    if broken:
        fail("broken: " + ", ".join(broken))


if __name__ == "__main__":
    main()
