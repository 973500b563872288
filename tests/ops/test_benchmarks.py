"""The harness of `make bench`: what it sends is what was meant, what it reports is what was counted. Figures are made on a quiet machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import httpx
import pytest

from benchmarks import browser, load, machine, report
from benchmarks.load import Round
from benchmarks.peers import PEERS
from benchmarks.report import PeerReport
from benchmarks.workloads import WORKLOADS, Fixed, Refresh


def peers() -> list[PeerReport]:
    ours = PeerReport("idp", rounds={"jwks": [Round(rate, 1.0, 2.0, 0.1, 0) for rate in (900.0, 1000.0, 5000.0)]})
    node = PeerReport("node-oidc-provider", rounds={"jwks": [Round(250.0, 4.0, 9.0, 0.4, 3)]})
    gone = PeerReport("canaille", missing="no such package")
    return [ours, node, gone]


def test_ratios_are_those_of_medians():
    assert report.ratios(peers()) == {"jwks": {"node-oidc-provider": 4.0}}


def test_the_page_says_what_was_counted_and_what_was_not():
    page = report.write(peers(), stores="stores", seconds=2, rounds=3, hash_limit=3.5)
    assert "| idp | 1,000.0 (900.0–5,000.0) | 1.00 ms | 2.00 ms | 0.100 ms | 0 |  |" in page
    assert "| node-oidc-provider | 250.0 (250.0–250.0) | 4.00 ms | 9.00 ms | 0.400 ms | 3 | 4.00 × |" in page
    assert "| canaille | not installed: no such package |" in page
    assert [line for line in page.splitlines() if line.startswith("## ")] == ["## Public keys"], (
        "nothing else was asked"
    )


def test_who_has_no_such_thing_or_was_not_measured_is_in_the_table_all_the_same():
    ours, node, _ = peers()
    node.rounds, node.trouble["jwks"] = {}, "not measured: no answer"
    page = report.write([ours, node, PeerReport("canaille")], stores="stores", seconds=2, rounds=3, hash_limit=None)
    assert "| node-oidc-provider | not measured: no answer |" in page and "| canaille | has no such thing |" in page


def test_a_run_is_compared_with_the_recorded_one(tmp_path):
    recorded = tmp_path / "ratios.json"
    assert "No full run" in report.compare({}, recorded)[0]
    recorded.write_text(json.dumps({"jwks": {"node": 4.0}, "userinfo": {"node": 1.0}}))
    assert report.compare({"jwks": {"node": 2.9}}, recorded) == ["jwks against node: 2.90 ×, recorded 4.00 ×"]
    assert "No ratio fell" in report.compare({"jwks": {"node": 3.1}, "discovery": {"node": 0.1}}, recorded)[0]


def test_every_peer_is_named_and_knows_its_endpoints():
    for name, peer in PEERS.items():
        assert peer.name == name
        paths = (peer.authorize_path, peer.token_path, peer.introspection_path, peer.userinfo_path, peer.jwks_path)
        assert all(path.startswith("/") for path in paths)


@pytest.fixture
def site():
    """A server that refreshes tokens, signs people in, and writes down what it heard."""
    heard: list[tuple[str, str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self, status: int, body: bytes, **headers: str) -> None:
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
    yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}", heard=heard, cpu_s=lambda: 0.0)
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
    brought = load.run(WORKLOADS[0], target, site, seconds=1, folder=tmp_path)
    assert brought.rate > 0 and brought.bad == 0 and brought.p99_ms >= brought.p50_ms > 0
    assert {sent for _, _, sent in site.heard} == {body}


def test_wrk_refreshes_the_token_that_it_was_given_last(site, wrk, tmp_path):
    refresh = next(workload for workload in WORKLOADS if workload.name == "refresh")
    tokens = tuple(f"first-{number}" for number in range(refresh.connections))
    brought = load.run(refresh, Refresh("/token", {}, tokens), site, seconds=1, folder=tmp_path)
    sent = [form.rpartition("=")[2] for _, _, form in site.heard]
    assert set(tokens) < set(sent) and len(set(sent)) == len(sent), "nothing is sent twice"
    assert brought.bad == 0 and brought.rate > 0


def test_what_a_server_costs_is_read_from_its_whole_family():
    shell = subprocess.Popen(["/bin/sh", "-c", "sleep 5 & wait"], start_new_session=True)
    server = machine.Server(shell, "", 0.0)
    try:
        for _ in range(200):
            if len(server.pids()) == 2:
                break
            time.sleep(0.02)
        assert server.pids()[0] == shell.pid and len(server.pids()) == 2
        assert server.memory_mb() > 0 and server.cpu_s() >= 0
    finally:
        server.stop()
    assert shell.poll() is not None
