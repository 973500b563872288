"""password_policy — what a password must look like. Pure: a policy, a password and words about the person in; violations out.

Two presets. `complexity` counts kinds of characters, as many organisations demand. `nist_800_63b_4` does what NIST SP 800-63B-4
section 3.1.1.2 does: length and blocklist, no composition; 15 characters alone, 8 beside a second factor. `report` says in what the
present policy deviates from NIST (standards X-6). Passwords are judged in NFC and counted in code points (N-2, N-4).
"""

from __future__ import annotations

import itertools
import re
import secrets
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from idp.authn import blocklist
from idp.config import Settings, settings
from idp.users import User

MAX_CODE_POINTS = 256  # nothing longer is ever hashed: bounds the work of a request (N-2)
NIST_ALONE, NIST_WITH_SECOND_FACTOR = 15, 8
_LEET = tuple(str.maketrans("0345789@$!|€1", f"oeastbgasile{one}") for one in "li")
_SHORTEST_WORD = 4  # shorter words about the person occur in good passwords by chance
_ALPHABET = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # nothing that is misread


@dataclass(frozen=True)
class Rule:
    """One rule of the policy, as a sentence for people."""

    rule: str
    text: str


@dataclass(frozen=True)
class Violation:
    """One rule that a password breaks, with what to do about it."""

    rule: str
    message: str


@dataclass(frozen=True)
class Policy:
    """The rules that apply to somebody."""

    preset: str
    min_length: int
    max_length: int
    min_upper: int
    min_lower: int
    min_digits: int
    min_special: int
    history: int
    context_words: frozenset[str]

    @property
    def composition(self) -> tuple[tuple[str, int, str], ...]:
        """Kinds of characters: rule, how many, what they are called."""
        kinds = (
            ("upper", self.min_upper, "upper-case letter"),
            ("lower", self.min_lower, "lower-case letter"),
            ("digit", self.min_digits, "digit"),
            ("special", self.min_special, "special character, such as - ! % or a space"),
        )
        return tuple(kind for kind in kinds if kind[1] > 0)


def policy_of(settings: Settings, *, second_factor: bool | None = None) -> Policy:
    """Return the policy that the settings describe.

    `second_factor` says whether the person cannot sign in without one; None: as `factors.require_second` says. It matters
    to NIST's minimum only (N-1).
    """
    chosen = settings.passwords
    nist = chosen.preset == "nist_800_63b_4"
    return Policy(
        preset=chosen.preset,
        min_length=_nist_minimum(settings, second_factor) if nist else chosen.min_length,
        max_length=min(chosen.max_length, MAX_CODE_POINTS),
        min_upper=0 if nist else chosen.min_upper,
        min_lower=0 if nist else chosen.min_lower,
        min_digits=0 if nist else chosen.min_digits,
        min_special=0 if nist else chosen.min_special,
        history=min(chosen.history, 5),
        context_words=frozenset(_context_words(settings)),
    )


def violations(
    raw: str, *, user: User | None = None, reused: bool = False, policy: Policy | None = None
) -> list[Violation]:
    """Return every rule that a password breaks, in the order in which `rules` tells them; empty means good.

    `reused` is what the caller found in the history: it costs hashes and is not looked up here.
    """
    chosen = policy or policy_of(settings())
    password = unicodedata.normalize("NFC", raw) if len(raw) <= 4 * MAX_CODE_POINTS else raw
    found = [*_of_length(password, chosen), *_of_characters(password)]
    if len(password) <= chosen.max_length:
        found += [*_of_composition(password, chosen), *_of_words(password, chosen, words_about(user))]
    if reused:
        found.append(Violation("history", _history_sentence(chosen, "Choose one that is not among")))
    return found


def rules(policy: Policy | None = None) -> list[Rule]:
    """Return the rules as sentences, to be shown before anybody types."""
    chosen = policy or policy_of(settings())
    told = [Rule("length", f"At least {chosen.min_length} characters; up to {chosen.max_length}, spaces welcome.")]
    told += [Rule(rule, f"At least {_counted(count, name)}.") for rule, count, name in chosen.composition]
    told.append(Rule("username", "Not your username, your address or your name, nor something made from them."))
    told.append(Rule("blocklist", "Not a common or leaked password, and not the name of this service."))
    if chosen.history:
        told.append(Rule("history", _history_sentence(chosen, "Not")))
    return told


