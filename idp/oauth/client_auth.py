"""Client authentication: by secret, assertion or certificate, or none (RFC 6749 section 2.3, OIDC Core 9, RFC 8705 section 2).

A request proves who the client is in one way and never in two (O-23). The way must be the registered one: else a client that
registered for a stronger method could be spoken for with a weaker one.
"""

from __future__ import annotations

import binascii
from dataclasses import replace
from urllib.parse import unquote_plus

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidClientError, InvalidRequestError

from idp import audit, clients
from idp.clients import Client, profiles
from idp.oauth import client_assertion, client_certificate, patience, refusals
from idp.oauth.errors import TooManyFailures
from idp.oauth.params import Params
from idp.record import Record


def methods() -> tuple[str, ...]:
    """Return the methods that work here, for discovery."""
    return (*profiles.SECRET_METHODS, profiles.PRIVATE_KEY_JWT, *client_certificate.methods(), profiles.PUBLIC)


class Presented(Record):
    """What a request says about who sent it."""

    method: str
    client_id: str | None
    raw_secret: str | None = None
    assertion: client_assertion.Claimed | None = None


def authenticate(params: Params, authorization: str | None) -> Client:
    """Return the client that sent this request.

    Raises InvalidRequestError for two proofs at once, InvalidClientError for none or a wrong one (written down), TooManyFailures
    when one client at one address fails too often (which limits writes down).
    """
    presented = _presented(params, authorization)
    client = clients.find(presented.client_id) if presented.client_id else None
    if client is not None and _may_come_by_certificate(presented, client):
        presented = replace(presented, method=client.token_endpoint_auth_method)
    if client is not None and presented.method != profiles.PUBLIC:
        patience.insist(client)
    problem = _problem(presented, client)
    if client is None or problem:
        raise _rejected(presented, client, problem or "The client is not registered, or named itself wrongly.")
    if not client.is_public:
        refusals.prove(client.client_id)
    return client


def _may_come_by_certificate(presented: Presented, client: Client) -> bool:
    """RFC 8705 section 2: the proof is in the connection, and the request holds the client_id and nothing else."""
    return presented.method == profiles.PUBLIC and client.token_endpoint_auth_method in profiles.TLS_METHODS


def _presented(params: Params, authorization: str | None) -> Presented:
    client_id, secret = params.get("client_id"), params.get("client_secret")
    if params.get("client_assertion") or params.get("client_assertion_type"):
        return _read_assertion(params, client_id, alone=secret is None and authorization is None)
    if authorization is None:
        return Presented("client_secret_post" if secret else "none", client_id, secret)
    if secret:
        raise InvalidRequestError("The client must authenticate in one way, not with a header and in the body.")
    basic = _read_basic(authorization)
    if client_id is not None and basic.client_id not in (None, client_id):
        raise InvalidRequestError("client_id in the body is not the client of the Authorization header.")
    return basic


def _read_assertion(params: Params, client_id: str | None, *, alone: bool) -> Presented:
    """RFC 7521 section 4.2: the assertion names the client; client_id beside it must be the same one."""
    raw_assertion = params.get("client_assertion")
    if not alone:
        raise InvalidRequestError("The client must authenticate in one way, not with an assertion and a secret.")
    if raw_assertion is None or params.get("client_assertion_type") != client_assertion.TYPE:
        raise InvalidRequestError(f"client_assertion needs client_assertion_type {client_assertion.TYPE}.")
    assertion = client_assertion.read(raw_assertion)
    if client_id is not None and assertion.client_id not in (None, client_id):
        raise InvalidRequestError("client_id is not the client that the assertion is about.")
    return Presented(assertion.method, assertion.client_id or client_id, assertion=assertion)


def _read_basic(authorization: str) -> Presented:
    """Both halves are form-urlencoded before base64 (RFC 6749 section 2.3.1)."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        text = binascii.a2b_base64(encoded.strip(), strict_mode=True).decode() if scheme.lower() == "basic" else ""
    except ValueError:
        text = ""
    user, colon, password = text.partition(":")
    if not colon:
        return Presented("client_secret_basic", None)
    return Presented("client_secret_basic", unquote_plus(user), unquote_plus(password))


def named_in_header(authorization: str | None) -> str | None:
    """Return the client that a Basic header names, proved or not."""
    return _read_basic(authorization).client_id if authorization else None


def _problem(presented: Presented, client: Client | None) -> str | None:
    """Say what is wrong, to somebody who may be the client or an attacker: details only for who knows the secret."""
    if client is None:
        return "The client is unknown or did not authenticate."
    if presented.raw_secret is not None and not client.check_secret(presented.raw_secret):
        return "The client is unknown or its secret is wrong."
    if presented.method in profiles.TLS_METHODS:
        return client_certificate.problem(client)
    if presented.assertion is not None and presented.method == client.token_endpoint_auth_method:
        return client_assertion.problem(presented.assertion, client)
    if presented.method != client.token_endpoint_auth_method:
        if presented.raw_secret is None:
            return "The client is unknown or did not authenticate."
        return f"The client is registered for {client.token_endpoint_auth_method}, not for {presented.method}."
    return None


def _rejected(presented: Presented, client: Client | None, problem: str) -> OAuth2Error:
    """Count the failure, then say so and write it down: a secret of 256 bits cannot be guessed, but whoever tries should be seen.

    Counting is one atomic step before the answer: of any number of guesses at once, so many learn that they were wrong.
    """
    if client is not None:
        verdict = patience.count(client)
        if not verdict.allowed:
            return TooManyFailures(verdict.retry_after_s)
    named = refusals.named((presented.client_id or "")[:200])
    verdict = refusals.record(audit.Event.CLIENT_REJECTED, client_id=named, reason=problem, method=presented.method)
    return InvalidClientError(problem, status_code=401) if verdict.allowed else TooManyFailures(verdict.retry_after_s)
