"""clients — the applications that rely on us. Owns the table `clients`; knows nothing of tokens or people.

metadata.py    what a registration may say (RFC 7591 section 2), one pure function
redirects.py   redirect URIs: which may be registered, which may be asked for
token_metadata.py  its part about algorithms, subjects and least sign-ins
profiles.py    the table of security profiles: which kind of client owes what
client.py      the frozen value that everybody else works with
key_metadata.py  what it may say about keys;  key_sets.py  where its keys are, by value or by URL
own_metadata.py exchange_metadata.py  what applications may register for themselves; what only administrators give
registration_tokens.py  who may register, and who may change a registration
registry.py    the table, the cache, secrets
"""

from __future__ import annotations

from idp.clients import key_sets, profiles, registration_tokens
from idp.clients.client import Client
from idp.clients.metadata import InvalidMetadata
from idp.clients.profiles import PROFILES, SecurityProfile
from idp.clients.redirects import identity_is_provable
from idp.clients.registry import Page, create, delete, find, get, rotate_secret, search
from idp.clients.registry import update_metadata as update
from idp.clients.token_metadata import SUBJECT_TYPES

__all__ = [
    "PROFILES",
    "SUBJECT_TYPES",
    "Client",
    "InvalidMetadata",
    "Page",
    "SecurityProfile",
    "create",
    "delete",
    "find",
    "get",
    "identity_is_provable",
    "key_sets",
    "profiles",
    "registration_tokens",
    "rotate_secret",
    "search",
    "update",
]
