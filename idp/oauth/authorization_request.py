"""The authorization request: from parameters to a value, in the order of the specification (RFC 6749 4.1.1, OIDC Core 3.1.2.2).

`read` first proves whom an answer may go to: a registered client and one of its redirect URIs. Until then nothing is ever
sent anywhere (Unproven). Then each step of STEPS looks at one thing and returns what it found; a step that refuses raises an
OAuth2Error, which `read` turns into a Refused that knows the way back.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidRequestError, UnauthorizedClientError
from authlib.oidc.core.errors import (
    LoginRequiredError,
    RegistrationNotSupportedError,
    RequestNotSupportedError,
    RequestURINotSupportedError,
)

from idp import clients, keys
from idp.clients import Client
from idp.oauth import pkce, resources
from idp.oauth.errors import Unproven, quotable
from idp.oauth.params import Params

PROMPTS = ("none", "login", "consent", "select_account")
RESPONSE_TYPES = ("code",)
MAX_CLAIMS = 8192  # characters of the `claims` parameter
MAX_ECHO = 4096  # characters of `state` and `nonce`, which travel back


@dataclass(frozen=True)
class ReplyTo:
    """Where and how the client is answered."""

    client_id: str
    redirect_uri: str
    response_mode: str
    state: str | None


@dataclass(frozen=True)
class AuthorizationRequest:
    """A request that may be granted, if the person agrees and has signed in as it asks."""

    reply: ReplyTo
    redirect_uri_sent: bool
    scopes: tuple[str, ...]
    resources: tuple[str, ...]
    challenge: str = ""
    nonce: str | None = None
    prompt: tuple[str, ...] = ()
    max_age_s: int | None = None
    acr_values: tuple[str, ...] = ()
    acr_is_essential: bool = False
    claims: dict[str, Any] | None = None
    hinted_sub: str | None = None
    login_hint: str | None = None

    @property
    def client_id(self) -> str:
        """The client that asks."""
        return self.reply.client_id

    @property
    def is_silent(self) -> bool:
        """prompt=none: the person must not see a page."""
        return "none" in self.prompt


class Refused(Exception):
    """The request cannot be granted, and we know whom to tell."""

    def __init__(self, error: OAuth2Error, reply: ReplyTo, *, is_silent: bool) -> None:
        super().__init__(error.error)
        self.error, self.reply, self.is_silent = error, reply, is_silent


Found = dict[str, Any]
Step = Callable[[Params, Client], Found]


def read(params: Params) -> AuthorizationRequest:
    """Read and check an authorization request. Raises Unproven (stays here) or Refused (goes to the client)."""
    client = _client(params)
    redirect_uri = _redirect_uri(params, client)
    mode = _response_mode(params, redirect_uri)
    reply = ReplyTo(client.client_id, redirect_uri, mode or "query", params.get("state"))
    found: Found = {"reply": reply, "redirect_uri_sent": params.get("redirect_uri") is not None}
    try:
        if mode is None:
            raise InvalidRequestError(
                "response_mode must be query or form_post, and form_post needs an http redirect URI."
            )
        for step in STEPS:
            found |= step(params, client)
    except OAuth2Error as error:
        raise Refused(error, reply, is_silent="none" in params.words("prompt")) from error
    return AuthorizationRequest(**found)


# --- whom an answer may go to (F-1, F-3) --------------------------------------------------------------------------


def _client(params: Params) -> Client:
    client_id = params.get("client_id")
    if client_id is None:
        raise Unproven("The application that sent you here did not say who it is (client_id is missing).")
    client = clients.find(client_id)
    if client is None:
        raise Unproven("The application that sent you here is not registered (unknown client_id).")
    return client


def _redirect_uri(params: Params, client: Client) -> str:
    sent = params.get("redirect_uri")
    if sent is None:
        if len(client.redirect_uris) == 1:
            return client.redirect_uris[0]
        raise Unproven(f"{client.client_name} did not say where to return to (redirect_uri is missing).")
    found = client.find_redirect_uri(sent)
    if found is None:
        raise Unproven(f"{client.client_name} asked to return to an address that is not registered (redirect_uri).")
    return found


def _response_mode(params: Params, redirect_uri: str) -> str | None:
    """Return the mode, or None for one that the client must not have; a form never goes to an app's own scheme."""
    mode = params.get("response_mode") or "query"
    if mode == "query" or (mode == "form_post" and redirect_uri.startswith(("https://", "http://"))):
        return mode
    return None


# --- one step, one parameter --------------------------------------------------------------------------------------


def _no_request_objects(params: Params, _client: Client) -> Found:
    """O-18: ignoring one of these silently would grant something else than was asked."""
    if params.get("request"):
        raise RequestNotSupportedError("Request objects are not supported; send the parameters themselves.")
    if params.get("request_uri"):
        raise RequestURINotSupportedError("request_uri is not supported; send the parameters themselves.")
    if params.get("registration"):
        raise RegistrationNotSupportedError("The registration parameter is not supported.")
    return {}


