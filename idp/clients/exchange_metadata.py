"""Client metadata about token exchange (RFC 8693): what an administrator lets a service have for the token of a person.

`token_exchange` is a list of policies: for one protected resource a mode (`impersonation`: the token is the person's own;
`delegation`: it says who acts for the person) and the scopes that may be had. What no policy allows is refused. metadata.py merges
READERS and RULES into its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from idp.clients import profiles

IMPERSONATION, DELEGATION = "impersonation", "delegation"
MODES = (IMPERSONATION, DELEGATION)
_MEMBERS = {"resource", "mode", "scopes"}
_MOST = 20

Fields = dict[str, Any]


def _policies(value: Any) -> tuple[dict[str, Any], ...]:
    if not isinstance(value, (list, tuple)) or len(value) > _MOST:
        raise ValueError(f"must be a list of at most {_MOST} policies")
    policies = tuple(_policy(one) for one in value)
    if len({(policy["resource"], policy["mode"]) for policy in policies}) != len(policies):
        raise ValueError("must not have two policies for one resource and mode")
    return policies


def _policy(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or set(value) != _MEMBERS:
        raise ValueError("must hold policies with resource, mode and scopes")
    resource, mode, scopes = value["resource"], value["mode"], value["scopes"]
    if not isinstance(resource, str) or not urlsplit(resource).scheme or "#" in resource:
        raise ValueError("must name each resource by an absolute URI without fragment (RFC 8707)")
    if mode not in MODES:
        raise ValueError(f"must have a mode among {', '.join(MODES)}")
    named = isinstance(scopes, (list, tuple)) and scopes and all(isinstance(one, str) and one for one in scopes)
    if not named or any(" " in one for one in scopes):
        raise ValueError("must list the scopes of each policy")
    return {"resource": resource, "mode": mode, "scopes": list(dict.fromkeys(scopes))}


def _coherent(fields: Fields, _loopback_names: bool) -> list[tuple[str, str]]:
    """The grant type and its policies go together; a client without a secret proves nothing, so it exchanges nothing."""
    registered = profiles.TOKEN_EXCHANGE in fields["grant_types"]
    if registered and fields["token_endpoint_auth_method"] == profiles.PUBLIC:
        return [("grant_types", "cannot include token-exchange without client authentication")]
    if registered != bool(fields["token_exchange"]):
        return [("token_exchange", "goes together with the grant type token-exchange: name both or none")]
    return []


def _bearer(fields: Fields, _loopback_names: bool) -> list[tuple[str, str]]:
    """RFC 7523 section 2.1: who may bring assertions is a setting that names clients, so a client must prove that it is the one."""
    if profiles.JWT_BEARER in fields["grant_types"] and fields["token_endpoint_auth_method"] == profiles.PUBLIC:
        return [("grant_types", "cannot include jwt-bearer without client authentication")]
    return []


READERS: Mapping[str, tuple[Callable[[Any], Any], Any]] = {"token_exchange": (_policies, ())}
RULES = (_coherent, _bearer)
