"""`idp doctor`: each thing that can be wrong is found, with its remedy."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from flask import Flask

from idp import audit, clients, clock, jobs, keys, kv
from idp.authn import hash_pool, hashing
from idp.config import settings
from idp.db import committing, db
from idp.doctor import stores
from idp.oauth import backchannel
from tests.cli.conftest import Idp
from tests.oauth.certs import issue
from tests.oauth.signing import jwks, key
from tests.ops.test_server import self_signed

Answer = Callable[..., Any]
Found = Callable[..., dict[str, list[dict[str, str]]]]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers at the issuer, unless a test says so (something may listen on port 8000 here)."""

    def refused(*_: Any, **__: Any) -> httpx.Response:
        raise httpx.ConnectError("refused")

    monkeypatch.setattr(httpx, "get", refused)


@pytest.fixture
def healthy(inside: Flask) -> Iterator[None]:
    """Keys are there, all jobs have run, and Valkey keeps what it has."""
    with committing():
        keys.ensure()
    for job in jobs.JOBS:
        jobs.run(job)
    before = kv.client().config_get("save")["save"]  # type: ignore[index]
    kv.client().config_set("save", "3600 1")
    yield
    kv.client().config_set("save", before)


@pytest.fixture
def found(idp: Idp) -> Found:
    """What the doctor found, by check."""

    def run(*, fails: int = 0) -> dict[str, list[dict[str, str]]]:
        report = json.loads(idp("doctor", "--json", fails=fails).stdout)
        assert report["ok"] is (fails == 0)
        assert all(finding["remedy"] for finding in report["findings"] if finding["state"] != "ok")
        by_check: dict[str, list[dict[str, str]]] = {}
        for finding in report["findings"]:
            by_check.setdefault(finding["check"], []).append(finding)
        return by_check

    return run


def states(findings: list[dict[str, str]]) -> set[str]:
    return {finding["state"] for finding in findings}


def change(file: Path, section: str, **values: str) -> None:
    """Set keys of a section (values as TOML)."""
    text = file.read_text()
    for name in values:
        text = re.sub(rf"(?ms)(^\[{section}\]\n(?:(?!^\[).*\n)*?){name} = .*?\n", r"\1", text)
    lines = "".join(f"{name} = {value}\n" for name, value in values.items())
    file.write_text(
        text.replace(f"[{section}]\n", f"[{section}]\n{lines}")
        if f"[{section}]" in text
        else f"{text}[{section}]\n{lines}"
    )


def test_a_healthy_installation(found: Found, healthy: None) -> None:
    report = found()
    for check in (
        "config",
        "secrets",
        "database",
        "migrations",
        "redis",
        "clock",
        "keys",
        "passwords",
        "jobs",
        "audit",
        "disk",
    ):
        assert states(report[check]) == {"ok"}, report[check]
    assert states(report["issuer"]) == {"ok", "warn"}  # nothing is served in this test


def test_for_people_it_is_one_line_a_finding(idp: Idp, healthy: None) -> None:
    lines = idp("doctor").output.splitlines()
    assert any(line.startswith("ok    database") for line in lines)
    assert any(line.strip().startswith("→") for line in lines)
    assert lines[-1].startswith("Works;")


def test_an_empty_database_and_nothing_done_yet(found: Found, config_file: Path, tmp_path: Path) -> None:
    change(config_file, "database", url=f'"sqlite:///{tmp_path / "empty.db"}"')
    report = found(fails=1)
    assert report["migrations"][0]["remedy"] == "run `idp db upgrade`"
    assert states(report["database"]) == {"ok"}
    assert "fail" in states(report["keys"])


def test_a_database_that_is_away(found: Found, config_file: Path) -> None:
    change(config_file, "database", url='"postgresql+psycopg://idp:s3cret@127.0.0.1:1/none"')
    report = found(fails=1)
    assert "cannot be used" in report["database"][0]["message"]
    assert "s3cret" not in json.dumps(report)


def test_a_database_that_cannot_be_written(found: Found, config_file: Path, tmp_path: Path) -> None:
    change(config_file, "database", url='"sqlite:////proc/idp.db"')
    assert states(found(fails=1)["database"]) == {"fail"}


@pytest.mark.parametrize(("workers", "warns"), [(1, False), (4, False), (50, True)])
def test_a_database_that_lets_in_fewer_than_the_workers_may_need(
    make_app: Any, clean_postgres: Any, workers: int, warns: bool
) -> None:
    app = make_app(clean_postgres.take(), server={"workers": workers, "threads": 8})
    with app.app_context():
        found = list(stores.database(settings()))
    assert [finding.state for finding in found] == ["ok"] + ["warn"] * warns
    assert not warns or "50 workers may take 1050" in found[-1].message


