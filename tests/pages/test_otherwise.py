"""Every page for those who read otherwise: at 400 % zoom in the longer language, with wide spacing, in forced colours, without motion."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from jinja2 import Environment
from playwright.sync_api import Browser

from tests.chromium import needs_chromium
from tests.pages.visitor import QUIET, Reader, Walker

pytestmark = [pytest.mark.xdist_group("browser"), needs_chromium]

NARROW = {"width": 320, "height": 256}  # 1280 × 1024 at 400 %
SPACING = """* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important }
  p { margin-block-end: 2em !important }"""
CUT = """[...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() && !e.closest('svg, .visually-hidden, .skip'))
  .filter((e) => getComputedStyle(e).overflow !== 'visible' && !e.matches('input, select'))
  .filter((e) => e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1).map((e) => e.outerHTML.slice(0, 80))"""
OUTSIDE = """[...document.querySelectorAll('main *')].filter((e) => e.checkVisibility() && !e.closest('svg, .visually-hidden'))
  .filter((e) => e.getBoundingClientRect().right > innerWidth + 1 || e.getBoundingClientRect().left < -1).map((e) => e.outerHTML.slice(0, 80))"""
LOOK = f"""(spacing) => {{
  const lost = () => [...(document.documentElement.scrollWidth === innerWidth ? [] : ["too broad"]), ...{OUTSIDE}, ...{CUT}];
  for (const panel of document.querySelectorAll("details")) panel.open = true;
  const plain = lost(), sheet = new CSSStyleSheet();
  sheet.replaceSync(spacing);
  document.adoptedStyleSheets = [sheet];
  return [plain, lost()] }}"""
BARE = """() => [...document.querySelectorAll('button, a.button, select, input:is([type=text], [type=password], [type=email], [type=url], [type=tel], [type=search])')]
  .filter((e) => e.checkVisibility() && !e.matches('.reveal, .links *, .nav *, .visually-hidden')).filter((e) => { const s = getComputedStyle(e), parent = getComputedStyle(document.body);
    return s.borderTopStyle === 'none' || parseFloat(s.borderTopWidth) < 1 || s.borderTopColor === parent.backgroundColor }).map((e) => e.outerHTML.slice(0, 80))"""
MOVING = """() => [...document.querySelectorAll('*')].filter((e) => { const s = getComputedStyle(e);
  return s.transitionDuration !== '0s' || s.animationName !== 'none' || s.scrollBehavior === 'smooth' }).map((e) => e.tagName)"""
RING = "(() => { const s = getComputedStyle(document.activeElement); return [s.outlineStyle, s.outlineWidth] })()"


@pytest.fixture(scope="module")
def reader(chromium: Browser, pages: Environment) -> Iterator[Walker]:
    with Reader.on(chromium, pages, lang="es", viewport=NARROW, reduced_motion="reduce") as made:
        yield made


@pytest.fixture(scope="module")
def survey(reader: Walker) -> dict[str, dict[str, object]]:
    """What each page loses as it is and with wide spacing, and which controls have no border in forced colours; each page is loaded once."""
    found: dict[str, dict[str, object]] = {"plain": {}, "spaced": {}, "forced": {}}
    for template, variant in QUIET:
        page, window = f"{template} {variant}", reader.open(template, variant)
        found["plain"][page], found["spaced"][page] = window.evaluate(LOOK, SPACING)
        window.emulate_media(forced_colors="active")
        found["forced"][page] = window.evaluate(BARE)
        window.emulate_media(forced_colors="none")
    return {state: {page: told for page, told in pages.items() if told} for state, pages in found.items()}


def test_1_4_10_nothing_is_lost_in_spanish_at_400_percent(survey: dict[str, dict[str, object]]) -> None:
    assert survey["plain"] == {}


def test_1_4_12_nothing_is_lost_with_wide_spacing(survey: dict[str, dict[str, object]]) -> None:
    assert survey["spaced"] == {}


def test_1_4_11_forced_colours_leave_every_control_a_border(survey: dict[str, dict[str, object]]) -> None:
    assert survey["forced"] == {}


def test_2_4_7_forced_colours_leave_the_focus_a_ring(reader: Walker) -> None:
    window = reader.open("login.html")
    window.emulate_media(forced_colors="active")
    for _ in range(6):
        window.keyboard.press("Tab")
        style, width = window.evaluate(RING)
        assert (style, width) == ("solid", "3px")


def test_2_3_3_who_wants_no_motion_sees_none(reader: Walker) -> None:
    assert reader.open("login.html", "error").evaluate(MOVING) == []
    assert reader.open("account_security.html", "full").evaluate(MOVING) == []
