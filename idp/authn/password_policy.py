"""password_policy — what a password must look like. Pure: a policy, a password and words about the person in; violations out.

Three presets. `complexity` counts kinds of characters, as many organisations demand. `nist_800_63b_4` does what NIST SP 800-63B-4
section 3.1.1.2 does: length and blocklist, no composition; 15 characters alone, 8 beside a second factor. `pci_dss_4` is PCI DSS
4.0.1: 12 characters with letters and digits (8.3.6), none of the last four (8.3.7), and a new one every 90 days where it is the only
factor (8.3.9). Passwords are judged in NFC and counted in code points (N-2, N-4). `rules.js` ticks the rules that have numbers.
"""

from __future__ import annotations

import hashlib
import itertools
import secrets
import unicodedata
from collections.abc import Iterator
from dataclasses import fields, replace

from idp.authn import guessable
from idp.config import Settings, settings
from idp.language import gettext, ngettext
from idp.record import Record
from idp.users import User

MAX_CODE_POINTS = 256  # nothing longer is ever hashed: bounds the work of a request (N-2)
NIST_ALONE, NIST_WITH_SECOND_FACTOR = 15, 8
PCI_LENGTH, PCI_HISTORY, PCI_MAX_AGE_DAYS = 12, 4, 90
PRESETS = ("nist_800_63b_4", "complexity", "pci_dss_4")  # the most demanding last
_ALPHABET = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # nothing that is misread


class Rule(Record):
    """One rule of the policy, as a sentence for people. `least` and `most` where it can be counted while somebody types."""

    rule: str
    text: str
    least: int | None = None
    most: int | None = None


class Violation(Record):
    """One rule that a password breaks, with what to do about it."""

    rule: str
    message: str


