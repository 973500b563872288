"""axe-core finds nothing on any page in any state: English and Spanish, light and dark (WCAG 2.2 AA and good practice).

What is folded away is unfolded first. Each page is loaded once a language, looked at in both colour schemes.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from jinja2 import Environment
from playwright.sync_api import Browser, Page

from idp import language
from tests.pages.test_in_a_browser import CHROMIUM, QUIET, Visitor, chromium

__all__ = ["chromium"]  # the fixture

pytestmark = [
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (tests/browser.sh)"),
]

AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
ALL = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
COLOURS = ["color-contrast", "link-in-text-block"]  # all that a scheme can change: it swaps colours and nothing else
LOOK = """async (rules) => {
  const folded = document.querySelectorAll("details:not([open])");
  for (const panel of folded) panel.open = true;
  const more = { "label-content-name-mismatch": { enabled: true }, "css-orientation-lock": { enabled: true } };
  const found = await axe.run({ runOnly: rules, rules: more, resultTypes: ["violations"] });
  for (const panel of folded) panel.open = false;
  return found.violations.map((rule) => [rule.id, rule.nodes.map((node) => node.html.slice(0, 120))]);
}"""


def violations(page: Page, rules: list[str] = ALL) -> list[str]:
    """What axe-core holds against a page that is open; its source is in the page already."""
    return [f"{rule}: {html}" for rule, places in page.evaluate(LOOK, rules) for html in places]


@pytest.fixture(params=language.SUPPORTED)
def looker(chromium: Browser, pages: Environment, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    motionless: Any = {"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce"}  # no colour halfway
    context = chromium.new_context(**motionless)
    context.add_init_script(AXE)
    yield Visitor(context, pages, lang=request.param)
    context.close()


def test_w6_axe_finds_nothing_on_any_page(looker: Visitor) -> None:
    expected = {"en": "Sign in", "es": "Iniciar sesión"}[looker.lang]
    assert looker.open("login.html").get_by_role("button", name=expected, exact=True).count() == 1
    found: dict[tuple[str, str, str], list[str]] = {}
    for template, variant in QUIET:
        window = looker.open(template, variant)
        for scheme, rules in (("light", ALL), ("dark", COLOURS)):
            window.emulate_media(color_scheme=scheme)
            found[template, variant, scheme] = violations(window, rules)
    assert {place: told for place, told in found.items() if told} == {}


def test_the_measure_itself(chromium: Browser) -> None:
    page = chromium.new_page()
    page.set_content("<html lang=en><title>x</title><main><h1>x</h1><input><p style='color:#999'>pale</p></main>")
    page.evaluate(AXE)
    assert [one.partition(":")[0] for one in violations(page)] == ["color-contrast", "label"]
    page.close()
