"""Which browsers we test with, whether this is one of them, and what people call it. An unsupported browser is told so and still served."""

from __future__ import annotations

import re

from idp.language import gettext

_OLDEST = (  # the first that matches decides: Edge also says Chrome, Chrome also says Safari
    ("Edge", re.compile(r"Edg(?:e|A|iOS)?/(\d{1,4})"), 109),
    ("Firefox", re.compile(r"(?:Firefox|FxiOS)/(\d{1,4})"), 115),
    ("Chrome", re.compile(r"(?:Chrome|Chromium|CriOS)/(\d{1,4})"), 109),
    ("Safari", re.compile(r"Version/(\d{1,4})[\d.]* (?:Mobile/\w+ )?Safari/"), 15),
)


def tested() -> list[str]:
    """Name the browsers that we test with, for a page of help."""
    return [gettext("%(browser)s %(oldest)s or newer", browser=name, oldest=oldest) for name, _, oldest in _OLDEST]


def supported(user_agent: str | None) -> bool:
    """Say whether a User-Agent names a browser that we test with. Who names none is not a browser, and is not warned."""
    agent = (user_agent or "")[:512]
    if not agent.startswith("Mozilla/"):
        return True
    for _, pattern, oldest in _OLDEST:
        found = pattern.search(agent)
        if found:
            return int(found[1]) >= oldest
    return False


_NAMES = (  # the first that matches: Edge and Opera also say Chrome, Chrome also says Safari
    ("Edge", re.compile(r"Edg(?:e|A|iOS)?/")),
    ("Opera", re.compile(r"OPR/")),
    ("Firefox", re.compile(r"Firefox/|FxiOS/")),
    ("Chrome", re.compile(r"Chrome/|Chromium/|CriOS/")),
    ("Safari", re.compile(r"Safari/")),
)
_SYSTEMS = (
    ("iPhone", re.compile(r"iPhone")),
    ("iPad", re.compile(r"iPad")),
    ("Android", re.compile(r"Android")),
    ("ChromeOS", re.compile(r"CrOS")),
    ("Windows", re.compile(r"Windows")),
    ("Mac", re.compile(r"Mac OS")),
    ("Linux", re.compile(r"Linux|X11")),
)


def described(user_agent: str | None) -> str:
    """Name a browser and its system as people do; never a ground for a decision, and never what the browser wrote itself."""
    agent = (user_agent or "")[:512]
    browser, system = _first(_NAMES, agent), _first(_SYSTEMS, agent)
    if browser and system:
        return gettext("%(browser)s on %(system)s", browser=browser, system=system)
    return browser or system or gettext("Unknown browser")


def _first(known: tuple[tuple[str, re.Pattern[str]], ...], agent: str) -> str:
    return next((name for name, pattern in known if pattern.search(agent)), "")