def describe(policy: Policy | None = None) -> list[str]:
    """Return only the sentences of `rules`."""
    return [rule.text for rule in rules(policy)]


def report(config: Settings | None = None) -> dict[str, object]:
    """Return what an auditor asks: the preset, and in what it deviates from NIST SP 800-63B-4 (X-6)."""
    chosen, floor = policy_of(config or settings()), _nist_minimum(config or settings(), None)
    deviations = [
        name
        for name, deviates in (
            ("composition", bool(chosen.composition)),
            ("minimum_length", chosen.min_length < floor),
            ("maximum_length", chosen.max_length < 64),
        )
        if deviates
    ]
    return {"preset": chosen.preset, "nist_compliant": not deviations, "deviations": deviations}


def generate(policy: Policy | None = None, *, user: User | None = None) -> str:
    """Return a random password that keeps the policy: four groups that can be read out, at least 110 bits."""
    chosen = policy or policy_of(settings())
    more_special = "%" * (chosen.min_special - 3)
    for attempt in itertools.count():
        size = max(5, chosen.min_length // 4) + attempt // 10  # a demanding policy gets a longer password
        groups = ("".join(secrets.choice(_ALPHABET) for _ in range(size)) for _ in range(4))
        candidate = "-".join(groups) + more_special
        if not violations(candidate, user=user, policy=chosen):
            break
    return candidate


@dataclass(frozen=True)
class Words:
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


# --- the rules -----------------------------------------------------------------------------------------------


def _of_length(password: str, policy: Policy) -> Iterator[Violation]:
    missing = policy.min_length - len(password)
    if missing > 0:
        yield Violation("length", f"Use at least {policy.min_length} characters: {missing} more.")
    if len(password) > policy.max_length:
        yield Violation("length", f"Use at most {policy.max_length} characters.")


def _of_characters(password: str) -> Iterator[Violation]:
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in password[: 4 * MAX_CODE_POINTS]):
        yield Violation("characters", "Leave out control characters, such as tabs and line breaks.")


def _of_composition(password: str, policy: Policy) -> Iterator[Violation]:
    have = {
        "upper": sum(character.isupper() for character in password),
        "lower": sum(character.islower() for character in password),
        "digit": sum(character.isdecimal() for character in password),
        "special": sum(unicodedata.category(character)[0] in "PSZ" for character in password),
    }
    for rule, count, name in policy.composition:
        if have[rule] < count:
            yield Violation(rule, f"Add at least {_counted(count - have[rule], name)}.")


def _of_words(password: str, policy: Policy, about: Words) -> Iterator[Violation]:
    forms = set(_forms(password))
    if forms & (about.identifiers | about.names) or any(
        _contains(form, word) for form in forms for word in about.identifiers
    ):
        yield Violation("username", "Do not use your username, address or name, even turned round or with signs added.")
    bare = password.casefold()
    whole = {bare} if policy.preset == "nist_800_63b_4" else forms
    if whole & blocklist.common() or forms & policy.context_words or not password.strip():
        yield Violation(
            "blocklist", "This password is among those that are tried first. Choose another, such as four random words."
        )


def _forms(password: str) -> Iterator[str]:
    """Yield a password as a guesser sees it: without case, without digits and signs at its ends, letters for look-alikes, reversed.

    Always the whole of it: a passphrase that merely contains «password» is none of these (N-6).
    """
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


# --- words and numbers ---------------------------------------------------------------------------------------


def _nist_minimum(settings: Settings, second_factor: bool | None) -> int:
    has_two = settings.factors.require_second if second_factor is None else second_factor
    return NIST_WITH_SECOND_FACTOR if has_two else NIST_ALONE


def _context_words(settings: Settings) -> Iterator[str]:
    host = urlsplit(settings.server.issuer).hostname or ""
    yield from (_folded(label) for label in (host, *host.split(".")) if len(label) > 3)
    yield from (_folded(word) for word in settings.passwords.context_words if word.strip())
    yield from ("identity provider", "identityprovider", "signin", "sign-in")


def _counted(count: int, name: str) -> str:
    head, comma, tail = name.partition(",")
    return f"{count} {head}{'' if count == 1 else 's'}{comma}{tail}"


def _history_sentence(policy: Policy, start: str) -> str:
    return f"{start} your last {policy.history} passwords." if policy.history > 1 else f"{start} your present password."
