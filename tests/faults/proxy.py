"""A proxy in front of a bucket's emulator: a process of its own, which fails on purpose and kills on demand.

It also keeps the two preconditions that fake-gcs-server 0.1.1 accepts and does not look at: `ifGenerationMatch` of a
deletion, and of an upload in several parts.
"""

import argparse
import contextlib
import http.client
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

CONTROL = "/faults"
STATUSES = {"429": 429, "500": 500, "503": 503}
KINDS = (
    *STATUSES,
    "reset",  # the connection is reset before the request is read
    "reset in request",  # half of the request's body arrives
    "lost answer",  # what was asked is done, and the connection reset
    "truncated answer",  # half of the answer's body arrives
    "slow answer",
    "silence",  # nothing more comes, until the client gives up; only on demand
)
STAGES = ("before", "half", "after")  # of a request, at which its sender is killed


@dataclass(frozen=True)
class Proxy:
    """A running proxy."""

    url: str

    def fail(self, *, seed: int = 0, rate: float, kinds: tuple[str, ...] = KINDS[:-1]) -> None:
        """From here on, a share of the requests fails in one of these ways."""
        self._control({"seed": seed, "rate": rate, "kinds": kinds})

    def kill(self, pid: int, *, request: int, stage: str) -> None:
        """Has a process killed by SIGKILL at its n-th request from here on, 1 being the next."""
        self._control({"pid": pid, "request": request, "stage": stage})

    def counts(self) -> Counter[str]:
        """How many faults of each kind were injected, and how many requests came."""
        return Counter(self._control({}))

    def _control(self, order: dict[str, Any]) -> dict[str, int]:
        request = urllib.request.Request(self.url + CONTROL, json.dumps(order).encode(), method="POST")
        with urllib.request.urlopen(request) as answer:
            found: dict[str, int] = json.load(answer)
        return found


@contextmanager
def start_proxy(target: str) -> Iterator[Proxy]:
    """Starts a proxy in front of the server at this URL."""
    command = [sys.executable, __file__, target]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Proxy(process.stdout.readline().strip())
        finally:
            process.terminate()


class State:
    """What the proxy was told, and what it has done."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.writing = threading.Lock()
        self.lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.random = random.Random()
        self.rate = 0.0
        self.kinds: list[str] = []
        self.victim: dict[str, Any] | None = None

    def obey(self, order: dict[str, Any]) -> None:
        with self.lock:
            if "rate" in order:
                self.random.seed(order["seed"])
                self.rate, self.kinds = order["rate"], order["kinds"]
            if "pid" in order:
                self.victim = order

    def next_fault(self) -> str | None:
        with self.lock:
            self.counts["requests"] += 1
            if self.random.random() >= self.rate:
                return None
            kind = self.random.choice(self.kinds)
            self.counts[kind] += 1
            return kind

    def next_kill(self) -> tuple[int, str] | None:
        """The process and the stage at which this request is its last, if it is."""
        with self.lock:
            if self.victim is None:
                return None
            self.victim["request"] -= 1
            return None if self.victim["request"] else (self.victim["pid"], self.victim["stage"])


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: State

    def handle_any(self) -> None:
        if self.path == CONTROL:
            self.state.obey(json.loads(self._read_body()))
            self._answer(200, {}, json.dumps(self.state.counts).encode())
            return
        try:
            self._relay(self.state.next_fault(), self.state.next_kill())
        except OSError:
            self._reset()

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = handle_any  # noqa: N815 - names that http.server looks for

    def _relay(self, fault: str | None, kill: tuple[int, str] | None) -> None:
        if kill is not None and kill[1] == "before":
            os.kill(kill[0], signal.SIGKILL)
            self._reset()
            return
        if fault == "silence":
            time.sleep(3600)
        if fault == "reset":
            self._reset()
            return
        if fault == "reset in request" or (kill is not None and kill[1] == "half"):
            self.rfile.read(self._body_bytes() // 2)
            if kill is not None:
                os.kill(kill[0], signal.SIGKILL)
            self._reset()
            return
        body = self._read_body()
        if fault in STATUSES:
            self._answer(STATUSES[fault], {"Content-Type": "application/json"}, b"{}")
            return
        status, headers, content = self._ask(body)
        if kill is not None:
            os.kill(kill[0], signal.SIGKILL)
        if kill is not None or fault == "lost answer":
            self._reset()
        elif fault == "truncated answer" and content:
            self._answer(status, headers, content, send_bytes=len(content) // 2)
            self._reset()
        else:
            self._answer(status, headers, content, pause_s=0.1 if fault == "slow answer" else 0.0)

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """What the server answers, with this proxy's address in place of its own."""
        with self.state.writing if self.command != "GET" else contextlib.nullcontext():
            if not self._keeps_precondition(body):
                return 412, {"Content-Type": "application/json"}, b'{"error": {"message": "Precondition failed"}}'
            status, headers, content = self._send(self.command, self.path, body, dict(self.headers.items()))
        own = f"http://{self.headers['Host']}"
        kept = {name: value.replace(self.state.target, own) for name, value in headers.items()}
        if headers.get("Content-Type", "").startswith("application/json") and "alt=media" not in self.path:
            content = content.replace(self.state.target.encode(), own.encode())
        return status, kept, content

    def _keeps_precondition(self, body: bytes) -> bool:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        expected = query.get("ifGenerationMatch")
        if expected is None or (self.command != "DELETE" and query.get("uploadType") != "resumable"):
            return True
        path = url.path
        if self.command != "DELETE":
            path = path.replace("/upload/", "/") + "/" + quote(json.loads(body)["name"], safe="")
        status, _, content = self._send("GET", path, b"", {})
        return expected == ("0" if status == 404 else json.loads(content)["generation"])

    def _send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        server = urlsplit(self.state.target)
        assert server.hostname is not None
        connection = http.client.HTTPConnection(server.hostname, server.port)
        try:
            connection.request(method, path, body, {**headers, "Host": server.netloc})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def _body_bytes(self) -> int:
        return int(self.headers.get("Content-Length") or 0)

    def _read_body(self) -> bytes:
        return self.rfile.read(self._body_bytes())

    def _answer(
        self, status: int, headers: dict[str, str], content: bytes, *, send_bytes: int | None = None, pause_s: float = 0
    ) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        half = len(content) // 2 if send_bytes is None else send_bytes
        self.wfile.write(content[:half])
        if send_bytes is None:
            time.sleep(pause_s)
            self.wfile.write(content[half:])

    def _reset(self) -> None:
        """Ends the connection with RST."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.wfile.close()
            self.connection.close()

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Takes as many connections as come, and ends with its process."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """A connection that was reset is none."""


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    Handler.state = State(parser.parse_args().target)
    server = Server(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
