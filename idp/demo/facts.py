"""facts — what a demo consists of: addresses, people, clients. Kept in `var/demo.json` (0600), for scripts and for /demo.

Written before the database is filled, so that a start that was interrupted can be finished by the next one.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody invented, with everything that it takes to sign in as them."""

    username: str
    display_name: str
    who: str
    email: str = ""
    npi: str = ""
    roles: tuple[str, ...] = ()
    password: str = ""  # empty: was invited, and chooses one
    totp_secret: str = ""  # base 32; empty: enrols at the first sign-in


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A client as the provider knows it."""

    client_id: str
    client_secret: str
    redirect_uri: str
    post_logout_redirect_uri: str


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where the three servers listen."""

    idp: int = 8000
    claims: int = 8001
    patients: int = 8002


@dataclass(frozen=True, kw_only=True)
class Facts:
    """One demo."""

    issuer: str
    claims_url: str
    claims_resource: str
    patients_url: str
    patients_resource: str
    partner_url: str
    codes_url: str
    people: tuple[Person, ...]
    clients: dict[str, Registered]

    def person(self, username: str) -> Person | None:
        """The person with this username, or None."""
        return next((person for person in self.people if person.username == username), None)

    def with_person(self, changed: Person) -> Facts:
        """The same demo with one person changed."""
        people = tuple(changed if one.username == changed.username else one for one in self.people)
        return replace(self, people=people)


def load(path: Path) -> Facts | None:
    """Read the facts; None when there are none, or none that this version can use."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        people = tuple(Person(**one | {"roles": tuple(one["roles"])}) for one in raw.pop("people"))
        clients = {name: Registered(**one) for name, one in raw.pop("clients").items()}
        return Facts(**raw, people=people, clients=clients)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def save(path: Path, facts: Facts) -> None:
    """Write the facts so that nobody else can read them, and so that a reader never sees half of them."""
    write_private(path, json.dumps(asdict(facts), indent=2, ensure_ascii=False) + "\n")


def write_private(path: Path, text: str) -> None:
    """Replace a file by one that only its owner can read."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
