"""The stylesheet keeps its promises: contrast in both schemes (1.4.3, 1.4.11), nothing from outside, no fixed directions (W-8)."""

from __future__ import annotations

import re

import pytest

from tests.each import on_each
from tests.pages.conftest import STATIC

CSS = re.sub(r"/\*.*?\*/", "", (STATIC / "idp.css").read_text(), flags=re.DOTALL)
ROOTS = re.findall(r":root\s*\{(.*?)\}", CSS, flags=re.DOTALL)

TEXT = [  # (foreground, background), 4.5:1
    *[
        (ink, ground)
        for ink in ("ink", "ink-soft", "accent", "accent-strong")
        for ground in ("paper", "surface", "tint")
    ],
    ("on-accent", "accent"),
    ("on-accent", "accent-strong"),
    ("on-neutral", "neutral"),
    ("on-neutral", "neutral-strong"),
    ("danger", "danger-soft"),
    ("danger", "paper"),
    ("good", "good-soft"),
    ("good", "paper"),
    ("good", "surface"),
    ("warn", "warn-soft"),
    ("ink", "danger-soft"),
    ("ink", "good-soft"),
    ("ink", "warn-soft"),
    ("side-ink", "side"),
    ("side-soft", "side"),
]
SHAPES = [  # borders of controls and the focus ring, 3:1
    ("edge", "paper"),
    ("edge", "surface"),
    ("danger", "surface"),
    *[("focus", ground) for ground in ("paper", "surface", "tint", "danger-soft")],
    ("side-focus", "side"),
    ("accent", "paper"),
    ("neutral", "paper"),
]


def _colours(scheme: str) -> dict[str, str]:
    light = dict(re.findall(r"--([a-z-]+):\s*(#[0-9a-f]{6})\b", ROOTS[0]))
    dark = dict(re.findall(r"--([a-z-]+):\s*(#[0-9a-f]{6})\b", ROOTS[1]))
    return light if scheme == "light" else {**light, **dark}


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2.2."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_measure_itself() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@on_each("scheme", ["light", "dark"])
@on_each("ink, ground", TEXT)
def test_text_can_be_read(scheme: str, ink: str, ground: str) -> None:
    colours = _colours(scheme)
    assert contrast(colours[ink], colours[ground]) >= 4.5


@on_each("scheme", ["light", "dark"])
@on_each("shape, ground", SHAPES)
def test_controls_and_focus_can_be_seen(scheme: str, shape: str, ground: str) -> None:
    colours = _colours(scheme)
    assert contrast(colours[shape], colours[ground]) >= 3


def test_colours_live_in_the_custom_properties_only() -> None:
    rules = re.sub(r":root\s*\{.*?\}", "", CSS, flags=re.DOTALL)
    loose = set(re.findall(r"#[0-9a-fA-F]{3,8}\b(?!\s*\{)|(?:rgb|hsl)a?\(", rules))
    assert loose <= {"#ffffff", "#000"}  # the quiet zone of the QR code, and paper


def test_both_schemes_define_the_same_colours() -> None:
    light, dark = (set(re.findall(r"--([a-z-]+):\s*#", root)) for root in ROOTS)
    assert light == dark


def test_nothing_comes_from_outside() -> None:
    assert "@import" not in CSS and "@font-face" not in CSS and "http" not in CSS
    for address in re.findall(r"url\((.*?)\)", CSS):
        assert (STATIC / address.strip("\"'")).is_file()


def test_directions_are_logical() -> None:
    assert re.findall(r"(?:margin|padding|border|inset)?-?(?:left|right)\s*:", CSS) == []
    assert re.findall(r"text-align:\s*(?:left|right)", CSS) == []


@pytest.mark.parametrize(
    "feature", ["prefers-color-scheme: dark", "prefers-reduced-motion: reduce", "forced-colors: active", "print"]
)
def test_people_who_need_it_otherwise_are_served(feature: str) -> None:
    assert re.search(rf"@media \(?{feature}\)?", CSS)


def test_the_focus_ring_is_never_taken_away() -> None:
    assert not re.search(r"outline:\s*(none|0)\b", CSS)
    assert re.search(r":focus-visible\s*\{[^}]*outline:\s*3px solid var\(--focus\)", CSS)


def test_drawings_hold_no_script_and_no_foreign_address() -> None:
    for path in STATIC.glob("*.svg"):
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "<script" not in text and "http" not in text and " on" not in text


def test_the_whole_is_small() -> None:
    assert (STATIC / "idp.css").stat().st_size < 24_000
    assert sum(path.stat().st_size for path in STATIC.glob("js/*.js")) < 20_000  # no page loads more than three of them
