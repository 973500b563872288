"""The authorization request: from parameters to a value, in the order of the specification (RFC 6749 4.1.1, OIDC Core 3.1.2.2).

`read` first proves whom an answer may go to: a registered client and one of its redirect URIs. Until then nothing is ever
sent anywhere (Unproven). Then each step of STEPS looks at one thing and returns what it found; a step that refuses raises an
OAuth2Error, which `read` turns into a Refused that knows the way back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidRequestError
from authlib.oidc.core.errors import (
    LoginRequiredError,
    RegistrationNotSupportedError,
    RequestURINotSupportedError,
)

from idp import clients, joining
from idp.clients import Client
from idp.language import marked
from idp.oauth import (
    authorization_details,
    claims_parameter,
    hints,
    once,
    pkce,
    request_object,
    request_uri,
    resources,
    response_types,
)
from idp.oauth.errors import InvalidRequestObject, Unproven, quotable
from idp.oauth.params import Params
from idp.record import Record

PROMPTS = ("none", "login", "consent", "select_account")
CREATE = "create"
MAX_ECHO = 4096  # characters of `state` and `nonce`, which travel back
MAX_LOCALES = 16
MAX_HINT = 320  # characters of `login_hint`: a name or an address
UNREGISTERED = marked("%(app)s asked to return to an address that is not registered (redirect_uri).")


class ReplyTo(Record):
    """Where and how the client is answered."""

    client_id: str
    redirect_uri: str
    response_mode: str
    state: str | None


class AuthorizationRequest(Record):
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
    hinted_sub: str | None = None  # as the client calls the person (subjects.py)
    login_hint: str | None = None
    ui_locales: tuple[str, ...] = ()  # BCP 47, as the client thinks the person likes best
    authorization_details: tuple[dict[str, Any], ...] = ()
    answered_with: tuple[str, ...] = (response_types.CODE,)
    once: str = ""  # used up when the request is answered: a pushed request, or the jti of a request object

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
    params, refusal = _unfolded(params, client)
    redirect_uri = _redirect_uri(params, client)
    mode, fits = response_types.mode(params, client, redirect_uri)
    reply = ReplyTo(client.client_id, redirect_uri, mode, params.get("state"))
    found: Found = {"reply": reply, "redirect_uri_sent": params.get("redirect_uri") is not None}
    try:
        if refusal is not None:
            raise refusal
        if not fits:
            told = ", ".join(client.profile.response_modes)
            raise InvalidRequestError(
                f"response_mode must be one of {told}; tokens never go into a query, a form goes to a web page only."
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
        raise Unproven(marked("The application that sent you here did not say who it is (client_id is missing)."))
    client = clients.find(client_id)
    if client is None:
        raise Unproven(marked("The application that sent you here is not registered (unknown client_id)."))
    return client


def _unfolded(params: Params, client: Client) -> tuple[Params, OAuth2Error | None]:
    """Return what the request object holds; if it is refused, the outer parameters say where that can be told."""
    try:
        return request_object.unfold(request_uri.unfold(params, client), client), None
    except OAuth2Error as refusal:
        return params, refusal


def _redirect_uri(params: Params, client: Client) -> str:
    sent = params.get("redirect_uri")
    if sent is None:
        if len(client.redirect_uris) == 1:
            return client.redirect_uris[0]
        raise Unproven(
            marked("%(app)s did not say where to return to (redirect_uri is missing)."), app=client.client_name
        )
    found = client.find_redirect_uri(sent)
    if found is None:
        raise Unproven(UNREGISTERED, app=client.client_name)
    return found


# --- one step, one parameter --------------------------------------------------------------------------------------


def _way_here(params: Params, client: Client) -> Found:
    """O-18: ignoring one of these silently would grant something else than was asked. RFC 9126, RFC 9101: what a client
    promised to send only in one way is not taken in another."""
    if params.get("request_uri"):
        raise RequestURINotSupportedError("request_uri may only name a request that was pushed to /par (RFC 9126).")
    if params.get("registration"):
        raise RegistrationNotSupportedError("The registration parameter is not supported.")
    if client.require_pushed_authorization_requests and not params.pushed:
        raise InvalidRequestError("The client is registered to push its requests to /par (RFC 9126).")
    if client.require_signed_request_object and not params.signed:
        raise InvalidRequestError("The client is registered to sign its requests (RFC 9101).")
    if params.once and once.is_burnt(params.once):
        raise InvalidRequestObject("The request object was used before; its jti is good for one request.")
    return {"once": params.once}


def _response_type(params: Params, client: Client) -> Found:
    return {"answered_with": response_types.check(params, client)}


def _echoes(params: Params, _client: Client) -> Found:
    """O-20: state and nonce come back byte for byte, or not at all; never cut."""
    for name in ("state", "nonce"):
        if len(params.get(name) or "") > MAX_ECHO:
            raise InvalidRequestError(f"{name} is longer than {MAX_ECHO} characters.")
    return {"nonce": params.get("nonce")}


def _pkce(params: Params, client: Client) -> Found:
    challenge, method = params.get("code_challenge"), params.get("code_challenge_method")
    required = client.require_pkce and response_types.CODE in response_types.words(params)
    return {"challenge": pkce.check_challenge(challenge, method, required=required)}


def _scope(params: Params, client: Client) -> Found:
    sent = params.get("scope") or ""
    if any(character.isspace() and character != " " for character in sent):
        raise InvalidRequestError("scope must be separated by spaces (RFC 6749 section 3.3).")
    words = params.words("scope")
    if response_types.CODE not in response_types.words(params):
        words = tuple(word for word in words if word != resources.OFFLINE)  # OIDC Core 11: nothing to refresh
    asked = resources.allowed(client, words, params.resources)
    details, asked = authorization_details.read(params, client, asked)
    return {"scopes": asked.scopes, "resources": asked.resources, "authorization_details": details}


def prompts() -> tuple[str, ...]:
    """Return the values of `prompt` that are understood; create only where strangers may ask for an account (prompt=create 1.0)."""
    return (*PROMPTS, CREATE) if joining.requests.is_open() else PROMPTS


def _prompt(params: Params, _client: Client) -> Found:
    prompt = params.words("prompt")
    known = prompts()
    unknown = [value for value in prompt if value not in known]
    if unknown:
        raise InvalidRequestError(f"prompt {quotable(unknown[0])} is not supported; known are {', '.join(known)}.")
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


def _claims(params: Params, client: Client) -> Found:
    """OIDC Core 5.5: which claims the client wants where; `acr` and `sub` among them are conditions (5.5.1)."""
    claims = claims_parameter.read(params.get("claims"))
    values, essential = claims_parameter.values_of(claims, "acr")
    return {
        "claims": claims or None,
        "acr_values": values or params.words("acr_values") or client.default_acr_values,
        "acr_is_essential": essential,
    }


def _hints(params: Params, client: Client) -> Found:
    """O-16, attack 18: a hint says whom the client expects and never who somebody is; a bad one counts for nothing."""
    expected, _ = claims_parameter.values_of(claims_parameter.read(params.get("claims")), "sub")
    hinted = expected[0] if expected else None
    raw_hint = params.get("id_token_hint")
    if raw_hint:
        hint = hints.read(raw_hint)
        hinted = hint.sub if hint is not None and hint.client_id == client.client_id else None
        if hinted is None and "none" in params.words("prompt"):
            raise LoginRequiredError("id_token_hint is not an ID token that this server issued to this client.")
    login_hint = params.get("login_hint") or ""
    return {
        "hinted_sub": hinted,
        "login_hint": login_hint if 0 < len(login_hint) <= MAX_HINT else None,
        "ui_locales": params.words("ui_locales")[:MAX_LOCALES],
    }


STEPS: tuple[Step, ...] = (
    _way_here,
    _response_type,
    _echoes,
    _pkce,
    _scope,
    _prompt,
    _max_age,
    _claims,
    _hints,
)