def test_a_redis_that_is_away(found: Found, config_file: Path) -> None:
    change(config_file, "redis", url='"redis://:s3cret@127.0.0.1:1/0"')
    report = found(fails=1)
    assert states(report["redis"]) == {"fail"}
    assert states(report["jobs"]) == {"warn"}
    assert "s3cret" not in json.dumps(report)


def test_a_redis_that_forgets(found: Found, inside: Flask, healthy: None) -> None:
    before = {name: kv.client().config_get(name)[name] for name in ("maxmemory-policy", "appendonly", "save")}  # type: ignore[index]
    try:
        for name, value in (("maxmemory-policy", "allkeys-lru"), ("appendonly", "no"), ("save", "")):
            kv.client().config_set(name, value)
        told = " ".join(finding["remedy"] for finding in found()["redis"])
    finally:
        for name, value in before.items():
            kv.client().config_set(name, value)
    assert "noeviction" in told
    assert "appendonly" in told


@pytest.mark.parametrize(("ahead_s", "state"), [(0.2, "ok"), (3.0, "warn"), (-3.0, "warn"), (60.0, "fail")])
def test_clocks_that_differ(
    found: Found, healthy: None, monkeypatch: pytest.MonkeyPatch, ahead_s: float, state: str
) -> None:
    monkeypatch.setattr(stores, "_skews", lambda: iter([("Redis", ahead_s)]))
    assert state in states(found(fails=state == "fail")["clock"])


def test_the_clocks_of_the_stores_are_really_read(app: Flask) -> None:
    skews = dict(stores._skews())
    assert set(skews) == ({"Redis"} if db.engine.dialect.name == "sqlite" else {"Redis", "PostgreSQL"})
    assert all(abs(ahead_s) < 1 for ahead_s in skews.values())


def test_weak_secrets_and_an_open_file(found: Found, healthy: None, config_file: Path) -> None:
    config_file.chmod(0o644)
    change(config_file, "secrets", peppers='["p1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]')
    report = found(fails=1)
    assert report["config"][0]["remedy"] == f"chmod 600 {config_file}"
    assert "not random" in report["secrets"][0]["message"]


def test_a_lost_sealing_key_is_found_in_the_signing_keys(found: Found, healthy: None, config_file: Path) -> None:
    from tests.conftest import fresh_key

    change(config_file, "secrets", sealing_keys=f'["s2:{fresh_key("x")[2:]}"]')
    report = found(fails=1)
    assert all("sealing" in finding["remedy"] for finding in report["keys"])


def test_a_signing_key_that_is_overdue(found: Found, healthy: None) -> None:
    with clock.travel(timedelta(days=120).total_seconds()):
        report = found(fails=1)
    assert "rotate" in report["keys"][0]["remedy"]
    assert "behind" in report["clock"][0]["message"]  # Redis did not travel with us


def test_jobs_that_do_not_run(found: Found, inside: Flask, healthy: None) -> None:
    def broken() -> int:
        raise RuntimeError("disk full")

    with clock.travel(2), pytest.raises(RuntimeError):
        jobs.run(jobs.Job("audit-seal", lambda _: 2.0, broken))
    assert "disk full" in found(fails=1)["jobs"][0]["message"]
    with clock.travel(5):
        jobs.run(jobs.Job("audit-seal", lambda _: 2.0, lambda: 0))
    with clock.travel(86400):
        assert "warn" in states(found(fails=1)["jobs"])


