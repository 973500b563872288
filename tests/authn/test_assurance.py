"""Whether a session is enough, and what factors add up to: tables of cases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from idp import clock
from idp.authn import assurance
from idp.authn.assurance import ONE_FACTOR, PHISHING_RESISTANT, SUPPORTED, TWO_FACTORS, Demand, satisfied
from idp.errors import BadInput
from idp.sessions import SsoSession

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def session(*, acr: str = TWO_FACTORS, proved_s: float = 60, chosen_s: float = 60) -> SsoSession:
    times = {"started_at": ago(3600), "seen_at": NOW, "expires_at": NOW + timedelta(hours=1)}
    return SsoSession(
        "sid",
        "sub",
        acr,
        ("pwd",),
        auth_time=ago(proved_s),
        chosen_at=ago(chosen_s),
        address="",
        user_agent="",
        **times,
    )


def demand(**wanted: object) -> Demand:
    return Demand(return_to="/", **wanted)  # type: ignore[arg-type]


LOGIN, CHOICE = frozenset({"login"}), frozenset({"select_account"})

CASES = [
    (None, demand(), False, "nobody is signed in"),
    (session(), demand(), True, "anybody will do"),
    (session(acr=ONE_FACTOR), demand(), True, "any level will do"),
    (session(acr=ONE_FACTOR), demand(acr=TWO_FACTORS), False, "too weak: step up"),
    (session(), demand(acr=ONE_FACTOR), True, "stronger is enough"),
    (session(acr="urn:unknown"), demand(acr=ONE_FACTOR), False, "a level that we do not know is no level"),
    (session(proved_s=60), demand(max_age_s=60), True, "just fresh enough"),
    (session(proved_s=61), demand(max_age_s=60), False, "too old"),
    (session(proved_s=0), demand(max_age_s=0), True, "proved in this moment"),
    (session(proved_s=1), demand(max_age_s=0), False, "max_age=0 wants a new proof"),
    (session(proved_s=5), demand(max_age_s=0, asked_at=ago(9)), True, "which was given after it was asked for"),
    (session(proved_s=5), demand(prompt=LOGIN), False, "prompt=login without a moment is never satisfied"),
    (session(proved_s=5), demand(prompt=LOGIN, asked_at=ago(4)), False, "the proof is older than the question"),
    (session(proved_s=5), demand(prompt=LOGIN, asked_at=ago(5)), True, "the proof answers the question"),
    (session(proved_s=590), demand(prompt=LOGIN, asked_at=ago(900)), True, "it does so for ten minutes"),
    (session(proved_s=601), demand(prompt=LOGIN, asked_at=ago(900)), False, "the question waited for too long"),
    (session(proved_s=601), demand(max_age_s=5, asked_at=ago(900)), False, "and so for an age"),
    (session(chosen_s=601), demand(prompt=CHOICE, asked_at=ago(900)), False, "and for a choice"),
    (session(chosen_s=5), demand(prompt=CHOICE, asked_at=ago(4)), False, "the choice is older than the question"),
    (session(chosen_s=3), demand(prompt=CHOICE, asked_at=ago(4)), True, "the choice answers the question"),
    (session(proved_s=9, chosen_s=3), demand(prompt=CHOICE | LOGIN, asked_at=ago(4)), False, "chosen, but not proved"),
    (session(), demand(prompt=frozenset({"consent"})), True, "consent is not a matter of signing in"),
]


@pytest.mark.parametrize(("found", "wanted", "enough", "why"), CASES, ids=[case[3] for case in CASES])
def test_satisfied(found: SsoSession | None, wanted: Demand, enough: bool, why: str) -> None:
    with clock.freeze(NOW):
        assert satisfied(found, wanted) is enough


@pytest.mark.parametrize(
    ("methods", "amr", "acr"),
    [
        ([("pwd",)], ("pwd",), ONE_FACTOR),
        ([("otp",)], ("otp",), ONE_FACTOR),
        ([("pwd",), ("otp",)], ("pwd", "otp", "mfa"), TWO_FACTORS),
        ([("otp",), ("pwd",)], ("pwd", "otp", "mfa"), TWO_FACTORS),
        ([("otp",), ("otp",)], ("otp",), ONE_FACTOR),
        ([("mfa",)], (), ONE_FACTOR),
        ([("pwd",), ("mfa",)], ("pwd",), ONE_FACTOR),
        ([("hwk", "user")], ("hwk", "user", "mfa"), PHISHING_RESISTANT),
        ([("swk", "user")], ("swk", "user", "mfa"), PHISHING_RESISTANT),
        ([("hwk",)], ("hwk",), ONE_FACTOR),
        ([("user",)], ("user",), ONE_FACTOR),
        ([("otp",), ("user",)], ("otp", "user"), ONE_FACTOR),
        ([("pwd",), ("hwk",)], ("pwd", "hwk", "mfa"), PHISHING_RESISTANT),
        ([("pwd",), ("otp",), ("swk", "user")], ("pwd", "otp", "swk", "user", "mfa"), PHISHING_RESISTANT),
    ],
)
def test_rfc8176_methods_add_up(methods: list[tuple[str, ...]], amr: tuple[str, ...], acr: str) -> None:
    assert (assurance.amr_of(methods), assurance.acr_of(assurance.amr_of(methods))) == (amr, acr)


def test_n13_codes_are_never_called_phishing_resistant() -> None:
    assert assurance.acr_of(("pwd", "otp", "mfa")) == TWO_FACTORS
    assert SUPPORTED == (ONE_FACTOR, TWO_FACTORS, PHISHING_RESISTANT) and demand(acr=PHISHING_RESISTANT)
    with pytest.raises(BadInput):
        demand(acr="urn:example:unheard-of")


@pytest.mark.parametrize(
    ("amr", "first"),
    [(("pwd",), True), (("otp",), False), (("hwk",), False), (("hwk", "user"), True), (("otp", "user"), False)],
)
def test_c29_a_passkey_tells_who_somebody_is_only_if_it_verified_them(amr: tuple[str, ...], first: bool) -> None:
    assert assurance.has_first(amr) is first


@pytest.mark.parametrize(
    ("one", "other", "stronger"),
    [
        (None, None, None),
        (ONE_FACTOR, None, ONE_FACTOR),
        (None, TWO_FACTORS, TWO_FACTORS),
        (ONE_FACTOR, PHISHING_RESISTANT, PHISHING_RESISTANT),
        (PHISHING_RESISTANT, TWO_FACTORS, PHISHING_RESISTANT),
        (TWO_FACTORS, TWO_FACTORS, TWO_FACTORS),
    ],
)
def test_the_stronger_of_two_levels(one: str | None, other: str | None, stronger: str | None) -> None:
    assert assurance.stronger(one, other) == stronger


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example.com/", "//evil.example.com", "/\\evil", "evil", "", "javascript:1"]
)
def test_attack_76_a_demand_returns_to_this_server_only(elsewhere: str) -> None:
    with pytest.raises(BadInput):
        Demand(return_to=elsewhere)
