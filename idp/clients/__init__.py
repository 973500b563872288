"""clients — the applications that rely on us. Owns the table `clients`; knows nothing of tokens or people.

metadata.py    what a registration may say (RFC 7591 section 2), one pure function
redirects.py   redirect URIs: which may be registered, which may be asked for
profiles.py    the table of security profiles: which kind of client owes what
client.py      the frozen value that everybody else works with
registry.py    the table, the cache, secrets
"""

from __future__ import annotations

from idp.clients.client import Client
from idp.clients.metadata import InvalidMetadata
from idp.clients.profiles import PROFILES, SecurityProfile
from idp.clients.redirects import identity_is_provable
from idp.clients.registry import Page, create, delete, find, get, rotate_secret, search
from idp.clients.registry import update_metadata as update

__all__ = [
    "PROFILES",
    "Client",
    "InvalidMetadata",
    "Page",
    "SecurityProfile",
    "create",
    "delete",
    "find",
    "get",
    "identity_is_provable",
    "rotate_secret",
    "search",
    "update",
]