def test_135_a_broken_trail(found: Found, inside: Flask, healthy: None) -> None:
    with committing():
        audit.record(audit.Event.SERVER_STARTED)
    audit.seal()
    for name in db.session.scalars(sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
        db.session.execute(sa.text(f"DROP TRIGGER {name}"))
    db.session.execute(sa.text("UPDATE audit_events SET actor = 'somebody' WHERE event = 'server.started'"))
    db.session.commit()
    assert "broken at event" in found(fails=1)["audit"][0]["message"]


def test_123_an_application_that_could_not_be_told_of_a_sign_out(found: Found, inside: Flask, healthy: None) -> None:
    assert states(found()["logout"]) == {"ok"}
    with committing():
        metadata = {"client_name": "Claims", "redirect_uris": ["https://claims.example.org/cb"]}
        clients.create(metadata, client_id="claims")
        for client_id in ("claims", "removed-since"):
            db.session.add(backchannel.DeliveryRow(
                client_id=client_id, sub="u1", sid="s1", cause="logout", outcome="failed", attempts=10,
                created_at=clock.now(), next_attempt_at=clock.now(), finished_at=clock.now(),
            ))  # fmt: skip
    (warning,) = found()["logout"]
    assert warning["state"] == "warn" and "claims" in warning["remedy"]


def test_a_mail_server_that_is_away(found: Found, healthy: None, config_file: Path) -> None:
    change(config_file, "mail", smtp_host='"127.0.0.1"', smtp_port="1", smtp_tls='"none"')
    assert "smtp_host" in found(fails=1)["mail"][0]["remedy"]


def test_a_mail_server_that_answers(found: Found, healthy: None, config_file: Path) -> None:
    import threading

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def talk() -> None:
            connection, _ = listening.accept()
            with connection, connection.makefile("rwb") as lines:
                lines.write(b"220 mail.example.org\r\n")
                lines.flush()
                while word := lines.readline():
                    lines.write(b"221 bye\r\n" if word.startswith(b"QUIT") else b"250 fine\r\n")
                    lines.flush()

        threading.Thread(target=talk, daemon=True).start()
        change(config_file, "mail", smtp_host='"127.0.0.1"', smtp_tls='"none"', smtp_port=str(listening.getsockname()[1]),
               smtp_password='""')  # fmt: skip
        assert states(found()["mail"]) == {"ok"}


@pytest.mark.parametrize(
    ("days", "host", "told", "fails"),
    [
        (90, "localhost", "", 0),
        (10, "localhost", "renew", 0),
        (-1, "localhost", "renew", 1),
        (90, "other.example.org", "get one for", 1),
    ],
)
def test_certificates(
    found: Found, healthy: None, config_file: Path, tmp_path: Path, days: int, host: str, told: str, fails: int
) -> None:
    certificate, key = self_signed(tmp_path, days=days, host=host)
    change(config_file, "server", tls_certificate=f'"{certificate}"', tls_key=f'"{key}"')
    report = found(fails=fails)["tls"]
    assert any(told in finding["remedy"] for finding in report)
    assert (states(report) == {"ok"}) is (not told)


def test_a_key_that_belongs_to_another_certificate(
    found: Found, healthy: None, config_file: Path, tmp_path: Path
) -> None:
    certificate, _ = self_signed(tmp_path)
    (tmp_path / "other").mkdir()
    _, key = self_signed(tmp_path / "other")
    change(config_file, "server", tls_certificate=f'"{certificate}"', tls_key=f'"{key}"')
    assert any("does not belong" in finding["message"] for finding in found(fails=1)["tls"])


@pytest.mark.parametrize(
    ("answer", "state", "fails"),
    [
        ({"issuer": "http://localhost:8000"}, "ok", 0),
        ({"issuer": "http://elsewhere.example.org"}, "fail", 1),
        (["odd"], "warn", 0),
    ],
)
def test_what_answers_at_the_issuer(
    found: Found, healthy: None, monkeypatch: pytest.MonkeyPatch, answer: Any, state: str, fails: int
) -> None:
    monkeypatch.setattr(httpx, "get", lambda *_, **__: httpx.Response(200, json=answer))
    assert state in states(found(fails=fails)["issuer"])


@pytest.mark.parametrize(
    ("workers", "concurrency", "cores", "node"), [(1, 0, 8, 4.0), (4, 0, 8, 16.0), (0, 2, 2, 8.0), (4, 3, 2, 8.0)]
)
def test_c3_how_many_sign_ins_a_password_check_allows(
    found: Found, healthy: None, config_file: Path, monkeypatch: pytest.MonkeyPatch,
    workers: int, concurrency: int, cores: int, node: float,
) -> None:  # fmt: skip
    change(config_file, "server", workers=str(workers))
    change(config_file, "passwords", bcrypt_cost="12", hash_concurrency=str(concurrency))
    monkeypatch.setattr(hashing, "takes_s", lambda cost: 0.25 * 2.0 ** (cost - 12))
    monkeypatch.setattr(hash_pool, "cores", lambda: cores)
    told = found()["passwords"][0]["message"]
    assert told == f"bcrypt cost 12 takes 250 ms of a core here: 4.0 sign-ins a second and core, {node} on this node"


@pytest.mark.parametrize(
    ("ms", "state", "better"), [(30, "warn", 15), (99, "warn", 13), (250, "ok", 0), (999, "ok", 0), (1100, "warn", 10)]
)
def test_c3_a_password_check_that_is_too_cheap_or_too_dear(
    found: Found, healthy: None, config_file: Path, monkeypatch: pytest.MonkeyPatch, ms: int, state: str, better: int
) -> None:
    text = (
        config_file.read_text().replace('"development"', '"production"').replace("bcrypt_cost = 4", "bcrypt_cost = 12")
    )
    config_file.write_text(text.replace("http://localhost:8000", "https://localhost"))
    monkeypatch.setattr(hashing, "takes_s", lambda cost: ms / 1000 * 2.0 ** (cost - 12))
    [finding] = found()["passwords"]
    assert finding["state"] == state
    assert finding["remedy"].startswith(f"try passwords.bcrypt_cost = {better};" if better else "")


def test_in_production_it_expects_more(found: Found, healthy: None, config_file: Path) -> None:
    text = (
        config_file.read_text().replace('"development"', '"production"').replace("bcrypt_cost = 4", "bcrypt_cost = 10")
    )
    config_file.write_text(text.replace("http://localhost:8000", "https://localhost"))
    change(config_file, "metrics", token='"short"')
    report = found()
    assert "PostgreSQL" in report["database"][0]["remedy"]
    assert "smtp_host" in report["mail"][0]["remedy"]
    assert "20" in report["metrics"][0]["remedy"]


def test_without_a_configuration_it_says_so_and_stops(idp: Idp, config_file: Path) -> None:
    config_file.write_text("mode = 7")
    assert "mode" in idp("doctor", fails=2).output


def test_a_partner_whose_assertions_are_believed(
    found: Found, healthy: None, config_file: Path, tmp_path: Path
) -> None:
    file = tmp_path / "partner.jwks.json"
    resource = '[[resources]]\nidentifier = "https://x.example.org"\nscopes = {"x.read" = "See"}\n'
    table = f'[[trusted_issuers]]\nissuer = "https://p.example.org"\njwks = "{file}"\nclients = ["gate"]\nscopes = ["x.read"]\n'
    config_file.write_text(config_file.read_text() + resource + table)
    (keys_finding, client_finding) = found(fails=1)["issuers"]
    assert keys_finding["state"] == "fail" and "FileNotFoundError" in keys_finding["message"]
    assert client_finding["state"] == "warn" and "gate" in client_finding["message"]
    file.write_text(json.dumps(jwks(key())))
    assert found()["issuers"][0]["state"] == "ok"


def test_client_certificates(found: Found, healthy: None, inside: Flask, config_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("nothing")
    change(config_file, "server", trusted_proxies="1", bind='"0.0.0.0"')
    change(config_file, "mtls", header='"Client-Cert"', trusted_ca=f'"{file}"')
    report = found(fails=1)["mtls"]
    assert [finding["state"] for finding in report] == ["ok", "warn", "fail"]
    assert "can claim any certificate" in report[1]["message"]
    file.write_text(issue("CN=CA", ca=True, days=10).pem)
    change(config_file, "server", bind='"127.0.0.1"')
    report = found()["mtls"]
    assert [finding["state"] for finding in report] == ["ok", "warn", "ok"] and "expires on" in report[1]["message"]


def test_an_application_whose_certificate_cannot_arrive(
    found: Found, healthy: None, idp: Idp, config_file: Path, tmp_path: Path
) -> None:
    before = config_file.read_text()
    file = tmp_path / "ca.pem"
    file.write_text(issue("CN=CA", ca=True, days=90).pem)
    change(config_file, "server", trusted_proxies="1")
    change(config_file, "mtls", header='"Client-Cert"', trusted_ca=f'"{file}"')
    idp("client", "create", "--client-id", "gate", "--name", "Gate", "--grant-type", "client_credentials",
        "--auth-method", "tls_client_auth", "--tls-san-dns", "gate.example.org", "--bound-tokens")  # fmt: skip
    shown = json.loads(idp("client", "show", "gate", "--json").stdout)
    assert shown["tls_client_auth_san_dns"] == "gate.example.org"
    assert shown["tls_client_certificate_bound_access_tokens"] is True
    assert states(found()["mtls"]) == {"ok"}
    config_file.write_text(before)
    (left,) = found(fails=1)["mtls"]
    assert "gate cannot authenticate" in left["message"] and "own TLS cannot" in left["remedy"]
