"""deviations — in what a policy departs from NIST SP 800-63B-4, in names for programs and sentences for auditors (X-6, X-12). Pure."""

from __future__ import annotations

from collections.abc import Iterator

from idp.authn import password_policy, policy
from idp.authn.policy import Policy
from idp.config import Settings
from idp.config.checks import MOST_ABSOLUTE_S, MOST_IDLE_S
from idp.language import gettext
from idp.record import Record


class Deviation(Record):
    """One departure: its name, the section of SP 800-63B-4 that it departs from, and what it is."""

    name: str
    section: str
    told: str


def of_policy(judged: Policy) -> list[Deviation]:
    """Return every departure of one policy."""
    return [*_of_password(judged), *_of_factors(judged), *_of_lifetimes(judged)]


def report(config: Settings) -> dict[str, object]:
    """Return what anybody may know: the general preset, and in what it departs (X-6)."""
    judged = policy.of_roles((), config)
    names = [deviation.name for deviation in of_policy(judged)]
    return {"preset": judged.preset, "nist_compliant": not names, "deviations": names}


def _of_password(judged: Policy) -> Iterator[Deviation]:
    rules, least = judged.password, password_policy.nist_minimum(second_factor=judged.require_second)
    if rules.composition:
        yield Deviation("composition", "3.1.1.2", gettext("Kinds of characters are demanded; NIST: SHALL NOT."))
    if rules.min_length < least:
        told = gettext(
            "%(have)s characters are enough; NIST: at least %(least)s here.", have=rules.min_length, least=least
        )
        yield Deviation("minimum_length", "3.1.1.2", told)
    if rules.max_length < 64:
        told = gettext("At most %(have)s characters; NIST: at least 64 must be possible.", have=rules.max_length)
        yield Deviation("maximum_length", "3.1.1.2", told)
    if rules.max_age_days:
        told = gettext("A new password every %(days)s days (PCI DSS 8.3.9); NIST: SHALL NOT.", days=rules.max_age_days)
        yield Deviation("periodic_change", "3.1.1.2", told)


def _of_factors(judged: Policy) -> Iterator[Deviation]:
    if "passkey" not in judged.factors:
        told = gettext("No phishing-resistant factor may be enrolled; NIST: SHALL offer one.")
        yield Deviation("no_phishing_resistant_option", "2.2.2", told)
    if judged.trusted_device_s:
        told = gettext(
            "A trusted browser skips the second factor for %(seconds)s s; NIST: SHALL NOT replace authentication.",
            seconds=judged.trusted_device_s,
        )
        yield Deviation("trusted_device", "5.1", told)


def _of_lifetimes(judged: Policy) -> Iterator[Deviation]:
    if judged.idle_s > MOST_IDLE_S:
        told = gettext(
            "A session may idle for %(have)s s; NIST: at most %(most)s s.", have=judged.idle_s, most=MOST_IDLE_S
        )
        yield Deviation("session_idle", "2.2.3", told)
    if judged.absolute_s > MOST_ABSOLUTE_S:
        told = gettext(
            "A session may last %(have)s s; NIST: at most %(most)s s.", have=judged.absolute_s, most=MOST_ABSOLUTE_S
        )
        yield Deviation("session_absolute", "2.2.3", told)
