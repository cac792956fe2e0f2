"""The heartbeat and the upload in Flask, for gunicorn.

As in peers_app.lua: the token is verified once and kept in the process; each
beat is written to Redis in one round trip that brings what the reply tells.
An upload is hashed and synced, its folder too, before it is answered.
"""

import base64
import hashlib
import hmac
import json
import os
import time

import redis
from flask import Flask, Response, request

KEY = bytes.fromhex(os.environ["PEER_KEY"])

app = Flask(__name__)
folder = os.environ.get("PEER_FOLDER", ".")
store = redis.Redis(unix_socket_path=os.environ["PEER_REDIS"],
                    decode_responses=True)
known = {}


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def verify(token):
    claims = known.get(token)
    if claims is None:
        text, _, mac = token.rpartition(".")
        want = hmac.new(KEY, text.encode(), hashlib.sha256).digest()
        try:
            if not hmac.compare_digest(want, decode(mac)):
                return None
            claims = json.loads(decode(text.split(".")[1]))
        except (ValueError, IndexError):
            return None
        known[token] = claims
    return claims if claims["exp"] > time.time() else None


def number(value):
    return None if value is None else int(value)


@app.post("/api/v1/heartbeat")
def heartbeat():
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    claims = verify(token) if scheme == "Bearer" else None
    if claims is None:
        return Response(status=401)

    beat = request.get_json(silent=True)
    if not isinstance(beat, dict) or not isinstance(beat.get("seq"), int):
        return Response(status=400)

    now = int(time.time() * 1000)
    tag = f"exam:{{{claims['exam']}}}"
    field = f"{claims['sub']}:{claims['sid']}"

    pipe = store.pipeline(transaction=False)
    pipe.zadd(f"{tag}:seen", {claims["sub"]: now})
    pipe.hset(f"{tag}:state", claims["sub"],
              json.dumps(beat.get("state", {})))
    pipe.hmget(f"{tag}:stored", f"{field}:screen", f"{field}:camera")
    pipe.hmget(tag, "state", "ends_at")
    _, _, stored, exam = pipe.execute()

    return Response(json.dumps({
        "server_time": now, "next_s": 30, "ends_at": number(exam[1]),
        "status": {"locked": False, "paused": False,
                   "closed": exam[0] == "closed"},
        "commands": [], "resend": [],
        "stored": {"screen": number(stored[0]), "camera": number(stored[1])},
        "upload": {"slot_ms": 0}}), mimetype="application/json")


@app.put("/api/v1/recordings/<kind>/<int:n>")
def recording(kind, n):
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    claims = verify(token) if scheme == "Bearer" else None
    if claims is None:
        return Response(status=401)

    name = os.path.join(folder, f"{claims['sid']}-{kind}-{n}")
    digest, size = hashlib.sha256(), 0

    with open(name + ".part", "wb", buffering=0) as file:
        while data := request.stream.read(262144):
            digest.update(data)
            file.write(data)
            size += len(data)
        os.fdatasync(file.fileno())

    os.rename(name + ".part", name)
    place = os.open(folder, os.O_RDONLY)
    os.fsync(place)
    os.close(place)

    return Response(json.dumps({
        "bytes": size, "sha256": digest.hexdigest(), "state": "received"}),
        status=201, mimetype="application/json")
