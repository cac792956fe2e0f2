"""bench upload: a hung PATCH, taken over by a new connection (tus)."""

import base64
import socket
import time

from lib import fail
from upload_servers import SEGMENT, SLOW_MS, TUS_PATH, Exam, Node

SENT = 1024 * 1024
PIECE = 64 * 1024
AGAIN_S = 0.05
PATIENCE_S = 30
ENOUGH_S = 20


class Client:
    """One connection; answers are a head with a body of known length."""

    def __init__(self, server, token):
        self.token = token
        self.socket = socket.create_connection(("127.0.0.1", server.port),
                                               PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.left = b""

    def send(self, method, path, headers, body=b"", length=None):
        head = [f"{method} {path} HTTP/1.1", "Host: exam",
                "Tus-Resumable: 1.0.0",
                f"Authorization: Bearer {self.token}",
                *(f"{name}: {value}" for name, value in headers.items())]
        if length is not None:
            head.append(f"Content-Length: {length}")
        self.socket.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)

    def answer(self, method):
        """(status, headers) of the answer."""
        data = self.left
        while b"\r\n\r\n" not in data:
            data += self.receive()
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in
                   (line.partition(":") for line in lines)}
        status = int(first.split()[1])

        if headers.get("transfer-encoding") == "chunked" \
                and method != "HEAD":
            while not rest.endswith(b"0\r\n\r\n"):
                rest += self.receive()
            rest = b""
        elif method != "HEAD" and status != 204:
            length = int(headers.get("content-length", 0))
            while len(rest) < length:
                rest += self.receive()
            rest = rest[length:]
        self.left = rest
        return status, headers

    def receive(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed a connection")
        return data

    def ask(self, method, path, headers=None, body=b"", length=None):
        if body and length is None:
            length = len(body)
        self.send(method, path, headers or {}, body, length)
        return self.answer(method)

    def close(self):
        self.socket.close()


def text64(text):
    return base64.b64encode(text.encode()).decode()


def path_of(location):
    return "/" + location.split("://", 1)[-1].split("/", 1)[1] \
        if "://" in location else location


def once(server, path, token):
    """One takeover: seconds until an offset was told, until bytes were
    taken, and how often the answer was 423."""
    hung = Client(server, token)
    status, headers = hung.ask("POST", path, {
        "Upload-Length": SEGMENT, "Upload-Metadata":
        f"kind {text64('screen')},n {text64('0')},"
        f"filetype {text64('video/webm')}"}, length=0)
    if status != 201:
        fail(f"{server.name}: an upload could not be created: {status}")
    url = path_of(headers["location"])
    patch = {"Content-Type": "application/offset+octet-stream",
             "Upload-Offset": 0}
    hung.send("PATCH", url, patch, b"x" * SENT, SEGMENT)
    time.sleep(0.02)

    start = time.monotonic()
    told = first = None
    locked = 0
    client = Client(server, token)

    while True:
        if time.monotonic() > start + PATIENCE_S:
            fail(f"{server.name}: a hung upload was not taken over in"
                 f" {PATIENCE_S} s")
        status, headers = client.ask("HEAD", url)
        first = first or time.monotonic() - start
        if status == 200:
            told = told or time.monotonic() - start
            patch["Upload-Offset"] = headers["upload-offset"]
            status, headers = client.ask("PATCH", url, patch, b"y" * PIECE)
        if status == 204:
            break
        if status not in (409, 423):
            fail(f"{server.name}: a takeover got {status}")
        locked += 1
        time.sleep(AGAIN_S)

    taken = time.monotonic() - start
    status, _ = client.ask("DELETE", url)
    if status != 204:
        fail(f"{server.name}: an upload could not be ended: {status}")
    client.close()
    hung.close()
    return {"first_ms": first * 1e3, "told_ms": told * 1e3,
            "taken_ms": taken * 1e3, "locked": locked}


def percentile(values, percent):
    values = sorted(values)
    return values[min(len(values) - 1, len(values) * percent // 100)]


def several(load, server, path, count):
    """So many, or as many as the time allows."""
    first = load.take(count)
    end = time.monotonic() + ENOUGH_S
    runs = []
    while len(runs) < count and time.monotonic() < end:
        runs.append(once(server, path, load.token(first + len(runs))))
    return {name: {"p50": percentile([r[name] for r in runs], 50),
                   "p99": percentile([r[name] for r in runs], 99),
                   "max": max(r[name] for r in runs)}
            for name in ("first_ms", "told_ms", "taken_ms")} | {
                "count": len(runs), "locked": sum(r["locked"] for r in runs)}


def takeover(load, options):
    count, few = (20, 3) if options.quick else (200, 10)
    figures = {}

    print(f"==> takeover: {count} of exam-monitor", flush=True)
    server = Exam(load, "takeover")
    figures["exam-monitor"] = several(load, server, TUS_PATH, count)
    load.folder.stop(server.process)

    print(f"==> takeover: {few} of exam-monitor, {SLOW_MS} ms a write",
          flush=True)
    server = Exam(load, "takeover-slow", SLOW_MS)
    figures["exam-monitor, slow disk"] = several(load, server, TUS_PATH, few)
    load.folder.stop(server.process)

    if "tus" not in options.without:
        print(f"==> takeover: {count} of @tus/server", flush=True)
        server = Node(load, "node-takeover")
        figures["@tus/server"] = several(load, server, server.path, count)
        load.folder.stop(server.process)
    return figures


def table(figures):
    print("\nA hung PATCH taken over, ms:     told (HEAD)          taken"
          " (PATCH)")
    print(f"{'':>26} {'p50':>9} {'p99':>9} {'p50':>9} {'p99':>9} {'423':>5}"
          f" {'times':>6}")
    for name, each in figures.items():
        print(f"{name:>26} {each['told_ms']['p50']:>9.1f}"
              f" {each['told_ms']['p99']:>9.1f}"
              f" {each['taken_ms']['p50']:>9.1f}"
              f" {each['taken_ms']['p99']:>9.1f} {each['locked']:>5}"
              f" {each['count']:>6}")


def musts(figures):
    slow = figures["exam-monitor, slow disk"]
    return [("takeover p99", figures["exam-monitor"]["taken_ms"]["p99"], 20,
             "ms"),
            ("first answer with a slow disk", slow["first_ms"]["max"], 1000,
             "ms")]
