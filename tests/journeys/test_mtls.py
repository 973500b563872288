"""Mutual TLS from end to end: a real handshake with a proxy, the header that it sets, and a server that believes nobody else (RFC 8705)."""

from __future__ import annotations

import base64
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.oauth.certs import HEADER, Pair, authority, issue
from tests.oauth.conftest import claims_of
from tests.serving import Server, free_port, write_config

pytestmark = pytest.mark.xdist_group("server")
GATE = "CN=gateway,O=Clinic"


def in_file(pair: Pair, folder: Path, name: str) -> str:
    """Certificate and key in one PEM file."""
    key = pair.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    file = folder / f"{name}.pem"
    file.write_text(pair.pem + key)
    return str(file)


@contextmanager
def proxy(port: int, upstream: str, certificate: str, authorities: str) -> Iterator[None]:
    """What an operator puts in front: TLS that asks for a certificate, and one header of its own in the place of all others."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.load_verify_locations(authorities)
    context.verify_mode = ssl.CERT_OPTIONAL

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self._pass_on(body)

        def do_GET(self) -> None:
            self._pass_on(b"")

        def _pass_on(self, body: bytes) -> None:
            kept = {name: value for name, value in self.headers.items() if name.lower() != HEADER.lower()}
            raw = self.connection.getpeercert(binary_form=True)  # type: ignore[attr-defined]
            if raw:
                kept[HEADER] = f":{base64.b64encode(raw).decode()}:"
            answer = httpx.request(
                self.command,
                upstream + self.path,
                headers=kept,
                content=body,
                timeout=60,
                trust_env=False,
                verify=False,
            )
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers["Content-Type"])
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def there(sqlite_url: str, kv_url: str, tmp_path: Path) -> Iterator[tuple[Server, str, Path]]:
    """A running provider, the address of the proxy in front of it, and the file with the authorities."""
    ca = tmp_path / "ca.pem"
    ca.write_text(authority().pem)
    names = (x509.DNSName("localhost"),)
    own = issue("CN=localhost", authority(), names=names, purpose=ExtendedKeyUsageOID.SERVER_AUTH)
    port = free_port()
    url = f"https://localhost:{port}"
    config = write_config(
        tmp_path, database_url=sqlite_url, redis_url=kv_url, port=free_port(),
        server={"trusted_proxies": 1, "workers": 1}, mtls={"header": HEADER, "trusted_ca": str(ca), "url": url},
    )  # fmt: skip
    config.write_text(
        config.read_text() + '[[resources]]\nidentifier = "https://x.example.org"\nscopes = { "x.read" = "See" }\n'
    )
    server = Server(config).start()
    try:
        with proxy(port, server.url, in_file(own, tmp_path, "proxy"), str(ca)):
            yield server, url, tmp_path
    finally:
        server.stop()


def client_with(folder: Path, pair: Pair | None, name: str) -> httpx.Client:
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    if pair is not None:
        context.load_cert_chain(in_file(pair, folder, name))
    return httpx.Client(verify=context, trust_env=False, timeout=60)


def test_rfc8705_a_handshake_proves_the_client_and_a_header_of_a_strangers_does_not(there):
    server, url, folder = there
    made = server.idp(
        "client", "create", "--client-id", "gate", "--name", "Gate", "--grant-type", "client_credentials",
        "--scope", "x.read", "--resource", "https://x.example.org", "--auth-method", "tls_client_auth",
        "--tls-subject-dn", GATE, "--bound-tokens",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    document = httpx.get(f"{server.url}/.well-known/openid-configuration", trust_env=False, timeout=60).json()
    token_endpoint = document["mtls_endpoint_aliases"]["token_endpoint"]
    assert token_endpoint == f"{url}/token"
    form = {"grant_type": "client_credentials", "client_id": "gate"}
    own, other = issue(GATE, authority()), issue("CN=other,O=Clinic", authority())

    with client_with(folder, own, "own") as http:
        answer = http.post(token_endpoint, data=form)
        assert answer.status_code == 200, answer.text
        token = answer.json()["access_token"]
        assert claims_of(token)["cnf"] == {"x5t#S256": own.thumbprint}
        told = http.post(f"{url}/introspect", data={"client_id": "gate", "token": token}).json()
        assert told["active"] is True and told["cnf"] == {"x5t#S256": own.thumbprint}
        assert http.get(f"{url}/login").status_code == 400  # pages live at the issuer

    with client_with(folder, other, "other") as http:
        assert http.post(token_endpoint, data=form).status_code == 401
        assert http.post(token_endpoint, data=form, headers=own.rfc9440).status_code == 401  # attack 45: replaced
    with client_with(folder, None, "none") as http:
        for headers in ({}, own.rfc9440, {"client_cert": own.rfc9440[HEADER]}):  # attack 45: removed
            answer = http.post(token_endpoint, data=form, headers=headers)
            assert answer.status_code == 401 and "no client certificate arrived" in answer.json()["error_description"]
