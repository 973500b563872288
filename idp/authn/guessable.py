"""guessable — what anybody would try first: common passwords, words about the person and the place, and what is made from them. Pure.

The whole password is compared, never a part of it: a passphrase that merely contains «password» is none of these (N-6). Only what
names the person on the wire (username, address, NPI) must not stand inside a password either (attack 96).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from idp.authn import blocklist
from idp.config import Settings
from idp.record import Record
from idp.users import User

_LEET = tuple(str.maketrans("0345789@$!|€1", f"oeastbgasile{one}") for one in "li")
_SHORTEST_WORD = 4  # shorter words about the person occur in good passwords by chance


class Words(Record):
    """What anybody would try first for a person, case-folded."""

    identifiers: frozenset[str] = frozenset()  # not even inside a password
    names: frozenset[str] = frozenset()  # not as a password; inside a longer one they may stand


def words_about(user: User | None) -> Words:
    """Return the words about a person: username, addresses, names, NPI."""
    if user is None:
        return Words()
    identifiers = [user.username, user.canonical_username, user.npi or "", *(email.canonical for email in user.emails)]
    identifiers += [name.rpartition("@")[0] for name in identifiers if "@" in name]
    names = [user.display_name, user.given_name, user.family_name, *user.display_name.split()]
    return Words(_folded_all(identifiers), _folded_all(names))


def words_about_here(config: Settings) -> frozenset[str]:
    """Return the words about this installation: its host, the operator's own list, what we call ourselves."""
    host = urlsplit(config.server.issuer).hostname or ""
    found = [label for label in (host, *host.split(".")) if len(label) > 3]
    found += [word for word in config.passwords.context_words if word.strip()]
    return _folded_all([*found, "identity provider", "identityprovider", "signin", "sign-in"])


def is_about(password: str, about: Words) -> bool:
    """Say whether a password is a word about its person or made from one, or holds what they sign in with."""
    forms = set(_forms(password))
    if forms & (about.identifiers | about.names):
        return True
    return any(_contains(form, word) for form in forms for word in about.identifiers)


def is_common(password: str, context: frozenset[str], *, derived: bool) -> bool:
    """Say whether a password is on the shipped list, or is a context word; `derived`: or is made from a listed one."""
    forms = set(_forms(password))
    listed = forms if derived else {password.casefold()}
    return any(map(blocklist.is_listed, listed)) or bool(forms & context) or not password.strip()


def _forms(password: str) -> Iterator[str]:
    """Yield a password as a guesser sees it: without case, without digits and signs at its ends, letters for look-alikes, reversed."""
    folded = _folded(password)
    core = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", folded)
    plain = [form.translate(table) for table in _LEET for form in (folded, core)]
    for form in dict.fromkeys((folded, core, *plain, *map(_letters, plain))):
        if len(form) >= _SHORTEST_WORD:
            yield form
            yield form[::-1]


def _contains(form: str, word: str) -> bool:
    return any(len(part) >= _SHORTEST_WORD and part in form for part in (word, _letters(word)))


def _letters(text: str) -> str:
    return "".join(character for character in text if character.isalpha())


def _folded_all(words: Iterable[str]) -> frozenset[str]:
    return frozenset(_folded(word) for word in words if word)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()
