"""bearer — a protected resource's side of OAuth: whose access token is this, and is it meant for us?

RFC 9068 (JWT access tokens), RFC 6750 (how they travel and how they are refused), RFC 9470 (step up),
RFC 9728 (metadata of a protected resource), RFC 8705 (tokens that are good with one certificate).
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import ParamSpec

from flask import Blueprint, Response, g, jsonify, request

from idp.demo.wire import Jwt, Provider, ProviderAway, Refused, check_times

P = ParamSpec("P")
TYPES = ("at+jwt", "application/at+jwt")


class Refusal(Exception):
    """An answer of RFC 6750 §3: status, error code, and one word that says what was wrong with the token."""

    def __init__(self, status: int, error: str, reason: str, message: str, **extra: str | int) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.reason = reason
        self.message = message
        self.extra = extra

    def response(self, resource: str) -> Response:
        """The challenge in the header, for OAuth clients, and the same in the body, for people."""
        body = {"error": self.error, "reason": self.reason, "error_description": self.message, **self.extra}
        answer = jsonify({name: value for name, value in body.items() if value})
        answer.status_code = self.status
        answer.headers["WWW-Authenticate"] = self._challenge(resource)
        answer.headers["Cache-Control"] = "no-store"
        return answer

    def _challenge(self, resource: str) -> str:
        parameters: dict[str, str | int] = {"realm": resource}
        if self.error:
            parameters |= {"error": self.error, "error_description": self.message, **self.extra}
        parameters["resource_metadata"] = f"{resource_origin(resource)}/.well-known/oauth-protected-resource"
        return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in parameters.items())


class ProtectedResource:
    """Lets a request through when it carries an access token that the provider issued for this resource."""

    def __init__(
        self,
        provider: Provider,
        *,
        identifier: str,
        name: str,
        scopes: Mapping[str, str],
        client_certificate: Callable[[], bytes | None] = lambda: None,
    ) -> None:
        """`client_certificate` returns the DER certificate that the caller showed, as the proxy tells it; here none is asked for."""
        self.provider = provider
        self.client_certificate = client_certificate
        self.identifier = identifier
        self.name = name
        self.scopes = scopes

    def requires(
        self, scope: str, *, max_age_s: int | None = None, acr_values: tuple[str, ...] = ()
    ) -> Callable[[Callable[P, Response]], Callable[P, Response]]:
        """Decorator for an API view: the scope that is needed and, for a step up, how recent and how strong the sign-in must be."""

        def decorate(view: Callable[P, Response]) -> Callable[P, Response]:
            @wraps(view)
            def guarded(*args: P.args, **kwargs: P.kwargs) -> Response:
                try:
                    g.access_token = self.check(raw_token(), scope=scope, max_age_s=max_age_s, acr_values=acr_values)
                except Refusal as refusal:
                    return refusal.response(self.identifier)
                except ProviderAway as trouble:
                    return _unavailable(str(trouble))
                answer = view(*args, **kwargs)
                answer.headers["Cache-Control"] = "no-store"
                return answer

            return guarded

        return decorate

    def check(
        self, raw_access_token: str, *, scope: str, max_age_s: int | None = None, acr_values: tuple[str, ...] = ()
    ) -> Jwt:
        """All that RFC 9068 §4 asks of a resource server; raises Refusal."""
        try:
            token = self.provider.read(raw_access_token)
            self._check_purpose(token)
            self._check_holder(token)
            check_times(token.claims)
        except Refused as refused:
            raise invalid_token(refused.reason, refused.message) from None
        granted = str(token.claims.get("scope", "")).split()
        if scope not in granted:
            raise Refusal(403, "insufficient_scope", "scope", f"This needs the scope {scope}.", scope=scope)
        if acr_values and token.claims.get("acr") not in acr_values:
            raise _step_up("acr", "This needs a stronger sign-in.", max_age_s, acr_values)
        if max_age_s is not None and not _is_recent(token, max_age_s):
            raise _step_up("auth_time", "This needs a more recent sign-in.", max_age_s, acr_values)
        return token

    def _check_purpose(self, token: Jwt) -> None:
        """The type before the audience: an ID token is refused for what it is, wherever it is presented."""
        kind = token.header.get("typ")
        if not isinstance(kind, str) or kind.lower() not in TYPES:
            raise Refused("typ", f"This is not an access token: its type is {kind!s}, not at+jwt.")
        if self.identifier not in token.audience:
            wanted = " ".join(token.audience) or "nobody"
            raise Refused("aud", f"This access token was issued for {wanted}, not for {self.identifier}.")
        if not isinstance(token.claims.get("sub"), str) or not isinstance(token.claims.get("client_id"), str):
            raise Refused("malformed", "The access token names no subject or no client.")

    def _check_holder(self, token: Jwt) -> None:
        """RFC 8705 section 3: a bound token is good with its certificate; how it is bound otherwise, nobody here understands."""
        bound = token.claims.get("cnf")
        if bound is None:
            return
        raw = self.client_certificate()
        shown = base64.urlsafe_b64encode(hashlib.sha256(raw).digest()).rstrip(b"=").decode() if raw else None
        if shown is None or bound != {"x5t#S256": shown}:
            raise Refused("cnf", "This access token is bound to a certificate that did not come with it.")

    def blueprint(self) -> Blueprint:
        """The metadata document of RFC 9728."""
        room = Blueprint("protected_resource", __name__)

        @room.get("/.well-known/oauth-protected-resource")
        def metadata() -> Response:
            return jsonify(
                resource=self.identifier,
                authorization_servers=[self.provider.issuer],
                scopes_supported=sorted(self.scopes),
                bearer_methods_supported=["header"],
                resource_name=self.name,
            )

        return room


def raw_token() -> str:
    """The access token of this request: from the header and from nowhere else (RFC 6750 §2.1)."""
    header = request.headers.get("Authorization", "")
    scheme, _, raw = header.partition(" ")
    if "access_token" in request.args:
        raise Refusal(400, "invalid_request", "query", "An access token never travels in a URL.")
    if not header:
        raise Refusal(401, "", "missing", "This needs an access token.")
    if scheme.lower() != "bearer" or not raw.strip():
        raise Refusal(401, "invalid_token", "missing", "This needs an access token of the type Bearer.")
    return raw.strip()


def invalid_token(reason: str, message: str) -> Refusal:
    return Refusal(401, "invalid_token", reason, _quotable(message))


def resource_origin(identifier: str) -> str:
    """Scheme, host and port of a resource identifier: where its metadata stands."""
    return "/".join(identifier.split("/")[:3])


def _is_recent(token: Jwt, max_age_s: int) -> bool:
    signed_in_at = token.claims.get("auth_time")
    return isinstance(signed_in_at, int) and time.time() - signed_in_at <= max_age_s


def _step_up(reason: str, message: str, max_age_s: int | None, acr_values: tuple[str, ...]) -> Refusal:
    """RFC 9470 section 3: say what would be enough, so that the client can ask for exactly that."""
    enough: dict[str, str | int] = {"acr_values": " ".join(acr_values)} if acr_values else {}
    if max_age_s is not None:
        enough["max_age"] = max_age_s
    return Refusal(401, "insufficient_user_authentication", reason, message, **enough)


def _quotable(message: str) -> str:
    """A message is quoted in a header: printable ASCII without quotes and backslashes (RFC 6750 §3)."""
    return "".join(c for c in message if " " <= c <= "~" and c not in '"\\')


def _unavailable(message: str) -> Response:
    answer = jsonify(error="temporarily_unavailable", reason="provider", error_description=message)
    answer.status_code = 503
    return answer
