"""`idp serve`, from outside: it answers, drains, survives its workers, and says in one line why it does not start."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.serving import Server, free_port, was_read, write_config

pytestmark = pytest.mark.xdist_group("server")
Make = Callable[..., Server]
TOKEN = "scrape-me-0123456789-abcdef"


@pytest.fixture
def make_server(sqlite_url: str, kv_url: str, tmp_path: Path) -> Iterator[Make]:
    """Build servers on a fresh database; whatever still runs at the end is stopped."""
    made: list[Server] = []

    def make(**sections: dict[str, Any]) -> Server:
        made.append(
            Server(write_config(tmp_path, database_url=sqlite_url, redis_url=kv_url, port=free_port(), **sections))
        )
        return made[-1]

    yield make
    for server in made:
        if server.process is not None and server.process.poll() is None:
            server.stop()


def events(server: Server) -> list[str]:
    return [entry["event"] for entry in json.loads(server.idp("audit", "tail", "-n", "500", "--json").stdout)]


def log_lines(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log.read_text().splitlines()]


def until(condition: Callable[[], Any], *, within_s: float = 90.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_it_answers_keeps_connections_and_stops_cleanly(make_server: Make) -> None:
    server = make_server(metrics={"token": TOKEN}).start()
    with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as http:
        answers = [http.get("/help?code=do-not-log-me", headers={"User-Agent": "x\u0085y".encode()}) for _ in range(5)]
        assert {answer.status_code for answer in answers} == {200}
        assert {answer.http_version for answer in answers} == {"HTTP/1.1"}
        assert len({answer.headers["X-Request-Id"] for answer in answers}) == 5
        connection = answers[0].extensions["network_stream"].get_extra_info("client_addr")
        assert {a.extensions["network_stream"].get_extra_info("client_addr") for a in answers} == {connection}
        text = http.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text
    assert 'idp_http_requests_total{method="GET",route="/help",status="200"} 5.0' in text
    until(lambda: "jobs" in server.idp("doctor").stdout)
    assert server.stop() == 0
    assert {"server.started", "server.stopped"} <= set(events(server))
    lines = log_lines(server)  # every line is JSON
    assert [line for line in lines if line["logger"] == "idp.access" and line.get("route") == "/help"]
    ids = {answer.headers["X-Request-Id"] for answer in answers}
    assert {line["request_id"] for line in lines if line.get("route") == "/help"} >= ids
    assert "do-not-log-me" not in server.log.read_text()


def test_sigterm_lets_a_request_in_flight_finish_and_takes_no_new_ones(make_server: Make) -> None:
    server = make_server().start()
    body = b"grant_type=client_credentials&padding=" + b"x" * 2000
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        head = f"POST /token HTTP/1.1\r\nHost: localhost:{server.port}\r\nContent-Length: {len(body)}\r\n"
        slow.sendall(f"{head}Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n\r\n".encode())
        slow.sendall(body[:1000])
        until(lambda: was_read(server, slow))  # the worker waits for the rest of the body now
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        until(lambda: not accepts(server.port))
        time.sleep(0.5)
        assert server.process.poll() is None
        slow.sendall(body[1000:])
        slow.settimeout(60)
        answer = b"".join(iter(lambda: slow.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 4")
    assert server.process.wait(60) == 0
    assert "server.stopped" in events(server)


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_a_worker_that_dies_is_replaced(make_server: Make) -> None:
    server = make_server().start()
    victim = server.workers()[0]
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(server.workers()) == 3)
    server.wait_until_ready()
    assert server.stop() == 0


def test_workers_end_when_the_parent_is_killed_and_the_port_is_free_again(make_server: Make) -> None:
    server = make_server().start()
    workers = server.workers()
    os.kill(server.pid, signal.SIGKILL)
    assert server.process is not None
    server.process.wait()
    until(lambda: not any(runs(pid) for pid in workers))
    server.start()
    assert server.stop() == 0


def runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_background_jobs_run_once_and_stop_with_it(make_server: Make) -> None:
    server = make_server().start()
    until(lambda: "server.started" in events(server))
    until(lambda: json.loads(server.idp("audit", "verify", "--json").stdout)["unsealed"] == 0)
    until(lambda: jobs_of(server)["state"] == "ok")
    assert server.stop() == 0
    assert jobs_of(server)["state"] == "ok", jobs_of(server)


def jobs_of(server: Server) -> dict[str, Any]:
    """What the doctor says of the background jobs."""
    report = json.loads(server.idp("doctor", "--json").stdout)
    found: dict[str, Any] = next(finding for finding in report["findings"] if finding["check"] == "jobs")
    return found


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"server": {"tls_certificate": "/nowhere/cert.pem", "tls_key": "/nowhere/key.pem"}}, "tls_certificate"),
        ({"database": {"url": "postgresql+psycopg://nobody@127.0.0.1:1/none"}}, "database.url"),
    ],
)
def test_it_refuses_to_start_with_one_line(make_server: Make, sections: dict[str, Any], told: str) -> None:
    done = make_server(**sections).refuses()
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_it_refuses_a_port_that_is_taken(make_server: Make) -> None:
    server = make_server()
    with socket.socket() as other:
        other.bind(("127.0.0.1", server.port))
        other.listen()
        done = server.refuses()
    assert done.returncode == 1
    assert f"port {server.port}" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_it_refuses_an_insecure_production_setting(make_server: Make) -> None:
    server = make_server()
    server.config_file.write_text(server.config_file.read_text().replace('"development"', '"production"'))
    done = server.refuses()
    assert done.returncode == 2
    assert "issuer must start with https://" in done.stderr


def test_146_the_demo_never_listens_beyond_loopback(make_server: Make) -> None:
    server = make_server(server={"bind": "0.0.0.0", "issuer": "http://localhost:8000"})
    server.config_file.write_text(server.config_file.read_text().replace('"development"', '"demo"'))
    done = server.refuses()
    assert done.returncode == 1
    assert "loopback" in done.stderr


def test_148_tls_is_served_and_old_versions_are_refused(make_server: Make, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    port = free_port()
    server = make_server(
        server={
            "port": port,
            "issuer": f"https://localhost:{port}",
            "tls_certificate": str(certificate),
            "tls_key": str(key),
        }
    )
    trust = ssl.create_default_context(cafile=str(certificate))
    server.is_ready = lambda: tls_ready(server.url, trust)  # type: ignore[method-assign]
    server.start()
    answer = httpx.get(f"{server.url}/healthz", verify=trust, trust_env=False, timeout=60)
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=63072000")
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(certificate)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.minimum_version = ssl.TLSVersion.TLSv1
    with socket.create_connection(("127.0.0.1", port)) as raw, pytest.raises(ssl.SSLError):
        old.wrap_socket(raw, server_hostname="localhost")
    assert server.stop() == 0


def tls_ready(url: str, trust: ssl.SSLContext) -> bool:
    try:
        return httpx.get(f"{url}/readyz", verify=trust, trust_env=False, timeout=60).status_code == 200
    except httpx.HTTPError:
        return False


def self_signed(folder: Path, *, days: int = 90, host: str = "localhost") -> tuple[Path, Path]:
    """A certificate and its key as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(host), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=365))
        .not_valid_after(now + datetime.timedelta(days=days)).add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    files = folder / "cert.pem", folder / "key.pem"
    files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    files[1].chmod(0o600)
    return files
