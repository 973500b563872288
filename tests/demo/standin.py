"""A small OpenID provider over real HTTP: what the services meet when our own one is out of the room.

It signs in «amara» at once. Its knobs are attributes that a test may set to make it misbehave.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import ssl
import threading
import time
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlencode

import httpx
from flask import Flask, Response, jsonify, redirect, request
from joserfc import jwk, jws
from werkzeug.serving import WSGIRequestHandler, make_server

TLS = ssl.create_default_context()
PLAIN = httpx.Client(verify=TLS, trust_env=False, timeout=60)  # a program
PLAIN.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # that keeps no cookies


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        return None


class Running:
    """A WSGI app on a free loopback port, in a thread."""

    def __init__(self, app: Any = None) -> None:
        self.server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
        self.url = f"http://localhost:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def start(self, app: Any = None) -> Running:
        if app is not None:
            self.server.app = app
        self.thread.start()
        return self

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def ec_key(kid: str) -> jwk.ECKey:
    return jwk.ECKey.generate_key("P-256", {"kid": kid, "use": "sig", "alg": "ES256"})


class StandIn:
    """Discovery, authorize, token, userinfo, JWKS, end_session; every person is signed in already."""

    sub, name, sid = "person-1", "Amara Quist", "sid-1"
    userinfo_sub = sub

    def __init__(self) -> None:
        self.running = Running(Flask("standin"))
        self.issuer = self.running.url
        self.key = ec_key("k1")
        self.published = [self.key.as_dict(private=False)]
        self.codes: dict[str, dict[str, str]] = {}
        self.refresh_tokens: set[str] = set()
        self.requests: list[str] = []
        self.token_forms: list[dict[str, str]] = []
        self.signed_in = True
        self.answer: dict[str, Any] = {}  # changes to the authorization response; None leaves a member out
        self.id_token: dict[str, Any] = {}  # changes to the ID token's claims
        self.access_token: dict[str, Any] = {}
        self.id_token_typ: str | None = "JWT"
        self.discovery: dict[str, Any] = {}
        self.running.start(self._app())

    def sign(self, claims: dict[str, Any], *, typ: str | None, key: Any = None, **header: Any) -> str:
        signer = key or self.key
        protected = {"alg": "ES256", "kid": signer.kid, "typ": typ, **header}
        members = {name: value for name, value in protected.items() if value is not None}
        return jws.serialize_compact(members, json.dumps(claims).encode(), signer, algorithms=["ES256", "RS256"])

    def access_claims(self, resource: str, scope: str, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": self.sub,
            "aud": resource,
            "client_id": "claims",
            "scope": scope,
            "iat": now,
            "exp": now + 300,
            "auth_time": now,
            "acr": "urn:idp:acr:2fa",
            "jti": secrets.token_urlsafe(8),
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def _app(self) -> Flask:
        app = Flask("standin")
        app.before_request(lambda: self.requests.append(request.path))
        app.get("/.well-known/openid-configuration")(self._metadata)
        app.get("/jwks")(lambda: jsonify(keys=self.published))
        app.get("/authorize")(self._authorize)
        app.post("/token")(self._token)
        app.get("/userinfo")(self._userinfo)
        app.post("/introspect", endpoint="introspect")(lambda: jsonify(active=self.signed_in))
        app.get("/end_session")(self._end_session)
        return app

    def _metadata(self) -> Response:
        return jsonify(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "userinfo_endpoint": f"{self.issuer}/userinfo",
                "introspection_endpoint": f"{self.issuer}/introspect",
                "jwks_uri": f"{self.issuer}/jwks",
                "end_session_endpoint": f"{self.issuer}/end_session",
                "authorization_response_iss_parameter_supported": True,
                **self.discovery,
            }
        )

    def _authorize(self) -> Any:
        code = secrets.token_urlsafe(8)
        self.codes[code] = request.args.to_dict()
        answer = {"code": code, "state": request.args["state"], "iss": self.issuer, **self.answer}
        members = {name: value for name, value in answer.items() if value is not None}
        return redirect(f"{request.args['redirect_uri']}?{urlencode(members)}", 303)

    def _token(self) -> Any:
        form = request.form.to_dict()
        self.token_forms.append(form | {"basic": request.headers.get("Authorization", "")})
        if form["grant_type"] == "refresh_token":
            if form["refresh_token"] not in self.refresh_tokens or not self.signed_in:
                return jsonify(error="invalid_grant"), 400
            self.refresh_tokens.remove(form["refresh_token"])
            return self._tokens({"scope": "openid claims.read", "resource": form["resource"]})
        asked = self.codes.pop(form["code"], None)
        proof = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        if asked is None or asked["code_challenge"] != proof or asked["redirect_uri"] != form["redirect_uri"]:
            return jsonify(error="invalid_grant"), 400
        return self._tokens(asked)

    def _tokens(self, asked: dict[str, str]) -> Response:
        now = int(time.time())
        client_id = asked.get("client_id", "claims")
        id_claims = {
            "iss": self.issuer,
            "sub": self.sub,
            "aud": client_id,
            "iat": now,
            "exp": now + 300,
            "nonce": asked.get("nonce"),
            "sid": self.sid,
            **self.id_token,
        }
        id_claims = {name: value for name, value in id_claims.items() if value is not None}
        refresh_token = secrets.token_urlsafe(8)
        self.refresh_tokens.add(refresh_token)
        agreed = {"authorization_details": json.loads(asked.get("authorization_details", "null"))}
        claims = self.access_claims(asked["resource"], asked["scope"], **agreed | self.access_token)
        return jsonify(
            access_token=self.sign(claims, typ="at+jwt"),
            token_type="Bearer",
            expires_in=300,
            refresh_token=refresh_token,
            id_token=self.sign(id_claims, typ=self.id_token_typ),
            scope=asked["scope"],
        )

    def _userinfo(self) -> Any:
        return jsonify(sub=self.userinfo_sub, name=self.name)

    def _end_session(self) -> Any:
        self.signed_in = False
        query = urlencode({"state": request.args["state"]})
        return redirect(f"{request.args['post_logout_redirect_uri']}?{query}", 303)

    def stop(self) -> None:
        self.running.stop()
