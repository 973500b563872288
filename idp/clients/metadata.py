"""Client metadata (RFC 7591 section 2): what a registration may say. One pure function, used by every way in.

`normalise` takes what somebody wrote and returns the complete metadata with every default filled in, or raises
InvalidMetadata with a sentence for every field that must change. Unknown fields are refused: a misspelt
`post_logout_redirect_uri` should be found today and not at the first sign-out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from idp.clients import (
    exchange_metadata,
    key_metadata,
    logout_metadata,
    own_metadata,
    profiles,
    redirects,
    tls_metadata,
    token_metadata,
)
from idp.clients.profiles import SecurityProfile
from idp.config.protocol import OAuth
from idp.errors import BadInput

MAX_URIS = 20
OFFERED = profiles.offered(OAuth())  # the security profiles of an installation that changed no setting
MAX_NAME = 100

_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,128}")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")

Fields = dict[str, Any]


class InvalidMetadata(BadInput):
    """The metadata cannot be registered; `fields` says what to change, `code` is RFC 7591's (section 3.2.2)."""

    def __init__(self, fields: Mapping[str, list[str]]) -> None:
        told = " ".join(f"{field} {sentence}." for field, sentences in fields.items() for sentence in sentences)
        super().__init__(fields, public=told)
        self.code = "invalid_redirect_uri" if "redirect_uris" in fields else "invalid_client_metadata"


def normalise(
    raw: Mapping[str, Any],
    *,
    loopback_names: bool,
    signing_algs: tuple[str, ...] = token_metadata.ALGS,
    offered: tuple[SecurityProfile, ...] = OFFERED,
    tls_methods: tuple[str, ...] = (),
) -> Fields:
    """Check metadata and fill in the defaults. Raises InvalidMetadata.

    `loopback_names`: http://localhost is an acceptable redirect URI (development and demo only). `signing_algs`: what this
    installation has keys for. `offered`: the security profiles that it lets clients have. `tls_methods`: the
    ways of authentication by certificate that work here.
    """
    problems: dict[str, list[str]] = {}
    given = {name: value for name, value in raw.items() if value is not None and value != ""}
    for name in sorted(set(given) - set(_READERS)):
        problems[name] = ["is not client metadata that this server knows"]
    fields: Fields = {}
    for name, (reader, default) in _READERS.items():
        try:
            fields[name] = reader(given[name]) if name in given else default
        except ValueError as wrong:
            problems[name] = [str(wrong)]
    if not problems and profiles.find(fields["security_profile"]) not in offered:
        problems["security_profile"] = [f"must be one of {', '.join(profile.name for profile in offered)}"]
    if not problems:
        if fields["require_pkce"] is None:
            fields["require_pkce"] = _default_pkce(fields)
        fields["scope"] = fields["scope"] or _default_scope(fields)
        alg = fields["id_token_signed_response_alg"] or token_metadata.default_alg(fields, signing_algs)
        fields["id_token_signed_response_alg"] = alg
        here = [found for rule in token_metadata.RULES for found in rule(fields, signing_algs)]
        here += tls_metadata.supported(fields, tls_methods)
        problems = _across(fields, here, loopback_names=loopback_names)
    if problems:
        raise InvalidMetadata(problems)
    return fields


def known_names() -> frozenset[str]:
    """Return the names of all metadata that a registration may hold."""
    return frozenset(_READERS)


def _across(fields: Fields, here: list[tuple[str, str]], *, loopback_names: bool) -> dict[str, list[str]]:
    """Check what depends on more than one field, and gather it with what this installation does not have (`here`)."""
    problems: dict[str, list[str]] = {}
    across = [found for rule in _RULES for found in rule(fields, loopback_names)]
    for name, sentence in across + here:
        problems.setdefault(name, []).append(sentence)
    return problems


def _default_pkce(fields: Fields) -> bool:
    """PKCE is owed unless the profile says otherwise; a public client owes it in any profile."""
    is_public = fields["token_endpoint_auth_method"] == profiles.PUBLIC
    return is_public or profiles.get(fields["security_profile"]).demands_pkce