class Policy(Record):
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
    min_letters: int = 0
    max_age_days: int = 0  # 0: a password does not grow old (N-5)

    @property
    def composition(self) -> tuple[tuple[str, int], ...]:
        """Kinds of characters: rule and how many."""
        kinds = (
            ("upper", self.min_upper),
            ("lower", self.min_lower),
            ("letter", self.min_letters),
            ("digit", self.min_digits),
            ("special", self.min_special),
        )
        return tuple(kind for kind in kinds if kind[1] > 0)

    @property
    def version(self) -> str:
        """A short name for exactly these rules: what a password was judged under."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        spelled = repr(sorted((values | {"context_words": sorted(self.context_words)}).items()))
        return hashlib.sha256(spelled.encode()).hexdigest()[:16]


def policy_of(settings: Settings, *, second_factor: bool | None = None) -> Policy:
    """Return the policy that the settings describe.

    `second_factor` says whether the person cannot sign in without one; None: as `factors.require_second` says. It matters
    to NIST's minimum (N-1) and to the age that PCI DSS allows.
    """
    has_two = settings.factors.require_second if second_factor is None else second_factor
    chosen = settings.passwords
    general = Policy(
        preset=chosen.preset,
        min_length=chosen.min_length,
        max_length=min(chosen.max_length, MAX_CODE_POINTS),
        min_upper=chosen.min_upper,
        min_lower=chosen.min_lower,
        min_digits=chosen.min_digits,
        min_special=chosen.min_special,
        history=min(chosen.history, 5),
        context_words=guessable.words_about_here(settings),
    )
    return _PRESET_VALUES[chosen.preset](general, has_two)


def nist_minimum(*, second_factor: bool) -> int:
    """Return the least length that NIST SP 800-63B-4 accepts (N-1)."""
    return NIST_WITH_SECOND_FACTOR if second_factor else NIST_ALONE


def _complexity(general: Policy, has_two: bool) -> Policy:
    return general


def _nist(general: Policy, has_two: bool) -> Policy:
    plain = replace(general, min_upper=0, min_lower=0, min_digits=0, min_special=0)
    return replace(plain, min_length=nist_minimum(second_factor=has_two))


def _pci(general: Policy, has_two: bool) -> Policy:
    plain = replace(general, min_upper=0, min_lower=0, min_special=0, min_letters=1, min_digits=1)
    return replace(
        plain,
        min_length=max(general.min_length, PCI_LENGTH),
        history=max(general.history, PCI_HISTORY),
        max_age_days=0 if has_two else PCI_MAX_AGE_DAYS,
    )


_PRESET_VALUES = {"complexity": _complexity, "nist_800_63b_4": _nist, "pci_dss_4": _pci}


def stricter(one: Policy, other: Policy) -> Policy:
    """Return the policy that keeps both: of each number the stricter one, under the name of the more demanding preset."""
    numbers = ("min_length", "min_upper", "min_lower", "min_letters", "min_digits", "min_special", "history")
    ages = [policy.max_age_days for policy in (one, other) if policy.max_age_days]
    return replace(
        max(one, other, key=lambda policy: PRESETS.index(policy.preset)),
        max_length=min(one.max_length, other.max_length),
        max_age_days=min(ages, default=0),
        **{name: max(getattr(one, name), getattr(other, name)) for name in numbers},
    )


def violations(
    raw: str, *, user: User | None = None, reused: bool = False, breached: bool = False, policy: Policy | None = None
) -> list[Violation]:
    """Return every rule that a password breaks, in the order in which `rules` tells them; empty means good.

    `reused` and `breached` are what the caller found in the history and in the corpora: they cost more than may be spent here.
    """
    chosen = policy or policy_of(settings())
    password = unicodedata.normalize("NFC", raw) if len(raw) <= 4 * MAX_CODE_POINTS else raw
    found = [*_of_length(password, chosen), *_of_characters(password)]
    if len(password) <= chosen.max_length:
        found += [*_of_composition(password, chosen), *_of_words(password, chosen, user, breached=breached)]
    if reused:
        found.append(Violation("history", _reused(chosen)))
    return found


def rules(policy: Policy | None = None) -> list[Rule]:
    """Return the rules as sentences, to be shown before anybody types."""
    chosen = policy or policy_of(settings())
    least, most = chosen.min_length, chosen.max_length
    length = gettext("At least %(least)s characters; up to %(most)s, spaces welcome.", least=least, most=most)
    told = [Rule("length", length, least, most)]
    told += [Rule(rule, _at_least(rule, count), count) for rule, count in chosen.composition]
    told.append(
        Rule("username", gettext("Not your username, your address or your name, nor something made from them."))
    )
    told.append(Rule("blocklist", gettext("Not a common or leaked password, and not the name of this service.")))
    if chosen.history:
        told.append(Rule("history", _not_reused(chosen)))
    return told


def describe(policy: Policy | None = None) -> list[str]:
    """Return only the sentences of `rules`."""
    return [rule.text for rule in rules(policy)]


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


# --- the rules -----------------------------------------------------------------------------------------------


def _of_length(password: str, policy: Policy) -> Iterator[Violation]:
    missing = policy.min_length - len(password)
    if missing > 0:
        told = gettext("Use at least %(least)s characters: %(missing)s more.", least=policy.min_length, missing=missing)
        yield Violation("length", told)
    if len(password) > policy.max_length:
        yield Violation("length", gettext("Use at most %(most)s characters.", most=policy.max_length))


def _of_characters(password: str) -> Iterator[Violation]:
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in password[: 4 * MAX_CODE_POINTS]):
        yield Violation("characters", gettext("Leave out control characters, such as tabs and line breaks."))


def _of_composition(password: str, policy: Policy) -> Iterator[Violation]:
    have = {
        "upper": sum(character.isupper() for character in password),
        "lower": sum(character.islower() for character in password),
        "letter": sum(character.isalpha() for character in password),
        "digit": sum(character.isdecimal() for character in password),
        "special": sum(unicodedata.category(character)[0] in "PSZ" for character in password),
    }
    for rule, count in policy.composition:
        if have[rule] < count:
            yield Violation(rule, _add(rule, count - have[rule]))


def _of_words(password: str, policy: Policy, user: User | None, *, breached: bool) -> Iterator[Violation]:
    if guessable.is_about(password, guessable.words_about(user)):
        told = gettext("Do not use your username, address or name, even turned round or with signs added.")
        yield Violation("username", told)
    derived = policy.preset != "nist_800_63b_4"
    if breached or guessable.is_common(password, policy.context_words, derived=derived):
        told = gettext(
            "This password is among those that are tried first. Choose another that follows the rules below and that nobody would try."
        )
        yield Violation("blocklist", told)


# --- sentences -----------------------------------------------------------------------------------------------


def _at_least(rule: str, num: int) -> str:
    if rule == "upper":
        return ngettext("At least %(num)s upper-case letter.", "At least %(num)s upper-case letters.", num)
    if rule == "lower":
        return ngettext("At least %(num)s lower-case letter.", "At least %(num)s lower-case letters.", num)
    if rule == "letter":
        return ngettext("At least %(num)s letter.", "At least %(num)s letters.", num)
    if rule == "digit":
        return ngettext("At least %(num)s digit.", "At least %(num)s digits.", num)
    return ngettext(
        "At least %(num)s special character, such as - ! %% or a space.",
        "At least %(num)s special characters, such as - ! %% or a space.",
        num,
    )


def _add(rule: str, num: int) -> str:
    if rule == "upper":
        return ngettext("Add at least %(num)s upper-case letter.", "Add at least %(num)s upper-case letters.", num)
    if rule == "lower":
        return ngettext("Add at least %(num)s lower-case letter.", "Add at least %(num)s lower-case letters.", num)
    if rule == "letter":
        return ngettext("Add at least %(num)s letter.", "Add at least %(num)s letters.", num)
    if rule == "digit":
        return ngettext("Add at least %(num)s digit.", "Add at least %(num)s digits.", num)
    return ngettext(
        "Add at least %(num)s special character, such as - ! %% or a space.",
        "Add at least %(num)s special characters, such as - ! %% or a space.",
        num,
    )


def _not_reused(policy: Policy) -> str:
    if policy.history > 1:
        return gettext("Not your last %(count)s passwords.", count=policy.history)
    return gettext("Not your present password.")


def _reused(policy: Policy) -> str:
    if policy.history > 1:
        return gettext("Choose one that is not among your last %(count)s passwords.", count=policy.history)
    return gettext("Choose one that is not your present password.")
