"""axe-core finds nothing on any page in any state: English and Spanish, light and dark (WCAG 2.2 AA and good practice).

Every rule looks at every page twice: in English on light, in Spanish on dark. That is all four, because a language changes words and a
scheme changes colours and neither does more: the other tests here insist. What is folded away is unfolded first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from jinja2 import Environment
from playwright.sync_api import Browser, Page

from idp import language
from tests.chromium import needs_chromium
from tests.pages.conftest import STATIC
from tests.pages.document import parse
from tests.pages.samples import CASES, COMMON
from tests.pages.visitor import QUIET, Reader, Walker

AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LOOK = """async (rules) => {
  const folded = document.querySelectorAll("details:not([open])");
  for (const panel of folded) panel.open = true;
  const more = { "label-content-name-mismatch": { enabled: true }, "css-orientation-lock": { enabled: true } };
  const found = await axe.run({ runOnly: rules, rules: more, resultTypes: ["violations"] });
  for (const panel of folded) panel.open = false;
  return found.violations.map((rule) => [rule.id, rule.nodes.map((node) => node.html.slice(0, 120))]);
}"""
PASSES = {"en": ("light", "Sign in"), "es": ("dark", "Iniciar sesión")}
SCHEMED = re.compile(r"@media \(prefers-color-scheme: dark\) \{\s*:root \{(?P<values>[^}]*)\}\s*\}")
COLOUR = re.compile(r"--[\w-]+: #[0-9a-f]{6};")
WORDS = {
    "lang",
    "hreflang",
    "aria-label",
    "title",
    "placeholder",
    "content",
    "value",
    "alt",
}  # attributes that hold words


def violations(page: Page) -> list[str]:
    """What axe-core holds against a page that is open; its source is in the page already."""
    return [f"{rule}: {html}" for rule, places in page.evaluate(LOOK, RULES) for html in places]


@pytest.fixture(params=PASSES)
def reader(chromium: Browser, pages: Environment, request: pytest.FixtureRequest) -> Iterator[Walker]:
    window: Any = {"viewport": {"width": 1280, "height": 800}, "color_scheme": PASSES[request.param][0]}
    with Reader.on(chromium, pages, lang=request.param, reduced_motion="reduce", **window) as made:  # no colour halfway
        yield made


@pytest.mark.xdist_group("browser")
@needs_chromium
def test_w6_axe_finds_nothing_on_any_page(reader: Walker) -> None:
    window = reader.open("login.html")
    assert window.get_by_role("button", name=PASSES[reader.lang][1], exact=True).count() == 1
    dark = window.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert dark is (PASSES[reader.lang][0] == "dark")
    window.evaluate(AXE)
    found = {case: violations(reader.open(*case)) for case in QUIET}
    assert {case: told for case, told in found.items() if told} == {}
    assert reader.complaints == []


@pytest.mark.xdist_group("browser")
@needs_chromium
def test_the_measure_itself(chromium: Browser) -> None:
    page = chromium.new_page()
    page.set_content("<html lang=en><title>x</title><main><h1>x</h1><input><p style='color:#999'>pale</p></main>")
    page.evaluate(AXE)
    assert [one.partition(":")[0] for one in violations(page)] == ["color-contrast", "label"]
    page.close()


def skeleton(page: str) -> Counter[tuple[object, ...]]:
    """All of the elements that a style sheet or a rule about structure can see; of words, whether there are any.

    Counted, not in order: on the page where one chooses a language, the button of the present one looks pressed.
    """
    return Counter(
        (one.tag, len(one.inside), bool(one.text.strip()), *sorted(map(sight, one.attributes.items())))
        for one in parse(page).elements
    )


def sight(attribute: tuple[str, str]) -> tuple[str, str]:
    name, value = attribute
    return name, str(bool(value)) if name in WORDS or name.startswith("data-") else value


def test_a_language_changes_words_and_nothing_else(pages: Environment) -> None:
    differing = []
    for template, variant in QUIET:
        seen = []
        for lang in language.SUPPORTED:
            values = {**COMMON, **CASES[template, variant], "lang": lang}
            with language.speaking(lang):
                seen.append(skeleton(pages.get_template(template).render(values)))
        differing += [] if seen == [seen[0]] * len(PASSES) else [(template, variant)]
    assert differing == []
    assert not re.search(r":lang\(|\[(data-|lang|hreflang|title|value)[^\]]*=", (STATIC / "idp.css").read_text())


def test_a_scheme_changes_colours_and_nothing_else() -> None:
    sheet = (STATIC / "idp.css").read_text()
    assert sheet.count("prefers-color-scheme") == 1 and "light-dark(" not in sheet
    values = SCHEMED.search(sheet)
    assert values is not None
    changed = [line.strip() for line in values["values"].splitlines() if line.strip()]
    assert changed and all(COLOUR.fullmatch(line) for line in changed), changed