def _default_scope(fields: Fields) -> str:
    """Who signs people in and names no scope may ask for the standard ones (OIDC Registration has no scope); a machine has none."""
    signs_in = {"authorization_code", profiles.IMPLICIT, profiles.DEVICE_CODE} & set(fields["grant_types"])
    return "openid profile email address phone" if signs_in else ""


# --- one field ----------------------------------------------------------------------------------------------------


def _name(value: Any) -> str:
    """A name for people: no control or direction-changing characters that could disguise it (attack 64)."""
    if not isinstance(value, str) or not 1 <= len(value.strip()) <= MAX_NAME:
        raise ValueError(f"must be text of 1 to {MAX_NAME} characters")
    name = unicodedata.normalize("NFC", value.strip())
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") for character in name):
        raise ValueError("must not hold control or direction-changing characters")
    return name


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _seconds(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 10**9:
        raise ValueError("must be a whole number of seconds")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise ValueError("must be a list of texts")
    if len(value) > MAX_URIS:
        raise ValueError(f"must not have more than {MAX_URIS} entries")
    if len(set(value)) != len(value):
        raise ValueError("must not name anything twice")
    return tuple(value)


def _scope(value: Any) -> str:
    """RFC 6749 section 3.3: scope tokens separated by single spaces; a list is accepted and joined."""
    tokens = value.split(" ") if isinstance(value, str) else list(_texts(value))
    if value and not all(_SCOPE_TOKEN.fullmatch(token) for token in tokens):
        raise ValueError("must be scopes separated by single spaces")
    return " ".join(dict.fromkeys(tokens)) if value else ""


def _response_types(value: Any) -> tuple[str, ...]:
    """The order of the words within a response type means nothing (OAuth 2.0 Multiple Response Types section 5)."""
    return _texts([" ".join(sorted(kind.split())) for kind in _texts(value)])


def _contacts(value: Any) -> tuple[str, ...]:
    contacts = _texts(value)
    if not all(_EMAIL.fullmatch(contact) for contact in contacts):
        raise ValueError("must be a list of e-mail addresses")
    return contacts


def _resources(value: Any) -> tuple[str, ...]:
    resources = _texts(value)
    if not all(urlsplit(resource).scheme and "#" not in resource for resource in resources):
        raise ValueError("must be a list of absolute URIs without fragment (RFC 8707)")
    return resources


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return str(value)

    return read


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    return value


_READERS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    # metadata                       reader, default
    "client_name": (_name, ""),
    "application_type": (_one_of("web", "native"), "web"),
    "redirect_uris": (_texts, ()),
    "post_logout_redirect_uris": (_texts, ()),
    "token_endpoint_auth_method": (_text, "client_secret_basic"),
    "grant_types": (_texts, ("authorization_code",)),
    "response_types": (_response_types, ("code",)),
    "scope": (_scope, ""),
    "resources": (_resources, ()),
    "serves": (_resources, ()),
    "default_max_age": (_seconds, None),
    "require_pkce": (_flag, None),
    "client_uri": (_text, ""),
    "policy_uri": (_text, ""),
    "tos_uri": (_text, ""),
    "contacts": (_contacts, ()),
    "first_party": (_flag, False),
    "security_profile": (_text, profiles.DEFAULT),
    **token_metadata.READERS,
    **logout_metadata.READERS,
    **own_metadata.READERS,
    **exchange_metadata.READERS,
    **key_metadata.READERS,
    **tls_metadata.READERS,
}


# --- several fields -----------------------------------------------------------------------------------------------


def _needs_name(fields: Fields, _loopback_names: bool) -> list[tuple[str, str]]:
    return [] if fields["client_name"] else [("client_name", "is missing: people read it on the consent page")]


