"""A web server on this machine that gives prepared answers, also bad ones."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """Gives one prepared answer after the other, the last one for ever, and remembers what was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.ranges: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.ranges.append(self.headers["Range"])
                self.close_connection = True
                answer = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
                answer(self)

            do_POST = do_GET

            def log_message(self, *_: object) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.uri = f"{self.url}/files/table.csv"

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


def say(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: object) -> None:
    handler.send_response(status)
    for name, value in ({"Content_Length": len(body)} | headers).items():
        if value is not None:
            handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()
    handler.wfile.write(body)
