"""Factors done → acr and amr (RFC 8176), and whether a session answers a demand. Pure: every rule here has a table of cases."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from idp import clock, web
from idp.errors import BadInput
from idp.record import Record
from idp.sessions import SsoSession

ONE_FACTOR = "urn:idp:acr:1fa"
TWO_FACTORS = "urn:idp:acr:2fa"
PHISHING_RESISTANT = "urn:idp:acr:phr"

LEVELS = (ONE_FACTOR, TWO_FACTORS, PHISHING_RESISTANT)  # weakest first
SUPPORTED = LEVELS  # what the factors of today can reach; discovery advertises these (N-13)

ANSWERS_S = 600  # a proof answers a question that was put before it for so long; a request may wait for hours, an old proof may not
_KEYS = {"hwk", "swk"}  # of passkeys, bound to one device or synced; nothing else here uses these values
_POSSESSION = {"otp", *_KEYS, "sc", "pop"}


class Demand(Record):
    """What somebody wants proved before they go on, and where the person returns to.

    `return_to` is a local path. `asked_at` is the moment of the request that wants `prompt=login`, `select_account` or a
    `max_age_s`: what the person did after it counts, so that the same demand is satisfied when they come back.
    `then` names errands after the sign-in: "password_change", "recovery_codes", "enrol_totp", "enrol_passkey". `form_targets` are the
    origins that the redirects after the sign-in may end at (CSP form-action).
    Refused: an acr that nothing here reaches, an address elsewhere.
    """

    return_to: str
    acr: str | None = None
    max_age_s: int | None = None
    prompt: frozenset[str] = frozenset()
    login_hint: str | None = None
    client_name: str | None = None
    asked_at: datetime | None = None
    form_targets: tuple[str, ...] = ()
    then: tuple[str, ...] = ()
    purpose: tuple[str, ...] = ()  # what it is about, in lines as the consent page would tell it
    replaces: str | None = None  # the authenticator that what `then` enrols takes the place of

    def __post_init__(self) -> None:
        web.local_path(self.return_to)
        if self.acr is not None and self.acr not in SUPPORTED:
            raise BadInput(public="This level of assurance cannot be reached here.")


def satisfied(session: SsoSession | None, demand: Demand) -> bool:
    """Say whether a session is enough: it exists, is strong enough, fresh enough, and its person chose to go on with it."""
    if session is None or not reaches(session.acr, demand.acr):
        return False
    proved = _since(session.auth_time, demand)
    if "login" in demand.prompt and not proved:
        return False
    if "select_account" in demand.prompt and not chosen(session, demand):
        return False
    return demand.max_age_s is None or proved or age_s(session) <= demand.max_age_s


def chosen(session: SsoSession, demand: Demand) -> bool:
    """Say whether the person has chosen to go on as themselves since this was asked."""
    return _since(session.chosen_at, demand)


def reaches(acr: str, wanted: str | None) -> bool:
    """Say whether `acr` is at least as strong as `wanted` (None: anything will do)."""
    if wanted is None:
        return True
    return acr in LEVELS and wanted in LEVELS and LEVELS.index(acr) >= LEVELS.index(wanted)


def age_s(session: SsoSession) -> float:
    """Return the seconds since the person last proved who they are."""
    return (clock.now() - session.auth_time).total_seconds()


def stronger(one: str | None, other: str | None) -> str | None:
    """Return the stronger of two levels that somebody wants; None is the weakest."""
    if one is None or other is None:
        return one or other
    return one if reaches(one, other) else other


def acr_of(amr: Iterable[str]) -> str:
    """Return what these methods add up to. One-time codes are never called phishing-resistant (N-13), a passkey is."""
    done = set(amr)
    if "mfa" not in done:
        return ONE_FACTOR
    return PHISHING_RESISTANT if _KEYS & done else TWO_FACTORS


def has_first(amr: Iterable[str]) -> bool:
    """Say whether these methods tell who somebody is: a password, or a passkey that verified its person."""
    done = set(amr)
    return "pwd" in done or _verified_key(done)


def has_second(amr: Iterable[str]) -> bool:
    """Say whether something that the person has was proved among these methods."""
    return bool(_POSSESSION & set(amr))


def amr_of(methods: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """Merge the methods of the factors done: pwd first; mfa when something known and something had came together (RFC 8176).

    A passkey whose authenticator verified the person ("user") is both by itself; one that did not is only something had (C-29).
    """
    done = {method for factor in methods for method in factor} - {"mfa"}
    two = {"mfa"} if _verified_key(done) or ("pwd" in done and has_second(done)) else set()
    return tuple(sorted(done | two, key=lambda method: (method == "mfa", method != "pwd", method)))


def _verified_key(done: set[str]) -> bool:
    return "user" in done and bool(_KEYS & done)


def _since(moment: datetime, demand: Demand) -> bool:
    """Say whether this happened after the question, and not so long ago that it is no answer any more."""
    lately = (clock.now() - moment).total_seconds() <= ANSWERS_S
    return demand.asked_at is not None and moment >= demand.asked_at and lately
