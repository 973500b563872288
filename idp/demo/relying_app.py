"""relying_app — the relying party: sends people to the identity provider and believes only what checks out.

OpenID Connect Core §3.1 (code flow), RFC 7636 (S256), RFC 9207 (`iss` in the answer), RFC 8707 (`resource`),
RFC 6749 §6 (refresh), RP-Initiated Logout 1.0, Back-Channel Logout 1.0.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from idp.demo.local_sessions import LocalSession, SignIn, Tokens
from idp.demo.wire import Jwt, Provider, ProviderAway, Refused, check_times

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
REFRESH_EARLY_S = 30  # renew an access token that would expire on its way
CONFIRM_S = 1  # ask the provider whether the person is still signed in, at most this often


class SignInFailed(Exception):
    """A sign-in that ends here; the message is for the person."""


class SignedOut(Exception):
    """The provider no longer vouches for this person: the local session is over too."""


@dataclass(frozen=True, kw_only=True)
class Registration:
    """What the provider's operator gave us, and where we live."""

    client_id: str
    client_secret: str
    redirect_uri: str
    post_logout_redirect_uri: str
    scope: str
    resource: str | None = None


class RelyingParty:
    """One registration at one provider. Holds no session; sessions are handed in."""

    def __init__(self, provider: Provider, registration: Registration) -> None:
        self.provider = provider
        self.registration = registration
        self._seen_logouts: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    # — sign-in —

    def begin(
        self,
        session: LocalSession,
        *,
        return_to: str = "/",
        scope: str | None = None,
        max_age_s: int | None = None,
        acr_values: tuple[str, ...] = (),
        details: Sequence[Mapping[str, str]] = (),
    ) -> str:
        """The URL of the authorization request, for one precise thing if `details` (RFC 9396) say so; state, nonce and verifier stay in the session."""
        registration = self.registration
        sign_in = SignIn(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            code_verifier=secrets.token_urlsafe(48),
            return_to=return_to,
            scope=scope or registration.scope,
        )
        session.expect(sign_in)
        parameters = {
            "response_type": "code",
            "client_id": registration.client_id,
            "redirect_uri": registration.redirect_uri,
            "scope": sign_in.scope,
            "state": sign_in.state,
            "nonce": sign_in.nonce,
            "code_challenge": _s256(sign_in.code_verifier),
            "code_challenge_method": "S256",
        }
        if registration.resource:
            parameters["resource"] = registration.resource
        if max_age_s is not None:
            parameters["max_age"] = str(max_age_s)
        if acr_values:
            parameters["acr_values"] = " ".join(acr_values)
        if details:
            parameters["authorization_details"] = json.dumps(list(details))
        return _with_query(self.provider.endpoint("authorization_endpoint"), parameters)

    def finish(self, session: LocalSession, answer: Mapping[str, list[str]]) -> SignIn:
        """Redeem the provider's answer at our redirect URI. Raises SignInFailed; the session then gained nothing."""
        values = {name: many[0] for name, many in answer.items() if len(many) == 1}
        if len(values) != len(answer):
            raise SignInFailed("The answer repeats a parameter.")
        sign_in = session.take(values.get("state", ""))
        if sign_in is None:
            raise SignInFailed("This answer does not belong to a sign-in that this browser began (state).")
        self._check_issuer(values.get("iss"))
        if "error" in values:
            raise SignInFailed(_sentence(values))
        if "code" not in values:
            raise SignInFailed("The identity provider sent neither a code nor an error.")
        session.tokens = self._redeem(sign_in, values["code"])
        session.confirmed_at = time.monotonic()
        return sign_in

    def _check_issuer(self, iss: str | None) -> None:
        """RFC 9207: an answer from another provider, or from nobody, is a mix-up attack."""
        announced = self.provider.metadata().get("authorization_response_iss_parameter_supported")
        if iss != self.provider.issuer and (announced or iss is not None):
            raise SignInFailed("The answer does not come from our identity provider (iss).")

    def _redeem(self, sign_in: SignIn, code: str) -> Tokens:
        answer = self._token_request(
            grant_type="authorization_code",
            code=code,
            redirect_uri=self.registration.redirect_uri,
            code_verifier=sign_in.code_verifier,
        )
        if "error" in answer:
            raise SignInFailed(_sentence(answer))
        try:
            return self._believe(answer, sign_in)
        except Refused as refused:
            raise SignInFailed(f"We do not believe the ID token ({refused.reason}). {refused.message}") from None

    def _believe(self, answer: Mapping[str, Any], sign_in: SignIn) -> Tokens:
        raw_id_token, raw_access_token = answer.get("id_token"), answer.get("access_token")
        if not isinstance(raw_id_token, str) or not isinstance(raw_access_token, str):
            raise Refused("missing", "The token response carries no ID token or no access token.")
        if str(answer.get("token_type", "")).lower() != "bearer":
            raise Refused("token_type", "The access token is of a type that we cannot use.")
        id_token = self.read_id_token(raw_id_token)
        if not secrets.compare_digest(str(id_token.claims.get("nonce", "")).encode(), sign_in.nonce.encode()):
            raise Refused("nonce", "The ID token answers another sign-in.")
        _check_at_hash(id_token, raw_access_token)
        claims = id_token.claims
        if "name" not in claims:
            claims = {**claims, **self._userinfo(raw_access_token, str(claims["sub"]))}
        sid = id_token.claims.get("sid")
        return Tokens(
            access_token=raw_access_token,
            expires_at=_expires_at(answer),
            refresh_token=_text(answer.get("refresh_token")),
            id_token=raw_id_token,
            scope=str(answer.get("scope") or sign_in.scope),
            sub=str(id_token.claims["sub"]),
            sid=sid if isinstance(sid, str) else None,
            name=str(claims.get("name") or claims.get("preferred_username") or "there"),
        )

    def read_id_token(self, raw_id_token: str) -> Jwt:
        """OpenID Connect Core §3.1.3.7, all but the nonce."""
        token = self.provider.read(raw_id_token)
        kind = token.header.get("typ", "JWT")
        if not isinstance(kind, str) or kind.upper() != "JWT":
            raise Refused("typ", f"This is not an ID token: its type is {kind!s}.")
        if token.audience != (self.registration.client_id,):
            raise Refused("aud", "The ID token was issued for another client.")
        if token.claims.get("azp", self.registration.client_id) != self.registration.client_id:
            raise Refused("azp", "The ID token was issued to another client.")
        sub = token.claims.get("sub")
        if not isinstance(sub, str) or not 0 < len(sub) <= 255:
            raise Refused("sub", "The ID token names nobody.")
        check_times(token.claims)
        return token

    def _userinfo(self, raw_access_token: str, sub: str) -> dict[str, Any]:
        """What the ID token left out; refused when it is about somebody else (Core §5.3.2)."""
        answer = self._send("GET", "userinfo_endpoint", headers=bearer(raw_access_token))
        if answer.status_code != 200:
            return {}
        claims = _json_object(answer)
        if claims.get("sub") != sub:
            raise Refused("sub", "UserInfo speaks of another person than the ID token.")
        return {name: value for name, value in claims.items() if isinstance(value, str)}

    # — while signed in —

    def access_token(self, session: LocalSession, *, even_if_fresh: bool = False) -> str:
        """A usable access token of the signed-in person, refreshed when it is due. Raises SignedOut."""
        with session.lock:
            if session.tokens is None:
                raise SignedOut
            if even_if_fresh or time.time() > session.tokens.expires_at - REFRESH_EARLY_S:
                session.tokens = self._refresh(session.tokens)
                session.confirmed_at = time.monotonic()
            return session.tokens.access_token

    def confirm(self, session: LocalSession) -> None:
        """Ask the provider whether it still vouches for the person (RFC 7662), so that a sign-out elsewhere is noticed here.

        A provider without introspection is asked when the access token is due. Raises SignedOut.
        """
        raw_access_token = self.access_token(session)
        if time.monotonic() - session.confirmed_at < CONFIRM_S or not self.provider.offers("introspection_endpoint"):
            return
        answer = self._form_post("introspection_endpoint", token=raw_access_token)
        if answer.get("active") is not True:
            self.access_token(session, even_if_fresh=True)
        session.confirmed_at = time.monotonic()

    def _refresh(self, tokens: Tokens) -> Tokens:
        if tokens.refresh_token is None:
            raise SignedOut
        answer = self._token_request(grant_type="refresh_token", refresh_token=tokens.refresh_token)
        if "error" in answer or not isinstance(answer.get("access_token"), str):
            raise SignedOut
        raw_id_token = _text(answer.get("id_token")) or tokens.id_token
        try:
            if raw_id_token != tokens.id_token and self.read_id_token(raw_id_token).claims["sub"] != tokens.sub:
                raise SignedOut
        except Refused as refused:
            raise SignedOut from refused
        return replace(
            tokens,
            access_token=str(answer["access_token"]),
            expires_at=_expires_at(answer),
            refresh_token=_text(answer.get("refresh_token")) or tokens.refresh_token,
            id_token=raw_id_token,
            scope=str(answer.get("scope") or tokens.scope),
        )

    # — sign-out —

    def logout_url(self, session: LocalSession) -> str:
        """Where the browser goes to end the provider's session too; our own is the caller's to end."""
        session.signing_out = secrets.token_urlsafe(16)
        parameters = {
            "client_id": self.registration.client_id,
            "post_logout_redirect_uri": self.registration.post_logout_redirect_uri,
            "state": session.signing_out,
        }
        if session.tokens:
            parameters["id_token_hint"] = session.tokens.id_token
        return _with_query(self.provider.endpoint("end_session_endpoint"), parameters)

    def read_logout_token(self, raw_logout_token: str) -> Jwt:
        """Back-Channel Logout 1.0 §2.6. Raises Refused."""
        token = self.provider.read(raw_logout_token)
        claims, events = token.claims, token.claims.get("events")
        if str(token.header.get("typ", "")).lower() not in ("logout+jwt", "application/logout+jwt"):
            raise Refused("typ", "This is not a logout token.")
        if self.registration.client_id not in token.audience:
            raise Refused("aud", "The logout token was issued for another client.")
        if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict) or "nonce" in claims:
            raise Refused("events", "The logout token does not say that it is one.")
        if not isinstance(claims.get("sid") or claims.get("sub"), str):
            raise Refused("sub", "The logout token names nobody.")
        check_times(claims)
        self._take_logout(claims.get("jti"))
        return token

    def _take_logout(self, jti: object) -> None:
        with self._lock:
            if not isinstance(jti, str) or jti in self._seen_logouts:
                raise Refused("jti", "The logout token was used before, or has no id.")
            self._seen_logouts[jti] = None
            while len(self._seen_logouts) > 1000:
                self._seen_logouts.popitem(last=False)

    # — the wire —

    def _token_request(self, **form: str) -> dict[str, Any]:
        """POST to the token endpoint, for our resource (RFC 8707 §2.2)."""
        if self.registration.resource:
            form["resource"] = self.registration.resource
        return self._form_post("token_endpoint", **form)

    def _form_post(self, endpoint: str, **form: str) -> dict[str, Any]:
        """A request as `client_secret_basic`; both halves are form-encoded first (RFC 6749 §2.3.1)."""
        registration = self.registration
        credentials = (quote(registration.client_id, safe=""), quote(registration.client_secret, safe=""))
        return _json_object(self._send("POST", endpoint, data=form, auth=credentials))

    def _send(self, method: str, endpoint: str, **arguments: Any) -> httpx.Response:
        try:
            answer = self.provider.http.request(method, self.provider.endpoint(endpoint), **arguments)
        except httpx.HTTPError as trouble:
            raise ProviderAway("The identity provider does not answer.") from trouble
        if answer.status_code >= 500:
            raise ProviderAway("The identity provider cannot answer at the moment.")
        return answer


