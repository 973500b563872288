"""Sector identifiers (OIDC Core 8.1, OIDC Registration 5): a document that says which redirect URIs belong together.

Fetched when a client registers or changes, never later. It must list every redirect URI of the client: else anybody could join a
sector and learn the subjects that it knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from idp import outbound
from idp.clients.metadata import InvalidMetadata


def prove(fields: Mapping[str, Any]) -> None:
    """Fetch the sector document of a registration that names one. Raises InvalidMetadata."""
    uri = fields["sector_identifier_uri"]
    if not uri:
        return
    try:
        listed = outbound.fetch_json(uri).value
    except outbound.Unreachable as trouble:
        raise _wrong(f"cannot be fetched: {trouble}") from None
    if not isinstance(listed, list) or not all(isinstance(entry, str) for entry in listed):
        raise _wrong("must be a JSON array of redirect URIs")
    missing = [redirect for redirect in fields["redirect_uris"] if redirect not in listed]
    if missing:
        raise _wrong(f"does not list {missing[0][:80]!a}")


def moves(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Say whether a change must be proved again."""
    same_uri = before.get("sector_identifier_uri", "") == after["sector_identifier_uri"]
    return not same_uri or set(before.get("redirect_uris", ())) != set(after["redirect_uris"])


def _wrong(sentence: str) -> InvalidMetadata:
    return InvalidMetadata({"sector_identifier_uri": [sentence]})
