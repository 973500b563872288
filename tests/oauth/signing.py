"""A client's own keys, what it signs with them, and the place where it publishes them."""

from __future__ import annotations

import hmac
import json
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from idp import clock, crypto
from tests.conftest import ISSUER

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@lru_cache(maxsize=64)
def key(kind: str = "P-256", name: str = "k1") -> Any:
    """A private key; the same name is the same key."""
    if kind.isdigit():
        with warnings.catch_warnings(action="ignore"):  # joserfc warns of short ones, which is why we want them
            return RSAKey.generate_key(int(kind), {"kid": name})
    kinds: dict[str, Any] = {"Ed25519": OKPKey, "X25519": OKPKey}
    return kinds.get(kind, ECKey).generate_key(kind, {"kid": name})


def jwks(*keys: Any) -> dict[str, Any]:
    """A JWK Set of the public halves."""
    return {"keys": [one.as_dict(private=False) for one in keys]}


def sign(claims: dict[str, Any], by: Any, *, alg: str = "ES256", **header: Any) -> str:
    """A compact JWS; header members by keyword, None leaves `kid` away."""
    members = {"alg": alg, "kid": by.kid} | header
    members = {name: value for name, value in members.items() if value is not None}
    registry = jws.JWSRegistry(algorithms=[alg], strict_check_header=False)
    with warnings.catch_warnings(action="ignore"):
        return jws.serialize_compact(members, json.dumps(claims), by, registry=registry)


def hmac_signed(claims: dict[str, Any], raw_key: bytes) -> str:
    """An HS256 signature with any bytes, also those that no library would take for a secret."""
    parts = (json.dumps({"alg": "HS256", "kid": "k1"}), json.dumps(claims))
    head = ".".join(crypto.base64url(part.encode()) for part in parts)
    return f"{head}.{crypto.base64url(hmac.digest(raw_key, head.encode(), 'sha256'))}"


def secret_key(raw: str) -> OctKey:
    """A shared secret as a key for HS256."""
    with warnings.catch_warnings(action="ignore"):
        return OctKey.import_key(raw, {"kid": "secret"})


def assertion_claims(client_id: str, **changes: Any) -> dict[str, Any]:
    """The claims of a good client assertion; None takes one away."""
    now = clock.epoch()
    good = {
        "iss": client_id,
        "sub": client_id,
        "aud": ISSUER,
        "jti": crypto.random_token(16),
        "iat": now,
        "exp": now + 60,
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def proof(raw_assertion: str) -> dict[str, str]:
    """The form fields of a client that authenticates by assertion."""
    return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": raw_assertion}


class Published:
    """A real server on loopback that gives out what `answer` says, and counts."""

    def __init__(self) -> None:
        self.status, self.headers, self.body, self.calls = 200, {"Content-Type": "application/json"}, b"{}", 0
        self.before: Callable[[Any], None] | None = None
        self.url = ""

    def show(self, document: Any) -> None:
        """Publish a JSON document."""
        self.body = json.dumps(document).encode()


@contextmanager
def publishing(document: Any = None) -> Iterator[Published]:
    """Serve a document under `.url` until the end of the block."""
    site = Published()
    if document is not None:
        site.show(document)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.calls += 1
            try:
                if site.before is not None:
                    site.before(self)
                self.send_response(site.status)
                for name, value in site.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(site.body)
            except OSError:
                pass  # the caller had enough

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    site.url = f"http://127.0.0.1:{server.server_port}/jwks"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


DRIPS_FOR_S = 60.0  # the deadline of a fetch is 3 s; whoever is back in half of this did not wait for the end


def drip(handler: Any) -> None:
    """Answer one byte at a time, slower than anybody should wait."""
    ends_at = time.monotonic() + DRIPS_FOR_S
    while time.monotonic() < ends_at:
        handler.wfile.write(b"H")
        handler.wfile.flush()
        time.sleep(0.3)