def _response_type(params: Params, client: Client) -> Found:
    """F-4: nothing but the code flow; no token ever travels through the browser."""
    response_type = params.get("response_type")
    if response_type is None:
        raise InvalidRequestError("response_type is missing; it must be code.")
    if response_type not in RESPONSE_TYPES or response_type not in client.response_types:
        told = "response_type must be code; implicit and hybrid responses are refused."
        raise OAuth2Error(told, error="unsupported_response_type")
    if not client.check_grant_type("authorization_code"):
        raise UnauthorizedClientError("The client is not registered for the grant type authorization_code.")
    return {}


def _echoes(params: Params, _client: Client) -> Found:
    """O-20: state and nonce come back byte for byte, or not at all; never cut."""
    for name in ("state", "nonce"):
        if len(params.get(name) or "") > MAX_ECHO:
            raise InvalidRequestError(f"{name} is longer than {MAX_ECHO} characters.")
    return {"nonce": params.get("nonce")}


def _pkce(params: Params, client: Client) -> Found:
    challenge, method = params.get("code_challenge"), params.get("code_challenge_method")
    return {"challenge": pkce.check_challenge(challenge, method, required=client.require_pkce)}


def _scope(params: Params, client: Client) -> Found:
    sent = params.get("scope") or ""
    if any(character.isspace() and character != " " for character in sent):
        raise InvalidRequestError("scope must be separated by spaces (RFC 6749 section 3.3).")
    asked = resources.allowed(client, params.words("scope"), params.resources)
    return {"scopes": asked.scopes, "resources": asked.resources}


def _prompt(params: Params, _client: Client) -> Found:
    prompt = params.words("prompt")
    unknown = [value for value in prompt if value not in PROMPTS]
    if unknown:
        raise InvalidRequestError(f"prompt {quotable(unknown[0])} is not supported; known are {', '.join(PROMPTS)}.")
    if "none" in prompt and len(prompt) > 1:
        raise InvalidRequestError("prompt none must stand alone (OIDC Core 3.1.2.1).")
    return {"prompt": prompt}


def _max_age(params: Params, client: Client) -> Found:
    sent = params.get("max_age")
    if sent is None:
        return {"max_age_s": client.default_max_age}
    if not sent.isascii() or not sent.isdigit() or len(sent) > 10:
        raise InvalidRequestError("max_age must be a number of seconds.")
    return {"max_age_s": int(sent)}


def _claims(params: Params, _client: Client) -> Found:
    """OIDC Core 5.5: which claims the client wants where; `acr` and `sub` among them are conditions (5.5.1)."""
    claims = _claims_object(params.get("claims"))
    asked_acr = (claims.get("id_token") or {}).get("acr") or {}
    values = asked_acr.get("values") or ([asked_acr["value"]] if "value" in asked_acr else [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InvalidRequestError("The acr values in claims must be texts.")
    essential = asked_acr.get("essential") is True and bool(values)
    return {
        "claims": claims or None,
        "acr_values": tuple(values) or params.words("acr_values"),
        "acr_is_essential": essential,
    }


def _hints(params: Params, client: Client) -> Found:
    """O-16, attack 18: a hint says whom the client expects and never who somebody is; a bad one counts for nothing."""
    expected = (_claims_object(params.get("claims")).get("id_token") or {}).get("sub") or {}
    hinted = expected.get("value") if isinstance(expected, dict) else None
    hint = params.get("id_token_hint")
    if hint:
        hinted = _subject_of(hint, client)
        if hinted is None and "none" in params.words("prompt"):
            raise LoginRequiredError("id_token_hint is not an ID token that this server issued to this client.")
    return {"hinted_sub": hinted if isinstance(hinted, str) else None, "login_hint": params.get("login_hint")}


STEPS: tuple[Step, ...] = (
    _no_request_objects,
    _response_type,
    _echoes,
    _pkce,
    _scope,
    _prompt,
    _max_age,
    _claims,
    _hints,
)


# --- inside -------------------------------------------------------------------------------------------------------


def _claims_object(sent: str | None) -> Found:
    """Parse the `claims` parameter: an object of at most two objects of objects or nulls. Raises InvalidRequestError."""
    if sent is None:
        return {}
    if len(sent) > MAX_CLAIMS:
        raise InvalidRequestError(f"claims is longer than {MAX_CLAIMS} characters.")
    try:
        claims = json.loads(sent, object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError):
        raise InvalidRequestError("claims must be a JSON object without repeated members (OIDC Core 5.5).") from None
    if not isinstance(claims, dict):
        raise InvalidRequestError("claims must be a JSON object (OIDC Core 5.5).")
    kept = {place: claims[place] for place in ("userinfo", "id_token") if claims.get(place)}
    for wanted in kept.values():
        if not isinstance(wanted, dict) or not all(
            value is None or isinstance(value, dict) for value in wanted.values()
        ):
            raise InvalidRequestError("Every claim in claims must be null or an object (OIDC Core 5.5.1).")
    return kept


def _without_doubles(pairs: list[tuple[str, Any]]) -> Found:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member came twice")
    return found


def _subject_of(hint: str, client: Client) -> str | None:
    """Return whom a genuine ID token of ours for this client is about, expired or not; None for anything else."""
    try:
        claims = keys.verify(hint, typ="JWT")
    except keys.InvalidToken:
        return None
    audience = claims.get("aud")
    ours = client.client_id in (audience if isinstance(audience, list) else [audience])
    return str(claims["sub"]) if ours and "sub" in claims else None
