"""Metadata that an application may register for itself (RFC 7591 section 2): what is taken from it, and what never is.

Pure. What comes out still has to pass `metadata.normalise`, as everything does. Trust is not asked for here: `first_party`, `serves`,
other security profiles and grants that speak for people without them are given by an administrator (attack 66).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from idp.clients import profiles, redirects
from idp.record import Record

MAX_NAME = 100
OFFLINE = "offline_access"
TRUSTED = frozenset(  # an administrator's to give
    {"first_party", "serves", "require_pkce", "resources", "token_exchange", "authorization_details_types"}
)
OURS = ("registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at")
GRANTS = ("authorization_code", "refresh_token", profiles.DEVICE_CODE)

Fields = dict[str, Any]
_DISGUISES = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")  # controls, direction changes, halves, private, line ends


class Policy(Record):
    """What those who come this way may have."""

    scopes: tuple[str, ...]  # that may be registered
    owners: Mapping[str, str]  # scope → protected resource, for those that belong to one
    default_profile: str = profiles.DEFAULT
    profiles: tuple[str, ...] = (profiles.DEFAULT,)


def taken(sent: Mapping[str, Any], policy: Policy, *, known: frozenset[str]) -> tuple[Fields, dict[str, list[str]]]:
    """Return the metadata that is taken, and what must be refused. What is unknown or not theirs to say is left out, as
    RFC 7591 section 2 demands; the answer tells them what was registered."""
    fields = {name: value for name, value in sent.items() if name in known and name not in TRUSTED}
    problems: dict[str, list[str]] = {}
    fields["security_profile"] = sent.get("security_profile") or policy.default_profile
    if fields["security_profile"] not in policy.profiles:
        problems["security_profile"] = ["is an administrator's to give"]
    grants = sent.get("grant_types") or []
    profile = profiles.find(str(fields["security_profile"]))
    implicit = (profiles.IMPLICIT,) if profile and profiles.IMPLICIT in profile.grant_types else ()
    allowed = (*GRANTS, *implicit)
    foreign = [grant for grant in grants if grant not in allowed] if isinstance(grants, list) else []
    if foreign:
        problems["grant_types"] = [f"must be among {', '.join(allowed)} for applications that register themselves"]
    fields["client_name"] = clean_name(sent.get("client_name")) or _name_from(sent)
    fields["scope"] = _scope(sent, policy)
    fields["resources"] = list(dict.fromkeys(policy.owners[s] for s in fields["scope"].split() if s in policy.owners))
    if sent.get("scope") and not fields["scope"]:
        problems["scope"] = [f"must be among {' '.join(policy.scopes)}"]
    return fields, problems


def clean_name(name: Any) -> str:
    """Take out of a name what could disguise it, and cut it to a length that fits a page (attack 64)."""
    if not isinstance(name, str):
        return ""
    kept = "".join(c if unicodedata.category(c) not in _DISGUISES else " " for c in unicodedata.normalize("NFC", name))
    return " ".join(kept.split())[:MAX_NAME].strip()


def _name_from(sent: Mapping[str, Any]) -> str:
    """An application without a name is called by the host that it returns to."""
    uris = sent.get("redirect_uris")
    first = uris[0] if isinstance(uris, list) and uris and isinstance(uris[0], str) else ""
    try:
        host = urlsplit(first).hostname
    except ValueError:
        host = None
    return clean_name(host or "") or "Application without a name"


def _scope(sent: Mapping[str, Any], policy: Policy) -> str:
    grants = sent.get("grant_types") or ["authorization_code"]
    refreshes = isinstance(grants, list) and "refresh_token" in grants
    offered = [scope for scope in policy.scopes if scope != OFFLINE or refreshes]
    asked = sent.get("scope")
    if not asked:
        return " ".join(offered)
    wanted = asked.split() if isinstance(asked, str) else []
    return " ".join(scope for scope in dict.fromkeys(wanted) if scope in offered)


# --- what people are shown, and software identity: merged into metadata.py ---------------------------------------------


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 1000:
        raise ValueError("must be text of at most 1000 characters")
    return value


def _pages(fields: Fields, loopback_names: bool) -> list[tuple[str, str]]:
    """A logo is only ever linked to; a page that starts a sign-in must be https (O-46)."""
    return [
        (name, "must be an https URL")
        for name in ("logo_uri", "initiate_login_uri")
        if fields[name] and redirects.problem(fields[name], native=False, loopback_names=loopback_names)
    ]


READERS: Mapping[str, tuple[Callable[[Any], Any], Any]] = {
    "logo_uri": (_text, ""),
    "initiate_login_uri": (_text, ""),
    "software_id": (_text, ""),
    "software_version": (_text, ""),
}
RULES = (_pages,)
