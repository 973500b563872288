"""The rules that a browser ticks while somebody types are the server's own, for every preset; without a script the same are shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
from jinja2 import Environment
from playwright.sync_api import Browser

from idp.authn import password_policy
from idp.authn.password_policy import PRESETS, Policy
from idp.config import Settings
from tests.chromium import needs_chromium
from tests.pages.samples import CASES
from tests.pages.visitor import Visitor

pytestmark = [pytest.mark.xdist_group("browser"), needs_chromium]

TYPED = [
    "",
    "a",
    "A",
    "7",
    "-",
    "ab3-",
    "quietlamporbits",
    "Quiet-Lamp-93-Orbit",
    "quiet lamp 93 orbit",
    "ÉÉÉÉÉÉÉÉÉÉÉÉ",
    "пароль-без-цифр",
    "٣٤٥٦٧٨٩٠١٢٣٤",
    "😀😁😂🤣😃😄😅😆",
    "e\u0301" * 7,
    "ⅣªºⅣªºⅣªºⅣ",
    "x" * 257,
]


def policy_of(preset: str) -> Policy:
    base = Settings()
    return password_policy.policy_of(
        dataclasses.replace(base, passwords=dataclasses.replace(base.passwords, preset=preset, min_digits=2))
    )


@pytest.fixture
def case(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[Policy, str]:
    policy = policy_of(request.param)
    values = {"flow_id": "f1", "rules": password_policy.rules(policy), "violations": [], "username": "maren"}
    monkeypatch.setitem(CASES, ("password_change.html", f"live-{request.param}"), values)
    return policy, f"live-{request.param}"


@pytest.fixture
def visitor(chromium: Browser, pages: Environment) -> Iterator[Visitor]:
    context = chromium.new_context()
    made = Visitor(context, pages)
    yield made
    assert made.complaints == []
    context.close()


@pytest.mark.parametrize("case", PRESETS, indirect=True)
def test_w4_the_browser_ticks_what_the_server_accepts(visitor: Visitor, case: tuple[Policy, str]) -> None:
    policy, variant = case
    window = visitor.open("password_change.html", variant)
    countable = {rule.rule for rule in password_policy.rules(policy) if rule.least}
    assert countable == {"length", *(kind for kind, _ in policy.composition)}
    for raw in TYPED:
        window.locator("#new_password").fill(raw)
        window.locator("#new_password").dispatch_event("input")
        ticked = {item.get_attribute("data-rule") for item in window.locator(".rules .met").all()}
        broken = {violation.rule for violation in password_policy.violations(raw, policy=policy)}
        if len(raw) > policy.max_length:  # the server looks no further
            assert "length" not in ticked
            continue
        assert ticked == countable - broken, raw


@pytest.mark.parametrize("case", PRESETS, indirect=True)
def test_w7_without_a_script_the_same_rules_are_shown(
    chromium: Browser, pages: Environment, case: tuple[Policy, str]
) -> None:
    policy, variant = case
    context = chromium.new_context(java_script_enabled=False)
    shown = Visitor(context, pages).open("password_change.html", variant).locator(".rules .text").all_inner_texts()
    assert shown == password_policy.describe(policy)
    context.close()
