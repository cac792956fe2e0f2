"""bench upload: uploads over HTTP/2 by a network with a latency."""

import asyncio
import socket
import subprocess
import sys
import time

from lib import LOAD_CPU, fail, free_port, median, wait_for
from upload_servers import Exam

RTT_MS = 50
AHEAD = 16 * 1024 * 1024    # bytes under way in one direction
PIECE = 65536
HTTP1, STOCK, WIDE = "HTTP/1.1", "HTTP/2, 64k window", "HTTP/2, 512k window"


async def pass_on(reader, writer, seconds):
    """All bytes of one direction, each so much later."""
    queue = asyncio.Queue(AHEAD // PIECE)

    async def read():
        data = b"-"
        while data:
            data = await reader.read(PIECE)
            await queue.put((time.monotonic() + seconds, data))

    reading = asyncio.ensure_future(read())
    while True:
        due, data = await queue.get()
        await asyncio.sleep(max(0, due - time.monotonic()))
        if not data:
            break
        writer.write(data)
        await writer.drain()
    await reading
    writer.close()


async def network(port, to, rtt_ms):
    """A port whose bytes reach another one half a round trip later."""
    async def client(reader, writer):
        there = await asyncio.open_connection("127.0.0.1", to)
        await asyncio.gather(
            pass_on(reader, there[1], rtt_ms / 2000),
            pass_on(there[0], writer, rtt_ms / 2000))

    server = await asyncio.start_server(client, "127.0.0.1", port)
    await server.serve_forever()


def delayed(load, to):
    """(process, port) of such a network before a server's port."""
    port = free_port()
    process = load.folder.start("network", LOAD_CPU, sys.executable, __file__,
                                port, to, RTT_MS)

    def up():
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0

    wait_for("the network", up)
    return process, port


def send(load, server, port, how, body):
    """MB/s of one upload by curl."""
    done = subprocess.run(
        ["taskset", "-c", str(LOAD_CPU), "curl", "-sS", "--fail", how,
         "-o", "/dev/null", "-w", "%{time_total}", "-T", body,
         "-H", "Content-Type: video/webm", "-H", "Expect:",
         "-H", f"Authorization: Bearer {load.token(load.take(1))}",
         f"http://127.0.0.1:{port}{server.path}0"],
        capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        fail(f"curl {how}: {done.stderr.strip()}")
    return body.stat().st_size / float(done.stdout) / 1e6


def http2(load, options):
    """MB/s of one client, with and without the latency."""
    server = Exam(load, "http2")
    body = load.folder.path / "window"
    with open("/dev/urandom", "rb") as source:
        body.write_bytes(source.read((2 if options.quick else 8) << 20))
    ways = {HTTP1: (server.port, "--http1.1"),
            STOCK: (server.stock2, "--http2-prior-knowledge"),
            WIDE: (server.port2, "--http2-prior-knowledge")}
    figures = {}
    print(f"==> http2: {', '.join(ways)}, 0 and {RTT_MS} ms", flush=True)
    for name, (port, how) in ways.items():
        process, far = delayed(load, port)
        figures[name] = {
            key: median([send(load, server, at, how, body)
                         for _ in range(options.rounds)])
            for key, at in (("mb_s", port), ("far_mb_s", far))}
        load.folder.stop(process)
        server.clean()
    load.folder.stop(server.process)
    return figures


def table(figures):
    print("\nOne client, MB/s")
    print(f"{'':>24} {'no delay':>9} {f'{RTT_MS} ms':>9}")
    for name, each in figures.items():
        print(f"{name:>24} {each['mb_s']:>9.1f} {each['far_mb_s']:>9.1f}")


def musts(figures):
    return [(f"HTTP/2 at {RTT_MS} ms, over nginx's own window",
             figures[WIDE]["far_mb_s"] / figures[STOCK]["far_mb_s"], None,
             "")]


if __name__ == "__main__":
    asyncio.run(network(*map(int, sys.argv[1:])))
