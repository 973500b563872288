"""Which browsers we test with, and whether this is one of them. An unsupported browser is told so and still served."""

from __future__ import annotations

import re

SUPPORTED = ("Chrome 109 or newer", "Edge 109 or newer", "Firefox 115 or newer", "Safari 15 or newer")

_OLDEST = (  # the first that matches decides: Edge also says Chrome, Chrome also says Safari
    (re.compile(r"Edg(?:e|A|iOS)?/(\d{1,4})"), 109),
    (re.compile(r"(?:Firefox|FxiOS)/(\d{1,4})"), 115),
    (re.compile(r"(?:Chrome|Chromium|CriOS)/(\d{1,4})"), 109),
    (re.compile(r"Version/(\d{1,4})[\d.]* (?:Mobile/\w+ )?Safari/"), 15),
)


def supported(user_agent: str | None) -> bool:
    """Say whether a User-Agent names a browser that we test with. Who names none is not a browser, and is not warned."""
    agent = (user_agent or "")[:512]
    if not agent.startswith("Mozilla/"):
        return True
    for pattern, oldest in _OLDEST:
        found = pattern.search(agent)
        if found:
            return int(found[1]) >= oldest
    return False
