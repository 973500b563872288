"""Requests of programs in their loop's thread: with PostgreSQL and a plain Redis, one worker, many at once; what they wait for may go away."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from sqlalchemy import create_engine, text

from idp import embedded, waiting
from tests.clean_postgres import CleanPostgres
from tests.ops.test_server import until
from tests.serving import Server, free_port, write_config

pytestmark = pytest.mark.xdist_group("server")
GENEROUS = {
    "account_free_attempts": 10**6, "address_per_minute": 10**6, "network_per_minute": 10**6, "global_per_minute": 10**6,
}  # fmt: skip
API = "https://claims.example.org"


RESOURCES = f"""
[[resources]]
identifier = "{API}"
name = "Claims"
scopes = {{ "claims.read" = "See claims" }}
token_format = "opaque"
"""


class Installation:
    """One worker, a Redis of its own, and an application that asks it."""

    def __init__(self, server: Server, folder: Path, redis_pid: int, database_url: str) -> None:
        self.server, self.redis_pid, self.database_url = server, redis_pid, database_url
        wanted = {
            "client_name": "Nightly",
            "grant_types": ["client_credentials"],
            "scope": "claims.read",
            "resources": [API],
        }
        (folder / "client.json").write_text(json.dumps(wanted))
        made = server.idp("client", "create", "--from-json", str(folder / "client.json"), "--json")
        assert made.exit_code == 0, made.output
        told = json.loads(made.stdout)
        self.credentials = told["client_id"], told["client_secret"]
        server.start()

    def ask(self, http: httpx.Client, path: str, **form: str) -> httpx.Response:
        return http.post(path, data=form, auth=self.credentials)

    def story(self, http: httpx.Client) -> list[int]:
        """A token is issued, is alive, is revoked, is dead. What each was answered; a wrong answer is 0."""
        token = self.ask(http, "/token", grant_type="client_credentials", resource=API)
        said = [token.status_code]
        if token.status_code == 200:
            raw_token = token.json()["access_token"]
            for path, alive in (("/introspect", True), ("/revoke", None), ("/introspect", False)):
                answer = self.ask(http, path, token=raw_token)
                is_right = answer.status_code != 200 or alive is None or answer.json()["active"] is alive
                said.append(answer.status_code if is_right else 0)
                if answer.status_code != 200:
                    break
        return said

    def crowd(self, stories: int, *, at_once: int = 16) -> Counter[int]:
        """Many at once; how often each status was answered."""

        def one(_: int) -> list[int]:
            with httpx.Client(base_url=self.server.url, trust_env=False, timeout=120, verify=False) as http:
                return [status for _ in range(4) for status in self.story(http)]

        with ThreadPoolExecutor(at_once) as people:
            return Counter(status for told in people.map(one, range(stories // 4)) for status in told)


@pytest.fixture
def installed(clean_postgres: CleanPostgres, tmp_path: Path) -> Iterator[Installation]:
    database_url = clean_postgres.take()
    with embedded.start(tmp_path / "valkey", persist=False) as valkey:
        file = write_config(
            tmp_path, database_url=database_url, redis_url=valkey.url, port=free_port(), limits=GENEROUS,
            server={"workers": 1}, redis={"timeout_s": 0.5},
        )  # fmt: skip
        file.write_text(file.read_text() + RESOURCES)
        server = Server(file)
        try:
            yield Installation(server, tmp_path, valkey.pid, database_url)
        finally:
            os.kill(valkey.pid, signal.SIGCONT)
            if server.process is not None:
                server.stop()


def test_many_at_once_hear_what_is_true(installed: Installation) -> None:
    assert installed.crowd(160) == {200: 640}
    trail = json.loads(installed.server.idp("audit", "verify", "--json").stdout)
    assert trail["ok"] and trail["events"] >= 320, "each was issued, and revoked"


def test_with_redis_stuck_tokens_hear_503_and_the_process_lives(installed: Installation) -> None:
    assert installed.crowd(8) == {200: 32}
    os.kill(installed.redis_pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as aside:
        told = aside.submit(installed.crowd, 32)
        began, asked = time.monotonic(), 0
        while not told.done():
            assert httpx.get(f"{installed.server.url}/healthz", timeout=20, trust_env=False).status_code == 200
            asked += 1
            time.sleep(0.1)
        assert set(told.result()) == {503}
        assert asked > (time.monotonic() - began) / 4, "alive all the time"
    os.kill(installed.redis_pid, signal.SIGCONT)
    until(lambda: installed.crowd(4) == {200: 16})


def test_when_every_connection_to_the_database_is_cut_nothing_wrong_is_said(installed: Installation) -> None:
    engine = create_engine(installed.database_url, isolation_level="AUTOCOMMIT")
    cut = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with ThreadPoolExecutor(1) as aside, engine.connect() as connection:
        told = aside.submit(installed.crowd, 320)
        while not told.done():
            connection.execute(cut)
            time.sleep(0.05)
        heard = told.result()
    engine.dispose()
    assert set(heard) <= {200, 503} and heard[200] > 100, heard
    until(lambda: installed.crowd(8) == {200: 32})
    assert json.loads(installed.server.idp("audit", "verify", "--json").stdout)["ok"]


def test_attack_63_a_slow_address_of_keys_does_not_stop_the_loop(installed: Installation, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        keys_at = f"http://127.0.0.1:{silent.getsockname()[1]}/keys"
        wanted = {
            "client_name": "Slow", "grant_types": ["client_credentials"], "scope": "claims.read", "resources": [API],
            "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": keys_at,
        }  # fmt: skip
        (tmp_path / "slow.json").write_text(json.dumps(wanted))
        made = installed.server.idp("client", "create", "--from-json", str(tmp_path / "slow.json"), "--json")
        assert made.exit_code == 0, made.output
        form = {
            "grant_type": "client_credentials", "client_id": json.loads(made.stdout)["client_id"],
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": unsigned(json.loads(made.stdout)["client_id"], installed.server.url),
        }  # fmt: skip
        with ThreadPoolExecutor(24) as crowd:
            asked = [
                crowd.submit(httpx.post, f"{installed.server.url}/token", data=form, timeout=120, trust_env=False)
                for _ in range(24)
            ]
            taken = []
            while not all(one.done() for one in asked):
                began = time.monotonic()
                assert httpx.get(f"{installed.server.url}/healthz", timeout=60, trust_env=False).status_code == 200
                taken.append(time.monotonic() - began)
        silent.settimeout(1)
        silent.accept()[0].close()  # it was asked
    assert {one.result().status_code for one in asked} <= {401, 429}
    stuck_s = sum(one for one in taken if one > 0.9)
    assert stuck_s < sum(taken) * 3 / 4, "a lock that is waited for in the loop's thread holds it for a second"


def unsigned(client_id: str, issuer: str) -> str:
    """A client assertion (RFC 7523) whose signature is nonsense."""
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": issuer,
        "jti": "1",
        "exp": int(time.time()) + 60,
        "iat": int(time.time()),
    }
    parts = [{"alg": "ES256", "kid": "k"}, claims]
    head, body = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return f"{head}.{body}.{'A' * 86}"


# --- outcomes -----------------------------------------------------------------------------------------------------


def test_an_outcome_tells_those_who_wait_and_those_who_come_later() -> None:
    outcome, told = waiting.Outcome(), []
    outcome.add_done_callback(lambda done: told.append(("before", done.exception())))
    assert told == []
    outcome.set_result(None)
    outcome.add_done_callback(lambda done: told.append(("after", done.exception())))
    assert told == [("before", None), ("after", None)]


def test_who_breaks_on_an_outcome_does_not_keep_it_from_others(caplog: pytest.LogCaptureFixture) -> None:
    outcome, told = waiting.Outcome(), []
    outcome.add_done_callback(lambda _done: 1 / 0)
    outcome.add_done_callback(lambda done: told.append(done.exception()))
    error = OSError("disk full")
    outcome.set_exception(error)
    assert told == [error] and "who waited for an outcome broke" in caplog.text


def test_an_outcome_that_nobody_knows_is_not_taken_for_a_good_one() -> None:
    with pytest.raises(RuntimeError):
        waiting.Outcome().result()
    failed = waiting.Outcome()
    failed.set_exception(OSError("disk full"))
    with pytest.raises(OSError, match="disk full"):
        failed.result()
