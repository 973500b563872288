"""A relying application that listens on loopback, for what the provider sends by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs


@dataclass
class Receiver:
    """Where it listens, how it answers, what it was sent (`forms`), and which pages of it were opened (`visits`)."""

    uri: str = ""
    status: int = 200
    body: bytes = b""
    delay_s: float = 0.0
    content_types: list[str] = field(default_factory=list)
    forms: list[dict[str, list[str]]] = field(default_factory=list)
    visits: list[str] = field(default_factory=list)

    @property
    def origin(self) -> str:
        """Where its pages are."""
        return self.uri.removesuffix("/backchannel-logout")

    @property
    def tokens(self) -> list[str]:
        """The logout tokens that arrived."""
        return [token for form in self.forms for token in form.get("logout_token", [])]


@contextmanager
def listening(**answers: object) -> Iterator[Receiver]:
    """Listen on a free port of loopback."""
    receiver = Receiver(**answers)  # type: ignore[arg-type]
    released = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"])).decode()
            receiver.content_types.append(self.headers["Content-Type"])
            receiver.forms.append(parse_qs(raw, keep_blank_values=True))
            released.wait(receiver.delay_s)
            self.send_response(receiver.status)
            if receiver.status == 302:
                self.send_header("Location", receiver.uri + "/elsewhere")
            self.send_header("Content-Length", str(len(receiver.body)))
            self.end_headers()
            self.wfile.write(receiver.body)

        def do_GET(self) -> None:
            receiver.visits.append(self.path)
            released.wait(receiver.delay_s)
            self.send_response(receiver.status)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(receiver.body)))
            self.end_headers()
            self.wfile.write(receiver.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 100  # as real servers have it; Python's own is 5

    server = Server(("127.0.0.1", 0), Handler)
    receiver.uri = f"http://127.0.0.1:{server.server_port}/backchannel-logout"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def elapsed_s(since: float) -> float:
    """Seconds since a moment of the monotonic clock."""
    return time.monotonic() - since