def _profile_demands(fields: Fields, _loopback_names: bool) -> list[tuple[str, str]]:
    """Hold the metadata against the profile's row of the table."""
    profile = profiles.get(fields["security_profile"])
    offered = {
        "token_endpoint_auth_method": ((fields["token_endpoint_auth_method"],), profile.auth_methods),
        "grant_types": (fields["grant_types"], profile.grant_types),
        "response_types": (fields["response_types"], profile.response_types),
    }
    found = [
        (name, f"must be among {', '.join(allowed) or 'none'} (security_profile {profile.name})")
        for name, (asked, allowed) in offered.items()
        if not set(asked) <= set(allowed)
    ]
    if not fields["require_pkce"] and not profile.may_waive_pkce:
        found.append(("require_pkce", f"cannot be waived (security_profile {profile.name})"))
    return found


def _redirect_uris(fields: Fields, loopback_names: bool) -> list[tuple[str, str]]:
    native = fields["application_type"] == "native"
    found = []
    for name in ("redirect_uris", "post_logout_redirect_uris"):
        for uri in fields[name]:
            if problem := redirects.problem(uri, native=native, loopback_names=loopback_names):
                found.append((name, f"{problem}: {uri[:80]!a}"))
    if {"authorization_code", profiles.IMPLICIT} & set(fields["grant_types"]) and not fields["redirect_uris"]:
        found.append(("redirect_uris", "is missing: the answers of the authorization endpoint go there"))
    return found


def _web_pages(fields: Fields, loopback_names: bool) -> list[tuple[str, str]]:
    """Links that people are shown; the demo's services live on http://localhost."""
    return [
        (name, "must be an https URL")
        for name in ("client_uri", "policy_uri", "tos_uri")
        if fields[name] and redirects.problem(fields[name], native=False, loopback_names=loopback_names)
    ]


def _public_clients(fields: Fields, _loopback_names: bool) -> list[tuple[str, str]]:
    """A client without a secret proves nothing about itself: PKCE always, and no grant that rests on the secret."""
    if fields["token_endpoint_auth_method"] != profiles.PUBLIC:
        return []
    found = []
    if "client_credentials" in fields["grant_types"]:
        found.append(("grant_types", "cannot include client_credentials without client authentication"))
    if not fields["require_pkce"]:
        found.append(("require_pkce", "cannot be waived by a public client (RFC 9700 section 2.1.1)"))
    if fields["first_party"] and not all(redirects.identity_is_provable(u) for u in fields["redirect_uris"]):
        found.append(
            (
                "first_party",
                "cannot be set for a public client whose redirect URI any program may take (RFC 8252 section 8.6)",
            )
        )
    return found


def _coherent_grants(fields: Fields, _loopback_names: bool) -> list[tuple[str, str]]:
    grants = set(fields["grant_types"])
    if not grants:
        return [("grant_types", "must name at least one grant type")]
    if "refresh_token" in grants and not grants & {"authorization_code", profiles.DEVICE_CODE}:
        return [("grant_types", "refresh_token needs authorization_code or device_code beside it")]
    if "offline_access" in fields["scope"].split() and "refresh_token" not in grants:
        return [("scope", "offline_access needs the grant type refresh_token")]
    return []


def _coherent_responses(fields: Fields, _loopback_names: bool) -> list[tuple[str, str]]:
    """What comes from the authorization endpoint is the grant type implicit (OIDC Registration 2)."""
    kinds = {word for kind in fields["response_types"] for word in kind.split()}
    by_browser, grants = bool(kinds & {"id_token", "token"}), fields["grant_types"]
    found = []
    if by_browser and profiles.IMPLICIT not in grants:
        found.append(("grant_types", "must include implicit for these response_types"))
    if profiles.IMPLICIT in grants and not by_browser:
        found.append(("response_types", "must name what the grant type implicit is for, such as id_token"))
    if by_browser and "code" in kinds and "authorization_code" not in grants:
        found.append(("grant_types", "must include authorization_code for these response_types"))
    return found


_RULES = (
    _needs_name,
    _profile_demands,
    _redirect_uris,
    _web_pages,
    *logout_metadata.RULES,
    _public_clients,
    _coherent_grants,
    _coherent_responses,
    *key_metadata.RULES,
    *tls_metadata.RULES,
    *own_metadata.RULES,
    *exchange_metadata.RULES,
)