def bearer(raw_access_token: str) -> dict[str, str]:
    """The header that carries an access token (RFC 6750 §2.1)."""
    return {"Authorization": f"Bearer {raw_access_token}"}


def _s256(code_verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(code_verifier.encode()).digest()).rstrip(b"=").decode()


def _check_at_hash(id_token: Jwt, raw_access_token: str) -> None:
    """Core §3.1.3.8: the ID token and the access token were issued together. Our algorithms all hash with SHA-256."""
    expected = id_token.claims.get("at_hash")
    half = hashlib.sha256(raw_access_token.encode()).digest()[:16]
    if expected is not None and expected != base64.urlsafe_b64encode(half).rstrip(b"=").decode():
        raise Refused("at_hash", "The ID token belongs to another access token.")


def _expires_at(answer: Mapping[str, Any]) -> float:
    lifetime_s = answer.get("expires_in")
    return time.time() + (lifetime_s if isinstance(lifetime_s, int) else 300)


def _json_object(answer: httpx.Response) -> dict[str, Any]:
    try:
        document = answer.json()
    except ValueError as trouble:
        raise ProviderAway("The identity provider's answer is not JSON.") from trouble
    if not isinstance(document, dict):
        raise ProviderAway("The identity provider's answer is not a JSON object.")
    return document


def _sentence(answer: Mapping[str, Any]) -> str:
    """An OAuth error as a sentence; what it says is shown as text and never as markup."""
    if answer.get("error") == "access_denied":
        return "You did not give this service access."
    description = str(answer.get("error_description") or "").strip()
    return f"The identity provider said no: {answer.get('error')}. {description}".strip()[:300]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _with_query(endpoint: str, parameters: Mapping[str, str]) -> str:
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(parameters)}"
