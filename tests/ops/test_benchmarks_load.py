"""The generators of `make bench`, against a server that writes down what it heard."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import httpx
import pytest

from benchmarks import browser, load, machine, openloop
from benchmarks.workloads import BY_NAME, MIX, Fixed, Mix, Refresh


@pytest.fixture
def site():
    """A server that refreshes tokens, signs people in, and writes down what it heard."""
    heard: list[tuple[str, str, str]] = []
    always: dict[str, tuple[int, bytes]] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self, status: int, body: bytes, **headers: str) -> None:
            status, body = always.get("answer", (status, body))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            heard.append(("GET", self.path, ""))
            if self.path.startswith("/form"):
                page = b'<form method="post" action="/in"><input name="csrf" value="&amp;c"><input name="username">'
                return self._answer(
                    200, page + b'<input name="password" type="password"><button name="go" value="yes">'
                )
            return self._answer(302, b"", Location="/form?x=1")

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
            heard.append(("POST", self.path, sent))
            if self.path == "/in":
                return self._answer(303, b"", Location=f"{browser.REDIRECT_URI}?code=a%20b")
            return self._answer(200, json.dumps({"refresh_token": f"t-{len(heard)}.é/+"}).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 100

        def handle_error(self, *_: object) -> None:
            """The generator hangs up when its time is over."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield SimpleNamespace(
        url=f"http://127.0.0.1:{server.server_port}",
        host="idp.example.org",
        heard=heard,
        always=always,
        cpu_s=lambda: 0.0,
    )
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_browser_signs_in_with_forms(site):
    with httpx.Client(trust_env=False) as http:
        assert browser.arrive(http, f"{site.url}/authorize") == {"code": "a b"}
    filled = dict(pair.split("=") for pair in site.heard[-1][2].split("&"))
    assert filled == {
        "csrf": "%26c",
        "username": "bench%40example.org",
        "password": "Quartz-Ferry-58-Lantern",
        "go": "yes",
    }


@pytest.fixture
def wrk():
    if not shutil.which("wrk"):
        pytest.skip("wrk is not here (Debian package wrk)")


def test_wrk_sends_what_was_written_down(site, wrk, tmp_path):
    body = 'a="b"\\\n\x00ü'
    target = Fixed("POST", "/token", {"X-Test": "1"}, body)
    brought = load.run(BY_NAME["jwks"], target, site, seconds=1, folder=tmp_path)
    assert brought.rate > 0 and brought.bad == 0 and brought.p99_ms >= brought.p50_ms > 0
    assert {sent for _, _, sent in site.heard} == {body}


def test_wrk_refreshes_the_token_that_it_was_given_last(site, wrk, tmp_path):
    refresh = BY_NAME["refresh"]
    tokens = tuple(f"first-{number}" for number in range(refresh.connections))
    brought = load.run(
        refresh, Refresh("/token", {}, tokens, share=refresh.connections), site, seconds=1, folder=tmp_path
    )
    sent = [form.rpartition("=")[2] for _, _, form in site.heard]
    assert set(tokens) < set(sent) and len(set(sent)) == len(sent), "nothing is sent twice"
    assert brought.bad == 0 and brought.rate > 0


def test_what_a_server_costs_is_read_from_its_whole_family():
    shell = subprocess.Popen(["/bin/sh", "-c", "sleep 5 & wait"], start_new_session=True)
    server = machine.Server(shell, "", "")
    try:
        for _ in range(200):
            if len(server.pids()) == 2:
                break
            time.sleep(0.02)
        assert server.pids()[0] == shell.pid and len(server.pids()) == 2
        assert len(server.memory_mb()) == 2 and server.memory_mb()[0] > 0 and server.cpu_s() >= 0
    finally:
        server.stop()
    assert shell.poll() is not None


def test_wrk_says_what_bad_answers_were(site, wrk, tmp_path):
    site.always["answer"] = (503, b"out of order")
    brought = load.run(BY_NAME["introspection"], Fixed("POST", "/token"), site, seconds=1, folder=tmp_path)
    assert brought.rate == 0 and brought.bad > 0
    assert brought.first_bad.startswith("503") and "out of order" in brought.first_bad
    assert "× 503" in brought.bad_by
    unread = load.run(BY_NAME["jwks"], Fixed("GET", "/keys"), site, seconds=1, folder=tmp_path)
    assert unread.rate == 0 and unread.bad > 0, "wrk counts by itself what no script reads"


def test_wrk_asks_for_each_of_a_list_in_its_turn(site, wrk, tmp_path):
    target = Fixed("POST", "/token", bodies=("a", "b", "c"), authorizations=("one", "two"))
    assert load.run(BY_NAME["jwks"], target, site, seconds=1, folder=tmp_path).bad == 0
    sent = Counter(form for _, _, form in site.heard)
    assert set(sent) == {"a", "b", "c"} and max(sent.values()) - min(sent.values()) <= BY_NAME["jwks"].connections


def test_a_mix_has_its_shares(site, wrk, tmp_path):
    tokens = tuple(f"first-{number}" for number in range(MIX.connections))
    parts = {"refresh": Refresh("/token", {}, tokens, share=MIX.connections), "keys": Fixed("POST", "/keys")}
    brought = load.run(MIX, Mix(parts, ("refresh",) * 3 + ("keys",)), site, seconds=1, folder=tmp_path)
    asked = Counter(path for _, path, _ in site.heard)
    assert brought.bad == 0 and brought.rate > 0
    assert abs(asked["/token"] - 3 * asked["/keys"]) <= 3 * MIX.connections


def test_the_open_generator_keeps_to_its_rate_and_refreshes_each_token_once(site):
    tokens = tuple(f"first-{number}" for number in range(20))
    asked = Refresh("/token", {"X-Test": "1"}, tokens, share=1)
    with ThreadPoolExecutor(1) as aside:  # in the main thread the loop of Playwright may be running
        brought = aside.submit(openloop.run, asked, site, rate=100, seconds=1.0).result()
    sent = [form.rpartition("=")[2] for _, _, form in site.heard]
    assert 40 < len(sent) < 200 and len(set(sent)) == len(sent), "nothing is sent twice"
    assert brought.rate == len(sent) and brought.bad == 0 and brought.p99_ms >= brought.p50_ms > 0
