"""Dynamic client registration and management (RFC 7591, RFC 7592, OIDC Dynamic Client Registration 1.0).

Who registers shows an initial access token; without one only where the settings open registration to anybody. The client then
manages itself with a registration access token of its own, which is replaced with every change. What it may say of itself is decided in
idp/clients/own_metadata.py, and everything has to pass the rules that hold for every client (idp/clients/metadata.py).
"""

from __future__ import annotations

from typing import Any

import orjson
from authlib.oauth2 import OAuth2Error
from flask import request

from idp import audit, clients, limits, strict_json, web
from idp.clients import Client, own_metadata, profiles, registration_tokens
from idp.clients.metadata import InvalidMetadata, known_names
from idp.clients.own_metadata import Policy
from idp.clients.registration_tokens import Registration
from idp.config import settings
from idp.db import db
from idp.errors import BadInput
from idp.oauth import refusals, resources, server, software_statements
from idp.record import Record
from idp.web import Answer

OPEN_SCOPES = tuple(scope for scope in resources.IDENTITY_SCOPES if scope != "provider")
_SPENT = "The initial access token is unknown, used up or expired."
ATTEMPTS, WINDOW_S = 600, 3600  # registrations, good or bad, of one address


class InvalidClientMetadata(OAuth2Error):  # type: ignore[misc]
    """RFC 7591 section 3.2.2; `error` is set to the code that fits."""

    error = "invalid_client_metadata"


class NotAllowed(OAuth2Error):  # type: ignore[misc]
    """No token, or one that is not good for this (RFC 6750 section 3.1, RFC 7592 section 2.1)."""

    error = "invalid_token"
    status_code = 401


class _Door(Record):
    """The way by which somebody came to register."""

    actor: str
    scopes: tuple[str, ...]
    raw_token: str | None = None

    @property
    def is_open(self) -> bool:
        """Anybody may come this way."""
        return self.raw_token is None


def register() -> Answer:
    """POST /register (RFC 7591 section 3.1). A request that is refused spends nothing."""
    limits.spend("registration", web.context().address or "", count=ATTEMPTS, window_s=WINDOW_S).insist()
    try:
        with db.session.begin_nested():
            return _register()
    except OAuth2Error as error:
        return _refuse(error)


def manage(client_id: str) -> Answer:
    """GET, PUT or DELETE /register/<client_id> (RFC 7592 section 2)."""
    try:
        raw_token = _bearer()
        client = clients.find(client_id)
        registration = registration_tokens.find(client_id, raw_token) if raw_token and client else None
        if raw_token is None or registration is None or client is None:
            raise NotAllowed("The registration access token is missing, wrong, or of another client.")
        with db.session.begin_nested():
            return _ACTIONS[request.method](client, registration, raw_token)
    except OAuth2Error as error:
        return _refuse(error, client_id if clients.find(client_id) else None)


def _register() -> Answer:
    door = _door()
    sent = _json()
    statement = sent.pop("software_statement", None)
    if statement is not None:
        sent |= software_statements.read(statement)
    client, raw_secret = _valid(lambda: clients.create(_taken(sent, _policy(door)), actor=door.actor))
    if door.raw_token is not None and not registration_tokens.spend(door.raw_token):  # late: no lock is held while
        raise NotAllowed(_SPENT)  # the sector document is fetched
    raw_token = registration_tokens.bind(client.client_id, scopes=door.scopes)
    said = _described(client, raw_token) | _secret(raw_secret)
    if statement is not None:
        said["software_statement"] = statement
    return server.answer(said, status=201)


def _door() -> _Door:
    """Say who may register what. Raises NotAllowed (attack 61)."""
    raw_token = _bearer()
    if raw_token is not None:
        token = registration_tokens.find_initial(raw_token)
        if token is None:
            raise NotAllowed(_SPENT)
        return _Door(f"registration:{token.label}", token.scopes, raw_token)
    if not settings().oauth.open_registration:
        raise NotAllowed("Registration needs an initial access token; ask the administrators of this server for one.")
    return _Door("registration:anybody", OPEN_SCOPES)


# --- management ---------------------------------------------------------------------------------------------------


def _read(client: Client, _registration: Registration, raw_token: str) -> Answer:
    """RFC 7592 section 2.1. The secret was shown once, and nobody can read it again."""
    return server.answer(_described(client, raw_token))


def _update(client: Client, registration: Registration, raw_token: str) -> Answer:
    """RFC 7592 section 2.2: the whole registration anew; what is left out goes back to its default."""
    sent = _json()
    _must_be_itself(client, sent)
    present = client.security_profile  # an administrator's to change
    policy = Policy(registration.scopes, _owners(registration.scopes), default_profile=present, profiles=(present,))
    taken = _taken(sent, policy)
    cleared = dict.fromkeys(known_names() - own_metadata.TRUSTED)
    changes = {
        name: value for name, value in (cleared | taken).items() if name not in own_metadata.TRUSTED - {"resources"}
    }
    changed = _valid(lambda: clients.update(client.client_id, changes, actor=f"registration:{client.client_id}"))
    fresh = registration_tokens.rotate(client.client_id, raw_token)
    if fresh is None:
        raise NotAllowed("The registration access token was replaced meanwhile.")
    return server.answer(_described(changed, fresh))


