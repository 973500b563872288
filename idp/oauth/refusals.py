"""Writing refusals down: enough for whoever investigates, and not more than a stranger can be allowed to write.

Anybody may send nonsense to /authorize and /token as fast as the network carries it; a trail that is kept for years must not grow
at that speed. Of one address so many refusals a minute are written; that there were more, limits writes once.
"""

from __future__ import annotations

from typing import Any

from idp import audit, kv, limits, web

WRITTEN, WINDOW_S = 120, 60


def record(event: audit.Event, **facts: Any) -> None:
    """Record a refusal of something that nobody was authenticated for, within the limit of its address."""
    try:
        verdict = limits.spend("refusals", web.context().address or "", count=WRITTEN, window_s=WINDOW_S)
    except kv.Unavailable:
        verdict = None
    if verdict is None or verdict.allowed:
        audit.record(event, **facts)
