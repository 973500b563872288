"""grant_type=…:token-exchange: a service trades the token that it was given for one that another service takes (RFC 8693).

Who may trade what for what stands in the client's metadata (`token_exchange`), put there by an administrator. The subject token must be a
living access token of a person, made for a resource that the client serves or issued to the client itself, or an ID token of which the
client is the audience: who merely found a token has nothing to trade. The new token belongs to the family of the old one and dies with it,
and never outlives it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from authlib.oauth2.rfc6749 import InvalidRequestError, InvalidScopeError, UnauthorizedClientError
from authlib.oauth2.rfc6749.grants import BaseGrant, TokenEndpointMixin

from idp import audit, clock, users
from idp.clients import Client
from idp.clients.exchange_metadata import DELEGATION
from idp.oauth import (
    access_tokens,
    authorization_details,
    client_certificate,
    hints,
    issuing,
    resources,
    subjects,
    tokens,
)
from idp.oauth.errors import InvalidTarget
from idp.oauth.resources import Asked, Audience
from idp.oauth.tokens import Family
from idp.record import Record

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105
JWT = "urn:ietf:params:oauth:token-type:jwt"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105
KINDS = (ACCESS_TOKEN, JWT)  # what can be had
TAKEN = (*KINDS, ID_TOKEN)  # what can be shown
DEEPEST = 4  # actors behind each other; longer chains are loops

Claims = dict[str, Any]


class _Presented(Record):
    """A token that the client showed, with what it says."""

    claims: Claims
    family: Family | None


class TokenExchangeGrant(BaseGrant, TokenEndpointMixin):  # type: ignore[misc]
    """Authlib has no such grant; only its order of steps is used."""

    GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"

    claims: Claims  # of the subject token
    family: Family
    actor: _Presented | None

    def validate_token_request(self) -> None:
        """Authenticate the client and look at what it brings. Raises OAuth2Error."""
        client = self.authenticate_token_endpoint_client()
        if not client.check_grant_type(self.GRANT_TYPE):
            raise UnauthorizedClientError("The client is not registered for token exchange.")
        if (self.request.sent.get("requested_token_type") or ACCESS_TOKEN) not in KINDS:
            raise InvalidRequestError(
                "requested_token_type must be that of an access token; nothing else is issued here."
            )
        subject = self._presented("subject", client)
        if subject is None:
            raise InvalidRequestError("subject_token and subject_token_type are missing.")
        if subject.family is None:
            raise InvalidRequestError("subject_token must be the token of a person.")
        self.claims, self.family = subject.claims, subject.family
        self.actor = self._presented("actor", client)

    def create_token_response(self) -> tuple[int, dict[str, Any], Any]:
        """Issue what the policy allows, for one resource."""
        client, family = self.request.client, self._with_details()
        policy = _policy(client, self._target(client), wants_delegation=self.actor is not None)
        audience = self._audience(policy)
        if not users.is_active(family.sub):
            raise InvalidRequestError("subject_token is about somebody who has no active account any more.")
        act = self._act(client) if policy["mode"] == DELEGATION else self.claims.get("act")
        said = {
            "access_token": issuing.exchanged_access_token(client, family, audience, act=act),
            "issued_token_type": ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_in": audience.lifetime_s,
            "scope": " ".join(audience.scopes),
        } | issuing.details(client, family, audience)
        self._write_down(policy, audience, act)
        return 200, said, ()

    def _presented(self, role: str, client: Client) -> _Presented | None:
        """Read `subject_token` or `actor_token`. Raises InvalidRequestError (RFC 8693 section 2.2.2) for one that is not good."""
        sent = self.request.sent
        raw_token, kind = sent.get(f"{role}_token"), sent.get(f"{role}_token_type")
        if raw_token is None and kind is None:
            return None
        if raw_token is None or kind not in TAKEN:
            told = f"{role}_token goes together with {role}_token_type, which must be {ACCESS_TOKEN} or {ID_TOKEN}."
            raise InvalidRequestError(told)
        found = _of_id_token(raw_token, client) if kind == ID_TOKEN else _of_access_token(raw_token, client)
        if found is None:
            raise InvalidRequestError(f"{role}_token is expired, revoked, or not one that this client may exchange.")
        return _Presented(*found)

    def _with_details(self) -> Family:
        """Return the family with the details that the new token may carry, and of those what is asked for (RFC 9396 section 6.1).

        For the service that the token was made for already they may shrink, and never grow; another one gets what the person agreed
        to for it. issuing.details leaves out the types that the client did not register. Raises InvalidAuthorizationDetails.
        """
        family, sent = self.family, self.request.sent
        if self.claims["aud"] == self._target(self.request.client):
            family = replace(family, authorization_details=tuple(self.claims.get(authorization_details.NAME, ())))
        return authorization_details.narrowed(family, sent)

    def _target(self, client: Client) -> str:
        """Return the one resource that is meant (`resource` or `audience`); the only one of the policy if none is named."""
        named = set(self.request.sent.resources) | set(self.request.sent.audiences)
        allowed = {policy["resource"] for policy in client.token_exchange}
        if not named and len(allowed) == 1:
            return str(next(iter(allowed)))
        if len(named) != 1:
            raise InvalidTarget("Name one protected resource with the parameter resource.")
        return str(named.pop())

    def _audience(self, policy: dict[str, Any]) -> Audience:
        """Return what the new token is for. Raises InvalidScopeError or InvalidTarget."""
        offered, claims = policy["scopes"], self.claims
        if claims["aud"] == policy["resource"]:  # the same service: the token may shrink, and never grow
            offered = [scope for scope in offered if scope in claims.get("scope", "").split()]
        wanted = self.request.sent.words("scope") or tuple(offered)
        if not wanted or not set(wanted) <= set(offered):
            raise InvalidScopeError("The policy of this client does not allow every scope that was asked for.")
        if any(resources.owner(scope) != policy["resource"] for scope in wanted):
            raise InvalidTarget("The resource, or one of its scopes, is not known here any more.")
        audience = resources.pick(Asked(wanted, (policy["resource"],)), (policy["resource"],))
        return replace(audience, lifetime_s=max(1, min(audience.lifetime_s, claims["exp"] - clock.epoch())))

    def _act(self, client: Client) -> Claims:
        """RFC 8693 section 4.1: the present actor outside, those before inside."""
        act: Claims = {"sub": self.actor.claims["sub"] if self.actor else f"client:{client.client_id}"}
        before = self.claims.get("act")
        if before:
            act["act"] = before
        if _depth(act) > DEEPEST:
            raise InvalidRequestError(f"More than {DEEPEST} actors behind each other.")
        return act

    def _write_down(self, policy: dict[str, Any], audience: Audience, act: Claims | None) -> None:
        family, client = self.family, self.request.client
        acting = self.actor.family.sub if self.actor and self.actor.family else client.client_id
        audit.record(
            audit.Event.TOKEN_EXCHANGED,
            subject=family.sub,
            actor=acting,
            client_id=client.client_id,
            sid=family.sid,
            family=family.id,
            mode=policy["mode"],
            taken_from=self.claims["aud"],
            audience=audience.identifier,
            scope=" ".join(audience.scopes),
            act=act or {},
        )


def _of_access_token(raw_token: str, client: Client) -> tuple[Claims, Family | None] | None:
    """It is exchanged by the service that it was made for, or by the client that it was issued to.

    That client shows the certificate of a bound token once more (RFC 8705 section 3); the service, which never has it, does not.
    """
    found = access_tokens.read(raw_token)
    if found is None:
        return None
    claims = found[0]
    if claims["client_id"] == client.client_id:
        return found if client_certificate.confirms(claims.get("cnf")) else None
    return found if claims["aud"] in client.serves else None


def _of_id_token(raw_token: str, client: Client) -> tuple[Claims, Family | None] | None:
    """It is exchanged by its audience, while what was issued with it lives (RFC 8693 section 3)."""
    hint = hints.read(raw_token, unexpired=True)
    if hint is None or hint.client_id != client.client_id or not hint.sid:
        return None
    family = tokens.find_in_session(hint.sid, client_id=client.client_id)
    if family is None or not subjects.names(client, hint.sub, family.sub):
        return None
    return {"sub": hint.sub, "aud": hint.client_id, "client_id": hint.client_id, "exp": hint.expires_at}, family


def _policy(client: Client, target: str, *, wants_delegation: bool) -> dict[str, Any]:
    """Return the policy that fits. Raises InvalidTarget, or InvalidRequestError where an actor is out of place."""
    fitting = [policy for policy in client.token_exchange if policy["resource"] == target]
    if not fitting:
        raise InvalidTarget("The policy of this client does not allow tokens for this resource.")
    chosen = [policy for policy in fitting if policy["mode"] == DELEGATION] if wants_delegation else fitting
    if not chosen:
        raise InvalidRequestError("The policy of this client knows no actor for this resource; leave actor_token out.")
    return chosen[0]


def _depth(act: Claims | None) -> int:
    depth = 0
    while act:
        act, depth = act.get("act"), depth + 1
    return depth