def _delete(client: Client, _registration: Registration, raw_token: str) -> Answer:
    """RFC 7592 section 2.3; tokens of the client die with it."""
    if not registration_tokens.forget(client.client_id, raw_token):
        raise NotAllowed("The client was deleted meanwhile.")
    clients.delete(client.client_id, actor=f"registration:{client.client_id}")
    return Answer(b"", 204, list(server.NO_STORE))


_ACTIONS = {"GET": _read, "PUT": _update, "DELETE": _delete}


def _must_be_itself(client: Client, sent: dict[str, Any]) -> None:
    if sent.pop("client_id", None) != client.client_id:
        raise InvalidClientMetadata("client_id must be the client's own (RFC 7592 section 2.2).")
    secret = sent.pop("client_secret", None)
    if secret is not None and not (isinstance(secret, str) and client.check_secret(secret)):
        raise InvalidClientMetadata("client_secret must be the present one, or be left out.")
    if set(own_metadata.OURS) & sent.keys():
        raise InvalidClientMetadata(f"{', '.join(own_metadata.OURS)} must be left out (RFC 7592 section 2.2).")


# --- inside -------------------------------------------------------------------------------------------------------


def _taken(sent: dict[str, Any], policy: Policy) -> dict[str, Any]:
    """Return what is taken of the metadata. Raises InvalidClientMetadata for trust that is asked for."""
    fields, problems = own_metadata.taken(sent, policy, known=known_names())
    if problems:
        raise _invalid(InvalidMetadata(problems))
    if not _can_be_kept(fields):
        raise InvalidClientMetadata("A text holds NUL or half a character, or a number is too large.")
    return fields


def _can_be_kept(fields: dict[str, Any]) -> bool:
    """Say whether every database can store this; PostgreSQL has no NUL."""
    try:
        return rb"\u0000" not in orjson.dumps(fields)
    except TypeError:
        return False


def _policy(door: _Door) -> Policy:
    """Where anybody may register, old applications may too, if the settings allow the profile that they need."""
    old = tuple(row.name for row in profiles.offered(settings().oauth) if door.is_open and not row.demands_pkce)
    default = old[0] if old else profiles.DEFAULT
    return Policy(door.scopes, _owners(door.scopes), default_profile=default, profiles=(profiles.DEFAULT, *old))


def _owners(scopes: tuple[str, ...]) -> dict[str, str]:
    """Return the protected resource of each scope that belongs to one."""
    return {scope: owner for scope in scopes if (owner := resources.owner(scope)) and owner != resources.userinfo()}


def _valid(change: Any) -> Any:
    try:
        return change()
    except BadInput as wrong:
        raise _invalid(wrong) from None


def _invalid(wrong: BadInput) -> InvalidClientMetadata:
    error = InvalidClientMetadata(wrong.public)
    error.error = wrong.code if isinstance(wrong, InvalidMetadata) else "invalid_client_metadata"
    return error


def _json() -> dict[str, Any]:
    if request.mimetype != "application/json":
        raise InvalidClientMetadata("The body must be application/json.")
    try:
        found = strict_json.loads(request.get_data())
    except ValueError:
        raise InvalidClientMetadata("The body is not JSON, or names a member twice.") from None
    if not isinstance(found, dict):
        raise InvalidClientMetadata("The body must be a JSON object.")
    return found


def _bearer() -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def _described(client: Client, raw_token: str) -> dict[str, Any]:
    """RFC 7591 section 3.2.1, RFC 7592 section 3: everything that is registered, as it is registered."""
    return client.metadata() | {
        "registration_access_token": raw_token,
        "registration_client_uri": f"{settings().server.issuer}/register/{client.client_id}",
        "client_id_issued_at": int(client.created_at.timestamp()) if client.created_at else 0,
    }


def _secret(raw_secret: str | None) -> dict[str, Any]:
    return {"client_secret": raw_secret, "client_secret_expires_at": 0} if raw_secret else {}


def _refuse(error: OAuth2Error, client_id: str | None = None) -> Answer:
    """Answer an error (RFC 7591 section 3.2.2) and write it down."""
    told = error.get_error_description()
    verdict = refusals.record(
        audit.Event.REGISTRATION_REFUSED,
        client_id=client_id,
        reason=f"{error.error}: {told}"[:500],
    )
    verdict.insist()
    body = {"error": error.error, "error_description": f"{told} (reference {web.context().request_id})"}
    if error.status_code != 401:
        return server.answer(body, status=400)
    challenge = 'Bearer realm="idp"' + (', error="invalid_token"' if _bearer() else "")
    return server.answer(body, status=401, headers=[("WWW-Authenticate", challenge)])
