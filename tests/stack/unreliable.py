"""A way to a server on which a share of the calls fails: 503, 429, or the line is cut before or after the work."""

import http.client
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAULTS = ("503", "429", "cut before", "cut after")
HOP = {"connection", "transfer-encoding", "host", "keep-alive"}


@contextmanager
def way_to(port: int, share: float, seed: int = 4) -> Iterator[tuple[str, Counter[str]]]:
    """Yield the address of the way to a server on 127.0.0.1, and what became of the calls so far."""
    chance, seen, lock = random.Random(seed), Counter[str](), threading.Lock()

    class Way(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *said: Any) -> None:
            pass

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            with lock:
                fate = chance.choice(FAULTS) if chance.random() < share else "passed"
                seen[fate] += 1
            body = self._body()
            if fate == "cut before":
                self._cut()
            elif fate in ("503", "429"):
                self._answer(int(fate), [], b"")
            else:
                status, headers, content = self._forwarded(body)
                if fate == "cut after":
                    self._cut()
                else:
                    self._answer(status, headers, content)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                parts = []
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _forwarded(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            there = http.client.HTTPConnection("127.0.0.1", port)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
            # The server puts its own address into what it answers, as the place where an upload goes on.
            headers |= {"Content-Length": str(len(body)), "Host": self.headers["Host"]}
            there.request(self.command, self.path, body, headers)
            answer = there.getresponse()
            return answer.status, answer.getheaders(), answer.read()

        def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in HOP | {"content-length", "date", "server"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def _cut(self) -> None:
            self.close_connection = True
            self.connection.close()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Way)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
