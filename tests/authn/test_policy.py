"""What roles owe, as a table of cases (X-12, standards 4.6): the strictest of each value, the general settings without a role."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from idp.authn import deviations
from idp.authn.assurance import ONE_FACTOR, PHISHING_RESISTANT, TWO_FACTORS
from idp.authn.policy import of_roles, tables
from idp.config import RolePolicy, Settings

PHYSICIAN = RolePolicy(roles=("physician",), idle_s=1800, absolute_s=36000)
STAFF = RolePolicy(roles=("administrator", "help_desk"), idle_s=600, factors=("passkey",), min_acr=PHISHING_RESISTANT)
BILLING = RolePolicy(roles=("billing",), preset="pci_dss_4", min_length=14, factors=("totp",), history=5)
KIOSK = RolePolicy(roles=("kiosk",), require_second=False, preset="nist_800_63b_4")


def settings(*policies: RolePolicy, **sections: Any) -> Settings:
    base = Settings(policies=policies or (PHYSICIAN, STAFF, BILLING, KIOSK))
    for name, values in sections.items():
        base = dataclasses.replace(base, **{name: dataclasses.replace(getattr(base, name), **values)})
    return base


CASES = [
    ((), {"idle_s": 900, "absolute_s": 43200, "require_second": True, "min_acr": ONE_FACTOR, "preset": "complexity"}),
    (("unheard_of",), {"idle_s": 900, "factors": ("passkey", "totp")}),
    (("physician",), {"idle_s": 1800, "absolute_s": 36000, "preset": "complexity"}),
    (("administrator",), {"idle_s": 600, "min_acr": PHISHING_RESISTANT, "factors": ("passkey",)}),
    (("administrator", "physician"), {"idle_s": 600, "absolute_s": 36000, "min_acr": PHISHING_RESISTANT}),
    (("physician", "billing"), {"idle_s": 900, "preset": "pci_dss_4", "factors": ("totp",)}),
    (("billing", "help_desk"), {"factors": ("passkey",), "min_acr": PHISHING_RESISTANT, "preset": "pci_dss_4"}),
    (("kiosk",), {"require_second": False, "preset": "nist_800_63b_4"}),
    (("kiosk", "physician"), {"require_second": True, "preset": "complexity"}),
]


@pytest.mark.parametrize(("roles", "owed"), CASES, ids=["+".join(roles) or "nobody" for roles, _ in CASES])
def test_whoever_has_several_roles_owes_the_strictest_of_each_value(roles: tuple[str, ...], owed: dict) -> None:
    found = of_roles(roles, settings())
    assert {name: getattr(found, name) for name in owed} == owed
    assert of_roles(tuple(reversed(roles)), settings()) == found


def test_a_level_beyond_one_factor_means_that_a_second_is_owed() -> None:
    lax = settings(RolePolicy(roles=("desk",), min_acr=TWO_FACTORS), factors={"require_second": False})
    assert of_roles(("desk",), lax).require_second
    assert not of_roles((), lax).require_second


def test_n1_pci_and_nist_ask_more_of_a_password_that_stands_alone() -> None:
    lone = RolePolicy(roles=("lone",), require_second=False, preset="pci_dss_4")
    assert of_roles(("kiosk",), settings()).password.min_length == 15
    assert of_roles(("lone",), settings(lone)).password.max_age_days == 90
    assert of_roles(("billing",), settings()).password.max_age_days == 0


def test_the_rules_of_two_roles_are_both_kept() -> None:
    rules = of_roles(("billing", "kiosk"), settings()).password
    assert (rules.min_length, rules.min_letters, rules.min_digits, rules.history) == (15, 1, 1, 5)
    assert rules.composition == (("letter", 1), ("digit", 1))


def test_the_version_names_exactly_these_rules() -> None:
    one, other = of_roles((), settings()).password, of_roles(("billing",), settings()).password
    assert one.version == of_roles((), settings()).password.version != other.version
    assert dataclasses.replace(one, context_words=frozenset({"mercy"})).version != one.version


def test_x6_x12_what_departs_from_nist_is_named_with_its_section() -> None:
    long = settings(RolePolicy(roles=("ward",), idle_s=7200, absolute_s=172800, factors=("totp",)))
    named = {found.name: found.section for found in deviations.of_policy(of_roles(("ward",), long))}
    assert named == {
        "composition": "3.1.1.2",
        "no_phishing_resistant_option": "2.2.2",
        "session_idle": "2.2.3",
        "session_absolute": "2.2.3",
    }
    lone = settings(RolePolicy(roles=("lone",), require_second=False, preset="pci_dss_4"))
    assert {found.name for found in deviations.of_policy(of_roles(("lone",), lone))} == {
        "composition", "minimum_length", "periodic_change",
    }  # fmt: skip
    assert deviations.of_policy(of_roles(("kiosk",), settings())) == []


def test_every_table_is_told_with_its_roles() -> None:
    told = dict(tables(settings()))
    assert list(told) == [(), ("physician",), ("administrator", "help_desk"), ("billing",), ("kiosk",)]
    assert told["billing",].preset == "pci_dss_4"
