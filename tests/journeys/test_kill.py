"""`kill -9` in the middle of sign-ins: whatever was answered is in the trail, and the trail is whole (issue 2, 4)."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urljoin

import bcrypt
import httpx
import pytest

from tests.serving import Server, free_port, write_config

pytestmark = pytest.mark.xdist_group("server")
PASSWORD = "Blue-Otter-Runs-42"
GENEROUS = {
    "account_free_attempts": 10**6,
    "address_per_minute": 10**6,
    "network_per_minute": 10**6,
    "global_per_minute": 10**6,
}
THREADS = 6


@pytest.fixture
def server(db_url: str, kv_url: str, tmp_path: Path) -> Iterator[Server]:
    """An installation with some people who can sign in."""
    file = write_config(tmp_path, database_url=db_url, redis_url=kv_url, port=free_port(), limits=GENEROUS)
    served = Server(file)
    made = served.idp("user", "import", str(_people(tmp_path)))
    assert made.exit_code == 0, made.output
    yield served
    if served.process is not None and served.process.poll() is None:
        served.stop()


def _people(folder: Path) -> Path:
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    lines = [f"person{number},Person {number},{hashed}" for number in range(THREADS)]
    file = folder / "people.csv"
    file.write_text("\n".join(["username,display_name,password_hash", *lines, ""]))
    return file


@dataclass
class SignIns:
    """Signs people in again and again, each in a new browser, until told to stop; keeps what was answered."""

    url: str
    answered: list[str] = field(default_factory=list)  # request ids of sign-ins that the browser saw succeed
    refused: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self, number: int) -> None:
        while not self.stopping.is_set():
            try:
                self._sign_in(f"person{number}")
            except httpx.HTTPError:
                time.sleep(0.05)  # the server is gone, or went in the middle of this

    def _sign_in(self, username: str) -> None:
        with httpx.Client(base_url=self.url, trust_env=False, verify=False, timeout=60) as browser:
            page = browser.get("/login", follow_redirects=True)
            action, csrf = _form(page)
            answer = browser.post(action, data={"identifier": username, "password": PASSWORD, "csrf": csrf})
            if answer.status_code == 303 and answer.headers["Location"] == "/":
                self.answered.append(answer.headers["X-Request-Id"])
            else:
                self.refused.append(f"{answer.status_code} {answer.headers.get('location')} {answer.text[:500]}")


def _form(page: httpx.Response) -> tuple[str, str]:
    """The address and the csrf token of the sign-in form."""
    form = re.search(r'<form[^>]*action="([^"]*/login/password[^"]*)"', page.text)
    csrf = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert form and csrf, page.text[:3000]
    return urljoin(str(page.url), form[1].replace("&amp;", "&")), csrf[1]


def test_what_was_answered_before_a_kill_is_in_the_trail_and_the_trail_is_whole(server: Server) -> None:
    server.start()
    work = SignIns(server.url)
    threads = [threading.Thread(target=work.run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            target = len(work.answered) + 10
            _until(lambda target=target: len(work.answered) >= target, work)
            server.kill_everything()  # in the middle of other sign-ins, and of the sealer
            server.start()
    finally:
        work.stopping.set()
        for thread in threads:
            thread.join()
    assert not work.refused
    verified = server.idp("audit", "verify", "--json")
    report = json.loads(verified.stdout)
    assert (verified.exit_code, report["ok"]) == (0, True), report
    written = _signed_in(server)
    assert set(work.answered) <= written, f"{len(set(work.answered) - written)} answered sign-ins are not in the trail"
    assert len(work.answered) >= 20
    assert server.stop() == 0
    assert PASSWORD not in server.log.read_text()


def _signed_in(server: Server) -> set[str]:
    """The request ids of all sign-ins in the trail."""
    exported = server.idp("audit", "export", "--event", "login.succeeded")
    assert exported.exit_code == 0, exported.output
    return {json.loads(line).get("request_id", "") for line in exported.stdout.splitlines()}


def _until(condition: object, work: SignIns, *, within_s: float = 150.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"too few sign-ins: {len(work.answered)} answered, {work.refused[:2]}"
        time.sleep(0.02)
