"""Where logout tokens may go: applications chose the address (attack 62), and hospitals have private networks."""

from __future__ import annotations

import datetime
import re
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from flask import Flask

from idp import outbound
from idp.oauth import backchannel_wire
from idp.oauth.backchannel_wire import Letter
from tests.conftest import make_settings

NAME = "app.example.org"


@pytest.fixture
def place(tmp_path):
    """An application of nothing but settings."""

    def make(mode: str, *networks: str):
        app = Flask("outbound")
        app.extensions["idp.settings"] = make_settings(
            database_url="sqlite://",
            redis_url="redis://127.0.0.1:1/0",
            prefix="",
            folder=tmp_path,
            mode=mode,
            outbound={"allowed_networks": networks},
        )
        return app.app_context()

    return make


@pytest.fixture
def means(monkeypatch):
    """Let every name mean one address, and count the questions."""

    def set_to(address: str) -> list[str]:
        asked: list[str] = []
        real = socket.getaddrinfo

        def resolve(host, port, *args, **more):
            if host == address:  # asyncio looks at the address that it was given, too
                return real(host, port, *args, **more)
            asked.append(host)
            return [(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        return asked

    return set_to


class App:
    """An application with a certificate for its name, on loopback."""

    def __init__(self, folder) -> None:
        self.heard: list[tuple[str, bytes]] = []
        files = _certificate(folder)
        heard = self.heard

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                heard.append((self.headers["Host"], self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(files)
        self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.trust = ssl.create_default_context(cafile=files)
        self.netloc = f"{NAME}:{self.server.server_port}"


def _certificate(folder) -> str:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - day).not_valid_after(now + day)
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    raw_key = key.private_bytes(encoding, form, serialization.NoEncryption())
    path = folder / "app.pem"
    path.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(encoding) + raw_key)
    return str(path)


@pytest.fixture
def listening(tmp_path, monkeypatch):
    app = App(tmp_path)
    monkeypatch.setattr(backchannel_wire, "_tls", lambda: app.trust)
    thread = threading.Thread(target=app.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield app
    app.server.shutdown()
    app.server.server_close()
    thread.join()


def post(*uris: str) -> list[backchannel_wire.Answer]:
    return list(backchannel_wire.post_all([Letter(uri, "a.b.c") for uri in uris]))


def test_a_letter_goes_to_the_judged_address_and_tls_proves_the_name(place, means, listening):
    asked = means("127.0.0.1")
    with place("development"):
        answers = post(*[f"https://{listening.netloc}/logout"] * 3)
    assert [answer.status for answer in answers] == [200] * 3, answers
    assert listening.heard == [(listening.netloc, b"logout_token=a.b.c")] * 3
    assert asked == [NAME]  # once for all letters to it, and never again


def test_a_certificate_for_another_name_is_nobody(place, means, listening):
    means("127.0.0.1")
    with place("development"):
        (answer,) = post(f"https://{listening.netloc.replace('app', 'other')}/logout")
    assert answer.status is None and "ConnectError" in (answer.problem or "") and not listening.heard


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "::1",
        "10.0.0.1",
        "192.168.7.7",
        "172.16.0.1",
        "169.254.169.254",
        "fd00:ec2::254",
        "fe80::1",
        "0.0.0.0",
    ],
)
def test_attack_62_production_delivers_into_no_network_of_ours(place, means, monkeypatch, address):
    means(address)
    monkeypatch.setattr(backchannel_wire, "_sent", never)
    with place("production"):
        (answer,) = post(f"https://{NAME}/logout")
    assert answer.status is None and not answer.final
    assert answer.problem == "not sent: the name leads into a network that is not public; see outbound.allowed_networks"


def never(*_, **__):
    raise AssertionError("a connection was tried")


def test_applications_in_an_allowed_network_are_told(place, means, monkeypatch):
    means("10.20.30.40")
    went = []

    def sent(http, letter, address):
        went.append(address)
        raise OSError("recorded")

    monkeypatch.setattr(backchannel_wire, "_sent", sent)
    with place("production", "10.20.0.0/16"):
        post(f"https://{NAME}/logout")
    with place("production", "10.21.0.0/16"):
        post(f"https://{NAME}/logout")
    assert went == ["10.20.30.40"]


def test_one_refused_address_does_not_hold_up_the_others(place, means, listening):
    means("127.0.0.1")
    with place("development"):
        refused, good = post("http://user@localhost/logout", f"https://{listening.netloc}/logout")
    assert (refused.status, good.status) == (None, 200)


def test_attack_62_one_guard_for_everything_that_goes_out():
    """Nobody else in the provider opens a connection to where strangers say; the demo's services are not the provider."""
    client = re.compile(
        r"^\s*(?:import|from) (?:httpx|httpcore|requests|urllib3|urllib\.request|http\.client)\b", re.MULTILINE
    )
    root = Path(outbound.__file__).parent
    found = {str(file.relative_to(root)) for file in root.rglob("*.py") if client.search(file.read_text("utf-8"))}
    assert {name for name in found if not name.startswith("demo/")} == {
        "outbound.py",
        "oauth/backchannel_wire.py",
        "doctor/trust.py",  # asks the provider itself, at the issuer of the settings
    }
