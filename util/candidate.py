#!/usr/bin/env python3
"""One candidate of an exam, as a client program behaves.

usage: candidate.py URL EXAM STUDENT CODE KIND:N:FILE...

Logs in, sends heartbeats, uploads the files and waits until each is stored.
Exit 0 when all are, 1 with the server's answer when something is refused.
Standard library only.
"""

import base64
import hashlib
import http.client
import json
import sys
import time
import urllib.parse

WAIT_S = 90


class Candidate:
    def __init__(self, url):
        self.host = urllib.parse.urlsplit(url).netloc
        self.token = None
        self.seq = 0
        self.http = http.client.HTTPConnection(self.host, timeout=30)

    def ask(self, method, path, body=None, headers=None):
        """The decoded answer; leaves when it is an error."""
        headers = dict(headers or {})
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        if isinstance(body, dict):
            headers["Content-Type"] = "application/json"
            body = json.dumps(body)

        self.http.request(method, path, body, headers)
        answer = self.http.getresponse()
        text = answer.read().decode("utf-8", "replace")

        if answer.status == 429:
            time.sleep(float(answer.headers.get("Retry-After", 1)))
            return self.ask(method, path, body, headers)
        if answer.status >= 300:
            sys.exit(f"{method} {path}: {answer.status} {text}")
        return json.loads(text)

    def login(self, exam, student, code):
        answer = self.ask("POST", "/api/v1/login", {
            "exam": exam, "student": student, "code": code})
        self.token = answer["token"]
        ends = time.strftime("%H:%M", time.localtime(answer["ends_at"] / 1000))
        print(f"    logged in: {answer['student']['name']},"
              f" {answer['exam']['title']}, ends at {ends}")

    def beat(self):
        self.seq += 1
        answer = self.ask("POST", "/api/v1/heartbeat", {
            "seq": self.seq, "client_time": int(time.time() * 1000)})
        print(f"    heartbeat {self.seq}: stored {answer['stored']}")
        return answer["stored"]

    def wait_covered(self, last):
        """Until heartbeats say that all is stored: then a client deletes."""
        end = time.time() + WAIT_S
        while self.beat() != last:
            if time.time() > end:
                sys.exit(f"heartbeats do not say {last} after {WAIT_S} s")
            time.sleep(1)

    def upload(self, kind, n, name):
        with open(name, "rb") as file:
            data = file.read()

        digest = hashlib.sha256(data).digest()
        answer = self.ask(
            "PUT", f"/api/v1/recordings/{kind}/{n}"
            f"?started_at={int(time.time() * 1000) - 4000}&duration_ms=4000",
            data, {
                "Content-Type": "video/webm",
                "Content-Digest": "sha-256=:%s:"
                % base64.b64encode(digest).decode(),
            })

        if answer["sha256"] != digest.hex():
            sys.exit(f"{kind}/{n}: the server has {answer['sha256']},"
                     f" sent was {digest.hex()}")
        print(f"    {kind}/{n}: {answer['bytes']} bytes {answer['state']}")

    def wait_stored(self, kind, n):
        end = time.time() + WAIT_S
        while True:
            answer = self.ask("GET", f"/api/v1/recordings/{kind}/{n}")
            if answer["state"] == "stored":
                print(f"    {kind}/{n}: stored")
                return
            if time.time() > end:
                sys.exit(f"{kind}/{n}: {answer['state']} after {WAIT_S} s")
            time.sleep(0.3)


def main():
    if len(sys.argv) < 6:
        sys.exit(__doc__)

    url, exam, student, code = sys.argv[1:5]
    segments = [name.split(":", 2) for name in sys.argv[5:]]
    candidate = Candidate(url)

    candidate.login(exam, student, code)
    candidate.beat()
    for kind, n, name in segments:
        candidate.upload(kind, n, name)
    for kind, n, _ in segments:
        candidate.wait_stored(kind, n)
    candidate.wait_covered({
        kind: max(int(n) for k, n, _ in segments if k == kind)
        for kind in {kind for kind, _, _ in segments}})


main()
