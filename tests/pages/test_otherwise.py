"""Every page for those who read otherwise: at 400 % zoom in the longer language, with wide spacing, in forced colours, without motion."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from jinja2 import Environment
from playwright.sync_api import Browser, Page

from tests.pages.test_in_a_browser import CHROMIUM, QUIET, Visitor, chromium

__all__ = ["chromium"]  # the fixture

pytestmark = [
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (tests/browser.sh)"),
]

NARROW = {"width": 320, "height": 256}  # 1280 × 1024 at 400 %
UNFOLD = 'document.querySelectorAll("details").forEach((e) => { e.open = true })'
BROAD = "document.documentElement.scrollWidth"
SPACED = """() => { const sheet = new CSSStyleSheet(); sheet.replaceSync(
  '* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important } p { margin-block-end: 2em !important }');
  document.adoptedStyleSheets = [sheet]; }"""
CUT = """() => [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() && !e.closest('svg, .visually-hidden, .skip'))
  .filter((e) => getComputedStyle(e).overflow !== 'visible' && !e.matches('input, select'))
  .filter((e) => e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1).map((e) => e.outerHTML.slice(0, 80))"""
OUTSIDE = """() => [...document.querySelectorAll('main *')].filter((e) => e.checkVisibility() && !e.closest('svg, .visually-hidden'))
  .filter((e) => e.getBoundingClientRect().right > innerWidth + 1 || e.getBoundingClientRect().left < -1).map((e) => e.outerHTML.slice(0, 80))"""
BARE = """() => [...document.querySelectorAll('button, a.button, select, input:is([type=text], [type=password], [type=email], [type=url], [type=tel], [type=search])')]
  .filter((e) => e.checkVisibility() && !e.matches('.reveal, .links *, .nav *, .visually-hidden')).filter((e) => { const s = getComputedStyle(e), parent = getComputedStyle(document.body);
    return s.borderTopStyle === 'none' || parseFloat(s.borderTopWidth) < 1 || s.borderTopColor === parent.backgroundColor }).map((e) => e.outerHTML.slice(0, 80))"""
MOVING = """() => [...document.querySelectorAll('*')].filter((e) => { const s = getComputedStyle(e);
  return s.transitionDuration !== '0s' || s.animationName !== 'none' || s.scrollBehavior === 'smooth' }).map((e) => e.tagName)"""
RING = "(() => { const s = getComputedStyle(document.activeElement); return [s.outlineStyle, s.outlineWidth] })()"


@pytest.fixture(scope="module")
def reader(chromium: Browser, pages: Environment) -> Iterator[Visitor]:
    context = chromium.new_context(viewport=NARROW, reduced_motion="reduce")
    yield Visitor(context, pages, lang="es")
    context.close()


@pytest.fixture(scope="module")
def survey(reader: Visitor) -> dict[str, dict[str, object]]:
    """What each page loses as it is and with wide spacing, and which controls have no border in forced colours; each page is loaded once."""
    found: dict[str, dict[str, object]] = {"plain": {}, "spaced": {}, "forced": {}}
    for template, variant in QUIET:
        page, window = f"{template} {variant}", reader.open(template, variant)
        window.evaluate(UNFOLD)
        found["plain"][page] = lost(window)
        window.evaluate(SPACED)
        found["spaced"][page] = lost(window)
        window.emulate_media(forced_colors="active")
        found["forced"][page] = window.evaluate(BARE)
        window.emulate_media(forced_colors="none")
    return {state: {page: told for page, told in pages.items() if told} for state, pages in found.items()}


def lost(window: Page) -> list[object]:
    broad = window.evaluate(BROAD)
    return [*([broad] if broad != NARROW["width"] else []), *window.evaluate(OUTSIDE), *window.evaluate(CUT)]


def test_1_4_10_nothing_is_lost_in_spanish_at_400_percent(survey: dict[str, dict[str, object]]) -> None:
    assert survey["plain"] == {}


def test_1_4_12_nothing_is_lost_with_wide_spacing(survey: dict[str, dict[str, object]]) -> None:
    assert survey["spaced"] == {}


def test_1_4_11_forced_colours_leave_every_control_a_border(survey: dict[str, dict[str, object]]) -> None:
    assert survey["forced"] == {}


def test_2_4_7_forced_colours_leave_the_focus_a_ring(reader: Visitor) -> None:
    window = reader.open("login.html")
    window.emulate_media(forced_colors="active")
    for _ in range(6):
        window.keyboard.press("Tab")
        style, width = window.evaluate(RING)
        assert (style, width) == ("solid", "3px")


def test_2_3_3_who_wants_no_motion_sees_none(reader: Visitor) -> None:
    assert reader.open("login.html", "error").evaluate(MOVING) == []
    assert reader.open("account_security.html", "full").evaluate(MOVING) == []
