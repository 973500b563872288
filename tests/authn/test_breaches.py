"""The range service (k-anonymity): five digits leave, padding counts for nothing, and a dead service costs one wait a minute."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from idp.authn import breaches, corpus
from idp.authn.factors import password
from idp.db import committing
from tests.authn.signing_in import make_person

BREACHED, GOOD = "Leaked-Lantern-44-Boat", "Quiet-Lamp-93-Orbit"


class Ranges(ThreadingHTTPServer):
    """A range service: knows BREACHED, pads with GOOD seen never, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.over = threading.Event()
        self.known = {BREACHED}
        self.status, self.slow_s, self.location, self.media_type = 200, 0.0, "", "text/plain"
        super().__init__(("127.0.0.1", 0), _Answering)

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever hangs up first is the test."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/range/"


class _Answering(BaseHTTPRequestHandler):
    server: Ranges

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.over.wait(self.server.slow_s)
        prefix = self.path.rpartition("/")[2]
        lines = [f"{'0' * 35}:5"]
        for word, seen in [*((word, 12) for word in self.server.known), (GOOD, 0)]:
            digest = hashlib.sha1(word.encode()).hexdigest().upper()
            lines += [f"{digest[5:]}:{seen}"] if digest.startswith(prefix) else []
        body = "\r\n".join(lines).encode()
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Type", self.server.media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def ranges() -> Iterator[Ranges]:
    server = Ranges()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def app(make_app, sqlite_url, ranges):
    built = make_app(sqlite_url, passwords={"range_service_url": ranges.url})
    with built.app_context():
        yield built


def test_only_five_digits_leave_and_the_comparison_is_made_here(app, ranges):
    assert breaches.known(BREACHED)
    assert not breaches.known(GOOD), "seen 0 times: padding"
    assert ranges.asked == [
        "/range/" + hashlib.sha1(word.encode()).hexdigest().upper()[:5] for word in (BREACHED, GOOD)
    ]


def test_n6_a_breached_password_is_refused_when_it_is_chosen(app, ranges):
    alice = make_person()
    assert [violation.rule for violation in password.violations(alice, BREACHED)] == ["blocklist"]
    assert password.violations(alice, GOOD) == []


@pytest.mark.parametrize(
    "trouble", [{"status": 503}, {"status": 302, "location": "http://127.0.0.1:1/"}, {"media_type": "text/html"}]
)
def test_a_service_in_trouble_lets_the_password_pass_and_is_left_alone_for_a_minute(app, ranges, trouble):
    vars(ranges).update(trouble)
    assert not breaches.known(BREACHED) and not breaches.known(BREACHED)
    assert len(ranges.asked) == 1


def test_attack_63_a_slow_service_costs_one_deadline(app, ranges):
    ranges.slow_s = 60
    began = time.monotonic()
    assert not breaches.known(BREACHED) and not breaches.known(GOOD)
    assert time.monotonic() - began < 30 and len(ranges.asked) == 1


def test_attack_62_in_production_an_address_of_ours_is_never_asked(make_app, sqlite_url, ranges):
    url = ranges.url.replace("http://127.0.0.1", "https://127.0.0.1")
    server = {"issuer": "https://login.example.org"}
    with make_app(sqlite_url, mode="production", server=server, passwords={"range_service_url": url}).app_context():
        assert not breaches.known(BREACHED)
    assert ranges.asked == []


def test_at_sign_in_the_service_is_asked_once_a_day_and_what_it_said_stays_said(app, ranges, travel):
    alice = make_person(raw_password=GOOD)
    bob = make_person("bob", raw_password="Brave-Fern-12-Canal")

    def check(user, raw):
        with committing():
            return password.verify(user, raw)

    ranges.asked.clear()
    assert check(alice, GOOD) and ranges.asked == [], "it was asked when the password was chosen"
    travel(86401)
    assert check(alice, GOOD) and check(alice, GOOD)
    assert len(ranges.asked) == 1 and not password.must_change(alice)
    ranges.known.add("Brave-Fern-12-Canal")
    assert check(bob, "Brave-Fern-12-Canal") and password.must_change(bob)
    ranges.known.clear()
    assert check(bob, "Brave-Fern-12-Canal") and password.state(bob).failing == ("blocklist",)
    assert len(ranges.asked) == 2


def test_the_corpus_is_asked_first_and_offline(make_app, sqlite_url, ranges, tmp_path):
    import io

    corpus.build(io.BytesIO(BREACHED.encode()), tmp_path / "corpus")
    settings = {"breach_corpus": str(tmp_path / "corpus"), "range_service_url": ranges.url}
    with make_app(sqlite_url, passwords=settings).app_context():
        assert breaches.known(BREACHED)
    assert ranges.asked == []
    with make_app(sqlite_url, passwords={"breach_corpus": str(tmp_path / "corpus")}).app_context():
        assert breaches.known(BREACHED) and not breaches.known(GOOD)
    assert ranges.asked == [], "off by default"


def test_a_corpus_that_vanished_is_written_down_and_stops_nobody(make_app, sqlite_url, tmp_path, caplog):
    with make_app(sqlite_url, passwords={"breach_corpus": str(tmp_path / "gone")}).app_context():
        assert not breaches.known(BREACHED)
    assert "passwords.breach_corpus" in caplog.text
