"""authorization_details (RFC 9396): a request for one precise thing, such as the release of one payment, beside scopes.

A type belongs to one protected resource of the settings, as a scope does, and a client must have registered for it. What was asked
is shown to the person as it is, kept with the token family, and told back in the token response and in the access token for that
resource. It is asked about every time: a yes to one payment is not a yes to the next.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from authlib.oauth2 import OAuth2Error

from idp import strict_json
from idp.clients import Client
from idp.config import settings
from idp.language import gettext
from idp.oauth.errors import quotable
from idp.oauth.params import Params
from idp.oauth.resources import Asked
from idp.oauth.tokens import Family
from idp.record import Record

NAME = "authorization_details"
MAX_CHARS = 4096
MAX_ENTRIES = 10
MAX_DEPTH = 6

Detail = dict[str, Any]


class InvalidAuthorizationDetails(OAuth2Error):  # type: ignore[misc]
    """A detail is malformed, of an unknown type, or not for this client (RFC 9396 section 5)."""

    error = "invalid_authorization_details"


class Shown(Record):
    """One detail as the consent page tells it: what it is, and its members in words."""

    sentence: str
    facts: tuple[tuple[str, str], ...]


def types_supported() -> list[str]:
    """Return every type that somebody could ask for."""
    return [name for resource in settings().resources for name in resource.authorization_details]


def read(params: Params, client: Client, asked: Asked) -> tuple[tuple[Detail, ...], Asked]:
    """Return the details of an authorization request, and what is asked with their resources among it.

    Raises InvalidAuthorizationDetails.
    """
    details = _parsed(params.get(NAME))
    for detail in details:
        _check(detail, client)
    owners = tuple(dict.fromkeys(_owner(detail["type"]) or "" for detail in details))
    if asked.resources and not set(owners) <= set(asked.resources):
        raise InvalidAuthorizationDetails("A type belongs to a resource that the request does not name.")
    if len(owners) > 1 and not asked.resources:
        raise InvalidAuthorizationDetails("The types belong to several resources; name those with resource.")
    return details, Asked(asked.scopes, asked.resources or owners)


def narrowed(family: Family, sent: Params) -> Family:
    """Return the family with what a token request wants of its details (section 6.1). Raises InvalidAuthorizationDetails."""
    if sent.get(NAME) is None:
        return family
    wanted = _parsed(sent.get(NAME))
    if any(detail not in family.authorization_details for detail in wanted):
        raise InvalidAuthorizationDetails("The token request asks for something that was not authorized.")
    return dataclasses.replace(family, authorization_details=wanted)


def refuse(sent: Params) -> None:
    """Refuse details where there is no person to agree to them. Raises InvalidAuthorizationDetails."""
    if sent.get(NAME) is not None:
        raise InvalidAuthorizationDetails("authorization_details need an authorization request and a person's consent.")


def of_resource(details: Iterable[Detail], identifier: str, client: Client) -> list[Detail]:
    """Return those that are for one resource, because no other one learns of them, and that the client may (still) have."""
    having = client.authorization_details_types
    return [detail for detail in details if _owner(detail["type"]) == identifier and detail["type"] in having]


def shown(details: Iterable[Detail]) -> list[Shown]:
    """Return what the consent page says."""
    sentences = {
        name: text for resource in settings().resources for name, text in resource.authorization_details.items()
    }
    return [
        Shown(
            str(sentences.get(detail["type"]) or detail["type"]),
            tuple((name.replace("_", " "), _spoken(value)) for name, value in detail.items() if name != "type"),
        )
        for detail in details
    ]


def _check(detail: Any, client: Client) -> None:
    kind = detail.get("type") if isinstance(detail, dict) else None
    if not isinstance(kind, str):
        raise InvalidAuthorizationDetails("Each of authorization_details must be an object with a text type.")
    owner = _owner(kind)
    if owner is None:
        raise InvalidAuthorizationDetails(f"The type {quotable(kind)} is not known here.")
    if kind not in client.authorization_details_types or owner not in client.resources:
        raise InvalidAuthorizationDetails(f"The client is not registered for the type {quotable(kind)}.")
    if detail.get("locations", [owner]) != [owner]:
        raise InvalidAuthorizationDetails(f"locations of the type {quotable(kind)} must be its resource alone.")


def _parsed(sent: str | None) -> tuple[Detail, ...]:
    if sent is None:
        return ()
    if len(sent) > MAX_CHARS:
        raise InvalidAuthorizationDetails(f"authorization_details is longer than {MAX_CHARS} characters.")
    try:
        found = strict_json.loads(sent, max_depth=MAX_DEPTH)
    except ValueError:
        told = f"without repeated members, of at most {MAX_DEPTH} levels"
        raise InvalidAuthorizationDetails(f"authorization_details must be JSON {told}.") from None
    if not isinstance(found, list) or not 0 < len(found) <= MAX_ENTRIES:
        raise InvalidAuthorizationDetails(
            f"authorization_details must be an array of 1 to {MAX_ENTRIES} flat objects (RFC 9396 section 2)."
        )
    return tuple(found)


def _owner(kind: str) -> str | None:
    return next((r.identifier for r in settings().resources if kind in r.authorization_details), None)


def _spoken(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_spoken(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(_spoken, value))
    if value is None or isinstance(value, bool):
        return {True: gettext("yes"), False: gettext("no"), None: gettext("nothing")}[value]
    return str(value)
